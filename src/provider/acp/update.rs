//! What an agent reports of its turn, as events. Pure.
//!
//! A part that is missing, unknown or misshapen is left out, the rest is told: agents are ahead of
//! any list. Nothing is merged here beyond names, since `tool_started` with a known id updates it.

use std::collections::HashMap;

use scrollback_schema::Event;
use scrollback_schema::event::{
    AssistantText, AssistantThinking, JsonText, Plan, PlanEntry, ToolEvent, Usage,
};
use scrollback_schema::limits::{AGENT_TOOL_CALLS_MAX, LIST_ITEMS_MAX};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// What was heard of a session.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    /// An event of the turn.
    Event(Event),
    /// The session has a title, or none any more.
    Title(Option<String>),
    /// The session is in another mode.
    Mode(String),
    /// What the session has cost since its beginning, in US dollars, beside an event.
    Usage { usage: Usage, session_usd: Option<f64> },
    /// Nothing that is kept.
    Nothing,
}

/// What of a tool call is kept to the letter: a number or the order of keys can matter.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Parts<'a> {
    #[serde(borrow)]
    raw_input: Option<&'a RawValue>,
    #[serde(borrow)]
    raw_output: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// Reads the updates of one turn.
#[derive(Debug, Default)]
pub(super) struct Updates {
    /// Tool calls by id; every event of a tool has its name.
    names: HashMap<String, String>,
}

impl Updates {
    /// One `update` of a `session/update`.
    pub(super) fn read(&mut self, json: &RawValue) -> Heard {
        let Ok(update) = serde_json::from_str::<Value>(json.get()) else { return Heard::Nothing };
        match update["sessionUpdate"].as_str().unwrap_or_default() {
            "agent_message_chunk" => {
                delta(&update["content"], |text| Event::AssistantText(AssistantText { text }))
            }
            "agent_thought_chunk" => delta(&update["content"], |thinking| {
                Event::AssistantThinking(AssistantThinking { thinking })
            }),
            "tool_call" | "tool_call_update" => match self.tool(json) {
                Some(tool) => Heard::Event(of_status(update["status"].as_str(), tool)),
                None => Heard::Nothing,
            },
            "plan" => Heard::Event(Event::Plan(plan(&update["entries"]))),
            "usage_update" => usage(&update),
            "session_info_update" => match update.get("title") {
                Some(title) => Heard::Title(title.as_str().map(str::to_owned)),
                None => Heard::Nothing,
            },
            "current_mode_update" => match update["currentModeId"].as_str() {
                Some(mode) => Heard::Mode(mode.to_owned()),
                None => Heard::Nothing,
            },
            _ => Heard::Nothing,
        }
    }

    /// The state of a tool call as far as this says it; none without an id.
    pub(super) fn tool(&mut self, json: &RawValue) -> Option<ToolEvent> {
        let call: Value = serde_json::from_str(json.get()).ok()?;
        let parts: Parts<'_> = serde_json::from_str(json.get()).unwrap_or_default();
        let id = call["toolCallId"].as_str().filter(|id| !id.is_empty())?.to_owned();
        let failed = call["status"].as_str() == Some("failed");
        Some(ToolEvent {
            name: self.name(&id, &call),
            title: call["title"].as_str().map(str::to_owned),
            parent_id: None,
            input: json_text(parts.raw_input),
            result: result(&parts, &call),
            error: failed.then(|| why(&call)),
            id,
        })
    }

    /// The tool's name, else the sort of what it does; the first one that was said stays.
    fn name(&mut self, id: &str, call: &Value) -> String {
        let named = call["name"].as_str().filter(|name| !name.is_empty());
        if let (None, Some(name)) = (named, self.names.get(id)) {
            return name.clone();
        }
        let name = named.or(call["kind"].as_str()).unwrap_or("tool").to_owned();
        if self.names.len() < AGENT_TOOL_CALLS_MAX {
            self.names.insert(id.to_owned(), name.clone());
        }
        name
    }
}

/// The tokens of a turn, as the answer to its prompt has them.
pub(super) fn usage_of_prompt(usage: &Value) -> Option<Usage> {
    let (input_tokens, output_tokens) =
        (usage["inputTokens"].as_u64(), usage["outputTokens"].as_u64());
    input_tokens.or(output_tokens)?;
    Some(Usage { input_tokens, output_tokens, ..Usage::default() })
}

fn delta(content: &Value, event: impl Fn(String) -> Event) -> Heard {
    match text(content) {
        Some(text) if !text.is_empty() => Heard::Event(event(text)),
        _ => Heard::Nothing,
    }
}

/// A block of content as text; images and sounds have none.
fn text(content: &Value) -> Option<String> {
    let of = |value: &Value| value.as_str().map(str::to_owned);
    match content["type"].as_str()? {
        "text" => of(&content["text"]),
        "resource" => of(&content["resource"]["text"]),
        "resource_link" => {
            let (name, uri) = (content["name"].as_str()?, content["uri"].as_str()?);
            Some(format!("[{name}]({uri})"))
        }
        _ => None,
    }
}

fn of_status(status: Option<&str>, tool: ToolEvent) -> Event {
    match status {
        Some("completed") => Event::ToolCompleted(tool),
        Some("failed") => Event::ToolFailed(tool),
        _ => Event::ToolStarted(tool),
    }
}

/// What a call gave back: its raw output, or what it shows (a diff, a text), or both.
fn result(parts: &Parts<'_>, call: &Value) -> Option<JsonText> {
    let shows = call["content"].as_array().is_some_and(|content| !content.is_empty());
    match (parts.raw_output, parts.content.filter(|_| shows)) {
        (Some(output), Some(content)) => {
            let both = format!("{{\"output\":{output},\"content\":{content}}}");
            JsonText::parse(&both).ok()
        }
        (output, content) => json_text(output.or(content)),
    }
}

/// What a failed call says about itself.
fn why(call: &Value) -> String {
    let blocks = call["content"].as_array().into_iter().flatten();
    let shown: Vec<String> = blocks.filter_map(|block| text(&block["content"])).collect();
    let output = &call["rawOutput"];
    let said = [output, &output["error"], &output["message"], &output["error"]["message"]];
    let said = said.iter().find_map(|said| said.as_str()).map(str::to_owned);
    let why = Some(shown.join("\n")).filter(|shown| !shown.is_empty()).or(said);
    why.unwrap_or_else(|| "the tool failed".to_owned())
}

/// JSON as the log keeps it; none if it nests too deep.
pub(super) fn json_text(json: Option<&RawValue>) -> Option<JsonText> {
    JsonText::parse(json?.get()).ok()
}

fn plan(entries: &Value) -> Plan {
    let word = |value: &Value, default: &str| value.as_str().unwrap_or(default).to_owned();
    let entry = |entry: &Value| {
        Some(PlanEntry {
            content: entry["content"].as_str()?.to_owned(),
            status: word(&entry["status"], "pending"),
            priority: word(&entry["priority"], "medium"),
        })
    };
    let entries = entries.as_array().into_iter().flatten();
    Plan { entries: entries.filter_map(entry).take(LIST_ITEMS_MAX).collect() }
}

fn usage(update: &Value) -> Heard {
    let (used, size) = (update["used"].as_u64(), update["size"].as_u64());
    let percentage = match (used, size) {
        (Some(used), Some(size)) if size > 0 => Some(used as f64 * 100.0 / size as f64),
        _ => None,
    };
    let is_usd = update["cost"]["currency"].as_str() == Some("USD");
    let session_usd = update["cost"]["amount"].as_f64().filter(|_| is_usd);
    let usage = Usage { context_window: size, percentage, ..Usage::default() };
    Heard::Usage { usage, session_usd }
}
