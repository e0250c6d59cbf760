//! What the writer does when its disk or its own code fails: who is told what, and how it goes on.
//!
//! Three rules. What a failed write left behind is written over by the next one, so the writer goes
//! on by itself. A failed sync is never tried again: the system forgets what it could not write,
//! and the next sync would claim that all is well; so nothing is written until a restart, which
//! writes the WAL again before it reads it. After a panic the file is asked what was stored.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::ffi;
use scrollback_schema::Seq;
use tracing::{debug, warn};

use super::append::AppendError;
use super::chats::Tables;
use super::open::{log_db, read_end};
use super::writer::Writer;
use crate::clock::monotonic;
use crate::fault::{Cause, Faults, Subject};
use crate::sqlite::{
    CheckpointMode, Durability, OpenDbError, checkpoint, leave_wal, open_log_writer,
};

/// Bytes that a disk has to take before it is said that it takes appends again: with less room,
/// most of them would be refused at once.
const CHECK_BYTES: i64 = 64 << 10;

/// Panics after which the writer ends for good, and the time within which they are counted: an
/// append that panics each time it is sent again must not make the log open itself for ever.
const PANICS_MAX: usize = 5;
const PANICS_WITHIN: Duration = Duration::from_secs(60);

/// What the writer keeps for bad times.
#[derive(Debug)]
pub(crate) struct Setbacks {
    /// The data directory.
    dir: PathBuf,
    durability: Durability,
    faults: Faults,
    /// Why the last commit failed.
    last: Option<Arc<rusqlite::Error>>,
    /// Whether the log's fault is raised.
    is_raised: bool,
    /// Whether the witness could not be written.
    is_witness_late: bool,
    /// When it panicked, of late.
    panics: VecDeque<Instant>,
}

/// A commit that failed.
pub(crate) struct CommitFailure {
    left: Left,
    error: rusqlite::Error,
}

/// What a failed commit leaves in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// No commit mark: nothing of it is stored.
    Nothing,
    /// A commit mark that SQLite does not know of, and that the next commit writes over.
    Mark,
    /// Something that only a restart can tell.
    Doubt,
}

/// Why no commit may be begun.
pub(crate) enum MayNot {
    /// Only a restart goes on.
    Stopped,
    /// The turns of the process before this one cannot be closed.
    Orphans(Arc<rusqlite::Error>),
}

impl MayNot {
    pub(super) fn to_error(&self) -> AppendError {
        match self {
            MayNot::Stopped => AppendError::Poisoned,
            MayNot::Orphans(source) => AppendError::Storage { source: Arc::clone(source) },
        }
    }
}

impl Setbacks {
    pub(super) fn new(dir: PathBuf, durability: Durability, faults: Faults) -> Setbacks {
        let (is_raised, is_witness_late) = (false, false);
        let (last, panics) = (None, VecDeque::new());
        Setbacks { dir, durability, faults, last, is_raised, is_witness_late, panics }
    }
}

impl CommitFailure {
    /// It failed before the commit was asked for.
    pub(super) fn before(error: rusqlite::Error) -> CommitFailure {
        let left = match Cause::of(&error) {
            Cause::SyncFailed => Left::Doubt,
            _ => Left::Nothing,
        };
        CommitFailure { left, error }
    }

    /// The commit itself failed: by where SQLite was when it did.
    ///
    /// The commit mark is the last frame that is written; then comes the sync, then the index.
    pub(super) fn at_commit(error: rusqlite::Error) -> CommitFailure {
        let code = error.sqlite_error().map_or(0, |error| error.extended_code);
        let left = match code {
            ffi::SQLITE_FULL | ffi::SQLITE_IOERR_WRITE => Left::Nothing,
            ffi::SQLITE_IOERR_SHMSIZE | ffi::SQLITE_IOERR_SHMMAP => Left::Mark,
            _ if matches!(code & 0xFF, ffi::SQLITE_READONLY | ffi::SQLITE_BUSY) => Left::Nothing,
            _ => Left::Doubt,
        };
        CommitFailure { left, error }
    }
}

impl Writer {
    /// Whether a commit may be begun; closes what has to be closed before.
    pub(super) fn may_commit(&mut self) -> Result<(), MayNot> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(MayNot::Stopped);
        }
        if self.has_orphans {
            if let Err(error) = self.close_orphans() {
                self.has_orphans = true;
                self.meet(&error);
                self.setbacks.last = Some(Arc::new(error));
            }
            if self.has_orphans {
                let last = self.setbacks.last.clone();
                let unknown = || Arc::new(rusqlite::Error::UnwindingPanic);
                return Err(MayNot::Orphans(last.unwrap_or_else(unknown)));
            }
        }
        Ok(())
    }

    /// Rolls back, forgets what memory says of the chats, and tells who waits.
    pub(super) fn fail(&mut self, failure: CommitFailure) {
        self.chats.clear();
        let (left, error) = self.settle(failure);
        let source = Arc::new(error);
        self.setbacks.last = Some(Arc::clone(&source));
        for (_, answer) in &mut self.waiting {
            *answer = match std::mem::replace(answer, Err(AppendError::Closing)) {
                Err(refused) if !matches!(refused, AppendError::Closing) => Err(refused),
                _ if left == Left::Nothing => {
                    Err(AppendError::Storage { source: Arc::clone(&source) })
                }
                _ => Err(AppendError::Unknown { batch_id: self.batch_id }),
            };
        }
        self.answer();
    }

    /// Rolls back, writes over what can be written over, and stops if there is doubt; what is left,
    /// and the error.
    pub(super) fn settle(&mut self, failure: CommitFailure) -> (Left, rusqlite::Error) {
        let _ = self.db.execute_batch("ROLLBACK");
        let CommitFailure { mut left, error } = failure;
        if left == Left::Mark {
            left = self.write_over_mark();
        }
        match left {
            Left::Doubt => self.stop_writing(&error),
            Left::Nothing | Left::Mark => self.meet(&error),
        }
        (left, error)
    }

    /// Notes that log.db could not be written, and stops if nobody can say what is on the disk.
    pub(super) fn meet(&mut self, error: &rusqlite::Error) {
        let cause = match Cause::of(error) {
            Cause::SyncFailed => return self.stop_writing(error),
            // SQLite does not say which error the system gave; the file beside it is told.
            Cause::Io => match self.witness.note(self.head, self.last_checksum) {
                Err(error) => Cause::of(&error),
                Ok(()) => Cause::Io,
            },
            cause => cause,
        };
        self.setbacks.is_raised = true;
        self.setbacks.faults.raise_as(Subject::Log, cause, error);
    }

    /// Notes that the WAL could not be moved into log.db.
    pub(super) fn meet_at_checkpoint(&mut self, error: &rusqlite::Error) {
        match Cause::of(error) {
            Cause::SyncFailed => self.stop_writing(error),
            cause => self.setbacks.faults.raise_as(Subject::Checkpoint, cause, error),
        }
    }

    fn stop_writing(&self, error: &rusqlite::Error) {
        self.poisoned.store(true, Ordering::Release);
        self.setbacks.faults.raise_as(Subject::Log, Cause::SyncFailed, error);
    }

    /// Notes that log.db was written.
    pub(super) fn wrote(&mut self) {
        if self.setbacks.is_raised {
            self.setbacks.is_raised = false;
            self.setbacks.faults.clear(Subject::Log);
        }
    }

    /// Notes in the witness how far the log is.
    pub(super) fn note_head(&mut self) {
        match self.witness.note(self.head, self.last_checksum) {
            Ok(()) => {
                if std::mem::take(&mut self.setbacks.is_witness_late) {
                    self.setbacks.faults.clear(Subject::Witness);
                }
            }
            Err(error) => {
                self.setbacks.is_witness_late = true;
                self.setbacks.faults.raise_for(Subject::Witness, &error);
            }
        }
    }

    /// Looks whether what was refused is taken now: nobody appends to a server that says that it is
    /// not ready.
    pub(super) fn check_disk(&mut self) {
        if self.setbacks.faults.cause_of(Subject::Witness).is_some() {
            // Also after a failed sync: what is written anew is synced anew.
            self.note_head();
        }
        if !self.setbacks.is_raised {
            return;
        }
        match self.write_check() {
            Ok(()) => self.wrote(),
            Err(error) => self.meet(&error),
        }
    }

    /// Writes something that means nothing, and takes it away.
    fn write_check(&self) -> Result<(), rusqlite::Error> {
        self.db.execute(
            "INSERT OR REPLACE INTO meta (name, value) VALUES ('write_check', zeroblob(?1))",
            [CHECK_BYTES],
        )?;
        self.db.execute("DELETE FROM meta WHERE name = 'write_check'", [])?;
        Ok(())
    }

    /// Writes over a commit that has its mark in the WAL and is not in its index, so that a crash
    /// does not bring to light what was refused; what is left of it.
    ///
    /// If the index cannot grow now either, the mark in the WAL is that of something that means
    /// nothing.
    fn write_over_mark(&self) -> Left {
        match self.write_check().map_err(|error| CommitFailure::at_commit(error).left) {
            Ok(()) | Err(Left::Mark) => Left::Nothing,
            Err(Left::Nothing | Left::Doubt) => Left::Doubt,
        }
    }

    /// Leaves the file at rest: everything in log.db, no WAL, the witness synced. One that is in
    /// doubt is left as it is.
    pub(super) fn finish(self) {
        if self.poisoned.load(Ordering::Acquire) {
            leave_wal(&self.db);
            return;
        }
        if let Err(error) = self.witness.sync() {
            warn!(error = &error as &dyn std::error::Error, "head witness was not synced");
        }
        if let Err(error) = checkpoint(&self.db, CheckpointMode::Truncate) {
            leave_wal(&self.db);
            warn!(error = &error as &dyn std::error::Error, "last checkpoint failed");
        }
        debug!(seq = self.head.get(), "log writer ends");
    }

    /// Goes on after a panic from what the file says, and answers who waited by it; whether it can.
    pub(super) fn start_over(&mut self) -> bool {
        let now = monotonic();
        let panics = &mut self.setbacks.panics;
        panics.retain(|&at| now.duration_since(at) < PANICS_WITHIN);
        panics.push_back(now);
        let reopened = match panics.len() {
            n if n > PANICS_MAX => None,
            _ => match self.reopen() {
                Ok(before) => Some(before),
                Err(error) => {
                    self.setbacks.faults.raise_for(Subject::Log, &error);
                    None
                }
            },
        };
        let Some(before) = reopened else {
            self.poisoned.store(true, Ordering::Release);
            self.setbacks.faults.raise(Subject::Log, Cause::Ended);
            for (_, answer) in &mut self.waiting {
                *answer = Err(AppendError::Unknown { batch_id: self.batch_id });
            }
            self.answer();
            leave_wal(&self.db);
            return false;
        };
        self.setbacks.is_raised = true;
        self.setbacks.faults.raise(Subject::Log, Cause::Panicked);
        self.answer_after_panic(before);
        true
    }

    /// Opens log.db anew; where the log ended before, as far as anybody was told.
    fn reopen(&mut self) -> Result<Seq, OpenDbError> {
        let path = log_db(&self.setbacks.dir);
        let refused = |source| OpenDbError::Sqlite { path: path.clone(), source };
        // The connection before it goes, and what it had begun is rolled back.
        self.db = open_log_writer(&path, self.setbacks.durability)?;
        let end = read_end(&self.db).map_err(refused)?;
        self.chats.clear();
        for chat in Tables(&self.db).chats_with_open_turn().map_err(refused)? {
            self.slot(&chat).map_err(refused)?;
        }
        let before = std::mem::replace(&mut self.head, end.head);
        (self.last_at, self.last_checksum) = (end.at, end.checksum);
        Ok(before)
    }

    /// Shows what was committed when the writer panicked, and tells who waits what the file says:
    /// all of a commit is in it, or nothing.
    fn answer_after_panic(&mut self, before: Seq) {
        let is_stored = self.head > before;
        if !is_stored {
            let source = Arc::new(rusqlite::Error::UnwindingPanic);
            for (_, answer) in &mut self.waiting {
                if matches!(answer, Ok(_) | Err(AppendError::Closing)) {
                    *answer = Err(AppendError::Storage { source: Arc::clone(&source) });
                }
            }
            self.answer();
            return;
        }
        warn!(seq = self.head.get(), "what the log writer had committed is shown");
        self.note_head();
        let recent = Arc::clone(&self.recent);
        let wakes = recent.skip_to(self.head);
        if let Some(observer) = &self.observer {
            let n_events = self.head.get() - before.get();
            observer.committed(self.waiting.len(), n_events, Duration::ZERO);
        }
        self.answer();
        wakes.wake();
    }
}
