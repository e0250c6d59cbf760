//! What the writer does by itself about turns: those that nobody has any more are closed, and
//! leases run out or go to another producer.
//!
//! How what it appends is committed is left to `writer`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use scrollback_schema::event::{CancelReason, Cancelled};
use scrollback_schema::limits::IDEMPOTENCY_TTL_MS;
use scrollback_schema::{ChatId, Event, NewEvent, TurnId};
use tokio::sync::oneshot;
use tracing::{Span, info, warn};

use super::append::{Append, AppendError, Lease};
use super::chats::{ChatSlot, Tables};
use super::lease::Claimed;
use super::writer::{Job, Writer};

impl Writer {
    /// Closes every turn that no living producer has: at start, before any work is taken. On a disk
    /// that takes nothing they are closed later, before the first append.
    ///
    /// # Errors
    ///
    /// SQLite's own, if they cannot be read.
    pub(crate) fn recover(&mut self) -> Result<(), rusqlite::Error> {
        self.close_orphans()?;
        self.sweep();
        Ok(())
    }

    /// Closes the turns of the process before this one; whether they are closed is noted.
    pub(super) fn close_orphans(&mut self) -> Result<(), rusqlite::Error> {
        // What the writer does meanwhile is no append that would have to wait for it.
        self.has_orphans = false;
        let mut orphans = Vec::new();
        for chat in Tables(&self.db).chats_with_open_turn()? {
            if let Some(slot) = self.slot(&chat)?
                && slot.lease.is_none()
            {
                orphans.extend(closing(&slot, CancelReason::Restart));
            }
        }
        if !orphans.is_empty() {
            info!(n_turns = orphans.len(), "closing turns of the process that ended");
            self.has_orphans = !self.commit_own(orphans);
        }
        Ok(())
    }

    /// Closes the turns whose lease ran out.
    pub(crate) fn sweep(&mut self) {
        if self.poisoned.load(Ordering::Acquire) {
            return;
        }
        self.check_disk();
        let now = self.clock.steady();
        let expired: Vec<ChatId> = self
            .leased
            .iter()
            .filter(|(_, runs_out)| **runs_out <= now)
            .map(|(chat, _)| chat.clone())
            .collect();
        let mut appends = Vec::new();
        for chat in expired {
            match self.slot(&chat) {
                Ok(Some(ChatSlot { lease: Some(lease), .. })) if lease.runs_out > now => {
                    self.leased.insert(chat, lease.runs_out);
                }
                Ok(Some(slot)) if slot.lease.is_some() => {
                    appends.extend(closing(&slot, CancelReason::LeaseExpired));
                }
                Ok(_) => {
                    self.leased.remove(&chat);
                }
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "chat was not loaded");
                }
            }
        }
        if !appends.is_empty() {
            info!(n_turns = appends.len(), "closing turns whose lease ran out");
            self.commit_own(appends);
        }
        let before = self.clock.now().plus_ms(-IDEMPOTENCY_TTL_MS);
        if let Err(error) = Tables(&self.db).forget_answers(before) {
            self.meet(&error);
        }
    }

    fn commit_own(&mut self, appends: Vec<Append>) -> bool {
        let jobs = appends
            .into_iter()
            .map(|append| Job { append, reply: oneshot::channel().0, span: Span::none() })
            .collect();
        self.commit(jobs)
    }

    /// Gives a turn's lease to another producer. It runs out when it would have: only an append
    /// renews it, since only that is in the log for the next start to find.
    pub(super) fn take_lease(
        &mut self,
        chat: &ChatId,
        turn: &TurnId,
    ) -> Result<Lease, AppendError> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(AppendError::Poisoned);
        }
        let storage = |error| AppendError::Storage { source: Arc::new(error) };
        let mut slot = self
            .slot(chat)
            .map_err(storage)?
            .ok_or_else(|| AppendError::ChatNotFound { chat: chat.clone() })?;
        let created = slot.state.created;
        let (Some(open), Some(lease)) = (&slot.turn, &mut slot.lease) else {
            return Err(AppendError::TurnEnded);
        };
        if open.id != *turn {
            return Err(AppendError::TurnEnded);
        }
        if let Err(error) = Tables(&self.db).set_epoch(open.started, lease.epoch + 1) {
            self.meet(&error);
            return Err(storage(error));
        }
        lease.epoch += 1;
        lease.token = self.key.token(created, Claimed { turn: open.started, epoch: lease.epoch });
        let answer = lease.answer();
        self.remember(slot);
        Ok(answer)
    }
}

/// The append that closes a chat's open turn.
fn closing(slot: &ChatSlot, reason: CancelReason) -> Option<Append> {
    let turn = slot.turn.as_ref()?;
    let event = Event::Cancelled(Cancelled { reason, duration_ms: 0 });
    let event = NewEvent::of_turn(turn.id.clone(), turn.message.clone(), event);
    Append::new(slot.state.id.clone(), vec![event]).ok()
}
