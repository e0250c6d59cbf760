//! Where events come from: the open log of a server, or the log of a data directory at rest.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use scrollback_schema::Seq;

use crate::log::offline::{OfflineError, OfflineLog};
use crate::log::{Log, Page, PageLimits, ReadError, Scope};

/// Events of one page: so many that the cost of a page is lost in that of its events.
const EVENTS_A_PAGE: usize = 65_536;

/// Payload bytes of one page.
const BYTES_A_PAGE: usize = 4 << 20;

/// The bounds of the pages that folds read.
pub(crate) const PAGE: PageLimits = PageLimits { events: EVENTS_A_PAGE, bytes: BYTES_A_PAGE };

/// Why events cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The open log says why.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log at rest says why.
    #[error(transparent)]
    Offline(#[from] OfflineError),
}

/// A log that can be read on this thread.
pub(crate) trait Source: Send + Sync {
    /// Names the log.
    fn log_id(&self) -> &str;

    /// The last committed event, as of now.
    fn head(&self) -> Result<Seq, SourceError>;

    /// What of `scope` is in (`after`, `until`], as far as a page goes.
    fn page(
        &self,
        scope: &Scope,
        after: Seq,
        until: Seq,
        limits: PageLimits,
    ) -> Result<Page, SourceError>;
}

impl Source for Log {
    fn log_id(&self) -> &str {
        self.log_id()
    }

    fn head(&self) -> Result<Seq, SourceError> {
        Ok(self.head())
    }

    fn page(
        &self,
        scope: &Scope,
        after: Seq,
        until: Seq,
        limits: PageLimits,
    ) -> Result<Page, SourceError> {
        Ok(self.read_blocking(scope, after, until, limits)?)
    }
}

/// A log that somebody else serves, or nobody.
struct Offline {
    log_id: String,
    log: Mutex<OfflineLog>,
}

/// The log of a data directory, read beside a server or without one.
///
/// # Errors
///
/// [`SourceError`] if there is none, or it cannot be read.
pub(crate) fn offline(data_dir: &Path) -> Result<Arc<dyn Source>, SourceError> {
    let log = OfflineLog::open(data_dir)?;
    Ok(Arc::new(Offline { log_id: log.log_id().to_owned(), log: Mutex::new(log) }))
}

impl Source for Offline {
    fn log_id(&self) -> &str {
        &self.log_id
    }

    fn head(&self) -> Result<Seq, SourceError> {
        Ok(self.log.lock().unwrap_or_else(PoisonError::into_inner).head()?)
    }

    fn page(
        &self,
        scope: &Scope,
        after: Seq,
        until: Seq,
        limits: PageLimits,
    ) -> Result<Page, SourceError> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(log.page(scope, after, until, limits)?)
    }
}
