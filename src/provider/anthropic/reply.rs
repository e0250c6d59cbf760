//! A Messages answer, event by event.

use std::collections::BTreeMap;

use scrollback_schema::event::{AssistantText, AssistantThinking, Phase};
use scrollback_schema::{ErrorCode, Event, limits};
use serde_json::Value;

use crate::provider::ProviderError;
use crate::provider::endpoint::{
    Asked, Counted, Heard, Meter, Progress, Refusal, Reply, SseEvent, in_stream,
};
use crate::provider::openai::{input_of, tool_started};

/// Reasons of an answer that ran into a limit of tokens: the request's, or the model's window.
const CUT: [&str; 2] = ["max_tokens", "model_context_window_exceeded"];

/// The state of one answer.
#[derive(Debug)]
pub(super) struct MessageReply {
    asked: Asked,
    meter: Meter,
    counted: Option<Counted>,
    /// Tool calls whose input still comes, by the index of their block.
    calls: BTreeMap<u64, Call>,
    n_calls: usize,
    n_input_bytes: usize,
    is_cut: bool,
}

#[derive(Debug)]
struct Call {
    id: String,
    name: String,
    input: String,
}

impl MessageReply {
    pub(super) fn new(asked: Asked, meter: Meter) -> MessageReply {
        MessageReply {
            asked,
            meter,
            counted: None,
            calls: BTreeMap::new(),
            n_calls: 0,
            n_input_bytes: 0,
            is_cut: false,
        }
    }

    fn event(&mut self, event: &Value, heard: &mut Heard) -> Result<Progress, ProviderError> {
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => self.count(&event["message"]["usage"]),
            "content_block_start" => self.block(index_of(event), &event["content_block"], heard)?,
            "content_block_delta" => self.delta(index_of(event), &event["delta"], heard)?,
            "content_block_stop" => self.end_call(index_of(event), heard),
            "message_delta" => {
                self.count(&event["usage"]);
                if let Some(reason) = event["delta"]["stop_reason"].as_str() {
                    return self.finish(reason, heard);
                }
            }
            "message_stop" => return Ok(Progress::Done),
            "error" => return Err(self.asked.refused(&Refusal::of_value(event), Phase::Stream)),
            // `ping`, and what is not invented yet: the API asks to pass over it.
            _ => {}
        }
        Ok(Progress::Going)
    }

    /// A block begins: its text is mostly empty, and whole in an answer that is not streamed.
    fn block(&mut self, index: u64, block: &Value, heard: &mut Heard) -> Result<(), ProviderError> {
        match block["type"].as_str().unwrap_or_default() {
            "text" => say(&block["text"], heard),
            "thinking" => think(&block["thinking"], heard),
            "tool_use" | "server_tool_use" | "mcp_tool_use" => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                self.n_calls += 1;
                let (mut id, name) = (text(&block["id"]), text(&block["name"]));
                if id.is_empty() {
                    id = format!("call_{index}");
                }
                if self.n_calls > limits::PROVIDER_TOOL_CALLS_MAX {
                    return Err(in_stream(
                        ErrorCode::OutputTooLong,
                        "the model calls too many tools",
                    ));
                }
                heard.push_back(tool_started(&id, &name, None));
                let whole = block["input"].as_object().filter(|input| !input.is_empty());
                let input = whole.map(|_| block["input"].to_string()).unwrap_or_default();
                self.calls.insert(index, Call { id, name, input });
            }
            _ => {}
        }
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: &Value, heard: &mut Heard) -> Result<(), ProviderError> {
        match delta["type"].as_str().unwrap_or_default() {
            "text_delta" => say(&delta["text"], heard),
            "thinking_delta" => think(&delta["thinking"], heard),
            "input_json_delta" => {
                let piece = delta["partial_json"].as_str().unwrap_or_default();
                self.n_input_bytes += piece.len();
                if self.n_input_bytes > limits::PROVIDER_TOOL_INPUT_BYTES_MAX {
                    return Err(in_stream(
                        ErrorCode::OutputTooLong,
                        "the model's tool calls are longer than a message may be",
                    ));
                }
                if let Some(call) = self.calls.get_mut(&index) {
                    call.input.push_str(piece);
                }
            }
            // Signatures and citations are for the next request of who executes tools.
            _ => {}
        }
        Ok(())
    }

    fn end_call(&mut self, index: u64, heard: &mut Heard) {
        if let Some(call) = self.calls.remove(&index)
            && let Some(input) = input_of(&call.input)
        {
            heard.push_back(tool_started(&call.id, &call.name, Some(input)));
        }
    }

    /// The later count stands: it holds what the answer has come to.
    fn count(&mut self, usage: &Value) {
        if !usage.is_object() {
            return;
        }
        let number = |name: &str| usage[name].as_u64();
        let counted = self.counted.get_or_insert_default();
        let cached = number("cache_read_input_tokens");
        counted.cached_input = cached.unwrap_or(counted.cached_input);
        if let Some(fresh) = number("input_tokens") {
            let written = number("cache_creation_input_tokens").unwrap_or(0);
            counted.input = Some(fresh + written + counted.cached_input);
        }
        counted.output = number("output_tokens").or(counted.output);
    }

    fn finish(&mut self, reason: &str, heard: &mut Heard) -> Result<Progress, ProviderError> {
        for index in self.calls.keys().copied().collect::<Vec<_>>() {
            self.end_call(index, heard);
        }
        match reason {
            "refusal" => Err(in_stream(
                ErrorCode::ProviderRefused,
                format!("{} stopped the answer with its content filter", self.asked.place),
            )),
            _ => {
                self.is_cut = CUT.contains(&reason);
                Ok(Progress::Finished)
            }
        }
    }

    fn no_event(&self) -> ProviderError {
        let message = format!("{} sent an event that is no JSON object", self.asked.place);
        in_stream(ErrorCode::ProviderProtocol, message)
    }
}

impl Reply for MessageReply {
    fn take(&mut self, event: &SseEvent, heard: &mut Heard) -> Result<Progress, ProviderError> {
        if event.data.trim().is_empty() {
            return Ok(Progress::Going);
        }
        match serde_json::from_str::<Value>(&event.data) {
            Ok(data) if data.is_object() => self.event(&data, heard),
            _ => Err(self.no_event()),
        }
    }

    fn take_whole(&mut self, body: &[u8], heard: &mut Heard) -> Result<(), ProviderError> {
        let message: Value = serde_json::from_slice(body).map_err(|_| self.no_event())?;
        let Some(blocks) = message["content"].as_array() else {
            if message["error"].is_object() {
                return Err(self.asked.refused(&Refusal::of_value(&message), Phase::Stream));
            }
            let text = format!("{} answered with JSON without content", self.asked.place);
            return Err(in_stream(ErrorCode::ProviderProtocol, text));
        };
        self.count(&message["usage"]);
        for (index, block) in (0..).zip(blocks) {
            self.block(index, block, heard)?;
        }
        self.finish(message["stop_reason"].as_str().unwrap_or_default(), heard).map(|_| ())
    }

    fn last_words(&mut self, heard: &mut Heard) {
        heard.extend(self.counted.take().map(|counted| self.meter.event(counted)));
    }

    fn is_cut(&self) -> bool {
        self.is_cut
    }
}

fn index_of(event: &Value) -> u64 {
    event["index"].as_u64().unwrap_or_default()
}

fn say(text: &Value, heard: &mut Heard) {
    if let Some(text) = text.as_str().filter(|text| !text.is_empty()) {
        heard.push_back(Event::AssistantText(AssistantText { text: text.to_owned() }));
    }
}

fn think(thinking: &Value, heard: &mut Heard) {
    if let Some(text) = thinking.as_str().filter(|text| !text.is_empty()) {
        let thinking = text.to_owned();
        heard.push_back(Event::AssistantThinking(AssistantThinking { thinking }));
    }
}
