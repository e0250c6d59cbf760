//! A page of the log shown to folds: each event is decoded once, and only if one of them asks.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;
use scrollback_projections::Reads;
use scrollback_schema::codec::{CodecError, PAYLOAD_VERSION, decode_text};
use scrollback_schema::event::{AssistantText, AssistantThinking};
use scrollback_schema::{Body, Event, Kind, Millis, Recorded, Seq};

use super::fold::{Told, ViewFold};
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
    events: Range<usize>,
) -> Result<usize, (usize, StoreError)> {
    // One value for the whole section: its names are shared by threads, and counting who shares
    // them would cost more than most folds.
    let mut event: Option<Recorded> = None;
    let (mut bytes, mut next) = (0, events.start);
    while next < events.end {
        let mut run = Run::at(section, next, events.end);
        for fold in folds.iter() {
            run.end_after(section, fold.after);
        }
        bytes += show_run(folds, section, &mut run, &mut event)?;
        next = run.indices.end;
    }
    Ok(bytes)
}

/// Deltas of one kind in a row, told as one that joins their text; or any one event.
///
/// What follows from text does not depend on the deltas that it came in, and decoding, finding the
/// row and noting what is unsaved cost far more than a few letters.
struct Run {
    kind: u16,
    indices: Range<usize>,
}

impl Run {
    /// The run that begins at `index`: the kinds alone say how far it may go.
    fn at(section: &Section, index: usize, until: usize) -> Run {
        let kind = section.kind_at(index);
        let mut end = index + 1;
        if is_text(kind) {
            while end < until && section.kind_at(end) == kind {
                end += 1;
            }
        }
        Run { kind, indices: index..end }
    }

    /// Ends it where the events begin that a fold has not seen.
    fn end_after(&mut self, section: &Section, seen: Seq) {
        let Range { start, end } = self.indices;
        if section.seq_at(start) <= seen && seen < section.seq_at(end - 1) {
            self.indices.end = start + (seen.get() - section.seq_at(start).get() + 1) as usize;
        }
    }

    /// The body of the event that stands for it, and how many bytes it was decoded from.
    ///
    /// Ends it before a payload that is no plain text: erased, of another version, or damaged.
    fn read(&mut self, section: &Section) -> (Result<Body, CodecError>, usize) {
        let Range { start, end } = self.indices;
        let mut bytes = 0;
        if end - start > 1 {
            let mut joined = String::new();
            let is_plain = |&index: &usize| {
                let payload = section.payload_at(index);
                let is_known = section.version_at(index) == PAYLOAD_VERSION;
                let is_whole = section.check_payloads().is_ok();
                let text = decode_text(payload).ok().filter(|_| is_known && is_whole);
                joined.push_str(text.unwrap_or_default());
                bytes += if text.is_some() { payload.len() } else { 0 };
                text.is_some()
            };
            let n_plain = self.indices.clone().take_while(is_plain).count();
            if n_plain > 0 {
                self.indices.end = start + n_plain;
                return (Ok(Body::Event(text_event(self.kind, joined))), bytes);
            }
            self.indices.end = start + 1;
        }
        (section.body_at(start), section.payload_at(start).len())
    }
}

fn is_text(kind: u16) -> bool {
    kind == Kind::AssistantText.number() || kind == Kind::AssistantThinking.number()
}

fn text_event(kind: u16, text: String) -> Event {
    if kind == Kind::AssistantText.number() {
        Event::AssistantText(AssistantText { text })
    } else {
        Event::AssistantThinking(AssistantThinking { thinking: text })
    }
}

/// Shows a run: each of its events to the folds that want no more than heads, one event that stands
/// for all to those that want bodies.
fn show_run(
    folds: &mut [FoldOn<'_>],
    section: &Section,
    run: &mut Run,
    event: &mut Option<Recorded>,
) -> Result<usize, (usize, StoreError)> {
    let first = section.seq_at(run.indices.start);
    let kind = run.kind;
    let wants = |fold: &FoldOn<'_>, reads| first > fold.after && fold.reads.of_kind(kind) == reads;
    let (wants_heads, wants_bodies) = folds.iter().fold((false, false), |(head, body), fold| {
        (head || wants(fold, Reads::Head), body || wants(fold, Reads::Body))
    });
    let mut body = None;
    let mut bytes = 0;
    if wants_bodies {
        let (read, n_bytes) = run.read(section);
        (body, bytes) = (Some(read), n_bytes);
    } else if !wants_heads {
        return Ok(0);
    }
    let event = event.get_or_insert_with(|| section.head_only(run.indices.start));
    if wants_heads {
        event.body = Body::Unread { kind };
        for index in run.indices.clone() {
            event.seq = section.seq_at(index);
            let not_as_one = show(folds, event, event.seq, |fold| wants(fold, Reads::Head))?;
            debug_assert!(not_as_one.is_empty(), "one event is not a run");
        }
    }
    event.seq = section.seq_at(run.indices.end - 1);
    match body {
        None => {}
        Some(Ok(body)) => {
            event.body = body;
            let not_as_one = show(folds, event, first, |fold| wants(fold, Reads::Body))?;
            for position in not_as_one {
                let fold = std::slice::from_mut(&mut folds[position]);
                for index in run.indices.clone() {
                    let mut one = Run { kind, indices: index..index + 1 };
                    show_run(fold, section, &mut one, &mut None)
                        .map_err(|(_, error)| (position, error))?;
                }
            }
        }
        Some(Err(error)) => {
            for fold in folds.iter_mut().filter(|fold| wants(fold, Reads::Body)) {
                fold.fold.park(&event.chat, first, error.to_string());
            }
        }
    }
    Ok(bytes)
}

/// Tells an event to the folds that want it; the positions of those that it does not fit as one.
fn show(
    folds: &mut [FoldOn<'_>],
    event: &Recorded,
    first: Seq,
    wants: impl Fn(&FoldOn<'_>) -> bool,
) -> Result<Vec<usize>, (usize, StoreError)> {
    let mut not_as_one = Vec::new();
    for (position, fold) in folds.iter_mut().enumerate() {
        if wants(fold) {
            // A fold that panicked is in doubt, as one that failed is; the others go on.
            let apply = AssertUnwindSafe(|| fold.fold.apply(fold.db, event, first));
            let told = catch_unwind(apply).unwrap_or_else(|_| {
                Err(StoreError::Panicked { chat: event.chat.clone(), seq: first })
            });
            if told.map_err(|error| (position, error))? == Told::NotAsOne {
                not_as_one.push(position);
            }
        }
    }
    Ok(not_as_one)
}
