//! Moving committed pages from the WAL into the database, and how long others are waited for.
//!
//! When that is done is left to `log` for the log, and to `projector` for the views.

use std::time::Duration;

use rusqlite::Connection;

use super::BUSY_TIMEOUT;

/// How often it is looked whether another connection's checkpoint is over: it lasts two syncs.
const CHECKPOINT_POLL: Duration = Duration::from_millis(2);

/// How long another connection's checkpoint is waited for where the WAL has to be cut, at most: on
/// a disk that is busy its syncs last for seconds, and it always ends.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(60);

/// How far a checkpoint came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpointed {
    /// Somebody was in the way.
    pub(crate) busy: bool,
    /// Pages in the WAL.
    pub(crate) n_pages: i64,
    /// Those of them that are in the database.
    pub(crate) n_moved: i64,
}

impl Checkpointed {
    /// Whether nothing was done, since another connection makes a checkpoint just now. SQLite says
    /// so at once: for that lock it does not wait, however long it may.
    const fn is_someone_elses(&self) -> bool {
        self.busy && self.n_pages < 0
    }
}

/// How thorough a checkpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckpointMode {
    /// Moves what it can without waiting for anybody.
    Passive,
    /// Waits for readers, so that the next write starts the WAL anew.
    Restart,
    /// As `Restart`, and cuts the WAL to nothing: no old page is left in it.
    Truncate,
}

/// Moves committed pages from the WAL into the database.
///
/// # Errors
///
/// SQLite's own.
pub(crate) fn checkpoint(
    db: &Connection,
    mode: CheckpointMode,
) -> Result<Checkpointed, rusqlite::Error> {
    let wait = match mode {
        CheckpointMode::Passive => Duration::ZERO,
        CheckpointMode::Restart => BUSY_TIMEOUT,
        CheckpointMode::Truncate => CHECKPOINT_WAIT,
    };
    let mut waited = Duration::ZERO;
    loop {
        let done = checkpoint_once(db, mode)?;
        if !done.is_someone_elses() || waited >= wait {
            return Ok(done);
        }
        std::thread::sleep(CHECKPOINT_POLL);
        waited += CHECKPOINT_POLL;
    }
}

fn checkpoint_once(db: &Connection, mode: CheckpointMode) -> Result<Checkpointed, rusqlite::Error> {
    let sql = match mode {
        CheckpointMode::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        CheckpointMode::Restart => "PRAGMA wal_checkpoint(RESTART)",
        CheckpointMode::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    db.query_row(sql, [], |row| {
        Ok(Checkpointed {
            busy: row.get::<_, i64>(0)? != 0,
            n_pages: row.get(1)?,
            n_moved: row.get(2)?,
        })
    })
}

/// Moves committed pages from the WAL into the database, and waits at most so long for others.
///
/// Without a wait every mode moves what it can, as [`CheckpointMode::Passive`] does.
///
/// # Errors
///
/// SQLite's own.
pub(crate) fn checkpoint_within(
    db: &Connection,
    mode: CheckpointMode,
    wait: Duration,
) -> Result<Checkpointed, rusqlite::Error> {
    db.busy_timeout(wait)?;
    let done = checkpoint_once(db, mode);
    db.busy_timeout(BUSY_TIMEOUT)?;
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{open_checkpointer, open_view_reader, open_view_writer};

    #[test]
    fn a_checkpoint_waits_for_another_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let db = open_view_writer(&path).unwrap();
        db.execute_batch("CREATE TABLE t (x)").unwrap();
        // A reader is in the way of another connection's checkpoint, which waits for it, and holds
        // the lock that checkpoints exclude each other by.
        let reader = open_view_reader(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        let other = open_checkpointer(&path).unwrap();
        other.busy_timeout(Duration::from_secs(60)).unwrap();
        let other =
            std::thread::spawn(move || checkpoint(&other, CheckpointMode::Restart).unwrap().busy);
        while !checkpoint_within(&db, CheckpointMode::Truncate, Duration::ZERO)
            .unwrap()
            .is_someone_elses()
        {
            std::thread::yield_now();
        }
        let (begins, has_begun) = std::sync::mpsc::channel();
        let leaves = std::thread::spawn(move || {
            has_begun.recv().unwrap();
            reader.execute_batch("COMMIT").unwrap();
        });
        begins.send(()).unwrap();
        assert!(!checkpoint(&db, CheckpointMode::Truncate).unwrap().busy);
        leaves.join().unwrap();
        assert!(!other.join().unwrap());
    }
}
