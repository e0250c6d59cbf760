//! How the fixtures of a version are made, by that version: once.

use std::path::Path;

use scrollback::clock::Clock;
use scrollback::log::{Append, Log, LogOptions};
use scrollback_schema::Event;
use scrollback_schema::event::AssistantText;
use scrollback_test_support::client::Client;
use scrollback_test_support::sample::{CHAT, DELETED_CHAT, chat_id, every_kind};
use scrollback_test_support::script::{APPEND_EVERY_MS, BEGINS_AT};
use scrollback_test_support::server::{Server, ServerOptions};
use serde_json::{Value, json};

use crate::cli::program::{PROGRAM, run};
use crate::fixture::temp_dir;

/// Writes the fixtures of this version into a new directory.
pub(super) async fn write(to: &Path) {
    let dir = temp_dir("compat-fixtures");
    every_kind_of_event(dir.path()).await;
    what_a_server_does(dir.path()).await;
    run(dir.path(), &["archive"]).well();
    assert!(dir.join("archive").is_dir(), "some of it is old and finished");
    std::fs::create_dir_all(to).unwrap();
    let exported = run(dir.path(), &["export"]).well();
    std::fs::write(to.join("log.ndjson"), exported).unwrap();
    std::fs::write(to.join("state.ndjson"), states(dir.path())).unwrap();
    copy(dir.path(), to);
}

/// Copies what is kept of a data directory: the log, the witness, and the archive if there is one.
pub(super) fn copy(data: &Path, to: &Path) {
    for name in ["log.db", "head"] {
        std::fs::copy(data.join(name), to.join(name)).unwrap();
    }
    let Ok(segments) = std::fs::read_dir(data.join("archive")) else { return };
    std::fs::create_dir(to.join("archive")).unwrap();
    for segment in segments {
        let segment = segment.unwrap();
        std::fs::copy(segment.path(), to.join("archive").join(segment.file_name())).unwrap();
    }
}

/// The state of every chat, a line each, and behind it each of its messages, a line each.
pub(super) fn states(data: &Path) -> String {
    let mut states = String::new();
    for line in run(data, &["inspect", "state", "--json"]).well().lines() {
        states += &format!("{line}\n");
        let chat: Value = serde_json::from_str(line).unwrap();
        for message in chat["messages"].as_array().unwrap() {
            let (chat, id) = (chat["id"].as_str().unwrap(), message["id"].as_str().unwrap());
            let args = ["inspect", "message", id, "--chat", chat, "--json"];
            states += &run(data, &args).well();
        }
    }
    states
}

/// The sample that has them all, and a chat that was deleted and erased.
async fn every_kind_of_event(data: &Path) {
    let clock = Clock::manual(BEGINS_AT);
    let log = Log::open(data, LogOptions::default(), &clock).unwrap();
    for step in every_kind() {
        log.append(Append::new(step.chat, step.events).unwrap()).await.unwrap();
        clock.advance_ms(APPEND_EVERY_MS);
    }
    let deleted = log.find_chat(&chat_id(DELETED_CHAT)).await.unwrap().unwrap();
    log.erase(&deleted.chat).await.unwrap();
    log.close().await;
}

/// What needs one: a fork, a schedule, a turn that a producer holds, and a queue behind it.
async fn what_a_server_does(data: &Path) {
    let scripted = ["scripted.kind=scripted", "scripted.script=samples"];
    let args = scripted.map(|setting| ["--provider", setting]).concat();
    let server = Server::start_well(&ServerOptions::new(PROGRAM, data).args(&args));
    let client = Client::new(server.base_url());
    let fork = json!({ "chat_id": "fork", "at_seq": 30 });
    client.post(&format!("/v1/chats/{CHAT}/fork"), &fork).await.expect(201);
    client.create_chat("held").await;
    let schedule = json!({
        "chat_id": "held",
        "schedule_id": "yearly",
        "timing": { "cron": "0 9 1 1 *", "time_zone": "Europe/Lisbon" },
        "prompt": "How was the year?",
        "provider": "scripted",
        "paused": true,
    });
    client.post("/v1/schedules", &schedule).await.expect(201);
    let mut turn = client.start_external_turn("held", "Go on until I say stop.").await;
    let said = Event::AssistantText(AssistantText { text: "Going ".to_owned() });
    client.append(&mut turn, &[said]).await;
    for n in 1..=2 {
        let item = json!({ "content": format!("then {n}"), "provider": "scripted" });
        client.post("/v1/chats/held/queue", &item).await.expect(202);
    }
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
}
