//! How what rows hold is written as JSON: pieces that several views share.
//!
//! Stored types have a serde form of their own, for the bytes of rows; these are for clients.

use std::fmt;

use scrollback_schema::event::{Attachment, JsonText, PlanEntry, Timing, ToolEvent};
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::message::{Failure, Text, UsageTotal};

/// Items that are each written through another type.
pub(crate) struct List<'a, T, J>(pub(crate) &'a [T], pub(crate) fn(&'a T) -> J);

impl<T, J: Serialize> Serialize for List<'_, T, J> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(self.1))
    }
}

/// Text in chunks, as one string.
pub(crate) struct Joined<'a>(pub(crate) &'a Text);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.pieces().try_for_each(|piece| f.write_str(piece))
    }
}

impl Serialize for Joined<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Somebody else's JSON, as it was given.
pub(crate) struct Raw<'a>(pub(crate) &'a JsonText);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue =
            serde_json::from_str(self.0.as_str()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// A file that goes with a user's message.
pub(crate) struct AttachmentJson<'a>(pub(crate) &'a Attachment);

impl Serialize for AttachmentJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Attachment { id, name, media_type, url, size_bytes } = self.0;
        let mut out = serializer.serialize_struct("Attachment", 5)?;
        out.serialize_field("id", id)?;
        out.serialize_field("name", name)?;
        out.serialize_field("media_type", media_type)?;
        out.serialize_field("url", url)?;
        out.serialize_field("size_bytes", size_bytes)?;
        out.end()
    }
}

/// One line of a plan.
pub(crate) struct PlanEntryJson<'a>(pub(crate) &'a PlanEntry);

impl Serialize for PlanEntryJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let PlanEntry { content, status, priority } = self.0;
        let mut out = serializer.serialize_struct("PlanEntry", 3)?;
        out.serialize_field("content", content)?;
        out.serialize_field("status", status)?;
        out.serialize_field("priority", priority)?;
        out.end()
    }
}

/// The tool call that an approval is about; what is absent is left out.
pub(crate) struct ToolEventJson<'a>(pub(crate) &'a ToolEvent);

impl Serialize for ToolEventJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ToolEvent { id, name, title, parent_id, input, result, error } = self.0;
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("id", id)?;
        out.serialize_entry("name", name)?;
        entry_if_some(&mut out, "title", title.as_ref())?;
        entry_if_some(&mut out, "parent_id", parent_id.as_ref())?;
        entry_if_some(&mut out, "input", input.as_ref().map(Raw))?;
        entry_if_some(&mut out, "result", result.as_ref().map(Raw))?;
        entry_if_some(&mut out, "error", error.as_ref())?;
        out.end()
    }
}

/// Writes an entry of an object unless its value is absent.
pub(crate) fn entry_if_some<M: SerializeMap, T: Serialize>(
    out: &mut M,
    key: &str,
    value: Option<T>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| out.serialize_entry(key, &value))
}

/// Tokens and money.
pub(crate) struct UsageJson<'a>(pub(crate) &'a UsageTotal);

impl Serialize for UsageJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Usage", 5)?;
        out.serialize_field("input_tokens", &self.0.input_tokens)?;
        out.serialize_field("output_tokens", &self.0.output_tokens)?;
        out.serialize_field("context_window", &self.0.context_window)?;
        out.serialize_field("percentage", &self.0.percentage)?;
        out.serialize_field("cost_usd", &self.0.cost_usd)?;
        out.end()
    }
}

/// Why a turn failed.
pub(crate) struct FailureJson<'a>(pub(crate) &'a Failure);

impl Serialize for FailureJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Failure { code, message, phase, retryable } = self.0;
        let mut out = serializer.serialize_struct("Failure", 4)?;
        out.serialize_field("code", code.name())?;
        out.serialize_field("message", message)?;
        out.serialize_field("phase", phase.name())?;
        out.serialize_field("retryable", retryable)?;
        out.end()
    }
}

/// When a schedule runs: `{"cron":…,"time_zone":…}` or `{"every_ms":…}`.
pub(crate) struct TimingJson<'a>(pub(crate) &'a Timing);

impl Serialize for TimingJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        match self.0 {
            Timing::Cron { expression, time_zone } => {
                out.serialize_entry("cron", expression)?;
                out.serialize_entry("time_zone", time_zone)?;
            }
            Timing::Interval { every_ms } => out.serialize_entry("every_ms", every_ms)?,
        }
        out.end()
    }
}
