//! Rebuilds and checks that a running server was asked for: one at a time, each on a thread of its
//! own, which others can watch.
//!
//! What happens is what `scrollback rebuild` does beside a server. A server that stops takes the
//! work with it; the next rebuild goes on where it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use scrollback_schema::Seq;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Difference, Progress, RebuildError, RebuildOptions, check, rebuild};
use crate::clock::monotonic;

/// What is to be done with a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// It is folded anew and replaced.
    Rebuild,
    /// It is compared with what the log implies, and left as it is.
    Check,
}

/// Where a rebuild or a check is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It runs.
    Running(Task),
    /// The view was replaced.
    Rebuilt,
    /// The view was compared; the first difference.
    Checked(Option<Difference>),
    /// It was given up.
    Failed {
        /// Why.
        cause: String,
    },
}

/// A rebuild or a check, the last one of its projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedRebuild {
    /// Where it is.
    pub stage: Stage,
    /// The last event that is folded.
    pub through: Seq,
    /// The last event to fold.
    pub head: Seq,
    /// Events that are folded in a second, once that can be told.
    pub events_per_second: Option<u64>,
}

impl AskedRebuild {
    /// Seconds until all is folded at this speed, while it runs.
    pub fn seconds_left(&self) -> Option<f64> {
        let speed = self.events_per_second.filter(|&speed| speed > 0)?;
        let left = self.head.get().saturating_sub(self.through.get());
        matches!(self.stage, Stage::Running(_)).then_some(left as f64 / speed as f64)
    }
}

/// Why a rebuild was not begun.
#[derive(Debug, thiserror::Error)]
pub enum StartRebuildError {
    /// There is no such projection.
    #[error("there is no projection of this name; there are {known}")]
    Unknown {
        /// Those that there are.
        known: String,
    },
    /// One runs.
    #[error("a rebuild or a check of {projection} runs; wait for it")]
    Running {
        /// Of this projection.
        projection: &'static str,
    },
    /// The system gives no thread.
    #[error("the thread of the rebuild cannot be started")]
    Thread {
        /// Its reason.
        #[source]
        source: std::io::Error,
    },
}

/// The rebuilds of a data directory that this process was asked for; cloning shares them.
#[derive(Debug, Clone)]
pub struct Rebuilds {
    dir: PathBuf,
    stop: CancellationToken,
    asked: Arc<Mutex<BTreeMap<&'static str, AskedRebuild>>>,
}

impl Rebuilds {
    /// None yet; `stop` ends the one that runs.
    pub fn new(dir: &Path, stop: CancellationToken) -> Rebuilds {
        Rebuilds { dir: dir.to_owned(), stop, asked: Arc::default() }
    }

    /// The last one of a projection.
    pub fn of(&self, projection: &str) -> Option<AskedRebuild> {
        self.lock().get(projection).cloned()
    }

    /// Begins a rebuild or a check; resolves once it has ended.
    ///
    /// # Errors
    ///
    /// [`StartRebuildError`]; nothing was begun then.
    ///
    /// # Cancel safety
    ///
    /// A dropped future waits no more; the work goes on.
    pub fn start(
        &self,
        name: &str,
        task: Task,
    ) -> Result<impl Future<Output = ()> + Send + use<>, StartRebuildError> {
        let described = crate::projector::set::described(name).ok_or_else(|| {
            let known = scrollback_projections::ALL.iter().map(|known| known.name);
            StartRebuildError::Unknown { known: known.collect::<Vec<_>>().join(", ") }
        })?;
        let projection = described.name;
        let mut asked = self.lock();
        let running = asked.iter().find(|(_, asked)| matches!(asked.stage, Stage::Running(_)));
        if let Some((&projection, _)) = running {
            return Err(StartRebuildError::Running { projection });
        }
        let (ended, end) = oneshot::channel::<()>();
        let rebuilds = self.clone();
        let work = move || {
            rebuilds.run(projection, task);
            drop(ended);
        };
        let thread = std::thread::Builder::new().name(format!("rebuild-{projection}"));
        thread.spawn(work).map_err(|source| StartRebuildError::Thread { source })?;
        asked.insert(
            projection,
            AskedRebuild {
                stage: Stage::Running(task),
                through: Seq::ZERO,
                head: Seq::ZERO,
                events_per_second: None,
            },
        );
        Ok(async move {
            // The thread says nothing; it lets go of its end when it is done or panics.
            let _ = end.await;
        })
    }

    fn run(&self, projection: &'static str, task: Task) {
        let options = RebuildOptions {
            projections: vec![projection.to_owned()],
            stop: self.stop.clone(),
            ..RebuildOptions::default()
        };
        let begun: Mutex<Option<(Instant, Seq)>> = Mutex::default();
        let on_progress = |step: Progress| self.note(projection, &begun, step);
        let work = || match task {
            Task::Rebuild => rebuild(&self.dir, &options, &on_progress).map(|_| Stage::Rebuilt),
            Task::Check => check(&self.dir, &options, &on_progress).map(Stage::Checked),
        };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        let stage = match done {
            Ok(Ok(stage)) => stage,
            Ok(Err(error)) => Stage::Failed { cause: told(projection, &error) },
            Err(_) => Stage::Failed { cause: "it panicked; the trace says more".to_owned() },
        };
        if let Some(asked) = self.lock().get_mut(projection) {
            asked.stage = stage;
        }
    }

    fn note(
        &self,
        projection: &'static str,
        begun: &Mutex<Option<(Instant, Seq)>>,
        step: Progress,
    ) {
        let (since, from) = *begun
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert((monotonic(), step.through));
        let seconds = since.elapsed().as_secs_f64();
        let n_events = step.through.get().saturating_sub(from.get());
        if let Some(asked) = self.lock().get_mut(projection) {
            (asked.through, asked.head) = (step.through, step.head);
            if n_events > 0 && seconds > 0.0 {
                asked.events_per_second = Some((n_events as f64 / seconds) as u64);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, AskedRebuild>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sentence for who asked; its causes go to the trace.
fn told(projection: &'static str, error: &RebuildError) -> String {
    let cause = error as &dyn std::error::Error;
    tracing::warn!(projection, error = cause, "a rebuild or a check was given up");
    error.to_string()
}
