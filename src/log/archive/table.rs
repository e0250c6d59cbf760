//! The table `segment` of log.db: which files hold the oldest part of the log.
//!
//! What it says is the truth about the directory: a file without a row is nothing, a row without
//! its file is damage.

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use scrollback_schema::{ChatRef, Seq};

use crate::log::setback::CommitFailure;
use crate::sqlite::has_table;

/// A segment as log.db records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Its first seq.
    pub first_seq: Seq,
    /// Its last seq.
    pub last_seq: Seq,
    /// The file's name in the directory `archive`.
    pub file: String,
    /// Bytes of the file.
    pub n_bytes: u64,
    /// The checksum of the file's index.
    pub(crate) checksum: u32,
}

const COLUMNS: &str = "first_seq, last_seq, file, n_bytes, checksum";

fn entry(row: &Row<'_>) -> Result<SegmentEntry, rusqlite::Error> {
    Ok(SegmentEntry {
        first_seq: Seq::from_i64(row.get(0)?).unwrap_or_default(),
        last_seq: Seq::from_i64(row.get(1)?).unwrap_or_default(),
        file: row.get(2)?,
        n_bytes: row.get::<_, i64>(3)?.unsigned_abs(),
        checksum: row.get::<_, i64>(4)? as u32,
    })
}

/// Whether the file can have segments: one that an older program made has no table for them.
fn is_kept(db: &Connection) -> Result<bool, rusqlite::Error> {
    has_table(db, "segment")
}

/// The segment that holds `seq`, or else the first one behind it.
pub(crate) fn from(db: &Connection, seq: Seq) -> Result<Option<SegmentEntry>, rusqlite::Error> {
    if !is_kept(db)? {
        return Ok(None);
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM segment
         WHERE first_seq >= coalesce(
             (SELECT max(first_seq) FROM segment WHERE first_seq <= ?1), 0)
           AND last_seq >= ?1
         ORDER BY first_seq LIMIT 1"
    );
    db.prepare_cached(&sql)?.query_row([seq.as_i64()], entry).optional()
}

/// The last segment that begins at `seq` or before.
pub(crate) fn back_from(
    db: &Connection,
    seq: Seq,
) -> Result<Option<SegmentEntry>, rusqlite::Error> {
    if !is_kept(db)? {
        return Ok(None);
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM segment WHERE first_seq <= ?1 ORDER BY first_seq DESC LIMIT 1"
    );
    db.prepare_cached(&sql)?.query_row([seq.as_i64()], entry).optional()
}

/// Every segment, the oldest first.
pub(crate) fn all(db: &Connection) -> Result<Vec<SegmentEntry>, rusqlite::Error> {
    if !is_kept(db)? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT {COLUMNS} FROM segment ORDER BY first_seq");
    db.prepare_cached(&sql)?.query_map([], entry)?.collect()
}

/// The last seq that is in a segment; 0 if there is none.
pub(crate) fn archived_through(db: &Connection) -> Result<Seq, rusqlite::Error> {
    Ok(back_from(db, Seq::MAX)?.map_or(Seq::ZERO, |last| last.last_seq))
}

/// How much is archived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArchiveTotals {
    /// The last seq that is in a segment; 0 if none is.
    pub through: Seq,
    /// Segment files.
    pub n_segments: u64,
    /// Bytes of them.
    pub n_bytes: u64,
}

/// Counts the segments.
pub(crate) fn totals(db: &Connection) -> Result<ArchiveTotals, rusqlite::Error> {
    if !is_kept(db)? {
        return Ok(ArchiveTotals::default());
    }
    let sql = "SELECT coalesce(max(last_seq), 0), count(*), coalesce(sum(n_bytes), 0) FROM segment";
    db.prepare_cached(sql)?.query_row([], |row| {
        Ok(ArchiveTotals {
            through: Seq::from_i64(row.get(0)?).unwrap_or_default(),
            n_segments: row.get::<_, i64>(1)?.unsigned_abs(),
            n_bytes: row.get::<_, i64>(2)?.unsigned_abs(),
        })
    })
}

/// Records a segment and takes its rows, so many, out of the log, in one transaction.
pub(crate) fn record(
    db: &mut Connection,
    made: &SegmentEntry,
    n_rows: usize,
) -> Result<(), CommitFailure> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate);
    let tx = tx.map_err(CommitFailure::before)?;
    record_in(&tx, made, n_rows).map_err(CommitFailure::before)?;
    fail::fail_point!("archive-before-commit");
    tx.commit().map_err(CommitFailure::at_commit)?;
    fail::fail_point!("archive-after-commit");
    Ok(())
}

fn record_in(tx: &Connection, made: &SegmentEntry, n_rows: usize) -> Result<(), rusqlite::Error> {
    tx.execute(
        "INSERT INTO segment (first_seq, last_seq, file, n_bytes, checksum)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            made.first_seq.as_i64(),
            made.last_seq.as_i64(),
            made.file,
            i64::try_from(made.n_bytes).unwrap_or(i64::MAX),
            made.checksum,
        ],
    )?;
    let n_deleted = tx.execute(
        "DELETE FROM log WHERE first_seq >= ?1 AND first_seq <= ?2",
        params![made.first_seq.as_i64(), made.last_seq.as_i64()],
    )?;
    if n_deleted != n_rows {
        return Err(rusqlite::Error::StatementChangedRows(n_deleted));
    }
    Ok(())
}

/// Puts a segment whose payloads were erased in the place of the one that held them.
pub(crate) fn replace(
    db: &mut Connection,
    chat: &ChatRef,
    made: &SegmentEntry,
) -> Result<(), CommitFailure> {
    let tx = db.transaction().map_err(CommitFailure::before)?;
    replace_in(&tx, chat, made).map_err(CommitFailure::before)?;
    fail::fail_point!("archive-before-replace");
    tx.commit().map_err(CommitFailure::at_commit)?;
    fail::fail_point!("archive-after-replace");
    Ok(())
}

fn replace_in(tx: &Connection, chat: &ChatRef, made: &SegmentEntry) -> Result<(), rusqlite::Error> {
    let number = chat.created.as_i64();
    tx.execute("INSERT OR IGNORE INTO erasing (chat) VALUES (?1)", [number])?;
    tx.execute(
        "UPDATE segment SET file = ?2, n_bytes = ?3, checksum = ?4 WHERE first_seq = ?1",
        params![
            made.first_seq.as_i64(),
            made.file,
            i64::try_from(made.n_bytes).unwrap_or(i64::MAX),
            made.checksum,
        ],
    )?;
    tx.execute("DELETE FROM erasing WHERE chat = ?1", [number])?;
    Ok(())
}
