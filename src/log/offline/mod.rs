//! The log as somebody reads it who is not its server: beside a running one, or when none runs.
//!
//! Nothing is ever written: not a byte of the files, and no file beside them. Reads are short
//! transactions, page by page, so that a running server's checkpoints are never held up. What is
//! read has the same form as the server's own reads. Looking ids up is in `find`, reading pages in
//! `pages`, an event as it is stored in `stored`.

mod find;
mod pages;
mod stored;

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension};
use scrollback_schema::{Millis, Seq};

pub use find::{FoundMessage, FoundTurn};
pub use pages::PageBack;
pub use stored::{Batch, StoredForm};

use super::ReadError;
use super::archive::{
    Archive, ArchiveBounds, ArchivePlan, SegmentEntry, SegmentError, all, archive_dir, plan,
};
use super::reader::{Names, Store, head_of, seq_before};
use crate::sqlite::{
    OfflineMode, OpenDbError, copy_database, is_damage, open_filled_copy, open_log_offline,
    strange_definitions,
};

/// Why a directory's log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// There is no log.
    #[error(
        "there is no log in {}; name its directory with --data, or begin one with \
         `scrollback serve`",
        dir.display()
    )]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// Commits wait in a WAL without the index that goes with it.
    #[error(
        "{} has commits that its copy of log.db-shm is missing for; make an empty one \
         (`touch {}`) or run `scrollback serve` there once",
        wal.display(), shm.display()
    )]
    NoIndex {
        /// The WAL.
        wal: PathBuf,
        /// The file that is missing.
        shm: PathBuf,
    },
    /// The directory or a file in it cannot be looked at.
    #[error("cannot look at {}; check its permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file is shorter than its own header says.
    #[error(
        "{} is cut short: {found} of {expected} bytes are there; put back the last backup, and \
         `scrollback export --readable` saves what is left",
        path.display()
    )]
    CutShort {
        /// The file.
        path: PathBuf,
        /// Bytes that its header promises.
        expected: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// The file is no database, or its first pages are ruined.
    #[error("{} is no log that can be read; put back the last backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// SQLite's reason.
        #[source]
        source: rusqlite::Error,
    },
    /// The file is empty, or some other program's.
    #[error("{} is no log of Scrollback's; name the right directory with --data", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// SQLite refused.
    #[error(transparent)]
    Open(#[from] OpenDbError),
    /// Something in the log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A server began to write while the file was read as one at rest.
    #[error("a server was started on {} meanwhile; run the command again", dir.display())]
    Changed {
        /// The directory.
        dir: PathBuf,
    },
}

impl From<rusqlite::Error> for OfflineError {
    fn from(error: rusqlite::Error) -> OfflineError {
        OfflineError::Read(error.into())
    }
}

/// What a file at rest looks like; it looks different once somebody has written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    mode: OfflineMode,
    n_bytes: u64,
    modified: Option<SystemTime>,
}

/// A log that is only read.
#[derive(Debug)]
pub struct OfflineLog {
    dir: PathBuf,
    db: Connection,
    archive: Archive,
    stamp: Stamp,
    names: Names,
    log_id: String,
}

impl OfflineLog {
    /// Opens the log of a data directory, whether a server runs on it or not.
    ///
    /// # Errors
    ///
    /// [`OfflineError`]; nothing was written in any case.
    pub fn open(dir: &Path) -> Result<OfflineLog, OfflineError> {
        OfflineLog::open_as(dir, stamp(dir)?)
    }

    /// Opens what is left of a log, also of one that is cut short: then a copy of it, in which
    /// nothing stands where the file ends too early.
    ///
    /// # Errors
    ///
    /// [`OfflineError`]; nothing was written in the directory in any case.
    pub fn open_what_is_left(dir: &Path) -> Result<OfflineLog, OfflineError> {
        match OfflineLog::open(dir) {
            Err(error @ OfflineError::CutShort { expected, .. }) => {
                let path = dir.join("log.db");
                let Ok(db) = open_filled_copy(&path, expected) else { return Err(error) };
                OfflineLog::of(dir, stamp(dir)?, db)
            }
            opened => opened,
        }
    }

    /// Opens the log of a data directory that a running server, this one, keeps open.
    ///
    /// # Errors
    ///
    /// [`OfflineError`]; nothing was written in any case.
    pub(crate) fn beside_server(dir: &Path) -> Result<OfflineLog, OfflineError> {
        // What the WAL's length says about a file at rest does not matter here.
        OfflineLog::open_as(dir, Stamp { mode: OfflineMode::Beside, n_bytes: 0, modified: None })
    }

    fn open_as(dir: &Path, stamp: Stamp) -> Result<OfflineLog, OfflineError> {
        let path = dir.join("log.db");
        let db = open_log_offline(&path, stamp.mode).map_err(|error| damage(&path, error))?;
        OfflineLog::of(dir, stamp, db)
    }

    fn of(dir: &Path, stamp: Stamp, db: Connection) -> Result<OfflineLog, OfflineError> {
        let path = dir.join("log.db");
        let log_id = match read_log_id(&db) {
            Ok(Some(log_id)) => log_id,
            Ok(None) => return Err(OfflineError::Foreign { path }),
            Err(source) => {
                return Err(damage(&path, OpenDbError::Sqlite { path: path.clone(), source }));
            }
        };
        let (archive, names) = (Archive::new(dir), Names::default());
        Ok(OfflineLog { dir: dir.to_owned(), db, archive, stamp, names, log_id })
    }

    /// The directory that it was opened in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The id that the log got when it was made.
    pub fn log_id(&self) -> &str {
        &self.log_id
    }

    /// Whether nobody else has the file open.
    pub fn is_at_rest(&self) -> bool {
        self.stamp.mode == OfflineMode::AtRest
    }

    /// The seq of the last committed event at this moment.
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if it cannot be read.
    pub fn head(&mut self) -> Result<Seq, OfflineError> {
        self.read(|store, _| Ok(head_of(store.db)?))
    }

    /// The seq before the first event that was committed at `at` or later.
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if it cannot be read.
    pub fn seq_before(&mut self, at: Millis) -> Result<Seq, OfflineError> {
        self.read(|store, _| seq_before(store, at))
    }

    /// The segment files that hold the oldest part of the log, the oldest first.
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if it cannot be read.
    pub fn segments(&mut self) -> Result<Vec<SegmentEntry>, OfflineError> {
        self.read(|store, _| Ok(all(store.db)?))
    }

    /// Says what may be archived.
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if it cannot be read.
    pub fn archive_plan(&mut self, bounds: ArchiveBounds) -> Result<ArchivePlan, OfflineError> {
        self.read(|store, _| plan(store, &bounds))
    }

    /// Copies the log as it is at this moment into a new directory, the archive included; the head
    /// witness is left out.
    ///
    /// This is one long read transaction: a server goes on writing meanwhile, and its WAL grows.
    ///
    /// # Errors
    ///
    /// [`OfflineError`]; the new file is then of no use.
    pub fn copy_to(
        &mut self,
        dir: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), OfflineError> {
        /// A file of the archive can be replaced while it is copied: so often it is tried anew.
        const ATTEMPTS: usize = 4;
        let mut result = Ok(());
        for _ in 0..ATTEMPTS {
            let path = dir.join("log.db");
            let _ = std::fs::remove_file(&path);
            // What was replaced since the attempt before can hold text that is erased by now.
            let _ = std::fs::remove_dir_all(archive_dir(dir));
            let copied = copy_database(&self.db, &path, progress);
            if self.is_at_rest() && stamp(&self.dir)? != self.stamp {
                return Err(OfflineError::Changed { dir: self.dir.clone() });
            }
            copied?;
            result = copy_archive(&self.dir, dir);
            match &result {
                Err(OfflineError::Read(ReadError::Archive(SegmentError::Missing { .. }))) => {}
                _ => break,
            }
        }
        result
    }

    /// Runs `f` in one short read transaction, and again if the file turned out not to be at rest.
    pub(crate) fn read<T>(
        &mut self,
        mut f: impl FnMut(Store<'_>, &mut Names) -> Result<T, ReadError>,
    ) -> Result<T, OfflineError> {
        for n in 0..3 {
            let OfflineLog { db, archive, names, .. } = self;
            let mut transaction =
                || in_transaction(db, |db| f(Store { db, archive: &*archive }, names));
            if self.stamp.mode == OfflineMode::Beside {
                match transaction() {
                    // A segment was replaced since its name was read: the next transaction has
                    // the new one.
                    Err(ReadError::Archive(SegmentError::Missing { .. })) if n < 2 => continue,
                    result => return Ok(result?),
                }
            }
            if stamp(&self.dir)? == self.stamp {
                let result = transaction();
                if stamp(&self.dir)? == self.stamp {
                    return Ok(result?);
                }
            }
            *self = OfflineLog::open(&self.dir)?;
        }
        Err(OfflineError::Changed { dir: self.dir.clone() })
    }

    /// Runs `f` once, in one short read transaction.
    ///
    /// # Errors
    ///
    /// [`OfflineError::Changed`] if the file was at rest before and is not any more: what `f` saw
    /// may then be half of it.
    pub(crate) fn read_once<T, E: From<rusqlite::Error>>(
        &mut self,
        f: impl FnOnce(Store<'_>) -> Result<T, E>,
    ) -> Result<Result<T, E>, OfflineError> {
        let changed = || OfflineError::Changed { dir: self.dir.clone() };
        let at_rest = self.stamp.mode == OfflineMode::AtRest;
        if at_rest && stamp(&self.dir)? != self.stamp {
            return Err(changed());
        }
        let archive = &self.archive;
        let result = in_transaction(&self.db, |db| f(Store { db, archive }));
        if at_rest && stamp(&self.dir)? != self.stamp {
            return Err(changed());
        }
        Ok(result)
    }
}

/// Copies the segment files that the log in `to` names.
fn copy_archive(from: &Path, to: &Path) -> Result<(), OfflineError> {
    let segments = OfflineLog::open(to)?.segments()?;
    if segments.is_empty() {
        return Ok(());
    }
    let (from, to) = (archive_dir(from), archive_dir(to));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OfflineError::Io { path, source }
    };
    std::fs::create_dir_all(&to).map_err(failed(&to))?;
    for entry in segments {
        let (source, copy) = (from.join(&entry.file), to.join(&entry.file));
        match std::fs::copy(&source, &copy) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let (path, first, last) = (source, entry.first_seq, entry.last_seq);
                return Err(ReadError::from(SegmentError::Missing { path, first, last }).into());
            }
            Err(error) => return Err(failed(&source)(error)),
        }
        let file = std::fs::File::open(&copy).map_err(failed(&copy))?;
        file.sync_all().map_err(failed(&copy))?;
    }
    Ok(())
}

fn in_transaction<T, E: From<rusqlite::Error>>(
    db: &Connection,
    f: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    let tx = db.unchecked_transaction()?;
    let result = f(&tx)?;
    tx.finish()?;
    Ok(result)
}

/// The id of the log; none in a file that has no tables of ours.
fn read_log_id(db: &Connection) -> Result<Option<String>, rusqlite::Error> {
    let version: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        let ours = strange_definitions(db, version)?.into_iter().find(|what| what == "table log");
        let Some(what) = ours else { return Ok(None) };
        let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        let why = format!("it has {what}, and no version");
        return Err(rusqlite::Error::SqliteFailure(corrupt, Some(why)));
    }
    let log_id = db
        .query_row("SELECT value FROM meta WHERE name = 'log_id'", [], |row| {
            Ok(String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned())
        })
        .optional()?;
    Ok(Some(log_id.unwrap_or_default()))
}

/// Why a file is not opened, where the file is the reason.
fn damage(path: &Path, error: OpenDbError) -> OfflineError {
    match error {
        OpenDbError::Sqlite { source, .. } if is_damage(&source) => match bytes_promised(path) {
            Ok((expected, found)) if found < expected => {
                OfflineError::CutShort { path: path.to_owned(), expected, found }
            }
            _ => OfflineError::Damaged { path: path.to_owned(), source },
        },
        error => OfflineError::Open(error),
    }
}

/// The bytes that the header of a database promises, and those that there are.
pub(crate) fn bytes_promised(path: &Path) -> Result<(u64, u64), std::io::Error> {
    let mut file = std::fs::File::open(path)?;
    let (mut header, found) = ([0u8; 100], file.metadata()?.len());
    file.read_exact(&mut header)?;
    if !header.starts_with(b"SQLite format 3\0") {
        return Ok((0, found));
    }
    let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        n => u64::from(n),
    };
    let n_pages = u32::from_be_bytes([header[28], header[29], header[30], header[31]]);
    Ok((page_bytes * u64::from(n_pages), found))
}

/// How the files of a directory have to be read just now.
fn stamp(dir: &Path) -> Result<Stamp, OfflineError> {
    let path = dir.join("log.db");
    let (wal, shm) = (dir.join("log.db-wal"), dir.join("log.db-shm"));
    let log = match std::fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(OfflineError::Missing { dir: dir.to_owned() });
        }
        Err(source) => return Err(OfflineError::Io { path, source }),
    };
    let wal_bytes = std::fs::metadata(&wal).ok().map(|wal| wal.len());
    let mode = match (wal_bytes, shm.exists()) {
        (Some(_), true) => OfflineMode::Beside,
        (None | Some(0), _) => OfflineMode::AtRest,
        (Some(_), false) => return Err(OfflineError::NoIndex { wal, shm }),
    };
    Ok(Stamp { mode, n_bytes: log.len(), modified: log.modified().ok() })
}

#[cfg(test)]
mod tests;
