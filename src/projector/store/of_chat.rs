//! Rows of `queue`, `requests` and `schedules`: one a chat that has any, all of it in one blob.

use rusqlite::{Connection, OptionalExtension, params};
use scrollback_projections::queue::{Queue, Queues};
use scrollback_projections::request::{PendingRequests, Requests};
use scrollback_projections::schedule::{ChatSchedules, Schedules};
use scrollback_schema::Seq;

use super::{Store, StoreError, Written};

/// Implements [`Store`] for a projection with the table `(chat, n_items, body)`.
macro_rules! store_of_chat {
    ($projection:ty, $row:ty, $table:literal) => {
        impl Store for $projection {
            const ROWS_AT_HAND: usize = 1_024;

            fn chat_of(key: &Seq) -> Seq {
                *key
            }

            fn load(db: &Connection, key: &Seq) -> Result<Option<$row>, StoreError> {
                let blob: Option<Vec<u8>> = db
                    .prepare_cached(concat!("SELECT body FROM ", $table, " WHERE chat = ?1"))?
                    .query_row([key.as_i64()], |row| row.get(0))
                    .optional()?;
                blob.map(|blob| <$row>::decode(&blob).map_err(StoreError::row::<$projection>))
                    .transpose()
            }

            fn save(db: &Connection, key: &Seq, row: &mut $row) -> Result<Written, StoreError> {
                let body = row.encode();
                db.prepare_cached(concat!(
                    "INSERT INTO ",
                    $table,
                    " (chat, n_items, body) VALUES (?1, ?2, ?3)
                     ON CONFLICT (chat)
                     DO UPDATE SET n_items = excluded.n_items, body = excluded.body",
                ))?
                .execute(params![key.as_i64(), row.items.len() as i64, body])?;
                Ok(Written::row(body.len()))
            }

            fn remove(db: &Connection, key: &Seq) -> Result<Written, StoreError> {
                let rows = db
                    .prepare_cached(concat!("DELETE FROM ", $table, " WHERE chat = ?1"))?
                    .execute([key.as_i64()])?;
                Ok(Written { rows, bytes: 0 })
            }

            fn remove_chat(db: &Connection, chat: Seq) -> Result<Written, StoreError> {
                Self::remove(db, &chat)
            }
        }
    };
}

store_of_chat!(Queues, Queue, "queue");
store_of_chat!(Requests, PendingRequests, "requests");
store_of_chat!(Schedules, ChatSchedules, "schedules");

/// The chats that have a queue, by their numbers.
pub(crate) fn queued_chats(db: &Connection) -> Result<Vec<Seq>, StoreError> {
    chats(db, "SELECT chat FROM queue ORDER BY chat")
}

/// The chats that have schedules, by their numbers.
pub(crate) fn scheduled_chats(db: &Connection) -> Result<Vec<Seq>, StoreError> {
    chats(db, "SELECT chat FROM schedules ORDER BY chat")
}

fn chats(db: &Connection, select: &str) -> Result<Vec<Seq>, StoreError> {
    let mut statement = db.prepare_cached(select)?;
    let chats = statement.query_map([], |row| row.get::<_, i64>(0))?;
    let mut found = Vec::new();
    for chat in chats {
        found.extend(Seq::from_i64(chat?));
    }
    Ok(found)
}
