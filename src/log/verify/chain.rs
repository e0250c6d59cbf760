//! What a row says about itself: dense seqs, the chain of checksums, payloads, time.
//!
//! Pure: it sees one row after the other and remembers the last. Whether the events were allowed is
//! left to `rules`.

use scrollback_schema::Millis;
use scrollback_schema::Seq;
use scrollback_schema::batch::{PayloadState, RowHead, SectionView, row_checksum, sections};

use super::finding::{Finding, Span};

/// What is remembered of the rows so far.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    /// The seq that the next row has to start with.
    pub(crate) next: Seq,
    /// What the next row may be chained to; nothing where the row before could not be read.
    previous: Option<Link>,
    at: Millis,
    /// The last row fits the one in front only as that one should be: what is damaged of that is
    /// its checksum alone.
    vouches: bool,
}

/// The checksum of a row as it is stored, and as it should be.
#[derive(Debug, Clone, Copy)]
struct Link {
    stored: u32,
    computed: u32,
}

impl Chain {
    /// Before the first row.
    pub(crate) fn new() -> Chain {
        let start = Link { stored: 0, computed: 0 };
        Chain {
            next: Seq::ZERO.next(),
            previous: Some(start),
            at: Millis::default(),
            vouches: false,
        }
    }

    /// Goes on behind rows that could not be read.
    pub(crate) fn skip_to(&mut self, next: Seq) {
        self.next = next;
        self.previous = None;
    }

    /// Whether the last row proves that the one in front, whose checksum does not fit, is whole.
    pub(crate) const fn vouches_for_the_one_before(&self) -> bool {
        self.vouches
    }

    /// The checksum that the last row should have, if it can be told.
    pub(crate) fn computed(&self) -> Option<u32> {
        self.previous.map(|link| link.computed)
    }

    /// Whether a row fits the one in front just as it is.
    pub(crate) fn fits(&self, head: &RowHead, checksum: u32, records: &[u8]) -> bool {
        self.previous
            .is_some_and(|before| row_checksum(head, records, before.stored) == Ok(checksum))
    }

    /// Looks at a row; `true` if its records can be walked.
    pub(crate) fn row(
        &mut self,
        head: &RowHead,
        checksum: u32,
        records: &[u8],
        found: &mut dyn FnMut(Finding),
    ) -> bool {
        let span = Span { first: head.first_seq, last: head.last_seq() };
        if head.first_seq > self.next {
            found(Finding::Gap { span: Span { first: self.next, last: head.first_seq.prev() } });
            self.previous = None;
        } else if head.first_seq < self.next {
            let last = head.last_seq().min(self.next.prev());
            found(Finding::Overlap { span: Span { first: head.first_seq, last } });
            self.previous = None;
        }
        if head.at < self.at {
            found(Finding::TimeRunsBack { span, at: head.at, before: self.at });
        }
        self.at = self.at.max(head.at);
        self.next = self.next.max(head.last_seq().next());
        match self.checksum(head, checksum, records) {
            Ok(true) => true,
            Ok(false) => {
                found(Finding::Checksum { span });
                true
            }
            Err(cause) => {
                found(Finding::Records { span, cause });
                // What can be walked of it ends within: nothing of it is used.
                false
            }
        }
    }

    /// Whether the checksum fits, moving the chain on.
    fn checksum(
        &mut self,
        head: &RowHead,
        stored: u32,
        records: &[u8],
    ) -> Result<bool, scrollback_schema::batch::BatchError> {
        let previous = self.previous.take();
        self.vouches = false;
        // If this row cannot be walked, the next one can still be chained to what is stored.
        self.previous = Some(Link { stored, computed: stored });
        let Some(previous) = previous else {
            row_checksum(head, records, 0)?;
            return Ok(true);
        };
        let computed = row_checksum(head, records, previous.stored)?;
        self.previous = Some(Link { stored, computed });
        if computed == stored {
            return Ok(true);
        }
        // The stored checksum of the row before may be the damaged one, which was found there.
        if previous.computed == previous.stored {
            return Ok(false);
        }
        let computed = row_checksum(head, records, previous.computed)?;
        self.previous = Some(Link { stored, computed });
        self.vouches = computed == stored;
        Ok(self.vouches)
    }
}

/// Whom a row's events belong to is read from sections; this walks those that can be walked.
pub(crate) fn walk<'r>(
    head: &RowHead,
    records: &'r [u8],
) -> impl Iterator<Item = (Span, SectionView<'r>)> {
    let mut first = head.first_seq;
    sections(records).map_while(Result::ok).map(move |section| {
        let span = Span { first, last: first.plus(section.n_events).prev() };
        first = span.last.next();
        (span, section)
    })
}

/// What a section's payloads are, as a finding where they are neither whole nor erased.
pub(crate) fn payloads(
    span: Span,
    section: &SectionView<'_>,
    found: &mut dyn FnMut(Finding),
) -> PayloadState {
    let state = section.payload_state();
    if state == PayloadState::Damaged {
        found(Finding::Payload { span });
    }
    state
}
