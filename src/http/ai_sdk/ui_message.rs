//! A message as the AI SDK keeps it: id, role, metadata, parts. Pure.
//!
//! It is the state to which `turn_chunks` leads a client, so that a page that loads a message and
//! one that was sent it show the same. A request that was answered is told as it happens and left
//! out afterwards: what came of it shows in the tool call that waited for it.

use scrollback_projections::message::{
    Failure, Head, Message, Part, Role, StreamStatus, Text, Tool, ToolStatus, UsageTotal,
};
use scrollback_projections::request::{PendingRequest, PendingRequestView};
use scrollback_schema::event::{Attachment, CancelReason, JsonText, PlanEntry};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::read_model::json as to_raw;

/// A message.
#[derive(Debug, Serialize)]
pub(super) struct UiMessage {
    id: String,
    role: &'static str,
    metadata: Metadata,
    parts: Vec<UiPart>,
}

/// What is known of a message apart from its content; what is not known is left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(super) struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) turn_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interrupt_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Box<Raw>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Box<Raw>>,
}

/// JSON that compares by its text.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(super) struct Raw(pub(super) Box<RawValue>);

impl PartialEq for Raw {
    fn eq(&self, other: &Raw) -> bool {
        self.0.get() == other.0.get()
    }
}

/// A part of a message.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum UiPart {
    Text {
        text: String,
        state: &'static str,
    },
    Reasoning {
        text: String,
        state: &'static str,
    },
    DynamicTool {
        tool_name: String,
        tool_call_id: String,
        provider_executed: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        state: &'static str,
        input: Option<Box<RawValue>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        output: Option<Box<RawValue>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error_text: Option<String>,
    },
    File {
        media_type: String,
        filename: String,
        url: String,
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
}

/// The id of the one plan, and of the one list of suggestions, that a message has.
pub(super) const PLAN: &str = "plan";
pub(super) const SUGGESTIONS: &str = "suggestions";

impl UiMessage {
    /// A message, and the requests of its turn that wait for an answer.
    pub(super) fn of(message: &Message, requests: &[PendingRequest]) -> UiMessage {
        let head = message.head();
        let current = message.current();
        let mut parts: Vec<UiPart> = Vec::new();
        for part in message.parts() {
            let is_current = current.as_ref().and_then(|current| current.part);
            let is_open = is_current.is_some_and(|open| std::ptr::eq(open, part));
            parts.extend(ui_parts(part, is_open, head.role));
        }
        let waiting = requests.iter().filter(|request| request.message_id == head.id);
        parts.extend(waiting.map(|request| UiPart::DataRequest {
            id: request.id.to_string(),
            data: request_data(request),
        }));
        UiMessage {
            id: head.id.to_string(),
            role: head.role.name(),
            metadata: Metadata::whole(head),
            parts,
        }
    }
}

fn ui_parts(part: &Part, is_open: bool, role: Role) -> Vec<UiPart> {
    let state = if is_open { "streaming" } else { "done" };
    match part {
        Part::Text(text) => vec![UiPart::Text { text: joined(text), state }],
        Part::Thinking(text) => vec![UiPart::Reasoning { text: joined(text), state }],
        Part::Tool(tool) => vec![ui_tool(tool)],
        Part::Plan(entries) => vec![UiPart::DataPlan { id: PLAN, data: plan_data(entries) }],
        Part::Suggestions(offered) => {
            vec![UiPart::DataSuggestions { id: SUGGESTIONS, data: suggestions_data(offered) }]
        }
        Part::Attachments(files) if role == Role::User => files.iter().map(ui_file).collect(),
        Part::Attachments(_) => Vec::new(),
    }
}

fn ui_file(file: &Attachment) -> UiPart {
    UiPart::File {
        media_type: file.media_type.clone(),
        filename: file.name.clone(),
        url: file.url.clone(),
    }
}

/// A call without an input is never said to be one whose input still comes: a client of version 5
/// would go on with such a message instead of beginning it anew when it resumes.
fn ui_tool(tool: &Tool) -> UiPart {
    let (state, output, error_text) = match tool.status() {
        ToolStatus::Running => ("input-available", None, None),
        ToolStatus::Completed => ("output-available", Some(raw_or_null(tool.result())), None),
        ToolStatus::Failed => ("output-error", None, Some(error_text(tool.error()))),
    };
    UiPart::DynamicTool {
        tool_name: tool.name().to_owned(),
        tool_call_id: tool.id().to_owned(),
        provider_executed: true,
        title: tool.title().map(str::to_owned),
        state,
        input: tool.input().map(raw),
        output,
        error_text,
    }
}

/// The text of a part.
pub(super) fn joined(text: &Text) -> String {
    text.pieces().collect()
}

/// Somebody else's JSON, as it was given.
pub(super) fn raw(json: &JsonText) -> Box<RawValue> {
    RawValue::from_string(json.as_str().to_owned()).expect("it was parsed when it was stored")
}

pub(super) fn raw_or_null(json: Option<&JsonText>) -> Box<RawValue> {
    json.map_or_else(|| to_raw(&()), raw)
}

/// Why a tool call failed; a client shows this and would show nothing otherwise.
pub(super) fn error_text(error: Option<&str>) -> String {
    error.filter(|error| !error.is_empty()).unwrap_or("the tool failed").to_owned()
}

pub(super) fn plan_data(entries: &[PlanEntry]) -> Box<RawValue> {
    let entry = |entry: &PlanEntry| {
        let PlanEntry { content, status, priority } = entry;
        json!({ "content": content, "status": status, "priority": priority })
    };
    to_raw(&json!({ "entries": entries.iter().map(entry).collect::<Vec<_>>() }))
}

pub(super) fn suggestions_data(suggestions: &[String]) -> Box<RawValue> {
    to_raw(&json!({ "suggestions": suggestions }))
}

/// A request that waits, as `GET /v1/chats/{chat}/requests` shows it.
pub(super) fn request_data(request: &PendingRequest) -> Box<RawValue> {
    to_raw(&PendingRequestView(request))
}

impl Metadata {
    /// What is known when a message begins.
    pub(super) fn beginning(head: &Head) -> Metadata {
        let turn = head.turn.as_ref();
        let user_message = turn.and_then(|turn| turn.user_message_id.as_ref());
        Metadata {
            created_at: Some(head.created_at.to_string()),
            turn_id: turn.map(|turn| turn.id.to_string()),
            user_message_id: user_message.map(ToString::to_string),
            provider: turn.map(|turn| turn.provider.clone()),
            model: turn.and_then(|turn| turn.model.clone()),
            stream_status: turn.map(|_| StreamStatus::InProgress.name()),
            ..Metadata::default()
        }
    }

    /// What is known when it has ended.
    pub(super) fn ending(
        status: StreamStatus,
        duration_ms: Option<u64>,
        interrupted: Option<CancelReason>,
        failure: Option<&Failure>,
        usage: Option<&UsageTotal>,
    ) -> Metadata {
        Metadata {
            stream_status: Some(status.name()),
            duration_ms,
            interrupt_reason: interrupted.map(CancelReason::name),
            error: failure.map(failure_json),
            usage: usage.map(usage_json),
            ..Metadata::default()
        }
    }

    fn whole(head: &Head) -> Metadata {
        let beginning = Metadata::beginning(head);
        let Some(turn) = &head.turn else { return beginning };
        let (failure, usage) = (turn.failure.as_ref(), head.usage.as_ref());
        let ending =
            Metadata::ending(head.status, turn.duration_ms, turn.interrupted, failure, usage);
        Metadata {
            stream_status: ending.stream_status,
            duration_ms: ending.duration_ms,
            interrupt_reason: ending.interrupt_reason,
            error: ending.error,
            usage: ending.usage,
            ..beginning
        }
    }
}

fn failure_json(failure: &Failure) -> Box<Raw> {
    Box::new(Raw(to_raw(&json!({
        "code": failure.code.name(),
        "message": failure.message,
        "phase": failure.phase.name(),
        "retryable": failure.retryable,
    }))))
}

fn usage_json(usage: &UsageTotal) -> Box<Raw> {
    Box::new(Raw(to_raw(&json!({
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "context_window": usage.context_window,
        "percentage": usage.percentage,
        "cost_usd": usage.cost_usd,
    }))))
}
