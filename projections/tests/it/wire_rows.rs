//! What a client that folds by itself must come to: `web/tests/golden/*.json`.
//!
//! A line is an event of a case's script: its envelope (null if it was erased, so that no reader
//! gets it) and the rows that are not what they were before it, as the server answers them; a row
//! that is gone is null. A test of the client folds the envelopes and compares after every line.
//!
//! After a change that is meant, `cargo test -p scrollback-projections -- --ignored bless` writes
//! the files anew.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::PathBuf;

use scrollback_projections::chat::{Chat, Chats};
use scrollback_projections::message::Messages;
use scrollback_projections::queue::{QueueItemView, Queues};
use scrollback_projections::request::{PendingRequestView, Requests};
use scrollback_projections::{MessageKey, Projection, Touch};
use scrollback_schema::wire::envelope_of;
use scrollback_schema::{Recorded, Seq};
use scrollback_test_support::rng::Rng;
use scrollback_test_support::script;
use serde::Serialize;

use crate::cases::{cases, halves};
use crate::fold::OfChat;

/// Seeds of the scripts that nobody wrote.
const SEEDS: std::ops::Range<u64> = 1..6;

/// A kind of row, the chat, and the message if it is about one.
type Place = (&'static str, String, String);

/// All rows at a seq, as JSON.
type Rows = BTreeMap<Place, String>;

/// The projections that a client folds by itself.
#[derive(Default)]
struct Folded {
    messages: HashMap<MessageKey, Option<<Messages as Projection>::Row>>,
    chats: HashMap<Seq, Option<Chat>>,
    queue: HashMap<Seq, Option<<Queues as Projection>::Row>>,
    requests: HashMap<Seq, Option<<Requests as Projection>::Row>>,
}

impl Folded {
    fn apply(&mut self, event: &Recorded) {
        apply::<Messages>(&mut self.messages, event);
        apply::<Chats>(&mut self.chats, event);
        apply::<Queues>(&mut self.queue, event);
        apply::<Requests>(&mut self.requests, event);
    }

    fn rows(&self, chat_ids: &HashMap<Seq, String>) -> Rows {
        let mut out = Rows::new();
        for (key, message) in &self.messages {
            let Some(message) = message else { continue };
            let place = ("messages", chat_ids[&key.chat].clone(), key.message.to_string());
            out.insert(place, json(&message.view()));
        }
        let mut put = |what, chat: &Seq, row: String| {
            out.insert((what, chat_ids[chat].clone(), String::new()), row);
        };
        for (chat, row) in &self.chats {
            row.iter().for_each(|row| put("chats", chat, json(&row.view())));
        }
        for (chat, row) in &self.queue {
            let Some(row) = row else { continue };
            put("queue", chat, json(&row.items.iter().map(QueueItemView).collect::<Vec<_>>()));
        }
        for (chat, row) in &self.requests {
            let Some(row) = row else { continue };
            put(
                "requests",
                chat,
                json(&row.items.iter().map(PendingRequestView).collect::<Vec<_>>()),
            );
        }
        out
    }
}

/// An event that cannot be applied changes nothing.
fn apply<P: Projection>(rows: &mut HashMap<P::Key, Option<P::Row>>, event: &Recorded)
where
    P::Key: OfChat,
{
    match P::touches(event) {
        Touch::Nothing => {}
        Touch::Row(key) => _ = P::apply(rows.entry(key).or_default(), event),
        Touch::Chat => rows.retain(|key, _| key.chat() != event.chat.created),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// The file of a script.
fn golden(script: &str) -> String {
    let script = script::parse(script).unwrap_or_else(|error| panic!("{error}"));
    let events = script.recorded();
    let chat_ids = events.iter().map(|e| (e.chat.created, e.chat.id.to_string())).collect();
    let (mut folded, mut before, mut lines) = (Folded::default(), Rows::new(), Vec::new());
    for event in &events {
        folded.apply(event);
        let rows = folded.rows(&chat_ids);
        let envelope = envelope_of(event).unwrap_or_else(|| "null".to_owned());
        let changed = changed(&before, &rows);
        lines.push(format!("{{\"seq\":{},\"envelope\":{envelope}{changed}}}", event.seq));
        before = rows;
    }
    format!("[\n{}\n]\n", lines.join(",\n"))
}

/// What differs, as the last fields of an object.
fn changed(before: &Rows, after: &Rows) -> String {
    let gone = before.keys().filter(|place| !after.contains_key(*place));
    let gone = gone.map(|place| (place, "null"));
    let new = after.iter().filter(|(place, row)| before.get(*place) != Some(*row));
    let new = new.map(|(place, row)| (place, row.as_str()));
    let mut by_kind: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for ((kind, chat, id), row) in gone.chain(new) {
        let entry = format!("{{\"chat\":{},\"id\":{},\"row\":{row}}}", json(chat), json(id));
        by_kind.entry(kind).or_default().push(entry);
    }
    let mut out = String::new();
    for (kind, entries) in by_kind {
        write!(out, ",\"{kind}\":[{}]", entries.join(",")).unwrap();
    }
    out
}

/// A script of turns in which everything comes in pieces that nobody would choose.
fn random_script(seed: u64) -> String {
    const TEXTS: &[&str] = &[
        "<prompt_suggestions>",
        "</prompt_suggestions>",
        "<prompt_",
        "suggestions>",
        "<",
        "</",
        "[\\\"a\\\"]",
        "[\\\"b\\\",\\\"c\\\"]",
        "[1]",
        "[\\\"\\\\ud800\\\"]",
        "é",
        "some words ",
        "<<prompt_suggestions>",
        "\u{1f33f}",
        "",
        "</prompt_suggestions",
    ];
    const OTHERS: &[&str] = &[
        "think \"hm <prompt_suggestions>\"",
        "think \"so\"",
        "think \"\"",
        "tool a grep running",
        "tool a grep completed {\"result\":[1,2]}",
        "tool_failed {\"tool\":{\"id\":\"b\",\"name\":\"\",\"error\":\"no\"}}",
        "tool b sed running {\"title\":\"Edit\",\"input\":{\"x\":1}}",
        "suggest [\"x\"]",
        "suggest []",
        "plan [{\"content\":\"p\",\"status\":\"pending\",\"priority\":\"low\"}]",
        "plan []",
        "usage {\"input_tokens\":10,\"cost_usd\":0.1}",
        "usage {\"output_tokens\":7,\"cost_usd\":0.2}",
        "usage {\"context_window\":100,\"input_tokens\":60}",
        "chat_viewed {}",
        "permission_request {\"request_id\":\"p\",\"options\":[]}",
        "elicitation_request {\"request_id\":\"e\",\"message\":\"?\"}",
        "permission_resolved {\"request_id\":\"p\",\"outcome\":\"denied\"}",
        "chat_updated {\"title\":\"T\"}",
        "chat_updated {\"title\":null,\"metadata\":{\"a\":1}}",
        "queue q1 \"later\"",
        "queue_removed {\"queued_message_id\":\"q1\"}",
        "queue_edited {\"queued_message_id\":\"q1\",\"model\":\"m\"}",
        "queue_send_now {\"queued_message_id\":\"q1\"}",
        "custom {\"name\":\"n\"}",
    ];
    const ENDS: &[&str] =
        &["complete 5", "cancel user 6", "fail provider_timeout \"late\"", "cancel shutdown"];
    let mut rng = Rng::new(seed);
    let mut out = String::from("chat c1\n");
    for turn in 0..6 {
        writeln!(out, "user u{turn} \"go\"\nstart t{turn} m{turn}").unwrap();
        for _ in 0..rng.between(1, 25) {
            if rng.one_in(4) {
                writeln!(out, "{}", rng.pick(OTHERS)).unwrap();
            } else {
                let text: String = (0..rng.between(1, 4)).map(|_| *rng.pick(TEXTS)).collect();
                writeln!(out, "text \"{text}\"").unwrap();
            }
        }
        writeln!(out, "{}", rng.pick(ENDS)).unwrap();
    }
    out
}

/// Every file by its path.
fn files() -> BTreeMap<PathBuf, String> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../web/tests/golden");
    let mut out = BTreeMap::new();
    for (path, case) in cases() {
        let (input, _) = halves(&case);
        let (_, script) = input.split_once('\n').unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        out.insert(dir.join(format!("{name}.json")), golden(script));
    }
    for seed in SEEDS {
        out.insert(dir.join(format!("random_{seed}.json")), golden(&random_script(seed)));
    }
    out
}

#[test]
fn the_client_is_held_to_these_rows() {
    for (path, expected) in files() {
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        let differs = expected.lines().zip(found.lines()).find(|(wanted, got)| wanted != got);
        let name = path.file_name().unwrap().display();
        assert!(found == expected, "{name} is not what the folds give: {differs:?}");
    }
}

#[test]
#[ignore = "writes what the folds give into the client's golden files"]
fn bless() {
    let files = files();
    let dir = files.keys().next().and_then(|path| path.parent()).unwrap();
    for stale in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if stale.extension().is_some_and(|e| e == "json") {
            std::fs::remove_file(stale).unwrap();
        }
    }
    for (path, text) in &files {
        std::fs::write(path, text).unwrap();
    }
}
