//! Rows of `search`: documents, and the index over their text; who changes one changes both.

use rusqlite::{Connection, ToSql, params};
use scrollback_projections::MessageKey;
use scrollback_projections::search::{Document, DocumentText, Search};
use scrollback_schema::{MessageId, Seq};

use super::{Store, StoreError, Written};

impl Store for Search {
    const ROWS_AT_HAND: usize = 0;

    fn chat_of(key: &MessageKey) -> Seq {
        key.chat
    }

    /// Always none: the rules of the log let a message end once, so that no event of its comes
    /// after the one that made it a document.
    fn load(_db: &Connection, _key: &MessageKey) -> Result<Option<Document>, StoreError> {
        Ok(None)
    }

    fn save(db: &Connection, key: &MessageKey, row: &mut Document) -> Result<Written, StoreError> {
        let DocumentText::Known(text) = &row.text else {
            return Err(StoreError::row::<Search>("a document has no text yet"));
        };
        db.prepare_cached(
            "INSERT INTO document (first_seq, chat, message_id, role, at_ms, text)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            row.first_seq.as_i64(),
            key.chat.as_i64(),
            key.message.as_str(),
            row.role.name(),
            row.at.get(),
            text,
        ])?;
        db.prepare_cached("INSERT INTO document_text (rowid, text) VALUES (?1, ?2)")?
            .execute(params![row.first_seq.as_i64(), text])?;
        Ok(Written::row(text.len()))
    }

    fn remove(db: &Connection, key: &MessageKey) -> Result<Written, StoreError> {
        let key = params![key.chat.as_i64(), key.message.as_str()];
        remove_where(db, "chat = ?1 AND message_id = ?2", key)
    }

    fn remove_chat(db: &Connection, chat: Seq) -> Result<Written, StoreError> {
        remove_where(db, "chat = ?1", params![chat.as_i64()])
    }
}

/// Removes documents: first their terms, which are found by their text.
fn remove_where(
    db: &Connection,
    condition: &str,
    values: &[&dyn ToSql],
) -> Result<Written, StoreError> {
    let terms = format!(
        "INSERT INTO document_text (document_text, rowid, text)
         SELECT 'delete', first_seq, text FROM document WHERE {condition}"
    );
    db.prepare_cached(&terms)?.execute(values)?;
    let rows = format!("DELETE FROM document WHERE {condition}");
    let rows = db.prepare_cached(&rows)?.execute(values)?;
    Ok(Written { rows, bytes: 0 })
}

/// A document that holds what was searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its number: the seq of the message's first event.
    pub(crate) first_seq: Seq,
    /// The chat, by the seq of its first event.
    pub(crate) chat: Seq,
    /// The message.
    pub(crate) message: MessageId,
    /// `user` or `assistant`.
    pub(crate) role: String,
    /// The text around what was found.
    pub(crate) snippet: String,
}

/// The documents before `before` that match, the latest first, at most `limit`; only those of a
/// JSON list of chats, if it is given: what others said is not even counted.
///
/// # Errors
///
/// [`StoreError`] if SQLite refuses or a row is damaged.
pub(crate) fn found_before(
    db: &Connection,
    query: &str,
    chats: Option<&str>,
    before: Seq,
    limit: usize,
) -> Result<Vec<Found>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT d.first_seq, d.chat, d.message_id, d.role,
                snippet(document_text, 0, '', '', '…', 24)
         FROM document_text JOIN document AS d ON d.first_seq = document_text.rowid
         WHERE document_text MATCH ?1 AND document_text.rowid < ?2
           AND (?4 IS NULL OR d.chat IN (SELECT value FROM json_each(?4)))
         ORDER BY document_text.rowid DESC LIMIT ?3",
    )?;
    let rows =
        statement.query_map(params![query, before.as_i64(), limit as i64, chats], |row| {
            let message: String = row.get(2)?;
            Ok((
                (
                    Seq::from_i64(row.get(0)?),
                    Seq::from_i64(row.get(1)?),
                    MessageId::try_from(message),
                ),
                (row.get(3)?, row.get(4)?),
            ))
        })?;
    rows.map(|row| match row? {
        ((Some(first_seq), Some(chat), Ok(message)), (role, snippet)) => {
            Ok(Found { first_seq, chat, message, role, snippet })
        }
        _ => Err(StoreError::row::<Search>("a document names no message")),
    })
    .collect()
}
