//! Readers of our streams that we did not write: cut and resumed, they end with the log's bytes.
//!
//! They are ignored unless they are asked for: `tests/run interop` installs what they need.

mod cutter;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use scrollback_schema::Event;
use scrollback_test_support::client::{Client, ExternalTurn};
use scrollback_test_support::sample::{complete, text, thinking};
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::{DEADLINE, wait_until};

use cutter::Cutter;

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

/// A reader of somebody else's, which follows a URL until the turn is over.
struct Reader {
    child: Child,
    lines: Receiver<String>,
    got: Vec<String>,
}

impl Reader {
    fn node(url: &str) -> Reader {
        Reader::run(Command::new("node").arg("reader.mjs").arg(url))
    }

    fn python(url: &str) -> Reader {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python");
        Reader::run(Command::new(python).arg("reader.py").arg(url))
    }

    fn run(command: &mut Command) -> Reader {
        let mut child = command
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("`tests/run interop` installs what the readers need");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Reader { child, lines, got: Vec::new() }
    }

    /// Waits until it has as many events.
    fn wait_for(&mut self, n_events: usize) {
        while self.got.len() < n_events {
            self.got.push(self.lines.recv_timeout(DEADLINE).expect("the next event"));
        }
    }

    /// Waits until it has ended by itself; all that it got, and how often it was cut.
    fn end(mut self) -> (Vec<String>, usize) {
        let status = wait_until("the reader to end", || self.child.try_wait().unwrap());
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert!(status.success(), "{stderr}");
        self.got.extend(self.lines.iter());
        let got = std::mem::take(&mut self.got);
        (got, stderr.lines().filter(|line| line.starts_with("cut: ")).count())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What of the log a reader of the chat gets: `ID ENVELOPE`.
fn of_log(data: &Path, chat: &str) -> Vec<String> {
    let output = Command::new(PROGRAM).args(["export", "--data"]).arg(data).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let of_chat = format!("\"chatId\":\"{chat}\"");
    let envelopes = lines.lines().filter(|line| line.contains(&of_chat));
    let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].clone();
    envelopes.map(|line| format!("{} {line}", id(line))).collect()
}

/// The text that a reader was shown.
fn text_of(got: &[String]) -> String {
    let payload = |line: &String| {
        let (_, envelope) = line.split_once(' ').unwrap();
        serde_json::from_str::<serde_json::Value>(envelope).unwrap()
    };
    let deltas = got.iter().map(payload).filter(|event| event["kind"] == "assistant_text");
    deltas.map(|event| event["payload"]["text"].as_str().unwrap().to_owned()).collect()
}

const N_STEPS: usize = 40;

/// What the producer says at a step: words that a line of SSE or JSON could trip over.
fn step(n: usize) -> Vec<Event> {
    vec![thinking(&format!("step {n}")), text(&format!("{n}\r\ndata: {n}\n\n\"é🌿\u{2028}\" "))]
}

/// A turn that is read live over a connection that breaks again and again.
async fn follow_cut(name: &str, read: impl FnOnce(&str) -> Reader) {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), name);
    let server = Server::start_well(&ServerOptions::new(PROGRAM, dir.path()));
    let client = Client::new(server.base_url());
    client.create_chat("other").await;
    client.create_chat("c1").await;
    let mut turn = client.start_external_turn("c1", "go").await;
    let cutter = Cutter::start(server.base_url()).await;
    let mut reader = read(&cutter.url("/v1/chats/c1/stream?until=idle"));
    // The chat's, the user's and the turn's first event.
    let mut n_events = 3;
    for n in 0..N_STEPS {
        client.append(&mut turn, &step(n)).await;
        n_events += 2;
        if n % 10 == 9 {
            reader.wait_for(n_events);
        }
    }
    client.append(&mut turn, &[complete()]).await;
    let (got, n_told) = reader.end();
    let (n_cuts, expected) = (cutter.n_cuts(), of_log(dir.path(), "c1"));
    assert!(n_cuts >= 3, "cut {n_cuts} times, and it noticed {n_told}");
    assert_eq!(got, expected);
    assert_message(&client, &turn, &got).await;
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
}

async fn assert_message(client: &Client, turn: &ExternalTurn, got: &[String]) {
    let path = format!("/v1/chats/{}/messages/{}", turn.chat, turn.message);
    let message = client.get(&path).await.expect(200);
    assert_eq!(message["content_text"], text_of(got));
    assert_eq!(message["stream_status"], "completed");
}

/// A turn that is read live while its server is killed, and stopped well, and started again.
async fn follow_restarted(name: &str, read: impl FnOnce(&str) -> Reader) {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), name);
    let options = ServerOptions::new(PROGRAM, dir.path());
    let server = Server::start_well(&options);
    let address = server.base_url().strip_prefix("http://").unwrap().to_owned();
    let options = options.listen(&address);
    let client = Client::new(server.base_url());
    client.create_chat("c1").await;
    let mut turn = client.start_external_turn("c1", "go").await;
    let mut reader = read(&client.url("/v1/chats/c1/stream?until=idle"));
    client.append(&mut turn, &step(0)).await;
    reader.wait_for(5);
    server.kill();
    let server = Server::start_well(&options);
    client.append(&mut turn, &step(1)).await;
    reader.wait_for(7);
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    let server = Server::start_well(&options);
    client.append(&mut turn, &step(2)).await;
    client.append(&mut turn, &[complete()]).await;
    let (got, n_told) = reader.end();
    assert_eq!(got, of_log(dir.path(), "c1"), "after {n_told} cuts");
    assert_message(&client, &turn, &got).await;
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node.js and npm's eventsource: tests/run interop"]
async fn eventsource_goes_on_by_itself_over_a_connection_that_breaks() {
    follow_cut("interop-node-cut", Reader::node).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node.js and npm's eventsource: tests/run interop"]
async fn eventsource_goes_on_by_itself_after_its_server_was_restarted() {
    follow_restarted("interop-node-restart", Reader::node).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python and PyPI's httpx-sse: tests/run interop"]
async fn httpx_sse_resumes_over_a_connection_that_breaks() {
    follow_cut("interop-python-cut", Reader::python).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python and PyPI's httpx-sse: tests/run interop"]
async fn httpx_sse_resumes_after_its_server_was_restarted() {
    follow_restarted("interop-python-restart", Reader::python).await;
}
