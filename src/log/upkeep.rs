//! What the writer does to rows that were committed, between two commits: erase and archive.
//!
//! Each piece is small, so that appends wait for milliseconds. What is done in which order is told
//! in `erase` and in `retain`; what a failure means for the writer, in `setback`.

use std::sync::atomic::Ordering;

use rusqlite::Connection;
use scrollback_schema::{ChatRef, Seq};
use tokio::sync::oneshot;

use super::archive::{self, SegmentEntry, Segmented};
use super::erase::{self, EraseError};
use super::setback::CommitFailure;
use super::writer::Writer;

/// A piece of upkeep and who waits for it.
pub(crate) enum Upkeep {
    /// Erase the payloads of a deleted chat in the rows that start at these seqs.
    Erase { chat: ChatRef, rows: Vec<Seq>, reply: oneshot::Sender<Result<u64, EraseError>> },
    /// Record a segment whose file is on disk, and take its rows out of log.db.
    Archive { made: Segmented, reply: oneshot::Sender<Result<(), UpkeepError>> },
    /// Record a segment file in the place of one that holds payloads of a deleted chat.
    Replace { chat: ChatRef, made: SegmentEntry, reply: oneshot::Sender<Result<(), UpkeepError>> },
}

/// Why rows stayed as they were.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpkeepError {
    /// The log takes no more work.
    #[error("the log refuses to write since a sync failed; restart the server")]
    Stopped,
    /// SQLite failed.
    #[error("the log could not be written")]
    Storage(#[source] rusqlite::Error),
}

impl Writer {
    /// Does a piece of upkeep, and answers.
    pub(super) fn upkeep(&mut self, work: Upkeep) {
        match work {
            Upkeep::Erase { chat, rows, reply } => {
                let _ = reply.send(self.erase(&chat, &rows));
            }
            Upkeep::Archive { made, reply } => {
                let record = |db: &mut _| archive::record(db, &made.entry, made.n_rows);
                let _ = reply.send(self.commit_upkeep(record));
            }
            Upkeep::Replace { chat, made, reply } => {
                let replace = |db: &mut _| archive::replace(db, &chat, &made);
                let _ = reply.send(self.commit_upkeep(replace));
            }
        }
    }

    fn erase(&mut self, chat: &ChatRef, rows: &[Seq]) -> Result<u64, EraseError> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(EraseError::Stopped);
        }
        let erased = erase::erase_rows(&mut self.db, chat, rows);
        // Before the answer: who has it reads nothing of the chat any more.
        self.recent.forget();
        match &erased {
            Ok(_) | Err(EraseError::Busy) => self.wrote(),
            Err(EraseError::Storage(error)) => self.meet(error),
            Err(_) => {}
        }
        erased
    }

    /// Runs one transaction.
    fn commit_upkeep(
        &mut self,
        run: impl FnOnce(&mut Connection) -> Result<(), CommitFailure>,
    ) -> Result<(), UpkeepError> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(UpkeepError::Stopped);
        }
        match run(&mut self.db) {
            Ok(()) => {
                self.wrote();
                Ok(())
            }
            Err(failure) => Err(UpkeepError::Storage(self.settle(failure).1)),
        }
    }
}
