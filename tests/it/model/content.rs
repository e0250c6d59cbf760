//! Draws what people, models and agents say.

use scrollback_test_support::rng::Rng;
use serde_json::{Value, json};

/// Words that a search finds whole.
pub(super) const WORDS: &[&str] = &[
    "amber", "basil", "cedar", "delta", "ember", "fjord", "grain", "heron", "ivory", "jumbo",
    "koala", "lemon", "maple", "nylon", "ocean", "piano", "quail", "raven", "sugar", "tulip",
];

/// Pieces that a text may be cut at: some are parts of a tag.
const PIECES: &[&str] = &[
    "<prompt_suggestions>[\"and\"]</prompt_suggestions>",
    "<prompt_suggestions>",
    "[\"why\",\"how\"]",
    "</prompt_suggestions>",
    "<prompt_",
    "<",
    "é",
    "\n",
];

/// Some words with spaces between them.
pub(super) fn words(rng: &mut Rng, n_max: usize) -> String {
    let n = rng.between(1, n_max);
    (0..n).map(|_| *rng.pick(WORDS)).collect::<Vec<_>>().join(" ")
}

pub(super) fn files(rng: &mut Rng) -> Value {
    let size = rng.below(9_999);
    json!([{
        "id": "a1", "name": "notes.txt", "media_type": "text/plain",
        "url": "https://files.example/a1", "size_bytes": size,
    }])
}

/// A piece of an answer.
fn text(rng: &mut Rng) -> String {
    match rng.one_in(3) {
        true => (*rng.pick(PIECES)).to_owned(),
        false => format!("{} ", words(rng, 3)),
    }
}

/// One thing that is said within a turn.
pub(super) fn said(rng: &mut Rng) -> (&'static str, Value) {
    match rng.below(20) {
        0..8 => ("assistant_text", json!({ "text": text(rng) })),
        8..10 => ("assistant_thinking", json!({ "thinking": text(rng) })),
        10..15 => tool(rng),
        15 => {
            let entry = |content: String| {
                let (status, priority) = ("pending", "low");
                json!({ "content": content, "status": status, "priority": priority })
            };
            let entries: Vec<Value> = (0..rng.below(3)).map(|_| entry(words(rng, 2))).collect();
            ("plan", json!({ "entries": entries }))
        }
        16 => {
            let offered: Vec<String> = (0..rng.below(3)).map(|_| words(rng, 2)).collect();
            ("prompt_suggestions", json!({ "suggestions": offered }))
        }
        17 | 18 => usage(rng),
        19 if rng.one_in(2) => ("session", json!({ "session_id": words(rng, 1) })),
        _ => ("custom", json!({ "name": "note", "data": { "n": rng.below(9) } })),
    }
}

fn tool(rng: &mut Rng) -> (&'static str, Value) {
    let mut tool = json!({ "id": format!("call{}", rng.below(3)), "name": *rng.pick(WORDS) });
    if rng.one_in(2) {
        tool["title"] = json!(words(rng, 2));
    }
    if rng.one_in(2) {
        tool["input"] = json!({ "path": words(rng, 1) });
    }
    let kind = *rng.pick(&["tool_started", "tool_started", "tool_completed", "tool_failed"]);
    if kind == "tool_completed" {
        tool["result"] = json!([words(rng, 1)]);
    } else if kind == "tool_failed" {
        tool["error"] = json!(words(rng, 2));
    }
    (kind, json!({ "tool": tool }))
}

fn usage(rng: &mut Rng) -> (&'static str, Value) {
    let mut usage = json!({ "input_tokens": rng.below(500) });
    if rng.one_in(2) {
        usage["output_tokens"] = json!(rng.below(500));
    }
    if rng.one_in(2) {
        usage["context_window"] = json!(1_024);
    }
    if rng.one_in(2) {
        usage["cost_usd"] = json!(rng.below(8) as f64 * 0.25);
    }
    ("usage", usage)
}

/// An approval or a question.
pub(super) fn request(rng: &mut Rng, id: &str) -> (&'static str, Value) {
    if rng.one_in(2) {
        let message = words(rng, 3);
        return ("elicitation_request", json!({ "request_id": id, "message": message }));
    }
    let option = |id: &str| json!({ "option_id": id, "name": id, "kind": "allow_once" });
    let mut asked = json!({ "request_id": id, "options": [option("yes"), option("no")] });
    if rng.one_in(2) {
        asked["tool"] = json!({ "id": "call0", "name": "write" });
    }
    ("permission_request", asked)
}

/// How a producer outside ends its turn.
pub(super) fn terminal(rng: &mut Rng) -> (&'static str, Value) {
    match rng.below(4) {
        0 => ("cancelled", json!({ "reason": "user" })),
        1 => {
            let message = words(rng, 3);
            let failure = json!({
                "code": "provider_timeout", "message": message, "phase": "stream",
                "retryable": true,
            });
            ("error", failure)
        }
        2 => ("complete", json!({ "duration_ms": rng.between(1, 500) })),
        _ => ("complete", json!({})),
    }
}
