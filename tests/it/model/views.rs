//! What clients ought to be shown of a chat, made from its history each time anew.
//!
//! Messages have a file of their own: `messages`.

use serde_json::{Value, json};

use super::history::{Chat, Ev, Pending, instant, is_terminal};

/// Kinds that say nothing about a chat as a list shows it.
const UNSEEN: &[&str] = &[
    "assistant_text",
    "assistant_thinking",
    "tool_started",
    "tool_completed",
    "tool_failed",
    "plan",
    "prompt_suggestions",
    "session",
    "queue_edited",
    "queue_removed",
    "queue_send_now",
    "queue_processing",
    "custom",
];

/// Kinds that somebody would come back for.
const ACTIVITY: &[&str] = &[
    "chat_created",
    "user_text",
    "message_queued",
    "stream_started",
    "permission_request",
    "permission_resolved",
    "elicitation_request",
    "elicitation_resolved",
    "complete",
    "cancelled",
    "error",
];

/// The item of `GET /v1/chats`.
pub(super) fn chat(chat: &Chat) -> Value {
    let first = &chat.events[0];
    let last_of = |kinds: &dyn Fn(&str) -> bool| chat.events.iter().rev().find(|e| kinds(e.kind()));
    let active = last_of(&|kind| ACTIVITY.contains(&kind)).unwrap();
    let seen = last_of(&|kind| !UNSEEN.contains(&kind)).unwrap();
    let view = last_of(&|kind| kind == "chat_viewed").map_or(0, |event| event.seq);
    let start = last_of(&|kind| kind == "stream_started").map_or(0, |event| event.seq);
    let ended = last_of(&is_terminal).map(|event| match event.kind() {
        "complete" => "completed",
        "error" => "failed",
        _ => "interrupted",
    });
    let count = |kind: &str| chat.events.iter().filter(|e| e.kind() == kind).count();
    json!({
        "id": first.said.chat,
        "title": chat.title(),
        "owner": first.said.payload["owner"],
        "metadata": metadata(chat),
        "parent_chat_id": first.said.payload["parent_chat_id"],
        "forked_at_seq": first.said.payload["forked_at_seq"],
        "created_at": instant(first.at),
        "last_activity_at": instant(active.at),
        "unread": start > view,
        "open_turn": open_turn(chat),
        "last_turn_status": ended,
        "counts": {
            "messages": chat.n_messages(),
            "turns": count("stream_started"),
            "failed_turns": count("error"),
        },
        "usage": spent(chat, |_| true),
        "last_seq": seen.seq,
    })
}

fn metadata(chat: &Chat) -> Value {
    let says = |event: &&Ev| {
        matches!(event.kind(), "chat_created" | "chat_updated")
            && event.said.payload.get("metadata").is_some()
    };
    let last = chat.events.iter().rev().find(says);
    last.map_or(Value::Null, |event| event.said.payload["metadata"].clone())
}

fn open_turn(chat: &Chat) -> Value {
    let Some(open) = chat.open() else { return Value::Null };
    let asked = chat
        .events
        .iter()
        .find(|e| e.kind() == "cancel_requested" && e.text("turn_id") == open.turn);
    json!({
        "turn_id": open.turn,
        "message_id": open.message,
        "started_seq": open.seq,
        "started_at": instant(open.at),
        "stop_requested_at": asked.map(|event| instant(event.at)),
        "usage": usage(chat, &open.turn).unwrap_or_else(|| json!({
            "input_tokens": null, "output_tokens": null, "context_window": null,
            "percentage": 0.0, "cost_usd": null,
        })),
        "usage_before": spent(chat, |turn| turn != open.turn),
    })
}

/// Tokens and money of some turns together.
fn spent(chat: &Chat, counts: impl Fn(&str) -> bool) -> Value {
    let (mut input, mut output, mut cost) = (0, 0, 0.0);
    for turn in chat.turns().into_iter().filter(|turn| counts(turn)) {
        let Some(usage) = usage(chat, turn) else { continue };
        input += usage["input_tokens"].as_u64().unwrap_or(0);
        output += usage["output_tokens"].as_u64().unwrap_or(0);
        cost += usage["cost_usd"].as_f64().unwrap_or(0.0);
    }
    json!({ "input_tokens": input, "output_tokens": output, "cost_usd": cost })
}

/// Tokens and money of one turn; none if it reported nothing.
pub(super) fn usage(chat: &Chat, turn: &str) -> Option<Value> {
    let mut total: Option<Value> = None;
    for event in chat.of_turn(turn).filter(|event| event.kind() == "usage") {
        let (said, before) = (&event.said.payload, total.unwrap_or(json!({})));
        let latest = |name: &str| said.get(name).or(before.get(name)).cloned();
        let percentage = said["percentage"].as_f64().unwrap();
        let is_known = said["context_window"].as_u64() > Some(0) || percentage > 0.0;
        let kept = before["percentage"].as_f64().unwrap_or(0.0);
        let cost = match (said["cost_usd"].as_f64(), before["cost_usd"].as_f64()) {
            (None, cost) | (cost, None) => cost,
            (Some(this), Some(before)) => Some(before + this),
        };
        total = Some(json!({
            "input_tokens": latest("input_tokens"),
            "output_tokens": latest("output_tokens"),
            "context_window": latest("context_window"),
            "percentage": if is_known { percentage } else { kept },
            "cost_usd": cost,
        }));
    }
    total
}

/// `GET …/status`, but for what is parked.
pub(super) fn status(chat: &Chat, head: u64) -> Value {
    let open = chat.open().map(
        |open| json!({ "turn_id": open.turn, "message_id": open.message, "started_seq": open.seq }),
    );
    json!({
        "chat_id": chat.events[0].said.chat,
        "head_seq": head,
        "last_seq": chat.events.last().unwrap().seq,
        "open_turn": open,
        "queue_length": chat.queue().len(),
        "pending_requests": chat.pending().len(),
        "parked": [],
    })
}

/// The items of `GET …/requests`.
pub(super) fn requests(chat: &Chat) -> Vec<Value> {
    chat.pending().iter().map(request).collect()
}

fn request(pending: &Pending) -> Value {
    let (event, asked) = (&pending.event, &pending.event.said.payload);
    let mut item = match pending.is_permission {
        true => json!({
            "type": "permission", "options": asked["options"], "expires_at": asked["expires_at"],
        }),
        false => json!({
            "type": "elicitation", "message": asked["message"], "schema": asked["schema"],
        }),
    };
    if let Some(tool) = asked.get("tool") {
        item["tool"] = tool.clone();
    }
    item["request_id"] = json!(pending.id);
    item["turn_id"] = json!(event.said.turn);
    item["message_id"] = json!(event.said.message);
    item["requested_seq"] = json!(event.seq);
    item["requested_at"] = instant(event.at);
    item
}

/// The items of `GET …/queue`.
pub(super) fn queue(chat: &Chat) -> Vec<Value> {
    chat.queue().into_iter().map(|queued| queued.item).collect()
}

/// An event as clients see it.
pub(super) fn envelope(event: &Ev) -> Value {
    json!({
        "chatId": event.said.chat,
        "messageId": event.said.message,
        "streamId": event.said.turn,
        "seq": event.seq,
        "at": instant(event.at),
        "kind": event.kind(),
        "payload": event.said.payload,
    })
}
