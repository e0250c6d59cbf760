//! Erasing the payloads of a deleted chat: the only change that a row of the log ever sees.
//!
//! Seqs, counts and checksums stay; payloads become zeroes. Done in steps that each commit, so that
//! appends go on in between, and taken up again at the next start if the process dies.

use rusqlite::{Connection, params};
use scrollback_schema::batch::{self, BatchError};
use scrollback_schema::{ChatRef, Seq};

use super::reader::{Flow, rows_after};
use crate::sqlite::{CheckpointMode, checkpoint};

/// Rows erased in one transaction: some megabytes at most.
pub(crate) const ROWS_A_STEP: usize = 64;

/// Why a chat's payloads were not erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The chat has no tombstone.
    #[error("chat {chat} is not deleted; delete it first")]
    NotDeleted {
        /// The chat.
        chat: scrollback_schema::ChatId,
    },
    /// A row cannot be walked.
    #[error("row at seq {seq} is damaged; run `scrollback verify`")]
    Damaged {
        /// Its first seq.
        seq: Seq,
        /// What is wrong with it.
        #[source]
        source: BatchError,
    },
    /// Readers kept the WAL from being cut.
    #[error("old pages are still in use by a reader; the erasure goes on at the next start")]
    Busy,
    /// The log takes no more writes.
    #[error("the log stopped writing after a failed sync; the erasure goes on after a restart")]
    Stopped,
    /// The log is closing.
    #[error("the log is closing; the erasure goes on at the next start")]
    Closing,
    /// The chat's rows could not be found.
    #[error("the rows of the chat could not be read")]
    Read(#[from] super::ReadError),
    /// SQLite failed.
    #[error("the log could not be written")]
    Storage(#[from] rusqlite::Error),
}

/// Zeroes the chat's payloads in the rows that start at `rows`; an empty list is the last step,
/// which marks the chat as erased and cuts the WAL.
pub(crate) fn erase_rows(
    db: &mut Connection,
    chat: &ChatRef,
    rows: &[Seq],
) -> Result<u64, EraseError> {
    let number = chat.created.as_i64();
    let tombstone: Option<i64> =
        db.query_row("SELECT deleted_seq FROM chat WHERE created_seq = ?1", [number], |row| {
            row.get(0)
        })?;
    let Some(tombstone) = tombstone.and_then(Seq::from_i64) else {
        return Err(EraseError::NotDeleted { chat: chat.id.clone() });
    };
    let tx = db.transaction()?;
    let mut n_erased = 0;
    tx.execute("INSERT OR IGNORE INTO erasing (chat) VALUES (?1)", [number])?;
    for &first_seq in rows {
        let mut found = None;
        rows_after::<EraseError>(&tx, first_seq.prev(), |row| {
            found = Some(row);
            Ok(Flow::Stop)
        })?;
        let Some(row) = found else { continue };
        let mut records = row.records.to_vec();
        n_erased += batch::erase(&mut records, row.head.first_seq, chat.created, &[tombstone])
            .map_err(|source| EraseError::Damaged { seq: row.head.first_seq, source })?;
        tx.prepare_cached("UPDATE log SET records = ?2 WHERE first_seq = ?1")?
            .execute(params![row.head.first_seq.as_i64(), records])?;
    }
    if rows.is_empty() {
        tx.execute("UPDATE chat SET erased = 1 WHERE created_seq = ?1", [number])?;
    }
    tx.execute("DELETE FROM erasing WHERE chat = ?1", [number])?;
    tx.commit()?;
    if rows.is_empty() && checkpoint(db, CheckpointMode::Truncate)?.busy {
        return Err(EraseError::Busy);
    }
    Ok(n_erased)
}

/// Chats that were deleted and are not erased yet.
pub(crate) fn unfinished(db: &Connection) -> Result<Vec<(Seq, String)>, rusqlite::Error> {
    db.prepare(
        "SELECT created_seq, chat_id FROM chat WHERE deleted_seq IS NOT NULL AND erased = 0",
    )?
    .query_map([], |row| Ok((Seq::from_i64(row.get(0)?).unwrap_or_default(), row.get(1)?)))?
    .collect()
}
