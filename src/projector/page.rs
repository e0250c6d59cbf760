//! A page of the log shown to folds: each event is decoded once, and only if one of them asks.

use rusqlite::Connection;
use scrollback_projections::Reads;
use scrollback_schema::codec::decode_payload;
use scrollback_schema::{Body, Millis, Recorded, Seq};

use super::fold::ViewFold;
use super::store::StoreError;
use crate::log::{Page, Section};

/// Stored kinds below this are looked up in a table; all that are known are.
const KINDS: usize = 128;

/// A fold, and the file that it goes on from.
pub(crate) struct FoldOn<'a> {
    /// The fold.
    pub(crate) fold: &'a mut dyn ViewFold,
    /// Its file.
    pub(crate) db: &'a Connection,
    /// Events up to here are in the file already.
    pub(crate) after: Seq,
    /// What the fold reads.
    pub(crate) reads: &'a ReadsTable,
}

/// What a fold reads, by stored kind.
#[derive(Debug, Clone)]
pub(crate) struct ReadsTable {
    known: Box<[Reads; KINDS]>,
    other: Reads,
}

impl ReadsTable {
    /// Asks a fold what it reads.
    pub(crate) fn of(fold: &dyn ViewFold) -> ReadsTable {
        let mut known = Box::new([Reads::Nothing; KINDS]);
        for (kind, reads) in (0..).zip(known.iter_mut()) {
            *reads = fold.reads(kind);
        }
        ReadsTable { known, other: fold.reads(u16::MAX) }
    }

    fn of_kind(&self, kind: u16) -> Reads {
        self.known.get(usize::from(kind)).copied().unwrap_or(self.other)
    }
}

/// What a page came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shown {
    /// Events of the page.
    pub(crate) n_events: u64,
    /// Bytes of the payloads that were decoded.
    pub(crate) bytes: usize,
    /// When the first of its events was committed, if it has one.
    pub(crate) first_at: Option<Millis>,
}

/// Shows the events of `page` in (`after`, `until`] to every fold that reads them.
///
/// # Errors
///
/// [`StoreError`], and the position of the fold whose file it is; its fold is then in doubt.
pub(crate) fn show_page(
    folds: &mut [FoldOn<'_>],
    page: &Page,
    after: Seq,
    until: Seq,
) -> Result<Shown, (usize, StoreError)> {
    let mut shown = Shown::default();
    for section in &page.sections {
        let events = section.events_in(after, until);
        shown.n_events += events.len() as u64;
        if shown.first_at.is_none() && !events.is_empty() {
            shown.first_at = Some(section.at());
        }
        shown.bytes += show_section(folds, section, events)?;
    }
    Ok(shown)
}

fn show_section(
    folds: &mut [FoldOn<'_>],
    section: &Section,
    events: std::ops::Range<usize>,
) -> Result<usize, (usize, StoreError)> {
    // One value for the whole section: its names are shared by threads, and counting who shares
    // them would cost more than most folds.
    let mut event: Option<Recorded> = None;
    let mut bytes = 0;
    for index in events {
        let (seq, kind) = (section.seq_at(index), section.kind_at(index));
        let mut is_shown = false;
        let mut undecodable = None;
        for (position, fold) in folds.iter_mut().enumerate() {
            let reads = fold.reads.of_kind(kind);
            if reads == Reads::Nothing || seq <= fold.after {
                continue;
            }
            let event = event.get_or_insert_with(|| section.head_only(index));
            if !is_shown {
                is_shown = true;
                event.seq = seq;
                event.body = Body::Unread { kind };
            }
            if reads == Reads::Body && matches!(event.body, Body::Unread { .. }) {
                let payload = section.payload_at(index);
                bytes += payload.len();
                match decode_payload(kind, section.version_at(index), payload) {
                    Ok(body) => event.body = body,
                    Err(error) => undecodable = Some(error),
                }
            }
            match (&undecodable, reads) {
                (Some(error), Reads::Body) => fold.fold.park(event, error.to_string()),
                _ => fold.fold.apply(fold.db, event).map_err(|error| (position, error))?,
            }
        }
    }
    Ok(bytes)
}
