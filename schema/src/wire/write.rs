//! Payloads from events to JSON; the fields in the order of the structs.

use super::json::Object;
use crate::event::*;

/// Appends an event's payload as JSON.
pub fn write_payload(out: &mut Vec<u8>, event: &Event) {
    Object::write(out, |o| match event {
        Event::ChatCreated(p) => chat_created(o, p),
        Event::ChatUpdated(p) => {
            o.text_patch("title", &p.title);
            o.json_patch("metadata", &p.metadata);
        }
        Event::ChatViewed(ChatViewed { by }) | Event::ChatDeleted(ChatDeleted { by }) => {
            o.text_if("by", by.as_deref());
        }
        Event::UserText(p) => {
            o.text("text", &p.text);
            attachments(o, &p.attachments);
        }
        Event::StreamStarted(p) => stream_started(o, p),
        Event::AssistantText(p) => o.text("text", &p.text),
        Event::AssistantThinking(p) => o.text("thinking", &p.thinking),
        Event::ToolStarted(p) | Event::ToolCompleted(p) | Event::ToolFailed(p) => {
            o.object("tool", |o| tool(o, p));
        }
        Event::Plan(p) => o.list("entries", &p.entries, plan_entry),
        Event::PromptSuggestions(p) => o.list("suggestions", &p.suggestions, |out, text| {
            super::json::push_text(out, text);
        }),
        Event::Usage(p) => usage(o, p),
        Event::Session(p) => {
            o.text_if("session_id", p.session_id.as_deref());
            o.text_if("cwd", p.cwd.as_deref());
            o.json_if("data", p.data.as_ref());
        }
        Event::PermissionRequest(p) => permission_request(o, p),
        Event::PermissionResolved(p) => permission_resolved(o, p),
        Event::ElicitationRequest(p) => elicitation_request(o, p),
        Event::ElicitationResolved(p) => elicitation_resolved(o, p),
        Event::MessageQueued(p) => message_queued(o, p),
        Event::QueueEdited(p) => queue_edited(o, p),
        Event::QueueRemoved(QueueRemoved { queued_message_id, by })
        | Event::QueueSendNow(QueueSendNow { queued_message_id, by }) => {
            o.text("queued_message_id", queued_message_id.as_str());
            o.text_if("by", by.as_deref());
        }
        Event::QueueProcessing(p) => queue_processing(o, p),
        Event::CancelRequested(p) => {
            o.text("turn_id", p.turn_id.as_str());
            o.text_if("by", p.by.as_deref());
        }
        Event::Complete(p) => {
            o.text("status", Complete::STATUS);
            o.int("duration_ms", p.duration_ms);
        }
        Event::Cancelled(p) => {
            o.text("status", Cancelled::STATUS);
            o.text("reason", p.reason.name());
            o.int("duration_ms", p.duration_ms);
        }
        Event::Error(p) => turn_error(o, p),
        Event::ScheduleCreated(p) => schedule_created(o, p),
        Event::ScheduleUpdated(p) => schedule_updated(o, p),
        Event::ScheduleRemoved(p) => {
            o.text("schedule_id", p.schedule_id.as_str());
            o.text_if("by", p.by.as_deref());
        }
        Event::ScheduleFired(p) => schedule_fired(o, p),
        Event::Custom(p) => {
            o.text("name", &p.name);
            o.json_if("data", p.data.as_ref());
        }
    });
}

fn chat_created(o: &mut Object<'_>, p: &ChatCreated) {
    o.text_if("owner", p.owner.as_deref());
    o.text_if("title", p.title.as_deref());
    o.text_if("parent_chat_id", p.parent_chat_id.as_ref().map(|id| id.as_str()));
    o.int_if("forked_at_seq", p.forked_at_seq.map(|seq| seq.get()));
    o.json_if("metadata", p.metadata.as_ref());
}

fn attachments(o: &mut Object<'_>, attachments: &[Attachment]) {
    if attachments.is_empty() {
        return;
    }
    o.list("attachments", attachments, |out, p| {
        Object::write(out, |o| {
            o.text("id", &p.id);
            o.text("name", &p.name);
            o.text("media_type", &p.media_type);
            o.text("url", &p.url);
            o.int("size_bytes", p.size_bytes);
        });
    });
}

fn stream_started(o: &mut Object<'_>, p: &StreamStarted) {
    o.text("provider", &p.provider);
    o.text_if("model", p.model.as_deref());
    o.text_if("user_message_id", p.user_message_id.as_ref().map(|id| id.as_str()));
    o.text("origin", p.origin.name());
}

fn tool(o: &mut Object<'_>, p: &ToolEvent) {
    o.text("id", &p.id);
    o.text("name", &p.name);
    o.text_if("title", p.title.as_deref());
    o.text_if("parent_id", p.parent_id.as_deref());
    o.json_if("input", p.input.as_ref());
    o.json_if("result", p.result.as_ref());
    o.text_if("error", p.error.as_deref());
}

fn plan_entry(out: &mut Vec<u8>, p: &PlanEntry) {
    Object::write(out, |o| {
        o.text("content", &p.content);
        o.text("status", &p.status);
        o.text("priority", &p.priority);
    });
}

fn usage(o: &mut Object<'_>, p: &Usage) {
    let p = p.clone().normalized();
    o.int_if("input_tokens", p.input_tokens);
    o.int_if("output_tokens", p.output_tokens);
    o.int_if("context_window", p.context_window);
    o.float_if("percentage", p.percentage);
    o.float_if("cost_usd", p.cost_usd);
}

fn permission_request(o: &mut Object<'_>, p: &PermissionRequest) {
    o.text("request_id", p.request_id.as_str());
    if let Some(of) = &p.tool {
        o.object("tool", |o| tool(o, of));
    }
    o.list("options", &p.options, |out, p| {
        Object::write(out, |o| {
            o.text("option_id", &p.option_id);
            o.text("name", &p.name);
            o.text("kind", &p.kind);
        });
    });
    o.text_if("expires_at", p.expires_at.map(|at| at.to_string()).as_deref());
}

fn permission_resolved(o: &mut Object<'_>, p: &PermissionResolved) {
    o.text("request_id", p.request_id.as_str());
    o.text("outcome", p.outcome.name());
    o.text_if("option_id", p.option_id.as_deref());
    o.text_if("by", p.by.as_deref());
}

fn elicitation_request(o: &mut Object<'_>, p: &ElicitationRequest) {
    o.text("request_id", p.request_id.as_str());
    o.text("message", &p.message);
    o.json_if("schema", p.schema.as_ref());
}

fn elicitation_resolved(o: &mut Object<'_>, p: &ElicitationResolved) {
    o.text("request_id", p.request_id.as_str());
    o.text("outcome", p.outcome.name());
    o.json_if("content", p.content.as_ref());
    o.text_if("by", p.by.as_deref());
}

fn message_queued(o: &mut Object<'_>, p: &MessageQueued) {
    o.text("queued_message_id", p.queued_message_id.as_str());
    o.text("content", &p.content);
    attachments(o, &p.attachments);
    o.text_if("provider", p.provider.as_deref());
    o.text_if("model", p.model.as_deref());
}

fn queue_edited(o: &mut Object<'_>, p: &QueueEdited) {
    o.text("queued_message_id", p.queued_message_id.as_str());
    o.text_if("content", p.content.as_deref());
    o.text_patch("provider", &p.provider);
    o.text_patch("model", &p.model);
}

fn queue_processing(o: &mut Object<'_>, p: &QueueProcessing) {
    o.text("queued_message_id", p.queued_message_id.as_str());
    o.text("user_message_id", p.user_message_id.as_str());
    o.text("assistant_message_id", p.assistant_message_id.as_str());
    o.text("turn_id", p.turn_id.as_str());
    o.text_if("prior_turn_id", p.prior_turn_id.as_ref().map(|id| id.as_str()));
    o.int_if("prior_duration_ms", p.prior_duration_ms);
}

fn turn_error(o: &mut Object<'_>, p: &TurnError) {
    o.text("code", p.code.name());
    o.text("message", &p.message);
    o.text("phase", p.phase.name());
    o.flag("retryable", p.retryable);
    o.int("duration_ms", p.duration_ms);
}

fn timing(o: &mut Object<'_>, timing: &Timing) {
    o.object("timing", |o| match timing {
        Timing::Cron { expression, time_zone } => {
            o.text("cron", expression);
            o.text("time_zone", time_zone);
        }
        Timing::Interval { every_ms } => o.int("every_ms", *every_ms),
    });
}

fn schedule_created(o: &mut Object<'_>, p: &ScheduleCreated) {
    o.text("schedule_id", p.schedule_id.as_str());
    timing(o, &p.timing);
    o.text("prompt", &p.prompt);
    o.text_if("provider", p.provider.as_deref());
    o.text_if("model", p.model.as_deref());
    o.flag("paused", p.paused);
}

fn schedule_updated(o: &mut Object<'_>, p: &ScheduleUpdated) {
    o.text("schedule_id", p.schedule_id.as_str());
    if let Some(changed) = &p.timing {
        timing(o, changed);
    }
    o.text_if("prompt", p.prompt.as_deref());
    o.text_patch("provider", &p.provider);
    o.text_patch("model", &p.model);
    o.flag_if("paused", p.paused);
}

fn schedule_fired(o: &mut Object<'_>, p: &ScheduleFired) {
    o.text("schedule_id", p.schedule_id.as_str());
    o.text("due_at", &p.due_at.to_string());
    o.text_if("turn_id", p.turn_id.as_ref().map(|id| id.as_str()));
    o.int("n_missed", p.n_missed);
    o.text_if("error", p.error.as_deref());
}
