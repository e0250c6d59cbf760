//! Rows of `chats`: one a chat, its columns repeat what lists select and sort by.

use rusqlite::{Connection, OptionalExtension, Rows, params};
use scrollback_projections::chat::{Chat, Chats};
use scrollback_schema::{Millis, Seq};

use super::{Store, StoreError, Written};

impl Store for Chats {
    const ROWS_AT_HAND: usize = 8_192;

    fn chat_of(key: &Seq) -> Seq {
        *key
    }

    fn load(db: &Connection, key: &Seq) -> Result<Option<Chat>, StoreError> {
        let blob: Option<Vec<u8>> = db
            .prepare_cached("SELECT body FROM chat WHERE created_seq = ?1")?
            .query_row([key.as_i64()], |row| row.get(0))
            .optional()?;
        blob.map(|blob| decode(&blob)).transpose()
    }

    fn save(db: &Connection, key: &Seq, row: &mut Chat) -> Result<Written, StoreError> {
        let body = row.encode();
        db.prepare_cached(
            "INSERT INTO chat (created_seq, chat_id, owner, title, last_activity_ms,
                               open_turn_seq, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (created_seq) DO UPDATE SET
                 owner = excluded.owner, title = excluded.title,
                 last_activity_ms = excluded.last_activity_ms,
                 open_turn_seq = excluded.open_turn_seq, body = excluded.body",
        )?
        .execute(params![
            key.as_i64(),
            row.id.as_str(),
            row.owner,
            row.title,
            row.last_activity_at.get(),
            row.open_turn.as_ref().map(|turn| turn.started_seq.as_i64()),
            body,
        ])?;
        Ok(Written::row(body.len()))
    }

    fn remove(db: &Connection, key: &Seq) -> Result<Written, StoreError> {
        let rows = db
            .prepare_cached("DELETE FROM chat WHERE created_seq = ?1")?
            .execute([key.as_i64()])?;
        Ok(Written { rows, bytes: 0 })
    }

    fn remove_chat(db: &Connection, chat: Seq) -> Result<Written, StoreError> {
        Self::remove(db, &chat)
    }
}

fn decode(blob: &[u8]) -> Result<Chat, StoreError> {
    Chat::decode(blob).map_err(StoreError::row::<Chats>)
}

/// A place in the list of chats by last activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChatPlace {
    /// When something last happened in the chat.
    pub(crate) last_activity_at: Millis,
    /// The chat, by the seq of its first event; decides where two happened at once.
    pub(crate) created: Seq,
}

impl ChatPlace {
    /// The place of a chat.
    pub(crate) const fn of(chat: &Chat) -> ChatPlace {
        ChatPlace { last_activity_at: chat.last_activity_at, created: chat.created }
    }
}

/// Calls `take` with the chats behind a place, the latest first, until it has enough; only those of
/// an owner, if one is given.
///
/// # Errors
///
/// [`StoreError`] if SQLite refuses or a row is damaged.
pub(crate) fn chats_before(
    db: &Connection,
    owner: Option<&str>,
    before: Option<ChatPlace>,
    take: impl FnMut(Chat) -> bool,
) -> Result<(), StoreError> {
    let (ms, created) = before.map_or((i64::MAX, i64::MAX), |place| {
        (place.last_activity_at.get(), place.created.as_i64())
    });
    match owner {
        None => {
            let mut statement = db.prepare_cached(
                "SELECT body FROM chat WHERE (last_activity_ms, created_seq) < (?1, ?2)
                 ORDER BY last_activity_ms DESC, created_seq DESC",
            )?;
            walk(statement.query([ms, created])?, take)
        }
        Some(owner) => {
            let mut statement = db.prepare_cached(
                "SELECT body FROM chat
                 WHERE owner = ?3 AND (last_activity_ms, created_seq) < (?1, ?2)
                 ORDER BY last_activity_ms DESC, created_seq DESC",
            )?;
            walk(statement.query(params![ms, created, owner])?, take)
        }
    }
}

/// The chats of an owner, and of a JSON list of ids, if they are given; in no order.
///
/// # Errors
///
/// [`StoreError`] if SQLite refuses.
pub(crate) fn chats_of(
    db: &Connection,
    owner: Option<&str>,
    ids: Option<&str>,
) -> Result<Vec<Seq>, StoreError> {
    let sql = match (owner, ids) {
        (Some(_), None) => "SELECT created_seq FROM chat WHERE owner = ?1 AND ?2 IS NULL",
        (Some(_), Some(_)) => {
            "SELECT created_seq FROM chat
             WHERE chat_id IN (SELECT value FROM json_each(?2)) AND owner = ?1"
        }
        (None, _) => {
            "SELECT created_seq FROM chat
             WHERE chat_id IN (SELECT value FROM json_each(?2)) AND ?1 IS NULL"
        }
    };
    let mut statement = db.prepare_cached(sql)?;
    let seqs = statement.query_map(params![owner, ids], |row| row.get(0))?;
    let seqs: Vec<i64> = seqs.collect::<Result<_, _>>()?;
    Ok(seqs.into_iter().filter_map(Seq::from_i64).collect())
}

/// Calls `take` with the chats in which nothing happened from `at` on, the longest idle first, from
/// the place behind `after` on, until it has enough.
///
/// # Errors
///
/// [`StoreError`] if SQLite refuses or a row is damaged.
pub(crate) fn chats_idle_at(
    db: &Connection,
    at: Millis,
    after: Option<ChatPlace>,
    take: impl FnMut(Chat) -> bool,
) -> Result<(), StoreError> {
    let (ms, created) =
        after.map_or((-1, -1), |place| (place.last_activity_at.get(), place.created.as_i64()));
    let mut statement = db.prepare_cached(
        "SELECT body FROM chat WHERE (last_activity_ms, created_seq) > (?1, ?2)
           AND last_activity_ms < ?3
         ORDER BY last_activity_ms, created_seq",
    )?;
    walk(statement.query([ms, created, at.get()])?, take)
}

fn walk(mut rows: Rows<'_>, mut take: impl FnMut(Chat) -> bool) -> Result<(), StoreError> {
    while let Some(row) = rows.next()? {
        let chat = decode(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
        if !take(chat) {
            break;
        }
    }
    Ok(())
}

/// Calls `take` with the chats whose open turn started after `after`, the oldest first, until it
/// has enough.
///
/// # Errors
///
/// [`StoreError`] if SQLite refuses or a row is damaged.
pub(crate) fn open_chats_after(
    db: &Connection,
    after: Seq,
    take: impl FnMut(Chat) -> bool,
) -> Result<(), StoreError> {
    let mut statement =
        db.prepare_cached("SELECT body FROM chat WHERE open_turn_seq > ?1 ORDER BY open_turn_seq")?;
    walk(statement.query([after.as_i64()])?, take)
}
