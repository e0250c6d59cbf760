//! Messages: what was said, as a row that costs the same at the 10th and the 100,000th delta.
//!
//! A message is a [`Head`] of constant size and a sequence of parts in the order in which they
//! began: text, thinking, tool calls, one plan, suggestions. Parts are kept in *chunks* of a few
//! kilobytes, the unit in which they are stored. A delta changes the head and the last chunk,
//! [`Message::unsaved`] names what has changed, and a store writes no more than that.
//!
//! To fold a delta, the row needs its head, the heads of its tool calls and its last chunk
//! ([`Message::to_fold`]); to show it, all of it ([`Message::whole`]). Everything else may stay in
//! the store: after a restart an open message of any length goes on where it was, and
//! [`Message::forget_saved`] lets go of what was written.
//!
//! What is shown of a message is left to [`content_render`](crate::content_render).

mod fold;
mod growing;
mod head;
mod stored;
mod tag;
mod text;
mod tool;

use std::collections::{BTreeMap, HashMap};

use scrollback_schema::event::{Attachment, Kind, PlanEntry};
use scrollback_schema::{Body, Recorded};

pub use growing::{Current, Growing, Speaking};
pub use head::{Failure, Head, Role, StreamStatus, TurnHead, UsageTotal};
pub use stored::{Change, Chunk, LoadError, PartKind};
pub use text::{OpenEnd, Text};
pub use tool::{Tool, ToolStatus};

use crate::{CannotApply, MessageKey, Projection, Reads, Touch};
use stored::Unsaved;

/// The projection `messages`.
#[derive(Debug, Clone, Copy)]
pub struct Messages;

/// A message; two are equal if the same of them is in memory and says the same.
#[derive(Debug, Clone)]
pub struct Message {
    head: Head,
    /// The parts in memory, by their place.
    parts: BTreeMap<u32, Part>,
    /// Where each tool call is, by its id.
    tools: HashMap<String, u32>,
    /// Whether every part is in memory, with all its chunks.
    is_whole: bool,
    unsaved: Unsaved,
}

impl PartialEq for Message {
    fn eq(&self, other: &Message) -> bool {
        self.head == other.head && self.parts == other.parts && self.is_whole == other.is_whole
    }
}

/// A piece of a message, at the place where it began.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// What was said: the text of the user, or adjacent deltas of the assistant.
    Text(Text),
    /// Adjacent deltas of reasoning.
    Thinking(Text),
    /// A tool call in its latest state.
    Tool(Box<Tool>),
    /// The latest plan.
    Plan(Vec<PlanEntry>),
    /// Files that go with a user's message.
    Attachments(Vec<Attachment>),
    /// What the user might ask next; always last.
    Suggestions(Vec<String>),
}

impl Message {
    /// What is known of the message apart from its content.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The name of the row.
    pub fn key(&self) -> MessageKey {
        MessageKey { chat: self.head.chat, message: self.head.id.clone() }
    }

    /// Whether all of it is in memory, so that it can be shown.
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The parts in order, suggestions last.
    ///
    /// # Panics
    ///
    /// If the message [is not whole](Message::is_whole).
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        assert!(self.is_whole, "a message is shown when all of it was loaded");
        self.parts.values()
    }

    /// How the message goes on if the next delta belongs to a part that there is.
    pub fn open_end(&self) -> Option<OpenEnd> {
        self.head.tail.as_ref().map(text::Tail::open_end)
    }

    /// The joined text, without suggestions and without the failure of the turn: what a model is
    /// told that was said.
    ///
    /// # Panics
    ///
    /// If the message [is not whole](Message::is_whole).
    pub fn text(&self) -> String {
        let mut out = String::new();
        for part in self.parts() {
            if let Part::Text(text) = part {
                text.pieces().for_each(|piece| out.push_str(piece));
            }
        }
        out
    }
}

impl Projection for Messages {
    const NAME: &'static str = "messages";
    const VERSION: u32 = 1;
    const SQL: &'static str = include_str!("../sql/messages.sql");

    type Key = MessageKey;
    type Row = Message;

    fn reads(kind: Kind) -> Reads {
        match kind {
            Kind::ChatDeleted => Reads::Head,
            Kind::UserText
            | Kind::StreamStarted
            | Kind::AssistantText
            | Kind::AssistantThinking
            | Kind::ToolStarted
            | Kind::ToolCompleted
            | Kind::ToolFailed
            | Kind::Plan
            | Kind::PromptSuggestions
            | Kind::Usage
            | Kind::Complete
            | Kind::Cancelled
            | Kind::Error => Reads::Body,
            _ => Reads::Nothing,
        }
    }

    fn touches(event: &Recorded) -> Touch<MessageKey> {
        touches_message(event, Messages::reads)
    }

    fn apply(row: &mut Option<Message>, event: &Recorded) -> Result<(), CannotApply> {
        fold::apply(row, event)
    }
}

/// What an event touches whose row is that of its message.
pub(crate) fn touches_message(event: &Recorded, reads: fn(Kind) -> Reads) -> Touch<MessageKey> {
    let message = event.message.as_ref().or(event.turn.as_ref().map(|turn| &turn.message));
    match (event.kind(), &event.body, message) {
        (Some(Kind::ChatDeleted), _, _) => Touch::Chat,
        (Some(kind), Body::Event(_), Some(message)) if reads(kind) != Reads::Nothing => {
            Touch::Row(MessageKey { chat: event.chat.created, message: message.clone() })
        }
        _ => Touch::Nothing,
    }
}
