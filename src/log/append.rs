//! What is asked of the log and what it answers: an append, its outcome, and why it was refused.
//!
//! Payloads are encoded here, in the task of the one who asks, so that the writer only copies.

use scrollback_schema::codec::{CodecError, PAYLOAD_VERSION, encode_payload};
use scrollback_schema::limits::{
    APPEND_BYTES_MAX, APPEND_EVENTS_MAX, FORK_BYTES_MAX, FORK_EVENTS_MAX, QUEUE_LENGTH_MAX,
    SCHEDULES_MAX,
};
use scrollback_schema::{ChatId, Event, Kind, MessageId, Millis, NewEvent, Seq, TurnId};

use super::turn_guard::Reason;

/// Events for one chat, all or nothing.
#[derive(Debug)]
pub struct Append {
    /// The chat they happened in.
    pub chat: ChatId,
    /// Who says so.
    pub claim: Claim,
    /// Makes a repetition harmless.
    pub idempotency: Option<Idempotency>,
    /// Gives the turn that the events start to a producer outside, for so many milliseconds.
    pub lease_ms: Option<u64>,
    /// The instant at which an import says that it happened; else the clock tells.
    pub at: Option<Millis>,
    pub(crate) drafts: Vec<Draft>,
    pub(crate) payloads: Vec<u8>,
}

/// One event of an append, its payload encoded.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) message: Option<MessageId>,
    pub(crate) turn: Option<TurnId>,
    pub(crate) kind: u16,
    pub(crate) version: u8,
    /// Where the payload ends in `Append::payloads`.
    pub(crate) end: usize,
    /// The event itself, where the turn guard has to look into it.
    pub(crate) event: Option<Box<Event>>,
}

/// Who appends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The server itself.
    Server,
    /// The producer that leases the open turn; the events get its turn and message.
    Lease {
        /// What the lease was answered with.
        token: String,
        /// The producer's number of the first event, counted from 1 along the turn.
        first_number: u64,
    },
}

/// A key under which the first answer is kept and given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// SHA-256 of the operation and the client's key.
    pub key: [u8; 32],
    /// SHA-256 of what was asked.
    pub body: [u8; 32],
    /// What the caller needs to give its answer again: ids, never text of a chat.
    pub receipt: String,
}

impl Draft {
    /// Whether the open turn is all that has to be known of it.
    pub(crate) fn is_plain_content(&self) -> bool {
        self.event.is_none() && Kind::from_number(self.kind).is_some_and(Kind::is_turn_content)
    }
}

impl Append {
    /// Prepares events for a chat.
    ///
    /// # Errors
    ///
    /// [`AppendError::Empty`], [`AppendError::TooMany`] or [`AppendError::TooLarge`].
    pub fn new(chat: ChatId, events: Vec<NewEvent>) -> Result<Append, AppendError> {
        let bounds = Bounds::APPEND;
        let mut append = Append::empty(chat, events.len(), bounds)?;
        for (index, new) in events.into_iter().enumerate() {
            encode_payload(&new.event, &mut append.payloads).map_err(|error| match error {
                CodecError::TooLarge { bytes } => AppendError::TooLarge { index, bytes },
                _ => unreachable!("encoding fails for size alone"),
            })?;
            let kind = new.event.kind();
            append.push(
                index,
                Draft {
                    message: new.message,
                    turn: new.turn,
                    kind: kind.number(),
                    version: PAYLOAD_VERSION,
                    end: append.payloads.len(),
                    event: is_looked_into(kind).then(|| Box::new(new.event)),
                },
                bounds,
            )?;
        }
        Ok(append)
    }

    /// Prepares stored events as they are, for an import.
    ///
    /// # Errors
    ///
    /// As [`Append::new`].
    pub fn from_stored(chat: ChatId, events: Vec<StoredEvent>) -> Result<Append, AppendError> {
        Append::stored(chat, events, Bounds::APPEND)
    }

    /// Prepares the events of a fork: more than any other append may have.
    ///
    /// # Errors
    ///
    /// As [`Append::new`].
    pub fn of_fork(chat: ChatId, events: Vec<StoredEvent>) -> Result<Append, AppendError> {
        Append::stored(chat, events, Bounds::FORK)
    }

    fn stored(
        chat: ChatId,
        events: Vec<StoredEvent>,
        bounds: Bounds,
    ) -> Result<Append, AppendError> {
        let mut append = Append::empty(chat, events.len(), bounds)?;
        for (index, stored) in events.into_iter().enumerate() {
            append.payloads.extend_from_slice(&stored.payload);
            append.push(
                index,
                Draft {
                    message: stored.message,
                    turn: stored.turn,
                    kind: stored.kind,
                    version: stored.version,
                    end: append.payloads.len(),
                    event: stored.event.map(Box::new),
                },
                bounds,
            )?;
        }
        Ok(append)
    }

    /// How many events it carries.
    pub fn n_events(&self) -> usize {
        self.drafts.len()
    }

    fn empty(chat: ChatId, n_events: usize, bounds: Bounds) -> Result<Append, AppendError> {
        if n_events == 0 {
            return Err(AppendError::Empty);
        }
        if n_events > bounds.events {
            return Err(AppendError::TooMany { n_events, max: bounds.events });
        }
        Ok(Append {
            chat,
            claim: Claim::Server,
            idempotency: None,
            lease_ms: None,
            at: None,
            drafts: Vec::with_capacity(n_events),
            payloads: Vec::with_capacity(n_events * 64),
        })
    }

    fn push(&mut self, index: usize, draft: Draft, bounds: Bounds) -> Result<(), AppendError> {
        if self.payloads.len() > bounds.bytes {
            return Err(AppendError::TooLarge { index, bytes: self.payloads.len() });
        }
        self.drafts.push(draft);
        Ok(())
    }
}

/// How much one append may carry.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    events: usize,
    bytes: usize,
}

impl Bounds {
    const APPEND: Bounds = Bounds { events: APPEND_EVENTS_MAX, bytes: APPEND_BYTES_MAX };
    /// What closes the copy comes on top: the end of a turn, queued messages and schedules.
    const FORK: Bounds = Bounds {
        events: FORK_EVENTS_MAX + 1 + QUEUE_LENGTH_MAX + SCHEDULES_MAX,
        bytes: FORK_BYTES_MAX + APPEND_BYTES_MAX,
    };
}

/// An event as it is stored elsewhere: known, unknown or erased.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// The message it belongs to.
    pub message: Option<MessageId>,
    /// The turn it belongs to.
    pub turn: Option<TurnId>,
    /// Stored number of the kind.
    pub kind: u16,
    /// Version of the payload.
    pub version: u8,
    /// The stored payload, format byte included.
    pub payload: Vec<u8>,
    /// The event, if it is known and was not erased.
    pub event: Option<Event>,
}

/// Whether the turn guard needs more of an event than its kind and its turn.
const fn is_looked_into(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::UserText
            | Kind::AssistantText
            | Kind::AssistantThinking
            | Kind::ToolStarted
            | Kind::ToolCompleted
            | Kind::ToolFailed
            | Kind::Plan
            | Kind::PromptSuggestions
            | Kind::Usage
            | Kind::Session
            | Kind::Custom
    )
}

/// The answer to an append that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Seq of the first of its events.
    pub first_seq: Seq,
    /// Seq of the last of its events.
    pub last_seq: Seq,
    /// When it was committed.
    pub at: Millis,
    /// The lease of the turn, if a producer outside has it.
    pub lease: Option<Lease>,
    /// The receipt kept with the first answer, if this one repeats it.
    pub replayed: Option<String>,
}

/// What was answered to a key before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Whether the key was used for the same request.
    pub is_of_same_body: bool,
    /// Seq of the first event of the append that it was used for.
    pub first_seq: Seq,
    /// Seq of the last one.
    pub last_seq: Seq,
    /// The receipt kept with the answer.
    pub receipt: String,
}

/// A producer's right to append to one turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What the producer shows; a secret.
    pub token: String,
    /// Grows with each takeover; an older one is refused.
    pub epoch: u64,
    /// When the turn is closed unless the producer appends before.
    pub expires_at: Millis,
}

/// An event that the rules do not allow; nothing of its append is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {index} ({kind}) is refused: {reason}")]
pub struct Refusal {
    /// Position in the append, from 0.
    pub index: usize,
    /// Wire name of its kind.
    pub kind: &'static str,
    /// Which rule it breaks.
    pub reason: Reason,
}

/// Why an append was not answered with its seqs.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// No event at all.
    #[error("an append needs at least one event")]
    Empty,
    /// More events than an append may have.
    #[error("{n_events} events in one append; at most {max} are allowed")]
    TooMany {
        /// How many there were.
        n_events: usize,
        /// How many there may be.
        max: usize,
    },
    /// One payload, or all of them, over the limit.
    #[error("event {index} makes {bytes} bytes; split it")]
    TooLarge {
        /// The event at which the limit was passed.
        index: usize,
        /// Bytes that it, or the append up to it, would need.
        bytes: usize,
    },
    /// There is no such chat.
    #[error("chat {chat} does not exist")]
    ChatNotFound {
        /// The chat.
        chat: ChatId,
    },
    /// The chat was deleted.
    #[error("chat {chat} was deleted")]
    ChatDeleted {
        /// The chat.
        chat: ChatId,
    },
    /// The rules refuse an event.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The token is none of this turn.
    #[error("the lease is not one of chat {chat}")]
    LeaseInvalid {
        /// The chat.
        chat: ChatId,
    },
    /// A newer lease of the same turn exists.
    #[error("the lease was taken over: epoch {epoch} is in force")]
    LeaseFenced {
        /// The epoch in force.
        epoch: u64,
    },
    /// The turn has ended, by its producer or since the lease expired.
    #[error("the turn of this lease has ended")]
    TurnEnded,
    /// A number was left out, or an append repeats only a part of a stored one.
    #[error("the next event of this turn is number {expected}")]
    NumberGap {
        /// The number to go on with.
        expected: u64,
    },
    /// The key was used for something else.
    #[error("the idempotency key was used for another request")]
    IdempotencyMismatch,
    /// An import goes back in time, or would not get the seq that it had.
    #[error("the imported event does not follow the log's last one")]
    ImportOrder,
    /// The log is being closed.
    #[error("the log is closing")]
    Closing,
    /// A commit failed in a way that leaves the file in doubt; only a restart goes on.
    #[error("the log has stopped writing; /readyz says why; restart the server")]
    Poisoned,
    /// The commit failed when it may have been stored already: the events may come to light.
    #[error("the outcome of the append is unknown; send it again with the same key or numbers")]
    Unknown {
        /// The commit's id.
        batch_id: [u8; 16],
    },
    /// The disk did not take the events; nothing is stored, and the next append may succeed.
    #[error("the log could not be written")]
    Storage {
        /// SQLite's reason.
        #[source]
        source: std::sync::Arc<rusqlite::Error>,
    },
}
