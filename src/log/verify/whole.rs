//! Pages of the log that were looked at as `verify` looks at them: for those who pass events on.
//!
//! Only what a row says of itself is looked at. The rules of turns and the writer's tables do not
//! change what an event says; they are left to `verify` itself.

use scrollback_schema::Seq;

use super::chain::{self, Chain};
use super::finding::{Finding, Span};
use crate::log::offline::{OfflineError, OfflineLog};
use crate::log::reader::{Flow, rows_after};
use crate::log::{Page, PageLimits, ReadError};

/// Reads the log from its beginning, and no further than it is whole.
#[derive(Debug)]
pub struct WholePages {
    chain: Chain,
}

/// Why there is no further page.
#[derive(Debug, thiserror::Error)]
pub enum WholePageError {
    /// What comes next is damaged.
    #[error("{finding}; {}", finding.advice())]
    Damaged {
        /// What is wrong with it.
        finding: Box<Finding>,
    },
    /// It cannot be read.
    #[error(transparent)]
    Offline(#[from] OfflineError),
}

impl Default for WholePages {
    fn default() -> WholePages {
        WholePages { chain: Chain::new() }
    }
}

impl WholePages {
    /// The seq up to which pages were read.
    pub fn through(&self) -> Seq {
        self.chain.next.prev()
    }

    /// Reads on, at most to `until`: seqs are dense, checksums fit, time does not run back.
    ///
    /// A page ends in front of what is damaged, and the next one is refused.
    ///
    /// # Errors
    ///
    /// [`WholePageError`]; the next call comes to the same place.
    pub fn next(
        &mut self,
        log: &mut OfflineLog,
        until: Seq,
        limits: PageLimits,
    ) -> Result<Page, WholePageError> {
        let after = self.through();
        let (page, chain, finding) = log.read(|store, names| {
            // The read is done again if the file turns out not to be at rest.
            let (mut chain, mut finding) = (self.chain.clone(), None);
            let mut page = Page { sections: Vec::new(), through: until };
            let mut filled = limits.start();
            rows_after::<ReadError>(store, after, |row| {
                if row.head.first_seq > until {
                    return Ok(Flow::Stop);
                }
                if filled.is_full() {
                    page.through = row.head.first_seq.prev();
                    return Ok(Flow::Stop);
                }
                let before = chain.clone();
                let mut found = |what| {
                    finding.get_or_insert(what);
                };
                if chain.row(&row.head, row.checksum, &row.records, &mut found) {
                    for (span, section) in chain::walk(&row.head, &row.records) {
                        chain::payloads(span, &section, &mut found);
                    }
                }
                if finding.is_some() {
                    page.through = before.next.prev();
                    chain = before;
                    return Ok(Flow::Stop);
                }
                names.sections_of(
                    store.db,
                    &row,
                    |_, _, _| true,
                    |section| {
                        filled.add(&section);
                        page.sections.push(section);
                    },
                )?;
                Ok(Flow::Go)
            })?;
            Ok((page, chain, finding))
        })?;
        if chain.next.prev() == after {
            // Nothing was whole; where there was nothing at all, that is a hole.
            let hole = || Finding::Gap { span: Span { first: after.next(), last: until } };
            let finding = Box::new(finding.unwrap_or_else(hole));
            return Err(WholePageError::Damaged { finding });
        }
        self.chain = chain;
        Ok(page)
    }
}
