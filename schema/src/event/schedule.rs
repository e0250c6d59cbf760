//! Payloads of schedules.

use serde::{Deserialize, Serialize};

use super::field::Patch;
use crate::id::{ScheduleId, TurnId};
use crate::time::Millis;

/// When a schedule runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Timing {
    /// A cron expression in a time zone of the IANA database.
    Cron {
        /// The expression.
        expression: String,
        /// The time zone, for example `Europe/Lisbon`.
        time_zone: String,
    },
    /// Again and again after so many milliseconds.
    Interval {
        /// The distance from one run to the next.
        every_ms: u64,
    },
}

/// Payload of [`Event::ScheduleCreated`](super::Event::ScheduleCreated).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleCreated {
    /// The schedule's id within the chat.
    pub schedule_id: ScheduleId,
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
}

/// Payload of [`Event::ScheduleUpdated`](super::Event::ScheduleUpdated).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleUpdated {
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// Its new timing.
    pub timing: Option<Timing>,
    /// Its new prompt.
    pub prompt: Option<String>,
    /// Its new provider.
    pub provider: Patch<String>,
    /// Its new model.
    pub model: Patch<String>,
    /// Paused or resumed.
    pub paused: Option<bool>,
}

/// Payload of [`Event::ScheduleRemoved`](super::Event::ScheduleRemoved).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleRemoved {
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// Who removed it.
    pub by: Option<String>,
}

/// Payload of [`Event::ScheduleFired`](super::Event::ScheduleFired).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleFired {
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// When the run was due.
    pub due_at: Millis,
    /// The turn that runs it, if it started.
    pub turn_id: Option<TurnId>,
    /// Runs before this one that were missed.
    pub n_missed: u64,
    /// Why it did not start.
    pub error: Option<String>,
}
