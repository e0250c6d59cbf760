//! Payloads of the queue of messages that wait for their turn.

use serde::{Deserialize, Serialize};

use super::chat::Attachment;
use super::field::Patch;
use crate::id::{MessageId, QueuedMessageId, TurnId};

/// Payload of [`Event::MessageQueued`](super::Event::MessageQueued).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageQueued {
    /// The item's id within the chat.
    pub queued_message_id: QueuedMessageId,
    /// What the user wrote.
    pub content: String,
    /// Files that go with it.
    pub attachments: Vec<Attachment>,
    /// The provider to run it.
    pub provider: Option<String>,
    /// The model to ask for.
    pub model: Option<String>,
}

/// Payload of [`Event::QueueEdited`](super::Event::QueueEdited).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueEdited {
    /// The item.
    pub queued_message_id: QueuedMessageId,
    /// Its new text.
    pub content: Option<String>,
    /// Its new provider.
    pub provider: Patch<String>,
    /// Its new model.
    pub model: Patch<String>,
}

/// Payload of [`Event::QueueRemoved`](super::Event::QueueRemoved).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueRemoved {
    /// The item.
    pub queued_message_id: QueuedMessageId,
    /// Who removed it.
    pub by: Option<String>,
}

/// Payload of [`Event::QueueSendNow`](super::Event::QueueSendNow).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueSendNow {
    /// The item, which becomes the first.
    pub queued_message_id: QueuedMessageId,
    /// Who asked for it.
    pub by: Option<String>,
}

/// Payload of [`Event::QueueProcessing`](super::Event::QueueProcessing).
///
/// The hand-off from one turn to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueProcessing {
    /// The item that leaves the queue.
    pub queued_message_id: QueuedMessageId,
    /// The user's message that it becomes.
    pub user_message_id: MessageId,
    /// The assistant's message that answers it.
    pub assistant_message_id: MessageId,
    /// The turn that runs it.
    pub turn_id: TurnId,
    /// The turn that ended just before.
    pub prior_turn_id: Option<TurnId>,
    /// How long that one took.
    pub prior_duration_ms: Option<u64>,
}
