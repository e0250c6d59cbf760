//! kill -9 while schedules fire: for each due time, the log says once that a turn started, with
//! that turn, or once that it did not; and a restart with another configuration says what it
//! misses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use scrollback::clock::Clock;
use scrollback_test_support::client::Client;
use scrollback_test_support::inspect::events_of_chat;
use scrollback_test_support::rng::Rng;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::{eventually, let_live};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

const ROUNDS: usize = 40;

const CHATS: usize = 4;

/// Points at which a server is held until it is killed; the empty one is none.
const POINTS: [&str; 6] = [
    "",
    "schedule-before-start",
    "schedule-after-start",
    "",
    "log-before-commit",
    "log-after-commit",
];

const ECHO: &str = "pace_ms = 0\npiece_words = 9\n[[step]]\nsay = '{prompt}'";

fn config(dir: &TempDir, name: &str, turns: &str) -> String {
    let script = dir.path().join("echo.toml");
    std::fs::write(&script, ECHO).unwrap();
    let table = format!("kind = 'scripted'\nscript = '{}'", script.display());
    let path = dir.path().join(format!("{name}.config.toml"));
    std::fs::write(&path, format!("[turns]\n{turns}\n[providers.{name}]\n{table}\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

fn inspect(data: &Path, chat: &str) -> Vec<Value> {
    events_of_chat(Path::new(PROGRAM), data, chat)
}

async fn schedule(client: &Client, chat: &str, provider: &str) {
    client.create_chat(chat).await;
    let body = json!({
        "chat_id": chat, "schedule_id": "s", "timing": { "every_ms": 1_000 }, "prompt": "p",
        "provider": provider,
    });
    client.post("/v1/schedules", &body).await.expect(201);
}

/// Checks that every due time is said once and every scheduled turn with its firing; how many
/// started.
fn check(events: &[Value]) -> usize {
    let mut due_times = BTreeSet::new();
    let mut fired_turns = BTreeSet::new();
    let mut started = BTreeMap::new();
    let mut last_due = String::new();
    for event in events {
        let payload = &event["payload"];
        match event["kind"].as_str().unwrap() {
            "stream_started" => {
                assert_eq!(payload["origin"], "schedule", "{event}");
                started.insert(event["streamId"].to_string(), event["seq"].as_u64().unwrap());
            }
            "schedule_fired" => {
                let due_at = payload["due_at"].as_str().unwrap().to_owned();
                assert!(due_times.insert(due_at.clone()), "fired twice: {event}");
                assert!(due_at > last_due, "out of order: {event}");
                last_due = due_at;
                if payload["error"].is_null() {
                    let turn = payload["turn_id"].to_string();
                    let at = started.get(&turn).expect("the turn started before");
                    let seq = event["seq"].as_u64().unwrap();
                    assert!(seq - at <= 2, "one append: {event}");
                    assert!(fired_turns.insert(turn), "one turn twice: {event}");
                }
            }
            _ => {}
        }
    }
    let started: BTreeSet<String> = started.into_keys().collect();
    assert_eq!(started, fired_turns, "every scheduled turn has its firing");
    started.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_leaves_each_due_time_started_once_or_not_at_all() {
    const SEED: u64 = 20_261_126;
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "schedule-crash");
    let data = dir.path().join("data");
    let options = ServerOptions::new(PROGRAM, &data).args(&["--config", &config(&dir, "echo", "")]);
    let server = Server::start_well(&options);
    let client = Client::new(server.base_url());
    for n in 0..CHATS {
        schedule(&client, &format!("c{n}"), "echo").await;
    }
    server.kill();
    let mut rng = Rng::new(SEED);
    for n_round in 0..ROUNDS {
        let point = POINTS[n_round % POINTS.len()];
        let mut options = options.clone();
        if !point.is_empty() {
            let held = format!("{point}={}*off->pause", rng.between(0, 6));
            options = options.env("FAILPOINTS", &held);
        }
        // Held before it listens, it is killed there.
        if let Some(server) = Server::start_or_kill(&options, Duration::from_millis(500)) {
            let_live(Duration::from_millis(rng.between(50, 500) as u64)).await;
            server.kill();
        }
        for n in 0..CHATS {
            check(&inspect(&data, &format!("c{n}")));
        }
    }
    let server = Server::start_well(&options);
    let client = Client::new(server.base_url());
    for n in 0..CHATS {
        let before = check(&inspect(&data, &format!("c{n}")));
        eventually("it to go on", async || {
            let path = format!("/v1/schedules/s?chat_id=c{n}");
            let shown = client.get(&path).await.expect(200);
            (shown["n_started"].as_u64().unwrap() > before as u64).then_some(())
        })
        .await;
    }
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    let n_started: usize = (0..CHATS).map(|n| check(&inspect(&data, &format!("c{n}")))).sum();
    assert!(n_started > ROUNDS, "the rounds did something: {n_started} runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_says_what_was_missed_and_what_cannot_start() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "schedule-restart");
    let data = dir.path().join("data");
    let serve = |config: &str| {
        Server::start_well(&ServerOptions::new(PROGRAM, &data).args(&["--config", config]))
    };
    let server = serve(&config(&dir, "echo", ""));
    schedule(&Client::new(server.base_url()), "c", "echo").await;
    server.kill();
    // Its runs are late from the first moment on.
    let_live(Duration::from_millis(2_500)).await;
    let began = Clock::System.now().to_string();
    let server = serve(&config(&dir, "echo", "schedule_late_max_ms = 0"));
    let runs = async |server: &Server, is_so: &dyn Fn(&Value) -> bool| {
        let client = Client::new(server.base_url());
        eventually("the run", async || {
            let runs = client.get("/v1/schedules/s/runs?chat_id=c").await.expect(200);
            let found = runs["items"].as_array().unwrap().iter().find(|run| is_so(run));
            found.cloned()
        })
        .await
    };
    let missed = runs(&server, &|run| run["n_missed"].as_u64() >= Some(1)).await;
    // The reason is that of the last one missed: a server that starts slowly misses one itself.
    let is_its_own = missed["due_at"].as_str().unwrap() >= began.as_str()
        && missed["error"] == "missed: it could not start in time";
    assert!(is_its_own || missed["error"] == "missed: the server was not running", "{missed}");
    assert_eq!(missed["status"], "not_started");
    server.kill();
    let server = serve(&config(&dir, "other", ""));
    let refused = runs(&server, &|run| run["error"] == "provider echo is not configured").await;
    assert!(refused["turn_id"].is_null(), "{refused}");
    check(&inspect(&data, "c"));
}
