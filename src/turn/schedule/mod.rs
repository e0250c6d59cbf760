//! Turns that start by the clock: schedules as people change them, and the task that fires them.
//!
//! All that is known of a schedule is in the log. In memory there is one time a chat, the next one
//! at which it has to be looked at; `due` computes it from the read model, so that a restart loses
//! nothing and repeats nothing. A run is one append: the user's message, the start of the turn, and
//! `schedule_fired`.
//!
//! Reading order: `due` decides (pure), `agenda` says which chat is next (pure), `stirred`
//! which ones at once, `clockwork` waits and looks, `fire` starts a run or says why not.

mod agenda;
mod clockwork;
mod due;
mod fire;
mod stirred;

use std::sync::Arc;

use scrollback_projections::schedule::Schedule;
use scrollback_schema::event::{Patch, ScheduleCreated, ScheduleRemoved, ScheduleUpdated};
use scrollback_schema::{ChatId, ChatRef, Event, NewEvent, ScheduleId, Seq};

pub use due::{Due, TimingError, next_run};
pub(super) use stirred::Stirred;

use super::gate::ChatGates;
use super::{Accepted, TurnIds, Turns, TurnsError};
use crate::log::{Append, Appended, Idempotency};

/// Why a call about schedules was refused.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// As a call about turns would be.
    #[error(transparent)]
    Turns(#[from] TurnsError),
    /// It would never run.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// The chat has no such schedule.
    #[error("chat {chat} has no schedule {schedule}")]
    NotFound {
        /// The chat.
        chat: ChatId,
        /// The schedule.
        schedule: ScheduleId,
    },
}

/// The schedules of all chats; cloning shares them.
#[derive(Debug, Clone)]
pub struct Schedules(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    turns: Turns,
    /// Who changes or fires a schedule passes its chat's gate: a run that is paused does not start.
    gates: ChatGates,
}

impl Schedules {
    /// Fires nothing yet.
    pub fn new(turns: Turns) -> Schedules {
        Schedules(Arc::new(Shared { turns, gates: ChatGates::default() }))
    }

    /// Makes a schedule; returns its id, which is the client's key's first one, and its seq.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`]; nothing was stored, unless the append's outcome is unknown.
    ///
    /// # Cancel safety
    ///
    /// Here and in every other call: once polled, a dropped future does not keep the work from
    /// being done, whole.
    pub async fn create(
        &self,
        chat: ChatId,
        created: ScheduleCreated,
        idempotency: Option<Idempotency>,
    ) -> Result<(ScheduleId, Seq), ScheduleError> {
        due::check(&created.timing, self.0.turns.0.clock.now())?;
        self.0.turns.0.choose(created.provider.as_deref())?;
        let id = created.schedule_id.clone();
        let appended = self.0.change(chat, Event::ScheduleCreated(created), idempotency).await?;
        let id = match &appended.replayed {
            Some(first) => ScheduleId::parse(first).map_err(|_| TurnsError::Unreadable)?,
            None => id,
        };
        Ok((id, appended.last_seq))
    }

    /// Changes, pauses or resumes a schedule; returns the seq of the change.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`].
    pub async fn update(
        &self,
        chat: ChatId,
        updated: ScheduleUpdated,
        idempotency: Option<Idempotency>,
    ) -> Result<Seq, ScheduleError> {
        if let Some(timing) = &updated.timing {
            due::check(timing, self.0.turns.0.clock.now())?;
        }
        if let Patch::Set(provider) = &updated.provider {
            self.0.turns.0.choose(Some(provider))?;
        }
        let updated = Event::ScheduleUpdated(updated);
        Ok(self.0.change(chat, updated, idempotency).await?.last_seq)
    }

    /// Removes a schedule; returns the seq of the removal. A run that has started goes on.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`].
    pub async fn remove(
        &self,
        chat: ChatId,
        removed: ScheduleRemoved,
        idempotency: Option<Idempotency>,
    ) -> Result<Seq, ScheduleError> {
        let removed = Event::ScheduleRemoved(removed);
        Ok(self.0.change(chat, removed, idempotency).await?.last_seq)
    }

    /// Starts a run at once, also of a schedule that is paused. If one is due and waits, it is that
    /// one.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`]; a busy chat refuses it, and nothing is noted then.
    pub async fn run_now(
        &self,
        chat: ChatId,
        schedule: ScheduleId,
        ids: TurnIds,
        idempotency: Option<Idempotency>,
    ) -> Result<Accepted, ScheduleError> {
        let shared = Arc::clone(&self.0);
        let run = async move { Ok(shared.run_now(chat, schedule, ids, idempotency).await) };
        self.0.turns.whole(run).await?
    }

    /// A schedule as it is.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`].
    pub async fn find(
        &self,
        chat: &ChatId,
        schedule: &ScheduleId,
    ) -> Result<Schedule, ScheduleError> {
        let found = self.0.turns.0.chat(chat).await?;
        self.0.find(&found, schedule).await
    }

    /// Begins to fire: reads which schedules there are, and starts the task that waits for their
    /// times. It ends when the turns are closed. To be called once.
    ///
    /// # Errors
    ///
    /// [`TurnsError`], if the schedules cannot be read.
    pub async fn start(&self) -> Result<(), TurnsError> {
        let turns = &self.0.turns.0;
        let chats = turns.read_model.chats_with_schedules().await?;
        if !chats.is_empty() {
            tracing::info!(n_chats = chats.len(), "schedules go on");
        }
        self.0.stirred().extend(chats);
        turns.tasks.spawn(clockwork::run(Arc::clone(&self.0)));
        Ok(())
    }

    /// Has the clock looked at now, for who has set it.
    pub fn wake(&self) {
        self.0.stirred().ring();
    }
}

impl Shared {
    /// Appends a change of a chat's schedules, and has the chat looked at.
    async fn change(
        self: &Arc<Self>,
        chat: ChatId,
        event: Event,
        idempotency: Option<Idempotency>,
    ) -> Result<Appended, ScheduleError> {
        let shared = Arc::clone(self);
        let change = async move {
            let gate = shared.gates.enter(&chat).await;
            let found = shared.turns.0.chat(&chat).await?;
            let mut append = Append::new(chat, vec![NewEvent::of_chat(event)])?;
            append.idempotency = idempotency;
            let appended = shared.turns.0.log.append(append).await?;
            drop(gate);
            shared.stirred().change(found);
            Ok(appended)
        };
        Ok(self.turns.whole(change).await?)
    }

    async fn find(&self, chat: &ChatRef, schedule: &ScheduleId) -> Result<Schedule, ScheduleError> {
        let items = self.turns.0.read_model.schedule_items(chat).await;
        let (items, _) = items.map_err(TurnsError::from)?;
        let found = items.into_iter().find(|item| item.id == *schedule);
        let not_found =
            || ScheduleError::NotFound { chat: chat.id.clone(), schedule: schedule.clone() };
        found.ok_or_else(not_found)
    }

    fn stirred(&self) -> &Stirred {
        &self.turns.0.stirred
    }
}
