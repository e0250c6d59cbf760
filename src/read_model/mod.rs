//! What clients are shown: rows of the views, with what is newer folded on top.
//!
//! A read is never stale. It takes the head when the request comes, the rows that a view file has
//! in one read transaction, and folds the events between the two from the log; so an answer states
//! a seq, and a stream that goes on from there misses nothing and repeats nothing. An event that
//! cannot be applied is where a chat stands still: its answers then state the seq before it.
//!
//! What rows mean is left to the crate `projections`, how they are kept to `projector::store`, who
//! may see them to `http`.

mod chats;
mod conversation;
mod messages;
mod of_chat;
mod open;
mod search;
mod status;

use std::sync::Arc;
use std::time::Duration;

use scrollback_schema::Seq;
use serde::Serialize;
use serde_json::value::RawValue;

pub use chats::{ChatAnswer, ChatCursor, ChatFilter, ChatsPage, ChatsQuery, OpenTurnEntry};
pub use conversation::Spoken;
pub use messages::{MessageAnswer, MessageRecords, MessagesPage, MessagesQuery, Snapshot};
pub use of_chat::Items;
pub use search::{SearchHit, SearchPage, SearchQuery};
pub use status::{ChatStatus, OpenTurnStatus};

use crate::log::Log;
use crate::projector::{Projector, SourceError, Tokenizer, View, Views};

/// Events that a read folds on top of its rows at most: some milliseconds of work. A view that is
/// further behind, since it is being built, is waited for.
const EVENTS_ON_TOP_MAX: u64 = 200_000;

/// How long a read waits for a view that is far behind.
const CATCH_UP_WAIT: Duration = Duration::from_secs(10);

/// Why a read was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ReadModelError {
    /// The position asked for is not written yet.
    #[error("seq {at_seq} is not written yet; the last event is {head}")]
    NotYet {
        /// The position.
        at_seq: Seq,
        /// The last event.
        head: Seq,
    },
    /// The view is being built, or its worker stands still.
    #[error("the view {projection} is behind by {lag_events} events; try again")]
    Behind {
        /// The projection.
        projection: &'static str,
        /// Events that it has not folded.
        lag_events: u64,
    },
    /// The view's file is damaged and is now made anew.
    #[error("the view {projection} is damaged and is being built anew; try again")]
    Damaged {
        /// The projection.
        projection: &'static str,
        /// What was found.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The view has no file: its worker ended.
    #[error("the view {projection} is out of service; restart the server")]
    OutOfService {
        /// The projection.
        projection: &'static str,
    },
    /// The view's file cannot be read.
    #[error("the view {projection} could not be read")]
    Store {
        /// The projection.
        projection: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No connection was free in time.
    #[error("no connection to the view {projection} was free in time; try again")]
    Busy {
        /// The projection.
        projection: &'static str,
        /// Why.
        #[source]
        source: r2d2::Error,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] SourceError),
    /// The thread that read has ended.
    #[error("a read was interrupted")]
    Interrupted,
}

/// Answers what clients ask about chats; cloning shares it.
#[derive(Debug, Clone)]
pub struct ReadModel {
    log: Log,
    views: Views,
    tokenizer: Arc<Tokenizer>,
}

impl ReadModel {
    /// Reads what a projector keeps.
    pub fn new(projector: &Projector) -> ReadModel {
        let (log, views) = (projector.log().clone(), projector.views().clone());
        ReadModel { log, views, tokenizer: Arc::default() }
    }

    /// Waits until a read as of `as_of` has little to fold on top of these views.
    async fn ready(&self, views: &[&View], as_of: Seq) -> Result<(), ReadModelError> {
        // As if a large view were being built anew.
        fail::fail_point!("view-behind", |_| {
            Err(ReadModelError::Behind { projection: "any", lag_events: 0 })
        });
        for view in views {
            let lag = |seen: Seq| as_of.get().saturating_sub(seen.get());
            let done = view
                .wait_until(CATCH_UP_WAIT, |position| lag(position.seen) <= EVENTS_ON_TOP_MAX)
                .await;
            if !done {
                let lag_events = lag(view.position().seen);
                return Err(ReadModelError::Behind { projection: view.name(), lag_events });
            }
        }
        Ok(())
    }
}

/// Runs a read on a thread that may block.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ReadModelError> + Send + 'static,
) -> Result<T, ReadModelError> {
    tokio::task::spawn_blocking(read).await.map_err(|_| ReadModelError::Interrupted)?
}

/// The JSON of a row as clients see it.
pub(crate) fn json(view: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(view).expect("views of rows have string keys and no failures")
}
