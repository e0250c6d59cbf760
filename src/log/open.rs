//! Opening a log: the lock, the file, the head witness, and what a dead process left open.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use lru::LruCache;
use rusqlite::{Connection, OptionalExtension, params};
use scrollback_schema::batch::BatchId;
use scrollback_schema::limits::APPEND_QUEUE_MAX;
use scrollback_schema::{Millis, Seq};
use tokio::sync::mpsc;

use super::archive::{self, Archive, SegmentError};
use super::checkpoint::{Checkpointer, Flags};
use super::lease::LeaseKey;
use super::preallocate::Preallocation;
use super::reader::{Row, last_row, live_rows_after};
use super::recent::Recent;
use super::setback::Setbacks;
use super::witness::Witness;
use super::writer::Writer;
use super::{Log, LogObserver, Shared, Threads};
use crate::clock::{Clock, random_bytes};
use crate::fault::Faults;
use crate::sqlite::{Durability, OpenDbError, is_damage, open_log_writer, reader_pool};

/// Connections that read the log at once; each page holds one for some milliseconds.
const READERS_MAX: u32 = 8;

/// How a log is opened.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// What an answered append survives.
    pub durability: Durability,
    /// Opens a log that ends before its head witness: what is gone is given up.
    pub accept_lost_tail: bool,
    /// Is told of each commit.
    pub observer: Option<Arc<dyn LogObserver>>,
    /// Where it is said what the disk refuses.
    pub faults: Faults,
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory could not be made or written.
    #[error("cannot use data directory {}; check that it exists and can be written", dir.display())]
    Directory {
        /// The data directory.
        dir: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// Another process serves the directory.
    #[error(
        "data directory {} is in use by another server ({holder}); stop it or use another --data",
        dir.display()
    )]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// What the other process says of itself.
        holder: String,
    },
    /// The database could not be opened.
    #[error(transparent)]
    Database(#[from] OpenDbError),
    /// The database is damaged, or is none.
    #[error(
        "{} is damaged; `scrollback verify` says where, `scrollback export --readable` saves what \
         is whole, and the last backup can be put back",
        path.display()
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// SQLite's reason.
        #[source]
        source: rusqlite::Error,
    },
    /// The database was opened, and what is in it could not be read or closed.
    #[error(
        "cannot recover the log in {}; `scrollback verify` says what is wrong, and \
         `scrollback export --readable` saves what is whole",
        dir.display()
    )]
    Recover {
        /// The data directory.
        dir: PathBuf,
        /// SQLite's reason.
        #[source]
        source: rusqlite::Error,
    },
    /// A file of the archive is missing or damaged.
    #[error(transparent)]
    Archive(#[from] SegmentError),
    /// The log ends before a head that was acknowledged.
    #[error(
        "the log in {} ends at seq {head}, but seq {witnessed} was acknowledged; restore a \
         backup, or start with --accept-lost-tail to go on without the lost events",
        dir.display()
    )]
    TailLost {
        /// The data directory.
        dir: PathBuf,
        /// Where the log ends.
        head: Seq,
        /// Where it had been.
        witnessed: Seq,
    },
}

/// The files of a data directory.
pub(crate) fn log_db(dir: &Path) -> PathBuf {
    dir.join("log.db")
}

/// The head witness of a data directory.
pub(crate) fn witness_file(dir: &Path) -> PathBuf {
    dir.join("head")
}

/// The server's lock of a data directory.
pub(crate) fn lock_file(dir: &Path) -> PathBuf {
    dir.join("lock")
}

/// Tells a damaged database from one that the machine does not let us open.
fn damaged(error: OpenDbError) -> OpenError {
    match error {
        OpenDbError::Sqlite { path, source } if is_damage(&source) => {
            OpenError::Damaged { path, source }
        }
        error => OpenError::Database(error),
    }
}

pub(crate) fn open(dir: &Path, options: LogOptions, clock: &Clock) -> Result<Log, OpenError> {
    let unusable = |source| OpenError::Directory { dir: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(unusable)?;
    let lock = take_lock(dir)?;
    let path = log_db(dir);
    rewrite_wal(&path).map_err(unusable)?;
    let db = open_log_writer(&path, options.durability).map_err(damaged)?;
    let recover = |source| OpenError::Recover { dir: dir.to_owned(), source };
    let meta = read_meta(&db).map_err(recover)?;
    let end = read_end(&db).map_err(recover)?;
    let (witness, witnessed) = Witness::open(&witness_file(dir)).map_err(unusable)?;
    let lost = witnessed.filter(|witnessed| witnessed.head > end.head);
    if let Some(witnessed) = lost.filter(|_| !options.accept_lost_tail) {
        let (head, witnessed) = (end.head, witnessed.head);
        return Err(OpenError::TailLost { dir: dir.to_owned(), head, witnessed });
    }
    let (archive, deletion) = (open_archive(dir, &db)?, read_last_deletion(&db).map_err(recover)?);
    let recent = Arc::new(Recent::new(end.head, deletion));
    let poisoned = Arc::new(AtomicBool::new(false));
    let restart_wal = Arc::new(AtomicBool::new(false));
    let faults = options.faults;
    let flags = Flags {
        restart_wal: Arc::clone(&restart_wal),
        poisoned: Arc::clone(&poisoned),
        faults: faults.clone(),
    };
    let checkpointer = Checkpointer::start(&path, witness.handle(), flags)?;
    let mut writer = Writer {
        db,
        clock: clock.clone(),
        key: LeaseKey::new(meta.lease_key),
        chats: LruCache::new(CHATS_MAX),
        leased: std::collections::HashMap::new(),
        has_orphans: false,
        head: end.head,
        last_at: end.at,
        last_checksum: end.checksum,
        recent: Arc::clone(&recent),
        witness,
        observer: options.observer,
        poisoned: Arc::clone(&poisoned),
        restart_wal,
        wal_ahead: Preallocation::of(&path),
        waiting: Vec::new(),
        batch_id: BatchId::default(),
        setbacks: Setbacks::new(dir.to_owned(), options.durability, faults.clone()),
    };
    writer.recover().map_err(recover)?;
    let (commands, receiver) = mpsc::channel(APPEND_QUEUE_MAX);
    let writer = std::thread::Builder::new()
        .name("log-writer".to_owned())
        .spawn(move || writer.run(receiver))
        .map_err(unusable)?;
    let shared = Shared {
        dir: dir.to_owned(),
        log_id: meta.log_id,
        commands,
        recent,
        readers: reader_pool(&path, READERS_MAX)?,
        archive,
        retaining: tokio::sync::Mutex::new(()),
        index: OnceLock::new(),
        names: Mutex::new(Vec::new()),
        poisoned,
        faults,
        threads: Mutex::new(Some(Threads { writer, checkpointer })),
        lock,
    };
    Ok(Log { shared: Arc::new(shared) })
}

/// Writes the WAL of a process that died once more, as it is, and syncs it.
///
/// If a sync had failed, the system shows bytes that it never brought to the disk and will not try
/// to: SQLite would take them for commits, append behind them, and a loss of power would then take
/// away from the first of them on.
fn rewrite_wal(db: &Path) -> Result<(), io::Error> {
    let mut path = db.as_os_str().to_owned();
    path.push("-wal");
    let wal = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(wal) => wal,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let (mut bytes, mut at) = (vec![0; 1 << 20], 0);
    loop {
        let n = wal.read_at(&mut bytes, at)?;
        if n == 0 {
            break;
        }
        wal.write_all_at(&bytes[..n], at)?;
        at += n as u64;
    }
    if at > 0 { wal.sync_data() } else { Ok(()) }
}

/// Looks whether every segment is there, and clears away what a crash left of others.
fn open_archive(dir: &Path, db: &Connection) -> Result<Archive, OpenError> {
    let recover = |source| OpenError::Recover { dir: dir.to_owned(), source };
    let (archive, known) = (Archive::new(dir), archive::all(db).map_err(recover)?);
    for entry in &known {
        archive.check(entry)?;
    }
    let unusable = |source| OpenError::Directory { dir: archive.dir().to_owned(), source };
    let n_removed = archive::remove_orphans(&archive, &known).map_err(unusable)?;
    if n_removed > 0 {
        tracing::info!(n_files = n_removed, "archive files of a step that was cut off are removed");
    }
    Ok(archive)
}

/// Chats that the writer keeps in memory; others are loaded again when they are written.
const CHATS_MAX: NonZeroUsize = NonZeroUsize::new(65_536).expect("not zero");

/// Takes the exclusive lock, or says who has it.
fn take_lock(dir: &Path) -> Result<File, OpenError> {
    let unusable = |source| OpenError::Directory { dir: dir.to_owned(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(lock_file(dir))
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = (&mut file).take(256).read_to_string(&mut holder);
            let holder = holder.trim().to_owned();
            return Err(OpenError::InUse { dir: dir.to_owned(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(unusable(source)),
    }
    write_lock_note(&file, None).map_err(unusable)?;
    Ok(file)
}

/// Writes into the lock file who holds it.
pub(crate) fn write_lock_note(mut file: &File, address: Option<&str>) -> Result<(), io::Error> {
    file.set_len(0)?;
    file.rewind()?;
    let pid = std::process::id();
    match address {
        Some(address) => writeln!(file, "pid {pid}, {address}"),
        None => writeln!(file, "pid {pid}"),
    }
}

struct Meta {
    log_id: String,
    lease_key: [u8; 32],
}

/// Reads what the file says about itself; a new file is given its name and its key.
fn read_meta(db: &Connection) -> Result<Meta, rusqlite::Error> {
    let get = |name: &str| -> Result<Option<Vec<u8>>, rusqlite::Error> {
        db.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()
    };
    if let (Some(log_id), Some(key)) = (get("log_id")?, get("lease_key")?) {
        let lease_key = key.try_into().map_err(|_| rusqlite::Error::InvalidQuery)?;
        return Ok(Meta { log_id: String::from_utf8_lossy(&log_id).into_owned(), lease_key });
    }
    let log_id = Clock::System.fresh_id();
    let lease_key: [u8; 32] = random_bytes();
    db.execute(
        "INSERT INTO meta (name, value) VALUES ('log_id', ?1), ('lease_key', ?2)",
        params![log_id.as_bytes(), lease_key],
    )?;
    Ok(Meta { log_id, lease_key })
}

/// The seq of the last tombstone; zero if no chat was deleted.
fn read_last_deletion(db: &Connection) -> Result<Seq, rusqlite::Error> {
    let last: Option<i64> =
        db.query_row("SELECT max(deleted_seq) FROM chat", [], |row| row.get(0))?;
    Ok(last.and_then(Seq::from_i64).unwrap_or_default())
}

/// Where the log ends.
pub(crate) fn read_end(db: &Connection) -> Result<super::writer::End, rusqlite::Error> {
    let mut end = super::writer::End { head: Seq::ZERO, at: Millis::new(0), checksum: 0 };
    let Some(last) = last_row(db)? else { return Ok(end) };
    live_rows_after::<rusqlite::Error>(db, last.prev(), |row: Row| {
        end.head = row.head.last_seq();
        end.at = row.head.at;
        end.checksum = row.checksum;
        Ok(super::reader::Flow::Go)
    })?;
    Ok(end)
}
