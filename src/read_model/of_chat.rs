//! What a chat has a short list of: its queue, its pending requests, its schedules.

use std::sync::Arc;

use scrollback_projections::queue::{QueueItemView, Queues};
use scrollback_projections::request::{PendingRequestView, Requests};
use scrollback_projections::schedule::{ScheduleView, Schedules};
use scrollback_schema::{ChatRef, Seq};
use serde_json::value::RawValue;

use super::open::OpenView;
use super::{ReadModel, ReadModelError, blocking, json};
use crate::projector::{Store, View};

/// A whole list: the rules of the log bound it.
#[derive(Debug)]
pub struct Items {
    /// Its items as clients see them.
    pub items: Vec<Box<RawValue>>,
    /// The seq that it reflects.
    pub as_of_seq: Seq,
}

impl ReadModel {
    async fn list<P: Store<Key = Seq>>(
        &self,
        view: &Arc<View>,
        chat: &ChatRef,
        items: fn(&P::Row) -> Vec<Box<RawValue>>,
    ) -> Result<Items, ReadModelError> {
        let as_of = self.log.head();
        self.ready(&[view], as_of).await?;
        let (log, view, chat) = (self.log.clone(), Arc::clone(view), chat.created);
        blocking(move || {
            let open = OpenView::new(&view)?;
            let as_of = as_of.max(open.from);
            let (row, as_of_seq) = open.row_of_chat::<P>(&log, chat, as_of)?;
            Ok(Items { items: row.as_ref().map(items).unwrap_or_default(), as_of_seq })
        })
        .await
    }

    /// The messages that wait for their turn, the next one first.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn queue(&self, chat: &ChatRef) -> Result<Items, ReadModelError> {
        self.list::<Queues>(&self.views.queue, chat, |row| {
            row.items.iter().map(|item| json(&QueueItemView(item))).collect()
        })
        .await
    }

    /// The approvals and questions that wait for an answer, the oldest first.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn requests(&self, chat: &ChatRef) -> Result<Items, ReadModelError> {
        self.list::<Requests>(&self.views.requests, chat, |row| {
            row.items.iter().map(|item| json(&PendingRequestView(item))).collect()
        })
        .await
    }

    /// The schedules of a chat.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn schedules(&self, chat: &ChatRef) -> Result<Items, ReadModelError> {
        self.list::<Schedules>(&self.views.schedules, chat, |row| {
            row.items.iter().map(|item| json(&ScheduleView(item))).collect()
        })
        .await
    }
}
