//! kill -9 at every named point of archiving and of dropping: what was acknowledged is there, what
//! was dropped is gone for good, and no file is left over.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use scrollback_test_support::client::{Client, ExternalTurn};
use scrollback_test_support::sample::{complete, text};
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::eventually;
use serde_json::json;

use super::bytes_with;
use super::program::{PROGRAM, at_rest, command, json, keeping, run};
use crate::fixture::{assert_whole, temp_dir};

/// Where archiving can be killed.
const ARCHIVING: [&str; 4] = [
    "archive-before-rename",
    "archive-before-record",
    "archive-before-commit",
    "archive-after-commit",
];

/// Where dropping a chat can be, some of which is archived: from its tombstone to the last of its
/// files.
const DROPPING: [&str; 9] = [
    "log-before-commit",
    "log-after-commit",
    "erase-before-commit",
    "erase-after-commit",
    "archive-before-rename",
    "archive-before-record",
    "archive-before-replace",
    "archive-after-replace",
    "archive-before-remove",
];

/// What is said in the chats that are dropped.
const SECRET: &str = "the-cat-is-called-mistigri";

/// Copies a data directory that nobody has open.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap().path();
        let to = to.join(file.file_name().unwrap());
        match file.is_dir() {
            true => copy(&file, &to),
            false => drop(std::fs::copy(&file, &to).unwrap()),
        }
    }
}

/// Waits until a thread of the server stands still at a point, and kills it there.
async fn kill_at(server: Server, point: &str) {
    let held = format!("held at {point}\n");
    eventually(&held, async || server.stderr().contains(&held).then_some(())).await;
    server.kill();
}

/// No file of the archive is there that the log does not know.
#[track_caller]
fn assert_no_file_is_left_over(data: &Path) {
    let stats = json(&run(data, &["inspect", "stats", "--json"]));
    let n_files = std::fs::read_dir(data.join("archive")).unwrap().count();
    assert_eq!(stats["archive"]["segments"], n_files, "{stats}");
}

/// Appends until the server is gone; what was acknowledged.
async fn produce(client: Client, mut turn: ExternalTurn) -> Vec<(u64, String)> {
    let mut acknowledged = Vec::new();
    loop {
        let words = format!("word {}", turn.next_number);
        let request = client.append_request(&turn, turn.next_number, &[text(&words)]);
        let Ok(answer) = Client::try_send(request).await else { return acknowledged };
        acknowledged.push((answer.expect(200)["last_seq"].as_u64().unwrap(), words));
        turn.next_number += 1;
    }
}

/// The export begins with the one before, and has what was acknowledged since.
#[track_caller]
fn assert_exports(data: &Path, before: &str, acknowledged: &[(u64, String)]) {
    let exported = run(data, &["export"]);
    assert!(exported.starts_with(before), "what was there before reads as before");
    let lines: Vec<&str> = exported.lines().collect();
    for (seq, words) in acknowledged {
        let event = json(lines[*seq as usize - 1]);
        assert_eq!((&event["seq"], &event["payload"]["text"]), (&json!(seq), &json!(words)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_it_archives_loses_nothing_that_was_acknowledged() {
    let (before, exported) = at_rest("retention-killed-before", 13).await;
    let mut n_acknowledged = 0;
    for (n_round, point) in ARCHIVING.iter().enumerate() {
        let dir = temp_dir("retention-killed-server");
        let data = dir.join("data");
        copy(before.path(), &data);
        let options = keeping(&dir, "action = 'archive'\nmax_age_days = 0.000001");
        let hold = format!("{point}={}", n_round / 2);
        let server = Server::start_well(&options.clone().env("FAILPOINTS_HOLD", &hold));
        let client = Client::new(server.base_url());
        // The writer may be held already: then nothing is acknowledged any more.
        let producer = tokio::spawn(async move {
            let create = client.request(reqwest::Method::POST, "/v1/chats");
            let created = Client::try_send(create.json(&json!({ "chat_id": "new" }))).await;
            let start = client.request(reqwest::Method::POST, "/v1/chats/new/turns");
            let turn = json!({ "text": "go", "provider": "external" });
            let started = Client::try_send(start.json(&turn)).await;
            let (Ok(_), Ok(started)) = (created, started) else { return Vec::new() };
            let turn = ExternalTurn::of_answer(&started.expect(202));
            produce(client, turn).await
        });
        kill_at(server, point).await;
        let acknowledged = producer.await.unwrap();
        n_acknowledged += acknowledged.len();
        assert_whole(&data);
        assert_exports(&data, &exported, &acknowledged);

        // One that archives nothing clears away what the kill left; then one that does goes on.
        for options in [&ServerOptions::new(PROGRAM, &data), &options] {
            let (status, stderr) = Server::start_well(options).stop();
            assert!(status.success(), "{stderr}");
            assert_no_file_is_left_over(&data);
        }
        assert_whole(&data);
        assert_exports(&data, &exported, &acknowledged);
        run(&data, &["rebuild", "--check"]);
    }
    println!("{} kills of a server that archives, {n_acknowledged} appends", ARCHIVING.len());
}

/// Three chats that are finished, in segments and in log.db, and one that a schedule keeps.
async fn finished_chats(dir: &TempDir) {
    let agent = "default_provider = 'agent'\n[providers.agent]\nkind = 'scripted'\n\
                 script = 'plan'\n";
    let config = super::program::config(dir, agent);
    let options = ServerOptions::new(PROGRAM, &dir.join("data")).args(&["--config", &config]);
    for n_life in 0..2 {
        let server = Server::start_well(&options);
        let client = Client::new(server.base_url());
        for chat in ["kept", "gone-0", "gone-1", "gone-2"] {
            if n_life == 0 {
                client.create_chat(chat).await;
            }
            let words = if chat == "kept" { "to be kept" } else { SECRET };
            let mut turn = client.start_external_turn(chat, words).await;
            let deltas: Vec<_> =
                (0..8).map(|n| text(&format!("{words} {n} {}", "more ".repeat(200)))).collect();
            client.append(&mut turn, &deltas).await;
            client.append(&mut turn, &[complete()]).await;
        }
        if n_life == 0 {
            let schedule = json!({ "chat_id": "kept", "schedule_id": "s", "prompt": "go",
                "timing": { "every_ms": 86_400_000 } });
            client.post("/v1/schedules", &schedule).await.expect(201);
        }
        let (status, stderr) = server.stop();
        assert!(status.success(), "{stderr}");
        if n_life == 0 {
            run(&dir.join("data"), &["archive", "--segment-kib", "16"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_it_drops_chats_drops_them_at_the_next_start() {
    let before = temp_dir("retention-dropped-before");
    finished_chats(&before).await;
    let of_kept = ["inspect", "events", "--chat", "kept", "--json"];
    let kept = run(&before.join("data"), &of_kept);
    assert!(kept.contains("to be kept"), "{kept}");
    for (n_round, point) in DROPPING.iter().enumerate() {
        let dir = temp_dir("retention-dropped");
        let data = dir.join("data");
        copy(&before.join("data"), &data);
        let options = keeping(&dir, "action = 'drop'\nmax_age_days = 0.000001");
        let n_passes = if point.starts_with("log") { 0 } else { n_round % 2 };
        let hold = format!("{point}={n_passes}");
        let server = Server::start_well(&options.clone().env("FAILPOINTS_HOLD", &hold));
        kill_at(server, point).await;
        assert_whole(&data);
        assert_eq!(run(&data, &of_kept), kept, "killed at {hold}");

        let server = Server::start_well(&options);
        let client = Client::new(server.base_url());
        eventually("the chats to be gone", async || {
            for chat in ["gone-0", "gone-1", "gone-2"] {
                if client.get(&format!("/v1/chats/{chat}")).await.status != 410 {
                    return None;
                }
            }
            bytes_with(&data, SECRET).is_empty().then_some(())
        })
        .await;
        client.get("/v1/chats/kept").await.expect(200);
        let (status, stderr) = server.stop();
        assert!(status.success(), "{stderr}");
        assert_whole(&data);
        assert_no_file_is_left_over(&data);
        assert_eq!(run(&data, &of_kept), kept, "dropped after a kill at {hold}");
    }
    println!("{} kills of a server that drops chats", DROPPING.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_run_killed_at_any_named_point_loses_nothing() {
    let (dir, exported) = at_rest("retention-killed", 12).await;
    let data = dir.path();
    let mut n_kills = 0;
    for n_round in 0..8 {
        let point = ARCHIVING[n_round % ARCHIVING.len()];
        let mut archive = command(data, &["archive", "--segment-kib", "16"])
            .env("FAILPOINTS_HOLD", format!("{point}={}", n_round / ARCHIVING.len()))
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
    assert!(n_kills >= ARCHIVING.len(), "{n_kills} kills");
    println!("{n_kills} kills of an archive run, nothing lost");
}
