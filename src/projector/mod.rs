//! Projections kept on disk: one file and one named thread each, disposable, and never in the way
//! of the log.
//!
//! What follows from an event is left to the crate `projections`, reading rows to `read_model`.
//! Reading order: `names`, `file` and `wal` are the files, `store` their rows, `fold` and `page`
//! what happens to them in memory, `view` what others see of it, `worker`, `recover` and `handover`
//! the thread, `rebuild` the same from outside, `parked` what stands still, without a server.

mod chat_index;
mod documents;
mod file;
mod fold;
mod handover;
mod names;
mod page;
#[cfg(test)]
mod page_test;
mod parked;
pub mod rebuild;
mod recover;
mod set;
mod source;
mod store;
mod view;
mod wal;
#[cfg(test)]
mod wal_test;
mod worker;

#[cfg(test)]
mod projector_test;
#[cfg(test)]
mod rebuild_test;

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use scrollback_schema::Seq;
use tokio_util::sync::CancellationToken;

pub use fold::Parked;
pub use parked::{ParkedError, parked_offline};
pub use source::SourceError;
pub use view::Health;

pub(crate) use documents::fold_message;
pub(crate) use file::{read_parked, read_state};
pub(crate) use fold::{Fold, ViewFold};
pub(crate) use page::{FoldOn, ReadsTable, show_page};
pub(crate) use set::Views;
pub(crate) use source::{PAGE, Source};
pub(crate) use store::{
    ChatPlace, Found, MessagePlace, Store, StoreError, Tokenizer, Wanted, chats_before,
    chats_idle_at, chats_of, found_before, load_whole, messages_before, open_chats_after,
    queued_chats, scheduled_chats,
};
pub(crate) use view::{LiveFile, View};

use crate::clock::Clock;
use crate::fault::{Cause, Faults, Subject};
use crate::log::Log;
pub(crate) use names::VIEWS_DIR;
use names::{Names, remove_db};
use worker::{Context, Ended, WorkError, Worker};

/// How long workers linger after the log has grown, so that a busy row is written once for many
/// events: with 64 chats that stream, each round writes 64 heads and 64 chunks of text. Readers do
/// not wait for it; they fold so much more from memory.
const LINGER: Duration = Duration::from_millis(100);

/// How long a deletion waits for every view to have forgotten, at most.
const SETTLE_WAIT: Duration = Duration::from_secs(30);

/// Why the projector was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenProjectorError {
    /// The directory of the view files cannot be made.
    #[error("cannot make the directory {}; check its permissions", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A view file can be neither opened nor made.
    #[error("cannot open the view {projection}")]
    View {
        /// The projection.
        projection: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A thread cannot be made.
    #[error("cannot start the thread proj-{projection}")]
    Thread {
        /// The projection.
        projection: &'static str,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// Why a deletion is not known to be complete.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// A view did not get there in time.
    #[error("the view {projection} has not forgotten the chat yet; try again")]
    Late {
        /// The projection.
        projection: &'static str,
    },
    /// A file that may hold the text cannot be removed.
    #[error("a leftover of the view {projection} cannot be removed")]
    Leftover {
        /// The projection.
        projection: &'static str,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// Why a view file does not say what it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// SQLite refused.
    #[error("the state of a view file could not be read")]
    Sqlite(#[from] rusqlite::Error),
    /// What is there makes no sense.
    #[error("the state of a view file makes no sense")]
    Malformed,
}

/// How a projection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionStatus {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: u32,
    /// The last event that it has folded and written, or that does not concern it.
    pub checkpoint: Seq,
    /// Events of the log behind that.
    pub lag_events: u64,
    /// Milliseconds since the first of them was committed.
    pub lag_ms: u64,
    /// How its worker is.
    pub health: Health,
    /// The chats that stand still in it.
    pub parked: Vec<Parked>,
}

/// The workers of a data directory; cloning shares them.
#[derive(Debug, Clone)]
pub struct Projector {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    context: Context,
    views: Views,
    threads: Mutex<Vec<JoinHandle<()>>>,
    pacer: Mutex<Option<tokio::task::JoinHandle<()>>>,
    stop: CancellationToken,
}

impl Projector {
    /// Opens every view, makes anew those that are missing, outdated, damaged or of another log,
    /// and starts their workers, which catch up behind it.
    ///
    /// Blocks on the disk; must be called within a runtime, on a thread that may block. The data
    /// directory is the log's, which this process has locked.
    ///
    /// # Errors
    ///
    /// [`OpenProjectorError`]; no worker runs then.
    pub fn open(
        data_dir: &Path,
        log: &Log,
        clock: &Clock,
    ) -> Result<Projector, OpenProjectorError> {
        let path = data_dir.join(VIEWS_DIR);
        std::fs::create_dir_all(&path)
            .map_err(|source| OpenProjectorError::Directory { path, source })?;
        let context =
            Context { log: log.clone(), clock: clock.clone(), data_dir: data_dir.to_owned() };
        let shared = Shared {
            context,
            views: Views::new(),
            threads: Mutex::new(Vec::new()),
            pacer: Mutex::new(None),
            stop: CancellationToken::new(),
        };
        let projector = Projector { shared: Arc::new(shared) };
        let mut head = log.watch_head();
        head.borrow_and_update();
        if let Err(error) = projector.start_workers() {
            projector.shared.join();
            return Err(error);
        }
        log.set_chat_index(chat_index::of(&projector.shared.views));
        let pacer = tokio::spawn(pace(Arc::clone(&projector.shared), head));
        *projector.shared.pacer.lock().unwrap_or_else(PoisonError::into_inner) = Some(pacer);
        Ok(projector)
    }

    fn start_workers(&self) -> Result<(), OpenProjectorError> {
        let mut starting = Vec::new();
        for view in self.shared.views.all() {
            let projection = view.description().name;
            let (view, context) = (Arc::clone(view), self.shared.context.clone());
            let make_fold = set::live_fold(projection, &self.shared.views, &context.log);
            let faults = context.log.faults().clone();
            let (reply, answer) = std::sync::mpsc::sync_channel(1);
            let thread = std::thread::Builder::new()
                .name(format!("proj-{projection}"))
                .spawn(move || match Worker::start(context, Arc::clone(&view), make_fold) {
                    Ok(worker) => {
                        let _ = reply.send(Ok(()));
                        run_guarded(worker, &view, &faults);
                    }
                    Err(error) => {
                        let _ = reply.send(Err(error));
                    }
                })
                .map_err(|source| OpenProjectorError::Thread { projection, source })?;
            self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
            starting.push((projection, answer));
        }
        for (projection, answer) in starting {
            let started: Result<(), Box<dyn std::error::Error + Send + Sync>> = match answer.recv()
            {
                Ok(started) => started.map_err(|error: WorkError| error.into()),
                Err(_) => Err("its thread panicked".into()),
            };
            started.map_err(|source| OpenProjectorError::View { projection, source })?;
        }
        Ok(())
    }

    /// How every projection is.
    pub fn status(&self) -> Vec<ProjectionStatus> {
        let (head, now) = (self.shared.context.log.head(), self.shared.context.clock.now());
        let status = |view: &Arc<View>| {
            let checkpoint = view.position().seen;
            let lag_events = head.get().saturating_sub(checkpoint.get());
            let since = view.behind_since().filter(|_| lag_events > 0);
            ProjectionStatus {
                name: view.description().name,
                version: view.description().version,
                checkpoint,
                lag_events,
                lag_ms: since.map_or(0, |since| now.since_ms(since)),
                health: view.health(),
                parked: view.parked(),
            }
        };
        self.shared.views.all().map(status).collect()
    }

    /// Waits until no file of a view holds what was deleted at or before `seq`: rows, index, WAL,
    /// and leftovers of a rebuild. A rebuild that runs starts over.
    ///
    /// To be called after the log has erased the payloads, so that no view can read them again.
    ///
    /// # Errors
    ///
    /// [`SettleError`]; asking again is harmless.
    ///
    /// # Cancel safety
    ///
    /// A dropped future waits no more; the workers go on with what was asked.
    pub async fn settle(&self, seq: Seq) -> Result<(), SettleError> {
        for view in self.shared.views.all() {
            let projection = view.description().name;
            let names = Names::new(&self.shared.context.data_dir, projection);
            for path in [names.rebuild(), names.scratch()] {
                remove_db(&path).map_err(|source| SettleError::Leftover { projection, source })?;
            }
            view.ask_purge(seq);
        }
        for view in self.shared.views.all() {
            let projection = view.description().name;
            if view.health() == Health::Poisoned {
                // Nobody works on it any more: it goes as a whole, and is built at the next start.
                view.retire();
            } else if !view.wait_until(SETTLE_WAIT, |position| position.purged >= seq).await {
                return Err(SettleError::Late { projection });
            }
            self.wait_for_one_file(projection).await?;
        }
        Ok(())
    }

    /// Waits until a live file that was replaced is gone: its last readers still have it.
    async fn wait_for_one_file(&self, projection: &'static str) -> Result<(), SettleError> {
        let names = Names::new(&self.shared.context.data_dir, projection);
        let wait = async {
            while names.live_files().is_ok_and(|files| files.len() > 1) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let late = |_| SettleError::Late { projection };
        tokio::time::timeout(SETTLE_WAIT, wait).await.map_err(late)
    }

    /// Ends the workers; each writes how far it is and leaves one file.
    pub async fn close(&self) {
        let shared = Arc::clone(&self.shared);
        // Both fail only if the runtime ends, and then so does everything.
        let _ = tokio::task::spawn_blocking(move || shared.join()).await;
        let pacer = self.shared.pacer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(pacer) = pacer {
            let _ = pacer.await;
        }
    }

    /// What readers see.
    pub(crate) fn views(&self) -> &Views {
        &self.shared.views
    }

    /// The log that is folded.
    pub(crate) fn log(&self) -> &Log {
        &self.shared.context.log
    }
}

impl Shared {
    fn join(&self) {
        self.stop.cancel();
        for view in self.views.all() {
            view.stop();
        }
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic was said when it happened.
            let _ = thread.join();
        }
    }
}

/// Runs a worker; one that panics for good ends alone, and that is said.
fn run_guarded(worker: Worker, view: &View, faults: &Faults) {
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| worker.run()));
    if ended.unwrap_or(Ended::Panicked) == Ended::Panicked {
        faults.raise(Subject::View(view.name()), Cause::Ended);
        view.set_health(Health::Poisoned);
    }
}

/// Wakes the workers some time after the log has grown: one wake-up for many commits.
async fn pace(shared: Arc<Shared>, mut head: tokio::sync::watch::Receiver<Seq>) {
    let stopped = shared.stop.clone();
    loop {
        tokio::select! {
            () = stopped.cancelled() => return,
            changed = head.changed() => if changed.is_err() { return },
        }
        let now = shared.context.clock.now();
        for view in shared.views.all() {
            view.note_behind(now);
        }
        tokio::select! {
            () = stopped.cancelled() => return,
            () = tokio::time::sleep(LINGER) => {}
        }
        head.borrow_and_update();
        for view in shared.views.all() {
            view.ring();
        }
    }
}
