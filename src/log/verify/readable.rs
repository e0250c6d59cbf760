//! What is left of a log that is damaged: every event that can be proved to be as it was written.
//!
//! A row is taken if its checksum fits, and each of its sections if its payloads fit theirs; all
//! else is left out and named. Names of chats and turns come from the log itself where it tells
//! them. Nothing is guessed, and nothing is repaired.

use std::fmt;
use std::sync::Arc;

use rusqlite::Connection;
use scrollback_schema::Seq;
use scrollback_schema::batch::{PayloadState, RowHead};

use super::PageError;
use super::chain::{self, Chain};
use super::files;
use super::finding::{Finding, Span};
use super::skip::{is_busy, unreadable_from};
use crate::log::archive::SegmentError;
use crate::log::offline::{OfflineError, OfflineLog};
use crate::log::reader::{Flow, Names, Row, Store, rows_after};
use crate::log::witness::Witnessed;
use crate::log::{PageLimits, Section};

/// Seqs that are not passed on, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The seqs; the last is [`Seq::MAX`] if the log cannot be read from there to its end.
    pub span: Span,
    /// What is wrong with them.
    pub why: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LeftOut { span, why } = self;
        match span.last {
            Seq::MAX => write!(f, "seq {} and after: {why}", span.first),
            _ => write!(f, "{span}: {why}"),
        }
    }
}

/// A piece of the log, and what of it is left out.
#[derive(Debug, Default)]
pub struct Passage {
    /// What is whole, in order.
    pub sections: Vec<Arc<Section>>,
    /// What is not, in order.
    pub left_out: Vec<LeftOut>,
}

/// Reads a log from its beginning to its end, around what is damaged.
#[derive(Debug)]
pub struct ReadablePages {
    chain: Chain,
    names: Names,
    witnessed: Option<Witnessed>,
    /// The seq that is due: everything before it was passed on or left out.
    due: Seq,
    /// A row that does not fit; what comes next says where it ends, and may prove it whole.
    doubtful: Option<Doubtful>,
    head: Seq,
    is_over: bool,
}

struct Doubtful {
    row: Row,
    why: String,
    /// The checksum that it should have.
    computed: Option<u32>,
}

impl fmt::Debug for Doubtful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doubtful").field("first_seq", &self.row.head.first_seq).finish()
    }
}

impl ReadablePages {
    /// Begins at the beginning, and goes on to the head that the log has now, if it can be told.
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if the directory cannot be looked at.
    pub fn new(log: &mut OfflineLog) -> Result<ReadablePages, OfflineError> {
        let witnessed = files::read_witness(log.dir())?;
        let head = match log.head() {
            Ok(head) => head,
            Err(OfflineError::Read(_)) => Seq::MAX,
            Err(error) => return Err(error),
        };
        Ok(ReadablePages {
            chain: Chain::new(),
            names: Names::default(),
            witnessed,
            due: Seq::ZERO.next(),
            doubtful: None,
            head,
            is_over: false,
        })
    }

    /// Reads on; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if it may not be read; damage is no error.
    pub fn next(
        &mut self,
        log: &mut OfflineLog,
        limits: PageLimits,
    ) -> Result<Option<Passage>, OfflineError> {
        if self.is_over {
            return Ok(None);
        }
        let (mut passage, due) = (Passage::default(), self.due);
        match log.read_once(|store| self.page(store, limits, &mut passage))? {
            Ok(()) if self.due == due => self.end(log, &mut passage)?,
            Ok(()) => {}
            Err(PageError::Archive(error)) => self.skip_archived(&error, &mut passage),
            Err(PageError::Row(error) | PageError::Tables(error)) => match is_busy(&error) {
                true => return Err(error.into()),
                false => self.skip(log, &error, &mut passage)?,
            },
        }
        Ok(Some(passage))
    }

    fn page(
        &mut self,
        store: Store<'_>,
        limits: PageLimits,
        passage: &mut Passage,
    ) -> Result<(), PageError> {
        let (mut filled, mut n_taken) = (limits.start(), 0);
        rows_after::<PageError>(store, self.due.prev(), |row| {
            if self.due > self.head || filled.is_full() {
                return Ok(Flow::Stop);
            }
            self.row(store.db, row, passage);
            passage.sections[n_taken..].iter().for_each(|section| filled.add(section));
            n_taken = passage.sections.len();
            Ok(Flow::Go)
        })
    }

    fn row(&mut self, db: &Connection, mut row: Row, passage: &mut Passage) {
        // A key that is damaged leaves a hole in front of the row; the checksum knows its place.
        let in_place = RowHead { first_seq: self.due, ..row.head };
        if self.doubtful.is_none() && self.chain.fits(&in_place, row.checksum, &row.records) {
            row.head = in_place;
        }
        // Where a doubtful row ends is not known from itself.
        self.chain.next = if self.doubtful.is_some() { row.head.first_seq } else { self.due };
        let mut findings = Vec::new();
        let mut found = |finding| findings.push(finding);
        let fits = self.chain.row(&row.head, row.checksum, &row.records, &mut found);
        // A hole in front of it says nothing about the row, nor does a time that is as written.
        let doubt = findings
            .into_iter()
            .find(|f| !matches!(f, Finding::Gap { .. } | Finding::TimeRunsBack { .. }));
        if fits && doubt.is_none() && (self.due..=self.head).contains(&row.head.first_seq) {
            self.settle(db, row.head.first_seq, passage);
            self.take(db, &row, passage);
            return;
        }
        let before = self.doubtful.take().map(|doubtful| doubtful.why);
        let span = Span { first: row.head.first_seq, last: row.head.last_seq() };
        let why = || doubt.unwrap_or(Finding::Overlap { span }).to_string();
        let computed = self.chain.computed();
        self.doubtful = Some(Doubtful { why: before.unwrap_or_else(why), row, computed });
    }

    /// Takes the doubtful row if the next one proves it whole; leaves out what is due in front of
    /// the next one.
    fn settle(&mut self, db: &Connection, next: Seq, passage: &mut Passage) {
        let doubtful = self.doubtful.take();
        if let Some(Doubtful { row, .. }) = &doubtful
            && self.chain.vouches_for_the_one_before()
            && row.head.first_seq == self.due
            && row.head.last_seq().next() == next
        {
            self.take(db, row, passage);
        }
        if next > self.due {
            let span = Span { first: self.due, last: next.prev() };
            let gap = || Finding::Gap { span }.to_string();
            passage.leave_out(span, &doubtful.map_or_else(gap, |doubtful| doubtful.why));
            self.due = next;
        }
    }

    /// Passes on the sections of a row that fits.
    fn take(&mut self, db: &Connection, row: &Row, passage: &mut Passage) {
        for (span, section) in chain::walk(&row.head, &row.records) {
            if section.payload_state() == PayloadState::Damaged {
                passage.leave_out(span, &Finding::Payload { span }.to_string());
                continue;
            }
            let taken = self.names.sections_of(
                db,
                row,
                |_, first, _| first == span.first,
                |section| passage.sections.push(section),
            );
            if let Err(error) = taken {
                passage.leave_out(span, &error.to_string());
            }
        }
        self.due = row.head.last_seq().next();
    }

    /// Goes on behind rows that SQLite cannot read.
    fn skip(
        &mut self,
        log: &mut OfflineLog,
        error: &rusqlite::Error,
        passage: &mut Passage,
    ) -> Result<(), OfflineError> {
        let doubtful = self.doubtful.take().map(|doubtful| doubtful.row.head.last_seq());
        let behind = doubtful.filter(|last| (self.due..self.head).contains(last));
        let first = behind.map_or(self.due, Seq::next);
        let last = unreadable_from(log, first, self.head)?.last;
        let span = Span { first: self.due, last };
        let cause = error.to_string();
        passage.leave_out(span, &Finding::Unreadable { span, cause }.to_string());
        self.is_over = last == Seq::MAX;
        self.due = last.next();
        self.chain.skip_to(self.due);
        Ok(())
    }

    /// Goes on behind what a file of the archive does not give.
    fn skip_archived(&mut self, error: &SegmentError, passage: &mut Passage) {
        self.doubtful = None;
        let span = Span { first: self.due, last: error.span().1 };
        passage.leave_out(span, &Finding::of_segment(span, error).to_string());
        self.due = span.last.next();
        self.chain.skip_to(self.due);
    }

    /// Nothing comes any more: what the last row is, the witness can tell.
    fn end(&mut self, log: &mut OfflineLog, passage: &mut Passage) -> Result<(), OfflineError> {
        self.is_over = true;
        let doubtful = self.doubtful.take();
        if let Some(Doubtful { row, computed, .. }) = &doubtful
            && let Some(witnessed) = self.witnessed
            && witnessed.head == row.head.last_seq()
            && *computed == Some(witnessed.checksum)
            && row.head.first_seq == self.due
        {
            log.read_once::<_, rusqlite::Error>(|store| {
                self.take(store.db, row, passage);
                Ok(())
            })??;
        }
        let last = match &doubtful {
            _ if self.head < Seq::MAX => self.head,
            Some(doubtful) => doubtful.row.head.last_seq(),
            None => Seq::ZERO,
        };
        // The witness was read before the head, so what it knows and the log does not is lost.
        let last = last.max(self.witnessed.map_or(Seq::ZERO, |witnessed| witnessed.head));
        if self.due <= last {
            let span = Span { first: self.due, last };
            let gap = || Finding::Gap { span }.to_string();
            passage.leave_out(span, &doubtful.map_or_else(gap, |doubtful| doubtful.why));
        }
        Ok(())
    }
}

impl Passage {
    /// Leaves some seqs out; what a finding says in front of its first colon is where it is.
    fn leave_out(&mut self, span: Span, why: &str) {
        let is_place = |(place, _): &(&str, &str)| place.starts_with("seq ");
        let (_, why) = why.split_once(": ").filter(is_place).unwrap_or(("", why));
        self.left_out.push(LeftOut { span, why: why.to_owned() });
    }
}
