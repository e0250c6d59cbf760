//! Two hundred scripted turns at once over real sockets: how long a stop takes, from the call until
//! a reader sees the end, and whether readers that never read slow the turns of others.
//!
//! No criterion: each measurement is a whole server under load, so percentiles of one run are
//! printed. `cargo bench --bench turns`.

#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock")]

use std::path::Path;
use std::time::{Duration, Instant};

use scrollback_test_support::client::Client;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::sse::{Resume, SseReader};
use scrollback_test_support::wait::let_live;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const N_TURNS: usize = 200;
const N_STOPS: usize = 1_000;
const N_SLOW_READERS: usize = 40;

/// A word every 50 ms for ever: 4,000 events a second from all turns together.
const SPEAKS: &str = "pace_ms = 50\npiece_words = 1\n[[step]]\n[step.repeat]\n\
                      times = 1000000\n[[step.repeat.step]]\nsay = 'word '\n";

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = tempfile::tempdir_in(target).expect("a directory on a real disk");
    let server = start(dir.path());
    let client = Client::new(server.base_url());
    for n in 0..N_TURNS {
        client.create_chat(&format!("c{n}")).await;
    }
    let mut started = Vec::new();
    for n in 0..N_TURNS {
        started.push(turn(&client, n).await);
    }
    let alone = words(&client, &started).await;
    let slow = slow_readers(&server).await;
    let beside = words(&client, &started).await;
    report("words a turn in 5 s, no slow reader", &alone);
    report("words a turn in 5 s, 40 readers that never read", &beside);
    let (mut answered, mut seen) = (Vec::new(), Vec::new());
    for n in 0..N_STOPS {
        let chat = n * 7 % N_TURNS;
        let (answer, end) = stop(&client, &server, chat, &started[chat]).await;
        answered.push(answer);
        seen.push(end);
        started[chat] = turn(&client, chat).await;
    }
    report("stop, until it is answered (ms)", &answered);
    report("stop, until a reader sees the end (ms)", &seen);
    drop(slow);
    drop(server);
}

fn start(dir: &Path) -> Server {
    let (data, config, script) =
        (dir.join("data"), dir.join("config.toml"), dir.join("speaks.toml"));
    std::fs::write(&script, SPEAKS).expect("a file is written");
    let table = format!("kind = 'scripted'\nscript = '{}'", script.display());
    let text =
        format!("default_provider = 'p'\n[turns]\nshutdown_grace_ms = 0\n[providers.p]\n{table}\n");
    std::fs::write(&config, text).expect("a file is written");
    let options = ServerOptions::new(env!("CARGO_BIN_EXE_scrollback"), &data);
    Server::start_well(&options.args(&["--config", config.to_str().expect("a path of ours")]))
}

async fn turn(client: &Client, chat: usize) -> Value {
    let path = format!("/v1/chats/c{chat}/turns");
    client.post(&path, &json!({ "text": "go" })).await.expect(202)
}

/// Words that each turn says within five seconds.
async fn words(client: &Client, started: &[Value]) -> Vec<f64> {
    let before = count(client, started).await;
    let_live(Duration::from_secs(5)).await;
    let after = count(client, started).await;
    before.iter().zip(&after).map(|(before, after)| after - before).collect()
}

async fn count(client: &Client, started: &[Value]) -> Vec<f64> {
    let mut counts = Vec::new();
    for (n, turn) in started.iter().enumerate() {
        let id = turn["message_id"].as_str().expect("an id");
        let message = client.get(&format!("/v1/chats/c{n}/messages/{id}")).await.expect(200);
        assert_eq!(message["stream_status"], "in_progress", "{message}");
        counts.push(message["content_text"].as_str().expect("a text").len() as f64 / 5.0);
    }
    counts
}

/// Connections that ask for a stream and read no byte of it.
async fn slow_readers(server: &Server) -> Vec<tokio::net::TcpStream> {
    let address = server.base_url().trim_start_matches("http://").to_owned();
    let mut all = Vec::new();
    for n in 0..N_SLOW_READERS {
        let mut socket = tokio::net::TcpStream::connect(&address).await.expect("a connection");
        let path = match n % 2 {
            0 => "/v1/stream".to_owned(),
            _ => format!("/v1/chats/c{n}/stream"),
        };
        let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        socket.write_all(head.as_bytes()).await.expect("a request is sent");
        let mut first = [0; 1];
        socket.read_exact(&mut first).await.expect("an answer begins");
        all.push(socket);
    }
    all
}

/// Stops a turn; milliseconds until the answer, and until a reader that was there saw the end.
async fn stop(client: &Client, server: &Server, chat: usize, turn: &Value) -> (f64, f64) {
    let head = client.head(&format!("c{chat}")).await;
    let url = format!("{}/v1/chats/c{chat}/stream", server.base_url());
    let http = reqwest_client();
    let mut reader = SseReader::open(&http, &url, Resume::After(head)).await.expect("a stream");
    reader.named("caught_up").await;
    let id = turn["turn_id"].as_str().expect("an id");
    let path = format!("/v1/chats/c{chat}/turns/{id}/stop");
    let began = Instant::now();
    let stop = async {
        client.post(&path, &json!({})).await.expect(202);
        began.elapsed()
    };
    let end = async {
        loop {
            let frame = reader.named("stream").await.json();
            if frame["kind"] == "cancelled" {
                assert_eq!(frame["payload"]["reason"], "user");
                return began.elapsed();
            }
        }
    };
    let (answered, seen) = tokio::join!(stop, end);
    let ms = |elapsed: Duration| elapsed.as_secs_f64() * 1_000.0;
    (ms(answered), ms(seen))
}

fn reqwest_client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client without options can be made")
}

fn report(what: &str, values: &[f64]) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part) as usize];
    println!(
        "{what}: min {:.1}, p1 {:.1}, p50 {:.1}, p99 {:.1}, max {:.1} (n = {})",
        at(0.0),
        at(0.01),
        at(0.5),
        at(0.99),
        at(1.0),
        sorted.len()
    );
}
