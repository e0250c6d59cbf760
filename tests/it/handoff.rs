//! kill -9 at random moments and at the points around a hand-off: a queued message has started or
//! it is still queued; never both, never neither, and in the end each one was answered once.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use scrollback_test_support::client::Client;
use scrollback_test_support::inspect::events_of_chat;
use scrollback_test_support::rng::Rng;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::{eventually, let_live};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

const ROUNDS: usize = 200;

/// Points at which a server is held until it is killed; the empty one is none.
const POINTS: [&str; 6] =
    ["", "", "turn-before-handoff", "turn-after-handoff", "log-before-commit", "log-after-commit"];

/// Answers with what it was asked, in a few pieces.
const ECHO: &str = "pace_ms = 1\npiece_words = 1\n[[step]]\nsay = 'a b {prompt}'";

/// Queues messages until the server is gone; those that were acknowledged.
async fn fill(client: Client, chat: String) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let create = client.request(reqwest::Method::POST, "/v1/chats");
    if Client::try_send(create.json(&json!({ "chat_id": chat }))).await.is_err() {
        return acknowledged;
    }
    for n in 0..40 {
        let id = format!("{chat}.{n}");
        let body = json!({ "content": id, "queued_message_id": id });
        let path = format!("/v1/chats/{chat}/queue");
        let request = client.request(reqwest::Method::POST, &path).json(&body);
        match Client::try_send(request).await {
            Ok(answer) if answer.status == 202 => acknowledged.push(id),
            Ok(answer) => assert_eq!(answer.body["code"], "queue_full", "{answer:?}"),
            Err(_) => break,
        }
    }
    acknowledged
}

fn inspect(data: &Path, chat: &str) -> Vec<Value> {
    events_of_chat(Path::new(PROGRAM), data, chat)
}

/// Where each queued message of a chat is, and that every hand-off is whole.
fn places(events: &[Value]) -> BTreeMap<String, &'static str> {
    let mut places = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        let payload = &event["payload"];
        let id = || payload["queued_message_id"].as_str().unwrap().to_owned();
        match event["kind"].as_str().unwrap() {
            "message_queued" => assert_eq!(places.insert(id(), "queued"), None, "{event}"),
            "queue_processing" => {
                assert_eq!(places.insert(id(), "started"), Some("queued"), "{event}");
                let (said, started) = (&events[at + 1], &events[at + 2]);
                assert_eq!(said["kind"], "user_text", "{said}");
                assert_eq!(said["messageId"], payload["user_message_id"]);
                assert_eq!(said["payload"]["text"], payload["queued_message_id"]);
                assert_eq!(started["kind"], "stream_started", "{started}");
                assert_eq!(started["streamId"], payload["turn_id"]);
                if payload["prior_turn_id"].is_string() {
                    let end = &events[at - 1];
                    assert_eq!(end["streamId"], payload["prior_turn_id"], "{end}");
                }
            }
            _ => {}
        }
    }
    places
}

/// One life of a server; what it acknowledged is then in the files, in one place each.
async fn round(options: &ServerOptions, n_round: usize, alive: Duration) -> Vec<String> {
    let held = options.env.iter().any(|(name, _)| name == "FAILPOINTS");
    let server = match held {
        true => Server::start_or_kill(options, Duration::from_millis(500)),
        false => Some(Server::start_well(options)),
    };
    // Held while it takes up what the round before left: killed there, and looked at by the next.
    let Some(server) = server else { return Vec::new() };
    let client = Client::new(server.base_url());
    let chats = [format!("r{n_round}a"), format!("r{n_round}b")];
    let fillers = chats.clone().map(|chat| tokio::spawn(fill(client.clone(), chat)));
    let_live(alive).await;
    server.kill();
    let mut all = Vec::new();
    for (chat, filler) in chats.iter().zip(fillers) {
        let acknowledged = filler.await.unwrap();
        let places = places(&inspect(&options.data, chat));
        for id in &acknowledged {
            assert!(places.contains_key(id), "{id} is nowhere: {places:?}");
        }
        // One more than was acknowledged can be there: the call that the kill left unanswered.
        assert!(places.len() <= acknowledged.len() + 1, "{places:?}");
        all.extend(places.into_keys());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_around_a_hand_off_leaves_each_message_in_one_place() {
    const SEED: u64 = 20_261_125;
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "handoff");
    let (data, config) = (dir.path().join("data"), dir.path().join("config.toml"));
    let script = dir.path().join("echo.toml");
    std::fs::write(&script, ECHO).unwrap();
    let table = format!("kind = 'scripted'\nscript = '{}'", script.display());
    std::fs::write(&config, format!("default_provider = 'e'\n[providers.e]\n{table}\n")).unwrap();
    let options = ServerOptions::new(PROGRAM, &data).args(&["--config", config.to_str().unwrap()]);
    let mut rng = Rng::new(SEED);
    let mut all = Vec::new();
    for n_round in 0..ROUNDS {
        let point = POINTS[n_round % POINTS.len()];
        let mut options = options.clone();
        if !point.is_empty() {
            let held = format!("{point}={}*off->pause", rng.between(0, 12));
            options = options.env("FAILPOINTS", &held);
        }
        let alive = Duration::from_millis(rng.between(20, 120) as u64);
        all.extend(round(&options, n_round, alive).await);
    }
    // Some thousand; a machine that is busy gets less done in the life of a server.
    assert!(all.len() > ROUNDS / 4, "the rounds did something: {} messages", all.len());
    let server = Server::start_well(&options);
    let client = Client::new(server.base_url());
    let chats: Vec<String> =
        (0..ROUNDS).flat_map(|n| [format!("r{n}a"), format!("r{n}b")]).collect();
    for chat in &chats {
        eventually("every queue to be done", async || {
            let status = client.get(&format!("/v1/chats/{chat}/status")).await;
            let is_done = status.status == 404
                || status.body["queue_length"] == 0 && status.body["open_turn"].is_null();
            is_done.then_some(())
        })
        .await;
    }
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    let mut started = Vec::new();
    for chat in &chats {
        let places = places(&inspect(&data, chat));
        started.extend(places.into_iter().filter(|(_, p)| *p == "started").map(|(id, _)| id));
    }
    all.sort();
    started.sort();
    assert_eq!(started, all, "each message was started once");
}
