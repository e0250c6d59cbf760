//! Rows of `chat_events`: chunks of runs.

use rusqlite::{Connection, OptionalExtension, params};
use scrollback_projections::chat_events::{ChatEvents, ChatRuns, Chunk, Run};
use scrollback_schema::Seq;

use super::{Store, StoreError, Written};

impl Store for ChatEvents {
    const ROWS_AT_HAND: usize = 16_384;

    fn chat_of(key: &Seq) -> Seq {
        *key
    }

    fn load(db: &Connection, key: &Seq) -> Result<Option<ChatRuns>, StoreError> {
        let last: Option<Vec<u8>> = db
            .prepare_cached(
                "SELECT runs FROM chat_events WHERE chat = ?1 ORDER BY first_seq DESC LIMIT 1",
            )?
            .query_row([key.as_i64()], |row| row.get(0))
            .optional()?;
        last.map(|blob| Ok(ChatRuns::from_last(decode(&blob)?))).transpose()
    }

    fn save(db: &Connection, key: &Seq, row: &mut ChatRuns) -> Result<Written, StoreError> {
        let mut statement = db.prepare_cached(
            "INSERT INTO chat_events (chat, first_seq, last_seq, runs) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (chat, first_seq)
             DO UPDATE SET last_seq = excluded.last_seq, runs = excluded.runs",
        )?;
        let mut written = Written::default();
        for chunk in row.unsaved() {
            let (first, last) = (chunk.first_seq().as_i64(), chunk.last_seq().as_i64());
            let runs = chunk.encode();
            statement.execute(params![key.as_i64(), first, last, runs])?;
            written += Written::row(runs.len());
        }
        row.mark_saved();
        Ok(written)
    }

    fn remove(db: &Connection, key: &Seq) -> Result<Written, StoreError> {
        Self::remove_chat(db, *key)
    }

    fn remove_chat(db: &Connection, chat: Seq) -> Result<Written, StoreError> {
        let rows = db
            .prepare_cached("DELETE FROM chat_events WHERE chat = ?1")?
            .execute([chat.as_i64()])?;
        Ok(Written { rows, bytes: 0 })
    }
}

fn decode(blob: &[u8]) -> Result<Chunk, StoreError> {
    Chunk::decode(blob).map_err(StoreError::row::<ChatEvents>)
}

/// The runs of a chat that end after `after`, in ascending order, at most about `limit`.
///
/// The first may begin at or before `after`; fewer than `limit` are all that there are.
///
/// # Errors
///
/// [`StoreError`] if SQLite refuses or a chunk is damaged.
pub(crate) fn runs(
    db: &Connection,
    chat: Seq,
    after: Seq,
    limit: usize,
) -> Result<Vec<Run>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT runs FROM chat_events
         WHERE chat = ?1 AND first_seq >= coalesce(
            (SELECT max(first_seq) FROM chat_events WHERE chat = ?1 AND first_seq <= ?2), 0)
         ORDER BY first_seq",
    )?;
    let mut rows = statement.query([chat.as_i64(), after.next().as_i64()])?;
    let mut runs = Vec::new();
    while runs.len() < limit {
        let Some(row) = rows.next()? else { break };
        let chunk = decode(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
        runs.extend(chunk.runs().iter().filter(|run| run.last() > after));
    }
    runs.truncate(limit);
    Ok(runs)
}
