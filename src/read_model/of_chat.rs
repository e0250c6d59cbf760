//! What a chat has a short list of: its queue, its pending requests, its schedules.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::Connection;
use scrollback_projections::queue::{QueueItem, QueueItemView, Queues};
use scrollback_projections::request::{PendingRequest, PendingRequestView, Requests};
use scrollback_projections::schedule::{Schedule, Schedules};
use scrollback_schema::{ChatRef, Seq};
use serde_json::value::RawValue;

use super::open::OpenView;
use super::{ReadModel, ReadModelError, blocking, json};
use crate::log::Scope;
use crate::projector::{Fold, Store, StoreError, View, queued_chats, scheduled_chats};

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
    ) -> Result<Items, ReadModelError>
    where
        P::Row: Send + 'static,
    {
        let (row, as_of_seq) = self.row::<P>(view, chat).await?;
        Ok(Items { items: row.as_ref().map(items).unwrap_or_default(), as_of_seq })
    }

    async fn row<P: Store<Key = Seq>>(
        &self,
        view: &Arc<View>,
        chat: &ChatRef,
    ) -> Result<(Option<P::Row>, Seq), ReadModelError>
    where
        P::Row: Send + 'static,
    {
        let as_of = self.log.head();
        self.ready(&[view], as_of).await?;
        let (log, view, chat) = (self.log.clone(), Arc::clone(view), chat.created);
        blocking(move || {
            let open = OpenView::new(&view)?;
            let as_of = as_of.max(open.from);
            open.row_of_chat::<P>(&log, chat, as_of)
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

    /// The messages that wait for their turn, as they are kept, the next one first.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn queue_items(&self, chat: &ChatRef) -> Result<Vec<QueueItem>, ReadModelError> {
        let row = self.row::<Queues>(&self.views.queue, chat).await?.0;
        Ok(row.map(|queue| queue.items).unwrap_or_default())
    }

    /// The approvals and questions that wait for an answer, as they are kept, the oldest first.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn pending_requests(
        &self,
        chat: &ChatRef,
    ) -> Result<Vec<PendingRequest>, ReadModelError> {
        let row = self.row::<Requests>(&self.views.requests, chat).await?.0;
        Ok(row.map(|pending| pending.items).unwrap_or_default())
    }

    /// The chats in which messages wait for their turn, by the order in which they were created.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn chats_with_queue(&self) -> Result<Vec<ChatRef>, ReadModelError> {
        self.chats_with::<Queues>(&self.views.queue, queued_chats).await
    }

    /// The chats that have schedules, by the order in which they were created.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn chats_with_schedules(&self) -> Result<Vec<ChatRef>, ReadModelError> {
        self.chats_with::<Schedules>(&self.views.schedules, scheduled_chats).await
    }

    /// The chats that have a row in a list; `stored` says which have one in its file.
    async fn chats_with<P: Store<Key = Seq>>(
        &self,
        view: &Arc<View>,
        stored: fn(&Connection) -> Result<Vec<Seq>, StoreError>,
    ) -> Result<Vec<ChatRef>, ReadModelError>
    where
        P::Row: Send + 'static,
    {
        let as_of = self.log.head();
        self.ready(&[view, &self.views.chats], as_of).await?;
        let (this, view) = (self.clone(), Arc::clone(view));
        blocking(move || {
            let list = OpenView::new(&view)?;
            let chats = OpenView::new(&this.views.chats)?;
            let as_of = as_of.max(list.from).max(chats.from);
            let newer = list.fold_on_top(&this.log, &Scope::All, as_of, Fold::<P>::new())?;
            let stored = stored(list.db()).map_err(|error| list.failed(error))?;
            let mut found: BTreeSet<Seq> = stored.into_iter().collect();
            for (chat, row) in newer.into_rows() {
                match row {
                    Some(_) => found.insert(chat),
                    None => found.remove(&chat),
                };
            }
            let mut refs = Vec::with_capacity(found.len());
            for created in found {
                let (row, _) = this.chat_row(&chats, created, as_of)?;
                refs.extend(row.map(|chat| ChatRef { id: chat.id, created }));
            }
            Ok(refs)
        })
        .await
    }

    /// The schedules of a chat as they are kept, the oldest first, and the seq that they reflect.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn schedule_items(
        &self,
        chat: &ChatRef,
    ) -> Result<(Vec<Schedule>, Seq), ReadModelError> {
        let (row, as_of) = self.row::<Schedules>(&self.views.schedules, chat).await?;
        Ok((row.map(|schedules| schedules.items).unwrap_or_default(), as_of))
    }
}
