//! Rows of `messages`: a head and chunks.

use rusqlite::{Connection, OptionalExtension, Row, params};
use scrollback_projections::MessageKey;
use scrollback_projections::message::{Change, Chunk, Head, Message, Messages, PartKind};
use scrollback_schema::{MessageId, Seq};

use super::{Store, StoreError, Written};

impl Store for Messages {
    const ROWS_AT_HAND: usize = 2_048;

    fn chat_of(key: &MessageKey) -> Seq {
        key.chat
    }

    fn load(db: &Connection, key: &MessageKey) -> Result<Option<Message>, StoreError> {
        let Some(head) = load_head(db, key)? else { return Ok(None) };
        let message = head.first_seq.as_i64();
        let mut statement = db.prepare_cached(
            "SELECT part, chunk, kind, body FROM message_chunk
             WHERE message = ?1 AND kind = 3 AND chunk = 0",
        )?;
        let tools = statement.query_map([message], chunk_of)?;
        let mut chunks = tools.collect::<Result<Vec<_>, _>>()?;
        if let Some((part, from)) = head.tail_needed() {
            let mut statement = db.prepare_cached(
                "SELECT part, chunk, kind, body FROM message_chunk
                 WHERE message = ?1 AND part = ?2 AND chunk >= ?3 ORDER BY chunk",
            )?;
            let tail = statement.query_map(params![message, part, from], chunk_of)?;
            chunks.extend(tail.collect::<Result<Vec<_>, _>>()?);
        }
        join(Message::to_fold(head, checked(chunks)?))
    }

    fn save(db: &Connection, key: &MessageKey, row: &mut Message) -> Result<Written, StoreError> {
        let head = row.head().encode();
        let first_seq = row.head().first_seq.as_i64();
        db.prepare_cached(
            "INSERT INTO message (first_seq, chat, message_id, last_seq, head)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (first_seq)
             DO UPDATE SET last_seq = excluded.last_seq, head = excluded.head",
        )?
        .execute(params![
            first_seq,
            key.chat.as_i64(),
            key.message.as_str(),
            row.head().last_seq.as_i64(),
            head,
        ])?;
        let mut written = Written::row(head.len());
        for change in row.unsaved() {
            written += write_change(db, first_seq, &change)?;
        }
        row.mark_saved();
        row.forget_saved();
        Ok(written)
    }

    fn remove(db: &Connection, key: &MessageKey) -> Result<Written, StoreError> {
        let mut rows = db
            .prepare_cached(
                "DELETE FROM message_chunk WHERE message =
                    (SELECT first_seq FROM message WHERE chat = ?1 AND message_id = ?2)",
            )?
            .execute(params![key.chat.as_i64(), key.message.as_str()])?;
        rows += db
            .prepare_cached("DELETE FROM message WHERE chat = ?1 AND message_id = ?2")?
            .execute(params![key.chat.as_i64(), key.message.as_str()])?;
        Ok(Written { rows, bytes: 0 })
    }

    fn remove_chat(db: &Connection, chat: Seq) -> Result<Written, StoreError> {
        let mut rows = db
            .prepare_cached(
                "DELETE FROM message_chunk
                 WHERE message IN (SELECT first_seq FROM message WHERE chat = ?1)",
            )?
            .execute([chat.as_i64()])?;
        rows +=
            db.prepare_cached("DELETE FROM message WHERE chat = ?1")?.execute([chat.as_i64()])?;
        Ok(Written { rows, bytes: 0 })
    }
}

fn write_change(db: &Connection, message: i64, change: &Change<'_>) -> Result<Written, StoreError> {
    match change {
        Change::Drop { part, from } => {
            let rows = db
                .prepare_cached(
                    "DELETE FROM message_chunk WHERE message = ?1 AND part = ?2 AND chunk >= ?3",
                )?
                .execute(params![message, part, from])?;
            Ok(Written { rows, bytes: 0 })
        }
        Change::Put { part, chunk, kind, body } => {
            db.prepare_cached(
                "INSERT OR REPLACE INTO message_chunk (message, part, chunk, kind, body)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![message, part, chunk, kind.number(), body.as_ref()])?;
            Ok(Written::row(body.len()))
        }
    }
}

fn load_head(db: &Connection, key: &MessageKey) -> Result<Option<Head>, StoreError> {
    let blob: Option<Vec<u8>> = db
        .prepare_cached("SELECT head FROM message WHERE chat = ?1 AND message_id = ?2")?
        .query_row(params![key.chat.as_i64(), key.message.as_str()], |row| row.get(0))
        .optional()?;
    blob.map(|blob| Head::decode(&blob).map_err(StoreError::row::<Messages>)).transpose()
}

/// A chunk whose kind may be one that this program does not know.
fn chunk_of(row: &Row<'_>) -> Result<Option<Chunk>, rusqlite::Error> {
    let (part, chunk, body) = (row.get(0)?, row.get(1)?, row.get(3)?);
    let kind = PartKind::from_number(row.get(2)?);
    Ok(kind.map(|kind| Chunk { part, chunk, kind, body }))
}

fn checked(chunks: Vec<Option<Chunk>>) -> Result<Vec<Chunk>, StoreError> {
    chunks
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| StoreError::row::<Messages>("a chunk has an unknown kind"))
}

fn join(
    loaded: Result<Message, scrollback_projections::message::LoadError>,
) -> Result<Option<Message>, StoreError> {
    loaded.map(Some).map_err(StoreError::row::<Messages>)
}

/// Reads all of a message, to show it.
///
/// # Errors
///
/// [`StoreError`] if SQLite refuses or the row is damaged.
pub(crate) fn load_whole(db: &Connection, key: &MessageKey) -> Result<Option<Message>, StoreError> {
    let Some(head) = load_head(db, key)? else { return Ok(None) };
    let mut statement = db.prepare_cached(
        "SELECT part, chunk, kind, body FROM message_chunk
         WHERE message = ?1 ORDER BY part, chunk",
    )?;
    let chunks =
        statement.query_map([head.first_seq.as_i64()], chunk_of)?.collect::<Result<Vec<_>, _>>()?;
    join(Message::whole(head, checked(chunks)?))
}

/// Where a message of a chat stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessagePlace {
    /// Its first event.
    pub(crate) first_seq: Seq,
    /// The last event that changed it.
    pub(crate) last_seq: Seq,
    /// Its id.
    pub(crate) message: MessageId,
}

fn place_of(row: &Row<'_>) -> Result<Option<MessagePlace>, rusqlite::Error> {
    let message: String = row.get(2)?;
    let places = (Seq::from_i64(row.get(0)?), Seq::from_i64(row.get(1)?));
    let (Some(first_seq), Some(last_seq), Ok(message)) =
        (places.0, places.1, MessageId::try_from(message))
    else {
        return Ok(None);
    };
    Ok(Some(MessagePlace { first_seq, last_seq, message }))
}

/// Calls `take` with the messages of a chat that began before `before`, the latest first, until it
/// has enough.
///
/// # Errors
///
/// [`StoreError`] if SQLite refuses or a row is damaged.
pub(crate) fn messages_before(
    db: &Connection,
    chat: Seq,
    before: Seq,
    mut take: impl FnMut(MessagePlace) -> bool,
) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT first_seq, last_seq, message_id FROM message
         WHERE chat = ?1 AND first_seq < ?2 ORDER BY first_seq DESC",
    )?;
    for place in statement.query_map([chat.as_i64(), before.as_i64()], place_of)? {
        let place = place?.ok_or_else(|| StoreError::row::<Messages>("a row has no place"))?;
        if !take(place) {
            break;
        }
    }
    Ok(())
}
