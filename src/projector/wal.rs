//! When the WAL of a view file is moved into the file, and how long that may take.
//!
//! Readers are never waited for while the WAL is small, and for some milliseconds when it is
//! large: one that holds a read transaction for minutes makes the WAL grow, not the worker stand.
//! What is written to the file is left to `file`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use crate::sqlite::{CheckpointMode, checkpoint_within};

/// Bytes of WAL from which it is moved whenever nobody is in the way: large enough that a page that
/// is rewritten often is moved once. Few in a test, which has to exceed them.
pub(super) const WAL_BYTES_SOFT: u64 = if cfg!(test) { 256 << 10 } else { 8 << 20 };

/// Bytes of WAL from which readers are waited for: without that, short ones that overlap for ever
/// would let it grow for ever.
pub(super) const WAL_BYTES_HARD: u64 = 8 * WAL_BYTES_SOFT;

/// How long readers are waited for: a page of rows is read in a few milliseconds, and the worker
/// has lost a tenth of the time in which it writes `WAL_BYTES_SOFT` if one stays longer.
pub(super) const WAIT: Duration = Duration::from_millis(20);

/// Commits after which it is tried again though the WAL has not grown: about a second under load.
/// It is overwritten from its beginning then, since a reader left, and can be cut.
const COMMITS_BETWEEN: u32 = 64;

/// The WAL of one view file.
#[derive(Debug)]
pub(super) struct Wal {
    path: PathBuf,
    /// Its size when it was last tried to move it and somebody was in the way, else nothing.
    left_bytes: u64,
    /// Commits since then.
    n_commits: u32,
}

impl Wal {
    /// The WAL beside a database file.
    pub(super) fn of(db: &Path) -> Wal {
        let mut path = db.as_os_str().to_owned();
        path.push("-wal");
        Wal { path: path.into(), left_bytes: 0, n_commits: 0 }
    }

    /// Bytes of it on the disk: whenever it was moved as a whole it was cut, so that this is what
    /// it holds, or has held since a reader was in the way.
    fn n_bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |wal| wal.len())
    }

    /// Moves it into the file if a commit has made it large.
    ///
    /// # Errors
    ///
    /// SQLite's own.
    pub(super) fn after_commit(&mut self, db: &Connection) -> Result<(), rusqlite::Error> {
        self.n_commits = self.n_commits.saturating_add(1);
        let n_bytes = self.n_bytes();
        let has_grown = n_bytes >= self.left_bytes + WAL_BYTES_SOFT;
        if has_grown && n_bytes >= WAL_BYTES_HARD {
            self.cut(db, WAIT)?;
        } else if has_grown || (n_bytes >= WAL_BYTES_SOFT && self.n_commits >= COMMITS_BETWEEN) {
            self.cut(db, Duration::ZERO)?;
        }
        Ok(())
    }

    /// Moves it into the file if it is large still, since somebody was in the way.
    ///
    /// # Errors
    ///
    /// SQLite's own.
    pub(super) fn when_idle(&mut self, db: &Connection) -> Result<(), rusqlite::Error> {
        if self.n_bytes() >= WAL_BYTES_SOFT {
            self.cut(db, Duration::ZERO)?;
        }
        Ok(())
    }

    /// Moves it into the file and cuts it to nothing, or moves what it can; whether nobody was in
    /// the way for all of `wait`.
    ///
    /// # Errors
    ///
    /// SQLite's own.
    pub(super) fn cut(&mut self, db: &Connection, wait: Duration) -> Result<bool, rusqlite::Error> {
        let done = checkpoint_within(db, CheckpointMode::Truncate, wait)?;
        tracing::debug!(
            n_pages = done.n_pages,
            n_moved = done.n_moved,
            done.busy,
            "view checkpoint"
        );
        self.n_commits = 0;
        self.left_bytes = if done.busy { self.n_bytes() } else { 0 };
        Ok(!done.busy)
    }
}
