//! The thread that moves committed pages from the WAL into log.db, and syncs the head witness.
//!
//! It never blocks the writer: its checkpoints are passive. A WAL that grows large all the same is
//! restarted by the writer itself, between two commits, when most of it has been moved already.
//! After a failed sync it moves nothing more: SQLite counts on what it has moved before, and the
//! system may have forgotten that. A restart moves all of the WAL anew.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tracing::debug;

use super::witness::WitnessSync;
use crate::fault::{Cause, Faults, Subject};
use crate::sqlite::{CheckpointMode, OpenDbError, checkpoint, leave_wal, open_checkpointer};

/// Between two checkpoints: often enough that each is small, rarely enough to share its syncs.
const INTERVAL: Duration = Duration::from_millis(250);

/// Bytes of WAL above which the writer starts it anew; few in a test, which has to exceed them.
const WAL_BYTES_SOFT: u64 = if cfg!(test) { 2 << 20 } else { 128 << 20 };

/// The thread and how to end it.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread over a database.
    pub(crate) fn start(
        path: &Path,
        witness: WitnessSync,
        flags: Flags,
    ) -> Result<Checkpointer, OpenDbError> {
        let db = open_checkpointer(path)?;
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        let work = Work { db, wal: wal.into(), witness, flags, stop: Arc::clone(&stop) };
        let thread = std::thread::Builder::new()
            .name("log-checkpoint".to_owned())
            .spawn(move || work.run())
            .map_err(|error| OpenDbError::Sqlite {
                path: path.to_owned(),
                source: rusqlite::Error::ToSqlConversionFailure(error.into()),
            })?;
        Ok(Checkpointer { stop, thread: Some(thread) })
    }

    /// Ends the thread and waits for it.
    pub(crate) fn stop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Work {
    db: Connection,
    wal: PathBuf,
    witness: WitnessSync,
    flags: Flags,
    stop: Arc<(Mutex<bool>, Condvar)>,
}

/// What the thread and the writer tell each other.
#[derive(Debug, Clone)]
pub(crate) struct Flags {
    /// Asks the writer to start the WAL anew.
    pub(crate) restart_wal: Arc<AtomicBool>,
    /// Nothing is written any more, since a sync failed.
    pub(crate) poisoned: Arc<AtomicBool>,
    pub(crate) faults: Faults,
}

impl Work {
    fn run(mut self) {
        let mut n_pages = 0;
        while !self.wait() {
            if self.flags.poisoned.load(Ordering::Acquire) {
                continue;
            }
            let n_bytes = std::fs::metadata(&self.wal).map_or(0, |wal| wal.len());
            match checkpoint(&self.db, CheckpointMode::Passive) {
                Ok(done) => {
                    debug!(n_pages = done.n_pages, n_moved = done.n_moved, "checkpoint");
                    self.flags.faults.clear(Subject::Checkpoint);
                    if done.n_pages != n_pages || self.witness.has_failed() {
                        n_pages = done.n_pages;
                        self.sync_witness();
                    }
                    // The file keeps its size after a restart: ask by what is in use.
                    let in_use = done.n_pages.unsigned_abs() * 8_192;
                    if n_bytes > WAL_BYTES_SOFT && in_use > WAL_BYTES_SOFT {
                        self.flags.restart_wal.store(true, Ordering::Release);
                    }
                }
                Err(error) => self.meet(&error),
            }
        }
        if self.flags.poisoned.load(Ordering::Acquire) {
            leave_wal(&self.db);
        }
    }

    /// Brings the witness to the disk; the writer writes it anew while its fault is raised.
    fn sync_witness(&mut self) {
        let had_failed = self.witness.has_failed();
        match self.witness.sync() {
            Ok(true) if had_failed => self.flags.faults.clear(Subject::Witness),
            Ok(_) => {}
            Err(error) => {
                self.flags.faults.raise_for(Subject::Witness, &error);
            }
        }
    }

    fn meet(&self, error: &rusqlite::Error) {
        match Cause::of(error) {
            Cause::SyncFailed => {
                self.flags.poisoned.store(true, Ordering::Release);
                self.flags.faults.raise_as(Subject::Log, Cause::SyncFailed, error);
            }
            cause => self.flags.faults.raise_as(Subject::Checkpoint, cause, error),
        }
    }

    /// Waits for the next round; says whether to stop.
    fn wait(&self) -> bool {
        let guard = self.stop.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (stopped, _) = self
            .stop
            .1
            .wait_timeout_while(guard, INTERVAL, |stopped| !*stopped)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *stopped
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use scrollback_schema::Seq;
    use scrollback_test_support::sample::{chat_id, user_text};

    use crate::clock::Clock;
    use crate::log::{Append, Log, LogOptions, PageLimits, Scope, Step, Tail};

    const N_APPENDS: usize = 400;
    const BYTES_AN_APPEND: usize = 200 << 10;

    /// Reads the same old pages over and over: together, some transaction is always open.
    async fn read_on(log: Log, until: Seq, is_done: Arc<AtomicBool>) {
        while !is_done.load(Ordering::Relaxed) {
            log.read(&Scope::All, Seq::ZERO, until, PageLimits::default()).await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn readers_that_never_pause_do_not_let_the_wal_grow() {
        let dir = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap();
        let log = Log::open(dir.path(), LogOptions::default(), &Clock::System).unwrap();
        let say = async |n: usize| {
            let event = user_text(&format!("m{n}"), &"x".repeat(BYTES_AN_APPEND));
            log.append(Append::new(chat_id("c1"), vec![event]).unwrap()).await.unwrap().last_seq
        };
        let created = scrollback_schema::Event::ChatCreated(Default::default());
        let created = scrollback_schema::NewEvent::of_chat(created);
        log.append(Append::new(chat_id("c1"), vec![created]).unwrap()).await.unwrap();
        let mut old = Seq::ZERO;
        for n in 0..10 {
            old = say(n).await;
        }
        // One reader has read a page and takes for ever to use it, others never stop reading.
        let mut tail = Tail::new(&log, Scope::All, Seq::ZERO, PageLimits::default());
        let Step::Page(held) = tail.next().await.unwrap() else { panic!("there are events") };
        let is_done = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> =
            (0..3).map(|_| tokio::spawn(read_on(log.clone(), old, Arc::clone(&is_done)))).collect();
        let (mut largest, wal) = (0, dir.path().join("log.db-wal"));
        for n in 10..N_APPENDS {
            say(n).await;
            largest = largest.max(std::fs::metadata(&wal).unwrap().len());
        }
        is_done.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.await.unwrap();
        }
        let written = (N_APPENDS * BYTES_AN_APPEND) as u64;
        assert!(largest < written / 2, "the WAL grew to {largest} bytes of {written} written");
        assert!(!held.sections.is_empty());
        log.close().await;
    }
}
