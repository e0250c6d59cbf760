//! What the log, the views and the wire refuse, said in the table of `error`.

use scrollback_schema::wire::{self, WireError};

use super::body::{bad, missing};
use super::error::{Code, Problem};
use crate::inspect::PlanError;
use crate::log::offline::OfflineError;
use crate::log::turn_guard::{Reason, Space};
use crate::log::{AppendError, ReadError, Refusal};
use crate::projector::SourceError;
use crate::projector::rebuild::StartRebuildError;
use crate::read_model::ReadModelError;
use crate::turn::{ScheduleError, TurnsError};

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Problem {
        let detail = error.to_string();
        match error {
            AppendError::Empty => Problem::new(Code::BadBody, detail),
            AppendError::TooMany { .. } => Problem::new(Code::TooManyEvents, detail),
            AppendError::TooLarge { index, .. } => {
                Problem::new(Code::EventTooLarge, detail).with("event_index", index)
            }
            AppendError::ChatNotFound { chat } => Problem::chat_not_found(&chat),
            AppendError::ChatDeleted { chat } => Problem::chat_deleted(&chat),
            AppendError::Refused(refusal) => refused(&refusal),
            AppendError::LeaseInvalid { chat } => {
                Problem::new(Code::LeaseInvalid, detail).with("chat_id", chat.as_str())
            }
            AppendError::LeaseFenced { epoch } => {
                Problem::new(Code::LeaseFenced, detail).with("epoch", epoch)
            }
            AppendError::TurnEnded => Problem::new(Code::TurnEnded, detail),
            AppendError::NumberGap { expected } => {
                Problem::new(Code::NumberGap, detail).with("expected_number", expected)
            }
            AppendError::IdempotencyMismatch => Problem::new(Code::IdempotencyKeyReused, detail),
            AppendError::Closing => Problem::new(Code::ShuttingDown, detail),
            AppendError::Poisoned => Problem::new(Code::LogStopped, detail),
            // The log has said so once, and would say it for every call.
            AppendError::Unknown { .. } => Problem::new(Code::OutcomeUnknown, OUTCOME_UNKNOWN),
            AppendError::Storage { source } => {
                let is_full = source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
                let detail = if is_full { DISK_FULL } else { NOT_WRITTEN };
                Problem::new(Code::StorageFailed, detail)
            }
            AppendError::ImportOrder => Problem::fault(Code::Internal, INTERNAL, &error),
        }
    }
}

const OUTCOME_UNKNOWN: &str = "the events may or may not have been stored; send the same call with \
                               the same idempotency-key or event numbers again";

const DISK_FULL: &str = "the disk of the log is full and nothing was stored; make room on it, then \
                         send the same call again";

const NOT_WRITTEN: &str = "the log could not be written and nothing was stored; check its disk, \
                           then send the same call again";

const READ_FAILED: &str = "the log could not be read; try again";

const INTERNAL: &str = "a fault of this server; its trace says more";

fn refused(refusal: &Refusal) -> Problem {
    let code = match &refusal.reason {
        Reason::ChatExists => Code::ChatExists,
        Reason::TurnBusy { .. } => Code::ChatBusy,
        Reason::TurnExists { .. } | Reason::IdTaken { .. } => Code::IdTaken,
        Reason::NoOpenTurn | Reason::NotTheOpenTurn { .. } => Code::TurnEnded,
        Reason::IdUnknown { space: Space::Request, .. } => Code::RequestNotFound,
        Reason::IdClosed { space: Space::Request, .. } => Code::RequestAnswered,
        Reason::IdUnknown { space: Space::Queued, .. } => Code::QueuedMessageNotFound,
        Reason::IdClosed { space: Space::Queued, .. } => Code::QueuedMessageGone,
        Reason::TooMany { space: Space::Queued, .. } => Code::QueueFull,
        Reason::IdUnknown { space: Space::Schedule, .. }
        | Reason::IdClosed { space: Space::Schedule, .. } => Code::ScheduleNotFound,
        Reason::TooMany { space: Space::Schedule, .. } => Code::TooManySchedules,
        _ => Code::EventRefused,
    };
    let problem = Problem::new(code, refusal.to_string())
        .with("event_index", refusal.index)
        .with("event_kind", refusal.kind);
    match &refusal.reason {
        Reason::TurnBusy { open } => problem.with("open_turn_id", open.as_str()),
        _ => problem,
    }
}

/// Whether what is stored is the reason, so that no repetition helps.
pub(crate) const fn is_damage(error: &ReadError) -> bool {
    match error {
        ReadError::Damaged { .. }
        | ReadError::Undecodable { .. }
        | ReadError::Nameless { .. }
        | ReadError::Gap { .. }
        | ReadError::Archive(_) => true,
        ReadError::Index { .. }
        | ReadError::Storage(_)
        | ReadError::Busy(_)
        | ReadError::Interrupted => false,
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        match &error {
            // Its own words name the file, which is nobody's but the operator's.
            ReadError::Archive(segment) => {
                let (first, last) = segment.span();
                let detail = format!(
                    "the archive does not give seq {first} to {last}; run `scrollback verify`"
                );
                Problem::fault(Code::LogDamaged, &detail, &error)
            }
            _ if is_damage(&error) => {
                let detail = error.to_string();
                Problem::fault(Code::LogDamaged, &detail, &error)
            }
            _ => Problem::fault(Code::ReadFailed, READ_FAILED, &error),
        }
    }
}

impl From<OfflineError> for Problem {
    fn from(error: OfflineError) -> Problem {
        match error {
            OfflineError::Read(error) => error.into(),
            error => Problem::fault(Code::ReadFailed, READ_FAILED, &error),
        }
    }
}

impl From<PlanError> for Problem {
    fn from(error: PlanError) -> Problem {
        match error {
            PlanError::NoChat(chat) => Problem::chat_not_found(&chat),
            PlanError::NoTurn(turn) => Problem::turn_not_found(&turn),
            PlanError::Offline(error) => error.into(),
        }
    }
}

impl From<StartRebuildError> for Problem {
    fn from(error: StartRebuildError) -> Problem {
        let detail = error.to_string();
        match error {
            StartRebuildError::Unknown { .. } => Problem::new(Code::ProjectionNotFound, detail),
            StartRebuildError::Running { projection } => {
                Problem::new(Code::RebuildRunning, detail).with("projection", projection)
            }
            StartRebuildError::Thread { .. } => Problem::fault(Code::Internal, INTERNAL, &error),
        }
    }
}

impl From<ReadModelError> for Problem {
    fn from(error: ReadModelError) -> Problem {
        let detail = error.to_string();
        match error {
            ReadModelError::NotYet { at_seq, head } => Problem::ahead("at_seq", at_seq, head),
            ReadModelError::Log(SourceError::Read(error)) => error.into(),
            ReadModelError::Log(error) => Problem::fault(Code::ReadFailed, READ_FAILED, &error),
            ReadModelError::Behind { projection, .. } | ReadModelError::Busy { projection, .. } => {
                Problem::new(Code::ViewUnavailable, detail).with("projection", projection)
            }
            ReadModelError::Damaged { projection, .. }
            | ReadModelError::OutOfService { projection } => {
                Problem::fault(Code::ViewUnavailable, &detail, &error)
                    .with("projection", projection)
            }
            ReadModelError::Store { projection, .. } => {
                Problem::fault(Code::ViewFailed, &detail, &error).with("projection", projection)
            }
            ReadModelError::Interrupted => Problem::fault(Code::Internal, INTERNAL, &error),
        }
    }
}

impl From<TurnsError> for Problem {
    fn from(error: TurnsError) -> Problem {
        let detail = error.to_string();
        match error {
            TurnsError::Append(error) => error.into(),
            TurnsError::Read(error) => error.into(),
            TurnsError::ReadModel(error) => error.into(),
            TurnsError::Storage => Problem::new(
                Code::StorageFailed,
                "the log could not be written and nothing was stored; check the disk",
            ),
            TurnsError::NoProvider => missing(
                "provider",
                "a configured one or \"external\", since no default_provider is configured",
            ),
            TurnsError::ProviderUnknown { .. } => Problem::new(Code::ProviderUnknown, detail),
            TurnsError::External => Problem::new(Code::ProviderExternal, detail),
            TurnsError::Full { .. } => Problem::new(Code::TooManyTurns, detail),
            TurnsError::Closing => Problem::new(Code::ShuttingDown, detail),
            TurnsError::OptionMissing => missing("option_id", "one of the request's options"),
            TurnsError::OptionUnknown => bad("option_id", "one of the request's options"),
            TurnsError::OptionNotAsked => bad("option_id", "nothing; a question takes content"),
            TurnsError::Unreadable | TurnsError::Interrupted => {
                Problem::fault(Code::Internal, INTERNAL, &error)
            }
        }
    }
}

impl From<ScheduleError> for Problem {
    fn from(error: ScheduleError) -> Problem {
        let detail = error.to_string();
        match error {
            ScheduleError::Turns(error) => error.into(),
            ScheduleError::Timing(_) => {
                Problem::new(Code::BadBody, format!("timing: {detail}")).with("field", "timing")
            }
            ScheduleError::NotFound { chat, schedule } => {
                Problem::new(Code::ScheduleNotFound, detail)
                    .with("chat_id", chat.as_str())
                    .with("schedule_id", schedule.as_str())
            }
        }
    }
}

impl From<WireError> for Problem {
    fn from(error: WireError) -> Problem {
        let code = match (&error.problem, error.index) {
            (wire::Problem::Syntax { .. }, _) => Code::BadJson,
            (wire::Problem::TooMany { .. }, None) => Code::TooManyEvents,
            (_, Some(_)) => Code::BadEvent,
            (_, None) => Code::BadBody,
        };
        let problem = Problem::new(code, error.to_string())
            .with("field", error.path.as_str())
            .with("reason", error.problem.code());
        match error.index {
            Some(index) => problem.with("event_index", index),
            None => problem,
        }
    }
}
