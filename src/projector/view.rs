//! A view as readers see it: how far it is, and the connections to its live file.
//!
//! The worker is the only one that moves it on; readers, `settle` and status look at it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use scrollback_projections::Description;
use scrollback_schema::{Millis, Seq};
use tokio::sync::watch;

use super::fold::Parked;
use super::names::remove_db;
use crate::sqlite::{self, OpenDbError, Pool};

/// Connections to one view file; a read takes one for some milliseconds.
const CONNECTIONS_MAX: u32 = 4;

/// One projection's view.
#[derive(Debug)]
pub(crate) struct View {
    description: Description,
    live: ArcSwapOption<LiveFile>,
    inner: Mutex<Inner>,
    /// Told to all who wait when `Inner::position` or `Inner::health` changes.
    changed: watch::Sender<u64>,
    /// Wakes the worker.
    bell: Condvar,
    /// Told to threads when `Inner::position` changes.
    moved: Condvar,
    damaged: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    position: Position,
    health: Health,
    parked: Vec<Parked>,
    /// Since when there is something in the log that is not seen, if there is.
    behind_since: Option<Millis>,
    /// Whether the worker has something to do at once.
    is_rung: bool,
    is_stopping: bool,
    /// The greatest seq that somebody asked to be purged.
    purge: Seq,
}

/// How far a view is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    /// The checkpoint of the live file.
    pub(crate) committed: Seq,
    /// As far as nothing of what came after the checkpoint concerns this projection.
    pub(crate) seen: Seq,
    /// As far as the live file's WAL holds nothing that was overwritten.
    pub(crate) purged: Seq,
}

/// How the worker of a projection is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Health {
    /// It works.
    #[default]
    Working,
    /// It tries again and again.
    Failing {
        /// What fails.
        cause: String,
    },
    /// It panicked again and again, and does nothing more until the next start.
    Poisoned,
}

/// What wakes a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Somebody rang, or the time is up.
    Work,
    /// It is to end.
    Stop,
}

/// A live file and the connections to it; removes the file when it was replaced and nobody reads
/// it any more.
#[derive(Debug)]
pub(crate) struct LiveFile {
    pool: Pool,
    path: PathBuf,
    is_replaced: AtomicBool,
}

impl LiveFile {
    /// Opens connections to a file.
    ///
    /// # Errors
    ///
    /// [`OpenDbError`] if the first connection cannot be made.
    pub(crate) fn open(path: &Path) -> Result<LiveFile, OpenDbError> {
        let pool = sqlite::reader_pool(path, CONNECTIONS_MAX)?;
        Ok(LiveFile { pool, path: path.to_owned(), is_replaced: AtomicBool::new(false) })
    }

    /// The connections.
    pub(crate) const fn pool(&self) -> &Pool {
        &self.pool
    }
}

impl Drop for LiveFile {
    fn drop(&mut self) {
        if self.is_replaced.load(Ordering::SeqCst)
            && let Err(error) = remove_db(&self.path)
        {
            let path = self.path.display();
            tracing::warn!(%path, %error, "a replaced view file is left over");
        }
    }
}

impl View {
    /// A view without a file.
    pub(crate) fn new(description: Description) -> View {
        View {
            description,
            live: ArcSwapOption::empty(),
            inner: Mutex::new(Inner::default()),
            changed: watch::Sender::new(0),
            bell: Condvar::new(),
            moved: Condvar::new(),
            damaged: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.lock());
        self.moved.notify_all();
        self.changed.send_modify(|n| *n += 1);
    }

    /// Whose view it is.
    pub(crate) const fn description(&self) -> Description {
        self.description
    }

    /// The projection's name.
    pub(crate) const fn name(&self) -> &'static str {
        self.description.name
    }

    /// The live file; none before the worker has opened or made one.
    pub(crate) fn live(&self) -> Option<Arc<LiveFile>> {
        self.live.load_full()
    }

    /// Makes a file the live one; the one before goes once its last reader is done.
    pub(crate) fn set_live(&self, file: LiveFile, position: Position) {
        self.damaged.store(false, Ordering::SeqCst);
        let before = self.live.swap(Some(Arc::new(file)));
        self.tell(|inner| inner.position = position);
        if let Some(before) = before {
            before.is_replaced.store(true, Ordering::SeqCst);
        }
    }

    /// Leaves readers without a file and removes it, of a worker that will never work on it again.
    pub(crate) fn retire(&self) {
        if let Some(before) = self.live.swap(None) {
            before.is_replaced.store(true, Ordering::SeqCst);
        }
    }

    /// How far it is.
    pub(crate) fn position(&self) -> Position {
        self.lock().position
    }

    /// Moves it on.
    pub(crate) fn advance(&self, position: Position, parked: Option<Vec<Parked>>) {
        self.tell(|inner| {
            inner.position = position;
            inner.health = Health::Working;
            if let Some(parked) = parked {
                inner.parked = parked;
            }
        });
    }

    /// The chats that are parked.
    pub(crate) fn parked(&self) -> Vec<Parked> {
        self.lock().parked.clone()
    }

    /// How its worker is.
    pub(crate) fn health(&self) -> Health {
        self.lock().health.clone()
    }

    /// Says how its worker is.
    pub(crate) fn set_health(&self, health: Health) {
        self.tell(|inner| inner.health = health);
    }

    /// Notes since when it is behind, or that it is not.
    pub(crate) fn set_behind_since(&self, since: Option<Millis>) {
        self.lock().behind_since = since;
    }

    /// Notes that there is something new, unless it is behind already.
    pub(crate) fn note_behind(&self, now: Millis) {
        self.lock().behind_since.get_or_insert(now);
    }

    /// Since when it is behind, if it is.
    pub(crate) fn behind_since(&self) -> Option<Millis> {
        self.lock().behind_since
    }

    /// Wakes the worker.
    pub(crate) fn ring(&self) {
        self.lock().is_rung = true;
        self.bell.notify_all();
    }

    /// Asks the worker to end.
    pub(crate) fn stop(&self) {
        self.lock().is_stopping = true;
        self.bell.notify_all();
    }

    /// Whether the worker was asked to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().is_stopping
    }

    /// Asks that, as of `seq`, the file's WAL is cut.
    pub(crate) fn ask_purge(&self, seq: Seq) {
        let mut inner = self.lock();
        inner.purge = inner.purge.max(seq);
        inner.is_rung = true;
        self.bell.notify_all();
    }

    /// What was asked to be purged and is not.
    pub(crate) fn purge_wanted(&self) -> Option<Seq> {
        let inner = self.lock();
        (inner.purge > inner.position.purged).then_some(inner.purge)
    }

    /// Notes that a reader found the live file damaged, and wakes the worker, which makes it anew.
    pub(crate) fn report_damage(&self) {
        self.note_damage();
        self.ring();
    }

    /// Notes that the live file has to be made anew, for the worker's next round.
    pub(super) fn note_damage(&self) {
        self.damaged.store(true, Ordering::SeqCst);
    }

    /// Whether the live file was found damaged.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::SeqCst)
    }

    /// Waits on the worker's thread until somebody rings, at most `timeout`.
    pub(crate) fn wait_bell(&self, timeout: Duration) -> Wake {
        let (mut inner, _) = self
            .bell
            .wait_timeout_while(self.lock(), timeout, |inner| !inner.is_rung && !inner.is_stopping)
            .unwrap_or_else(PoisonError::into_inner);
        inner.is_rung = false;
        if inner.is_stopping { Wake::Stop } else { Wake::Work }
    }

    /// Waits on the thread of the worker `of` until this view has seen `seq`, at most `timeout`.
    pub(crate) fn wait_past(&self, seq: Seq, timeout: Duration, of: &View) -> Wake {
        // Short waits, so that a request to end is seen in time: it comes to the other view.
        let step = Duration::from_millis(20);
        let mut left = timeout;
        while self.position().seen < seq && !left.is_zero() {
            if of.is_stopping() || self.is_stopping() {
                return Wake::Stop;
            }
            let (_inner, _) = self
                .moved
                .wait_timeout_while(self.lock(), step.min(left), |inner| inner.position.seen < seq)
                .unwrap_or_else(PoisonError::into_inner);
            left = left.saturating_sub(step);
        }
        Wake::Work
    }

    /// Waits until `done` says so, at most `timeout`; whether it did.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub(crate) async fn wait_until(
        &self,
        timeout: Duration,
        done: impl Fn(&Position) -> bool,
    ) -> bool {
        let mut changed = self.changed.subscribe();
        let wait = async {
            while !done(&self.position()) && self.health() != Health::Poisoned {
                if changed.changed().await.is_err() {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(timeout, wait).await;
        done(&self.position())
    }
}
