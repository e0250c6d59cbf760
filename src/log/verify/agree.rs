//! Whether the writer's tables say what the log says: row by row as the events pass, and in number
//! at the end.
//!
//! The tables may be newer than the events looked at, since a server can go on writing. So rows
//! that are about later events are left out, and what a later event may have closed is no finding.

use rusqlite::{Connection, OptionalExtension, params};
use scrollback_schema::batch::sections;
use scrollback_schema::codec::decode_payload;
use scrollback_schema::{Body, Event, Kind, Millis, Seq};

use super::PageError;
use super::finding::{Finding, Table};
use super::rules::Rules;
use crate::log::reader::{Flow, Store, rows_after};
use crate::log::turn_guard::{Candidate, Effect, Space};

/// A row of the table `chat`.
#[derive(Debug)]
pub(crate) struct ChatRow {
    pub(crate) id: String,
    pub(crate) deleted: Option<Seq>,
    pub(crate) is_erased: bool,
}

/// A row of the table `turn`.
#[derive(Debug)]
pub(crate) struct TurnRow {
    pub(crate) chat: Option<Seq>,
    pub(crate) id: String,
    pub(crate) message: String,
    pub(crate) started_at: Millis,
    pub(crate) ended: Option<Seq>,
}

/// A row of the table `register`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RegisterRow {
    pub(crate) seq: Seq,
    pub(crate) is_open: bool,
}

fn seq_of(value: Option<i64>) -> Option<Seq> {
    value.and_then(Seq::from_i64)
}

pub(crate) fn chat_row(db: &Connection, chat: Seq) -> Result<Option<ChatRow>, rusqlite::Error> {
    db.prepare_cached("SELECT chat_id, deleted_seq, erased FROM chat WHERE created_seq = ?1")?
        .query_row([chat.as_i64()], |row| {
            Ok(ChatRow { id: row.get(0)?, deleted: seq_of(row.get(1)?), is_erased: row.get(2)? })
        })
        .optional()
}

pub(crate) fn turn_row(db: &Connection, turn: Seq) -> Result<Option<TurnRow>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT chat, turn_id, message_id, started_at_ms, ended_seq FROM turn
         WHERE started_seq = ?1",
    )?
    .query_row([turn.as_i64()], |row| {
        Ok(TurnRow {
            chat: seq_of(row.get(0)?),
            id: row.get(1)?,
            message: row.get(2)?,
            started_at: Millis::new(row.get(3)?),
            ended: seq_of(row.get(4)?),
        })
    })
    .optional()
}

pub(crate) fn register_row(
    db: &Connection,
    chat: Seq,
    space: Space,
    id: &str,
) -> Result<Option<RegisterRow>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT seq, is_open FROM register WHERE chat = ?1 AND space = ?2 AND id = ?3",
    )?
    .query_row(params![chat.as_i64(), space as u8, id], |row| {
        let seq = seq_of(row.get(0)?).unwrap_or_default();
        Ok(RegisterRow { seq, is_open: row.get(1)? })
    })
    .optional()
}

/// Compares what an admitted event changed with the row that says so.
pub(crate) fn effect(
    db: &Connection,
    chat: Seq,
    candidate: &Candidate<'_>,
    effect: &Effect,
    found: &mut dyn FnMut(Finding),
) -> Result<(), rusqlite::Error> {
    let seq = candidate.seq;
    let mut disagrees = |table, what: &str| {
        found(Finding::Table { table, seq, what: what.to_owned() });
    };
    match effect {
        Effect::CreateChat => match chat_row(db, seq)? {
            None => disagrees(Table::Chat, "it has no row for this chat"),
            Some(row) if row.id != candidate.chat.as_str() => {
                disagrees(Table::Chat, "it has another id for this chat");
            }
            Some(_) => {}
        },
        Effect::DeleteChat => {
            if chat_row(db, chat)?.is_some_and(|row| row.deleted != Some(seq)) {
                disagrees(Table::Chat, "it does not say that the chat is deleted here");
            }
        }
        Effect::StartTurn { turn, message } => match turn_row(db, seq)? {
            None => disagrees(Table::Turn, "it has no row for this turn"),
            Some(row)
                if row.chat != Some(chat)
                    || row.id != turn.as_str()
                    || row.message != message.as_str()
                    || row.started_at != candidate.at =>
            {
                disagrees(Table::Turn, "its row for this turn says something else");
            }
            Some(_) => {}
        },
        Effect::EndTurn { started } => {
            if turn_row(db, *started)?.is_some_and(|row| row.ended != Some(seq)) {
                disagrees(Table::Turn, "it does not say that the turn ended here");
            }
        }
        Effect::Open { space, id, .. } => match register_row(db, chat, *space, id)? {
            None => disagrees(Table::Register, "it does not know the id that is used here"),
            Some(row) if row.seq != seq => {
                disagrees(Table::Register, "it has the id that is used here at another seq");
            }
            Some(_) => {}
        },
        Effect::Close { space, id } => {
            if register_row(db, chat, *space, id)?.is_some_and(|row| row.is_open) {
                disagrees(Table::Register, "it holds open what was closed here");
            }
        }
    }
    Ok(())
}

/// Compares what is left open, and how many rows there are, after the last event that was looked
/// at; `head_now` is the last one by now, which may have closed what was open.
pub(crate) fn at_the_end(
    store: Store<'_>,
    rules: &Rules,
    head: Seq,
    head_now: Seq,
    found: &mut dyn FnMut(Finding),
) -> Result<(), rusqlite::Error> {
    let db = store.db;
    let (ids, turns) = rules.left_open();
    for (chat, space, id) in ids {
        let row = register_row(db, *chat, *space, id)?;
        let is_closed = |row: &RegisterRow| !row.is_open && !rules.lost_after(row.seq);
        if let Some(row) = row.filter(|row| head == head_now && is_closed(row)) {
            let what = format!("it holds closed a {space} that is open");
            found(Finding::Table { table: Table::Register, seq: row.seq, what });
        }
    }
    for started in turns {
        let ended = turn_row(db, started)?.and_then(|row| row.ended);
        if ended.is_some_and(|ended| ended <= head) && !rules.lost_after(started) {
            let what = "it holds ended a turn that is open".to_owned();
            found(Finding::Table { table: Table::Turn, seq: started, what });
        }
    }
    surplus(store, rules, head, found)?;
    behind(db, head_now, found)
}

/// No row is about an event that comes after the last one.
fn behind(
    db: &Connection,
    head_now: Seq,
    found: &mut dyn FnMut(Finding),
) -> Result<(), rusqlite::Error> {
    for (table, column) in [
        (Table::Chat, "created_seq"),
        (Table::Chat, "deleted_seq"),
        (Table::Turn, "started_seq"),
        (Table::Turn, "ended_seq"),
        (Table::Register, "seq"),
        (Table::Idempotency, "last_seq"),
    ] {
        let sql = format!("SELECT min({column}) FROM {} WHERE {column} > ?1", table.name());
        let first: Option<i64> = db.query_row(&sql, [head_now.as_i64()], |row| row.get(0))?;
        if let Some(seq) = seq_of(first) {
            let what = format!("its rows go on behind the log, which ends at {head_now}");
            found(Finding::Table { table, seq, what });
        }
    }
    Ok(())
}

/// Looks for rows about events that the log does not hold, if there are more rows than events.
fn surplus(
    store: Store<'_>,
    rules: &Rules,
    head: Seq,
    found: &mut dyn FnMut(Finding),
) -> Result<(), rusqlite::Error> {
    const CHATS: &str = "FROM chat WHERE created_seq <= ?1";
    const DELETED: &str = "FROM chat WHERE deleted_seq <= ?1";
    const TURNS: &str = "FROM turn WHERE started_seq <= ?1";
    const IDS: &str = "FROM register WHERE seq <= ?1 AND chat NOT IN
                       (SELECT created_seq FROM chat WHERE deleted_seq IS NOT NULL)";
    let count = |of: &str| -> Result<u64, rusqlite::Error> {
        store.db.query_row(&format!("SELECT count(*) {of}"), [head.as_i64()], |row| {
            row.get::<_, i64>(0).map(i64::unsigned_abs)
        })
    };
    let tally = rules.tally;
    let mut found = |finding: Finding| {
        if !finding.span().is_some_and(|span| rules.was_lost(span.first)) {
            found(finding);
        }
    };
    if count(CHATS)? > tally.n_chats {
        let is_chat = |_: Seq, kind, _: &Body, _: &str| kind == Some(Kind::ChatCreated);
        let sql = format!("SELECT created_seq, created_seq, '' {CHATS}");
        strangers(store, &sql, head, Table::Chat, &is_chat, &mut found)?;
    }
    if count(DELETED)? > tally.n_deleted {
        let is_tombstone = |_: Seq, kind, _: &Body, _: &str| kind == Some(Kind::ChatDeleted);
        let sql = format!("SELECT deleted_seq, created_seq, '' {DELETED}");
        strangers(store, &sql, head, Table::Chat, &is_tombstone, &mut found)?;
    }
    if count(TURNS)? > tally.n_turns {
        let is_turn = |_: Seq, kind, _: &Body, _: &str| kind == Some(Kind::StreamStarted);
        let sql = format!("SELECT started_seq, chat, '' {TURNS}");
        strangers(store, &sql, head, Table::Turn, &is_turn, &mut found)?;
    }
    if count(IDS)? > tally.n_registered {
        let sql = format!("SELECT seq, chat, id {IDS}");
        strangers(store, &sql, head, Table::Register, &uses_id, &mut found)?;
    }
    Ok(())
}

/// Whether an event is the first use of an id; where it cannot be told, it is taken for one.
fn uses_id(_: Seq, kind: Option<Kind>, body: &Body, id: &str) -> bool {
    let Body::Event(event) = body else { return !matches!(kind, Some(Kind::AssistantText)) };
    match event {
        Event::UserText(_) | Event::StreamStarted(_) => true,
        Event::PermissionRequest(p) => p.request_id.as_str() == id,
        Event::ElicitationRequest(p) => p.request_id.as_str() == id,
        Event::MessageQueued(p) => p.queued_message_id.as_str() == id,
        Event::ScheduleCreated(p) => p.schedule_id.as_str() == id,
        _ => false,
    }
}

type Belongs<'a> = &'a dyn Fn(Seq, Option<Kind>, &Body, &str) -> bool;

/// Names the rows of a table whose event is not the one that they claim.
fn strangers(
    store: Store<'_>,
    sql: &str,
    head: Seq,
    table: Table,
    belongs: Belongs<'_>,
    found: &mut dyn FnMut(Finding),
) -> Result<(), rusqlite::Error> {
    let mut statement = store.db.prepare(sql)?;
    let mut rows = statement.query([head.as_i64()])?;
    while let Some(row) = rows.next()? {
        let seq = Seq::from_i64(row.get(0)?).unwrap_or_default();
        let chat = Seq::from_i64(row.get(1)?).unwrap_or_default();
        let id: String = row.get(2)?;
        let event = event_at(store, seq)?;
        if !event.is_some_and(|(of, body)| {
            of == chat && belongs(seq, Kind::from_number(body.kind_number()), &body, &id)
        }) {
            let what = "it has a row for something that the log does not say here".to_owned();
            found(Finding::Table { table, seq, what });
        }
    }
    Ok(())
}

/// The chat and the content of one event; `None` if it cannot be read.
fn event_at(store: Store<'_>, seq: Seq) -> Result<Option<(Seq, Body)>, rusqlite::Error> {
    let mut event = None;
    let read = rows_after::<PageError>(store, seq.prev(), |row| {
        let mut first = row.head.first_seq;
        for view in sections(&row.records).map_while(Result::ok) {
            let next = first.plus(view.n_events);
            if first <= seq && seq < next {
                let index = (seq.get() - first.get()) as usize;
                event = view.events().nth(index).map(|(head, payload)| {
                    let body = decode_payload(head.kind, head.version, payload)
                        .unwrap_or(Body::Unread { kind: head.kind });
                    (view.head.chat, body)
                });
            }
            first = next;
        }
        Ok(Flow::Stop)
    });
    match read {
        // What the archive does not give was found to be so before.
        Ok(()) | Err(PageError::Archive(_)) => Ok(event),
        Err(PageError::Row(error) | PageError::Tables(error)) => Err(error),
    }
}
