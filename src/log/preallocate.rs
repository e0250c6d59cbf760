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
    use scrollback_test_support::wait::eventually;
    use tempfile::TempDir;

    use super::*;
    use crate::clock::Clock;
    use crate::log::{Append, Log, LogOptions};
    use crate::sqlite::open_view_writer;

    const BYTES_A_COMMIT: usize = 40 << 10;

    fn directory() -> TempDir {
        tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap()
    }

    /// What a process that is killed leaves of these files.
    fn killed(dir: &TempDir, names: &[&str]) -> TempDir {
        let copy = directory();
        for name in names {
            std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        }
        copy
    }

    #[test]
    fn each_commit_that_makes_the_wal_grow_is_followed_by_a_piece() {
        let dir = directory();
        let db = open_view_writer(&dir.path().join("x.db")).unwrap();
        let mut ahead = Preallocation::of(&dir.path().join("x.db"));
        db.execute_batch("CREATE TABLE t (x)").unwrap();
        let n_bytes = || std::fs::metadata(dir.path().join("x.db-wal")).unwrap().len();
        let (mut sizes, mut n_within) = (vec![n_bytes()], 0);
        for _ in 0..100 {
            db.execute("INSERT INTO t VALUES (zeroblob(?1))", [BYTES_A_COMMIT as i64]).unwrap();
            n_within += usize::from(n_bytes() == sizes[sizes.len() - 1]);
            ahead.after_commit().unwrap();
            sizes.push(n_bytes());
        }
        sizes.dedup();
        let (small, grown): (Vec<u64>, Vec<u64>) = sizes.iter().partition(|&&n| n < SMALL_BYTES);
        assert!(!small.is_empty(), "a small one is left alone: {sizes:?}");
        assert!(n_within > 85, "a commit in forty makes it grow: {n_within} of 100, {sizes:?}");
        assert!((2..=4).contains(&grown.len()), "4 MB are two pieces or three: {sizes:?}");
        assert!(grown.windows(2).all(|two| two[1] - two[0] > PIECE_BYTES as u64), "{sizes:?}");
        let copy = killed(&dir, &["x.db", "x.db-wal"]);
        let again = open_view_writer(&copy.path().join("x.db")).unwrap();
        let n: i64 = again.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(n, 100);
    }

    #[tokio::test]
    async fn the_log_has_room_ahead_and_loses_nothing_in_it() {
        let dir = directory();
        let log = Log::open(dir.path(), LogOptions::default(), &Clock::System).unwrap();
        let append =
            async |event| log.append(Append::new(chat_id("c1"), vec![event]).unwrap()).await;
        append(NewEvent::of_chat(Event::ChatCreated(ChatCreated::default()))).await.unwrap();
        for n in 0..20 {
            append(user_text(&format!("m{n}"), &"x".repeat(BYTES_A_COMMIT))).await.unwrap();
        }
        // The room is made behind the answer.
        eventually("the room", async || {
            let wal = std::fs::metadata(dir.path().join("log.db-wal")).unwrap();
            (wal.len() > PIECE_BYTES as u64).then_some(())
        })
        .await;
        let copy = killed(&dir, &["log.db", "log.db-wal", "head"]);
        let head = log.head();
        log.close().await;
        let again = Log::open(copy.path(), LogOptions::default(), &Clock::System).unwrap();
        assert_eq!(again.head(), head);
        again.close().await;
    }
}
