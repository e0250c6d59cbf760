//! Payloads from JSON to events, one function a kind or a shape that kinds share.
//!
//! Which event may follow which is left to the log's guard.

use std::borrow::Cow;

use serde::Deserialize;

use super::WireError;
use super::fields::{self, Fields, Path};
use crate::error_code::ErrorCode;
use crate::event::*;

/// Reads the JSON payload of an event of this kind.
///
/// # Errors
///
/// [`WireError`], which names the field and what was expected, and no text of the payload.
pub fn parse_payload(kind: Kind, json: &str) -> Result<Event, WireError> {
    payload(&Path::Field(&Path::Root("event"), "payload"), kind, json)
}

/// Reads a payload that stands at `path`.
pub(super) fn payload(path: &Path<'_>, kind: Kind, json: &str) -> Result<Event, WireError> {
    if let Some(event) = delta(kind, json) {
        return Ok(event);
    }
    Ok(match kind {
        Kind::ChatCreated => Event::ChatCreated(chat_created(path, json)?),
        Kind::ChatUpdated => Event::ChatUpdated(chat_updated(path, json)?),
        Kind::ChatViewed => Event::ChatViewed(ChatViewed { by: by(path, json)? }),
        Kind::ChatDeleted => Event::ChatDeleted(ChatDeleted { by: by(path, json)? }),
        Kind::UserText => Event::UserText(user_text(path, json)?),
        Kind::StreamStarted => Event::StreamStarted(stream_started(path, json)?),
        Kind::AssistantText => {
            let text = Fields::read(path, json, &["text"])?.required("text", fields::text)?;
            Event::AssistantText(AssistantText { text })
        }
        Kind::AssistantThinking => {
            let fields = Fields::read(path, json, &["thinking"])?;
            let thinking = fields.required("thinking", fields::text)?;
            Event::AssistantThinking(AssistantThinking { thinking })
        }
        Kind::ToolStarted => Event::ToolStarted(tool_event(path, json)?),
        Kind::ToolCompleted => Event::ToolCompleted(tool_event(path, json)?),
        Kind::ToolFailed => Event::ToolFailed(tool_event(path, json)?),
        Kind::Plan => Event::Plan(plan(path, json)?),
        Kind::PromptSuggestions => Event::PromptSuggestions(prompt_suggestions(path, json)?),
        Kind::Usage => Event::Usage(usage(path, json)?),
        Kind::Session => Event::Session(session(path, json)?),
        Kind::PermissionRequest => Event::PermissionRequest(permission_request(path, json)?),
        Kind::PermissionResolved => Event::PermissionResolved(permission_resolved(path, json)?),
        Kind::ElicitationRequest => Event::ElicitationRequest(elicitation_request(path, json)?),
        Kind::ElicitationResolved => Event::ElicitationResolved(elicitation_resolved(path, json)?),
        Kind::MessageQueued => Event::MessageQueued(message_queued(path, json)?),
        Kind::QueueEdited => Event::QueueEdited(queue_edited(path, json)?),
        Kind::QueueRemoved => Event::QueueRemoved(queue_removed(path, json)?),
        Kind::QueueSendNow => Event::QueueSendNow(queue_send_now(path, json)?),
        Kind::QueueProcessing => Event::QueueProcessing(queue_processing(path, json)?),
        Kind::CancelRequested => Event::CancelRequested(cancel_requested(path, json)?),
        Kind::Complete => Event::Complete(complete(path, json)?),
        Kind::Cancelled => Event::Cancelled(cancelled(path, json)?),
        Kind::Error => Event::Error(turn_error(path, json)?),
        Kind::ScheduleCreated => Event::ScheduleCreated(schedule_created(path, json)?),
        Kind::ScheduleUpdated => Event::ScheduleUpdated(schedule_updated(path, json)?),
        Kind::ScheduleRemoved => Event::ScheduleRemoved(schedule_removed(path, json)?),
        Kind::ScheduleFired => Event::ScheduleFired(schedule_fired(path, json)?),
        Kind::Custom => Event::Custom(custom(path, json)?),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TextJson {
    pub(super) text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThinkingJson {
    pub(super) thinking: String,
}

/// Reads the two kinds that make up nearly all of a log in one pass; `None` sends the payload the
/// long way, which finds out what is wrong with it.
pub(super) fn delta(kind: Kind, json: &str) -> Option<Event> {
    match kind {
        Kind::AssistantText => {
            let TextJson { text } = serde_json::from_str(json).ok()?;
            Some(Event::AssistantText(AssistantText { text }))
        }
        Kind::AssistantThinking => {
            let ThinkingJson { thinking } = serde_json::from_str(json).ok()?;
            Some(Event::AssistantThinking(AssistantThinking { thinking }))
        }
        _ => None,
    }
}

type Read<T> = Result<T, WireError>;

fn chat_created(path: &Path<'_>, json: &str) -> Read<ChatCreated> {
    const KNOWN: &[&str] = &["owner", "title", "parent_chat_id", "forked_at_seq", "metadata"];
    let fields = Fields::read(path, json, KNOWN)?;
    Ok(ChatCreated {
        owner: fields.optional("owner", fields::name)?,
        title: fields.optional("title", fields::title)?,
        parent_chat_id: fields.optional("parent_chat_id", fields::id)?,
        forked_at_seq: fields.optional("forked_at_seq", fields::seq)?,
        metadata: fields.optional("metadata", fields::json)?,
    })
}

fn chat_updated(path: &Path<'_>, json: &str) -> Read<ChatUpdated> {
    let fields = Fields::read(path, json, &["title", "metadata"])?;
    Ok(ChatUpdated {
        title: fields.patch("title", fields::title)?,
        metadata: fields.patch("metadata", fields::json)?,
    })
}

fn by(path: &Path<'_>, json: &str) -> Read<Option<String>> {
    Fields::read(path, json, &["by"])?.optional("by", fields::text)
}

fn user_text(path: &Path<'_>, json: &str) -> Read<UserText> {
    let fields = Fields::read(path, json, &["text", "attachments"])?;
    Ok(UserText {
        text: fields.required("text", fields::text)?,
        attachments: fields.list("attachments", attachment)?,
    })
}

fn attachment(path: &Path<'_>, json: &str) -> Read<Attachment> {
    let fields = Fields::read(path, json, &["id", "name", "media_type", "url", "size_bytes"])?;
    Ok(Attachment {
        id: fields.required("id", fields::name)?,
        name: fields.required("name", fields::text)?,
        media_type: fields.required("media_type", fields::text)?,
        url: fields.required("url", fields::text)?,
        size_bytes: fields.required("size_bytes", fields::int)?,
    })
}

fn stream_started(path: &Path<'_>, json: &str) -> Read<StreamStarted> {
    let fields = Fields::read(path, json, &["provider", "model", "user_message_id", "origin"])?;
    Ok(StreamStarted {
        provider: fields.required("provider", fields::name)?,
        model: fields.optional("model", fields::text)?,
        user_message_id: fields.optional("user_message_id", fields::id)?,
        origin: fields.required("origin", |path, json| {
            fields::one_of(path, json, Origin::from_name, Origin::NAMES)
        })?,
    })
}

fn tool_event(path: &Path<'_>, json: &str) -> Read<ToolEvent> {
    Fields::read(path, json, &["tool"])?.required("tool", tool)
}

fn tool(path: &Path<'_>, json: &str) -> Read<ToolEvent> {
    const KNOWN: &[&str] = &["id", "name", "title", "parent_id", "input", "result", "error"];
    let fields = Fields::read(path, json, KNOWN)?;
    Ok(ToolEvent {
        id: fields.required("id", fields::name)?,
        name: fields.required("name", fields::text)?,
        title: fields.optional("title", fields::text)?,
        parent_id: fields.optional("parent_id", fields::name)?,
        input: fields.optional("input", fields::json)?,
        result: fields.optional("result", fields::json)?,
        error: fields.optional("error", fields::text)?,
    })
}

fn plan(path: &Path<'_>, json: &str) -> Read<Plan> {
    let fields = Fields::read(path, json, &["entries"])?;
    let read = |path: &Path<'_>, json| fields::list(path, json, plan_entry);
    Ok(Plan { entries: fields.required("entries", read)? })
}

fn plan_entry(path: &Path<'_>, json: &str) -> Read<PlanEntry> {
    let fields = Fields::read(path, json, &["content", "status", "priority"])?;
    Ok(PlanEntry {
        content: fields.required("content", fields::text)?,
        status: fields.required("status", fields::text)?,
        priority: fields.required("priority", fields::text)?,
    })
}

fn prompt_suggestions(path: &Path<'_>, json: &str) -> Read<PromptSuggestions> {
    let fields = Fields::read(path, json, &["suggestions"])?;
    let read = |path: &Path<'_>, json| fields::list(path, json, fields::text);
    Ok(PromptSuggestions { suggestions: fields.required("suggestions", read)? })
}

fn usage(path: &Path<'_>, json: &str) -> Read<Usage> {
    const KNOWN: &[&str] =
        &["input_tokens", "output_tokens", "context_window", "percentage", "cost_usd"];
    let fields = Fields::read(path, json, KNOWN)?;
    let usage = Usage {
        input_tokens: fields.optional("input_tokens", fields::int)?,
        output_tokens: fields.optional("output_tokens", fields::int)?,
        context_window: fields.optional("context_window", fields::int)?,
        percentage: fields.optional("percentage", fields::float)?,
        cost_usd: fields.optional("cost_usd", fields::float)?,
    };
    Ok(usage.normalized())
}

fn session(path: &Path<'_>, json: &str) -> Read<Session> {
    let fields = Fields::read(path, json, &["session_id", "cwd", "data"])?;
    Ok(Session {
        session_id: fields.optional("session_id", fields::text)?,
        cwd: fields.optional("cwd", fields::text)?,
        data: fields.optional("data", fields::json)?,
    })
}

fn permission_request(path: &Path<'_>, json: &str) -> Read<PermissionRequest> {
    let fields = Fields::read(path, json, &["request_id", "tool", "options", "expires_at"])?;
    let options = |path: &Path<'_>, json| fields::list(path, json, permission_option);
    Ok(PermissionRequest {
        request_id: fields.required("request_id", fields::id)?,
        tool: fields.optional("tool", tool)?,
        options: fields.required("options", options)?,
        expires_at: fields.optional("expires_at", fields::time)?,
    })
}

fn permission_option(path: &Path<'_>, json: &str) -> Read<PermissionOption> {
    let fields = Fields::read(path, json, &["option_id", "name", "kind"])?;
    Ok(PermissionOption {
        option_id: fields.required("option_id", fields::name)?,
        name: fields.required("name", fields::text)?,
        kind: fields.required("kind", fields::text)?,
    })
}

fn outcome(path: &Path<'_>, json: &str) -> Read<RequestOutcome> {
    fields::one_of(path, json, RequestOutcome::from_name, RequestOutcome::NAMES)
}

fn permission_resolved(path: &Path<'_>, json: &str) -> Read<PermissionResolved> {
    let fields = Fields::read(path, json, &["request_id", "outcome", "option_id", "by"])?;
    Ok(PermissionResolved {
        request_id: fields.required("request_id", fields::id)?,
        outcome: fields.required("outcome", outcome)?,
        option_id: fields.optional("option_id", fields::name)?,
        by: fields.optional("by", fields::text)?,
    })
}

fn elicitation_request(path: &Path<'_>, json: &str) -> Read<ElicitationRequest> {
    let fields = Fields::read(path, json, &["request_id", "message", "schema"])?;
    Ok(ElicitationRequest {
        request_id: fields.required("request_id", fields::id)?,
        message: fields.required("message", fields::text)?,
        schema: fields.optional("schema", fields::json)?,
    })
}

fn elicitation_resolved(path: &Path<'_>, json: &str) -> Read<ElicitationResolved> {
    let fields = Fields::read(path, json, &["request_id", "outcome", "content", "by"])?;
    Ok(ElicitationResolved {
        request_id: fields.required("request_id", fields::id)?,
        outcome: fields.required("outcome", outcome)?,
        content: fields.optional("content", fields::json)?,
        by: fields.optional("by", fields::text)?,
    })
}

fn message_queued(path: &Path<'_>, json: &str) -> Read<MessageQueued> {
    const KNOWN: &[&str] = &["queued_message_id", "content", "attachments", "provider", "model"];
    let fields = Fields::read(path, json, KNOWN)?;
    Ok(MessageQueued {
        queued_message_id: fields.required("queued_message_id", fields::id)?,
        content: fields.required("content", fields::text)?,
        attachments: fields.list("attachments", attachment)?,
        provider: fields.optional("provider", fields::name)?,
        model: fields.optional("model", fields::text)?,
    })
}

fn queue_edited(path: &Path<'_>, json: &str) -> Read<QueueEdited> {
    let fields = Fields::read(path, json, &["queued_message_id", "content", "provider", "model"])?;
    Ok(QueueEdited {
        queued_message_id: fields.required("queued_message_id", fields::id)?,
        content: fields.optional("content", fields::text)?,
        provider: fields.patch("provider", fields::name)?,
        model: fields.patch("model", fields::text)?,
    })
}

fn queue_removed(path: &Path<'_>, json: &str) -> Read<QueueRemoved> {
    let fields = Fields::read(path, json, &["queued_message_id", "by"])?;
    Ok(QueueRemoved {
        queued_message_id: fields.required("queued_message_id", fields::id)?,
        by: fields.optional("by", fields::text)?,
    })
}

fn queue_send_now(path: &Path<'_>, json: &str) -> Read<QueueSendNow> {
    let QueueRemoved { queued_message_id, by } = queue_removed(path, json)?;
    Ok(QueueSendNow { queued_message_id, by })
}

fn queue_processing(path: &Path<'_>, json: &str) -> Read<QueueProcessing> {
    const KNOWN: &[&str] = &[
        "queued_message_id",
        "user_message_id",
        "assistant_message_id",
        "turn_id",
        "prior_turn_id",
        "prior_duration_ms",
    ];
    let fields = Fields::read(path, json, KNOWN)?;
    Ok(QueueProcessing {
        queued_message_id: fields.required("queued_message_id", fields::id)?,
        user_message_id: fields.required("user_message_id", fields::id)?,
        assistant_message_id: fields.required("assistant_message_id", fields::id)?,
        turn_id: fields.required("turn_id", fields::id)?,
        prior_turn_id: fields.optional("prior_turn_id", fields::id)?,
        prior_duration_ms: fields.optional("prior_duration_ms", fields::int)?,
    })
}

fn cancel_requested(path: &Path<'_>, json: &str) -> Read<CancelRequested> {
    let fields = Fields::read(path, json, &["turn_id", "by"])?;
    Ok(CancelRequested {
        turn_id: fields.required("turn_id", fields::id)?,
        by: fields.optional("by", fields::text)?,
    })
}

/// Reads a duration; 0 stands for "the writer fills it in".
fn duration_ms(fields: &Fields<'_, '_>) -> Read<u64> {
    fields.optional("duration_ms", fields::int).map(Option::unwrap_or_default)
}

fn complete(path: &Path<'_>, json: &str) -> Read<Complete> {
    let fields = Fields::read(path, json, &["status", "duration_ms"])?;
    fields.constant("status", Complete::STATUS)?;
    Ok(Complete { duration_ms: duration_ms(&fields)? })
}

fn cancelled(path: &Path<'_>, json: &str) -> Read<Cancelled> {
    let fields = Fields::read(path, json, &["status", "reason", "duration_ms"])?;
    fields.constant("status", Cancelled::STATUS)?;
    Ok(Cancelled {
        reason: fields.required("reason", |path, json| {
            fields::one_of(path, json, CancelReason::from_name, CancelReason::NAMES)
        })?,
        duration_ms: duration_ms(&fields)?,
    })
}

fn turn_error(path: &Path<'_>, json: &str) -> Read<TurnError> {
    let fields =
        Fields::read(path, json, &["code", "message", "phase", "retryable", "duration_ms"])?;
    let code = fields.required("code", |path, json| {
        fields::one_of(path, json, ErrorCode::from_name, ErrorCode::NAMES)
    })?;
    let phase = fields.optional("phase", |path, json| {
        fields::one_of(path, json, Phase::from_name, Phase::NAMES)
    })?;
    Ok(TurnError {
        code,
        message: fields.required("message", fields::text)?,
        phase: phase.unwrap_or(Phase::Stream),
        retryable: fields.optional("retryable", fields::flag)?.unwrap_or(code.is_retryable()),
        duration_ms: duration_ms(&fields)?,
    })
}

fn timing(path: &Path<'_>, json: &str) -> Read<Timing> {
    const EITHER: &str = "either a cron expression with a time_zone, or every_ms of 1 or more";
    let fields = Fields::read(path, json, &["cron", "time_zone", "every_ms"])?;
    let expression = fields.optional("cron", fields::name)?;
    let time_zone = fields.optional("time_zone", fields::name)?;
    match (expression, time_zone, fields.optional("every_ms", fields::int)?) {
        (Some(expression), time_zone, None) => {
            Ok(Timing::Cron { expression, time_zone: time_zone.unwrap_or_else(|| "UTC".into()) })
        }
        (None, None, Some(every_ms)) if every_ms > 0 => Ok(Timing::Interval { every_ms }),
        _ => Err(path.shape(Cow::Borrowed(EITHER))),
    }
}

fn schedule_created(path: &Path<'_>, json: &str) -> Read<ScheduleCreated> {
    const KNOWN: &[&str] = &["schedule_id", "timing", "prompt", "provider", "model", "paused"];
    let fields = Fields::read(path, json, KNOWN)?;
    Ok(ScheduleCreated {
        schedule_id: fields.required("schedule_id", fields::id)?,
        timing: fields.required("timing", timing)?,
        prompt: fields.required("prompt", fields::text)?,
        provider: fields.optional("provider", fields::name)?,
        model: fields.optional("model", fields::text)?,
        paused: fields.optional("paused", fields::flag)?.unwrap_or_default(),
    })
}

fn schedule_updated(path: &Path<'_>, json: &str) -> Read<ScheduleUpdated> {
    const KNOWN: &[&str] = &["schedule_id", "timing", "prompt", "provider", "model", "paused"];
    let fields = Fields::read(path, json, KNOWN)?;
    Ok(ScheduleUpdated {
        schedule_id: fields.required("schedule_id", fields::id)?,
        timing: fields.optional("timing", timing)?,
        prompt: fields.optional("prompt", fields::text)?,
        provider: fields.patch("provider", fields::name)?,
        model: fields.patch("model", fields::text)?,
        paused: fields.optional("paused", fields::flag)?,
    })
}

fn schedule_removed(path: &Path<'_>, json: &str) -> Read<ScheduleRemoved> {
    let fields = Fields::read(path, json, &["schedule_id", "by"])?;
    Ok(ScheduleRemoved {
        schedule_id: fields.required("schedule_id", fields::id)?,
        by: fields.optional("by", fields::text)?,
    })
}

fn schedule_fired(path: &Path<'_>, json: &str) -> Read<ScheduleFired> {
    const KNOWN: &[&str] = &["schedule_id", "due_at", "turn_id", "n_missed", "error"];
    let fields = Fields::read(path, json, KNOWN)?;
    Ok(ScheduleFired {
        schedule_id: fields.required("schedule_id", fields::id)?,
        due_at: fields.required("due_at", fields::time)?,
        turn_id: fields.optional("turn_id", fields::id)?,
        n_missed: fields.optional("n_missed", fields::int)?.unwrap_or_default(),
        error: fields.optional("error", fields::text)?,
    })
}

fn custom(path: &Path<'_>, json: &str) -> Read<Custom> {
    let fields = Fields::read(path, json, &["name", "data"])?;
    Ok(Custom {
        name: fields.required("name", fields::name)?,
        data: fields.optional("data", fields::json)?,
    })
}
