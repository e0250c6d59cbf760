//! What clients see of a message: its JSON, with the entries that a page renders.
//!
//! `content_render` is `{"events":[…]}`. Its entries, in order:
//! - `{"type":"user_text","text":…,"attachments":[…]}`: the one entry of a user's message;
//! - `{"type":"assistant_text","text":…}`, `{"type":"assistant_thinking","thinking":…}`: adjacent
//!   deltas, joined; only what has an entry of its own at that place comes between two of them;
//! - `{"type":"tool","tool":{id,name,title?,parent_id?,input?,result?,error?,status}}`: a tool call
//!   at the place where it began, status `running`, `completed` or `failed`;
//! - `{"type":"plan","entries":[{content,status,priority}]}`: the latest plan, at the place of the
//!   first;
//! - `{"type":"prompt_suggestions","suggestions":[…]}`: the latest ones, after all of the above;
//! - `{"type":"assistant_text","text":"\n\nError: …","error":{code,message,phase,retryable}}`: the
//!   very last entry of a failed turn, and only of such a one.
//!
//! `tail` says how an open message goes on, so that a client folds the events after a snapshot by
//! itself: the next delta of the type `tail.type` belongs to the last entry of that type, or begins
//! it if `tail.is_empty`; any other begins an entry. The last `tail.held_bytes` of UTF-8 of that
//! entry may yet turn out to be a tag of suggestions.
//!
//! Approvals and questions have no entry: while they are pending they are rows of
//! [`request`](crate::request), and what came of one shows in the tool call that waited for it.

use std::fmt;

use scrollback_schema::MessageId;
use scrollback_schema::event::CancelReason;
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use crate::json::{
    AttachmentJson, FailureJson, Joined, List, PlanEntryJson, Raw, UsageJson, entry_if_some,
};
use crate::message::{Failure, Message, OpenEnd, Part, Role, StreamStatus, Text, Tool};

/// A message as clients see it.
///
/// Serializing it panics if the message [is not whole](Message::is_whole).
#[derive(Debug, Clone, Copy)]
pub struct MessageView<'a>(&'a Message);

/// The entries of a message, as `{"events":[…]}`.
#[derive(Debug, Clone, Copy)]
pub struct ContentRender<'a>(&'a Message);

/// The text of a message, or why there is none; its `Display` writes it without copying.
#[derive(Debug, Clone, Copy)]
pub struct ContentText<'a>(&'a Message);

impl Message {
    /// The message as clients see it: the item of `GET …/messages`.
    pub const fn view(&self) -> MessageView<'_> {
        MessageView(self)
    }

    /// The field `content_render`.
    pub const fn content_render(&self) -> ContentRender<'_> {
        ContentRender(self)
    }

    /// The field `content_text`: the joined text without suggestions; the message of the failure if
    /// there is no text at all.
    pub const fn content_text(&self) -> ContentText<'_> {
        ContentText(self)
    }

    fn failure(&self) -> Option<&Failure> {
        self.head().turn.as_ref().and_then(|turn| turn.failure.as_ref())
    }

    fn texts(&self) -> impl Iterator<Item = &Text> {
        self.parts().filter_map(|part| if let Part::Text(text) = part { Some(text) } else { None })
    }
}

impl Serialize for MessageView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let head = self.0.head();
        let turn = head.turn.as_ref();
        let is_open = head.status == StreamStatus::InProgress;
        let mut out = serializer.serialize_struct("Message", 22)?;
        out.serialize_field("id", head.id.as_str())?;
        out.serialize_field("chat_id", head.chat_id.as_str())?;
        out.serialize_field("role", head.role.name())?;
        out.serialize_field("content_text", &self.0.content_text())?;
        out.serialize_field("content_render", &self.0.content_render())?;
        out.serialize_field("tail", &self.0.open_end().map(OpenEndJson))?;
        out.serialize_field("stream_status", head.status.name())?;
        let turn_id = turn.map(|turn| turn.id.as_str());
        out.serialize_field("active_stream_id", &turn_id.filter(|_| is_open))?;
        out.serialize_field("turn_id", &turn_id)?;
        let user_message_id = turn.and_then(|turn| turn.user_message_id.as_ref());
        out.serialize_field("user_message_id", &user_message_id.map(MessageId::as_str))?;
        out.serialize_field("origin", &turn.map(|turn| turn.origin.name()))?;
        out.serialize_field("provider", &turn.map(|turn| &turn.provider))?;
        out.serialize_field("model", &turn.and_then(|turn| turn.model.as_ref()))?;
        out.serialize_field("usage", &head.usage.as_ref().map(UsageJson))?;
        let cost_usd = head.usage.as_ref().and_then(|usage| usage.cost_usd);
        out.serialize_field("total_cost_usd", &cost_usd)?;
        out.serialize_field("duration_ms", &turn.and_then(|turn| turn.duration_ms))?;
        out.serialize_field("error", &self.0.failure().map(FailureJson))?;
        let interrupted = turn.and_then(|turn| turn.interrupted);
        out.serialize_field("interrupt_reason", &interrupted.map(CancelReason::name))?;
        out.serialize_field("first_seq", &head.first_seq.get())?;
        out.serialize_field("last_seq", &head.last_seq.get())?;
        out.serialize_field("created_at", &head.created_at.to_string())?;
        let ended_at = turn.and_then(|turn| turn.ended_at);
        out.serialize_field("ended_at", &ended_at.map(|at| at.to_string()))?;
        out.end()
    }
}

impl fmt::Display for ContentText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_empty = true;
        for piece in self.0.texts().flat_map(Text::pieces) {
            is_empty = false;
            f.write_str(piece)?;
        }
        match self.0.failure() {
            Some(failure) if is_empty => f.write_str(&failure.message),
            _ => Ok(()),
        }
    }
}

impl Serialize for ContentText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for ContentRender<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("ContentRender", 1)?;
        out.serialize_field("events", &Entries(self.0))?;
        out.end()
    }
}

struct OpenEndJson(OpenEnd);

impl Serialize for OpenEndJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let OpenEnd { is_thinking, is_empty, held_bytes } = self.0;
        let mut out = serializer.serialize_struct("Tail", 3)?;
        let entry_type = if is_thinking { "assistant_thinking" } else { "assistant_text" };
        out.serialize_field("type", entry_type)?;
        out.serialize_field("is_empty", &is_empty)?;
        out.serialize_field("held_bytes", &held_bytes)?;
        out.end()
    }
}

struct Entries<'a>(&'a Message);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.head().role == Role::User {
            return serializer.collect_seq([UserEntry(self.0)]);
        }
        let entries = self.0.parts().map(Entry::Part);
        serializer.collect_seq(entries.chain(self.0.failure().map(Entry::Failure)))
    }
}

struct UserEntry<'a>(&'a Message);

impl Serialize for UserEntry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("type", "user_text")?;
        out.serialize_entry("text", &self.0.content_text())?;
        for part in self.0.parts() {
            if let Part::Attachments(attachments) = part {
                out.serialize_entry("attachments", &List(attachments, AttachmentJson))?;
            }
        }
        out.end()
    }
}

enum Entry<'a> {
    Part(&'a Part),
    Failure(&'a Failure),
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        match self {
            Entry::Part(Part::Text(text)) => {
                out.serialize_entry("type", "assistant_text")?;
                out.serialize_entry("text", &Joined(text))?;
            }
            Entry::Part(Part::Thinking(text)) => {
                out.serialize_entry("type", "assistant_thinking")?;
                out.serialize_entry("thinking", &Joined(text))?;
            }
            Entry::Part(Part::Tool(tool)) => {
                out.serialize_entry("type", "tool")?;
                out.serialize_entry("tool", &ToolJson(tool))?;
            }
            Entry::Part(Part::Plan(entries)) => {
                out.serialize_entry("type", "plan")?;
                out.serialize_entry("entries", &List(entries, PlanEntryJson))?;
            }
            Entry::Part(Part::Suggestions(suggestions)) => {
                out.serialize_entry("type", "prompt_suggestions")?;
                out.serialize_entry("suggestions", suggestions)?;
            }
            Entry::Part(Part::Attachments(attachments)) => {
                out.serialize_entry("type", "attachments")?;
                out.serialize_entry("attachments", &List(attachments, AttachmentJson))?;
            }
            Entry::Failure(failure) => {
                out.serialize_entry("type", "assistant_text")?;
                out.serialize_entry("text", &format_args!("\n\nError: {}", failure.message))?;
                out.serialize_entry("error", &FailureJson(failure))?;
            }
        }
        out.end()
    }
}

struct ToolJson<'a>(&'a Tool);

impl Serialize for ToolJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("id", self.0.id())?;
        out.serialize_entry("name", self.0.name())?;
        entry_if_some(&mut out, "title", self.0.title())?;
        entry_if_some(&mut out, "parent_id", self.0.parent_id())?;
        entry_if_some(&mut out, "input", self.0.input().map(Raw))?;
        entry_if_some(&mut out, "result", self.0.result().map(Raw))?;
        entry_if_some(&mut out, "error", self.0.error())?;
        out.serialize_entry("status", self.0.status().name())?;
        out.end()
    }
}
