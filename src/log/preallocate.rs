//! Room in the WAL ahead of the writer, so that a commit overwrites and the file does not grow.
//!
//! Bringing a grown file to the disk is more than bringing its data: the new size is a write to the
//! file system's journal besides, and the sync takes half as long again (`benches/README.md`). So
//! the commit that makes the WAL grow is followed by a piece of zeros, which the next ones write
//! over. To SQLite they are the end: a frame has the salt of its WAL. Nobody but the writer's
//! thread writes to the file, and it adds to the end alone, so nothing is written over here. When
//! the WAL starts anew, and how large it may grow, is left to `checkpoint`.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Bytes of a WAL that needs no room: a log that is seldom written to stays as small as it is.
const SMALL_BYTES: u64 = 256 << 10;

/// Bytes that are added at once: a hundred commits under load, written in a millisecond.
const PIECE_BYTES: usize = 2 << 20;

/// The preallocation of one WAL.
#[derive(Debug)]
pub(crate) struct Preallocation {
    wal: PathBuf,
    /// The size of the file when it was looked at last.
    n_bytes: u64,
}

impl Preallocation {
    /// Nothing is written before the first commit.
    pub(crate) fn of(db: &Path) -> Preallocation {
        let mut wal = db.as_os_str().to_owned();
        wal.push("-wal");
        Preallocation { wal: wal.into(), n_bytes: 0 }
    }

    /// Adds room if a commit has made the file grow. To be called by who writes the WAL, with no
    /// transaction open; what is written is synced with the next commit.
    ///
    /// # Errors
    ///
    /// The operating system's. There is less room then, and commits take longer, but nothing is
    /// wrong.
    pub(crate) fn after_commit(&mut self) -> io::Result<()> {
        let n_bytes = std::fs::metadata(&self.wal)?.len();
        if n_bytes > self.n_bytes && n_bytes >= SMALL_BYTES {
            let wal = OpenOptions::new().write(true).open(&self.wal)?;
            wal.write_all_at(&vec![0; PIECE_BYTES], n_bytes)?;
            self.n_bytes = n_bytes + PIECE_BYTES as u64;
        } else {
            self.n_bytes = n_bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use scrollback_schema::NewEvent;
    use scrollback_schema::event::{ChatCreated, Event};
    use scrollback_test_support::sample::{chat_id, user_text};

    use super::*;
    use crate::clock::Clock;
    use crate::log::{Append, Log, LogOptions};

    #[tokio::test]
    async fn commits_write_into_room_that_is_there_and_none_is_lost_in_it() {
        let dir = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap();
        let open = || Log::open(dir.path(), LogOptions::default(), &Clock::System).unwrap();
        let (log, wal) = (open(), dir.path().join("log.db-wal"));
        let n_bytes = || std::fs::metadata(&wal).unwrap().len();
        let append =
            async |event| log.append(Append::new(chat_id("c1"), vec![event]).unwrap()).await;
        append(NewEvent::of_chat(Event::ChatCreated(ChatCreated::default()))).await.unwrap();
        assert!(n_bytes() < SMALL_BYTES, "a small one is left alone");
        let mut sizes = vec![n_bytes()];
        for n in 0..100 {
            append(user_text(&format!("m{n}"), &"x".repeat(40 << 10))).await.unwrap();
            sizes.push(n_bytes());
        }
        sizes.dedup();
        let n_small = sizes.iter().filter(|&&size| size < SMALL_BYTES).count();
        // What is read here may come between a commit and its room.
        let n_grown = sizes.len() - n_small;
        assert!(n_grown <= 6, "4 MB are two pieces or three: {sizes:?}");
        assert!(n_bytes() > 2 * PIECE_BYTES as u64);
        // A server that is killed leaves the zeros behind.
        let copy = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap();
        for name in ["log.db", "log.db-wal", "head"] {
            std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        }
        let head = log.head();
        log.close().await;
        let again = Log::open(copy.path(), LogOptions::default(), &Clock::System).unwrap();
        assert_eq!(again.head(), head);
        again.close().await;
    }
}
