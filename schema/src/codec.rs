//! Payloads as bytes: bincode behind a format byte, and the only place that names bincode.
//!
//! bincode is unmaintained and pinned. Every blob therefore starts with a byte that says its
//! format, so that another encoder can take over without touching what is stored; `wincode` reads
//! today's bytes, which a test proves. A blob of zero bytes only is an erased one: no format has
//! the number 0.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::envelope::Body;
use crate::event::{Event, Kind};
use crate::limits::{PAYLOAD_BYTES_MAX, ROW_BYTES_MAX};

/// bincode 2, little endian, variable-length integers.
const FORMAT_BINCODE_VARINT: u8 = 1;

/// The version that this program writes, for every kind.
pub const PAYLOAD_VERSION: u8 = 1;

/// What reading a payload may claim. bincode counts a number at its full width, eight bytes, even
/// where it is stored in one: the bound has to be above that for every payload that was written.
const CLAIM_BYTES_MAX: usize = 8 * PAYLOAD_BYTES_MAX;

type Config = Configuration<LittleEndian, Varint, Limit<CLAIM_BYTES_MAX>>;
const CONFIG: Config = bincode::config::standard().with_limit::<CLAIM_BYTES_MAX>();

/// Why bytes could not be made, or understood.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The value needs more than [`PAYLOAD_BYTES_MAX`] bytes.
    #[error("payload has {bytes} bytes; at most {PAYLOAD_BYTES_MAX} are allowed")]
    TooLarge {
        /// Bytes that it would need.
        bytes: usize,
    },
    /// The blob has no bytes at all.
    #[error("stored payload is empty")]
    Empty,
    /// The format byte is not one that this program knows.
    #[error("stored payload has format {format}, which this version does not read")]
    Format {
        /// The byte found.
        format: u8,
    },
    /// The bytes are no value of the type.
    #[error("stored payload does not decode")]
    Malformed,
    /// Its checksum says that the bytes are not those that were written.
    #[error("stored payload is not what was written")]
    Damaged,
    /// Bytes are left after the value.
    #[error("stored payload has {bytes} bytes too many")]
    Trailing {
        /// Bytes left over.
        bytes: usize,
    },
}

/// Appends a value to `out`, format byte first.
///
/// # Errors
///
/// [`CodecError::TooLarge`]; `out` is then as before.
pub fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = out.len();
    out.push(FORMAT_BINCODE_VARINT);
    bincode::serde::encode_into_std_write(value, out, bincode::config::standard())
        .expect("stored types hold nothing that bincode refuses, and a Vec takes every byte");
    let bytes = out.len() - start;
    if bytes > PAYLOAD_BYTES_MAX {
        out.truncate(start);
        return Err(CodecError::TooLarge { bytes });
    }
    Ok(())
}

/// Reads a value back.
///
/// # Errors
///
/// Every variant of [`CodecError`] but `TooLarge` and `Damaged`: trailing bytes are refused, and no
/// length within the bytes can make it allocate more than eight times [`PAYLOAD_BYTES_MAX`].
pub fn decode<T: DeserializeOwned>(blob: &[u8]) -> Result<T, CodecError> {
    decode_borrowed(blob, CONFIG)
}

/// Reads the text of a payload that is nothing but one text, without copying it.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_text(blob: &[u8]) -> Result<&str, CodecError> {
    decode_borrowed(blob, CONFIG)
}

fn decode_borrowed<'a, T: Deserialize<'a>, const LIMIT: usize>(
    blob: &'a [u8],
    config: Configuration<LittleEndian, Varint, Limit<LIMIT>>,
) -> Result<T, CodecError> {
    let (&format, bytes) = blob.split_first().ok_or(CodecError::Empty)?;
    if format != FORMAT_BINCODE_VARINT {
        return Err(CodecError::Format { format });
    }
    let (value, n) = bincode::serde::borrow_decode_from_slice(bytes, config)
        .map_err(|_| CodecError::Malformed)?;
    if n != bytes.len() {
        return Err(CodecError::Trailing { bytes: bytes.len() - n });
    }
    Ok(value)
}

/// Appends a read model's row to `out`, format byte first.
///
/// A row is made of payloads that were each within their limit, and so has none when it is written.
pub fn encode_row<T: Serialize>(row: &T, out: &mut Vec<u8>) {
    out.push(FORMAT_BINCODE_VARINT);
    bincode::serde::encode_into_std_write(row, out, bincode::config::standard())
        .expect("stored types hold nothing that bincode refuses, and a Vec takes every byte");
}

/// Reads a read model's row back.
///
/// # Errors
///
/// Every variant of [`CodecError`] but `TooLarge`.
pub fn decode_row<T: DeserializeOwned>(blob: &[u8]) -> Result<T, CodecError> {
    decode_borrowed(blob, bincode::config::standard().with_limit::<ROW_BYTES_MAX>())
}

/// Whether a stored payload was erased with its chat.
pub fn is_erased(payload: &[u8]) -> bool {
    payload.first() == Some(&0) && payload.iter().all(|&b| b == 0)
}

/// Whether a stored payload is of a format that a newer program has.
pub fn is_of_newer_format(payload: &[u8]) -> bool {
    payload.first().is_some_and(|&format| format > FORMAT_BINCODE_VARINT)
}

/// Appends an event's payload to `out`.
///
/// # Errors
///
/// [`CodecError::TooLarge`]; `out` is then as before.
pub fn encode_payload(event: &Event, out: &mut Vec<u8>) -> Result<(), CodecError> {
    match event {
        Event::ChatCreated(p) => encode(p, out),
        Event::ChatUpdated(p) => encode(p, out),
        Event::ChatViewed(p) => encode(p, out),
        Event::ChatDeleted(p) => encode(p, out),
        Event::UserText(p) => encode(p, out),
        Event::StreamStarted(p) => encode(p, out),
        Event::AssistantText(p) => encode(p, out),
        Event::AssistantThinking(p) => encode(p, out),
        Event::ToolStarted(p) | Event::ToolCompleted(p) | Event::ToolFailed(p) => encode(p, out),
        Event::Plan(p) => encode(p, out),
        Event::PromptSuggestions(p) => encode(p, out),
        Event::Usage(p) => encode(p, out),
        Event::Session(p) => encode(p, out),
        Event::PermissionRequest(p) => encode(p, out),
        Event::PermissionResolved(p) => encode(p, out),
        Event::ElicitationRequest(p) => encode(p, out),
        Event::ElicitationResolved(p) => encode(p, out),
        Event::MessageQueued(p) => encode(p, out),
        Event::QueueEdited(p) => encode(p, out),
        Event::QueueRemoved(p) => encode(p, out),
        Event::QueueSendNow(p) => encode(p, out),
        Event::QueueProcessing(p) => encode(p, out),
        Event::CancelRequested(p) => encode(p, out),
        Event::Complete(p) => encode(p, out),
        Event::Cancelled(p) => encode(p, out),
        Event::Error(p) => encode(p, out),
        Event::ScheduleCreated(p) => encode(p, out),
        Event::ScheduleUpdated(p) => encode(p, out),
        Event::ScheduleRemoved(p) => encode(p, out),
        Event::ScheduleFired(p) => encode(p, out),
        Event::Custom(p) => encode(p, out),
    }
}

/// Reads a stored payload back.
///
/// A kind, a version or a format that this program does not know is carried as [`Body::Unknown`]:
/// that the bytes are those that were written, their checksum says.
///
/// # Errors
///
/// [`CodecError`] if the kind and version are known and the bytes are no payload of theirs.
pub fn decode_payload(kind: u16, version: u8, payload: &[u8]) -> Result<Body, CodecError> {
    if is_erased(payload) {
        return Ok(Body::Erased { kind });
    }
    let known = match Kind::from_number(kind) {
        Some(known) if version == PAYLOAD_VERSION && !is_of_newer_format(payload) => known,
        _ => {
            return Ok(Body::Unknown { kind, version, payload: payload.to_vec() });
        }
    };
    Ok(Body::Event(match known {
        Kind::ChatCreated => Event::ChatCreated(decode(payload)?),
        Kind::ChatUpdated => Event::ChatUpdated(decode(payload)?),
        Kind::ChatViewed => Event::ChatViewed(decode(payload)?),
        Kind::ChatDeleted => Event::ChatDeleted(decode(payload)?),
        Kind::UserText => Event::UserText(decode(payload)?),
        Kind::StreamStarted => Event::StreamStarted(decode(payload)?),
        Kind::AssistantText => Event::AssistantText(decode(payload)?),
        Kind::AssistantThinking => Event::AssistantThinking(decode(payload)?),
        Kind::ToolStarted => Event::ToolStarted(decode(payload)?),
        Kind::ToolCompleted => Event::ToolCompleted(decode(payload)?),
        Kind::ToolFailed => Event::ToolFailed(decode(payload)?),
        Kind::Plan => Event::Plan(decode(payload)?),
        Kind::PromptSuggestions => Event::PromptSuggestions(decode(payload)?),
        Kind::Usage => Event::Usage(decode(payload)?),
        Kind::Session => Event::Session(decode(payload)?),
        Kind::PermissionRequest => Event::PermissionRequest(decode(payload)?),
        Kind::PermissionResolved => Event::PermissionResolved(decode(payload)?),
        Kind::ElicitationRequest => Event::ElicitationRequest(decode(payload)?),
        Kind::ElicitationResolved => Event::ElicitationResolved(decode(payload)?),
        Kind::MessageQueued => Event::MessageQueued(decode(payload)?),
        Kind::QueueEdited => Event::QueueEdited(decode(payload)?),
        Kind::QueueRemoved => Event::QueueRemoved(decode(payload)?),
        Kind::QueueSendNow => Event::QueueSendNow(decode(payload)?),
        Kind::QueueProcessing => Event::QueueProcessing(decode(payload)?),
        Kind::CancelRequested => Event::CancelRequested(decode(payload)?),
        Kind::Complete => Event::Complete(decode(payload)?),
        Kind::Cancelled => Event::Cancelled(decode(payload)?),
        Kind::Error => Event::Error(decode(payload)?),
        Kind::ScheduleCreated => Event::ScheduleCreated(decode(payload)?),
        Kind::ScheduleUpdated => Event::ScheduleUpdated(decode(payload)?),
        Kind::ScheduleRemoved => Event::ScheduleRemoved(decode(payload)?),
        Kind::ScheduleFired => Event::ScheduleFired(decode(payload)?),
        Kind::Custom => Event::Custom(decode(payload)?),
    }))
}
