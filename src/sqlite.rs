//! The only place that opens a database, and so the only one that sets its pragmas.
//!
//! What the tables mean is left to `log` and `read_model`, moving the WAL into the file to
//! `checkpoint`, telling a file that is damaged to `damage` and `definitions`.

#![expect(clippy::disallowed_methods, reason = "this is where databases are opened")]

mod checkpoint;
mod damage;
mod definitions;
mod wal_header;

use std::path::{Path, PathBuf};
use std::time::Duration;

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};
use scrollback_schema::migrations::MIGRATIONS;

pub(crate) use checkpoint::{CheckpointMode, checkpoint, checkpoint_within};
pub(crate) use damage::is_damage;
pub(crate) use definitions::{is_defined_by, strange_definitions};

/// The oldest SQLite without the WAL-reset race that can lose committed pages.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// How long a connection waits for another one's lock: checkpoints hold it for milliseconds.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a page of log.db. Batches of some kilobytes waste half of a smaller page, and a larger
/// one costs a lone event more to sync.
const LOG_PAGE_BYTES: i64 = 8192;

/// Bytes of a page of a view file. A delta rewrites a few small rows, each a page in the WAL.
const VIEW_PAGE_BYTES: i64 = 4096;

/// A pool of read-only connections.
pub type Pool = r2d2::Pool<SqliteConnectionManager>;

/// How much a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Every answered append survives a power loss: the WAL is synced before the answer.
    #[default]
    Full,
    /// Every answered append survives a crash of this program; a power loss may take the last
    /// ones, never the middle.
    Process,
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenDbError {
    /// The bundled library is too old.
    #[error("SQLite {found} can lose committed data; build with 3.51.3 or newer")]
    Version {
        /// The version found.
        found: &'static str,
    },
    /// SQLite refused.
    #[error(
        "cannot open database {}; check its permissions and the room on its disk",
        path.display()
    )]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: rusqlite::Error,
    },
    /// The file was made by a newer program.
    #[error(
        "{} has format {found}, this program reads up to {known}; use a newer one, or put back \
         the last backup if there is none",
        path.display()
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// The file's tables are not those of its version.
    #[error(
        "{} is damaged: {what} is not as this program defines it; `scrollback verify` says more, \
         and the last backup can be put back",
        path.display()
    )]
    Strange {
        /// The file.
        path: PathBuf,
        /// The first table, index or trigger that is not.
        what: String,
    },
    /// No pool of connections could be made.
    #[error("cannot open connections to {}", path.display())]
    Pool {
        /// The file.
        path: PathBuf,
        /// The pool's reason.
        #[source]
        source: r2d2::Error,
    },
}

fn refused(path: &Path) -> impl FnOnce(rusqlite::Error) -> OpenDbError + '_ {
    |source| OpenDbError::Sqlite { path: path.to_owned(), source }
}

/// Checks that the bundled SQLite is one that keeps what it committed.
///
/// # Errors
///
/// [`OpenDbError::Version`] if it is older than 3.51.3.
pub fn check_version() -> Result<(), OpenDbError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(OpenDbError::Version { found: rusqlite::version() });
    }
    Ok(())
}

/// Opens log.db for its one writer, makes it if it is missing, and migrates it forward.
///
/// # Errors
///
/// [`OpenDbError`]; the file is then as before, or empty if it was made now.
pub(crate) fn open_log_writer(
    path: &Path,
    durability: Durability,
) -> Result<Connection, OpenDbError> {
    check_version()?;
    let mut db = Connection::open(path).map_err(refused(path))?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Process => "NORMAL",
    };
    set_up_writer(&db, LOG_PAGE_BYTES, synchronous).map_err(refused(path))?;
    migrate(&mut db, path)?;
    Ok(db)
}

fn set_up_writer(
    db: &Connection,
    page_bytes: i64,
    synchronous: &str,
) -> Result<(), rusqlite::Error> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "page_size", page_bytes)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", synchronous)?;
    // The checkpoint thread does it, so that no append waits for one.
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    // What an update or a delete frees is overwritten: erased text is gone from the file.
    db.pragma_update(None, "secure_delete", "ON")?;
    db.pragma_update(None, "trusted_schema", "OFF")?;
    db.pragma_update(None, "cache_size", -16_384)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn migrate(db: &mut Connection, path: &Path) -> Result<(), OpenDbError> {
    let found: u32 =
        db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(refused(path))?;
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    if found > known {
        return Err(OpenDbError::TooNew { path: path.to_owned(), found, known });
    }
    // Also where the version is 0: a file that has tables already is not a new one.
    let strange = strange_definitions(db, found).map_err(refused(path))?;
    if let Some(what) = strange.into_iter().next() {
        return Err(OpenDbError::Strange { path: path.to_owned(), what });
    }
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > found) {
        let tx = db.transaction().map_err(refused(path))?;
        tx.execute_batch(migration.sql).map_err(refused(path))?;
        tx.pragma_update(None, "user_version", migration.version).map_err(refused(path))?;
        tx.commit().map_err(refused(path))?;
    }
    Ok(())
}

/// Whether the file has the table: one that an older program made and runs on lacks the newest.
///
/// # Errors
///
/// SQLite's own.
pub(crate) fn has_table(db: &Connection, name: &str) -> Result<bool, rusqlite::Error> {
    db.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?
        .exists([name])
}

fn set_up_reader(db: &mut Connection) -> Result<(), rusqlite::Error> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "query_only", "ON")?;
    db.pragma_update(None, "cache_size", -2_048)?;
    db.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// Opens read-only connections to a database that this process also writes.
///
/// # Errors
///
/// [`OpenDbError::Pool`] if the first connection cannot be made.
pub(crate) fn reader_pool(path: &Path, n_connections: u32) -> Result<Pool, OpenDbError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let manager = SqliteConnectionManager::file(path).with_flags(flags).with_init(set_up_reader);
    r2d2::Pool::builder()
        .max_size(n_connections)
        .min_idle(Some(1))
        .test_on_check_out(false)
        .connection_timeout(Duration::from_secs(30))
        // A connection to a local file does not age, and one that is given up may not be had again
        // when there are no descriptors left. Nor does a timer keep the pool's threads after it.
        .max_lifetime(None)
        .idle_timeout(None)
        .build(manager)
        .map_err(|source| OpenDbError::Pool { path: path.to_owned(), source })
}

/// Opens a view file for its one writer, and makes it if it is missing.
///
/// A power loss may take the last commits, never a part of one: what is lost is folded again.
///
/// # Errors
///
/// [`OpenDbError`] if SQLite refuses, or says that this is no database.
#[expect(clippy::disallowed_methods, reason = "this file opens every database")]
pub(crate) fn open_view_writer(path: &Path) -> Result<Connection, OpenDbError> {
    check_version()?;
    let db = Connection::open(path).map_err(refused(path))?;
    set_up_writer(&db, VIEW_PAGE_BYTES, "NORMAL").map_err(refused(path))?;
    Ok(db)
}

/// Opens a view file to look at it, beside whoever writes it.
///
/// Temporary tables can be made over it, the file itself is not written.
///
/// # Errors
///
/// [`OpenDbError`] if SQLite refuses.
pub(crate) fn open_view_reader(path: &Path) -> Result<Connection, OpenDbError> {
    check_version()?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(refused(path))?;
    db.busy_timeout(BUSY_TIMEOUT).map_err(refused(path))?;
    Ok(db)
}

/// Opens a connection that only moves committed pages from the WAL into the database.
///
/// # Errors
///
/// [`OpenDbError::Sqlite`] if SQLite refuses.
pub(crate) fn open_checkpointer(path: &Path) -> Result<Connection, OpenDbError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(refused(path))?;
    db.busy_timeout(Duration::ZERO).map_err(refused(path))?;
    db.pragma_update(None, "wal_autocheckpoint", 0).map_err(refused(path))?;
    Ok(db)
}

/// Lets a connection go without moving the WAL into the database, for a WAL that has to be read
/// again from its beginning by whoever opens it next.
pub(crate) fn leave_wal(db: &Connection) {
    let option = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    if let Err(error) = db.set_db_config(option, true) {
        tracing::warn!(error = &error as &dyn std::error::Error, "a WAL may not be left as it is");
    }
}

/// How a log is read by somebody who is not its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfflineMode {
    /// Nobody writes and no WAL holds anything: the file alone is the log.
    AtRest,
    /// A server writes, or one died: the WAL holds commits.
    Beside,
}

/// Opens log.db without writing a byte, to it or beside it.
///
/// The WAL index is opened read-only: where no server keeps it, SQLite builds one in memory.
///
/// # Errors
///
/// [`OpenDbError`] if SQLite refuses, or a newer program made the file.
pub(crate) fn open_log_offline(path: &Path, mode: OfflineMode) -> Result<Connection, OpenDbError> {
    let db = open_offline(path, mode)?;
    let found: u32 =
        db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(refused(path))?;
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    if found > known {
        return Err(OpenDbError::TooNew { path: path.to_owned(), found, known });
    }
    Ok(db)
}

/// Opens any database without writing a byte, to it or beside it.
///
/// # Errors
///
/// [`OpenDbError`] if SQLite refuses.
#[expect(clippy::disallowed_methods, reason = "this file opens every database")]
pub(crate) fn open_offline(path: &Path, mode: OfflineMode) -> Result<Connection, OpenDbError> {
    check_version()?;
    let how = match mode {
        OfflineMode::AtRest => "mode=ro&immutable=1",
        OfflineMode::Beside => "mode=ro&readonly_shm=1",
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if mode == OfflineMode::Beside && wal_header::is_headless(&wal_of(&absolute)) {
        return open_copy(&absolute).map_err(refused(path));
    }
    let db = Connection::open_with_flags(uri(&absolute, how), flags).map_err(refused(path))?;
    match set_up_offline(&db) {
        Err(error)
            if error.sqlite_error_code()
                == Some(rusqlite::ErrorCode::FileLockingProtocolFailed) =>
        {
            open_copy(&absolute).map_err(refused(path))
        }
        done => done.map(|()| db).map_err(refused(path)),
    }
}

fn wal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// Opens a copy in a temporary directory, for a WAL index that a killed server left half written:
/// it can be read only after it was mended, and nothing is written beside the log.
///
/// The copy has no name any more when this returns; it goes with the connection.
#[expect(clippy::disallowed_methods, reason = "this file opens every database")]
fn open_copy(path: &Path) -> Result<Connection, rusqlite::Error> {
    let failed = |error: std::io::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    let dir = tempfile::tempdir().map_err(failed)?;
    let copy = dir.path().join("log.db");
    std::fs::copy(path, &copy).map_err(failed)?;
    std::fs::copy(wal_of(path), wal_of(&copy)).map_err(failed)?;
    let db = Connection::open(&copy)?;
    set_up_offline(&db)?;
    Ok(db)
}

/// Opens a copy of a file that is shorter than its header says, filled up to `n_bytes`: SQLite
/// opens nothing shorter. The copy goes with the connection, as that of [`open_copy`] does.
///
/// # Errors
///
/// [`OpenDbError::Sqlite`] if it cannot be made or SQLite refuses.
#[expect(clippy::disallowed_methods, reason = "this file opens every database")]
pub(crate) fn open_filled_copy(path: &Path, n_bytes: u64) -> Result<Connection, OpenDbError> {
    let fill = || -> std::io::Result<(tempfile::TempDir, PathBuf)> {
        let dir = tempfile::tempdir()?;
        let copy = dir.path().join("log.db");
        std::fs::copy(path, &copy)?;
        std::fs::File::options().write(true).open(&copy)?.set_len(n_bytes)?;
        Ok((dir, copy))
    };
    let failed = |error: std::io::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    let (_dir, copy) = fill().map_err(failed).map_err(refused(path))?;
    let db = Connection::open(&copy).map_err(refused(path))?;
    set_up_offline(&db).map_err(refused(path))?;
    Ok(db)
}

fn set_up_offline(db: &Connection) -> Result<(), rusqlite::Error> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    db.pragma_update(None, "query_only", "ON")?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "cache_size", -4_096)?;
    db.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// A path as SQLite takes it in a URI: everything but plain characters as `%` and two digits.
fn uri(path: &Path, how: &str) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_') {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri.push('?');
    uri.push_str(how);
    uri
}

/// Opens a database that goes with its connection, for rows that are more than memory should hold:
/// a few megabytes stay in memory, the rest is in a temporary file without a name.
///
/// # Errors
///
/// SQLite's own.
pub(crate) fn open_scratch() -> Result<Connection, rusqlite::Error> {
    let db = Connection::open("")?;
    db.pragma_update(None, "cache_size", -4_096)?;
    // There is nobody to survive for, and nothing to survive with.
    db.pragma_update(None, "synchronous", "OFF")?;
    db.pragma_update_and_check(None, "journal_mode", "OFF", |_| Ok(()))?;
    db.set_prepared_statement_cache_capacity(16);
    Ok(db)
}

/// Opens an empty database in memory.
///
/// # Errors
///
/// SQLite's own.
pub(crate) fn open_transient() -> Result<Connection, rusqlite::Error> {
    Connection::open_in_memory()
}

/// Copies a database as one read transaction sees it, whoever goes on writing to it.
///
/// `progress` is told how many pages are done, and of how many.
///
/// # Errors
///
/// SQLite's own; what was written so far is then of no use.
#[expect(clippy::disallowed_methods, reason = "this file opens every database")]
pub(crate) fn copy_database(
    from: &Connection,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), rusqlite::Error> {
    /// Pages copied between two reports.
    const PAGES_A_STEP: i32 = 1_024;
    let mut copy = Connection::open(to)?;
    // One transaction around all steps: the copy is of one moment, and never starts over.
    let tx = from.unchecked_transaction()?;
    tx.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?;
    let backup = rusqlite::backup::Backup::new(&tx, &mut copy)?;
    while backup.step(PAGES_A_STEP)? != rusqlite::backup::StepResult::Done {
        let done = backup.progress();
        let n_pages = u64::from(done.pagecount.unsigned_abs());
        progress(n_pages - u64::from(done.remaining.unsigned_abs()), n_pages);
    }
    drop(backup);
    tx.finish()
}

/// What SQLite says when the disk takes nothing more.
#[cfg(feature = "failpoints")]
pub(crate) fn full_disk() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_sqlite_keeps_what_it_committed() {
        check_version().unwrap();
        let db = open_view_writer(&tempfile::tempdir().unwrap().path().join("x.db")).unwrap();
        let found: String = db.query_row("SELECT sqlite_version()", [], |row| row.get(0)).unwrap();
        let parts: Vec<u32> = found.split('.').map(|part| part.parse().unwrap()).collect();
        assert!(parts >= vec![3, 51, 3], "SQLite {found} has the WAL-reset race");
    }

    #[test]
    fn each_connection_has_a_page_cache_of_its_own() {
        let is_one_for_all = Connection::open_in_memory()
            .unwrap()
            .query_row("SELECT sqlite_compileoption_used('ENABLE_MEMORY_MANAGEMENT')", [], |row| {
                row.get::<_, bool>(0)
            })
            .unwrap();
        assert!(!is_one_for_all, "SQLite is not built with the flags of .cargo/config.toml");
    }
}
