//! Pages of the log from disk: short read transactions, bounded by count and by bytes.
//!
//! One loader serves the whole log, one chat and several chats, live and offline. Where the events
//! of a chat are is told by a projection ([`ChatIndex`]); the short rest behind it is scanned.
//! Rows that log.db has no more are taken from the archive, and nobody who reads notices.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};
use scrollback_schema::batch::{BatchError, RowHead, SectionView, sections};
use scrollback_schema::{ChatId, ChatRef, MessageId, Millis, Seq, TurnId, TurnRef};

use super::archive::{Archive, SegmentError};
use super::section::{Place, Section};
use super::{ChatIndex, Page, PageLimits, ReadError, Scope};

/// Names of chats, and as many of turns, kept at hand by one loader; beyond it they are forgotten
/// and looked up again, in microseconds. About 150 bytes each, and a server has several loaders.
const NAMES_MAX: usize = 16_384;

/// Runs asked of the index at once: a page of single events needs no more.
const RUNS_MAX: usize = 4_096;

/// Runs asked of each of many chats at least.
const RUNS_EACH_MIN: usize = 8;

const ROWS_FROM: &str = include_str!("sql/rows_from.sql");
const ROWS_BACK: &str = include_str!("sql/rows_back.sql");

/// Where rows are: log.db, as one connection sees it, and the segment files beside it.
#[derive(Clone, Copy)]
pub(crate) struct Store<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) archive: &'a Archive,
}

/// Reads pages over one connection, remembering names from page to page.
#[derive(Debug, Default)]
pub(crate) struct Names {
    chats: HashMap<Seq, ChatId>,
    turns: HashMap<Seq, TurnRef>,
}

/// A row of the log, its records shared by the sections made of it.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) head: RowHead,
    pub(crate) checksum: u32,
    pub(crate) records: Bytes,
}

impl Row {
    /// Reads the columns `first_seq, n_events, at_ms, batch_id, checksum, records`.
    pub(crate) fn from_sql(row: &rusqlite::Row<'_>) -> Result<Row, rusqlite::Error> {
        let records = row.get_ref(5)?.as_blob()?;
        Ok(Row {
            head: RowHead {
                first_seq: Seq::from_i64(row.get(0)?).unwrap_or_default(),
                n_events: row.get::<_, i64>(1)?.unsigned_abs(),
                at: Millis::new(row.get(2)?),
                batch_id: row.get(3)?,
            },
            checksum: row.get::<_, i64>(4)? as u32,
            records: Bytes::copy_from_slice(records),
        })
    }
}

/// Calls `f` with each row that holds events after `after`, in order, until it says stop.
///
/// One read transaction; `f` must not wait for anybody.
///
/// # Errors
///
/// SQLite's, the archive's, or `f`'s.
pub(crate) fn rows_after<E: From<rusqlite::Error> + From<SegmentError>>(
    store: Store<'_>,
    after: Seq,
    mut f: impl FnMut(Row) -> Result<Flow, E>,
) -> Result<(), E> {
    let mut statement = store.db.prepare_cached(ROWS_FROM)?;
    let mut rows = statement.query([after.next().as_i64()])?;
    let mut is_first = true;
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => Row::from_sql(row),
            Ok(None) => break,
            Err(error) => Err(error),
        };
        // The statement holds the transaction open, so the archive is as of the same moment. What
        // log.db does not give takes nothing away from what stands before it.
        if std::mem::take(&mut is_first)
            && row.as_ref().map_or(true, |row| row.head.first_seq > after.next())
            && store.archive.rows_from(store.db, after.next(), &mut |row| f(row.clone()))?
                == Flow::Stop
        {
            break;
        }
        let row = row?;
        if row.head.last_seq() <= after {
            continue;
        }
        if f(row)? == Flow::Stop {
            break;
        }
    }
    Ok(())
}

/// As [`rows_after`], of the rows in log.db alone.
///
/// # Errors
///
/// SQLite's, or `f`'s.
pub(crate) fn live_rows_after<E: From<rusqlite::Error>>(
    db: &Connection,
    after: Seq,
    mut f: impl FnMut(Row) -> Result<Flow, E>,
) -> Result<(), E> {
    let mut statement = db.prepare_cached(ROWS_FROM)?;
    let mut rows = statement.query([after.next().as_i64()])?;
    while let Some(row) = rows.next()? {
        let row = Row::from_sql(row)?;
        if row.head.last_seq() <= after {
            continue;
        }
        if f(row)? == Flow::Stop {
            break;
        }
    }
    Ok(())
}

/// Calls `f` with the row that holds `until`, and then with each before it, until it says stop.
///
/// One read transaction; `f` must not wait for anybody.
///
/// # Errors
///
/// SQLite's, the archive's, or `f`'s.
pub(crate) fn rows_back<E: From<rusqlite::Error> + From<SegmentError>>(
    store: Store<'_>,
    mut until: Seq,
    mut f: impl FnMut(Row) -> Result<Flow, E>,
) -> Result<(), E> {
    let mut statement = store.db.prepare_cached(ROWS_BACK)?;
    let mut rows = statement.query([until.as_i64()])?;
    while let Some(row) = rows.next()? {
        let row = Row::from_sql(row)?;
        until = row.head.first_seq.prev();
        if f(row)? == Flow::Stop {
            return Ok(());
        }
    }
    store.archive.rows_back(store.db, until, &mut |row| f(row.clone())).map(|_| ())
}

/// The seq before the first event that was committed at `at` or later.
///
/// # Errors
///
/// [`ReadError`] if a row cannot be read.
pub(crate) fn seq_before(store: Store<'_>, at: Millis) -> Result<Seq, ReadError> {
    const SQL: &str = "SELECT first_seq, at_ms FROM log
                       WHERE first_seq <= ?1 ORDER BY first_seq DESC LIMIT 1";
    let row_at = |seq: Seq| -> Result<Option<(Seq, Millis)>, ReadError> {
        let live = store.db.prepare_cached(SQL)?.query_row([seq.as_i64()], |row| {
            Ok((Seq::from_i64(row.get(0)?).unwrap_or_default(), Millis::new(row.get(1)?)))
        });
        if let Some(found) = live.optional()? {
            return Ok(Some(found));
        }
        let mut found = None;
        store.archive.rows_from::<ReadError>(store.db, seq, &mut |row| {
            found = Some((row.head.first_seq, row.head.at));
            Ok(Flow::Stop)
        })?;
        Ok(found)
    };
    // Rows in (low, high] are in question: low is older than `at`, high is not.
    let (mut low, mut high) = (Seq::ZERO, head_of(store.db)?.next());
    while low.next() < high {
        let middle = Seq::new(low.get().midpoint(high.get())).unwrap_or(low);
        match row_at(middle)? {
            Some((first, row_at)) if row_at >= at => high = first.max(low.next()),
            _ => low = middle,
        }
        if high == low.next() {
            break;
        }
    }
    Ok(high.prev())
}

/// The last seq of the log, as one transaction sees it.
///
/// # Errors
///
/// SQLite's.
pub(crate) fn head_of(db: &Connection) -> Result<Seq, rusqlite::Error> {
    const SQL: &str = "SELECT first_seq + n_events - 1 FROM log ORDER BY first_seq DESC LIMIT 1";
    let head: Option<i64> = db.prepare_cached(SQL)?.query_row([], |row| row.get(0)).optional()?;
    Ok(head.and_then(Seq::from_i64).unwrap_or_default())
}

/// The first seq of the last row in log.db; none in an empty log.
///
/// # Errors
///
/// SQLite's.
pub(crate) fn last_row(db: &Connection) -> Result<Option<Seq>, rusqlite::Error> {
    let last: Option<i64> = db.query_row("SELECT max(first_seq) FROM log", [], |row| row.get(0))?;
    Ok(last.and_then(Seq::from_i64))
}

/// Whether a walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// To the next row.
    Go,
    /// No further.
    Stop,
}

impl Names {
    /// The chat of this number: from memory, else from its row.
    fn chat(&mut self, db: &Connection, created: Seq) -> Result<ChatRef, ReadError> {
        if let Some(id) = self.chats.get(&created) {
            return Ok(ChatRef { id: id.clone(), created });
        }
        let text: String = db
            .prepare_cached("SELECT chat_id FROM chat WHERE created_seq = ?1")?
            .query_row([created.as_i64()], |row| row.get(0))
            .map_err(|_| ReadError::Nameless { what: "chat", seq: created })?;
        let id =
            ChatId::parse(&text).map_err(|_| ReadError::Nameless { what: "chat", seq: created })?;
        self.learn_chat(created, &id);
        Ok(ChatRef { id, created })
    }

    fn turn(&mut self, db: &Connection, started: Seq) -> Result<TurnRef, ReadError> {
        if let Some(turn) = self.turns.get(&started) {
            return Ok(turn.clone());
        }
        let nameless = || ReadError::Nameless { what: "turn", seq: started };
        let (turn, message): (String, String) = db
            .prepare_cached("SELECT turn_id, message_id FROM turn WHERE started_seq = ?1")?
            .query_row([started.as_i64()], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|_| nameless())?;
        let turn = TurnRef {
            id: TurnId::parse(&turn).map_err(|_| nameless())?,
            message: MessageId::parse(&message).map_err(|_| nameless())?,
            started,
        };
        self.learn_turn(&turn);
        Ok(turn)
    }

    /// Takes the names that a section gives to what begins with it: the log explains itself, and
    /// who reads it from its beginning needs no table.
    fn learn(&mut self, view: &SectionView<'_>, first_seq: Seq) {
        let head = &view.head;
        if let Some(id) = head.chat_id.and_then(|id| ChatId::parse(id).ok()) {
            self.learn_chat(head.chat, &id);
        }
        if let Some((turn, message)) = head.turn_ids
            && let (Ok(id), Ok(message)) = (TurnId::parse(turn), MessageId::parse(message))
        {
            self.learn_turn(&TurnRef { id, message, started: head.turn.unwrap_or(first_seq) });
        }
    }

    fn learn_chat(&mut self, created: Seq, id: &ChatId) {
        if self.chats.len() >= NAMES_MAX {
            self.chats.clear();
        }
        self.chats.insert(created, id.clone());
    }

    fn learn_turn(&mut self, turn: &TurnRef) {
        if self.turns.len() >= NAMES_MAX {
            self.turns.clear();
        }
        self.turns.insert(turn.started, turn.clone());
    }

    /// Makes the sections of a row, but for those that `wanted` turns down.
    pub(crate) fn sections_of(
        &mut self,
        db: &Connection,
        row: &Row,
        mut wanted: impl FnMut(&SectionView<'_>, Seq /* first */, Seq /* last */) -> bool,
        mut take: impl FnMut(Arc<Section>),
    ) -> Result<(), ReadError> {
        let mut first_seq = row.head.first_seq;
        for view in sections(&row.records) {
            let damaged = |source: BatchError| ReadError::Damaged { seq: first_seq, source };
            let view = view.map_err(damaged)?;
            let last_seq = first_seq.plus(view.n_events).prev();
            self.learn(&view, first_seq);
            if wanted(&view, first_seq, last_seq) {
                let start = view.payloads_at;
                let payloads = row.records.slice(start..start + view.payloads.len());
                let turn = match view.head.turn {
                    Some(started) => Some(self.turn(db, started)?),
                    None => None,
                };
                let message = match view.head.message_id {
                    Some(text) => Some(
                        MessageId::parse(text)
                            .map_err(|_| ReadError::Nameless { what: "message", seq: first_seq })?,
                    ),
                    None => None,
                };
                let chat = self.chat(db, view.head.chat)?;
                let place = Place { first_seq, at: row.head.at, chat, turn, message };
                take(Arc::new(Section::from_view(&view, payloads, place)));
            }
            first_seq = last_seq.next();
        }
        Ok(())
    }
}

/// Reads a page from disk.
///
/// # Errors
///
/// [`ReadError`] for damage, a missing name, or SQLite's own reasons.
pub(crate) fn page(
    store: Store<'_>,
    names: &mut Names,
    index: Option<&dyn ChatIndex>,
    scope: &Scope,
    after: Seq,
    until: Seq,
    limits: PageLimits,
) -> Result<Page, ReadError> {
    match scope {
        Scope::All => scan(store, names, None, after, until, limits),
        Scope::Chat(chat) => chats_page(store, names, index, &[*chat], after, until, limits),
        Scope::Chats(chats) => chats_page(store, names, index, chats, after, until, limits),
        // Whoever follows an owner has its chats: `Log::read`.
        Scope::Owner(_) => Err(ReadError::Interrupted),
    }
}

/// Walks the log itself, for all chats or for some, which are in ascending order.
fn scan(
    store: Store<'_>,
    names: &mut Names,
    chats: Option<&[Seq]>,
    after: Seq,
    until: Seq,
    limits: PageLimits,
) -> Result<Page, ReadError> {
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
        let wanted = |section: &SectionView<'_>, first: Seq, last: Seq| {
            let is_of_scope =
                chats.is_none_or(|chats| chats.binary_search(&section.head.chat).is_ok());
            is_of_scope && last > after && first <= until
        };
        names.sections_of(store.db, &row, wanted, |section| {
            filled.add(&section);
            page.sections.push(section);
        })?;
        Ok(Flow::Go)
    })?;
    Ok(page)
}

/// The events of some chats, in ascending order: by the index as far as it goes, then by a walk.
///
/// What it costs is a look into the index for each chat, and what is found.
fn chats_page(
    store: Store<'_>,
    names: &mut Names,
    index: Option<&dyn ChatIndex>,
    chats: &[Seq],
    after: Seq,
    until: Seq,
    limits: PageLimits,
) -> Result<Page, ReadError> {
    let Some(first) = chats.first() else {
        return Ok(Page { sections: Vec::new(), through: until });
    };
    // No event of a chat stands before its chat_created.
    let after = after.max(first.prev());
    if after >= until {
        return Ok(Page { sections: Vec::new(), through: until });
    }
    let Some(index) = index else { return scan(store, names, Some(chats), after, until, limits) };
    let found = Runs::of(index, chats, after, until)?;
    if found.runs.is_empty() {
        let after = after.max(found.indexed_through);
        if after >= until {
            return Ok(Page { sections: Vec::new(), through: until });
        }
        return scan(store, names, Some(chats), after, until, limits);
    }
    let mut page = Page { sections: Vec::new(), through: found.through };
    let (mut filled, mut done) = (limits.start(), after);
    for (first, n) in found.runs {
        let last = first.plus(n).prev().min(page.through);
        done = done.max(first.prev());
        while done < last {
            if filled.is_full() {
                page.through = done;
                return Ok(page);
            }
            let from = done;
            rows_after::<ReadError>(store, from, |row| {
                done = row.head.last_seq();
                let wanted = |section: &SectionView<'_>, first: Seq, last: Seq| {
                    let is_of_scope = chats.binary_search(&section.head.chat).is_ok();
                    is_of_scope && last > from && first <= page.through
                };
                names.sections_of(store.db, &row, wanted, |section| {
                    filled.add(&section);
                    page.sections.push(section);
                })?;
                Ok(Flow::Stop)
            })?;
            if done == from {
                return Err(ReadError::Gap { seq: from.next() });
            }
        }
    }
    Ok(page)
}

/// Where the next events of some chats are.
struct Runs {
    /// First seq and length of each, in order.
    runs: Vec<(Seq, u64)>,
    /// The seq up to which these are all.
    through: Seq,
    /// The seq up to which the index knows the log.
    indexed_through: Seq,
}

impl Runs {
    fn of(index: &dyn ChatIndex, chats: &[Seq], after: Seq, until: Seq) -> Result<Runs, ReadError> {
        let each = (RUNS_MAX / chats.len()).max(RUNS_EACH_MIN);
        let (mut all, mut indexed_through) = (Vec::new(), Seq::MAX);
        let mut through = until;
        for &chat in chats.iter().filter(|chat| **chat <= until) {
            let found = index.runs(chat, after.max(chat.prev()), each);
            let found = found.map_err(|source| ReadError::Index { source })?;
            indexed_through = indexed_through.min(found.indexed_through);
            if let (Some((first, n)), true) = (found.runs.last(), found.runs.len() == each) {
                through = through.min(first.plus(*n).prev());
            }
            all.extend(found.runs);
        }
        let indexed_through = indexed_through.min(until);
        let through = through.min(indexed_through);
        all.retain(|(first, _)| *first <= through);
        all.sort_unstable();
        Ok(Runs { runs: all, through, indexed_through })
    }
}
