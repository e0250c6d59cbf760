//! What the files say as files: their length, the head witness, what is defined in log.db, SQLite's
//! own check.

use std::path::Path;

use rusqlite::Connection;
use scrollback_schema::Seq;

use super::PageError;
use super::finding::Finding;
use crate::log::offline::{OfflineError, OfflineLog, bytes_promised};
use crate::log::reader::{Flow, Store, rows_after};
use crate::log::witness::{self, Witnessed};
use crate::sqlite::{has_table, strange_definitions};

/// Findings of SQLite's that are passed on; a ruined file has one for each of its pages.
const SQLITE_FINDINGS_MAX: usize = 100;

/// Tables and indexes that are small beside the log; a check of them holds up no server for long.
const SIDE_TABLES: [&str; 7] =
    ["meta", "erasing", "chat", "turn", "register", "idempotency", "segment"];

/// Compares the head witness with the log. `witnessed` was read before `head`, so that it cannot be
/// ahead of it by an event that was committed in between.
pub(crate) fn head_witness(
    store: Store<'_>,
    witnessed: Witnessed,
    head: Seq,
) -> Result<Option<Finding>, PageError> {
    let disagrees = |what: &str| {
        let what = what.to_owned();
        Some(Finding::Witness { witness: witnessed.head, head, what })
    };
    if witnessed.head > head {
        return Ok(disagrees("its tail is gone"));
    }
    if witnessed.head == Seq::ZERO {
        return Ok(None);
    }
    let mut matches = false;
    rows_after::<PageError>(store, witnessed.head.prev(), |row| {
        matches = row.head.last_seq() == witnessed.head && row.checksum == witnessed.checksum;
        Ok(Flow::Stop)
    })?;
    Ok(if matches { None } else { disagrees("the row there is another one") })
}

/// Reads the witness of a directory.
pub(crate) fn read_witness(dir: &Path) -> Result<Option<Witnessed>, OfflineError> {
    let path = dir.join("head");
    witness::read(&path).map_err(|source| OfflineError::Io { path, source })
}

/// Compares the length of a file at rest with the one that its header promises. SQLite takes a last
/// page that is cut for one that ends in zeroes.
pub(crate) fn length(log: &OfflineLog) -> Result<Option<Finding>, OfflineError> {
    if !log.is_at_rest() {
        return Ok(None);
    }
    let path = log.dir().join("log.db");
    match bytes_promised(&path) {
        Ok((expected, found)) if found < expected => {
            Ok(Some(Finding::Truncated { expected, found }))
        }
        Ok(_) => Ok(None),
        Err(source) => Err(OfflineError::Io { path, source }),
    }
}

/// Compares what log.db defines with what its version does.
pub(crate) fn definitions(
    db: &Connection,
    found: &mut dyn FnMut(Finding),
) -> Result<(), rusqlite::Error> {
    let version: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for what in strange_definitions(db, version)? {
        found(Finding::Definition { what });
    }
    Ok(())
}

/// How much of the file SQLite is asked to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Every page.
    All,
    /// The writer's tables: the rows of the log were all read already, and a check of the whole
    /// file would keep a running server's WAL from being moved.
    SideTables,
}

/// Runs SQLite's own check.
pub(crate) fn quick_check(
    db: &Connection,
    extent: Extent,
    found: &mut dyn FnMut(Finding),
) -> Result<(), rusqlite::Error> {
    match extent {
        Extent::All => check(db, None, found),
        Extent::SideTables => {
            SIDE_TABLES.iter().try_for_each(|table| match has_table(db, table)? {
                true => check(db, Some(table), found),
                false => Ok(()),
            })
        }
    }
}

fn check(
    db: &Connection,
    table: Option<&str>,
    found: &mut dyn FnMut(Finding),
) -> Result<(), rusqlite::Error> {
    let sql = match table {
        Some(table) => format!("PRAGMA quick_check('{table}')"),
        None => format!("PRAGMA quick_check({SQLITE_FINDINGS_MAX})"),
    };
    let mut statement = db.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let words: String = row.get(0)?;
        for line in words.lines().filter(|line| *line != "ok" && !line.starts_with("***")) {
            found(Finding::Sqlite { detail: line.to_owned() });
        }
    }
    Ok(())
}
