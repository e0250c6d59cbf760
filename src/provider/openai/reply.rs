//! A chat-completions answer, chunk by chunk, as events: tolerant of what real endpoints send.
//!
//! A chunk is free JSON here and not a type: fields are missing, null, doubled or of other types at
//! every endpoint, and each of these is a reason to look on, not to fail a turn. What fails one is
//! text that is no JSON, an error object, and an end before the model has finished.

use scrollback_schema::event::Phase;
use scrollback_schema::event::{AssistantText, AssistantThinking};
use scrollback_schema::{ErrorCode, Event};
use serde_json::Value;

use super::tool_calls::ToolCalls;
use crate::provider::ProviderError;
use crate::provider::endpoint::{
    Asked, Counted, Heard, Meter, Progress, Refusal, Reply, SseEvent, in_stream,
};

/// xAI counts money in these: so many are a US dollar.
const TICKS_PER_USD: f64 = 1e10;

/// Reasons of an answer that ran into a limit of tokens: OpenAI's, Mistral's, and what gateways
/// hand on of other protocols.
const CUT: [&str; 3] = ["length", "model_length", "max_tokens"];

/// The state of one answer.
#[derive(Debug)]
pub(super) struct ChatReply {
    asked: Asked,
    meter: Meter,
    tools: ToolCalls,
    /// The last count that came; some endpoints send one with every chunk.
    counted: Option<Counted>,
    is_cut: bool,
}

impl ChatReply {
    pub(super) fn new(asked: Asked, meter: Meter) -> ChatReply {
        ChatReply { asked, meter, tools: ToolCalls::default(), counted: None, is_cut: false }
    }

    fn chunk(&mut self, chunk: &Value, heard: &mut Heard) -> Result<Progress, ProviderError> {
        if is_error(chunk) {
            return Err(self.asked.refused(&Refusal::of_value(chunk), Phase::Stream));
        }
        if let Some(counted) = counted(chunk) {
            self.counted = Some(counted);
        }
        let mut progress = Progress::Going;
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            // One answer was asked for; a second one would be mixed into it.
            if choice["index"].as_u64().unwrap_or(0) == 0 {
                self.delta(delta_of(choice), heard)?;
                if let Some(reason) = finish_reason(choice) {
                    progress = self.finish(reason, heard)?;
                }
            }
        }
        Ok(progress)
    }

    fn delta(&mut self, delta: &Value, heard: &mut Heard) -> Result<(), ProviderError> {
        let content = Content::of(&delta["content"]);
        let reasoning = ["reasoning_content", "reasoning", "thinking"]
            .iter()
            .filter_map(|name| delta[name].as_str())
            .find(|text| !text.is_empty());
        // An endpoint that knows two of the names sends the same text under both.
        let thinking = match reasoning {
            Some(text) => text.to_owned(),
            None => content.thinking + &details(&delta["reasoning_details"]),
        };
        if !thinking.is_empty() {
            heard.push_back(Event::AssistantThinking(AssistantThinking { thinking }));
        }
        let refusal = delta["refusal"].as_str().unwrap_or_default();
        let text = content.text + refusal;
        if !text.is_empty() {
            heard.push_back(Event::AssistantText(AssistantText { text }));
        }
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            self.tools.take(piece, heard)?;
        }
        if delta["function_call"].is_object() {
            self.tools.take(&delta["function_call"], heard)?;
        }
        Ok(())
    }

    /// Whatever the reason, it is an end: a name nobody knows yet is no failure. A cut answer is
    /// one, after what follows its end.
    fn finish(&mut self, reason: &str, heard: &mut Heard) -> Result<Progress, ProviderError> {
        self.tools.end(heard);
        let place = &self.asked.place;
        match reason {
            "content_filter" => Err(in_stream(
                ErrorCode::ProviderRefused,
                format!("{place} stopped the answer with its content filter"),
            )),
            "error" | "abort" | "insufficient_system_resource" => Err(in_stream(
                ErrorCode::ProviderUnavailable,
                format!("{place} failed in the middle of its answer"),
            )),
            _ => {
                self.is_cut = CUT.iter().any(|cut| reason.eq_ignore_ascii_case(cut));
                Ok(Progress::Finished)
            }
        }
    }

    fn no_chunk(&self) -> ProviderError {
        let message = format!("{} sent a chunk that is no JSON object", self.asked.place);
        in_stream(ErrorCode::ProviderProtocol, message)
    }
}

impl Reply for ChatReply {
    fn take(&mut self, event: &SseEvent, heard: &mut Heard) -> Result<Progress, ProviderError> {
        let data = event.data.trim();
        if data.is_empty() {
            return Ok(Progress::Going);
        }
        if data == "[DONE]" {
            self.tools.end(heard);
            return Ok(Progress::Done);
        }
        match serde_json::from_str::<Value>(data) {
            Ok(chunk) if event.name == "error" => {
                Err(self.asked.refused(&Refusal::of_value(&chunk), Phase::Stream))
            }
            Ok(chunk) if chunk.is_object() => self.chunk(&chunk, heard),
            _ => Err(self.no_chunk()),
        }
    }

    fn take_whole(&mut self, body: &[u8], heard: &mut Heard) -> Result<(), ProviderError> {
        let chunk: Value = serde_json::from_slice(body).map_err(|_| self.no_chunk())?;
        match self.chunk(&chunk, heard)? {
            Progress::Going if chunk["choices"].as_array().is_none_or(Vec::is_empty) => {
                let message = format!("{} answered with JSON without choices", self.asked.place);
                Err(in_stream(ErrorCode::ProviderProtocol, message))
            }
            _ => {
                self.tools.end(heard);
                Ok(())
            }
        }
    }

    fn last_words(&mut self, heard: &mut Heard) {
        heard.extend(self.counted.take().map(|counted| self.meter.event(counted)));
    }

    fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// `{"error": …}` of any shape but null and empty, or an object that says that it is one.
fn is_error(chunk: &Value) -> bool {
    let named = match &chunk["error"] {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        other => other != &Value::Bool(false),
    };
    named || chunk["object"] == "error" || chunk["type"] == "error"
}

/// A chunk has a delta, a whole answer a message; who sends both repeats the text in the latter.
fn delta_of(choice: &Value) -> &Value {
    if choice["delta"].is_object() { &choice["delta"] } else { &choice["message"] }
}

/// Absent, null, empty and the word "null" all say that the answer goes on.
fn finish_reason(choice: &Value) -> Option<&str> {
    choice["finish_reason"].as_str().filter(|reason| !["", "null"].contains(reason))
}

/// `content`: a text, or parts of it, where a reasoning model's may be among them.
#[derive(Default)]
struct Content {
    text: String,
    thinking: String,
}

impl Content {
    fn of(content: &Value) -> Content {
        let mut found = Content::default();
        match content {
            Value::String(text) => text.clone_into(&mut found.text),
            Value::Array(parts) => parts.iter().for_each(|part| found.part(part)),
            _ => {}
        }
        found
    }

    fn part(&mut self, part: &Value) {
        match (&part["thinking"], &part["text"]) {
            (Value::String(thinking), _) => self.thinking.push_str(thinking),
            (Value::Array(parts), _) => {
                let texts = parts.iter().filter_map(|part| part["text"].as_str());
                self.thinking.extend(texts);
            }
            (_, Value::String(text)) => self.text.push_str(text),
            _ => {}
        }
    }
}

/// OpenRouter's list of reasoning, for models whose reasoning it gives in no other way.
fn details(details: &Value) -> String {
    let parts = details.as_array().into_iter().flatten();
    parts.filter_map(|part| part["text"].as_str().or_else(|| part["summary"].as_str())).collect()
}

fn counted(chunk: &Value) -> Option<Counted> {
    let usage = [&chunk["usage"], &chunk["x_groq"]["usage"]].into_iter().find(|u| u.is_object())?;
    let number = |name: &str| usage[name].as_u64();
    let (input, written) = (number("prompt_tokens"), number("completion_tokens"));
    // xAI and Gemini leave reasoning out of `completion_tokens`, and in the total.
    let rest = number("total_tokens").zip(input).map(|(total, input)| total.saturating_sub(input));
    let cost = &usage["cost"];
    let ticks = usage["cost_in_usd_ticks"].as_f64().map(|ticks| ticks / TICKS_PER_USD);
    Some(Counted {
        input,
        cached_input: usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0),
        output: written.max(rest),
        cost_usd: cost.as_f64().or_else(|| cost["total_cost"].as_f64()).or(ticks),
    })
}
