//! Payloads of the chat itself, of what its user says, and of what an application adds.

use serde::{Deserialize, Serialize};

use super::field::{JsonText, Patch};
use crate::id::{ChatId, Seq};

/// Payload of [`Event::ChatCreated`](super::Event::ChatCreated).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChatCreated {
    /// The principal that owns the chat.
    pub owner: Option<String>,
    /// What the list shows.
    pub title: Option<String>,
    /// The chat that this one is a fork of.
    pub parent_chat_id: Option<ChatId>,
    /// The last seq of the parent that the fork contains.
    pub forked_at_seq: Option<Seq>,
    /// The application's own JSON.
    pub metadata: Option<JsonText>,
}

/// Payload of [`Event::ChatUpdated`](super::Event::ChatUpdated).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChatUpdated {
    /// The new title.
    pub title: Patch<String>,
    /// The new metadata, as a whole.
    pub metadata: Patch<JsonText>,
}

/// Payload of [`Event::ChatViewed`](super::Event::ChatViewed).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChatViewed {
    /// Who looked.
    pub by: Option<String>,
}

/// Payload of [`Event::ChatDeleted`](super::Event::ChatDeleted).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChatDeleted {
    /// Who deleted it.
    pub by: Option<String>,
}

/// A file that goes with a user's message; the log keeps its address, not its bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// The application's id of the file.
    pub id: String,
    /// The name to show.
    pub name: String,
    /// Its media type, for example `image/png`.
    pub media_type: String,
    /// Where it can be fetched.
    pub url: String,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// Payload of [`Event::UserText`](super::Event::UserText).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct UserText {
    /// What the user wrote.
    pub text: String,
    /// Files that go with it.
    pub attachments: Vec<Attachment>,
}

/// Payload of [`Event::Custom`](super::Event::Custom).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Custom {
    /// The application's name for the fact.
    pub name: String,
    /// The application's own JSON.
    pub data: Option<JsonText>,
}
