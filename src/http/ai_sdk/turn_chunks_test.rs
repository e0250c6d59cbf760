//! Turns as chunks: a script in, a line a chunk out; and that every reader ends with one message.
//!
//! The reader of the second half is a model of what the SDK makes of chunks; the SDK itself is
//! tested in `tests/ai-sdk`.

use scrollback_projections::Projection;
use scrollback_projections::message::{Message, Messages};
use scrollback_projections::request::{PendingRequest, PendingRequests, Requests};
use scrollback_schema::Recorded;
use scrollback_test_support::script;
use serde_json::{Value, json};

use super::chunk::Chunks;
use super::turn_chunks::TurnChunks;
use super::ui_message::UiMessage;

/// The last message of a script after so many of its events, and the requests that wait in it.
fn folded(events: &[Recorded]) -> (Message, Vec<PendingRequest>) {
    let (mut row, mut pending): (Option<Message>, Option<PendingRequests>) = (None, None);
    let message = events.iter().rev().find_map(|event| Some(event.turn.as_ref()?.message.clone()));
    for event in events.iter().filter(|event| event.message == message) {
        Messages::apply(&mut row, event).unwrap();
        Requests::apply(&mut pending, event).unwrap();
    }
    (row.unwrap(), pending.map(|pending| pending.items).unwrap_or_default())
}

/// What a reader is sent who comes after `n` events of a script, an array for each step.
fn sent(events: &[Recorded], n: usize) -> Vec<Vec<Value>> {
    let values = |out: &Chunks| {
        let mut bytes = Vec::new();
        out.write(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let frames =
            text.split_terminator("\n\n").map(|frame| frame.strip_prefix("data: ").unwrap());
        frames.map(|data| serde_json::from_str(data).unwrap()).collect()
    };
    let (message, requests) = folded(&events[..n]);
    let mut out = Chunks::default();
    let mut chunks = TurnChunks::of(&message, requests, &mut out);
    let mut all = vec![values(&out)];
    for event in &events[n..] {
        let mut out = Chunks::default();
        chunks.event(event, &mut out);
        all.push(values(&out));
    }
    assert_eq!(chunks.is_over(), message_ended(events), "{events:?}");
    all
}

fn message_ended(events: &[Recorded]) -> bool {
    events.last().and_then(Recorded::kind).is_some_and(|kind| kind.is_terminal())
}

/// A chunk as a line: its type, its id, and what of it says most.
fn line(chunk: &Value) -> String {
    let text = |name: &str| match &chunk[name] {
        Value::Null => String::new(),
        Value::String(text) => format!(" {text:?}"),
        other => format!(" {other}"),
    };
    let id = chunk["id"].as_str().or(chunk["toolCallId"].as_str()).or(chunk["messageId"].as_str());
    let id = id.map(|id| format!(" {id}")).unwrap_or_default();
    let name = chunk["toolName"].as_str().map(|name| format!(" {name}")).unwrap_or_default();
    let data = match chunk["type"].as_str().unwrap() {
        "data-request" => format!(" {}{}", text("data").len().min(1), outcome(&chunk["data"])),
        _ => text("data"),
    };
    let said =
        ["delta", "input", "output", "errorText", "reason", "finishReason"].map(text).concat();
    format!("{}{id}{name}{data}{said}", chunk["type"].as_str().unwrap())
}

fn outcome(data: &Value) -> String {
    data["outcome"].as_str().map_or("waits".to_owned(), ToOwned::to_owned)
}

/// A script of one turn, how many of its events are there when the reader comes, and the lines.
fn check(text: &str, n: usize, expected: &[&str]) {
    let events = script::parse(text).unwrap().recorded();
    let lines: Vec<String> = sent(&events, n)
        .concat()
        .iter()
        .map(line)
        .filter(|line| line != "message-metadata")
        .collect();
    assert_eq!(lines, expected, "{text}");
}

const TALK: &str = r#"chat c1
start t1 m1
think "Let "
think "me."
text "Hel"
text "lo "
text "you"
complete 12"#;

#[test]
fn a_turn_is_told_as_it_goes() {
    check(
        TALK,
        2,
        &[
            "start m1",
            "reasoning-start 1",
            "reasoning-delta 1 \"Let \"",
            "reasoning-delta 1 \"me.\"",
            "reasoning-end 1",
            "text-start 2",
            "text-delta 2 \"Hel\"",
            "text-delta 2 \"lo \"",
            "text-delta 2 \"you\"",
            "text-end 2",
            "finish \"stop\"",
        ],
    );
}

#[test]
fn who_comes_late_gets_one_chunk_a_part_and_then_the_rest() {
    check(
        TALK,
        6,
        &[
            "start m1",
            "reasoning-start 1",
            "reasoning-delta 1 \"Let me.\"",
            "reasoning-end 1",
            "text-start 2",
            "text-delta 2 \"Hello \"",
            "text-delta 2 \"you\"",
            "text-end 2",
            "finish \"stop\"",
        ],
    );
}

#[test]
fn a_failure_comes_after_what_was_said_live_and_later() {
    let text = "chat c1\nstart t1 m1\ntext \"Half\"\ntool a f running {\"input\":1}\n\
                fail provider_transport \"it broke\"";
    let expected = [
        "start m1",
        "text-start 1",
        "text-delta 1 \"Half\"",
        "text-end 1",
        "tool-input-available a f 1",
        "tool-output-error a \"it broke\"",
        "error \"it broke\"",
    ];
    check(text, 2, &expected);
    check(text, 5, &expected);
}

#[test]
fn an_interruption_is_an_abort() {
    let text = "chat c1\nstart t1 m1\ntext \"Half\"\ncancel user 9";
    let expected =
        ["start m1", "text-start 1", "text-delta 1 \"Half\"", "text-end 1", "abort \"user\""];
    check(text, 2, &expected);
    check(text, 4, &expected);
}

#[test]
fn tools_begin_change_and_end() {
    check(
        "chat c1\nstart t1 m1\ntool a read running\ntool a read running {\"input\":{\"n\":1.50}}\n\
         tool b ls running {\"input\":{}}\ntool a read running {\"title\":\"x\"}\n\
         tool b ls failed {\"error\":\"no\"}\ntool a read completed {\"result\":[1]}\n\
         tool c bash running {\"result\":1}\ncomplete",
        2,
        &[
            "start m1",
            "tool-input-start a read",
            "tool-input-available a read {\"n\":1.5}",
            "tool-input-available b ls {}",
            "tool-output-error b \"no\"",
            "tool-output-available a [1]",
            "tool-input-start c bash",
            "tool-output-available c 1",
            "finish \"stop\"",
        ],
    );
}

#[test]
fn a_tag_is_never_told_and_its_suggestions_come_last() {
    let text = "chat c1\nstart t1 m1\ntext \"Hi <prompt_sugg\"\n\
                text \"estions>[\\\"a\\\"]</prompt_suggestions>\"\ntext \" there <b\"\ncomplete";
    let rest =
        ["text-end 1", "data-suggestions suggestions {\"suggestions\":[\"a\"]}", "finish \"stop\""];
    let live = ["start m1", "text-start 1", "text-delta 1 \"Hi \"", "text-delta 1 \" there <b\""];
    check(text, 2, &[live.as_slice(), &rest].concat());
    check(text, 3, &[live.as_slice(), &rest].concat());
    let whole = ["start m1", "text-start 1", "text-delta 1 \"Hi  there <b\""];
    check(text, 6, &[whole.as_slice(), &rest].concat());
}

#[test]
fn a_request_waits_and_is_answered_in_its_place() {
    let text = "chat c1\nstart t1 m1\npermission_request {\"request_id\":\"r1\",\"options\":[]}\n\
                elicitation_request {\"request_id\":\"r2\",\"message\":\"?\",\"schema\":{}}\n\
                permission_resolved {\"request_id\":\"r1\",\"outcome\":\"denied\"}\ncomplete";
    check(
        text,
        2,
        &[
            "start m1",
            "data-request r1 1waits",
            "data-request r2 1waits",
            "data-request r1 1denied",
            "data-request r2 1dismissed",
            "finish \"stop\"",
        ],
    );
    check(text, 6, &["start m1", "finish \"stop\""]);
}

/// What the SDK makes of chunks, but for what it notes on the way.
#[derive(Default)]
struct Client {
    parts: Vec<Value>,
    open: std::collections::HashMap<String, usize>,
    metadata: serde_json::Map<String, Value>,
}

impl Client {
    fn read(&mut self, chunk: &Value) {
        let id = |name: &str| chunk[name].as_str().unwrap_or_default().to_owned();
        let kind = chunk["type"].as_str().unwrap();
        if let Some(metadata) = chunk["messageMetadata"].as_object() {
            self.metadata.extend(metadata.clone());
        }
        match kind {
            "text-start" | "reasoning-start" => {
                self.open.insert(id("id"), self.parts.len());
                let kind = kind.strip_suffix("-start").unwrap();
                self.parts.push(json!({ "type": kind, "text": "", "state": "streaming" }));
            }
            "text-delta" | "reasoning-delta" => {
                let part = &mut self.parts[self.open[&id("id")]];
                part["text"] = format!("{}{}", part["text"].as_str().unwrap(), id("delta")).into();
            }
            "text-end" | "reasoning-end" => {
                let at = self.open.remove(&id("id")).expect("it is open");
                self.parts[at]["state"] = "done".into();
            }
            "tool-input-start" | "tool-input-available" => {
                let new = json!({ "type": "dynamic-tool", "toolCallId": chunk["toolCallId"] });
                let part = self.tool(&id("toolCallId"), Some(new));
                part["toolName"] = chunk["toolName"].clone();
                part["providerExecuted"] = true.into();
                part["input"] = chunk["input"].clone();
                part["state"] = "input-available".into();
                let title = chunk["title"].clone();
                part["title"] = if title.is_null() { part["title"].clone() } else { title };
                part["output"] = Value::Null;
                part["errorText"] = Value::Null;
            }
            "tool-output-available" | "tool-output-error" => {
                let part = self.tool(&id("toolCallId"), None);
                part["state"] = kind.strip_prefix("tool-").unwrap().into();
                part["output"] = chunk["output"].clone();
                part["errorText"] = chunk["errorText"].clone();
            }
            "data-plan" | "data-suggestions" | "data-request" => {
                match self.parts.iter_mut().find(|p| p["type"] == kind && p["id"] == chunk["id"]) {
                    Some(part) => part["data"] = chunk["data"].clone(),
                    None => self.parts.push(chunk.clone()),
                }
            }
            _ => {}
        }
    }

    fn tool(&mut self, id: &str, new: Option<Value>) -> &mut Value {
        let found = self.parts.iter().position(|part| part["toolCallId"] == id);
        let at = found.unwrap_or_else(|| {
            self.parts.push(new.expect("a tool call begins before it ends"));
            self.parts.len() - 1
        });
        &mut self.parts[at]
    }
}

/// A part in a form that does not know who came when: requests are left out once they are over.
fn plain(parts: &[Value]) -> Vec<Value> {
    let mut plain = Vec::new();
    for part in parts {
        let mut part = part.as_object().unwrap().clone();
        if part["type"] == "data-request" && part["data"].get("outcome").is_some() {
            continue;
        }
        // A title is one of the fields that version 5 does not know.
        part.retain(|name, value| !value.is_null() && name != "title");
        plain.push(Value::Object(part));
    }
    plain
}

const TAGS: &str = r#"chat c1
start t1 m1
text "a<prompt_sug"
text "gestions>[\"x\"]</prompt_suggestions>"
text "b<prompt_suggestions>"
think "hm"
text "<"
cancel restart 1"#;

const PARTS: &str = r#"chat c1
start t1 m1
text "<prompt_suggestions>[]</prompt_suggestions>"
text "b"
tool a f running {"input":1,"title":"T"}
text "c"
tool a f completed {"result":2}
text "d"
plan [{"content":"x","status":"pending","priority":"high"}]
text "e"
plan [{"content":"x","status":"completed","priority":"high"}]
text "f"
suggest ["g"]
usage {"input_tokens":5,"cost_usd":0.5}
complete 5"#;

const OPEN_ENDS: &str = r#"chat c1
start t1 m1
tool a f running
tool b f running {"input":{"x":[1]},"result":3}
permission_request {"request_id":"r1","options":[]}
think "ok"
permission_resolved {"request_id":"r1","outcome":"denied"}
elicitation_request {"request_id":"r2","message":"?","schema":{}}
tool a f failed {"error":""}
fail internal "oh" {"duration_ms":3}"#;

#[test]
fn every_reader_ends_with_the_message_that_is_loaded() {
    for text in [TALK, TAGS, PARTS, OPEN_ENDS] {
        let events = script::parse(text).unwrap().recorded();
        for n in 2..=events.len() {
            let steps = sent(&events, n);
            let mut client = Client::default();
            steps.iter().flatten().for_each(|chunk| client.read(chunk));
            let (message, requests) = folded(&events);
            let loaded = serde_json::to_value(UiMessage::of(&message, &requests)).unwrap();
            let parts = plain(loaded["parts"].as_array().unwrap());
            assert_eq!(plain(&client.parts), parts, "{text}\nfrom {n}");
            let metadata = Value::Object(client.metadata);
            assert_eq!(metadata, loaded["metadata"], "{text}\nfrom {n}");
        }
    }
}
