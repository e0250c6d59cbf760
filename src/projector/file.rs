//! A view file: the rows of one projection, and the position of the log that they reflect.
//!
//! It has one writer, which commits rows and checkpoint together. What the rows mean is left to
//! `store`, when to write to `worker` and `rebuild`.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use scrollback_projections::Description;
use scrollback_schema::{ChatId, ChatRef, Seq};

use super::names::remove_db;
use super::store::{StoreError, Written};
use super::wal::{self, Wal};
use super::{Parked, StateError};
use crate::sqlite::{self, OpenDbError, is_damage, is_defined_by};

/// Bytes of a file up to which it is checked page by page when it is opened: a fraction of a
/// second.
const QUICK_CHECK_BYTES_MAX: u64 = 256 << 20;

/// The tables that every view file has beside those of its projection.
const STATE_SQL: &str = include_str!("state.sql");

/// A view file and its only writer.
#[derive(Debug)]
pub(crate) struct ViewFile {
    db: Connection,
    path: PathBuf,
    checkpoint: Seq,
    wal: Wal,
}

/// Which rows a file should hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// The projection.
    pub(crate) description: Description,
    /// The log.
    pub(crate) log_id: &'a str,
    /// Its head.
    pub(crate) head: Seq,
}

/// Why a file is of no use, and is made anew.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// There is none.
    #[error("it is missing")]
    Missing,
    /// SQLite cannot read it.
    #[error("it is damaged")]
    Damaged(#[source] Option<rusqlite::Error>),
    /// Another version of the projection made it.
    #[error("it has version {found}")]
    Outdated {
        /// That version.
        found: u32,
    },
    /// It is of another projection or another log.
    #[error("it belongs to another log")]
    Foreign,
    /// It reflects events that the log does not have.
    #[error("it reflects events up to {checkpoint}, which the log does not have")]
    Ahead {
        /// The last of them.
        checkpoint: Seq,
    },
}

/// Why a file was not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenFileError {
    /// It has to be made anew.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The machine does not let us; another try may succeed.
    #[error(transparent)]
    Open(#[from] OpenDbError),
}

/// What a commit is for; tells the points at which a test holds it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The live file.
    Live,
    /// A file that is being rebuilt.
    Rebuild,
}

/// What a file says about itself, as of one read transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// The projection.
    pub(crate) projection: String,
    /// Its version.
    pub(crate) version: u32,
    /// The log.
    pub(crate) log_id: String,
    /// The last event that its rows reflect.
    pub(crate) checkpoint: Seq,
}

impl ViewFile {
    /// Makes an empty file in place of whatever is there.
    ///
    /// # Errors
    ///
    /// [`OpenDbError`] if the directory does not take it.
    pub(crate) fn create(path: &Path, expected: &Expected<'_>) -> Result<ViewFile, OpenDbError> {
        let refused = |source| OpenDbError::Sqlite { path: path.to_owned(), source };
        remove_db(path)
            .map_err(|error| refused(rusqlite::Error::ToSqlConversionFailure(Box::new(error))))?;
        let mut db = sqlite::open_view_writer(path)?;
        let make = |db: &mut Connection| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.execute_batch(STATE_SQL)?;
            tx.execute_batch(expected.description.sql)?;
            tx.execute(
                "INSERT INTO state (one, projection, version, log_id, checkpoint)
                 VALUES (1, ?1, ?2, ?3, 0)",
                params![expected.description.name, expected.description.version, expected.log_id],
            )?;
            tx.commit()
        };
        make(&mut db).map_err(refused)?;
        Ok(ViewFile { db, path: path.to_owned(), checkpoint: Seq::ZERO, wal: Wal::of(path) })
    }

    /// Opens a file that is there.
    ///
    /// # Errors
    ///
    /// [`OpenFileError::Unfit`] if it is not what was expected, [`OpenFileError::Open`] if it may
    /// be and cannot be opened.
    pub(crate) fn open(path: &Path, expected: &Expected<'_>) -> Result<ViewFile, OpenFileError> {
        let Ok(metadata) = std::fs::metadata(path) else {
            return Err(Unfit::Missing.into());
        };
        let db = sqlite::open_view_writer(path).map_err(|error| match error {
            OpenDbError::Sqlite { source, .. } if is_damage(&source) => {
                OpenFileError::Unfit(Unfit::Damaged(Some(source)))
            }
            error => OpenFileError::Open(error),
        })?;
        let state = read_state(&db).map_err(|_| Unfit::Damaged(None))?;
        let description = expected.description;
        if state.version != description.version {
            return Err(Unfit::Outdated { found: state.version }.into());
        }
        if state.projection != description.name || state.log_id != expected.log_id {
            return Err(Unfit::Foreign.into());
        }
        if state.checkpoint > expected.head {
            return Err(Unfit::Ahead { checkpoint: state.checkpoint }.into());
        }
        read_parked(&db).map_err(|_| Unfit::Damaged(None))?;
        // SQLite believes whatever stands there: a letter of a column's name, and nothing is found.
        if !is_defined_by(&db, &[STATE_SQL, description.sql]).unwrap_or_default() {
            return Err(Unfit::Damaged(None).into());
        }
        if metadata.len() <= QUICK_CHECK_BYTES_MAX {
            quick_check(&db)?;
        }
        let wal = Wal::of(path);
        Ok(ViewFile { db, path: path.to_owned(), checkpoint: state.checkpoint, wal })
    }

    /// The connection, for reading rows that are to be folded on.
    pub(crate) const fn db(&self) -> &Connection {
        &self.db
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The last event that the file's rows reflect.
    pub(crate) const fn checkpoint(&self) -> Seq {
        self.checkpoint
    }

    /// The chats that are parked.
    ///
    /// # Errors
    ///
    /// [`StateError`] if the file does not say.
    pub(crate) fn parked(&self) -> Result<Vec<Parked>, StateError> {
        read_parked(&self.db)
    }

    /// Writes rows and checkpoint in one transaction; the checkpoint never goes back.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the file is then as before.
    pub(crate) fn commit(
        &mut self,
        checkpoint: Seq,
        purpose: Purpose,
        save: impl FnOnce(&Connection) -> Result<Written, StoreError>,
    ) -> Result<Written, StoreError> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let written = save(&tx)?;
        tx.prepare_cached("UPDATE state SET checkpoint = ?1 WHERE checkpoint <= ?1")?
            .execute([checkpoint.as_i64()])?;
        match purpose {
            Purpose::Live => fail::fail_point!("projector-before-commit"),
            Purpose::Rebuild => fail::fail_point!("rebuild-before-commit"),
        }
        tx.commit()?;
        match purpose {
            Purpose::Live => fail::fail_point!("projector-after-commit"),
            Purpose::Rebuild => fail::fail_point!("rebuild-after-commit"),
        }
        self.checkpoint = checkpoint.max(self.checkpoint);
        self.wal.after_commit(&self.db)?;
        Ok(written)
    }

    /// Makes up for what a reader did not let happen after a commit.
    ///
    /// # Errors
    ///
    /// SQLite's own.
    pub(crate) fn when_idle(&mut self) -> Result<(), rusqlite::Error> {
        self.wal.when_idle(&self.db)
    }

    /// Moves the whole WAL into the file and cuts it: neither holds what was overwritten.
    ///
    /// Whether nobody was in the way; it is not waited for those who stay.
    ///
    /// # Errors
    ///
    /// SQLite's own.
    pub(crate) fn purge_wal(&mut self) -> Result<bool, rusqlite::Error> {
        self.wal.cut(&self.db, wal::WAIT)
    }

    /// Closes the file such that it is one file, which can be renamed.
    ///
    /// # Errors
    ///
    /// SQLite's own; the file may then still have a WAL.
    pub(crate) fn close(mut self) -> Result<(), rusqlite::Error> {
        self.wal.cut(&self.db, sqlite::BUSY_TIMEOUT)?;
        self.db.close().map_err(|(_, error)| error)
    }
}

/// Reads what a file says about itself.
///
/// # Errors
///
/// [`StateError`] if it says nothing that makes sense.
pub(crate) fn read_state(db: &Connection) -> Result<State, StateError> {
    let state = db
        .prepare_cached("SELECT projection, version, log_id, checkpoint FROM state")?
        .query_row([], |row| {
            let checkpoint = Seq::from_i64(row.get(3)?);
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, checkpoint))
        })
        .optional()?;
    match state {
        Some((projection, version, log_id, Some(checkpoint))) => {
            Ok(State { projection, version, log_id, checkpoint })
        }
        _ => Err(StateError::Malformed),
    }
}

/// Reads the chats that are parked.
///
/// # Errors
///
/// [`StateError`] if a row makes no sense.
pub(crate) fn read_parked(db: &Connection) -> Result<Vec<Parked>, StateError> {
    let mut statement =
        db.prepare_cached("SELECT chat, chat_id, seq, cause FROM parked ORDER BY chat")?;
    let rows = statement.query_map([], |row| {
        let id: String = row.get(1)?;
        let (created, seq) = (Seq::from_i64(row.get(0)?), Seq::from_i64(row.get(2)?));
        Ok((created, ChatId::try_from(id).ok(), seq, row.get(3)?))
    })?;
    rows.map(|row| match row? {
        (Some(created), Some(id), Some(seq), cause) => {
            Ok(Parked { chat: ChatRef { id, created }, seq, cause })
        }
        _ => Err(StateError::Malformed),
    })
    .collect()
}

fn quick_check(db: &Connection) -> Result<(), Unfit> {
    let answer: Result<String, _> = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match answer {
        Ok(answer) if answer == "ok" => Ok(()),
        Ok(_) => Err(Unfit::Damaged(None)),
        Err(error) => Err(Unfit::Damaged(Some(error))),
    }
}
