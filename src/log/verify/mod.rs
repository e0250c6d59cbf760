//! Proves that a log is whole, or says what is wrong with it, where, and what to do.
//!
//! One pass over the rows in short read transactions: `chain` looks at each row, `rules` at what
//! the events say together, `agree` at the writer's tables, `files` at the files. Memory does not
//! grow with the log. Nothing is written. The views are not looked at: they are disposable, and
//! `rebuild --check` compares them. `whole` is the first part of it, for those who read on,
//! `readable` the same for those who take what is left.

mod agree;
mod chain;
mod files;
mod finding;
mod readable;
mod rules;
mod skip;
mod whole;

use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::Connection;
use scrollback_schema::Seq;
use scrollback_schema::limits::PAGE_BYTES_MAX;

pub use finding::{Finding, Span, Table};
pub use readable::{LeftOut, Passage, ReadablePages};
pub use whole::{WholePageError, WholePages};

use super::archive::SegmentError;
use super::offline::{OfflineError, OfflineLog};
use super::reader::{Flow, Row, Store, head_of, rows_after};
use super::witness::Witnessed;
use chain::Chain;
use files::Extent;
use rules::{Place, Rules};
use skip::{is_busy, unreadable_from};

/// What the one who asked is told while it goes on.
#[derive(Debug)]
pub enum Progress<'a> {
    /// The log was opened; it ends at `head`, up to which it is verified.
    Began {
        /// The last seq.
        head: Seq,
    },
    /// Everything up to `seq` was looked at.
    Reached {
        /// The last seq that was.
        seq: Seq,
    },
    /// Every event was looked at; SQLite's own check begins.
    CheckingFile,
    /// Something is wrong.
    Found(&'a Finding),
}

/// What was verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// The last seq.
    pub head: Seq,
    /// Rows of the log.
    pub n_rows: u64,
    /// Events in them.
    pub n_events: u64,
    /// Chats that were created.
    pub n_chats: u64,
    /// Turns that were started.
    pub n_turns: u64,
    /// Turns that have no end yet.
    pub n_open_turns: u64,
    /// Events whose payload was erased with their chat.
    pub n_erased: u64,
    /// Events of kinds or versions that this program does not know.
    pub n_unknown: u64,
    /// What is wrong.
    pub n_findings: u64,
}

/// Who asked for it: is told of everything, and can end it.
pub type Watch<'w> = &'w mut dyn FnMut(Progress<'_>) -> ControlFlow<()>;

/// Verifies the log of a data directory up to the head that it has now.
///
/// Beside a running server the writer's tables and the rows are compared as of the same moment, and
/// SQLite's own check leaves out what was read anyway.
///
/// # Errors
///
/// [`OfflineError`] if there is no log or it may not be read; damage is no error but a finding.
pub fn verify(dir: &Path, watch: Watch<'_>) -> Result<Report, OfflineError> {
    let finding = match OfflineLog::open(dir) {
        Ok(mut log) => return verify_open(&mut log, watch),
        Err(OfflineError::CutShort { expected, found, .. }) => {
            Finding::Truncated { expected, found }
        }
        Err(OfflineError::Damaged { source, .. }) => Finding::Sqlite { detail: source.to_string() },
        Err(error) => return Err(error),
    };
    let _ = watch(Progress::Found(&finding));
    Ok(Report { n_findings: 1, ..Report::default() })
}

fn verify_open(log: &mut OfflineLog, watch: Watch<'_>) -> Result<Report, OfflineError> {
    let witnessed = files::read_witness(log.dir())?;
    let head = log.read_once(|store| head_of(store.db))?;
    let mut run = Run {
        watch,
        is_over: false,
        chain: Chain::new(),
        rules: Some(Rules::default()),
        report: Report::default(),
        head: Seq::MAX,
    };
    match head {
        Ok(head) => {
            run.head = head;
            run.tell(Progress::Began { head });
        }
        Err(error) => run.found(&Finding::Unreadable {
            span: Span { first: Seq::ZERO.next(), last: Seq::MAX },
            cause: error.to_string(),
        }),
    }
    run.rows(log)?;
    run.finish(log, witnessed)?;
    Ok(run.report)
}

/// A verification on its way.
struct Run<'w> {
    watch: Watch<'w>,
    is_over: bool,
    chain: Chain,
    /// Nothing once the writer's tables turned out to be unreadable.
    rules: Option<Rules>,
    report: Report,
    /// The last seq that is looked at.
    head: Seq,
}

/// Why a page of rows ended early.
pub(crate) enum PageError {
    /// A file of the archive cannot be read.
    Archive(SegmentError),
    /// A row cannot be read.
    Row(rusqlite::Error),
    /// The writer's tables cannot be read.
    Tables(rusqlite::Error),
}

impl From<rusqlite::Error> for PageError {
    fn from(error: rusqlite::Error) -> PageError {
        PageError::Row(error)
    }
}

impl From<SegmentError> for PageError {
    fn from(error: SegmentError) -> PageError {
        PageError::Archive(error)
    }
}

impl Run<'_> {
    fn tell(&mut self, progress: Progress<'_>) {
        if !self.is_over {
            self.is_over = (self.watch)(progress).is_break();
        }
    }

    fn found(&mut self, finding: &Finding) {
        self.report.n_findings += 1;
        self.tell(Progress::Found(finding));
    }

    fn rows(&mut self, log: &mut OfflineLog) -> Result<(), OfflineError> {
        while self.chain.next <= self.head && !self.is_over {
            let from = self.chain.next;
            match log.read_once(|store| self.page(store))? {
                // The head was read from the last row, so rows end before it only if it is unknown.
                Ok(()) if self.chain.next == from => break,
                Ok(()) => {}
                Err(PageError::Archive(error)) => self.skip_archived(&error),
                Err(PageError::Row(error)) if is_busy(&error) => return Err(error.into()),
                Err(PageError::Row(error)) => {
                    if !self.skip_unreadable(log, &error)? {
                        break;
                    }
                }
                Err(PageError::Tables(error)) => self.give_up_rules(&error),
            }
            let seq = self.chain.next.prev().min(self.head);
            self.tell(Progress::Reached { seq });
        }
        Ok(())
    }

    /// Looks at some rows in one transaction.
    fn page(&mut self, store: Store<'_>) -> Result<(), PageError> {
        let (after, mut n_bytes) = (self.chain.next.prev(), 0);
        rows_after::<PageError>(store, after, |row| {
            if row.head.first_seq > self.head {
                return Ok(Flow::Stop);
            }
            n_bytes += row.records.len();
            self.row(store.db, &row)?;
            Ok(if n_bytes >= PAGE_BYTES_MAX || self.is_over { Flow::Stop } else { Flow::Go })
        })
    }

    fn row(&mut self, db: &Connection, row: &Row) -> Result<(), PageError> {
        let mut findings = Vec::new();
        let mut found = |finding| findings.push(finding);
        let expected = self.chain.next;
        let can_be_walked = self.chain.row(&row.head, row.checksum, &row.records, &mut found);
        self.report.n_rows += 1;
        self.report.n_events += row.head.n_events;
        let mut result = Ok(());
        if let Some(rules) = &mut self.rules {
            if row.head.first_seq > expected {
                rules.lose(Span { first: expected, last: row.head.first_seq.prev() });
            }
            if !can_be_walked {
                rules.lose(Span { first: row.head.first_seq, last: row.head.last_seq() });
            }
        }
        if can_be_walked && row.head.first_seq >= expected {
            for (span, section) in chain::walk(&row.head, &row.records) {
                let payloads = chain::payloads(span, &section, &mut found);
                let place = Place { row: &row.head, span, payloads };
                if let Some(rules) = &mut self.rules
                    && let Err(error) = rules.section(db, place, &section, &mut found)
                {
                    result = Err(PageError::Tables(error));
                    break;
                }
            }
        }
        findings.iter().for_each(|finding| self.found(finding));
        result
    }

    /// Finds the first row after those that cannot be read, and goes on there; `false` if there is
    /// none.
    fn skip_unreadable(
        &mut self,
        log: &mut OfflineLog,
        error: &rusqlite::Error,
    ) -> Result<bool, OfflineError> {
        let span = unreadable_from(log, self.chain.next, self.head)?;
        self.found(&Finding::Unreadable { span, cause: error.to_string() });
        if let Some(rules) = &mut self.rules {
            rules.lose(span);
        }
        self.chain.skip_to(span.last.next());
        Ok(span.last < Seq::MAX)
    }

    /// Goes on behind what a file of the archive does not give.
    fn skip_archived(&mut self, error: &SegmentError) {
        let (first, last) = error.span();
        let span = Span { first: first.max(self.chain.next), last };
        self.found(&Finding::of_segment(span, error));
        if let Some(rules) = &mut self.rules {
            rules.lose(span);
        }
        self.chain.skip_to(last.next());
    }

    /// Goes on without the rules, which cannot be asked without the writer's tables.
    fn give_up_rules(&mut self, error: &rusqlite::Error) {
        self.rules = None;
        let detail = format!(
            "the writer's tables cannot be read, so rules and tables are not verified: {error}"
        );
        self.found(&Finding::Sqlite { detail });
    }

    fn finish(
        &mut self,
        log: &mut OfflineLog,
        witnessed: Option<Witnessed>,
    ) -> Result<(), OfflineError> {
        self.report.head = if self.head == Seq::MAX { Seq::ZERO } else { self.head };
        if let Some(rules) = &self.rules {
            self.report.n_chats = rules.tally.n_chats;
            self.report.n_turns = rules.tally.n_turns;
            self.report.n_erased = rules.tally.n_erased;
            self.report.n_unknown = rules.tally.n_unknown;
            self.report.n_open_turns = rules.left_open().1.count() as u64;
        }
        if self.is_over {
            return Ok(());
        }
        self.tell(Progress::CheckingFile);
        let (head, extent) = (self.report.head, extent(log));
        let mut findings = Vec::from_iter(files::length(log)?);
        let (rules, mut found) = (self.rules.take(), |finding| findings.push(finding));
        let checked = log.read_once::<_, PageError>(|store| {
            let head_now = head_of(store.db)?;
            files::definitions(store.db, &mut found)?;
            if let Some(rules) = &rules {
                agree::at_the_end(store, rules, head, head_now, &mut found)?;
            }
            if let Some(witnessed) = witnessed {
                files::head_witness(store, witnessed, head_now)?.into_iter().for_each(&mut found);
            }
            Ok(files::quick_check(store.db, extent, &mut found)?)
        })?;
        // What the archive does not give was found to be so before.
        if let Err(PageError::Row(error) | PageError::Tables(error)) = checked {
            findings.push(Finding::Sqlite { detail: error.to_string() });
        }
        findings.iter().for_each(|finding| self.found(finding));
        Ok(())
    }
}

fn extent(log: &OfflineLog) -> Extent {
    if log.is_at_rest() { Extent::All } else { Extent::SideTables }
}

#[cfg(test)]
mod tests;
