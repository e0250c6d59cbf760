//! The two stages of an event: [`NewEvent`] has no seq yet, [`Recorded`] has one for ever.

use crate::event::{Event, Kind};
use crate::id::{ChatId, MessageId, Seq, TurnId};
use crate::time::Millis;

/// An event that somebody wants to append; the chat is named by the append that carries it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// The message it belongs to, if any.
    pub message: Option<MessageId>,
    /// The turn it belongs to, if any.
    pub turn: Option<TurnId>,
    /// What happened.
    pub event: Event,
}

impl NewEvent {
    /// An event of the chat itself: of no message and no turn.
    pub const fn of_chat(event: Event) -> NewEvent {
        NewEvent { message: None, turn: None, event }
    }

    /// An event of one turn and the message that it produces.
    pub const fn of_turn(turn: TurnId, message: MessageId, event: Event) -> NewEvent {
        NewEvent { message: Some(message), turn: Some(turn), event }
    }
}

/// A chat, by its id and by the seq of its `chat_created`: the number that stands for it in the
/// log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChatRef {
    /// The chat's id.
    pub id: ChatId,
    /// The seq of its first event.
    pub created: Seq,
}

/// A turn, by its ids and by the seq of its `stream_started`: the number that stands for it in the
/// log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TurnRef {
    /// The turn's id.
    pub id: TurnId,
    /// The message that it produces.
    pub message: MessageId,
    /// The seq of its first event.
    pub started: Seq,
}

/// What is known of a recorded event's content.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// The event.
    Event(Event),
    /// The payload was erased with its chat; the kind is still known.
    Erased {
        /// The stored number of the kind.
        kind: u16,
    },
    /// A kind or version that this program does not know: carried and shown, not understood.
    Unknown {
        /// The stored number of the kind.
        kind: u16,
        /// The stored version of its payload.
        version: u8,
        /// The stored payload, format byte included.
        payload: Vec<u8>,
    },
    /// The reader did not ask for the content; the kind is still known.
    Unread {
        /// The stored number of the kind.
        kind: u16,
    },
}

impl Body {
    /// The stored number of the kind.
    pub const fn kind_number(&self) -> u16 {
        match self {
            Body::Event(event) => event.kind().number(),
            Body::Erased { kind } | Body::Unknown { kind, .. } | Body::Unread { kind } => *kind,
        }
    }
}

/// A committed event.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its place in the log.
    pub seq: Seq,
    /// When it was committed; never decreases along the log.
    pub at: Millis,
    /// The chat it belongs to.
    pub chat: ChatRef,
    /// The message it belongs to, if any.
    pub message: Option<MessageId>,
    /// The turn it belongs to, if any.
    pub turn: Option<TurnRef>,
    /// What happened.
    pub body: Body,
}

impl Recorded {
    /// The kind, if this version knows it.
    pub const fn kind(&self) -> Option<Kind> {
        Kind::from_number(self.body.kind_number())
    }

    /// The event, unless it was erased, is unknown, or was not read.
    pub const fn event(&self) -> Option<&Event> {
        match &self.body {
            Body::Event(event) => Some(event),
            _ => None,
        }
    }
}
