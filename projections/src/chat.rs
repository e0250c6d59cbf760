//! Chats as a list shows them: title, owner, last activity, unread, open turn, counts, usage.
//!
//! Rules that the contract leaves open:
//! - *activity* is what somebody would come back for: the chat's creation, a user's message, one
//!   put into the queue, the start and the end of a turn, an approval or question and its answer.
//!   Deltas, tools, views, renames and other bookkeeping are not;
//! - a chat becomes unread when a turn starts, and by nothing else; a view makes it read, also
//!   while the turn runs;
//! - a message counts when it begins; a turn counts when it starts, and as failed when it ends in
//!   an error (an interrupted turn did not fail);
//! - tokens of a chat are the sum over its turns of what each reported last; money is the sum of
//!   all that was reported.
//!
//! The fold does not read deltas: [`Chat::last_seq`] is the last event that it did read.

use scrollback_schema::codec::{CodecError, decode_row, encode_row};
use scrollback_schema::event::{ChatCreated, Event, JsonText, Kind, Patch};
use scrollback_schema::{ChatId, MessageId, Millis, Recorded, Seq, TurnId};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::json::{Raw, UsageJson};
use crate::message::{StreamStatus, UsageTotal};
use crate::{CannotApply, Projection, Reads, Touch, touches_chat};

/// The projection `chats`.
#[derive(Debug, Clone, Copy)]
pub struct Chats;

/// A chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chat {
    /// The chat.
    pub id: ChatId,
    /// The seq of its first event: its number in the log.
    pub created: Seq,
    /// When it was created.
    pub created_at: Millis,
    /// The principal that owns it.
    pub owner: Option<String>,
    /// What the list shows.
    pub title: Option<String>,
    /// The application's own JSON.
    pub metadata: Option<JsonText>,
    /// The chat that it is a fork of.
    pub parent_chat_id: Option<ChatId>,
    /// The last seq of the parent that it contains.
    pub forked_at_seq: Option<Seq>,
    /// When something last happened in it.
    pub last_activity_at: Millis,
    /// Whether a turn has started since it was last viewed.
    pub unread: bool,
    /// The turn that runs.
    pub open_turn: Option<OpenTurn>,
    /// How its last turn ended, if one has.
    pub last_turn_status: Option<StreamStatus>,
    /// How much is in it.
    pub counts: Counts,
    /// Tokens and money of its turns but the open one.
    pub ended_usage: ChatUsage,
    /// The last event that was folded into it.
    pub last_seq: Seq,
}

/// A turn that has started and has not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenTurn {
    /// The turn.
    pub turn_id: TurnId,
    /// The message that it produces.
    pub message_id: MessageId,
    /// The seq of its first event.
    pub started_seq: Seq,
    /// When it started.
    pub started_at: Millis,
    /// When somebody asked it to stop.
    pub stop_requested_at: Option<Millis>,
    /// Tokens and money so far.
    pub usage: UsageTotal,
}

/// How much is in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Messages of users and of the assistant.
    pub messages: u64,
    /// Turns, the open one included.
    pub turns: u64,
    /// Turns that ended in an error.
    pub failed_turns: u64,
}

/// Tokens and money over several turns.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ChatUsage {
    /// Tokens that the models read.
    pub input_tokens: u64,
    /// Tokens that the models wrote.
    pub output_tokens: u64,
    /// Price in US dollars.
    pub cost_usd: f64,
}

impl ChatUsage {
    fn add(&mut self, turn: &UsageTotal) {
        self.input_tokens = self.input_tokens.saturating_add(turn.input_tokens.unwrap_or(0));
        self.output_tokens = self.output_tokens.saturating_add(turn.output_tokens.unwrap_or(0));
        self.cost_usd += turn.cost_usd.unwrap_or(0.0);
    }
}

impl Chat {
    /// Tokens and money of all its turns.
    pub fn usage(&self) -> ChatUsage {
        let mut usage = self.ended_usage;
        if let Some(turn) = &self.open_turn {
            usage.add(&turn.usage);
        }
        usage
    }

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
    /// [`CodecError`] if the bytes are no chat.
    pub fn decode(blob: &[u8]) -> Result<Chat, CodecError> {
        decode_row(blob)
    }

    /// The chat as clients see it: the item of `GET /v1/chats`.
    pub const fn view(&self) -> ChatView<'_> {
        ChatView(self)
    }
}

impl Projection for Chats {
    const NAME: &'static str = "chats";
    const VERSION: u32 = 1;
    const SQL: &'static str = include_str!("../sql/chats.sql");

    type Key = Seq;
    type Row = Chat;

    fn reads(kind: Kind) -> Reads {
        match kind {
            Kind::ChatDeleted => Reads::Head,
            Kind::ChatCreated
            | Kind::ChatUpdated
            | Kind::ChatViewed
            | Kind::UserText
            | Kind::StreamStarted
            | Kind::Usage
            | Kind::PermissionRequest
            | Kind::PermissionResolved
            | Kind::ElicitationRequest
            | Kind::ElicitationResolved
            | Kind::MessageQueued
            | Kind::CancelRequested
            | Kind::Complete
            | Kind::Cancelled
            | Kind::Error => Reads::Body,
            _ => Reads::Nothing,
        }
    }

    fn touches(event: &Recorded) -> Touch<Seq> {
        touches_chat(event, Chats::reads)
    }

    fn apply(row: &mut Option<Chat>, event: &Recorded) -> Result<(), CannotApply> {
        let Some(said) = event.event() else { return Ok(()) };
        if let Event::ChatCreated(created) = said {
            if row.is_some() {
                return Err(CannotApply::because("the chat exists already"));
            }
            *row = Some(new_chat(event, created));
            return Ok(());
        }
        let Some(chat) = row else {
            return Err(CannotApply::because("the chat does not exist"));
        };
        chat.fold(event, said)?;
        chat.last_seq = event.seq;
        Ok(())
    }
}

fn new_chat(event: &Recorded, created: &ChatCreated) -> Chat {
    Chat {
        id: event.chat.id.clone(),
        created: event.chat.created,
        created_at: event.at,
        owner: created.owner.clone(),
        title: created.title.clone(),
        metadata: created.metadata.clone(),
        parent_chat_id: created.parent_chat_id.clone(),
        forked_at_seq: created.forked_at_seq,
        last_activity_at: event.at,
        unread: false,
        open_turn: None,
        last_turn_status: None,
        counts: Counts::default(),
        ended_usage: ChatUsage::default(),
        last_seq: event.seq,
    }
}

impl Chat {
    fn fold(&mut self, event: &Recorded, said: &Event) -> Result<(), CannotApply> {
        match said {
            Event::ChatUpdated(updated) => {
                patch(&mut self.title, &updated.title);
                patch(&mut self.metadata, &updated.metadata);
            }
            Event::ChatViewed(_) => self.unread = false,
            Event::UserText(_) => {
                self.counts.messages += 1;
                self.last_activity_at = event.at;
            }
            Event::MessageQueued(_)
            | Event::PermissionRequest(_)
            | Event::PermissionResolved(_)
            | Event::ElicitationRequest(_)
            | Event::ElicitationResolved(_) => self.last_activity_at = event.at,
            Event::StreamStarted(_) => self.start_turn(event)?,
            Event::Usage(usage) => self.open_turn_of(event)?.usage.add(usage),
            Event::CancelRequested(cancel) => {
                // A request that names a turn of the past changes nothing.
                if let Some(turn) = self.open_turn.as_mut().filter(|t| t.turn_id == cancel.turn_id)
                {
                    turn.stop_requested_at.get_or_insert(event.at);
                }
            }
            Event::Complete(_) => self.end_turn(event, StreamStatus::Completed)?,
            Event::Cancelled(_) => self.end_turn(event, StreamStatus::Interrupted)?,
            Event::Error(_) => self.end_turn(event, StreamStatus::Failed)?,
            // Not among the kinds that the projection reads.
            _ => {}
        }
        Ok(())
    }

    fn start_turn(&mut self, event: &Recorded) -> Result<(), CannotApply> {
        let Some(turn) = &event.turn else {
            return Err(CannotApply::because("the start of a turn names no turn"));
        };
        if self.open_turn.is_some() {
            return Err(CannotApply::because("the chat has an open turn already"));
        }
        self.open_turn = Some(OpenTurn {
            turn_id: turn.id.clone(),
            message_id: turn.message.clone(),
            started_seq: event.seq,
            started_at: event.at,
            stop_requested_at: None,
            usage: UsageTotal::default(),
        });
        self.counts.turns += 1;
        self.counts.messages += 1;
        self.unread = true;
        self.last_activity_at = event.at;
        Ok(())
    }

    /// The open turn, if it is the one that the event belongs to.
    fn open_turn_of(&mut self, event: &Recorded) -> Result<&mut OpenTurn, CannotApply> {
        self.open_turn
            .as_mut()
            .filter(|open| event.turn.as_ref().is_some_and(|turn| turn.id == open.turn_id))
            .ok_or_else(|| CannotApply::because("the event's turn is not the chat's open turn"))
    }

    fn end_turn(&mut self, event: &Recorded, status: StreamStatus) -> Result<(), CannotApply> {
        let usage = std::mem::take(&mut self.open_turn_of(event)?.usage);
        self.ended_usage.add(&usage);
        self.open_turn = None;
        self.last_turn_status = Some(status);
        self.counts.failed_turns += u64::from(status == StreamStatus::Failed);
        self.last_activity_at = event.at;
        Ok(())
    }
}

/// Changes a value that may be absent.
pub(crate) fn patch<T: Clone>(slot: &mut Option<T>, patch: &Patch<T>) {
    match patch {
        Patch::Keep => {}
        Patch::Remove => *slot = None,
        Patch::Set(value) => *slot = Some(value.clone()),
    }
}

/// A chat as clients see it.
#[derive(Debug, Clone, Copy)]
pub struct ChatView<'a>(&'a Chat);

impl Serialize for ChatView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let chat = self.0;
        let mut out = serializer.serialize_struct("Chat", 14)?;
        out.serialize_field("id", chat.id.as_str())?;
        out.serialize_field("title", &chat.title)?;
        out.serialize_field("owner", &chat.owner)?;
        out.serialize_field("metadata", &chat.metadata.as_ref().map(Raw))?;
        out.serialize_field("parent_chat_id", &chat.parent_chat_id.as_ref().map(ChatId::as_str))?;
        out.serialize_field("forked_at_seq", &chat.forked_at_seq.map(Seq::get))?;
        out.serialize_field("created_at", &chat.created_at.to_string())?;
        out.serialize_field("last_activity_at", &chat.last_activity_at.to_string())?;
        out.serialize_field("unread", &chat.unread)?;
        let open_turn = chat.open_turn.as_ref();
        let open_turn = open_turn.map(|turn| OpenTurnOfChat { turn, before: chat.ended_usage });
        out.serialize_field("open_turn", &open_turn)?;
        let last_turn_status = chat.last_turn_status.map(StreamStatus::name);
        out.serialize_field("last_turn_status", &last_turn_status)?;
        out.serialize_field("counts", &CountsView(chat.counts))?;
        out.serialize_field("usage", &ChatUsageView(chat.usage()))?;
        out.serialize_field("last_seq", &chat.last_seq.get())?;
        out.end()
    }
}

/// An open turn as clients see it, also in the answer of `GET …/status`.
#[derive(Debug, Clone, Copy)]
pub struct OpenTurnView<'a>(pub &'a OpenTurn);

impl Serialize for OpenTurnView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("OpenTurn", 5)?;
        serialize_open_turn(&mut out, self.0)?;
        out.end()
    }
}

/// An open turn in its chat, with what a client that folds on by itself needs for the chat's usage.
struct OpenTurnOfChat<'a> {
    turn: &'a OpenTurn,
    /// Tokens and money of the turns before.
    before: ChatUsage,
}

impl Serialize for OpenTurnOfChat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("OpenTurn", 7)?;
        serialize_open_turn(&mut out, self.turn)?;
        out.serialize_field("usage", &UsageJson(&self.turn.usage))?;
        out.serialize_field("usage_before", &ChatUsageView(self.before))?;
        out.end()
    }
}

fn serialize_open_turn<S: SerializeStruct>(out: &mut S, turn: &OpenTurn) -> Result<(), S::Error> {
    out.serialize_field("turn_id", turn.turn_id.as_str())?;
    out.serialize_field("message_id", turn.message_id.as_str())?;
    out.serialize_field("started_seq", &turn.started_seq.get())?;
    out.serialize_field("started_at", &turn.started_at.to_string())?;
    let stop_requested_at = turn.stop_requested_at.map(|at| at.to_string());
    out.serialize_field("stop_requested_at", &stop_requested_at)
}

struct CountsView(Counts);

impl Serialize for CountsView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Counts", 3)?;
        out.serialize_field("messages", &self.0.messages)?;
        out.serialize_field("turns", &self.0.turns)?;
        out.serialize_field("failed_turns", &self.0.failed_turns)?;
        out.end()
    }
}

struct ChatUsageView(ChatUsage);

impl Serialize for ChatUsageView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("ChatUsage", 3)?;
        out.serialize_field("input_tokens", &self.0.input_tokens)?;
        out.serialize_field("output_tokens", &self.0.output_tokens)?;
        out.serialize_field("cost_usd", &self.0.cost_usd)?;
        out.end()
    }
}
