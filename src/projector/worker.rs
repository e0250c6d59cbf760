//! One named thread a projection: read a page, fold it, write rows and checkpoint together.
//!
//! What makes it cheap under load is that it lingers: it is woken some milliseconds after the log
//! has grown, so that a row that many events touch is written once. Readers do not wait for it,
//! they fold what is newer on top.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use scrollback_projections::Description;
use scrollback_schema::{ChatRef, Seq};

use super::file::{Expected, OpenFileError, Purpose, ViewFile};
use super::fold::ViewFold;
use super::names::{Names, has_wal, remove_db, rename_db};
use super::page::{FoldOn, ReadsTable, Shown, show_page};
use super::source::{PAGE, Source, SourceError};
use super::store::StoreError;
use super::view::{LiveFile, Position, View, Wake};
use super::{Parked, StateError};
use crate::clock::Clock;
use crate::fault::Cause;
use crate::log::{Log, Scope};
use crate::sqlite::OpenDbError;

/// How often a worker looks for a rebuilt file while nothing else wakes it.
const IDLE_WAIT: Duration = Duration::from_secs(1);

/// How long it waits after a failure, at first and at most; doubled each time.
const RETRY_WAIT_MIN: Duration = Duration::from_millis(100);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

/// Panics in a row after which a worker ends: with the waits in between, some seconds.
const PANICS_MAX: u32 = 6;

/// How long it waits for a reader that is in the way of cutting the WAL.
const PURGE_WAIT: Duration = Duration::from_millis(5);

/// Unsaved rows after which it writes: bounds what a crash has to fold again, and memory.
pub(crate) const UNSAVED_ROWS_MAX: usize = 50_000;

/// Bytes of folded payloads after which it writes, likewise.
pub(crate) const UNSAVED_BYTES_MAX: usize = 16 << 20;

/// Events that concern nobody after which the checkpoint is moved on nevertheless, so that a start
/// does not read them again.
const UNWRITTEN_EVENTS_MAX: u64 = 100_000;

/// What all workers of a data directory share.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) log: Log,
    pub(crate) clock: Clock,
    pub(crate) data_dir: PathBuf,
}

/// Makes a fold that has read nothing yet.
pub(crate) type MakeFold = Box<dyn Fn() -> Box<dyn ViewFold> + Send>;

/// The worker of one projection.
pub(crate) struct Worker {
    pub(super) context: Context,
    pub(super) names: Names,
    pub(super) view: Arc<View>,
    pub(super) make_fold: MakeFold,
    pub(super) reads: ReadsTable,
    pub(super) live: Live,
    /// Chats of which was said that they are parked, and before which event.
    told: HashSet<(Seq, Seq)>,
    /// Whether its fault is raised.
    pub(super) is_failing: bool,
}

/// A view file and the fold on top of it.
pub(super) struct Live {
    pub(super) file: ViewFile,
    pub(super) generation: u32,
    pub(super) fold: Box<dyn ViewFold>,
    /// Every event up to here was folded.
    pub(super) seen: Seq,
    /// Bytes folded since the last commit.
    pub(super) unsaved_bytes: usize,
}

/// What stops a worker for now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Open(#[from] OpenDbError),
    #[error("the view files could not be looked at")]
    Files(#[from] std::io::Error),
    #[error("the view file was found damaged")]
    FoundDamaged,
    #[error("the worker panicked")]
    Panicked,
}

/// How a worker came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "who panicked has to be told of"]
pub(crate) enum Ended {
    /// It was asked to.
    Asked,
    /// It panicked again and again.
    Panicked,
}

impl From<StateError> for WorkError {
    fn from(error: StateError) -> WorkError {
        WorkError::Store(error.into())
    }
}

impl WorkError {
    /// Whether the file has to be made anew. It has to after a failed sync as well: the system may
    /// have forgotten what was written, and the file would lack it one day.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            _ if self.cause() == Cause::SyncFailed => true,
            WorkError::Store(error) => error.is_damage(),
            WorkError::FoundDamaged => true,
            WorkError::Open(OpenDbError::Sqlite { source, .. }) => crate::sqlite::is_damage(source),
            _ => false,
        }
    }

    pub(super) fn cause(&self) -> Cause {
        match self {
            WorkError::Panicked | WorkError::Store(StoreError::Panicked { .. }) => Cause::Panicked,
            error => Cause::of(error),
        }
    }

    /// The event whose fold panicked.
    pub(super) fn panicked_at(&self) -> Option<(&ChatRef, Seq)> {
        match self {
            WorkError::Store(StoreError::Panicked { chat, seq }) => Some((chat, *seq)),
            _ => None,
        }
    }
}

impl Live {
    pub(super) fn new(
        file: ViewFile,
        generation: u32,
        mut fold: Box<dyn ViewFold>,
    ) -> Result<Live, StateError> {
        fold.reset(file.parked()?);
        let seen = file.checkpoint();
        Ok(Live { file, generation, fold, seen, unsaved_bytes: 0 })
    }

    /// Folds everything up to `until`, and saves when there is much; whether it got there.
    pub(super) fn fold_until(
        &mut self,
        source: &dyn Source,
        reads: &ReadsTable,
        view: &View,
        until: Seq,
        mut progress: impl FnMut(&mut Live, &Shown),
    ) -> Result<bool, WorkError> {
        while self.seen < until {
            if view.is_stopping() {
                return Ok(false);
            }
            let page = source.page(&Scope::All, self.seen, until, PAGE)?;
            let after = self.seen;
            let mut folds = [FoldOn { fold: &mut *self.fold, db: self.file.db(), after, reads }];
            let shown = show_page(&mut folds, &page, after, page.through.min(until))
                .map_err(|(_, error)| error)?;
            self.seen = page.through.min(until);
            self.unsaved_bytes += shown.bytes;
            if self.fold.n_unsaved() > UNSAVED_ROWS_MAX || self.unsaved_bytes > UNSAVED_BYTES_MAX {
                self.commit()?;
            }
            progress(self, &shown);
        }
        Ok(true)
    }

    /// Writes what is unsaved, and the checkpoint.
    pub(super) fn commit(&mut self) -> Result<(), WorkError> {
        let Live { file, fold, .. } = self;
        file.commit(self.seen, Purpose::Live, |tx| fold.save(tx))?;
        self.unsaved_bytes = 0;
        Ok(())
    }

    /// How far it is, as readers are to see it.
    pub(super) fn position(&self, purged: Seq) -> Position {
        let committed = self.file.checkpoint();
        let seen = if self.fold.n_unsaved() == 0 { self.seen } else { committed };
        Position { committed, seen, purged }
    }
}

impl Worker {
    /// Opens the projection's file, or makes it anew where it is missing, outdated, damaged or of
    /// another log, and shows it to readers.
    ///
    /// # Errors
    ///
    /// [`WorkError`] if the machine does not let it.
    pub(crate) fn start(
        context: Context,
        view: Arc<View>,
        make_fold: MakeFold,
    ) -> Result<Worker, WorkError> {
        let names = Names::new(&context.data_dir, view.description().name);
        let (file, generation) = choose_file(&context.log, &names, view.description())?;
        let live = Live::new(file, generation, make_fold())?;
        let reads = ReadsTable::of(&*live.fold);
        view.set_live(LiveFile::open(live.file.path())?, live.position(Seq::ZERO));
        view.advance(live.position(Seq::ZERO), Some(live.fold.parked()));
        let (told, is_failing) = (HashSet::new(), false);
        Ok(Worker { context, names, view, make_fold, reads, live, told, is_failing })
    }

    /// Works until it is asked to end; whether it got there, and did not panic too often.
    pub(crate) fn run(mut self) -> Ended {
        let mut retry_wait = RETRY_WAIT_MIN;
        let (mut has_retried, mut n_panics) = (false, 0);
        loop {
            let round = || match has_retried {
                true => self.round(),
                false => self.retry_parked().and_then(|()| self.round()),
            };
            let done = catch_unwind(AssertUnwindSafe(round)).unwrap_or(Err(WorkError::Panicked));
            let wait = match done {
                Ok(()) => {
                    (has_retried, n_panics, retry_wait) = (true, 0, RETRY_WAIT_MIN);
                    self.works_again();
                    if self.view.purge_wanted().is_some() { PURGE_WAIT } else { IDLE_WAIT }
                }
                Err(error) => {
                    n_panics += u32::from(matches!(error, WorkError::Panicked));
                    if n_panics > PANICS_MAX {
                        return Ended::Panicked;
                    }
                    // A chat that is parked since its fold panics stays so until the next start.
                    has_retried = has_retried || error.panicked_at().is_some();
                    self.recover(&error);
                    let wait = retry_wait;
                    retry_wait = (retry_wait * 2).min(RETRY_WAIT_MAX);
                    wait
                }
            };
            if self.view.wait_bell(wait) == Wake::Stop {
                break;
            }
        }
        self.end();
        Ended::Asked
    }

    /// Folds what the log had when it began, and writes it.
    fn round(&mut self) -> Result<(), WorkError> {
        if self.view.is_damaged() {
            return Err(WorkError::FoundDamaged);
        }
        self.take_over_next()?;
        let until = self.context.log.head();
        let began = self.live.file.checkpoint();
        let view = Arc::clone(&self.view);
        let parked = self.live.fold.parked().len();
        self.live.fold_until(&self.context.log, &self.reads, &view, until, |live, shown| {
            view.set_behind_since(shown.first_at);
            view.advance(live.position(view.position().purged), None);
        })?;
        let unwritten = self.live.seen.get() - self.live.file.checkpoint().get();
        let purge = self.view.purge_wanted().filter(|&seq| seq <= self.live.seen);
        if self.live.fold.n_unsaved() > 0
            || unwritten >= UNWRITTEN_EVENTS_MAX
            || purge.is_some_and(|seq| seq > self.live.file.checkpoint())
        {
            self.live.commit()?;
        } else {
            self.live.file.when_idle().map_err(StoreError::from)?;
        }
        let mut purged = self.view.position().purged;
        if let Some(seq) = purge
            && self.live.file.purge_wal().map_err(StoreError::from)?
        {
            purged = seq;
        }
        let now_parked = self.live.fold.parked().len();
        let has_changed = began != self.live.file.checkpoint() || parked != 0 || now_parked != 0;
        let parked = has_changed.then(|| self.live.fold.parked());
        if let Some(parked) = &parked {
            self.tell_parked(parked);
        }
        self.view.advance(self.live.position(purged), parked);
        self.note_lag();
        Ok(())
    }

    fn note_lag(&self) {
        let is_behind = || self.context.log.head() > self.live.seen;
        if is_behind() {
            self.view.note_behind(self.context.clock.now());
            return;
        }
        self.view.set_behind_since(None);
        // The log may have grown between the two, and the one who says so have come before.
        if is_behind() {
            self.view.note_behind(self.context.clock.now());
        }
    }

    /// Puts another file in the place of the live one, for readers and for the worker at once.
    pub(super) fn replace(&mut self, live: Live) -> Result<(), WorkError> {
        let file = LiveFile::open(live.file.path())?;
        let position = live.position(self.view.position().purged);
        // Closed before readers leave it, since the last of them removes it.
        drop(std::mem::replace(&mut self.live, live));
        self.view.set_live(file, position);
        self.view.advance(position, Some(self.live.fold.parked()));
        Ok(())
    }

    /// Folds the chats that are parked on from where they stand: this build may know how.
    fn retry_parked(&mut self) -> Result<(), WorkError> {
        let until = self.live.file.checkpoint();
        for parked in self.live.fold.parked() {
            let chat = parked.chat.created;
            self.live.fold.unpark(chat);
            let mut after = parked.seq.prev();
            while after < until {
                let page = self.context.log.page(&Scope::Chat(chat), after, until, PAGE)?;
                let (reads, db) = (&self.reads, self.live.file.db());
                let mut folds = [FoldOn { fold: &mut *self.live.fold, db, after, reads }];
                show_page(&mut folds, &page, after, until).map_err(|(_, error)| error)?;
                after = page.through.max(after.next());
            }
            self.live.commit()?;
            self.log_retried(&parked);
        }
        let parked = self.live.fold.parked();
        self.tell_parked(&parked);
        self.view.advance(self.live.position(Seq::ZERO), Some(parked));
        Ok(())
    }

    /// Says once of each chat that stands still why it does.
    fn tell_parked(&mut self, parked: &[Parked]) {
        let place = |parked: &Parked| (parked.chat.created, parked.seq);
        self.told.retain(|told| parked.iter().any(|parked| place(parked) == *told));
        for parked in parked {
            if self.told.insert(place(parked)) {
                tracing::warn!(
                    projection = self.view.description().name,
                    chat_id = %parked.chat.id,
                    seq = parked.seq.get(),
                    cause = parked.cause,
                    "a chat is parked before an event that cannot be applied; others go on"
                );
            }
        }
    }

    fn log_retried(&self, before: &Parked) {
        let chat = before.chat.created;
        if !self.live.fold.parked().iter().any(|parked| parked.chat.created == chat) {
            tracing::info!(
                projection = self.view.description().name,
                chat_id = %before.chat.id,
                seq = before.seq.get(),
                "a parked chat goes on"
            );
        }
    }

    /// Saves how far it is and leaves one file.
    fn end(mut self) {
        let projection = self.view.description().name;
        let saved = self.live.commit();
        let closed = self.live.file.close();
        if let (Err(error), _) | (Ok(()), Err(error)) =
            (saved, closed.map_err(|error| WorkError::Store(error.into())))
        {
            tracing::warn!(projection, error = %chain(&error), "a view was not left at its head");
        }
    }
}

/// What a file of this projection should say.
pub(super) fn expected(log: &Log, description: Description) -> Expected<'_> {
    Expected { description, log_id: log.log_id(), head: log.head() }
}

/// Opens the newest file that fits, under the plain name if it can be, and removes the others.
fn choose_file(
    log: &Log,
    names: &Names,
    description: Description,
) -> Result<(ViewFile, u32), WorkError> {
    let expected = expected(log, description);
    let projection = description.name;
    adopt_next(names)?;
    let mut chosen = None;
    for (generation, path) in names.live_files()? {
        if chosen.is_some() {
            remove_db(&path)?;
            continue;
        }
        match ViewFile::open(&path, &expected) {
            Ok(file) => chosen = Some((file, generation)),
            Err(OpenFileError::Open(error)) => return Err(error.into()),
            Err(OpenFileError::Unfit(reason)) => {
                tracing::warn!(projection, %reason, path = %path.display(), "removing a view file");
                remove_db(&path)?;
            }
        }
    }
    let plain = names.live(0);
    match chosen {
        Some((file, 0)) => Ok((file, 0)),
        Some((file, generation)) => {
            let path = names.live(generation);
            file.close().map_err(StoreError::from)?;
            let (path, generation) = if has_wal(&path) {
                (path, generation)
            } else {
                rename_db(&path, &plain)?;
                (plain, 0)
            };
            match ViewFile::open(&path, &expected) {
                Ok(file) => Ok((file, generation)),
                Err(OpenFileError::Open(error)) => Err(error.into()),
                Err(OpenFileError::Unfit(_)) => {
                    Ok((ViewFile::create(&path, &expected)?, generation))
                }
            }
        }
        None => {
            tracing::info!(projection, seq = expected.head.get(), "building a view from the log");
            Ok((ViewFile::create(&plain, &expected)?, 0))
        }
    }
}

/// Makes a rebuilt file that no server took over the newest live one.
fn adopt_next(names: &Names) -> Result<(), std::io::Error> {
    let next = names.next();
    if !next.exists() {
        return Ok(());
    }
    if has_wal(&next) {
        return remove_db(&next);
    }
    let newest = names.live_files()?.first().map_or(0, |&(generation, _)| generation);
    rename_db(&next, &names.live(newest + 1))
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line.push_str(": ");
        line.push_str(&error.to_string());
        source = error.source();
    }
    line
}
