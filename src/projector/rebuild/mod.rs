//! Rebuilding views from the log, by a process of its own: at rest, or beside a running server.
//!
//! A view is folded into a file beside the live one, which is handed over when it is as far as the
//! log: under its name if no server runs, else to the server, whose worker folds the rest and takes
//! it over between two reads. Killed at any point, the next rebuild goes on where this one was; a
//! leftover of another log or version starts over.
//!
//! A rebuild reads the log and never writes it. Two at a time are kept apart by `rebuild.lock`.

mod asked;
mod build;
mod check;
mod give;

use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use scrollback_projections::search::Search;
use scrollback_projections::{ALL, Description, Projection};
use scrollback_schema::Seq;
use tokio_util::sync::CancellationToken;

pub use asked::{AskedRebuild, Rebuilds, Stage, StartRebuildError, Task};
pub use check::{Difference, What};

use super::names::Names;
use super::source::{PAGE, Source, SourceError};
use super::store::StoreError;
use crate::log::PageLimits;
use crate::sqlite::OpenDbError;
use build::Builder;

/// Times that a rebuild starts over since a chat was deleted while it ran.
const RESTARTS_MAX: usize = 10;

/// Events by which the log may have grown before the last step: the one who takes the file over
/// folds them.
const LEFT_TO_TAKER_MAX: u64 = 50_000;

/// What is rebuilt, and how.
#[derive(Debug, Clone)]
pub struct RebuildOptions {
    /// Names of projections; all if empty.
    pub projections: Vec<String>,
    /// The bounds of the pages that are read; what comes out does not depend on them.
    pub page: PageLimits,
    /// Ends it early: what was written so far is gone on with by the next rebuild.
    pub stop: CancellationToken,
}

impl Default for RebuildOptions {
    fn default() -> Self {
        RebuildOptions { projections: Vec::new(), page: PAGE, stop: CancellationToken::new() }
    }
}

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Every event up to here is folded into every view.
    pub through: Seq,
    /// The last event to fold.
    pub head: Seq,
}

/// Is told how far a rebuild is, after each page, on any of its threads.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Sync);

/// A rebuild that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The projections, each now as far as the log was.
    pub projections: Vec<&'static str>,
    /// The last event that was folded.
    pub head: Seq,
    /// Events that had been folded by a rebuild that was killed.
    pub resumed_after: Seq,
    /// Whether a running server took the files over.
    pub by_server: bool,
}

/// Why a rebuild or a check was not done.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// There is no such projection.
    #[error("there is no projection {name}; there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// Another rebuild or check runs.
    #[error("another rebuild or check of {} runs; wait for it", dir.display())]
    InUse {
        /// The data directory.
        dir: PathBuf,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A file beside the live ones cannot be opened or made.
    #[error(transparent)]
    Open(#[from] OpenDbError),
    /// A file cannot be written or read.
    #[error("the view {projection} could not be written")]
    View {
        /// The projection.
        projection: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file cannot be made, renamed or removed.
    #[error("cannot work on {}; check that its directory can be written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Whoever asked for it asked for its end.
    #[error("it was stopped; the next rebuild goes on where it was")]
    Stopped,
    /// Chats were deleted again and again while it ran.
    #[error("chats were deleted while the rebuild ran, {RESTARTS_MAX} times; try again later")]
    Restarted,
    /// The server does not take the file.
    #[error("the running server did not take over the view {projection}; see what it logged")]
    NotTaken {
        /// The projection.
        projection: &'static str,
    },
    /// There is no live view to compare with.
    #[error("there is no sound view {projection} to check; start the server or rebuild it")]
    NoView {
        /// The projection.
        projection: &'static str,
    },
}

impl RebuildError {
    fn view(projection: &'static str) -> impl FnOnce(StoreError) -> RebuildError {
        move |source| RebuildError::View { projection, source: Box::new(source) }
    }

    fn file(path: &Path) -> impl FnOnce(std::io::Error) -> RebuildError + '_ {
        |source| RebuildError::File { path: path.to_owned(), source }
    }
}

/// Rebuilds views of a data directory from its log, and hands them over.
///
/// Blocks until they are in use, or in place for the next start.
///
/// # Errors
///
/// [`RebuildError`]; the live views are then as before.
pub fn rebuild(
    data_dir: &Path,
    options: &RebuildOptions,
    on_progress: OnProgress<'_>,
) -> Result<Rebuilt, RebuildError> {
    let job = Job::new(data_dir, options, on_progress)?;
    for _ in 0..RESTARTS_MAX {
        match job.build_all() {
            Ok((head, resumed_after)) => {
                let Some(by_server) = give::hand_over(data_dir, &job.descriptions)? else {
                    continue;
                };
                let projections = job.descriptions.iter().map(|described| described.name);
                let projections = projections.collect();
                return Ok(Rebuilt { projections, head, resumed_after, by_server });
            }
            Err(Stopped::FileGone) => {}
            Err(Stopped::Failed(error)) => return Err(error),
        }
    }
    Err(RebuildError::Restarted)
}

/// Folds views into scratch files and compares them with the live ones, row by row.
///
/// The first difference, if there is one.
///
/// # Errors
///
/// [`RebuildError`].
pub fn check(
    data_dir: &Path,
    options: &RebuildOptions,
    on_progress: OnProgress<'_>,
) -> Result<Option<Difference>, RebuildError> {
    let job = Job::new(data_dir, options, on_progress)?;
    for description in &job.descriptions {
        if let Some(difference) = check::check_one(&job, *description)? {
            return Ok(Some(difference));
        }
    }
    Ok(None)
}

/// What stops a build.
enum Stopped {
    /// A deletion removed the file, since it may hold what was deleted: it starts over.
    FileGone,
    Failed(RebuildError),
}

impl<E: Into<RebuildError>> From<E> for Stopped {
    fn from(error: E) -> Stopped {
        Stopped::Failed(error.into())
    }
}

/// A rebuild or a check under way.
struct Job<'a> {
    data_dir: &'a Path,
    descriptions: Vec<Description>,
    page: PageLimits,
    stop: CancellationToken,
    on_progress: OnProgress<'a>,
    /// Kept locked as long as it runs.
    _lock: File,
}

impl<'a> Job<'a> {
    fn new(
        data_dir: &'a Path,
        options: &RebuildOptions,
        on_progress: OnProgress<'a>,
    ) -> Result<Job<'a>, RebuildError> {
        let descriptions = described(&options.projections)?;
        // Before anything is made: a directory that has no log stays as it is.
        super::source::offline(data_dir)?;
        let path = data_dir.join("rebuild.lock");
        let lock = File::create(&path).map_err(RebuildError::file(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(RebuildError::InUse { dir: data_dir.to_owned() });
            }
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(RebuildError::file(&path)(error));
            }
        }
        let views = data_dir.join(super::names::VIEWS_DIR);
        std::fs::create_dir_all(&views).map_err(RebuildError::file(&views))?;
        let (page, stop) = (options.page, options.stop.clone());
        Ok(Job { data_dir, descriptions, page, stop, on_progress, _lock: lock })
    }

    /// Reads the log of the data directory over a connection of its own.
    fn source(&self) -> Result<Arc<dyn Source>, RebuildError> {
        Ok(super::source::offline(self.data_dir)?)
    }

    /// Whether it is to go on.
    fn go_on(&self) -> ControlFlow<()> {
        if self.stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Builds every view as far as the log goes; the head, and where it was resumed.
    fn build_all(&self) -> Result<(Seq, Seq), Stopped> {
        let head = self.source()?.head()?;
        // The index of the search costs about as much as everything else together.
        let (search, others): (Vec<Description>, Vec<Description>) =
            self.descriptions.iter().partition(|described| described.name == Search::NAME);
        let lanes: Vec<Vec<Description>> =
            [others, search].into_iter().filter(|lane| !lane.is_empty()).collect();
        let through: Vec<AtomicU64> = lanes.iter().map(|_| AtomicU64::new(0)).collect();
        let report = |lane: usize, seq: Seq| {
            through[lane].store(seq.get(), Ordering::Relaxed);
            let least = through.iter().map(|seq| seq.load(Ordering::Relaxed)).min();
            let through = least.and_then(Seq::new).unwrap_or_default();
            (self.on_progress)(Progress { through, head });
        };
        let built: Vec<Result<Seq, Stopped>> = std::thread::scope(|scope| {
            let threads: Vec<_> = lanes
                .iter()
                .enumerate()
                .map(|(index, lane)| {
                    let report = &report;
                    scope.spawn(move || self.build_lane(lane, &|seq| report(index, seq)))
                })
                .collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        });
        let resumed = built.into_iter().collect::<Result<Vec<Seq>, Stopped>>()?;
        Ok((head, resumed.into_iter().min().unwrap_or_default()))
    }

    /// Builds several views in one pass over the log; where it was resumed.
    fn build_lane(&self, lane: &[Description], report: &dyn Fn(Seq)) -> Result<Seq, Stopped> {
        let source = self.source()?;
        let mut builders = Vec::new();
        for description in lane {
            let path = Names::new(self.data_dir, description.name).rebuild();
            builders.push(Builder::resume(&path, *description, &source)?);
        }
        let resumed = builders.iter().map(Builder::checkpoint).min().unwrap_or_default();
        let mut through = resumed;
        loop {
            let head = source.head()?;
            if head.get() <= through.get() + if through == resumed { 0 } else { LEFT_TO_TAKER_MAX }
            {
                break;
            }
            build::run(&mut builders, &*source, head, self.page, &|seq| {
                report(seq);
                self.go_on()
            })?;
            through = head;
        }
        for builder in builders {
            builder.finish()?;
        }
        Ok(resumed)
    }
}

fn described(names: &[String]) -> Result<Vec<Description>, RebuildError> {
    if names.is_empty() {
        return Ok(ALL.to_vec());
    }
    let find = |name: &String| {
        super::set::described(name).ok_or_else(|| {
            let known: Vec<&str> = ALL.iter().map(|described| described.name).collect();
            RebuildError::Unknown { name: name.clone(), known: known.join(", ") }
        })
    };
    let mut found = names.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    found.sort_by_key(|described| ALL.iter().position(|all| all == described));
    found.dedup();
    Ok(found)
}
