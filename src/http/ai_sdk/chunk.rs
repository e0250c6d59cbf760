//! The chunks of the UI message stream, protocol version 1, and how they are written.
//!
//! Names are the protocol's; fields inside of metadata and data parts have the names of `/v1`.

use serde::Serialize;
use serde_json::value::RawValue;

use super::ui_message::Metadata;

/// One chunk.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(super) enum Chunk {
    /// The message begins, or begins anew for a reader that had a part of it.
    Start {
        message_id: String,
        message_metadata: Metadata,
    },
    TextStart {
        id: String,
    },
    TextDelta {
        id: String,
        delta: String,
    },
    TextEnd {
        id: String,
    },
    ReasoningStart {
        id: String,
    },
    ReasoningDelta {
        id: String,
        delta: String,
    },
    ReasoningEnd {
        id: String,
    },
    /// A tool call of which nothing but the name is known.
    ToolInputStart {
        #[serde(flatten)]
        call: Call,
        tool_name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
    ToolInputAvailable {
        #[serde(flatten)]
        call: Call,
        tool_name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        input: Box<RawValue>,
    },
    ToolOutputAvailable {
        #[serde(flatten)]
        call: Call,
        output: Box<RawValue>,
    },
    ToolOutputError {
        #[serde(flatten)]
        call: Call,
        error_text: String,
    },
    DataPlan {
        id: &'static str,
        data: Box<RawValue>,
    },
    DataSuggestions {
        id: &'static str,
        data: Box<RawValue>,
    },
    DataRequest {
        id: String,
        data: Box<RawValue>,
    },
    MessageMetadata {
        message_metadata: Metadata,
    },
    /// The last one of a turn that was interrupted.
    Abort {
        reason: &'static str,
    },
    /// The last one of a turn that failed; a client stops reading here.
    Error {
        error_text: String,
    },
    /// The last one of a turn that completed.
    Finish {
        finish_reason: &'static str,
    },
}

/// The tool call that a chunk is about: run by the agent, with tools that a client need not know.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Call {
    tool_call_id: String,
    dynamic: bool,
    provider_executed: bool,
}

impl Call {
    pub(super) fn of(id: &str) -> Call {
        Call { tool_call_id: id.to_owned(), dynamic: true, provider_executed: true }
    }
}

/// Chunks that go out together; adjacent deltas of one part are one.
#[derive(Debug, Default)]
pub(super) struct Chunks(Vec<Chunk>);

impl Chunks {
    pub(super) fn push(&mut self, chunk: Chunk) {
        match (self.0.last_mut(), &chunk) {
            (Some(Chunk::TextDelta { id, delta }), Chunk::TextDelta { id: next, delta: more })
            | (
                Some(Chunk::ReasoningDelta { id, delta }),
                Chunk::ReasoningDelta { id: next, delta: more },
            ) if id == next => delta.push_str(more),
            _ => self.0.push(chunk),
        }
    }

    pub(super) fn extend(&mut self, chunks: impl IntoIterator<Item = Chunk>) {
        chunks.into_iter().for_each(|chunk| self.push(chunk));
    }

    /// The frames of the chunks.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for chunk in &self.0 {
            out.extend_from_slice(b"data: ");
            serde_json::to_writer(&mut *out, chunk).expect("chunks are JSON, and a Vec takes all");
            out.extend_from_slice(b"\n\n");
        }
    }

    /// The frame after the last chunk.
    pub(super) fn write_done(out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}
