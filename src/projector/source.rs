//! Where events come from: the open log of a server, or the log of a data directory at rest.

use scrollback_schema::Seq;

use crate::log::{Log, Page, PageLimits, ReadError, Scope};

/// Events of one page: a few megabytes, so that the cost of a page is lost in that of its events.
const EVENTS_A_PAGE: usize = 65_536;

/// Payload bytes of one page.
const BYTES_A_PAGE: usize = 4 << 20;

/// The bounds of the pages that folds read.
pub(crate) const PAGE: PageLimits = PageLimits { events: EVENTS_A_PAGE, bytes: BYTES_A_PAGE };

/// Why events cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The log says why.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A log that can be read on this thread.
pub(crate) trait Source: Send + Sync {
    /// What of `scope` is in (`after`, `until`], as far as a page goes.
    fn page(&self, scope: &Scope, after: Seq, until: Seq) -> Result<Page, SourceError>;
}

impl Source for Log {
    fn page(&self, scope: &Scope, after: Seq, until: Seq) -> Result<Page, SourceError> {
        Ok(self.read_blocking(scope, after, until, PAGE)?)
    }
}
