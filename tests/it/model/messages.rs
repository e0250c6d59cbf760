//! What clients ought to be shown of messages: each one read through from its first event.

use serde_json::{Value, json};

use super::history::{Chat, Ev, instant, is_terminal};
use super::views::usage;

const OPEN: &str = "<prompt_suggestions>";
const CLOSE: &str = "</prompt_suggestions>";

/// The items of `GET …/messages`, the oldest first.
pub(super) fn messages(chat: &Chat) -> Vec<Value> {
    let begins = |event: &&Ev| matches!(event.kind(), "user_text" | "stream_started");
    chat.events
        .iter()
        .filter(begins)
        .map(|event| match event.kind() {
            "user_text" => of_user(event),
            _ => of_assistant(chat, event),
        })
        .collect()
}

/// What a search finds of a finished message.
pub(super) fn content_text(message: &Value) -> &str {
    message["content_text"].as_str().unwrap()
}

fn of_user(event: &Ev) -> Value {
    let mut entry = json!({ "type": "user_text", "text": event.text("text") });
    if let Some(files) = event.said.payload.get("attachments") {
        entry["attachments"] = files.clone();
    }
    json!({
        "id": event.said.message, "chat_id": event.said.chat, "role": "user",
        "content_text": event.text("text"), "content_render": { "events": [entry] },
        "tail": null, "stream_status": "completed", "active_stream_id": null, "turn_id": null,
        "user_message_id": null, "origin": null, "provider": null, "model": null, "usage": null,
        "total_cost_usd": null, "duration_ms": null, "error": null, "interrupt_reason": null,
        "first_seq": event.seq, "last_seq": event.seq, "created_at": instant(event.at),
        "ended_at": null,
    })
}

/// Events of a turn that are bookkeeping, and not said in its message.
fn is_said(event: &&Ev) -> bool {
    let is_asked = event.kind().starts_with("permission") || event.kind().starts_with("elicit");
    !is_asked && !matches!(event.kind(), "session" | "custom")
}

fn of_assistant(chat: &Chat, start: &Ev) -> Value {
    let turn = start.said.turn.as_deref().unwrap();
    let said: Vec<&Ev> = chat.of_turn(turn).filter(is_said).collect();
    let end = said.iter().rev().find(|event| is_terminal(event.kind())).copied();
    let content = Content::of(&said);
    let (status, failure, interrupted) = match end.map(|end| (end.kind(), end)) {
        None => ("in_progress", Value::Null, Value::Null),
        Some(("complete", _)) => ("completed", Value::Null, Value::Null),
        Some(("cancelled", end)) => {
            ("interrupted", Value::Null, end.said.payload["reason"].clone())
        }
        Some((_, end)) => {
            let failure = &end.said.payload;
            let failure = json!({
                "code": failure["code"], "message": failure["message"],
                "phase": failure["phase"], "retryable": failure["retryable"],
            });
            ("failed", failure, Value::Null)
        }
    };
    let usage = usage(chat, turn);
    let cost = usage.as_ref().map_or(Value::Null, |usage| usage["cost_usd"].clone());
    let payload = &start.said.payload;
    json!({
        "id": start.said.message, "chat_id": start.said.chat, "role": "assistant",
        "content_text": content.text(&failure),
        "content_render": { "events": content.entries(&failure) },
        "tail": if end.is_none() { content.tail() } else { Value::Null },
        "stream_status": status,
        "active_stream_id": if end.is_none() { json!(turn) } else { Value::Null },
        "turn_id": turn, "user_message_id": payload["user_message_id"],
        "origin": payload["origin"], "provider": payload["provider"], "model": payload["model"],
        "usage": usage, "total_cost_usd": cost,
        "duration_ms": end.map(|end| end.said.payload["duration_ms"].clone()),
        "error": failure, "interrupt_reason": interrupted,
        "first_seq": start.seq, "last_seq": said.last().unwrap().seq,
        "created_at": instant(start.at), "ended_at": end.map(|end| instant(end.at)),
    })
}

/// What was said in a message, in order.
#[derive(Default)]
struct Content {
    entries: Vec<Entry>,
    suggestions: Vec<Value>,
    /// Whether the next delta of the last entry's sort goes on with it.
    is_growing: bool,
}

enum Entry {
    /// Text before `settled` is no part of a tag any more: one that came after it has left.
    Speech {
        sort: &'static str,
        text: String,
        opened: Option<usize>,
        settled: usize,
    },
    Tool(Value),
    Plan(Value),
}

impl Content {
    fn of(said: &[&Ev]) -> Content {
        let mut content = Content::default();
        for event in said {
            let payload = &event.said.payload;
            match event.kind() {
                "assistant_text" => content.speak("text", event.text("text")),
                "assistant_thinking" => content.speak("thinking", event.text("thinking")),
                "tool_started" => content.tool(&payload["tool"], "running"),
                "tool_completed" => content.tool(&payload["tool"], "completed"),
                "tool_failed" => content.tool(&payload["tool"], "failed"),
                "plan" => content.plan(&payload["entries"]),
                "prompt_suggestions" => {
                    content.suggestions = payload["suggestions"].as_array().unwrap().clone();
                }
                "complete" => content.end("completed", &Value::Null),
                "cancelled" => {
                    let reason = format!("interrupted: {}", event.text("reason"));
                    content.end("failed", &json!(reason));
                }
                "error" => content.end("failed", &payload["message"]),
                _ => {}
            }
        }
        content
    }

    fn speak(&mut self, sort: &'static str, delta: &str) {
        if delta.is_empty() {
            return;
        }
        let goes_on = self.is_growing
            && matches!(self.entries.last(), Some(Entry::Speech { sort: s, .. }) if *s == sort);
        if !goes_on {
            let (text, opened) = (String::new(), None);
            self.entries.push(Entry::Speech { sort, text, opened, settled: 0 });
        }
        self.is_growing = true;
        let Some(Entry::Speech { text, opened, settled, .. }) = self.entries.last_mut() else {
            return;
        };
        for character in delta.chars() {
            text.push(character);
            if sort == "text" && text[*settled..].ends_with(OPEN) {
                *opened = Some(text.len() - OPEN.len());
            } else if sort == "text"
                && text.ends_with(CLOSE)
                && let Some(start) = opened.take()
            {
                let body = &text[start + OPEN.len()..text.len() - CLOSE.len()];
                if let Ok(suggestions) = serde_json::from_str::<Vec<String>>(body) {
                    self.suggestions = suggestions.into_iter().map(Value::from).collect();
                }
                text.truncate(start);
                *settled = start;
            }
        }
    }

    fn tool(&mut self, event: &Value, status: &str) {
        let place = self
            .entries
            .iter()
            .position(|entry| matches!(entry, Entry::Tool(tool) if tool["id"] == event["id"]));
        if let Some(Entry::Tool(tool)) = place.map(|place| &mut self.entries[place]) {
            tool.as_object_mut().unwrap().remove("error");
            for (name, value) in event.as_object().unwrap() {
                tool[name] = value.clone();
            }
            tool["status"] = json!(status);
        } else {
            let mut tool = event.clone();
            tool["status"] = json!(status);
            self.entries.push(Entry::Tool(tool));
            self.is_growing = false;
        }
    }

    fn plan(&mut self, entries: &Value) {
        let place = self.entries.iter().position(|entry| matches!(entry, Entry::Plan(_)));
        match place {
            Some(place) => self.entries[place] = Entry::Plan(entries.clone()),
            None => {
                self.entries.push(Entry::Plan(entries.clone()));
                self.is_growing = false;
            }
        }
    }

    fn end(&mut self, status: &str, error: &Value) {
        for entry in &mut self.entries {
            if let Entry::Tool(tool) = entry
                && tool["status"] == "running"
            {
                tool["status"] = json!(status);
                tool.as_object_mut().unwrap().remove("error");
                if !error.is_null() {
                    tool["error"] = error.clone();
                }
            }
        }
        self.is_growing = false;
    }

    fn text(&self, failure: &Value) -> String {
        let said = |entry: &Entry| match entry {
            Entry::Speech { sort: "text", text, .. } => Some(text.clone()),
            _ => None,
        };
        let text: String = self.entries.iter().filter_map(said).collect();
        match failure["message"].as_str() {
            Some(message) if text.is_empty() => message.to_owned(),
            _ => text,
        }
    }

    fn entries(&self, failure: &Value) -> Vec<Value> {
        let shown = |entry: &Entry| match entry {
            Entry::Speech { text, .. } if text.is_empty() => None,
            Entry::Speech { sort: "text", text, .. } => {
                Some(json!({ "type": "assistant_text", "text": text }))
            }
            Entry::Speech { text, .. } => {
                Some(json!({ "type": "assistant_thinking", "thinking": text }))
            }
            Entry::Tool(tool) => Some(json!({ "type": "tool", "tool": tool })),
            Entry::Plan(entries) => Some(json!({ "type": "plan", "entries": entries })),
        };
        let mut entries: Vec<Value> = self.entries.iter().filter_map(shown).collect();
        if !self.suggestions.is_empty() {
            entries.push(json!({ "type": "prompt_suggestions", "suggestions": self.suggestions }));
        }
        if let Some(message) = failure["message"].as_str() {
            let text = format!("\n\nError: {message}");
            entries.push(json!({ "type": "assistant_text", "text": text, "error": failure }));
        }
        entries
    }

    /// How an open message goes on.
    fn tail(&self) -> Value {
        let Some(Entry::Speech { sort, text, opened, settled }) = self.entries.last() else {
            return Value::Null;
        };
        if !self.is_growing {
            return Value::Null;
        }
        let begun = |end: &usize| {
            let piece = &text[text.len() - end..];
            OPEN.starts_with(piece) || CLOSE.starts_with(piece)
        };
        let longest = OPEN.len().max(CLOSE.len()) - 1;
        let candidate = (1..=longest.min(text.len() - settled))
            .filter(|end| text.is_char_boundary(text.len() - end))
            .filter(begun)
            .max();
        let held = match (*sort, opened) {
            ("thinking", _) => 0,
            (_, Some(start)) => text.len() - start,
            (_, None) => candidate.unwrap_or(0),
        };
        let sort = if *sort == "text" { "assistant_text" } else { "assistant_thinking" };
        json!({ "type": sort, "is_empty": text.is_empty(), "held_bytes": held })
    }
}
