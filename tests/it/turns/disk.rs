//! A disk that takes nothing for a while: the turn waits, or gives its provider up; nobody hangs.

use scrollback_test_support::client::Client;
use scrollback_test_support::failure::{ExpectedFailure, Witnesses};
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::eventually;
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

/// A server whose commits fail as the failpoint says, with a provider that plays the script.
fn server(dir: &TempDir, script: &str, full: &str) -> Server {
    let (path, config) = (dir.path().join("p.toml"), dir.path().join("config.toml"));
    std::fs::write(&path, script).unwrap();
    let table = format!("kind = 'scripted'\nscript = '{}'", path.display());
    std::fs::write(&config, format!("[providers.p]\n{table}\n")).unwrap();
    let options = ServerOptions::new(PROGRAM, &dir.path().join("data"))
        .args(&["--config", config.to_str().unwrap()])
        .env("FAILPOINTS", &format!("log-full={full}"));
    Server::start_well(&options)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_waits_for_a_disk_that_is_full_for_a_moment() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "disk");
    let script = "pace_ms = 5\npiece_words = 1\n[[step]]\nsay = 'one two three four five six'";
    let server = server(&dir, script, "4*off->5*return->off");
    let client = Client::new(server.base_url());
    client.create_chat("c1").await;
    let body = json!({ "text": "go", "provider": "p" });
    let started = client.post("/v1/chats/c1/turns", &body).await.expect(202);
    let path = format!("/v1/chats/c1/messages/{}", started["message_id"].as_str().unwrap());
    let message = eventually("the end of the turn", async || {
        let message = client.get(&path).await.expect(200);
        (message["stream_status"] != "in_progress").then_some(message)
    })
    .await;
    assert_eq!(message["stream_status"], "completed", "{message}");
    assert_eq!(message["content_text"], "one two three four five six");
    let (_, stderr) = server.stop();
    assert!(stderr.contains("code=\"disk_full\""), "the disk was full: {stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_stays_full_ends_the_turn_as_soon_as_it_can() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "disk");
    let script = "pace_ms = 20\npiece_words = 1\n[[step]]\nsay = 'one two three '\n\
                  [[step]]\nhang = true";
    let server = server(&dir, script, "4*off->14*return->off");
    let client = Client::new(server.base_url());
    client.create_chat("c1").await;
    let witnesses = Witnesses::before(&server, "c1").await;
    let body = json!({ "text": "go", "provider": "p" });
    let started = client.post("/v1/chats/c1/turns", &body).await.expect(202);
    let expected = ExpectedFailure {
        code: "storage",
        phase: "storage",
        retryable: true,
        partial_text: "one two three ",
        message_part: "could not be written",
    };
    witnesses.assert_failure_seen_everywhere(&started, &expected).await;
    let path = format!("/v1/chats/c1/messages/{}", started["message_id"].as_str().unwrap());
    let message = client.get(&path).await.expect(200);
    let ms = message["duration_ms"].as_u64().unwrap();
    assert!(ms >= 10_000, "it was patient before it gave up: {ms} ms");
}
