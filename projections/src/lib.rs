//! What follows from the log: pure folds of events into rows, and what clients see of them.
//!
//! This crate is pure. It reads no clock and no file, and names no runtime and no database: a row
//! is a function of the events before it, so that a rebuilt projection equals the live one byte for
//! byte. Keeping rows and checkpoints is left to the root crate; the tables are here, as text.
//!
//! Reading order: [`Projection`] is what all have in common; [`chat_events`] says where a chat's
//! events are; [`message`] is the heart, and [`content_render`] what is shown of it; [`chat`],
//! [`queue`], [`request`], [`schedule`] and [`search`] hang off it.
//!
//! To change what a fold does, or a table or a stored row: raise the projection's `VERSION`, and it
//! is rebuilt at the next start. Never rename one: it would start over beside its former self.

use std::fmt::Debug;
use std::hash::Hash;

use scrollback_schema::event::Kind;
use scrollback_schema::{Body, MessageId, Recorded, Seq};

pub mod chat;
pub mod chat_events;
pub mod content_render;
mod json;
pub mod message;
pub mod queue;
pub mod request;
pub mod schedule;
pub mod search;

/// What a projection needs to be given of an event of some kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Nothing: the event is not shown to it.
    Nothing,
    /// That it happened, where and when; the body may be [`Body::Unread`].
    Head,
    /// All of it.
    Body,
}

/// Which rows an event changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touch<K> {
    /// None.
    Nothing,
    /// The one with this key, whether it exists yet or not.
    Row(K),
    /// Every row of the event's chat is dropped, together with what is remembered of a failure to
    /// apply an event to them. The event is not applied to any.
    Chat,
}

/// Why an event cannot be applied to a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct CannotApply {
    /// What does not fit, in words that hold no text of the chat.
    pub cause: String,
}

impl CannotApply {
    pub(crate) fn because(cause: impl Into<String>) -> CannotApply {
        CannotApply { cause: cause.into() }
    }
}

/// A pure fold of events into rows by key.
///
/// Events come in the order of the log. An event whose kind [`Projection::reads`] as
/// [`Reads::Nothing`] need not be shown to it; to show it changes nothing.
pub trait Projection {
    /// The name of its file and thread; never changed.
    const NAME: &'static str;
    /// Raised whenever the fold, a table or a stored row changes: the projection is then rebuilt.
    const VERSION: u32;
    /// Its tables.
    const SQL: &'static str;
    /// What it needs of kinds that this program does not know.
    const READS_UNKNOWN: Reads = Reads::Nothing;

    /// What names a row.
    type Key: Clone + Eq + Hash + Debug;
    /// A row.
    type Row: Clone + PartialEq + Debug;

    /// What it needs of events of this kind.
    fn reads(kind: Kind) -> Reads;

    /// Which rows the event changes.
    fn touches(event: &Recorded) -> Touch<Self::Key>;

    /// Folds the event into the row that it touches; a row that becomes `None` is gone.
    ///
    /// # Errors
    ///
    /// [`CannotApply`] if the event does not fit the row, which is then unchanged.
    fn apply(row: &mut Option<Self::Row>, event: &Recorded) -> Result<(), CannotApply>;
}

/// Names a row about a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageKey {
    /// The chat, by the seq of its `chat_created`.
    pub chat: Seq,
    /// The message.
    pub message: MessageId,
}

/// A projection's name, version and tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// See [`Projection::NAME`].
    pub name: &'static str,
    /// See [`Projection::VERSION`].
    pub version: u32,
    /// See [`Projection::SQL`].
    pub sql: &'static str,
}

/// Describes a projection.
pub const fn describe<P: Projection>() -> Description {
    Description { name: P::NAME, version: P::VERSION, sql: P::SQL }
}

/// Every projection that this program keeps.
pub const ALL: &[Description] = &[
    describe::<chat_events::ChatEvents>(),
    describe::<message::Messages>(),
    describe::<chat::Chats>(),
    describe::<queue::Queues>(),
    describe::<request::Requests>(),
    describe::<schedule::Schedules>(),
    describe::<search::Search>(),
];

/// What an event touches whose row is that of its chat: nothing if it was erased or is not known.
fn touches_chat(event: &Recorded, reads: fn(Kind) -> Reads) -> Touch<Seq> {
    match (event.kind(), &event.body) {
        (Some(Kind::ChatDeleted), _) => Touch::Chat,
        (Some(kind), Body::Event(_)) if reads(kind) != Reads::Nothing => {
            Touch::Row(event.chat.created)
        }
        _ => Touch::Nothing,
    }
}
