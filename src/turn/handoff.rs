//! From one turn to the next: the end of the one, the claim of the message that waits first, that
//! message and the start of its turn are one append.
//!
//! So a queued message has started or it has not; there is no state in between. What *fails to
//! start* is a hand-off that the log did not take: the message is then still the first of the
//! queue, the prior turn ends alone, and [`Shared::watch`] tries again. Once the hand-off is in the
//! log, the message has started: a provider that then cannot be set up, or is no longer
//! configured, fails that turn, where everybody sees it, and the queue goes on.

use std::sync::Arc;
use std::time::Duration;

use scrollback_projections::queue::QueueItem;
use scrollback_schema::event::{
    CancelReason, Cancelled, Origin, QueueProcessing, RequestOutcome, StreamStarted, UserText,
};
use scrollback_schema::{ChatRef, Event, Millis, NewEvent, TurnId};

use super::answer::Asked;
use super::delivery::{Pauses, Undelivered, append};
use super::gate::Gate;
use super::runner::Job;
use super::start::title_event;
use super::{Shared, TurnIds, TurnsError};
use crate::log::turn_guard::Reason;
use crate::log::{AppendError, Refusal, Scope};
use crate::read_model::ReadModelError;

/// Times that a queue is read again after a hand-off was refused.
const TRIES: usize = 3;

/// Between two looks at a turn that a producer outside runs: it may append a thousand times.
const LOOK: Duration = Duration::from_millis(50);

/// The turn that ends as another one starts.
#[derive(Debug, Clone)]
pub(super) struct Prior {
    pub(super) turn: TurnId,
    pub(super) started_at: Millis,
}

/// What waits first, ready to start.
struct Next {
    ids: TurnIds,
    provider: String,
    model: Option<String>,
    events: Vec<NewEvent>,
}

/// Who runs a chat's open turn.
#[derive(Debug)]
pub(super) enum Open {
    /// Nobody: the chat is idle.
    Idle,
    /// This server.
    Here,
    /// A producer outside.
    Outside {
        /// The turn.
        prior: Prior,
        /// What ends it.
        ending: Vec<NewEvent>,
    },
}

impl Shared {
    /// Appends the end of a turn, which may be nothing, and starts what waits: one append.
    pub(super) async fn go_on(
        self: &Arc<Self>,
        gate: &Gate,
        chat: &ChatRef,
        ending: Vec<NewEvent>,
        prior: Option<&Prior>,
    ) -> Result<(), Undelivered> {
        for _ in 0..TRIES {
            let next = match self.next(chat, prior).await {
                Ok(Some(next)) => next,
                Ok(None) => return self.end_alone(chat, ending).await,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, chat_id = %chat.id, "a queue could not be read");
                    break;
                }
            };
            let mut events = ending.clone();
            events.extend(next.events.iter().cloned());
            fail::fail_point!("turn-before-handoff");
            match append(&self.log, &chat.id, events).await {
                Ok(appended) => {
                    fail::fail_point!("turn-after-handoff");
                    self.spawn_turn(Job {
                        chat: chat.clone(),
                        turn: next.ids.turn,
                        message: next.ids.message,
                        user_message: next.ids.user_message,
                        provider: next.provider,
                        model: next.model,
                        started_at: appended.at,
                    });
                    return Ok(());
                }
                Err(Undelivered::Refused { index, error }) if index >= ending.len() => {
                    if ending.is_empty() && is_busy(&error) {
                        return Ok(());
                    }
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, chat_id = %chat.id, "a hand-off is refused");
                }
                Err(other) => return Err(other),
            }
        }
        self.end_alone(chat, ending).await?;
        self.watch(gate, chat);
        Ok(())
    }

    /// Appends the end of a turn, which may be nothing, and starts no other one.
    async fn end_alone(&self, chat: &ChatRef, ending: Vec<NewEvent>) -> Result<(), Undelivered> {
        if !ending.is_empty() {
            append(&self.log, &chat.id, ending).await?;
            self.stirred.is_idle(chat);
        }
        Ok(())
    }

    /// What waits first; nothing if the queue is empty, or the server ends.
    async fn next(
        &self,
        chat: &ChatRef,
        prior: Option<&Prior>,
    ) -> Result<Option<Next>, ReadModelError> {
        if self.closing.is_cancelled() {
            return Ok(None);
        }
        let mut items = self.read_model.queue_items(chat).await?;
        if items.is_empty() {
            return Ok(None);
        }
        let item = items.swap_remove(0);
        let title = match prior {
            Some(_) => None,
            None => self.title_for(chat, &item.content).await?,
        };
        let ids = TurnIds::fresh(&self.clock);
        let provider = item.provider.clone().or_else(|| self.default_provider.clone());
        // A server without a default has no better name for it; its turn then says so.
        let provider = provider.unwrap_or_else(|| "default".to_owned());
        let mut events = self.handed_over(&item, &ids, &provider, prior);
        events.extend(title.map(title_event));
        Ok(Some(Next { ids, provider, model: item.model, events }))
    }

    /// The claim, the user's message and the start of its turn.
    fn handed_over(
        &self,
        item: &QueueItem,
        ids: &TurnIds,
        provider: &str,
        prior: Option<&Prior>,
    ) -> Vec<NewEvent> {
        let now = self.clock.now();
        let processing = QueueProcessing {
            queued_message_id: item.id.clone(),
            user_message_id: ids.user_message.clone(),
            assistant_message_id: ids.message.clone(),
            turn_id: ids.turn.clone(),
            prior_turn_id: prior.map(|prior| prior.turn.clone()),
            prior_duration_ms: prior.map(|prior| now.since_ms(prior.started_at)),
        };
        let said = UserText { text: item.content.clone(), attachments: item.attachments.clone() };
        let origin = if item.send_now { Origin::SendNow } else { Origin::Queue };
        let started = StreamStarted {
            provider: provider.to_owned(),
            model: item.model.clone(),
            user_message_id: Some(ids.user_message.clone()),
            origin,
        };
        vec![
            NewEvent::of_chat(Event::QueueProcessing(processing)),
            ids.user_event(said),
            ids.turn_event(Event::StreamStarted(started)),
        ]
    }

    /// Who runs the chat's open turn; one of a producer outside with what would end it so.
    pub(super) async fn open(
        &self,
        chat: &ChatRef,
        reason: CancelReason,
    ) -> Result<Open, ReadModelError> {
        if self.registry.of_chat(&chat.id).is_some() {
            return Ok(Open::Here);
        }
        let record = self.read_model.chat_record(chat).await?;
        let Some(open) = record.and_then(|record| record.open_turn) else {
            return Ok(Open::Idle);
        };
        let event = |event| NewEvent::of_turn(open.turn_id.clone(), open.message_id.clone(), event);
        let mut ending = Vec::new();
        for pending in self.read_model.pending_requests(chat).await? {
            if pending.turn_id == open.turn_id {
                let asked = Asked::of(&pending.ask);
                ending.push(event(asked.ended(pending.id, RequestOutcome::Dismissed)));
            }
        }
        ending.push(event(Event::Cancelled(Cancelled { reason, duration_ms: 0 })));
        let prior = Prior { turn: open.turn_id.clone(), started_at: open.started_at };
        Ok(Open::Outside { prior, ending })
    }

    /// Ends the open turn of a producer outside, if there is one, and goes on; an idle chat just
    /// goes on. `asked` is who wants it, and for which turn if for one alone.
    pub(super) async fn end_outside(
        self: &Arc<Self>,
        gate: &Gate,
        chat: &ChatRef,
        reason: CancelReason,
        asked: Option<(&TurnId, NewEvent)>,
    ) -> Result<(), TurnsError> {
        for n_tries in 1.. {
            let (mut ending, prior) = match self.open(chat, reason).await? {
                Open::Here => return Ok(()),
                Open::Idle => (Vec::new(), None),
                Open::Outside { prior, ending } => (ending, Some(prior)),
            };
            if let Some((turn, event)) = &asked {
                match &prior {
                    Some(prior) if prior.turn == **turn => ending.insert(0, event.clone()),
                    _ => return Ok(()),
                }
            }
            match self.go_on(gate, chat, ending, prior.as_ref()).await {
                Ok(()) => return Ok(()),
                Err(Undelivered::Storage) => return Err(TurnsError::Storage),
                Err(Undelivered::Refused { error, .. }) if n_tries >= TRIES => {
                    return Err(error.into());
                }
                Err(Undelivered::Gone) if n_tries >= TRIES => return Ok(()),
                // Its producer appended, or somebody answered, at this moment: look again.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Follows a chat until its queue has moved on: while a producer outside runs its turn, and
    /// after a hand-off that failed. Only who holds the gate may ask for it.
    pub(super) fn watch(self: &Arc<Self>, _gate: &Gate, chat: &ChatRef) {
        if self.closing.is_cancelled() || !self.watched().insert(chat.created) {
            return;
        }
        let (shared, chat) = (Arc::clone(self), chat.clone());
        self.tasks.spawn(async move {
            let closing = shared.closing.clone();
            tokio::select! {
                biased;
                () = closing.cancelled() => {}
                () = shared.follow(&chat) => {}
            }
        });
    }

    async fn follow(self: &Arc<Self>, chat: &ChatRef) {
        let mut commits = self.log.subscribe(&Scope::Chat(chat.created));
        let mut pauses = Pauses::default();
        loop {
            let gate = self.gates.enter(&chat.id).await;
            match self.look(&gate, chat).await {
                Ok(true) => {
                    // Under the gate, so that nobody relies on a watch that has just ended.
                    self.watched().remove(&chat.created);
                    return;
                }
                Ok(false) => {
                    drop(gate);
                    commits.changed().await;
                    tokio::time::sleep(LOOK).await;
                }
                Err(()) => {
                    drop(gate);
                    pauses.pause().await;
                }
            }
        }
    }

    /// Whether there is nothing left to watch; starts what waits in an idle chat.
    async fn look(self: &Arc<Self>, gate: &Gate, chat: &ChatRef) -> Result<bool, ()> {
        let failed = |error: ReadModelError| {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, chat_id = %chat.id, "a chat could not be looked at");
        };
        if self.read_model.queue_items(chat).await.map_err(failed)?.is_empty() {
            return Ok(true);
        }
        match self.open(chat, CancelReason::User).await.map_err(failed)? {
            // Its task hands over.
            Open::Here => Ok(true),
            Open::Outside { .. } => Ok(false),
            Open::Idle => match self.go_on(gate, chat, Vec::new(), None).await {
                Ok(()) if self.registry.of_chat(&chat.id).is_some() => Ok(true),
                Err(Undelivered::Gone) => Ok(true),
                _ => Err(()),
            },
        }
    }
}

fn is_busy(error: &AppendError) -> bool {
    matches!(error, AppendError::Refused(Refusal { reason: Reason::TurnBusy { .. }, .. }))
}
