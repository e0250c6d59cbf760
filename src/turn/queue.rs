//! The queue as people change it: add, edit, remove, clear, send now.
//!
//! All of it passes the chat's gate, so that nothing is queued behind a turn that has just ended.

use std::sync::Arc;

use scrollback_schema::event::{
    CancelReason, MessageQueued, Patch, QueueEdited, QueueRemoved, QueueSendNow,
};
use scrollback_schema::{ChatId, ChatRef, Event, NewEvent, Seq};

use super::gate::Gate;
use super::handoff::Open;
use super::start::Accepted;
use super::{Shared, TurnsError};
use crate::log::{Append, Appended, Idempotency};

impl Shared {
    /// Queues a message; in an idle chat it starts at once.
    pub(super) async fn queue(
        self: Arc<Self>,
        chat: ChatId,
        message: MessageQueued,
        idempotency: Option<Idempotency>,
    ) -> Result<Accepted, TurnsError> {
        if let Some(accepted) = self.accepted_before(idempotency.as_ref()).await? {
            return Ok(accepted);
        }
        self.choose(message.provider.as_deref())?;
        self.may_take_work()?;
        let gate = self.gates.enter(&chat).await;
        let chat = self.chat(&chat).await?;
        let id = message.queued_message_id.clone();
        let events = vec![Event::MessageQueued(message)];
        let accepted = self.enqueue(&chat, id, events, idempotency).await?;
        self.wait_for_way(&gate, &chat).await?;
        Ok(accepted)
    }

    /// Edits a queued message; returns the seq of the edit.
    pub(super) async fn edit(
        self: Arc<Self>,
        chat: ChatId,
        edited: QueueEdited,
        idempotency: Option<Idempotency>,
    ) -> Result<Seq, TurnsError> {
        if let Some(before) = self.answered_before(idempotency.as_ref()).await? {
            return Ok(before.last_seq);
        }
        if let Patch::Set(name) = &edited.provider {
            self.choose(Some(name))?;
        }
        let gate = self.gates.enter(&chat).await;
        let changed = self.change(&chat, vec![Event::QueueEdited(edited)], idempotency).await;
        drop(gate);
        Ok(changed?.last_seq)
    }

    /// Removes a queued message; returns the seq of the removal.
    pub(super) async fn remove(
        self: Arc<Self>,
        chat: ChatId,
        removed: QueueRemoved,
        idempotency: Option<Idempotency>,
    ) -> Result<Seq, TurnsError> {
        let gate = self.gates.enter(&chat).await;
        let changed = self.change(&chat, vec![Event::QueueRemoved(removed)], idempotency).await;
        drop(gate);
        Ok(changed?.last_seq)
    }

    /// Removes every queued message; returns how many, and the seq after which the queue is empty.
    pub(super) async fn clear(
        self: Arc<Self>,
        chat: ChatId,
        by: Option<String>,
        idempotency: Option<Idempotency>,
    ) -> Result<(usize, Seq), TurnsError> {
        let gate = self.gates.enter(&chat).await;
        if let Some(before) = self.answered_before(idempotency.as_ref()).await? {
            let n_removed = before.receipt.parse().map_err(|_| TurnsError::Unreadable)?;
            return Ok((n_removed, before.last_seq));
        }
        let found = self.chat(&chat).await?;
        let head = self.log.head();
        let items = self.read_model.queue_items(&found).await?;
        let removed = items.into_iter().map(|item| {
            let by = by.clone();
            Event::QueueRemoved(QueueRemoved { queued_message_id: item.id, by })
        });
        let removed: Vec<Event> = removed.collect();
        let n = removed.len();
        let kept = idempotency.map(|kept| Idempotency { receipt: n.to_string(), ..kept });
        if removed.is_empty() {
            // A repetition must not remove what is queued in between.
            return Ok(match kept {
                Some(kept) => (0, self.log.keep_answer(kept).await?.last_seq),
                None => (0, head),
            });
        }
        let changed = self.change(&chat, removed, kept).await?;
        drop(gate);
        Ok((n, changed.last_seq))
    }

    /// Sends a queued message now: it becomes the first, and the open turn makes way.
    pub(super) async fn send_now(
        self: Arc<Self>,
        chat: ChatId,
        now: QueueSendNow,
        idempotency: Option<Idempotency>,
    ) -> Result<Seq, TurnsError> {
        if let Some(before) = self.answered_before(idempotency.as_ref()).await? {
            return Ok(before.last_seq);
        }
        self.may_take_work()?;
        let gate = self.gates.enter(&chat).await;
        let found = self.chat(&chat).await?;
        let appended = self.change(&chat, vec![Event::QueueSendNow(now)], idempotency).await?;
        if appended.replayed.is_none() {
            self.make_way(&gate, &found).await?;
        }
        Ok(appended.last_seq)
    }

    async fn change(
        &self,
        chat: &ChatId,
        events: Vec<Event>,
        idempotency: Option<Idempotency>,
    ) -> Result<Appended, TurnsError> {
        let events = events.into_iter().map(NewEvent::of_chat).collect();
        let mut append = Append::new(chat.clone(), events)?;
        append.idempotency = idempotency;
        Ok(self.log.append(append).await?)
    }

    /// Lets what waits first start at once: the open turn is interrupted for it.
    pub(super) async fn make_way(
        self: &Arc<Self>,
        gate: &Gate,
        chat: &ChatRef,
    ) -> Result<(), TurnsError> {
        if let Some(running) = self.registry.of_chat(&chat.id) {
            running.interrupt(CancelReason::SendNow);
            return Ok(());
        }
        if self.end_outside(gate, chat, CancelReason::SendNow, None).await.is_err() {
            // The message is in the queue, and will be tried again.
            self.watch(gate, chat);
        }
        Ok(())
    }

    /// Lets what waits first start as soon as the chat is idle.
    pub(super) async fn wait_for_way(
        self: &Arc<Self>,
        gate: &Gate,
        chat: &ChatRef,
    ) -> Result<(), TurnsError> {
        match self.open(chat, CancelReason::User).await? {
            Open::Here => {}
            Open::Outside { .. } => self.watch(gate, chat),
            Open::Idle => {
                if self.go_on(gate, chat, Vec::new(), None).await.is_err() {
                    self.watch(gate, chat);
                }
            }
        }
        Ok(())
    }
}
