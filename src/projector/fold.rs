//! A fold in memory on top of a view file: rows at hand, what of them is unsaved, who is parked.
//!
//! It decides nothing about when to save, and reads no log; `worker` and `rebuild` do.

use std::collections::{HashMap, HashSet};

use lru::LruCache;
use rusqlite::{Connection, params};
use scrollback_projections::{Description, Projection, Reads, Touch, describe};
use scrollback_schema::event::Kind;
use scrollback_schema::{ChatRef, Recorded, Seq};

use super::store::{Store, StoreError, Written};

/// A chat whose rows stand still before an event that could not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The chat.
    pub chat: ChatRef,
    /// The event.
    pub seq: Seq,
    /// Why it could not be applied; no text of the chat.
    pub cause: String,
}

/// What came of an event that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a run that does not fit as one is told event by event"]
pub(crate) enum Told {
    /// It was folded, or its chat stands still before it.
    Done,
    /// It stands for a run that does not fit as a whole; nothing was changed.
    NotAsOne,
}

/// A fold of any projection.
///
/// An error leaves it in doubt: it is then [reset](ViewFold::reset) to what the file has.
pub(crate) trait ViewFold: Send {
    /// Whose fold it is.
    fn description(&self) -> Description;

    /// What it needs of events with this stored kind.
    fn reads(&self, kind: u16) -> Reads;

    /// Folds an event, with `db` for rows that are not at hand. It may stand for a run of deltas
    /// from `first` on, whose text it joins.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if such a row cannot be read. An event that does not fit parks its chat and
    /// is no error.
    fn apply(&mut self, db: &Connection, event: &Recorded, first: Seq) -> Result<Told, StoreError>;

    /// Parks a chat before an event that cannot be applied, or could not even be read.
    fn park(&mut self, chat: &ChatRef, seq: Seq, cause: String);

    /// Forgets that a chat is parked, so that its events can be folded again.
    fn unpark(&mut self, chat: Seq);

    /// The chats that are parked.
    fn parked(&self) -> Vec<Parked>;

    /// How many rows are unsaved, deletions and parked chats included.
    fn n_unsaved(&self) -> usize;

    /// Writes what is unsaved, within the transaction of `tx`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if SQLite refuses.
    fn save(&mut self, tx: &Connection) -> Result<Written, StoreError>;

    /// Goes back to what a file has.
    fn reset(&mut self, parked: Vec<Parked>);
}

/// The fold of the projection `P`.
pub(crate) struct Fold<P: Store> {
    rows: LruCache<P::Key, Entry<P::Row>>,
    /// The row of the last event, kept out of `rows`: most events go to the row of the one before.
    last: Option<(P::Key, Entry<P::Row>)>,
    /// Keys with unsaved rows, in the order in which they became so.
    unsaved: Vec<P::Key>,
    /// Chats whose rows are to be deleted before any other is written.
    dropped: Vec<Seq>,
    parked: HashMap<Seq, Parked>,
    /// Chats of which the file does not know yet that they are parked, or no longer.
    parked_unsaved: HashSet<Seq>,
    load: Load<P>,
}

/// Reads a row that is not at hand.
type Load<P> =
    fn(&Connection, &<P as Projection>::Key) -> Result<Option<<P as Projection>::Row>, StoreError>;

struct Entry<R> {
    row: Option<R>,
    is_unsaved: bool,
}

impl<P: Store> Fold<P> {
    /// A fold that goes on from what a file has.
    pub(crate) fn new() -> Fold<P> {
        Fold::reading(P::load)
    }

    /// A fold whose rows are read otherwise, to be shown and not to be saved.
    pub(crate) fn reading(load: Load<P>) -> Fold<P> {
        Fold {
            load,
            rows: LruCache::unbounded(),
            last: None,
            unsaved: Vec::new(),
            dropped: Vec::new(),
            parked: HashMap::new(),
            parked_unsaved: HashSet::new(),
        }
    }

    /// Folds the event into the row with this key, by `apply`.
    pub(crate) fn apply_with(
        &mut self,
        db: &Connection,
        event: &Recorded,
        first: Seq,
        key: P::Key,
        apply: impl FnOnce(&mut Option<P::Row>, &Recorded) -> Result<(), String>,
    ) -> Result<Told, StoreError> {
        if self.is_parked(event.chat.created) {
            return Ok(Told::Done);
        }
        if self.last.as_ref().is_none_or(|(last, _)| *last != key) {
            self.take_up(db, key)?;
        }
        let (key, entry) = self.last.as_mut().expect("the row was taken up");
        if let Err(cause) = apply(&mut entry.row, event) {
            if first < event.seq {
                return Ok(Told::NotAsOne);
            }
            self.park(&event.chat, event.seq, cause);
            return Ok(Told::Done);
        }
        if !entry.is_unsaved {
            entry.is_unsaved = true;
            self.unsaved.push(key.clone());
        }
        Ok(Told::Done)
    }

    /// Whether the rows of a chat stand still.
    pub(crate) fn is_parked(&self, chat: Seq) -> bool {
        !self.parked.is_empty() && self.parked.contains_key(&chat)
    }

    /// The event before which a chat stands still, if it does.
    pub(crate) fn stands_before(&self, chat: Seq) -> Option<Seq> {
        self.parked.get(&chat).map(|parked| parked.seq)
    }

    /// Whether an event has touched the row with this key since the last save.
    pub(crate) fn has_touched(&self, key: &P::Key) -> bool {
        self.rows.contains(key)
            || self.last.as_ref().is_some_and(|(last, _)| last == key)
            || self.is_dropped(P::chat_of(key))
    }

    /// Whether the rows of a chat were deleted since the last save.
    pub(crate) fn is_dropped(&self, chat: Seq) -> bool {
        self.dropped.contains(&chat)
    }

    /// The rows at hand, those that are gone included.
    pub(crate) fn into_rows(mut self) -> impl Iterator<Item = (P::Key, Option<P::Row>)> {
        self.put_down();
        self.rows.into_iter().map(|(key, entry)| (key, entry.row))
    }

    /// Makes the row with this key the one at hand.
    fn take_up(&mut self, db: &Connection, key: P::Key) -> Result<(), StoreError> {
        self.put_down();
        let entry = match self.rows.pop(&key) {
            Some(entry) => entry,
            None if self.is_dropped(P::chat_of(&key)) => Entry { row: None, is_unsaved: false },
            None => Entry { row: (self.load)(db, &key)?, is_unsaved: false },
        };
        self.last = Some((key, entry));
        Ok(())
    }

    fn put_down(&mut self) {
        if let Some((key, entry)) = self.last.take() {
            self.rows.put(key, entry);
        }
    }

    fn drop_chat(&mut self, chat: Seq) {
        self.put_down();
        let gone: Vec<P::Key> = self
            .rows
            .iter()
            .map(|(key, _)| key)
            .filter(|key| P::chat_of(key) == chat)
            .cloned()
            .collect();
        for key in gone {
            self.rows.pop(&key);
        }
        self.unsaved.retain(|key| P::chat_of(key) != chat);
        self.dropped.push(chat);
        self.unpark(chat);
    }

    fn save_parked(&mut self, tx: &Connection) -> Result<Written, StoreError> {
        let mut written = Written::default();
        for chat in std::mem::take(&mut self.parked_unsaved) {
            match self.parked.get(&chat) {
                Some(parked) => {
                    tx.prepare_cached(
                        "INSERT OR REPLACE INTO parked (chat, chat_id, seq, cause)
                         VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![
                        chat.as_i64(),
                        parked.chat.id.as_str(),
                        parked.seq.as_i64(),
                        parked.cause
                    ])?;
                }
                None => {
                    tx.prepare_cached("DELETE FROM parked WHERE chat = ?1")?
                        .execute([chat.as_i64()])?;
                }
            }
            written += Written::row(0);
        }
        Ok(written)
    }
}

/// Folds an event into a row of the projection `P`; the cause if it cannot be applied.
///
/// A test sets the point `fold-apply` to `return(PROJECTION CHAT SEQ)`: it is then as if this build
/// could not apply to PROJECTION what happens in CHAT from SEQ on. With `fold-panic` it panics.
pub(crate) fn apply<P: Projection>(
    row: &mut Option<P::Row>,
    event: &Recorded,
) -> Result<(), String> {
    fail::fail_point!("fold-apply", |meant| match is_meant::<P>(&meant, event) {
        true => Err("a test has it refused".to_owned()),
        false => P::apply(row, event).map_err(|cannot| cannot.cause),
    });
    fail::fail_point!("fold-panic", |meant| {
        let applied = P::apply(row, event).map_err(|cannot| cannot.cause);
        assert!(!is_meant::<P>(&meant, event), "a test has it panic once the row was changed");
        applied
    });
    P::apply(row, event).map_err(|cannot| cannot.cause)
}

/// Whether a failpoint's `PROJECTION CHAT SEQ` means this event.
#[cfg(feature = "failpoints")]
fn is_meant<P: Projection>(meant: &Option<String>, event: &Recorded) -> bool {
    let meant = meant.as_deref().unwrap_or_default();
    let (place, from) = meant.rsplit_once(' ').unwrap_or_default();
    let is_from = from.parse().is_ok_and(|from| event.seq >= from);
    is_from && place == format!("{} {}", P::NAME, event.chat.id)
}

/// What the projection `P` needs of events with this stored kind.
pub(crate) fn reads_of<P: Projection>(kind: u16) -> Reads {
    Kind::from_number(kind).map_or(P::READS_UNKNOWN, P::reads)
}

impl<P: Store> ViewFold for Fold<P> {
    fn description(&self) -> Description {
        describe::<P>()
    }

    fn reads(&self, kind: u16) -> Reads {
        reads_of::<P>(kind)
    }

    fn apply(&mut self, db: &Connection, event: &Recorded, first: Seq) -> Result<Told, StoreError> {
        match P::touches(event) {
            Touch::Nothing => Ok(Told::Done),
            Touch::Chat => {
                self.drop_chat(event.chat.created);
                Ok(Told::Done)
            }
            Touch::Row(key) => self.apply_with(db, event, first, key, apply::<P>),
        }
    }

    fn park(&mut self, chat: &ChatRef, seq: Seq, cause: String) {
        let parked = Parked { chat: chat.clone(), seq, cause };
        self.parked.entry(chat.created).or_insert(parked);
        self.parked_unsaved.insert(chat.created);
    }

    fn unpark(&mut self, chat: Seq) {
        if self.parked.remove(&chat).is_some() {
            self.parked_unsaved.insert(chat);
        }
    }

    fn parked(&self) -> Vec<Parked> {
        let mut parked: Vec<Parked> = self.parked.values().cloned().collect();
        parked.sort_by_key(|parked| parked.seq);
        parked
    }

    fn n_unsaved(&self) -> usize {
        self.unsaved.len() + self.dropped.len() + self.parked_unsaved.len()
    }

    fn save(&mut self, tx: &Connection) -> Result<Written, StoreError> {
        let mut written = self.save_parked(tx)?;
        for chat in std::mem::take(&mut self.dropped) {
            written += P::remove_chat(tx, chat)?;
        }
        self.put_down();
        for key in std::mem::take(&mut self.unsaved) {
            let entry = self.rows.peek_mut(&key).expect("an unsaved row is at hand");
            entry.is_unsaved = false;
            written += match &mut entry.row {
                Some(row) => P::save(tx, &key, row)?,
                None => P::remove(tx, &key)?,
            };
        }
        while self.rows.len() > P::ROWS_AT_HAND {
            self.rows.pop_lru();
        }
        Ok(written)
    }

    fn reset(&mut self, parked: Vec<Parked>) {
        *self = Fold::reading(self.load);
        self.parked = parked.into_iter().map(|parked| (parked.chat.created, parked)).collect();
    }
}
