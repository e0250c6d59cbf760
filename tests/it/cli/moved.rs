//! A log that is taken elsewhere: exported, imported, backed up. It stays the same log.

use std::io::Write;
use std::process::Stdio;

use scrollback_test_support::client::Client;
use scrollback_test_support::sample::text;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::sse::{Collected, Resume, SseReader};

use super::program::{FixedLog, PROGRAM, command, run};

/// What a reader of every chat gets up to `head`.
async fn replayed(data: &std::path::Path, head: u64) -> Vec<u8> {
    let server = Server::start_well(&ServerOptions::new(PROGRAM, data));
    let url = format!("{}/v1/stream", server.base_url());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut stream = SseReader::open(&http, &url, Resume::Beginning).await.unwrap();
    let mut collected = Collected::default();
    while collected.cursor < head {
        let frame = stream.frame().await.unwrap();
        if frame.id.is_none_or(|id| id <= head) {
            collected.take(&frame);
        }
    }
    collected.bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_of_an_export_replays_and_exports_the_same_bytes() {
    let log = FixedLog::new("cli-moved");
    let exported = log.run(&["export"]).well();
    assert_eq!(exported, log.lines(), "what was imported comes out again");
    let (file, copy) = (log.dir.join("export.ndjson"), log.dir.join("copy"));
    let file = file.to_str().unwrap();
    log.run(&["export", "--output", file]).well();
    assert_eq!(std::fs::read_to_string(file).unwrap(), exported);
    let again = log.run(&["export", "--output", file]);
    assert_eq!((again.code, again.stdout.as_str()), (2, ""), "a file is not overwritten");

    run(&copy, &["import", file]).well();
    assert_eq!(run(&copy, &["export"]).well(), exported);
    run(&copy, &["verify"]).well();
    // From a pipe as well.
    let piped = log.dir.join("piped");
    let mut import = command(&piped, &["import", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(exported.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
    assert_eq!(run(&piped, &["export"]).well(), exported);

    let head = exported.lines().count() as u64;
    let original = replayed(&log.data(), head).await;
    assert!(original == replayed(&copy, head).await, "readers get the same bytes");
    let refused = run(&copy, &["import", file]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("import into an empty directory"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_server_is_a_log_of_its_own() {
    let log = FixedLog::new("cli-backup");
    let server = Server::start_well(&ServerOptions::new(PROGRAM, &log.data()));
    let client = Client::new(server.base_url());
    let mut turn = client.start_external_turn("garden", "Again?").await;
    client.append(&mut turn, &[text("Said before the backup.")]).await;
    let writer = {
        let (client, mut turn) = (client.clone(), turn.clone());
        tokio::spawn(async move {
            for n in 0..100 {
                client.append(&mut turn, &[text(&format!("{n} "))]).await;
            }
        })
    };
    let backup = log.dir.join("backup");
    let made = log.run(&["backup", backup.to_str().unwrap(), "--json"]).well();
    writer.await.unwrap();
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    run(&backup, &["verify"]).well();
    let copied = run(&backup, &["export"]).well();
    assert_eq!(copied.lines().count() as u64, made["head_seq"]);
    assert!(copied.contains("Said before the backup."));
    assert!(log.run(&["export"]).well().starts_with(&copied), "a prefix of the log");
    let opened = Server::start_well(&ServerOptions::new(PROGRAM, &backup));
    let copy = Client::new(opened.base_url());
    let path = format!("/v1/chats/garden/messages/{}", turn.message);
    let message = copy.get(&path).await.expect(200);
    assert!(message["content_text"].as_str().unwrap().starts_with("Said before the backup."));
    let taken = log.run(&["backup", backup.to_str().unwrap()]);
    assert_eq!(taken.code, 2);
    assert!(taken.stderr.contains("exists already; name a directory"), "{}", taken.stderr);
}
