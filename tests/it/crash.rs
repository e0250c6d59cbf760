//! kill -9 at random moments and at named points: what was acknowledged is there, all of it whole.
//!
//! The rounds of one test share a data directory, so that each begins where the last one died.

#[cfg(feature = "failpoints")]
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;
#[cfg(feature = "failpoints")]
use std::process::Stdio;
use std::time::Duration;

use scrollback_schema::Event;
use scrollback_schema::event::AssistantText;
use scrollback_test_support::client::{Client, ExternalTurn};
use scrollback_test_support::interposer::{self, FaultFile};
use scrollback_test_support::rng::Rng;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::{eventually, let_live};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

/// Producers that append at once; each has a chat.
const N_PRODUCERS: usize = 4;

/// Milliseconds of a lease: no machine is so slow that a producer loses its turn while the server
/// lives.
const LEASE_MS: u64 = 60_000;

/// By how much the clock is ahead of the one of the round before when a round looks: every lease of
/// the dead server is over then, and nobody waits for it.
const AHEAD_MS: u64 = 3_600_000;

/// An append that was answered: its seq and its text.
type Acknowledged = Vec<(u64, String)>;

/// Runs a command that needs no server; its exit code and all that it printed.
fn run(data: &Path, args: &[&str]) -> (i32, String) {
    let output = Command::new(PROGRAM).arg("--data").arg(data).args(args).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&printed).into_owned())
}

fn assert_exits_well(data: &Path, args: &[&str]) {
    let (code, printed) = run(data, args);
    assert_eq!(code, 0, "scrollback {args:?}: {printed}");
}

/// Appends one event at a time until the server is gone; what was acknowledged.
async fn produce(client: Client, mut turn: ExternalTurn, name: String) -> Acknowledged {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        let text = format!("{name}.{n};");
        let event = Event::AssistantText(AssistantText { text: text.clone() });
        let request = client.append_request(&turn, turn.next_number, &[event]);
        let Ok(answer) = Client::try_send(request).await else { break };
        let answer = answer.expect(200);
        acknowledged.push((answer["last_seq"].as_u64().unwrap(), text));
        turn.next_number += 1;
    }
    acknowledged
}

/// What the rounds of a test share.
struct Crash {
    dir: TempDir,
    options: ServerOptions,
    clock: FaultFile,
}

impl Crash {
    fn new(name: &str) -> Crash {
        let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), name);
        let options = ServerOptions::new(PROGRAM, &dir.join("data"));
        let clock = FaultFile::new(dir.join("clock"));
        interposer::build(dir.path());
        Crash { dir, options, clock }
    }

    fn data(&self) -> &Path {
        &self.options.data
    }

    /// A server that looks at what the round left, its clock ahead of every lease.
    fn looker(&self, n_round: usize) -> ServerOptions {
        let ahead_ms = AHEAD_MS * (n_round as u64 + 1);
        self.clock.set(&[&format!("clock realtime {ahead_ms}")]);
        self.options
            .clone()
            .env("LD_PRELOAD", self.dir.join("io_recorder.so").to_str().unwrap())
            .env("IO_FAULTS", self.clock.path().to_str().unwrap())
    }
}

/// One life of a server: it works, is killed at the moment that `die` waits for, and is looked at.
async fn round(
    crash: &Crash,
    env: &[(&str, &str)],
    n_round: usize,
    die: impl AsyncFnOnce(&Server),
) {
    let set = |options: ServerOptions, (name, value): &(&str, &str)| options.env(name, value);
    let server = Server::start_well(&env.iter().fold(crash.options.clone(), set));
    let client = Client::new(server.base_url());
    let mut producers = Vec::new();
    for n in 0..N_PRODUCERS {
        // A point that holds the writer can hold the start of a turn as well: it then dies there.
        let chat = format!("c{n_round}-{n}");
        let create = client.request(reqwest::Method::POST, "/v1/chats");
        let body = json!({ "text": "go", "provider": "external", "lease_ms": LEASE_MS });
        let (client, name) = (client.clone(), chat.clone());
        producers.push(tokio::spawn(async move {
            let created = Client::try_send(create.json(&json!({ "chat_id": name }))).await;
            let path = format!("/v1/chats/{name}/turns");
            let start = client.request(reqwest::Method::POST, &path).json(&body);
            match (created.is_ok(), Client::try_send(start).await) {
                (true, Ok(answer)) => {
                    let turn = ExternalTurn::of_answer(&answer.expect(202));
                    let acknowledged = produce(client, turn.clone(), name).await;
                    Some((turn, acknowledged))
                }
                _ => None,
            }
        }));
    }
    die(&server).await;
    server.kill();
    let mut lives = Vec::new();
    for producer in producers {
        lives.extend(producer.await.unwrap());
    }
    look_at(&crash.looker(n_round), &lives).await;
}

/// What has to hold after a kill: offline, then with a server that was started again.
async fn look_at(options: &ServerOptions, lives: &[(ExternalTurn, Acknowledged)]) {
    assert_exits_well(&options.data, &["verify"]);
    let server = Server::start_well(options);
    let client = Client::new(server.base_url());
    for (turn, acknowledged) in lives {
        let said = said_in(&client, &turn.chat).await;
        // One more than was acknowledged can be there: the append that the kill left unanswered.
        assert!(said.starts_with(acknowledged), "{said:?} begins with {acknowledged:?}");
        assert!(said.len() <= acknowledged.len() + 1, "{said:?} after {acknowledged:?}");
        let all: String = said.iter().map(|(_, text)| text.as_str()).collect();
        let path = format!("/v1/chats/{}/messages/{}", turn.chat, turn.message);
        let message = eventually("the turn to be closed", async || {
            let message = client.get(&path).await.expect(200);
            (message["stream_status"] == "interrupted").then_some(message)
        })
        .await;
        assert_eq!(message["content_text"], all.as_str());
        assert_eq!(message["interrupt_reason"], "lease_expired");
    }
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
}

/// What was said in a chat: the seq and the text of each delta.
async fn said_in(client: &Client, chat: &str) -> Vec<(u64, String)> {
    let (mut said, mut after) = (Vec::new(), 0);
    loop {
        let path = format!("/v1/chats/{chat}/events?limit=1000&after_seq={after}");
        let page = client.get(&path).await.expect(200);
        for event in page["items"].as_array().unwrap() {
            if event["kind"] == "assistant_text" {
                let text = event["payload"]["text"].as_str().unwrap().to_owned();
                said.push((event["seq"].as_u64().unwrap(), text));
            }
        }
        after = page["next_after_seq"].as_u64().unwrap();
        if after == page["head_seq"].as_u64().unwrap() {
            return said;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    const SEED: u64 = 20_261_122;
    let crash = Crash::new("crash-random");
    let mut rng = Rng::new(SEED);
    for n_round in 0..100 {
        let alive = Duration::from_millis(rng.between(5, 120) as u64);
        round(&crash, &[], n_round, async |_| let_live(alive).await).await;
    }
    assert_exits_well(crash.data(), &["rebuild", "--check"]);
}

/// What a process says once a thread of it stands still at a point.
#[cfg(feature = "failpoints")]
fn held_at(point: &str) -> String {
    format!("held at {point}\n")
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_named_point_loses_nothing_that_was_acknowledged() {
    const POINTS: [&str; 4] = [
        "log-before-commit",
        "log-after-commit",
        "projector-before-commit",
        "projector-after-commit",
    ];
    let crash = Crash::new("crash-points");
    for n_round in 0..80 {
        let point = POINTS[n_round % POINTS.len()];
        // A projector commits ten times a second, the log as often as it can.
        let n_passes = if point.starts_with("log") { 1 + n_round } else { n_round / POINTS.len() };
        let hold = format!("{point}={n_passes}");
        let reached = async |server: &Server| {
            let is_held = async || server.stderr().contains(&held_at(point)).then_some(());
            eventually(&hold, is_held).await;
        };
        round(&crash, &[("FAILPOINTS_HOLD", &hold)], n_round, reached).await;
    }
    assert_exits_well(crash.data(), &["rebuild", "--check"]);
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_killed_at_any_named_point_is_made_good_by_the_next_one() {
    const POINTS: [&str; 4] = [
        "rebuild-before-commit",
        "rebuild-after-commit",
        "rebuild-before-handover",
        "rebuild-after-handover",
    ];
    let crash = Crash::new("crash-rebuild");
    let data = crash.data();
    let alive = async |_: &Server| let_live(Duration::from_millis(400)).await;
    round(&crash, &[], 0, alive).await;
    for n_round in 0..20 {
        let point = POINTS[n_round % POINTS.len()];
        let mut rebuild = Command::new(PROGRAM)
            .arg("--data")
            .arg(data)
            .args(["rebuild", "--page", "64"])
            .env("FAILPOINTS_HOLD", format!("{point}={}", n_round / POINTS.len()))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Ends with the process, so that a point that is not reached is no endless wait.
        let stderr = BufReader::new(rebuild.stderr.take().unwrap()).lines();
        let is_held = |line: std::io::Result<String>| line.unwrap() + "\n" == held_at(point);
        assert!(stderr.into_iter().any(is_held), "round {n_round} came to {point}");
        rebuild.kill().unwrap();
        rebuild.wait().unwrap();
        assert_exits_well(data, &["rebuild"]);
        assert_exits_well(data, &["rebuild", "--check"]);
    }
}
