//! What `DefaultChatTransport` posts: the chat's id, its messages, and what is wanted. Pure.
//!
//! Of the messages only the last is looked at, which has to be a user's: the others are in the log
//! already. A client that sends no others, under `messages` or as `message`, is served as well.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scrollback_projections::message as kept;
use scrollback_schema::event::{Attachment, UserText};
use scrollback_schema::{ChatId, Event, Kind, MessageId, wire};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::http::body::{bad, missing};
use crate::http::error::{Code, Problem};

/// A call to answer a message.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) chat: ChatId,
    pub(super) trigger: Trigger,
    /// The message to be answered.
    pub(super) message: SentMessage,
    /// The provider to answer, if the application names one.
    pub(super) provider: Option<String>,
    /// The model to ask for, likewise.
    pub(super) model: Option<String>,
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Trigger {
    /// An answer to a new message, or to one that was edited.
    SubmitMessage,
    /// Another answer to a message.
    RegenerateMessage,
}

/// A user's message.
#[derive(Debug, PartialEq)]
pub(super) struct SentMessage {
    /// As the client names it.
    id: String,
    /// What it says.
    pub(super) said: UserText,
}

#[derive(Debug, Deserialize)]
struct Body<'a> {
    id: String,
    #[serde(borrow)]
    messages: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    trigger: Option<Trigger>,
    provider: Option<String>,
    model: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Message {
    id: String,
    role: String,
    parts: Vec<Part>,
}

/// A part that a user's message has; what an application adds of its own is not kept.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Part {
    Text {
        text: String,
    },
    File {
        media_type: String,
        filename: Option<String>,
        url: String,
    },
    #[serde(other)]
    Other,
}

impl Sent {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub(super) fn read(body: &[u8]) -> Result<Sent, Problem> {
        let body: Body<'_> = serde_json::from_slice(body).map_err(|error| {
            let place = format!("at line {}, column {}", error.line(), error.column());
            match error.classify() {
                serde_json::error::Category::Data => {
                    let detail = format!("the body is not what DefaultChatTransport sends {place}");
                    Problem::new(Code::BadBody, detail)
                }
                _ => Problem::new(Code::BadJson, format!("the body is not valid JSON {place}")),
            }
        })?;
        let chat = ChatId::parse(&body.id)
            .map_err(|error| Problem::new(Code::BadId, format!("id: {error}")))?;
        let last = body.messages.as_deref().and_then(<[_]>::last).copied().or(body.message);
        let Some(last) = last else {
            return Err(missing("messages", "at least one message"));
        };
        Ok(Sent {
            chat,
            trigger: body.trigger.unwrap_or(Trigger::SubmitMessage),
            message: SentMessage::read(last)?,
            provider: body.provider,
            model: body.model,
        })
    }
}

impl SentMessage {
    fn read(json: &RawValue) -> Result<SentMessage, Problem> {
        let message: Message = serde_json::from_str(json.get())
            .map_err(|_| bad("messages", "UI messages with id, role and parts"))?;
        if message.role != "user" {
            return Err(bad("messages", "a message of the user as the last one"));
        }
        let (mut texts, mut files) = (Vec::new(), Vec::new());
        for part in message.parts {
            match part {
                Part::Text { text } => texts.push(text),
                Part::File { media_type, filename, url } => files.push(json!({
                    "id": format!("file-{}", files.len() + 1),
                    "name": filename.unwrap_or_default(),
                    "media_type": media_type,
                    "size_bytes": size_of(&url),
                    "url": url,
                })),
                Part::Other => {}
            }
        }
        let payload = json!({ "text": texts.join("\n"), "attachments": files }).to_string();
        // Held to the bounds that every user's message is held to.
        let event = wire::parse_payload(Kind::UserText, &payload)
            .map_err(|error| bad("messages", &format!("{}: {}", error.path, error.problem)))?;
        match event {
            Event::UserText(said) if said.text.is_empty() && said.attachments.is_empty() => {
                Err(bad("messages", "a text or a file in the last message"))
            }
            Event::UserText(said) => Ok(SentMessage { id: message.id, said }),
            _ => unreachable!("a kind's payload is of that kind"),
        }
    }

    /// The id under which the message is kept: the client's own, if it is a legal one.
    ///
    /// Another one is made of it otherwise, the same whenever it is sent: a message that is sent
    /// twice is one.
    pub(super) fn message_id(&self) -> MessageId {
        MessageId::parse(&self.id).unwrap_or_else(|_| made_of(&[&self.id]))
    }

    /// Whether a message that is kept says the same.
    pub(super) fn is_said_by(&self, kept: &kept::Message) -> bool {
        let urls = |files: &[Attachment]| -> Vec<String> {
            files.iter().map(|file| file.url.clone()).collect()
        };
        let files = kept.parts().find_map(|part| match part {
            kept::Part::Attachments(files) => Some(urls(files)),
            _ => None,
        });
        kept.head().role == kept::Role::User
            && kept.text() == self.said.text
            && files.unwrap_or_default() == urls(&self.said.attachments)
    }

    /// The id of the message if the client has edited one that was kept under its own id before.
    pub(super) fn edited_id(&self) -> MessageId {
        let urls = self.said.attachments.iter().map(|file| file.url.as_str());
        let parts: Vec<&str> =
            [self.id.as_str(), &self.said.text].into_iter().chain(urls).collect();
        made_of(&parts)
    }
}

/// An id that is a function of these texts.
fn made_of(parts: &[&str]) -> MessageId {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let hex: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    MessageId::parse(&format!("ui-{hex}")).expect("letters and digits are an id")
}

/// Bytes of a file whose content is its URL; what lies elsewhere has an unknown size.
fn size_of(url: &str) -> u64 {
    let content = url.strip_prefix("data:").and_then(|rest| rest.split_once(','));
    match content {
        Some((head, body)) if head.ends_with(";base64") => {
            STANDARD.decode(body).map_or(0, |bytes| bytes.len() as u64)
        }
        Some((_, body)) => body.len() as u64,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &serde_json::Value) -> Result<Sent, (Code, String)> {
        Sent::read(body.to_string().as_bytes())
            .map_err(|problem| (problem.code(), problem.detail().to_owned()))
    }

    #[test]
    fn the_last_message_is_what_is_to_be_answered() {
        let sent = read(&json!({
            "id": "c1", "trigger": "regenerate-message", "messageId": "x", "model": "m",
            "messages": [
                { "whatever": 1 },
                { "id": "u1", "role": "user", "metadata": {}, "parts": [
                    { "type": "file", "mediaType": "text/plain", "filename": "a.txt",
                      "url": "data:text/plain;base64,aGVsbG8=" },
                    { "type": "text", "text": "Hi" }, { "type": "data-mood", "data": 1 },
                    { "type": "text", "text": "there" },
                ]},
            ],
        }))
        .unwrap();
        assert_eq!((sent.chat.as_str(), sent.trigger), ("c1", Trigger::RegenerateMessage));
        assert_eq!(
            (sent.message.said.text.as_str(), sent.model.as_deref()),
            ("Hi\nthere", Some("m"))
        );
        let file = &sent.message.said.attachments[0];
        assert_eq!((file.name.as_str(), file.media_type.as_str()), ("a.txt", "text/plain"));
        assert_eq!(file.size_bytes, 5);
        assert_eq!(sent.message.message_id().as_str(), "u1");
    }

    #[test]
    fn an_id_that_is_not_legal_is_mapped_to_the_same_one_each_time() {
        let id = |id: &str, text: &str| {
            let message =
                json!({ "id": id, "role": "user", "parts": [{ "type": "text", "text": text }] });
            let sent = read(&json!({ "id": "c1", "message": message })).unwrap();
            (sent.message.message_id(), sent.message.edited_id())
        };
        assert_eq!(id("a/b", "x").0, id("a/b", "y").0);
        assert_ne!(id("a/b", "x").0, id("a/c", "x").0);
        assert_eq!(id("u1", "x").0.as_str(), "u1");
        assert_ne!(id("u1", "x").1, id("u1", "y").1);
        assert_eq!(id("u1", "x").1, id("u1", "x").1);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let user = |parts: serde_json::Value| json!({ "id": "u", "role": "user", "parts": parts });
        let cases = [
            (json!([]), Code::BadBody),
            (json!({ "id": "a b", "messages": [] }), Code::BadId),
            (json!({ "id": "c1" }), Code::BadBody),
            (json!({ "id": "c1", "messages": [] }), Code::BadBody),
            (json!({ "id": "c1", "messages": [user(json!([]))] }), Code::BadBody),
            (json!({ "id": "c1", "messages": [user(json!([{ "type": "text" }]))] }), Code::BadBody),
            (
                json!({ "id": "c1", "message": { "id": "a", "role": "assistant", "parts": [] } }),
                Code::BadBody,
            ),
        ];
        for (body, code) in cases {
            assert_eq!(read(&body).unwrap_err().0, code, "{body}");
        }
        assert_eq!(Sent::read(b"{").unwrap_err().code(), Code::BadJson);
    }
}
