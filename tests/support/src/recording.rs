//! Recorded model streams as events: what real OpenAI-compatible providers sent.
//!
//! The recordings lie beside the repository, in `../shared/recordings`, and are no part of it. A
//! test that wants them says loudly that it was left out where they are missing. The conversion is
//! the tests' own; a provider client has to take more than this.

use std::collections::BTreeMap;
use std::path::Path;

use scrollback_schema::event::{
    AssistantText, AssistantThinking, Complete, JsonText, ToolEvent, Usage,
};
use scrollback_schema::{Event, limits};
use serde_json::Value;

use crate::left_out::left_out;

/// One recorded stream.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The file's name without its ending, for example `groq-reasoning`.
    pub name: String,
    /// What a turn appends for it, the terminal event included.
    pub events: Vec<Event>,
}

/// Reads every recording, in the order of their names; `repository` is the root of the project.
///
/// Where the folder is missing it says so loudly and returns none.
///
/// # Panics
///
/// If a file is no recording.
pub fn recordings(repository: &str) -> Vec<Recording> {
    let dir = Path::new(repository).join("../shared/recordings/chat-completions");
    let Ok(entries) = std::fs::read_dir(&dir) else {
        left_out(&format!("THE RECORDED STREAMS: {} is missing", dir.display()));
        return Vec::new();
    };
    let mut paths: Vec<_> =
        entries.map(|entry| entry.expect("the folder can be listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    paths.sort();
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path).expect("the recording can be read");
        let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
        Recording { name, events: events_of(&text) }
    };
    paths.iter().map(|path| read(path)).collect()
}

/// Turns the chunks of a stream, one JSON a line, into the events of a turn.
///
/// # Panics
///
/// If a line is no JSON.
pub fn events_of(chunks: &str) -> Vec<Event> {
    let mut turn = Turn::default();
    for line in chunks.lines().filter(|line| !line.trim().is_empty()) {
        let chunk: Value = serde_json::from_str(line).expect("a recorded chunk is JSON");
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            turn.delta(&choice["delta"]);
        }
        if chunk["usage"].is_object() {
            turn.finish_tools();
            turn.usage(&chunk["usage"]);
        }
    }
    turn.finish_tools();
    turn.events.push(Event::Complete(Complete { duration_ms: 0 }));
    turn.events
}

#[derive(Default)]
struct Turn {
    events: Vec<Event>,
    /// Calls whose arguments still arrive, by their index.
    tools: BTreeMap<u64, (ToolEvent, String)>,
}

impl Turn {
    fn delta(&mut self, delta: &Value) {
        let text = |name: &str| delta[name].as_str().filter(|text| !text.is_empty());
        if let Some(thinking) = text("reasoning_content").or(text("reasoning")) {
            let thinking = thinking.to_owned();
            self.events.push(Event::AssistantThinking(AssistantThinking { thinking }));
        }
        if let Some(text) = text("content") {
            self.events.push(Event::AssistantText(AssistantText { text: text.to_owned() }));
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            self.tool_call(call);
        }
    }

    /// A call comes whole or in pieces: id and name first, then its arguments.
    fn tool_call(&mut self, call: &Value) {
        let index = call["index"].as_u64().unwrap_or_default();
        let (tool, arguments) = self.tools.entry(index).or_default();
        if let Some(id) = call["id"].as_str().filter(|id| !id.is_empty()) {
            id.clone_into(&mut tool.id);
        }
        if let Some(name) = call["function"]["name"].as_str().filter(|name| !name.is_empty()) {
            name.clone_into(&mut tool.name);
            self.events.push(Event::ToolStarted(tool.clone()));
        }
        arguments.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
    }

    /// The arguments are whole when the stream says something else than arguments.
    fn finish_tools(&mut self) {
        for (_, (mut tool, arguments)) in std::mem::take(&mut self.tools) {
            let as_text = || Value::String(arguments.clone()).to_string();
            let input = JsonText::parse(&arguments).or_else(|_| JsonText::parse(&as_text()));
            tool.input = Some(input.expect("a JSON string is JSON"));
            self.events.push(Event::ToolStarted(tool));
        }
    }

    fn usage(&mut self, usage: &Value) {
        self.events.push(Event::Usage(Usage {
            input_tokens: usage["prompt_tokens"].as_u64(),
            output_tokens: usage["completion_tokens"].as_u64(),
            ..Usage::default()
        }));
    }
}

/// The text that a turn's deltas make.
pub fn text_of(events: &[Event]) -> String {
    events
        .iter()
        .filter_map(|event| match event {
            Event::AssistantText(delta) => Some(delta.text.as_str()),
            _ => None,
        })
        .collect()
}

/// Cuts events into appends as a producer does that sends what it has: 1 to `n_max` at a time.
pub fn in_batches(events: &[Event], n_max: usize) -> impl Iterator<Item = &[Event]> {
    events.chunks(n_max.clamp(1, limits::APPEND_EVENTS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKS: &str = r#"
{"choices":[{"delta":{"role":"assistant","content":"","reasoning_content":null}}],"usage":null}
{"choices":[{"delta":{"reasoning":"Hm"}}]}
{"choices":[{"delta":{"content":"Let "}}]}
{"choices":[{"delta":{"content":"me see"}}]}
{"choices":[{"delta":{"tool_calls":[{"id":"c1","function":{"name":"look","arguments":"{\"q\""}}]}}]}
{"choices":[{"delta":{"tool_calls":[{"function":{"name":"","arguments":": 1}"}}]}}]}
{"choices":[{"delta":{}}],"usage":{"prompt_tokens":7,"completion_tokens":3}}
"#;

    #[test]
    fn deltas_become_events() {
        let events = events_of(CHUNKS);
        let names: Vec<&str> = events.iter().map(|event| event.kind().name()).collect();
        let expected = "assistant_thinking assistant_text assistant_text \
                        tool_started tool_started usage complete";
        assert_eq!(names.join(" "), expected);
        assert_eq!(text_of(&events), "Let me see");
        let Event::ToolStarted(tool) = &events[4] else { panic!("{events:?}") };
        assert_eq!(tool.input.as_ref().map(JsonText::as_str), Some(r#"{"q":1}"#));
        assert_eq!((tool.id.as_str(), tool.name.as_str()), ("c1", "look"));
    }

    #[test]
    fn every_recording_says_something() {
        for recording in recordings(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")) {
            let n_deltas = recording.events.len();
            assert!(n_deltas > 2, "{} has {n_deltas} events", recording.name);
            let last = recording.events.last().map(Event::kind);
            assert_eq!(last, Some(scrollback_schema::Kind::Complete), "{}", recording.name);
        }
    }
}
