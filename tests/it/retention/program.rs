//! Retention as the program does it: by command, by configuration, killed on the way, and beside
//! writers and readers.

#[cfg(feature = "failpoints")]
use std::io::{BufRead, BufReader};
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

use super::{bytes_with, filled};
use crate::fixture::{assert_whole, temp_dir};

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

fn command(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("--data").arg(data).args(args).stdin(Stdio::null());
    command
}

/// What a command printed, once it has ended well.
#[track_caller]
fn run(data: &Path, args: &[&str]) -> String {
    let output = command(data, args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scrollback {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A log at rest, and its export.
async fn at_rest(name: &str, seed: u64) -> (TempDir, String) {
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

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_run_killed_at_any_named_point_loses_nothing() {
    const POINTS: [&str; 4] = [
        "archive-before-rename",
        "archive-before-record",
        "archive-before-commit",
        "archive-after-commit",
    ];
    let (dir, exported) = at_rest("retention-killed", 12).await;
    let data = dir.path();
    let mut n_kills = 0;
    for n_round in 0..8 {
        let point = POINTS[n_round % POINTS.len()];
        let mut archive = command(data, &["archive", "--segment-kib", "16"])
            .env("FAILPOINTS_HOLD", format!("{point}={}", n_round / POINTS.len()))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(archive.stderr.take().unwrap()).lines();
        let held = format!("held at {point}");
        if stderr.map_while(Result::ok).any(|line| line == held) {
            n_kills += 1;
        }
        archive.kill().unwrap();
        archive.wait().unwrap();
        assert_whole(data);
        assert_eq!(run(data, &["export"]), exported, "round {n_round}, {point}");
    }
    run(data, &["archive", "--segment-kib", "16"]);
    assert_whole(data);
    assert_eq!(run(data, &["export"]), exported);
    assert!(n_kills >= POINTS.len(), "{n_kills} kills");
    println!("{n_kills} kills of an archive run, nothing lost");
}

/// A server that archives or drops what is older than a moment.
fn keeping(dir: &TempDir, table: &str) -> ServerOptions {
    let config = dir.join("scrollback.toml");
    std::fs::write(&config, format!("[retention]\n{table}\ncheck_every_s = 1\nsegment_kib = 16\n"))
        .unwrap();
    ServerOptions::new(PROGRAM, &dir.join("data")).args(&["--config", config.to_str().unwrap()])
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
