//! What a newer program stores, as this one meets it: it is carried and shown, or the whole file is
//! refused with a sentence, and nothing in between.

use std::path::Path;

use rusqlite::Connection;
use scrollback_test_support::client::Client;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use serde_json::json;

use super::well;
use crate::cli::program::{PROGRAM, run};
use crate::fixture::{assert_whole, temp_dir};

/// Lines of a newer program's export, told as this one exports what it does not know: a kind that
/// it has no name for, a newer version of text, and text in a newer format.
const NEWER: [&str; 3] = [
    r#""payload":{"kind":9999,"version":1,"data":"0102aabb"}"#,
    r#""payload":{"kind":21,"version":2,"data":"01024f4b2a"}"#,
    r#""payload":{"kind":21,"version":1,"data":"07deadbeef"}"#,
];

/// A log that has them, in a turn between two texts that this program knows.
fn log_of_a_newer_program() -> TempDir {
    let dir = temp_dir("compat-newer");
    let at = r#""at":"2026-11-22T20:52:00.123Z""#;
    let chat = r#"{"chatId":"c1","messageId":null,"streamId":null"#;
    let turn = r#"{"chatId":"c1","messageId":"m1","streamId":"t1""#;
    let started = r#""payload":{"provider":"external","origin":"external"}"#;
    let mut lines = vec![
        format!(r#"{chat},"seq":1,{at},"kind":"chat_created","payload":{{}}}}"#),
        format!(r#"{turn},"seq":2,{at},"kind":"stream_started",{started}}}"#),
        format!(r#"{turn},"seq":3,{at},"kind":"assistant_text","payload":{{"text":"known "}}}}"#),
    ];
    for (seq, payload) in (4..).zip(NEWER) {
        lines.push(format!(r#"{turn},"seq":{seq},{at},"kind":"unknown",{payload}}}"#));
    }
    lines.push(format!(
        r#"{turn},"seq":7,{at},"kind":"assistant_text","payload":{{"text":"to the end"}}}}"#
    ));
    lines.push(format!(
        r#"{turn},"seq":8,{at},"kind":"complete","payload":{{"status":"completed","duration_ms":5}}}}"#
    ));
    let file = dir.join("newer.ndjson");
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    well(&dir.join("data"), &["import", file.to_str().unwrap()]);
    dir
}

#[test]
fn what_is_newer_is_carried_and_named_unknown_and_not_damage() {
    let dir = log_of_a_newer_program();
    let data = dir.join("data");
    assert_whole(&data);
    let verified = well(&data, &["verify"]);
    assert!(verified.contains("3 events are of a newer program"), "{verified}");
    let written = std::fs::read_to_string(dir.join("newer.ndjson")).unwrap();
    assert_eq!(well(&data, &["export"]), written);
    assert_eq!(well(&data, &["export", "--readable"]), written);
    let shown = well(&data, &["inspect", "events", "--json"]);
    for payload in NEWER {
        assert!(shown.contains(payload), "{payload} in {shown}");
    }
    assert_eq!(well(&data, &["inspect", "events"]).matches("not known here").count(), 3);
    let message = well(&data, &["inspect", "message", "m1", "--json"]);
    assert!(message.contains("known to the end"), "{message}");
    well(&data, &["rebuild"]);
    well(&data, &["rebuild", "--check"]);
    let copy = dir.join("copy");
    well(&data, &["backup", copy.to_str().unwrap()]);
    assert_eq!(well(&copy, &["export"]), written);
}

#[tokio::test]
async fn what_is_newer_is_streamed_and_not_taken_from_a_client() {
    let dir = log_of_a_newer_program();
    let server = Server::start_well(&ServerOptions::new(PROGRAM, &dir.join("data")));
    let client = Client::new(server.base_url());
    let page = client.get("/v1/chats/c1/events?after_seq=0").await.expect(200);
    let kinds: Vec<&str> =
        page["items"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds[3..6], ["unknown"; 3]);
    let streamed = stream_of(&client).await;
    let pages: Vec<String> =
        page["items"].as_array().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(streamed.len(), pages.len());
    for payload in NEWER {
        assert!(streamed.iter().any(|data| data.contains(payload)), "{payload}");
    }
    client.create_chat("c2").await;
    let turn = client.start_external_turn("c2", "go").await;
    for kind in ["unknown", "heard_of_later", "9999"] {
        let payload = json!({ "kind": 9999, "version": 1, "data": "01" });
        let events = json!([{ "kind": kind, "payload": payload }]);
        let body = json!({ "lease": turn.token, "first_number": 1, "events": events });
        let refused = client.post("/v1/chats/c2/events", &body).await;
        assert_eq!(refused.body["reason"], "unknown_kind", "{}", refused.body);
        assert_eq!(refused.problem(422), "bad_event");
    }
}

async fn stream_of(client: &Client) -> Vec<String> {
    let path = "/v1/chats/c1/stream?after_seq=0&until=idle";
    let response = client.request(reqwest::Method::GET, path).send().await.unwrap();
    let text = response.text().await.unwrap();
    let data = |frame: &str| {
        let is_event = frame.lines().any(|line| line == "event: stream");
        let data = frame.lines().find_map(|line| line.strip_prefix("data: "));
        data.filter(|_| is_event).map(str::to_owned)
    };
    text.split("\n\n").filter_map(data).collect()
}

#[test]
fn a_log_of_a_newer_format_is_refused_with_a_sentence() {
    let dir = log_of_a_newer_program();
    let data = dir.join("data");
    set_version(&data.join("log.db"), 99);
    let commands: [&[&str]; 5] = [
        &["inspect", "chats"],
        &["verify"],
        &["export"],
        &["rebuild"],
        &["serve", "--listen", "127.0.0.1:0"],
    ];
    let before = std::fs::read(data.join("log.db")).unwrap();
    for args in commands {
        let ended = run(&data, args);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{args:?}");
        assert!(ended.stderr.contains("has format 99, this program reads up to"), "{args:?}");
        assert!(ended.stderr.contains("use a newer one"), "{args:?}: {}", ended.stderr);
    }
    assert_eq!(std::fs::read(data.join("log.db")).unwrap(), before, "nothing was written");
}

#[expect(clippy::disallowed_methods, reason = "no program of ours writes this version")]
fn set_version(path: &Path, version: u32) {
    let db = Connection::open(path).unwrap();
    db.pragma_update(None, "user_version", version).unwrap();
}
