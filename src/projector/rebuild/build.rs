//! Folding a log into files that nobody reads yet.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use scrollback_projections::Description;
use scrollback_schema::Seq;

use super::{RebuildError, Stopped};
use crate::log::{PageLimits, Scope};
use crate::projector::file::{Expected, OpenFileError, Purpose, Unfit, ViewFile};
use crate::projector::fold::ViewFold;
use crate::projector::page::{FoldOn, ReadsTable, show_page};
use crate::projector::set::rebuild_fold;
use crate::projector::source::Source;

/// Unsaved rows after which a build writes. Nobody waits for its rows, so that it writes them in
/// few, large transactions.
const UNSAVED_ROWS_MAX: usize = 100_000;

/// Bytes of folded payloads after which it writes, likewise.
const UNSAVED_BYTES_MAX: usize = 64 << 20;

/// A view that is being built.
pub(super) struct Builder {
    file: ViewFile,
    fold: Box<dyn ViewFold>,
    reads: ReadsTable,
}

impl Builder {
    /// Goes on with the file at `path`, or begins it anew.
    pub(super) fn resume(
        path: &Path,
        description: Description,
        source: &Arc<dyn Source>,
    ) -> Result<Builder, RebuildError> {
        let expected = Expected { description, log_id: source.log_id(), head: source.head()? };
        let file = match ViewFile::open(path, &expected) {
            Ok(file) => {
                let seq = file.checkpoint().get();
                tracing::info!(projection = description.name, seq, "going on with a rebuild");
                file
            }
            Err(OpenFileError::Open(error)) => return Err(error.into()),
            Err(OpenFileError::Unfit(reason)) => {
                if !matches!(reason, Unfit::Missing) {
                    let projection = description.name;
                    tracing::info!(projection, %reason, "starting a rebuild over");
                }
                ViewFile::create(path, &expected)?
            }
        };
        let mut fold = rebuild_fold(description.name, source);
        let parked = file.parked().map_err(|error| RebuildError::View {
            projection: description.name,
            source: Box::new(error),
        })?;
        fold.reset(parked);
        let reads = ReadsTable::of(&*fold);
        Ok(Builder { file, fold, reads })
    }

    /// The last event that its file reflects.
    pub(super) const fn checkpoint(&self) -> Seq {
        self.file.checkpoint()
    }

    /// Its file.
    pub(super) const fn db(&self) -> &Connection {
        self.file.db()
    }

    fn projection(&self) -> &'static str {
        self.fold.description().name
    }

    fn commit(&mut self, through: Seq) -> Result<(), Stopped> {
        let projection = self.projection();
        let Builder { file, fold, .. } = self;
        file.commit(through, Purpose::Rebuild, |tx| fold.save(tx))
            .map_err(RebuildError::view(projection))?;
        if file.path().exists() { Ok(()) } else { Err(Stopped::FileGone) }
    }

    /// Leaves one file, whose every byte is on the disk.
    pub(super) fn finish(self) -> Result<(), RebuildError> {
        let projection = self.projection();
        self.file.close().map_err(|error| RebuildError::view(projection)(error.into()))
    }
}

/// Folds the log up to `until` into every file that is not as far; each event is decoded once.
///
/// # Errors
///
/// [`Stopped`]; what was committed is gone on with by the next rebuild.
pub(super) fn run(
    builders: &mut [Builder],
    source: &dyn Source,
    until: Seq,
    page: PageLimits,
    report: &dyn Fn(Seq) -> ControlFlow<()>,
) -> Result<(), Stopped> {
    let mut through = builders.iter().map(Builder::checkpoint).min().unwrap_or(until);
    let mut unsaved_bytes = 0;
    while through < until {
        let page = source.page(&Scope::All, through, until, page)?;
        let names: Vec<&'static str> = builders.iter().map(Builder::projection).collect();
        let mut folds: Vec<FoldOn<'_>> = builders
            .iter_mut()
            .map(|builder| FoldOn {
                after: builder.file.checkpoint(),
                db: builder.file.db(),
                fold: &mut *builder.fold,
                reads: &builder.reads,
            })
            .collect();
        let to = page.through.min(until);
        let shown = show_page(&mut folds, &page, through, to)
            .map_err(|(index, error)| RebuildError::view(names[index])(error))?;
        through = to;
        unsaved_bytes += shown.bytes;
        let n_unsaved = builders.iter().map(|builder| builder.fold.n_unsaved()).max();
        if n_unsaved > Some(UNSAVED_ROWS_MAX) || unsaved_bytes > UNSAVED_BYTES_MAX {
            commit(builders, through)?;
            unsaved_bytes = 0;
        }
        if report(through).is_break() {
            return Err(Stopped::Failed(RebuildError::Stopped));
        }
    }
    commit(builders, until)
}

fn commit(builders: &mut [Builder], through: Seq) -> Result<(), Stopped> {
    let behind = |builder: &&mut Builder| builder.checkpoint() < through;
    builders.iter_mut().filter(behind).try_for_each(|builder| builder.commit(through))
}
