//! Tool calls out of the pieces in which endpoints send them.
//!
//! A call begins with its name and ends with the answer. Its arguments come as text in any number
//! of pieces; what ties a piece to its call is the index, the id, or nothing but the order:
//!
//! - a known id continues its call, unless it has a name and another index: some servers give all
//!   calls one id;
//! - a new id with a name begins a call, even at an index that is taken (Gemini counts all as 0);
//! - a piece without a name continues the call at its index, or the last one without an index,
//!   whatever its id (vLLM has made up a new one for each piece);
//! - a name without an id begins a call, unless the call at its index has the same name.

use scrollback_schema::event::{JsonText, ToolEvent};
use scrollback_schema::{ErrorCode, Event, limits};
use serde_json::Value;

use crate::provider::ProviderError;
use crate::provider::endpoint::{Heard, in_stream};

/// The calls of one answer.
#[derive(Debug, Default)]
pub(super) struct ToolCalls {
    calls: Vec<Call>,
    n_input_bytes: usize,
}

#[derive(Debug)]
struct Call {
    index: Option<u64>,
    /// The id as the endpoint has it; empty if it gave none.
    given_id: String,
    id: String,
    name: String,
    input: String,
    is_whole: bool,
}

impl ToolCalls {
    /// Takes a piece, and says that a call has begun.
    pub(super) fn take(&mut self, piece: &Value, heard: &mut Heard) -> Result<(), ProviderError> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let function = if piece["function"].is_object() { &piece["function"] } else { piece };
        let (id, name) = (text(&piece["id"]), text(&function["name"]));
        let index = piece["index"].as_u64();
        let at = match self.find(index, &id, &name) {
            Some(at) => at,
            // Arguments of nothing: there is no call that they could belong to.
            None if name.is_empty() => return Ok(()),
            None => self.begin(index, id, name, heard)?,
        };
        let more = match &function["arguments"] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            json => json.to_string(),
        };
        self.n_input_bytes += more.len();
        if self.n_input_bytes > limits::PROVIDER_TOOL_INPUT_BYTES_MAX {
            return Err(in_stream(
                ErrorCode::OutputTooLong,
                "the model's tool calls are longer than a message may be",
            ));
        }
        self.calls[at].input.push_str(&more);
        Ok(())
    }

    fn find(&self, index: Option<u64>, id: &str, name: &str) -> Option<usize> {
        let rfind = |is_it: &dyn Fn(&Call) -> bool| self.calls.iter().rposition(is_it);
        let may_be = |call: &Call| name.is_empty() || index.is_none() || call.index == index;
        if !id.is_empty()
            && let Some(at) = rfind(&|call| call.given_id == id && may_be(call))
        {
            return Some(at);
        }
        match (index, name.is_empty()) {
            (Some(_), true) => rfind(&|call| call.index == index),
            (None, true) => self.calls.len().checked_sub(1),
            (Some(_), false) if id.is_empty() => {
                let at = rfind(&|call| call.index == index)?;
                (self.calls[at].name == name).then_some(at)
            }
            (_, false) => None,
        }
    }

    fn begin(
        &mut self,
        index: Option<u64>,
        given_id: String,
        name: String,
        heard: &mut Heard,
    ) -> Result<usize, ProviderError> {
        let at = self.calls.len();
        if at == limits::PROVIDER_TOOL_CALLS_MAX {
            return Err(in_stream(ErrorCode::OutputTooLong, "the model calls too many tools"));
        }
        // Readers tell calls apart by their ids alone.
        let mut id = if given_id.is_empty() { format!("call_{at}") } else { given_id.clone() };
        if self.calls.iter().any(|call| call.id == id) {
            id = format!("{id}_{at}");
        }
        heard.push_back(tool_started(&id, &name, None));
        let input = String::new();
        self.calls.push(Call { index, given_id, id, name, input, is_whole: false });
        Ok(at)
    }

    /// Says what each call was given, once.
    pub(super) fn end(&mut self, heard: &mut Heard) {
        for call in self.calls.iter_mut().filter(|call| !call.is_whole) {
            call.is_whole = true;
            let input = std::mem::take(&mut call.input);
            if let Some(input) = input_of(&input) {
                heard.push_back(tool_started(&call.id, &call.name, Some(input)));
            }
        }
    }
}

/// The event for a call that began, or whose input is known now.
pub(in crate::provider) fn tool_started(id: &str, name: &str, input: Option<JsonText>) -> Event {
    let (id, name) = (id.to_owned(), name.to_owned());
    Event::ToolStarted(ToolEvent { id, name, input, ..ToolEvent::default() })
}

/// A model may write arguments that are no JSON: they are kept as a text then.
pub(in crate::provider) fn input_of(text: &str) -> Option<JsonText> {
    if text.trim().is_empty() {
        return None;
    }
    let as_text = || Value::String(text.to_owned()).to_string();
    JsonText::parse(text).or_else(|_| JsonText::parse(&as_text())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The calls of pieces, as `id name input`.
    #[track_caller]
    fn check(pieces: &str, expected: &[&str]) {
        let (mut calls, mut heard) = (ToolCalls::default(), Heard::new());
        for piece in pieces.lines() {
            calls.take(&serde_json::from_str(piece).unwrap(), &mut heard).unwrap();
        }
        let begun = heard.len();
        calls.end(&mut heard);
        calls.end(&mut heard);
        let said = heard.iter().map(|event| {
            let Event::ToolStarted(tool) = event else { panic!("{event:?}") };
            let input = tool.input.as_ref().map_or("-", JsonText::as_str);
            format!("{} {} {input}", tool.id, tool.name)
        });
        assert_eq!(said.collect::<Vec<_>>(), expected);
        assert!(
            heard
                .iter()
                .take(begun)
                .all(|event| { matches!(event, Event::ToolStarted(tool) if tool.input.is_none()) })
        );
    }

    #[test]
    fn a_call_comes_whole_or_in_pieces() {
        check(
            r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\": 1}"}}"#,
            &["a f -", r#"a f {"x":1}"#],
        );
        check(
            r#"{"index":0,"id":"a","function":{"name":"f","arguments":""}}
{"index":1,"id":"b","function":{"name":"g","arguments":"{\"y"}}
{"index":0,"function":{"arguments":"{\"x\":"}}
{"index":1,"function":{"arguments":"\":2}"}}
{"index":0,"id":"","function":{"name":"","arguments":"1}"}}"#,
            &["a f -", "b g -", r#"a f {"x":1}"#, r#"b g {"y":2}"#],
        );
    }

    #[test]
    fn providers_number_and_name_their_pieces_as_they_like() {
        // All at index 0, told apart by their ids.
        check(
            r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}
{"index":0,"id":"b","function":{"name":"f","arguments":"[]"}}"#,
            &["a f -", "b f -", "a f {}", "b f []"],
        );
        // No index and no id; arguments as an object.
        check(
            r#"{"function":{"name":"f","arguments":{"x":1}}}
{"function":{"name":"f","arguments":null}}"#,
            &["call_0 f -", "call_1 f -", r#"call_0 f {"x":1}"#],
        );
        // One id for all, told apart by their indices.
        check(
            r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}
{"index":1,"id":"a","function":{"name":"f","arguments":"[]"}}"#,
            &["a f -", "a_1 f -", "a f {}", "a_1 f []"],
        );
        // Told apart by their ids alone, in turns.
        check(
            r#"{"id":"a","function":{"name":"f","arguments":"{"}}
{"id":"b","function":{"name":"g","arguments":"["}}
{"id":"a","function":{"arguments":"}"}}
{"id":"b","function":{"name":"g","arguments":"]"}}"#,
            &["a f -", "b g -", "a f {}", "b g []"],
        );
        // A fresh id and no name in each piece.
        check(
            r#"{"index":0,"id":"a","function":{"name":"f","arguments":""}}
{"index":0,"id":"b","function":{"name":null,"arguments":"{}"}}"#,
            &["a f -", "a f {}"],
        );
        // The name again and again, the id never.
        check(
            r#"{"index":3,"function":{"name":"f","arguments":"{"}}
{"index":3,"function":{"name":"f","arguments":"}"}}"#,
            &["call_0 f -", "call_0 f {}"],
        );
    }

    #[test]
    fn arguments_that_are_no_json_are_kept_as_text() {
        check(
            r#"{"function":{"name":"","arguments":"lost"}}
{"id":"a","function":{"name":"f","arguments":"{\"x\": "}}"#,
            &["a f -", r#"a f "{\"x\": ""#],
        );
    }

    #[test]
    fn arguments_and_calls_are_bounded() {
        let (mut calls, mut heard) = (ToolCalls::default(), Heard::new());
        let piece = |arguments: String| {
            let function = serde_json::json!({ "name": "f", "arguments": arguments });
            serde_json::json!({ "id": "a", "function": function })
        };
        let half = "x".repeat(limits::PROVIDER_TOOL_INPUT_BYTES_MAX / 2);
        calls.take(&piece(half.clone()), &mut heard).unwrap();
        calls.take(&piece(half), &mut heard).unwrap();
        let error = calls.take(&piece("x".to_owned()), &mut heard).unwrap_err();
        assert_eq!(error.code, ErrorCode::OutputTooLong);

        let mut calls = ToolCalls::default();
        let call = serde_json::json!({ "function": { "name": "f" } });
        let outcomes: Vec<bool> = (0..=limits::PROVIDER_TOOL_CALLS_MAX)
            .map(|_| calls.take(&call, &mut heard).is_ok())
            .collect();
        assert_eq!(outcomes.iter().filter(|ok| **ok).count(), limits::PROVIDER_TOOL_CALLS_MAX);
    }
}
