//! Lines of an exported log: envelopes that lose nothing, so that an import gives the same replay.
//!
//! Beside what a reader gets, a line is written for an erased event, whose place in the log has to
//! stay: `"erased":true` before the kind, and a payload of `null`.

use super::WireError;
use super::envelope::{push_body, push_head_of};
use super::fields::{self, Fields, Path};
use super::json::{parse_hex, push_int, push_text};
use super::read::payload;
use super::write::write_payload;
use crate::codec;
use crate::envelope::{Body, Recorded};
use crate::event::Kind;
use crate::id::{ChatId, MessageId, Seq, TurnId};
use crate::time::Millis;

/// An event as a line tells it; which seqs its chat and turn began at, the lines before tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Its place in the log that it comes from.
    pub seq: Seq,
    /// When it was committed there.
    pub at: Millis,
    /// The chat it belongs to.
    pub chat: ChatId,
    /// The message it belongs to, if any.
    pub message: Option<MessageId>,
    /// The turn it belongs to, if any.
    pub turn: Option<TurnId>,
    /// What happened; never [`Body::Unread`].
    pub body: Body,
}

/// Appends an event as one line, line break included.
///
/// # Panics
///
/// If the event's content was not read: an export of heads would be a loss.
pub fn write_line(out: &mut Vec<u8>, event: &Recorded) {
    assert!(!matches!(event.body, Body::Unread { .. }), "an export reads whole events");
    push_head_of(out, event);
    if let Body::Erased { kind } = event.body {
        out.extend_from_slice(br#","erased":true,"kind":"#);
        match Kind::from_number(kind) {
            Some(kind) => push_text(out, kind.name()),
            None => push_int(out, u64::from(kind)),
        }
        out.extend_from_slice(br#","payload":null"#);
    } else {
        push_body(out, &event.body);
    }
    out.extend_from_slice(b"}\n");
}

/// Reads a line back; white space around it does not matter.
///
/// # Errors
///
/// [`WireError`] if it is no line that [`write_line`] could have written, but for the order and the
/// defaults of fields.
pub fn parse_line(line: &str) -> Result<Imported, WireError> {
    const KNOWN: &[&str] =
        &["chatId", "messageId", "streamId", "seq", "at", "erased", "kind", "payload"];
    let root = Path::Root("line");
    let fields = Fields::read(&root, line, KNOWN)?;
    let erased = fields.optional("erased", fields::flag)?.unwrap_or_default();
    Ok(Imported {
        seq: fields.required("seq", fields::seq)?,
        at: fields.required("at", fields::time)?,
        chat: fields.required("chatId", fields::id)?,
        message: fields.optional("messageId", fields::id)?,
        turn: fields.optional("streamId", fields::id)?,
        body: if erased { erased_body(&fields)? } else { body(&fields)? },
    })
}

fn erased_body(fields: &Fields<'_, '_>) -> Result<Body, WireError> {
    let kind = fields.required("kind", |path, json| match json.parse() {
        Ok(number) => Ok(number),
        Err(_) => kind(path, json)?.map(Kind::number).ok_or_else(|| path.shape("a kind")),
    })?;
    fields.optional("payload", |path, _| Err::<(), _>(path.shape("null, since it is erased")))?;
    Ok(Body::Erased { kind })
}

fn body(fields: &Fields<'_, '_>) -> Result<Body, WireError> {
    match fields.required("kind", kind)? {
        Some(kind) => {
            let read = |path: &Path<'_>, json| payload(path, kind, json);
            fields.required("payload", read).map(Body::Event)
        }
        None => fields.required("payload", unknown_body),
    }
}

/// Reads the name of a kind; `unknown` is `None`.
fn kind(path: &Path<'_>, json: &str) -> Result<Option<Kind>, WireError> {
    match fields::text(path, json)?.as_str() {
        "unknown" => Ok(None),
        name => match Kind::from_name(name) {
            Some(kind) => Ok(Some(kind)),
            None => Err(path.error(super::Problem::UnknownKind)),
        },
    }
}

/// Reads the bytes of an event that was not understood where it was exported; it may be here.
fn unknown_body(path: &Path<'_>, json: &str) -> Result<Body, WireError> {
    let fields = Fields::read(path, json, &["kind", "version", "data"])?;
    let small = |path: &Path<'_>, json: &str| {
        json.parse::<u16>().map_err(|_| path.shape("a whole number of 0 to 65535"))
    };
    let kind = fields.required("kind", small)?;
    let version = fields.required("version", |path, json| {
        json.parse::<u8>().map_err(|_| path.shape("a whole number of 0 to 255"))
    })?;
    fields.required("data", |path, json| {
        let expected = "the hexadecimal digits of a stored payload";
        let bytes = parse_hex(&fields::text(path, json)?).ok_or_else(|| path.shape(expected))?;
        let body =
            codec::decode_payload(kind, version, &bytes).map_err(|_| path.shape(expected))?;
        if let Body::Event(event) = &body {
            // JSON within a payload is not looked into when it is decoded, since whoever stored it
            // had parsed it. Here nobody has.
            let mut json = Vec::new();
            write_payload(&mut json, event);
            let json = std::str::from_utf8(&json).map_err(|_| path.shape(expected))?;
            payload(path, event.kind(), json).map_err(|_| path.shape(expected))?;
        }
        Ok(body)
    })
}
