//! Looking ids up in the writer's tables: where in the log a chat, a turn or a message is.
//!
//! An id of a turn or a message is unique within its chat only; with the chat given it is found by
//! its key, without it by a walk over the table, which is short beside the log.

use rusqlite::{Connection, OptionalExtension, Row, params};
use scrollback_schema::{ChatId, ChatRef, MessageId, Seq, TurnId, TurnRef};

use super::{OfflineError, OfflineLog};
use crate::log::reader::Store;
use crate::log::turn_guard::Space;

/// A turn, as the tables tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTurn {
    /// Its chat.
    pub chat: ChatRef,
    /// Its ids and its start.
    pub turn: TurnRef,
    /// The seq of its terminal event.
    pub ended: Option<Seq>,
}

/// A message, as the tables tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundMessage {
    /// Its chat.
    pub chat: Seq,
    /// Its first event.
    pub first: Seq,
}

impl OfflineLog {
    /// Looks a chat up by its id; the seq is that of its tombstone.
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if it cannot be read.
    pub fn find_chat(
        &mut self,
        id: &ChatId,
    ) -> Result<Option<(ChatRef, Option<Seq>)>, OfflineError> {
        const SQL: &str = "SELECT created_seq, deleted_seq FROM chat WHERE chat_id = ?1";
        self.read(|Store { db, .. }, _| {
            let found = db
                .prepare_cached(SQL)?
                .query_row([id.as_str()], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)))
                .optional()?;
            Ok(found.and_then(|(created, deleted)| {
                let chat = ChatRef { id: id.clone(), created: Seq::from_i64(created)? };
                Some((chat, deleted.and_then(Seq::from_i64)))
            }))
        })
    }

    /// Looks turns up by their id, each with its chat's number and the seq of its end, in the order
    /// in which they started: in one chat, or in all.
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if it cannot be read.
    pub fn find_turns(
        &mut self,
        id: &TurnId,
        chat: Option<Seq>,
    ) -> Result<Vec<FoundTurn>, OfflineError> {
        self.turns_where("turn_id", id.as_str(), chat)
    }

    /// Looks assistant's messages up by their id, as the turns that produce them.
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if it cannot be read.
    pub fn find_turns_of_message(
        &mut self,
        id: &MessageId,
        chat: Option<Seq>,
    ) -> Result<Vec<FoundTurn>, OfflineError> {
        self.turns_where("message_id", id.as_str(), chat)
    }

    fn turns_where(
        &mut self,
        column: &str,
        id: &str,
        chat: Option<Seq>,
    ) -> Result<Vec<FoundTurn>, OfflineError> {
        let sql = format!(
            "SELECT turn.chat, chat_id, started_seq, turn_id, message_id, ended_seq
             FROM turn JOIN chat ON created_seq = turn.chat
             WHERE {column} = ?1 {} ORDER BY started_seq",
            if chat.is_some() { "AND turn.chat = ?2" } else { "AND ?2 IS NULL" }
        );
        self.read(|Store { db, .. }, _| rows(db, &sql, id, chat, found_turn))
    }

    /// Looks messages of users and of the assistant up by their id; those of deleted chats are not
    /// found.
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if it cannot be read.
    pub fn find_messages(
        &mut self,
        id: &MessageId,
        chat: Option<Seq>,
    ) -> Result<Vec<FoundMessage>, OfflineError> {
        let sql = format!(
            "SELECT chat, seq FROM register
             WHERE id = ?1 AND space = {} {} ORDER BY seq",
            Space::Message as u8,
            if chat.is_some() { "AND chat = ?2" } else { "AND ?2 IS NULL" }
        );
        self.read(|Store { db, .. }, _| {
            rows(db, &sql, id.as_str(), chat, |row| {
                let (chat, first) = (Seq::from_i64(row.get(0)?), Seq::from_i64(row.get(1)?));
                Ok(chat.zip(first).map(|(chat, first)| FoundMessage { chat, first }))
            })
        })
    }
}

/// The rows about an id that make sense.
fn rows<T, E: From<rusqlite::Error>>(
    db: &Connection,
    sql: &str,
    id: &str,
    chat: Option<Seq>,
    mut found: impl FnMut(&Row<'_>) -> Result<Option<T>, rusqlite::Error>,
) -> Result<Vec<T>, E> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![id, chat.map(Seq::as_i64)])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.extend(found(row)?);
    }
    Ok(all)
}

fn found_turn(row: &Row<'_>) -> Result<Option<FoundTurn>, rusqlite::Error> {
    let text = |index| row.get::<_, String>(index);
    let seq = |index| row.get::<_, i64>(index).map(Seq::from_i64);
    let (chat, started, ended) = (seq(0)?, seq(2)?, row.get::<_, Option<i64>>(5)?);
    let (chat_id, turn, message) = (text(1)?, text(3)?, text(4)?);
    let found = || {
        Some(FoundTurn {
            chat: ChatRef { id: ChatId::parse(&chat_id).ok()?, created: chat? },
            turn: TurnRef {
                id: TurnId::parse(&turn).ok()?,
                message: MessageId::parse(&message).ok()?,
                started: started?,
            },
            ended: ended.and_then(Seq::from_i64),
        })
    };
    Ok(found())
}
