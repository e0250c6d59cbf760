//! What can be said: the events of the log, their ids, their stored and their wire forms.
//!
//! This crate is pure. It reads no clock, no randomness, no file and no environment, and names no
//! runtime and no database: what the log means does not depend on where it is kept.
//!
//! Reading order: [`id`] and [`time`] name things, [`event`] lists what can happen, [`envelope`]
//! shows the two stages of an event, [`codec`] and [`batch`] are the bytes of the log, [`wire`] is
//! the JSON that clients see, [`limits`] bounds all of it.

pub mod batch;
pub mod codec;
pub mod envelope;
pub mod error_code;
pub mod event;
mod free_json;
pub mod id;
pub mod limits;
pub mod migrations;
pub mod time;
pub mod wire;

pub use envelope::{Body, ChatRef, NewEvent, Recorded, TurnRef};
pub use error_code::ErrorCode;
pub use event::{Event, Kind};
pub use id::{ChatId, IdError, MessageId, QueuedMessageId, RequestId, ScheduleId, Seq, TurnId};
pub use time::Millis;
