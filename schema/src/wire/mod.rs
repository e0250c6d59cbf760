//! The JSON that clients see, converted by hand from and to the events of the log.
//!
//! An event on the wire is an envelope, its fields always in this order:
//!
//! ```json
//! {"chatId":"c1","messageId":"m2","streamId":"t1","seq":42,"at":"2026-11-22T20:52:00.123Z",
//!  "kind":"assistant_text","payload":{"text":"Hel"}}
//! ```
//!
//! The envelope is camelCase; payload fields are snake_case, in the order of the structs in
//! [`crate::event`]. What the wire adds to those structs:
//!
//! - A field that is absent is not written, and `null` reads as absent. In a
//!   [`Patch`](crate::event::Patch) `null` means "taken away", so there it is written and read.
//!   An empty list of attachments is not written. Numbers and flags that have a default
//!   (`duration_ms` 0, `retryable` by the code, `phase` `stream`, `paused` false, `n_missed` 0) may
//!   be left out by a writer of events and are always written to a reader.
//! - Unknown and repeated fields are refused.
//! - The tool events wrap their payload in `{"tool":…}`.
//! - `complete` carries `"status":"completed"`, `cancelled` carries `"status":"interrupted"`.
//! - `usage` always has a `percentage`: see [`crate::event::Usage::normalized`].
//! - Instants are RFC 3339, seqs and durations are whole numbers.
//! - A schedule's `timing` is `{"cron":"0 9 * * 1","time_zone":"Europe/Lisbon"}` (the zone is `UTC`
//!   if left out) or `{"every_ms":60000}`.
//! - A kind or version that this program does not know is carried as `"kind":"unknown"` with
//!   `{"kind":300,"version":1,"data":"01ab"}`: its stored number, version and bytes, the latter in
//!   hexadecimal.
//!
//! No line break ever appears within what is written here, so an envelope is one line of a stream
//! and of a file. Errors name the place and what was expected, never what was found: that may be a
//! person's words.

mod append;
mod envelope;
mod fields;
mod json;
mod line;
mod read;
mod write;

use std::borrow::Cow;

pub use append::{AppendBody, parse_append};
pub use envelope::{EnvelopeHead, Written, envelope_of, write_envelope};
pub use line::{Imported, parse_line, write_line};
pub use read::parse_payload;
pub use write::write_payload;

use crate::event::Kind;

/// Why a text is not what the wire expects: where, and what was expected instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct WireError {
    /// The place, for example `events[3].payload.tool.id`.
    pub path: String,
    /// Which event of an append it is about, from 0.
    pub index: Option<usize>,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a text, without a word of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is no JSON.
    #[error("not valid JSON at line {line}, column {column}")]
    Syntax {
        /// Line within the part that was read, from 1.
        line: usize,
        /// Column within that line, in bytes.
        column: usize,
    },
    /// The value is missing, of another type, or out of its bounds.
    #[error("expected {expected}")]
    Shape {
        /// What would have been taken.
        expected: Cow<'static, str>,
    },
    /// A field that the object does not have.
    #[error("unknown field; known are: {}", known.join(", "))]
    UnknownField {
        /// The fields that it has.
        known: &'static [&'static str],
    },
    /// A field that is there twice.
    #[error("given more than once")]
    Duplicate,
    /// A list that is too long.
    #[error("more than {max} items")]
    TooMany {
        /// Items that it may have.
        max: usize,
    },
    /// No kind of event has this name.
    #[error("unknown kind")]
    UnknownKind,
    /// The kind exists, but is not for a producer to append.
    #[error("{} is not appended by a producer", kind.name())]
    KindNotAllowed {
        /// The kind.
        kind: Kind,
    },
}

impl Problem {
    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Problem::Syntax { .. } => "malformed_json",
            Problem::Shape { .. } | Problem::Duplicate => "wrong_shape",
            Problem::UnknownField { .. } => "unknown_field",
            Problem::TooMany { .. } => "too_many",
            Problem::UnknownKind => "unknown_kind",
            Problem::KindNotAllowed { .. } => "kind_not_allowed",
        }
    }
}
