//! Where the events of a chat are, for the log's readers: the projection `chat_events`.

use std::error::Error;
use std::sync::Arc;

use scrollback_schema::Seq;

use super::read_state;
use super::set::Views;
use super::store::{self, StoreError};
use super::view::View;
use crate::log::{ChatIndex, ChatRuns};

#[derive(Debug)]
struct Index {
    chat_events: Arc<View>,
}

/// The index over these views.
pub(crate) fn of(views: &Views) -> Arc<dyn ChatIndex> {
    Arc::new(Index { chat_events: Arc::clone(&views.chat_events) })
}

/// An index that knows nothing: the log is walked.
const UNKNOWN: ChatRuns = ChatRuns { runs: Vec::new(), indexed_through: Seq::ZERO };

impl ChatIndex for Index {
    fn runs(
        &self,
        chat: Seq,
        after: Seq,
        limit: usize,
    ) -> Result<ChatRuns, Box<dyn Error + Send + Sync>> {
        let Some(live) = self.chat_events.live() else { return Ok(UNKNOWN) };
        let mut db = live.pool().get()?;
        let tx = db.transaction()?;
        let found = read_state(&tx).map_err(StoreError::from).and_then(|state| {
            let runs = store::runs(&tx, chat, after, limit)?;
            Ok((state.checkpoint, runs))
        });
        match found {
            Ok((indexed_through, runs)) => {
                let runs = runs.into_iter().map(|run| (run.first, run.n)).collect();
                Ok(ChatRuns { runs, indexed_through })
            }
            Err(error) if error.is_damage() => {
                self.chat_events.report_damage();
                Ok(UNKNOWN)
            }
            Err(error) => Err(error.into()),
        }
    }
}
