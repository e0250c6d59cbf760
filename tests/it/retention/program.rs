//! Retention as the program does it: by command, by configuration, and beside writers and readers.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use scrollback_test_support::client::Client;
use scrollback_test_support::sample::{complete, text};
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::sse::{Resume, SseReader};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::eventually;
use serde_json::Value;

use super::{bytes_with, filled, finished};
use crate::fixture::{assert_whole, temp_dir};

pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

pub(super) fn command(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("--data").arg(data).args(args).stdin(Stdio::null());
    command
}

/// What a command printed, once it has ended well.
#[track_caller]
pub(super) fn run(data: &Path, args: &[&str]) -> String {
    let output = command(data, args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scrollback {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

pub(super) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A log at rest, and its export.
pub(super) async fn at_rest(name: &str, seed: u64) -> (TempDir, String) {
    let fixture = filled(name, seed, 500).await;
    let dir = fixture.close().await;
    let exported = run(dir.path(), &["export"]);
    (dir, exported)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_archives_and_every_other_command_reads_as_before() {
    let (dir, exported) = at_rest("retention-command", 11).await;
    let data = dir.path();
    let dry = json(&run(data, &["archive", "--dry-run", "--json"]));
    assert!(!data.join("archive").exists(), "a dry run moves nothing");
    let before = json(&run(data, &["archive", "--before", "100", "--json", "--segment-kib", "16"]));
    assert!(before["archived_through_seq"].as_u64().unwrap() < 100, "{before}");
    let done = json(&run(data, &["archive", "--json", "--segment-kib", "16"]));
    assert_eq!(done["archived_through_seq"], dry["through_seq"]);
    assert!(done["segments"].as_u64().unwrap() > 1, "{done}");
    assert_eq!(run(data, &["export"]), exported);
    run(data, &["verify"]);
    let stats = json(&run(data, &["inspect", "stats", "--json"]));
    assert_eq!(stats["archive"]["through_seq"], done["archived_through_seq"]);

    // A copy, by backup and by way of an export, says the same.
    let (backup, copy) = (dir.join("backup"), dir.join("copy"));
    run(data, &["backup", backup.to_str().unwrap()]);
    assert_eq!(run(&backup, &["export"]), exported);
    run(&backup, &["verify"]);
    let file = dir.join("log.ndjson");
    std::fs::write(&file, &exported).unwrap();
    run(&copy, &["import", file.to_str().unwrap()]);
    assert_eq!(run(&copy, &["export"]), exported);

    // The views are folded from segments, and are the same.
    run(data, &["rebuild"]);
    run(data, &["rebuild", "--check"]);
    let server = Server::start_well(&ServerOptions::new(PROGRAM, data));
    let refused = command(data, &["archive"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "a server has the directory");
    let url = format!("{}/v1/stream", server.base_url());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut stream = SseReader::open(&http, &url, Resume::Beginning).await.unwrap();
    // The server erased what was deleted, from segments too.
    let exported = run(data, &["export"]);
    let erased = r#""erased":true"#;
    for line in exported.lines().filter(|line| !line.contains(erased)) {
        let frame = loop {
            let frame = stream.frame().await.unwrap();
            if frame.event == "stream" {
                break frame;
            }
        };
        assert_eq!(frame.data, line);
    }
}

/// A server that archives or drops what is older than a moment.
pub(super) fn keeping(dir: &TempDir, table: &str) -> ServerOptions {
    let table = format!("[retention]\n{table}\ncheck_every_s = 1\nsegment_kib = 16\n");
    let config = config(dir, &table);
    ServerOptions::new(PROGRAM, &dir.join("data")).args(&["--config", &config])
}

/// Writes a configuration; its path.
pub(super) fn config(dir: &TempDir, text: &str) -> String {
    let path = dir.join("scrollback.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_writers_and_retention_has_every_acknowledged_event() {
    let dir = temp_dir("retention-backup");
    let options = keeping(&dir, "action = 'archive'\nmax_age_days = 0.000001");
    let server = Server::start_well(&options);
    let client = Client::new(server.base_url());
    let (mut writers, is_over) = (Vec::new(), Arc::new(AtomicBool::new(false)));
    for n in 0..4 {
        let (client, chat, is_over) = (client.clone(), format!("c{n}"), Arc::clone(&is_over));
        writers.push(tokio::spawn(async move {
            client.create_chat(&chat).await;
            while !is_over.load(Ordering::Relaxed) {
                let mut turn = client.start_external_turn(&chat, "Go on.").await;
                for n in 0..20 {
                    let words = text(&format!("{n} {}", "words ".repeat(40)));
                    client.append(&mut turn, &[words]).await;
                }
                client.append(&mut turn, &[complete()]).await;
            }
        }));
    }
    let data = dir.join("data");
    eventually("something to be archived", async || {
        let stats = json(&run(&data, &["inspect", "stats", "--json"]));
        (stats["archive"]["segments"].as_u64() > Some(0)).then_some(())
    })
    .await;
    let acknowledged = json(&run(&data, &["inspect", "stats", "--json"]))["head_seq"].clone();
    let backup = dir.join("backup");
    run(&data, &["backup", backup.to_str().unwrap()]);
    is_over.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    assert_whole(&backup);
    let copied = run(&backup, &["export"]);
    assert!(copied.lines().count() as u64 >= acknowledged.as_u64().unwrap());
    let metrics = client.get("/metrics").await.body;
    assert!(metrics.as_str().unwrap().contains("scrollback_archive_segments"), "{metrics}");
    drop(server);
    assert!(run(&data, &["export"]).starts_with(&copied), "the copy is a beginning of the log");
    assert_whole(&data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_chat_tells_its_readers_and_leaves_no_byte() {
    const SECRET: &str = "the-cat-is-called-mistigri";
    let dir = temp_dir("retention-drop");
    let data = dir.join("data");
    // First without retention, so that a reader is there before the chat goes.
    let server = Server::start_well(&ServerOptions::new(PROGRAM, &data));
    let client = Client::new(server.base_url());
    client.create_chat("old").await;
    let mut turn = client.start_external_turn("old", SECRET).await;
    client.append(&mut turn, &[text(SECRET), complete()]).await;
    client.create_chat("busy").await;
    let open = client.start_external_turn("busy", "Still at it.").await;
    drop(server);
    run(&data, &["archive", "--segment-kib", "16"]);

    let server = Server::start_well(&keeping(&dir, "action = 'drop'\nmax_age_days = 0.00005"));
    let client = Client::new(server.base_url());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/v1/stream", server.base_url());
    let mut stream = SseReader::open(&http, &url, Resume::Beginning).await.unwrap();
    let tombstone = loop {
        let frame = stream.frame().await.unwrap();
        if frame.data.contains(r#""kind":"chat_deleted""#) {
            break json(&frame.data);
        }
    };
    assert_eq!(
        (&tombstone["chatId"], &tombstone["payload"]["by"]),
        (&Value::from("old"), &Value::from("retention"),)
    );
    let after = format!("/v1/chats/old/stream?after_seq={}", turn.resume_after);
    eventually("the text to be gone from every file", async || {
        (client.get(&after).await.status == 410 && bytes_with(&data, SECRET).is_empty())
            .then_some(())
    })
    .await;
    // Readers with an old cursor are told, and those of every chat skip what is gone.
    assert_eq!(client.get("/v1/chats/old/messages").await.status, 410);
    let mut late = SseReader::open(&http, &url, Resume::Beginning).await.unwrap();
    let last = tombstone["seq"].as_u64();
    loop {
        let frame = late.frame().await.unwrap();
        assert!(!frame.data.contains(SECRET));
        if frame.id.is_some() && frame.id >= last {
            break;
        }
    }
    assert_eq!(client.get("/v1/chats/busy").await.status, 200, "an open turn keeps its chat");
    assert!(!open.turn.is_empty());
    drop(server);
    assert_whole(&data);
}

/// What a reader of everything gets, byte for byte, and what the views say of each chat.
async fn read_all(data: &Path) -> (Vec<u8>, Vec<Value>) {
    let server = Server::start_well(&ServerOptions::new(PROGRAM, data));
    let client = Client::new(server.base_url());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut stream =
        SseReader::open(&http, &client.url("/v1/stream"), Resume::Beginning).await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let frame = stream.frame().await.unwrap();
        match frame.event.as_str() {
            "stream" => bytes.extend_from_slice(&frame.raw),
            "caught_up" => break,
            _ => {}
        }
    }
    let chats = client.get("/v1/chats?limit=100").await.expect(200)["items"].clone();
    let mut views = vec![chats];
    for n in 0..views[0].as_array().unwrap().len() {
        let id = views[0][n]["id"].as_str().unwrap();
        let path = format!("/v1/chats/{id}/messages?limit=100");
        views.push(client.get(&path).await.expect(200)["items"].clone());
    }
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    (bytes, views)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_over_the_archive_and_the_log_has_the_bytes_of_before() {
    let dir = finished(temp_dir("retention-bytes"), 400).await.close().await;
    let data = dir.path();
    let (bytes, views) = read_all(data).await;
    assert!(bytes.len() > 50_000 && views.len() > 2, "{} bytes", bytes.len());
    let head = json(&run(data, &["inspect", "stats", "--json"]))["head_seq"].as_u64().unwrap();
    let half = (head / 2).to_string();
    for before in [half.as_str(), "4000000000"] {
        let args = ["archive", "--json", "--before", before, "--segment-kib", "16"];
        let through = json(&run(data, &args))["archived_through_seq"].as_u64().unwrap();
        assert!(through > 0 && through < head, "both hold some: {through} of {head}");
        // Folded from the archive, compared with what was folded from log.db.
        run(data, &["rebuild", "--check"]);
        assert!(read_all(data).await == (bytes.clone(), views.clone()), "archived to {through}");
        run(data, &["rebuild"]);
        assert!(read_all(data).await == (bytes.clone(), views.clone()), "rebuilt at {through}");
    }
}
