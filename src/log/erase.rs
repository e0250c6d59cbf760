//! Erasing the payloads of a deleted chat: the only change that a row of the log ever sees.
//!
//! Seqs, counts and checksums stay; payloads become zeroes. Done in steps that each commit, so that
//! appends go on in between, and taken up again at the next start if the process dies.

use rusqlite::{Connection, params};
use scrollback_schema::batch::{self, BatchError};
use scrollback_schema::{ChatRef, Seq};

use super::archive::CutError;
use super::reader::{Flow, live_rows_after};
use super::upkeep::UpkeepError;
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
    /// A segment that holds some of them could not be replaced.
    #[error("a segment of the archive could not be replaced; check the room on its disk")]
    Archive(#[source] Box<dyn std::error::Error + Send + Sync>),
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

impl From<CutError> for EraseError {
    fn from(error: CutError) -> EraseError {
        EraseError::Archive(error.into())
    }
}

impl From<UpkeepError> for EraseError {
    fn from(error: UpkeepError) -> EraseError {
        EraseError::Archive(error.into())
    }
}

/// Zeroes the chat's payloads in the rows that start at `rows`; an empty list is the last step,
/// which marks the chat as erased and cuts the WAL.
pub(crate) fn erase_rows(
    db: &mut Connection,
    chat: &ChatRef,
    rows: &[Seq],
) -> Result<u64, EraseError> {
    let (number, tombstone) = (chat.created.as_i64(), tombstone_of(db, chat)?);
    let tx = db.transaction()?;
    let mut n_erased = 0;
    tx.execute("INSERT OR IGNORE INTO erasing (chat) VALUES (?1)", [number])?;
    for &first_seq in rows {
        let mut found = None;
        live_rows_after::<EraseError>(&tx, first_seq.prev(), |row| {
            found = Some(row).filter(|row| row.head.first_seq <= first_seq);
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
    fail::fail_point!("erase-before-commit");
    tx.commit()?;
    fail::fail_point!("erase-after-commit");
    if rows.is_empty() && checkpoint(db, CheckpointMode::Truncate)?.busy {
        return Err(EraseError::Busy);
    }
    Ok(n_erased)
}

/// The seq of a deleted chat's tombstone.
pub(crate) fn tombstone_of(db: &Connection, chat: &ChatRef) -> Result<Seq, EraseError> {
    let sql = "SELECT deleted_seq FROM chat WHERE created_seq = ?1";
    let seq: Option<i64> = db.query_row(sql, [chat.created.as_i64()], |row| row.get(0))?;
    seq.and_then(Seq::from_i64).ok_or_else(|| EraseError::NotDeleted { chat: chat.id.clone() })
}

/// Bytes of rows that one look for erased payloads walks over.
const LOOK_BYTES: usize = 8 << 20;

/// Bytes of erased payloads in some rows behind `after`, and the last seq of those rows; none if
/// there are no more.
pub(crate) fn erased_bytes_after(
    db: &Connection,
    after: Seq,
) -> Result<(u64, Option<Seq>), super::ReadError> {
    let mut is_erased = db.prepare_cached("SELECT erased FROM chat WHERE created_seq = ?1")?;
    let (mut n_erased, mut n_bytes, mut through) = (0, 0, None);
    live_rows_after::<super::ReadError>(db, after, |row| {
        let seq = row.head.first_seq;
        for section in batch::sections(&row.records) {
            let section = section.map_err(|source| super::ReadError::Damaged { seq, source })?;
            let chat = section.head.chat.as_i64();
            if is_erased.query_row([chat], |row| row.get::<_, bool>(0)).unwrap_or(false) {
                n_erased += section.payloads.len() as u64;
            }
        }
        n_bytes += row.records.len();
        through = Some(row.head.last_seq());
        Ok(if n_bytes >= LOOK_BYTES { Flow::Stop } else { Flow::Go })
    })?;
    Ok((n_erased, through))
}

/// Chats that were deleted and are not erased yet.
pub(crate) fn unfinished(db: &Connection) -> Result<Vec<(Seq, String)>, rusqlite::Error> {
    db.prepare(
        "SELECT created_seq, chat_id FROM chat WHERE deleted_seq IS NOT NULL AND erased = 0",
    )?
    .query_map([], |row| Ok((Seq::from_i64(row.get(0)?).unwrap_or_default(), row.get(1)?)))?
    .collect()
}
