//! How the rows of each projection are kept in its file: one module a projection, with its SQL.
//!
//! What rows mean is left to the crate `projections`; when they are written, to `file`.

use std::error::Error;

use rusqlite::Connection;
use scrollback_projections::Projection;
use scrollback_schema::{ChatRef, Seq};

use super::StateError;

mod chat_events;
mod chats;
#[cfg(test)]
mod cost_test;
mod messages;
mod of_chat;
mod search;

pub(crate) use chat_events::runs;
pub(crate) use chats::{ChatPlace, chats_before, chats_idle_at, chats_of, open_chats_after};
pub(crate) use messages::{MessagePlace, load_whole, messages_before};
pub(crate) use of_chat::{queued_chats, scheduled_chats};
pub(crate) use search::{Found, Tokenizer, Wanted, found_before};

/// Why a row was not read or not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// SQLite refused.
    #[error("the view file could not be read or written")]
    Sqlite(#[from] rusqlite::Error),
    /// What is stored is no row.
    #[error("a stored row of {projection} makes no sense")]
    Row {
        /// The projection.
        projection: &'static str,
        /// Why it makes none.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// What the row is made of could not be had; another try may succeed.
    #[error("what a row is made of could not be read")]
    Elsewhere(#[source] Box<dyn Error + Send + Sync>),
    /// The fold panicked at an event, or at a run of deltas that begins there.
    #[error("the projection panicked in chat {} at seq {seq}", chat.id)]
    Panicked {
        /// The chat.
        chat: ChatRef,
        /// The event.
        seq: Seq,
    },
}

impl From<StateError> for StoreError {
    fn from(error: StateError) -> StoreError {
        match error {
            StateError::Sqlite(error) => StoreError::Sqlite(error),
            StateError::Malformed => {
                StoreError::Row { projection: "state", source: Box::new(error) }
            }
        }
    }
}

impl StoreError {
    /// A stored row of `P` that makes no sense.
    fn row<P: Projection>(source: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError::Row { projection: P::NAME, source: source.into() }
    }

    /// Whether the file is at fault, so that it has to be made anew.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            StoreError::Sqlite(error) => crate::sqlite::is_damage(error),
            StoreError::Row { .. } => true,
            StoreError::Elsewhere(_) | StoreError::Panicked { .. } => false,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Written {
    /// Rows that were inserted, replaced or deleted.
    pub(crate) rows: usize,
    /// Bytes of their blobs and texts.
    pub(crate) bytes: usize,
}

impl Written {
    /// One row of so many bytes.
    pub(crate) const fn row(bytes: usize) -> Written {
        Written { rows: 1, bytes }
    }
}

impl std::ops::AddAssign for Written {
    fn add_assign(&mut self, other: Written) {
        self.rows += other.rows;
        self.bytes += other.bytes;
    }
}

/// How the rows of a projection are kept.
pub(crate) trait Store: Projection<Key: Send, Row: Send> + 'static {
    /// Rows that a fold keeps at hand beside those that it has not saved yet.
    const ROWS_AT_HAND: usize;

    /// The chat that a row is about.
    fn chat_of(key: &Self::Key) -> Seq;

    /// Reads what a fold needs of a row.
    fn load(db: &Connection, key: &Self::Key) -> Result<Option<Self::Row>, StoreError>;

    /// Writes what has changed of a row since it was loaded or last saved.
    fn save(db: &Connection, key: &Self::Key, row: &mut Self::Row) -> Result<Written, StoreError>;

    /// Deletes a row, if it is there.
    fn remove(db: &Connection, key: &Self::Key) -> Result<Written, StoreError>;

    /// Deletes every row of a chat.
    fn remove_chat(db: &Connection, chat: Seq) -> Result<Written, StoreError>;
}
