//! Envelopes: an event as a live or a late reader gets it, straight from its stored bytes.
//!
//! Frames around an envelope are left to whoever sends it.

use super::json::{Object, push_int, push_text};
use super::write::write_payload;
use crate::codec::{self, CodecError, PAYLOAD_VERSION};
use crate::envelope::{Body, Recorded};
use crate::event::Kind;
use crate::id::Seq;

/// What an envelope says before its kind.
#[derive(Debug, Clone, Copy)]
pub struct EnvelopeHead<'a> {
    /// The chat.
    pub chat_id: &'a str,
    /// The message, if the event belongs to one.
    pub message_id: Option<&'a str>,
    /// The turn, if the event belongs to one.
    pub stream_id: Option<&'a str>,
    /// Its place in the log.
    pub seq: Seq,
    /// When it was committed, in RFC 3339: one text serves all events of a commit.
    pub at: &'a str,
}

/// Whether there was something to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The envelope was appended.
    Yes,
    /// The payload was erased with its chat: nothing was appended.
    Erased,
}

/// Appends the envelope of an event, given its stored payload.
///
/// A kind or version that this program does not know is written as `"kind":"unknown"`.
///
/// # Errors
///
/// [`CodecError`] if the payload does not decode; `out` is then as before.
pub fn write_envelope(
    out: &mut Vec<u8>,
    head: &EnvelopeHead<'_>,
    kind: u16,
    version: u8,
    payload: &[u8],
) -> Result<Written, CodecError> {
    let is_known = version == PAYLOAD_VERSION && !codec::is_of_newer_format(payload);
    let delta = match Kind::from_number(kind) {
        Some(Kind::AssistantText) if is_known => r#","kind":"assistant_text","payload":{"text":"#,
        Some(Kind::AssistantThinking) if is_known => {
            r#","kind":"assistant_thinking","payload":{"thinking":"#
        }
        _ => return write_decoded(out, head, kind, version, payload),
    };
    if codec::is_erased(payload) {
        return Ok(Written::Erased);
    }
    let text = codec::decode_text(payload)?;
    out.reserve(delta.len() + text.len() + 200);
    push_head(out, head);
    out.extend_from_slice(delta.as_bytes());
    push_text(out, text);
    out.extend_from_slice(b"}}");
    Ok(Written::Yes)
}

fn write_decoded(
    out: &mut Vec<u8>,
    head: &EnvelopeHead<'_>,
    kind: u16,
    version: u8,
    payload: &[u8],
) -> Result<Written, CodecError> {
    let body = codec::decode_payload(kind, version, payload)?;
    if matches!(body, Body::Erased { .. }) {
        return Ok(Written::Erased);
    }
    push_head(out, head);
    push_body(out, &body);
    out.push(b'}');
    Ok(Written::Yes)
}

/// Appends everything before the kind, with the object left open.
pub(super) fn push_head(out: &mut Vec<u8>, head: &EnvelopeHead<'_>) {
    out.extend_from_slice(br#"{"chatId":"#);
    push_text(out, head.chat_id);
    out.extend_from_slice(br#","messageId":"#);
    push_id(out, head.message_id);
    out.extend_from_slice(br#","streamId":"#);
    push_id(out, head.stream_id);
    out.extend_from_slice(br#","seq":"#);
    push_int(out, head.seq.get());
    out.extend_from_slice(br#","at":"#);
    push_text(out, head.at);
}

fn push_id(out: &mut Vec<u8>, id: Option<&str>) {
    match id {
        Some(id) => push_text(out, id),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends kind and payload.
///
/// # Panics
///
/// If the body is neither an event nor unknown: there is nothing to write then.
pub(super) fn push_body(out: &mut Vec<u8>, body: &Body) {
    out.extend_from_slice(br#","kind":"#);
    match body {
        Body::Event(event) => {
            push_text(out, event.kind().name());
            out.extend_from_slice(br#","payload":"#);
            write_payload(out, event);
        }
        Body::Unknown { kind, version, payload } => {
            out.extend_from_slice(br#""unknown","payload":"#);
            Object::write(out, |o| {
                o.int("kind", u64::from(*kind));
                o.int("version", u64::from(*version));
                o.hex("data", payload);
            });
        }
        Body::Erased { .. } | Body::Unread { .. } => {
            unreachable!("callers write a body only where there is one")
        }
    }
}

/// The envelope of an event that is already decoded; `None` if it was erased or not read.
pub fn envelope_of(event: &Recorded) -> Option<String> {
    if matches!(event.body, Body::Erased { .. } | Body::Unread { .. }) {
        return None;
    }
    let mut out = Vec::with_capacity(256);
    push_head_of(&mut out, event);
    push_body(&mut out, &event.body);
    out.push(b'}');
    Some(String::from_utf8(out).expect("an envelope is made of text"))
}

pub(super) fn push_head_of(out: &mut Vec<u8>, event: &Recorded) {
    let message = event.message.as_ref().or(event.turn.as_ref().map(|turn| &turn.message));
    let head = EnvelopeHead {
        chat_id: event.chat.id.as_str(),
        message_id: message.map(|id| id.as_str()),
        stream_id: event.turn.as_ref().map(|turn| turn.id.as_str()),
        seq: event.seq,
        at: &event.at.to_string(),
    };
    push_head(out, &head);
}
