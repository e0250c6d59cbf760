//! One look at a chat: what is due starts, or the log says why not.
//!
//! A chat runs one turn at a time: a run that is due waits until the chat is idle, behind what
//! people have queued. It waits in no queue of its own: its schedule stays due, and what becomes
//! due meanwhile is missed by it. A run that cannot start within the configured time is given up,
//! which the log says; so are those that were due while no server ran.

use std::sync::Arc;
use std::time::Duration;

use scrollback_projections::schedule::Schedule;
use scrollback_schema::event::{Origin, ScheduleFired};
use scrollback_schema::{ChatId, ChatRef, Event, NewEvent, QueuedMessageId, ScheduleId, TurnId};

use super::clockwork::Look;
use super::due::{Due, next_run};
use super::{ScheduleError, Shared};
use crate::log::turn_guard::Reason;
use crate::log::{Append, AppendError, Idempotency, Refusal};
use crate::turn::{Accepted, Asks, IfBusy, StartTurn, TurnIds, TurnsError};

/// Between two looks at a chat that is busy while a run is due. Of a turn that ends here it is told
/// at once; one of a producer outside, or whose lease runs out, ends in the log alone.
const BUSY: Duration = Duration::from_secs(1);

/// Between two tries while the disk, a read model or the number of turns keeps a run from starting.
const AGAIN: Duration = Duration::from_secs(5);

/// What became of a run that was due.
enum Fired {
    /// The log says that it has started, or that it does not.
    Said,
    /// A turn is open.
    Busy,
    /// Something that passes keeps it from starting.
    Later(TurnsError),
    /// Its chat or its schedule is gone, or the server ends.
    Gone,
}

impl Shared {
    /// Starts what is due in a chat, and says when to look again.
    pub(super) async fn look(self: &Arc<Self>, chat: &ChatRef) -> Look {
        let _gate = self.gates.enter(&chat.id).await;
        match self.look_once(chat).await {
            Ok(look) => look,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, chat_id = %chat.id, "a scheduled run has to wait");
                Look::After(AGAIN)
            }
        }
    }

    async fn look_once(self: &Arc<Self>, chat: &ChatRef) -> Result<Look, TurnsError> {
        let turns = &self.turns.0;
        let now = turns.clock.now();
        let (schedules, _) = turns.read_model.schedule_items(chat).await?;
        let run = |schedule: Schedule| next_run(&schedule, now).map(|due| (due, schedule));
        let mut runs: Vec<(Due, Schedule)> = schedules.into_iter().filter_map(run).collect();
        runs.sort_by(|(due, a), (other, b)| (due.at, &a.id).cmp(&(other.at, &b.id)));
        let late_max_ms = u64::try_from(turns.config.schedule_late.as_millis()).unwrap_or(u64::MAX);
        let mut is_busy = false;
        self.stirred().wait_for(chat.created);
        for (due, schedule) in &runs {
            if due.at > now {
                break;
            }
            let fired = if now.since_ms(due.at) > late_max_ms {
                self.give_up(chat, schedule, due).await
            } else if is_busy || self.is_busy(chat).await? {
                Fired::Busy
            } else {
                self.fire(chat, schedule, due).await
            };
            match fired {
                Fired::Said => {}
                Fired::Busy => is_busy = true,
                Fired::Later(error) => {
                    self.stirred().wait_no_more(chat.created);
                    return Err(error);
                }
                Fired::Gone => {
                    self.stirred().wait_no_more(chat.created);
                    return Ok(Look::Never);
                }
            }
        }
        if is_busy {
            return Ok(Look::After(BUSY));
        }
        self.stirred().wait_no_more(chat.created);
        // What was due has another next time now.
        let (items, _) = turns.read_model.schedule_items(chat).await?;
        let next = items.iter().filter_map(|schedule| next_run(schedule, now)).map(|due| due.at);
        Ok(next.min().map_or(Look::Never, Look::At))
    }

    /// Whether a turn is open; cheaper than an append that is refused.
    async fn is_busy(&self, chat: &ChatRef) -> Result<bool, TurnsError> {
        let record = self.turns.0.read_model.chat_record(chat).await?;
        Ok(record.is_some_and(|record| record.open_turn.is_some()))
    }

    /// Starts a run, or notes why it cannot.
    async fn fire(self: &Arc<Self>, chat: &ChatRef, schedule: &Schedule, due: &Due) -> Fired {
        let ids = TurnIds::fresh(&self.turns.0.clock);
        let start = self.start_of(&chat.id, schedule, due, ids, None);
        fail::fail_point!("schedule-before-start");
        let started = self.turns.start(start).await;
        fail::fail_point!("schedule-after-start");
        match started {
            Ok(_) => Fired::Said,
            Err(error) => match Hindrance::of(&error) {
                Hindrance::Busy => Fired::Busy,
                Hindrance::Gone => Fired::Gone,
                Hindrance::Passing => Fired::Later(error),
                Hindrance::Lasting(why) => self.say(chat, &schedule.id, due, why).await,
            },
        }
    }

    /// Notes that a run is too late.
    async fn give_up(&self, chat: &ChatRef, schedule: &Schedule, due: &Due) -> Fired {
        let why = match due.at < self.turns.0.started_at {
            true => "missed: the server was not running",
            false => "missed: it could not start in time",
        };
        self.say(chat, &schedule.id, due, why.to_owned()).await
    }

    /// Notes that a run does not start.
    async fn say(&self, chat: &ChatRef, schedule: &ScheduleId, due: &Due, why: String) -> Fired {
        let events = vec![NewEvent::of_chat(fired(schedule, due, None, Some(why)))];
        let append = match Append::new(chat.id.clone(), events) {
            Ok(append) => self.turns.0.log.append(append).await,
            Err(error) => Err(error),
        };
        match append {
            Ok(_) => Fired::Said,
            Err(error) => {
                let error = TurnsError::from(error);
                match Hindrance::of(&error) {
                    Hindrance::Gone => Fired::Gone,
                    _ => Fired::Later(error),
                }
            }
        }
    }

    /// Starts a run that somebody wants now.
    pub(super) async fn run_now(
        self: &Arc<Self>,
        chat: ChatId,
        schedule: ScheduleId,
        ids: TurnIds,
        idempotency: Option<Idempotency>,
    ) -> Result<Accepted, ScheduleError> {
        let _gate = self.gates.enter(&chat).await;
        let found = self.turns.0.chat(&chat).await?;
        // The schedule may be gone since.
        if let Some(before) = self.turns.0.answered_before(idempotency.as_ref()).await? {
            let again = Accepted::again(&before.receipt, before.first_seq, before.last_seq);
            return Ok(again.ok_or(TurnsError::Unreadable)?);
        }
        let item = self.find(&found, &schedule).await?;
        let now = self.turns.0.clock.now();
        let waits = next_run(&item, now).filter(|due| due.at <= now);
        let due = waits.unwrap_or(Due { at: now, n_missed: 0 });
        let start = self.start_of(&chat, &item, &due, ids, idempotency);
        let accepted = self.turns.start(start).await?;
        self.stirred().change(found);
        Ok(accepted)
    }

    fn start_of(
        &self,
        chat: &ChatId,
        schedule: &Schedule,
        due: &Due,
        ids: TurnIds,
        idempotency: Option<Idempotency>,
    ) -> StartTurn {
        let unused = QueuedMessageId::parse(&self.turns.0.clock.fresh_id());
        StartTurn {
            chat: chat.clone(),
            asks: Asks::Anew,
            text: schedule.prompt.clone(),
            attachments: Vec::new(),
            provider: schedule.provider.clone(),
            model: schedule.model.clone(),
            origin: Origin::Schedule,
            if_busy: IfBusy::Reject,
            also: vec![fired(&schedule.id, due, Some(ids.turn.clone()), None)],
            ids,
            queued_message: unused.expect("a UUID is an id"),
            idempotency,
        }
    }
}

fn fired(
    schedule: &ScheduleId,
    due: &Due,
    turn_id: Option<TurnId>,
    error: Option<String>,
) -> Event {
    Event::ScheduleFired(ScheduleFired {
        schedule_id: schedule.clone(),
        due_at: due.at,
        turn_id,
        n_missed: due.n_missed,
        error,
    })
}

/// What keeps a run from starting.
enum Hindrance {
    Busy,
    Gone,
    Passing,
    /// With what the log says of it.
    Lasting(String),
}

impl Hindrance {
    fn of(error: &TurnsError) -> Hindrance {
        match error {
            TurnsError::Append(AppendError::Refused(Refusal { reason, .. })) => match reason {
                Reason::TurnBusy { .. } => Hindrance::Busy,
                Reason::IdUnknown { .. } | Reason::IdClosed { .. } => Hindrance::Gone,
                _ => Hindrance::Lasting(error.to_string()),
            },
            TurnsError::Append(
                AppendError::ChatNotFound { .. }
                | AppendError::ChatDeleted { .. }
                | AppendError::Closing
                | AppendError::Poisoned,
            )
            | TurnsError::Closing => Hindrance::Gone,
            TurnsError::ProviderUnknown { name } => {
                Hindrance::Lasting(format!("provider {name} is not configured"))
            }
            TurnsError::NoProvider
            | TurnsError::External
            | TurnsError::Append(AppendError::TooLarge { .. }) => {
                Hindrance::Lasting(error.to_string())
            }
            _ => Hindrance::Passing,
        }
    }
}
