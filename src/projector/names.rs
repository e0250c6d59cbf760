//! What the files of a projection are called, and which of them are there.
//!
//! ```text
//! views/NAME.db           the live file
//! views/NAME.db.g2        the live file of a server that took over a rebuilt one while it ran
//! views/NAME.db.rebuild   being built, resumable
//! views/NAME.db.next      built, waits for the running server to take it over
//! views/NAME.db.check     scratch of a check
//! ```
//! A file that others may have open is never renamed nor replaced under its name: SQLite finds the
//! WAL by the name of its database, so a name must mean one database as long as anybody has it
//! open. A takeover therefore makes a new name, and the next start goes back to the plain one.

use std::io;
use std::path::{Path, PathBuf};

/// The directory within a data directory that holds the view files.
pub(crate) const VIEWS_DIR: &str = "views";

/// The files of one projection.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    dir: PathBuf,
    projection: &'static str,
}

impl Names {
    /// The files of `projection` within a data directory.
    pub(crate) fn new(data_dir: &Path, projection: &'static str) -> Names {
        Names { dir: data_dir.join(VIEWS_DIR), projection }
    }

    /// A live file; generation 0 has the plain name.
    pub(crate) fn live(&self, generation: u32) -> PathBuf {
        match generation {
            0 => self.dir.join(format!("{}.db", self.projection)),
            _ => self.with_suffix(&format!("g{generation}")),
        }
    }

    /// The file that a rebuild offers to the running server.
    pub(crate) fn next(&self) -> PathBuf {
        self.with_suffix("next")
    }

    /// The file that a rebuild works on.
    pub(crate) fn rebuild(&self) -> PathBuf {
        self.with_suffix("rebuild")
    }

    /// The file that a check folds into.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.with_suffix("check")
    }

    fn with_suffix(&self, suffix: &str) -> PathBuf {
        self.dir.join(format!("{}.db.{suffix}", self.projection))
    }

    /// The live files that are there, the newest generation first.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read; a missing one has no files.
    pub(crate) fn live_files(&self) -> io::Result<Vec<(u32, PathBuf)>> {
        let entries = match std::fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let plain = format!("{}.db", self.projection);
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let file_name = entry.file_name();
            let Some(rest) = file_name.to_str().and_then(|name| name.strip_prefix(&plain)) else {
                continue;
            };
            let generation = match rest.strip_prefix(".g") {
                Some(digits) => digits.parse().ok(),
                None => rest.is_empty().then_some(0),
            };
            found.extend(generation.map(|generation| (generation, entry.path())));
        }
        found.sort_by_key(|&(generation, _)| std::cmp::Reverse(generation));
        Ok(found)
    }
}

/// The file that SQLite keeps beside a database, by the suffix of its name.
pub(crate) fn file_beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes a database with its WAL; whoever has it open keeps what it has.
///
/// # Errors
///
/// If a file is there and cannot be removed.
pub(crate) fn remove_db(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        match std::fs::remove_file(file_beside(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Gives a closed database another name; what was there under it goes.
///
/// # Errors
///
/// If it cannot be renamed, or what was there not removed.
pub(crate) fn rename_db(from: &Path, to: &Path) -> io::Result<()> {
    remove_db(to)?;
    std::fs::rename(from, to)?;
    // A reader leaves an empty WAL, which belongs to the former name.
    remove_db(from)
}

/// Whether a database has committed pages outside its file, so that it must keep its name.
pub(crate) fn has_wal(path: &Path) -> bool {
    std::fs::metadata(file_beside(path, "-wal")).is_ok_and(|metadata| metadata.len() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_files_come_newest_first_and_others_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names::new(dir.path(), "chats");
        assert_eq!(names.live_files().unwrap(), []);
        std::fs::create_dir(dir.path().join(VIEWS_DIR)).unwrap();
        for path in [names.live(0), names.live(2), names.live(10), names.next(), names.rebuild()] {
            std::fs::write(path, b"").unwrap();
        }
        std::fs::write(dir.path().join("views/chats.db-wal"), b"").unwrap();
        std::fs::write(dir.path().join("views/chats.db.g2-wal"), b"").unwrap();
        std::fs::write(dir.path().join("views/chat_events.db"), b"").unwrap();
        let found: Vec<u32> =
            names.live_files().unwrap().into_iter().map(|(generation, _)| generation).collect();
        assert_eq!(found, [10, 2, 0]);
    }

    #[test]
    fn a_database_goes_with_its_wal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        for suffix in ["", "-wal", "-shm"] {
            std::fs::write(dir.path().join(format!("x.db{suffix}")), b"").unwrap();
        }
        remove_db(&path).unwrap();
        remove_db(&path).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
