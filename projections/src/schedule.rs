//! The schedules of a chat, and how their last runs went.

use scrollback_schema::codec::{CodecError, decode_row, encode_row};
use scrollback_schema::event::{
    Event, Kind, ScheduleCreated, ScheduleFired, ScheduleUpdated, Timing,
};
use scrollback_schema::limits::SCHEDULE_RUNS_KEPT;
use scrollback_schema::{MessageId, Millis, Recorded, ScheduleId, Seq, TurnId};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::chat::patch;
use crate::json::{FailureJson, TimingJson};
use crate::message::{Failure, StreamStatus};
use crate::{CannotApply, Projection, Reads, Touch, touches_chat};

/// The projection `schedules`.
#[derive(Debug, Clone, Copy)]
pub struct Schedules;

/// The schedules of a chat, the oldest first; a chat that has none has no row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatSchedules {
    /// At least one, at most `SCHEDULES_MAX`: the writer refuses more.
    pub items: Vec<Schedule>,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The schedule.
    pub id: ScheduleId,
    /// When it runs.
    pub timing: Timing,
    /// What it sends.
    pub prompt: String,
    /// The provider to run it.
    pub provider: Option<String>,
    /// The model to ask for.
    pub model: Option<String>,
    /// Whether it waits to be resumed.
    pub paused: bool,
    /// When it was made.
    pub created_at: Millis,
    /// When it was last changed, paused or resumed.
    pub updated_at: Millis,
    /// Its next run is the first one due after this: when it was made, got another timing or was
    /// resumed, or when its last run was due. A run that waits is not lost by another change.
    pub runs_after: Millis,
    /// Runs that started a turn.
    pub n_started: u64,
    /// Runs that did not start.
    pub n_failed: u64,
    /// Runs that were due while nobody was there to start them.
    pub n_missed: u64,
    /// What it did last, the oldest first; `SCHEDULE_RUNS_KEPT` at most.
    pub runs: Vec<Run>,
}

/// What a schedule did once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// When the run was due.
    pub due_at: Millis,
    /// When it was recorded.
    pub at: Millis,
    /// The event that says so.
    pub seq: Seq,
    /// The turn that runs it, if it started.
    pub turn_id: Option<TurnId>,
    /// Runs before it that were missed.
    pub n_missed: u64,
    /// Why it did not start.
    pub error: Option<String>,
    /// How its turn ended, once it has.
    pub outcome: Option<Outcome>,
}

/// How the turn of a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Completed, failed or interrupted.
    pub status: StreamStatus,
    /// When.
    pub ended_at: Millis,
    /// What it produced.
    pub message_id: Option<MessageId>,
    /// Why it failed.
    pub failure: Option<Failure>,
}

impl ChatSchedules {
    /// The row blob.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        encode_row(self, &mut out);
        out
    }

    /// Reads a row blob back.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the bytes are no schedules.
    pub fn decode(blob: &[u8]) -> Result<ChatSchedules, CodecError> {
        decode_row(blob)
    }
}

impl Projection for Schedules {
    const NAME: &'static str = "schedules";
    const VERSION: u32 = 2;
    const SQL: &'static str = include_str!("../sql/schedules.sql");

    type Key = Seq;
    type Row = ChatSchedules;

    fn reads(kind: Kind) -> Reads {
        match kind {
            Kind::ChatDeleted => Reads::Head,
            Kind::ScheduleCreated
            | Kind::ScheduleUpdated
            | Kind::ScheduleRemoved
            | Kind::ScheduleFired
            | Kind::Complete
            | Kind::Cancelled
            | Kind::Error => Reads::Body,
            _ => Reads::Nothing,
        }
    }

    fn touches(event: &Recorded) -> Touch<Seq> {
        touches_chat(event, Schedules::reads)
    }

    fn apply(row: &mut Option<ChatSchedules>, event: &Recorded) -> Result<(), CannotApply> {
        let (id, said) = match event.event() {
            Some(said @ Event::ScheduleCreated(created)) => (&created.schedule_id, said),
            Some(said @ Event::ScheduleUpdated(updated)) => (&updated.schedule_id, said),
            Some(said @ Event::ScheduleRemoved(removed)) => (&removed.schedule_id, said),
            Some(said @ Event::ScheduleFired(fired)) => (&fired.schedule_id, said),
            Some(said) => {
                if let Some(schedules) = row.as_mut() {
                    schedules.end(event, said);
                }
                return Ok(());
            }
            None => return Ok(()),
        };
        let place = row.as_ref().and_then(|row| row.items.iter().position(|item| item.id == *id));
        if let Event::ScheduleCreated(created) = said {
            if place.is_some() {
                return Err(CannotApply::because("the schedule exists already"));
            }
            let row = row.get_or_insert_with(|| ChatSchedules { items: Vec::new() });
            row.items.push(new_schedule(event, created));
            return Ok(());
        }
        let (Some(schedules), Some(place)) = (row.as_mut(), place) else {
            return Err(CannotApply::because("the schedule does not exist"));
        };
        match said {
            Event::ScheduleUpdated(updated) => schedules.items[place].update(event, updated),
            Event::ScheduleFired(fired) => schedules.items[place].fire(event, fired),
            _ => drop(schedules.items.remove(place)),
        }
        if schedules.items.is_empty() {
            *row = None;
        }
        Ok(())
    }
}

fn new_schedule(event: &Recorded, created: &ScheduleCreated) -> Schedule {
    Schedule {
        id: created.schedule_id.clone(),
        timing: created.timing.clone(),
        prompt: created.prompt.clone(),
        provider: created.provider.clone(),
        model: created.model.clone(),
        paused: created.paused,
        created_at: event.at,
        updated_at: event.at,
        runs_after: event.at,
        n_started: 0,
        n_failed: 0,
        n_missed: 0,
        runs: Vec::new(),
    }
}

impl ChatSchedules {
    /// A turn of the chat has ended; one of a run that is kept says so there.
    fn end(&mut self, event: &Recorded, said: &Event) {
        let (status, failure) = match said {
            Event::Complete(_) => (StreamStatus::Completed, None),
            Event::Cancelled(_) => (StreamStatus::Interrupted, None),
            Event::Error(error) => {
                let failure = Failure {
                    code: error.code,
                    message: error.message.clone(),
                    phase: error.phase,
                    retryable: error.retryable,
                };
                (StreamStatus::Failed, Some(failure))
            }
            _ => return,
        };
        let Some(turn) = &event.turn else { return };
        let mut runs = self.items.iter_mut().flat_map(|schedule| schedule.runs.iter_mut().rev());
        if let Some(run) = runs.find(|run| run.turn_id.as_ref() == Some(&turn.id)) {
            let message_id = event.message.clone();
            run.outcome = Some(Outcome { status, ended_at: event.at, message_id, failure });
        }
    }
}

impl Schedule {
    fn update(&mut self, event: &Recorded, updated: &ScheduleUpdated) {
        if let Some(timing) = &updated.timing {
            self.timing.clone_from(timing);
            self.runs_after = event.at;
        }
        if let Some(prompt) = &updated.prompt {
            self.prompt.clone_from(prompt);
        }
        if let Some(paused) = updated.paused {
            if self.paused && !paused {
                self.runs_after = event.at;
            }
            self.paused = paused;
        }
        patch(&mut self.provider, &updated.provider);
        patch(&mut self.model, &updated.model);
        self.updated_at = event.at;
    }

    fn fire(&mut self, event: &Recorded, fired: &ScheduleFired) {
        if fired.turn_id.is_some() {
            self.n_started += 1;
        } else {
            self.n_failed += 1;
        }
        self.n_missed = self.n_missed.saturating_add(fired.n_missed);
        self.runs_after = self.runs_after.max(fired.due_at);
        if self.runs.len() >= SCHEDULE_RUNS_KEPT {
            self.runs.remove(0);
        }
        self.runs.push(Run {
            due_at: fired.due_at,
            at: event.at,
            seq: event.seq,
            turn_id: fired.turn_id.clone(),
            n_missed: fired.n_missed,
            error: fired.error.clone(),
            outcome: None,
        });
    }
}

/// A schedule as clients see it.
#[derive(Debug, Clone, Copy)]
pub struct ScheduleView<'a>(pub &'a Schedule);

impl Serialize for ScheduleView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let schedule = self.0;
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("schedule_id", schedule.id.as_str())?;
        out.serialize_entry("timing", &TimingJson(&schedule.timing))?;
        out.serialize_entry("prompt", &schedule.prompt)?;
        out.serialize_entry("provider", &schedule.provider)?;
        out.serialize_entry("model", &schedule.model)?;
        out.serialize_entry("paused", &schedule.paused)?;
        out.serialize_entry("created_at", &schedule.created_at.to_string())?;
        out.serialize_entry("updated_at", &schedule.updated_at.to_string())?;
        out.serialize_entry("n_started", &schedule.n_started)?;
        out.serialize_entry("n_failed", &schedule.n_failed)?;
        out.serialize_entry("n_missed", &schedule.n_missed)?;
        out.serialize_entry("last_run", &schedule.runs.last().map(RunView))?;
        out.end()
    }
}

/// A run of a schedule as clients see it.
#[derive(Debug, Clone, Copy)]
pub struct RunView<'a>(pub &'a Run);

impl Serialize for RunView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Run { due_at, at, seq, turn_id, n_missed, error, outcome } = self.0;
        let outcome = outcome.as_ref();
        let status = match (turn_id, outcome) {
            (None, _) => "not_started",
            (Some(_), None) => StreamStatus::InProgress.name(),
            (Some(_), Some(outcome)) => outcome.status.name(),
        };
        let message_id = outcome.and_then(|outcome| outcome.message_id.as_ref());
        let failure = outcome.and_then(|outcome| outcome.failure.as_ref());
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("due_at", &due_at.to_string())?;
        out.serialize_entry("at", &at.to_string())?;
        out.serialize_entry("seq", &seq.get())?;
        out.serialize_entry("status", status)?;
        out.serialize_entry("turn_id", &turn_id.as_ref().map(TurnId::as_str))?;
        out.serialize_entry("message_id", &message_id.map(MessageId::as_str))?;
        out.serialize_entry("ended_at", &outcome.map(|outcome| outcome.ended_at.to_string()))?;
        out.serialize_entry("n_missed", n_missed)?;
        out.serialize_entry("error", error)?;
        out.serialize_entry("failure", &failure.map(FailureJson))?;
        out.end()
    }
}
