//! A server that some speakers append to while something fails, and what everybody is to see of it.

use std::path::PathBuf;
use std::process::Command;

use scrollback_schema::Event;
use scrollback_schema::event::AssistantText;
use scrollback_test_support::client::{Answer, Client, ExternalTurn};
use scrollback_test_support::interposer::{self, FaultFile};
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::sse::{Resume, SseReader};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::{eventually, within};
use serde_json::Value;

use crate::fixture::temp_dir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

/// What everybody says, and no log line, metric or cause may.
const SECRET: &str = "xyzzy";

/// Leases that outlive the test.
const CONFIG: &str = "lease_ms = 3600000\n";

/// Lines about one subject that a fault may take at most: that it began, and that it is over.
const LINES_MAX: usize = 2;

/// What came of an append, as its producer was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Stored,
    /// Nothing is stored.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// A producer with a chat and a turn of its own.
#[derive(Debug, Clone)]
pub(super) struct Speaker {
    turn: ExternalTurn,
    n_said: usize,
    said: Vec<(String, Outcome)>,
}

/// A server under faults.
pub(super) struct Trial {
    pub(super) name: String,
    pub(super) dir: TempDir,
    pub(super) faults: FaultFile,
    pub(super) options: ServerOptions,
    pub(super) server: Server,
    pub(super) client: Client,
    pub(super) speakers: Vec<Speaker>,
    /// Reads the first speaker's chat from before the fault on.
    reader: SseReader,
}

impl Speaker {
    pub(super) async fn new(client: &Client, chat: &str) -> Speaker {
        client.create_chat(chat).await;
        let turn = client.start_external_turn(chat, "go").await;
        Speaker { turn, n_said: 0, said: Vec::new() }
    }

    pub(super) fn chat(&self) -> &str {
        &self.turn.chat
    }

    /// Appends a delta, the last one again if nobody knows what became of it; the answer's code.
    pub(super) async fn say(&mut self, client: &Client) -> (Outcome, String) {
        let again = self.said.pop_if(|(_, outcome)| *outcome == Outcome::Unknown);
        let is_again = again.is_some();
        let text = match again {
            Some((text, _)) => text,
            None => format!("{SECRET} {}.{};", self.turn.chat, self.n_said),
        };
        self.n_said += 1;
        let event = Event::AssistantText(AssistantText { text: text.clone() });
        let request = client.append_request(&self.turn, self.turn.next_number, &[event]);
        let answer = Client::send(request).await;
        let (outcome, code) = outcome_of(answer);
        self.turn.next_number += u64::from(outcome == Outcome::Stored);
        // That this call stored nothing says nothing of the one before.
        let known =
            if is_again && outcome == Outcome::Refused { Outcome::Unknown } else { outcome };
        self.said.push((text, known));
        (outcome, code)
    }

    /// How many appends came to this.
    pub(super) fn n_of(&self, outcome: Outcome) -> usize {
        self.said.iter().filter(|(_, came_to)| *came_to == outcome).count()
    }

    /// What readers see while the server lives.
    fn shown(&self) -> String {
        let stored = self.said.iter().filter(|(_, outcome)| *outcome == Outcome::Stored);
        stored.map(|(text, _)| text.as_str()).collect()
    }

    /// Compares what the log says with what the producer was told.
    fn compare(&self, said: &[String]) {
        let mut rest = said.iter();
        for (text, outcome) in &self.said {
            let mut ahead = rest.clone();
            match (outcome, ahead.next() == Some(text)) {
                (Outcome::Stored | Outcome::Unknown, true) => rest = ahead,
                (Outcome::Stored, false) => panic!("lost: {text} in {said:?}"),
                (Outcome::Refused, true) => panic!("refused and stored: {text} in {said:?}"),
                (Outcome::Refused | Outcome::Unknown, false) => {}
            }
        }
        assert_eq!(rest.next(), None, "nobody said it");
    }
}

fn outcome_of(answer: Answer) -> (Outcome, String) {
    match answer.status {
        200 => (Outcome::Stored, "ok".to_owned()),
        status => {
            let code = answer.problem(status);
            match (status, code.as_str()) {
                (507, "storage_failed") | (503, "log_stopped") => (Outcome::Refused, code),
                (503, "outcome_unknown") => (Outcome::Unknown, code),
                _ => panic!("{status} {code}"),
            }
        }
    }
}

/// How a server of a trial is started.
pub(super) fn options(dir: &TempDir, faults: &FaultFile) -> ServerOptions {
    let data = dir.join("data");
    std::fs::create_dir_all(&data).unwrap();
    let (config, library) = (dir.join("scrollback.toml"), dir.join("io_recorder.so"));
    std::fs::write(&config, CONFIG).unwrap();
    if !library.exists() {
        interposer::build(dir.path());
    }
    ServerOptions::new(PROGRAM, &data)
        .args(&["--config", config.to_str().unwrap()])
        .env("LD_PRELOAD", library.to_str().unwrap())
        .env("IO_ROOT", data.to_str().unwrap())
        .env("IO_FAULTS", faults.path().to_str().unwrap())
}

impl Trial {
    /// Starts a server; `n_speakers` have said something before anything fails.
    pub(super) async fn start(name: &str, n_speakers: usize, env: &[(&str, &str)]) -> Trial {
        let dir = temp_dir("faults");
        let faults = FaultFile::new(dir.join("faults"));
        let mut options = options(&dir, &faults);
        for (name, value) in env {
            options = options.env(name, value);
        }
        let server = Server::start_well(&options);
        let client = Client::new(server.base_url());
        let mut speakers = Vec::new();
        for n in 0..n_speakers {
            let mut speaker = Speaker::new(&client, &format!("c{n}")).await;
            assert_eq!(speaker.say(&client).await.0, Outcome::Stored, "{name}");
            speakers.push(speaker);
        }
        let reader = stream(&client, "c0").await;
        Trial { name: name.to_owned(), dir, faults, options, server, client, speakers, reader }
    }

    /// Every speaker speaks at once until it was refused `n_refused` times, at most `n` times.
    pub(super) async fn speak(&mut self, n: usize, n_refused: usize) {
        let client = &self.client;
        let speak = self.speakers.iter_mut().map(async |speaker| {
            let mut n_left = n_refused;
            for _ in 0..n {
                n_left -= usize::from(speaker.say(client).await.0 != Outcome::Stored);
                if n_left == 0 {
                    break;
                }
            }
        });
        futures_util::future::join_all(speak).await;
    }

    /// Waits until it is said everywhere that `subject` does not work, and why.
    pub(super) async fn said_unwell(&self, subject: &str, code: &str) -> Value {
        let what = format!("{}: {subject} {code} in /readyz", self.name);
        let fault = eventually(&what, async || {
            let ready = self.client.get("/readyz").await;
            let faults = ready.body["faults"].as_array()?.clone();
            let is_it = |fault: &Value| fault["subject"] == subject && fault["code"] == code;
            let fault = faults.into_iter().find(is_it)?;
            assert_eq!(ready.status, 503);
            Some(fault)
        })
        .await;
        let metric = format!("scrollback_fault{{subject=\"{subject}\",code=\"{code}\"}} 1");
        let metrics = self.metrics().await;
        assert!(metrics.contains(&metric), "{}: {metric} in {metrics}", self.name);
        self.counted(subject, code).await;
        fault
    }

    /// Waits until it was counted and logged that `subject` did not work, if only for a moment.
    pub(super) async fn counted(&self, subject: &str, code: &str) {
        let metric =
            format!("scrollback_faults_raised_total{{subject=\"{subject}\",code=\"{code}\"}}");
        let what = format!("{}: {metric}", self.name);
        eventually(&what, async || self.metrics().await.contains(&metric).then_some(())).await;
        let (subject, code) = (format!("subject=\"{subject}\""), format!("code=\"{code}\""));
        let is_about = |line: &&str| line.contains(&subject) && line.contains(&code);
        let what = format!("{}: a line about {subject} {code}", self.name);
        let n_lines = eventually(&what, async || {
            let n = self.server.stderr().lines().filter(is_about).count();
            (n > 0).then_some(n)
        })
        .await;
        assert!(n_lines <= LINES_MAX, "{}: {n_lines} lines: {}", self.name, self.server.stderr());
    }

    pub(super) async fn metrics(&self) -> String {
        self.client.get("/metrics").await.body.as_str().unwrap().to_owned()
    }

    /// Everything is read as it was acknowledged: by snapshots, by a new stream, by the one that
    /// was open before, and beside the server.
    pub(super) async fn assert_reads(&mut self) {
        for speaker in &self.speakers {
            let (chat, message) = (&speaker.turn.chat, &speaker.turn.message);
            let path = format!("/v1/chats/{chat}/messages/{message}");
            let read = self.client.get(&path).await.expect(200);
            assert_eq!(read["content_text"], speaker.shown(), "{}", self.name);
        }
        let n_expected = said_in(&self.client, "c0").await.len();
        let mut reader = stream(&self.client, "c0").await;
        let mut n_seen = 0;
        while n_seen < n_expected {
            let frame = within("a frame", reader.frame()).await.expect("the stream goes on");
            n_seen += usize::from(is_said(&frame));
        }
        let mut inspect = Command::new(PROGRAM);
        inspect.args(["inspect", "chats", "--data"]).arg(&self.options.data);
        assert!(inspect.output().unwrap().status.success(), "{}: inspect", self.name);
    }

    /// Without the fault, all is well again without a restart.
    pub(super) async fn assert_recovers(&mut self) {
        self.faults.clear();
        let what = format!("{} to be over", self.name);
        let is_ready = async || (self.client.get("/readyz").await.status == 200).then_some(());
        eventually(&what, is_ready).await;
        for speaker in &mut self.speakers {
            let said = speaker.say(&self.client).await;
            assert_eq!(said.0, Outcome::Stored, "{}: {}", self.name, said.1);
        }
        self.assert_reads().await;
    }

    /// Without the fault, nothing is written until a restart, and that is said.
    pub(super) async fn assert_stays_stopped(&mut self) {
        self.faults.clear();
        for speaker in &mut self.speakers {
            for _ in 0..2 {
                let (outcome, code) = speaker.say(&self.client).await;
                assert_ne!(outcome, Outcome::Stored, "{}", self.name);
                assert_eq!(code, "log_stopped", "{}", self.name);
            }
        }
        let ready = self.client.get("/readyz").await.expect(503);
        assert_eq!(ready["faults"][0]["needs_restart"], true, "{}: {ready}", self.name);
        self.assert_reads().await;
    }

    /// Kills the server, starts it without faults, and compares the log with what was answered;
    /// how often a fault was met.
    pub(super) async fn finish(mut self) -> usize {
        // The reader of before has everything that was acknowledged to the first speaker.
        let stored = self.speakers[0].n_of(Outcome::Stored);
        let mut n_seen = 0;
        while n_seen < stored {
            let frame = within("a frame", self.reader.frame()).await.expect("the stream goes on");
            n_seen += usize::from(is_said(&frame));
        }
        let stderr = self.server.kill();
        assert!(!stderr.contains(SECRET), "{}: text in the log: {stderr}", self.name);
        self.faults.clear();
        let mut options = self.options.clone();
        options.env.retain(|(name, _)| !name.starts_with("FAILPOINTS"));
        let server = Server::start_well(&options);
        let client = Client::new(server.base_url());
        for speaker in &self.speakers {
            speaker.compare(&said_in(&client, speaker.chat()).await);
        }
        client.create_chat("after").await;
        let (status, stderr) = server.stop();
        assert!(status.success(), "{}: {stderr}", self.name);
        for args in [&["verify"][..], &["rebuild", "--check"]] {
            run_well(&self.options.data, args);
        }
        self.faults.n_met()
    }

    /// Whether a file of the data directory has a text in it.
    pub(super) fn files_with(&self, text: &str) -> Vec<PathBuf> {
        let files = self.dir.files().into_iter();
        let in_data = files.filter(|(path, _)| path.starts_with(&self.options.data));
        let has_it = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        in_data.filter(|(_, bytes)| has_it(bytes)).map(|(path, _)| path).collect()
    }
}

/// Runs a command that is to succeed.
#[track_caller]
pub(super) fn run_well(data: &std::path::Path, args: &[&str]) {
    let output = Command::new(PROGRAM).arg("--data").arg(data).args(args).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said));
}

async fn stream(client: &Client, chat: &str) -> SseReader {
    let url = client.url(&format!("/v1/chats/{chat}/stream"));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    SseReader::open(&http, &url, Resume::Beginning).await.unwrap()
}

fn is_said(frame: &scrollback_test_support::sse::Frame) -> bool {
    frame.is_data() && frame.json()["kind"] == "assistant_text"
}

/// The deltas of a chat, as the log has them.
pub(super) async fn said_in(client: &Client, chat: &str) -> Vec<String> {
    let (mut said, mut after) = (Vec::new(), 0);
    loop {
        let path = format!("/v1/chats/{chat}/events?limit=1000&after_seq={after}");
        let page = client.get(&path).await.expect(200);
        for event in page["items"].as_array().unwrap() {
            if event["kind"] == "assistant_text" {
                said.push(event["payload"]["text"].as_str().unwrap().to_owned());
            }
        }
        after = page["next_after_seq"].as_u64().unwrap();
        if after >= page["head_seq"].as_u64().unwrap() {
            return said;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaker(outcome: Outcome) -> Speaker {
        let text = || String::new();
        let turn = ExternalTurn {
            chat: text(),
            turn: text(),
            message: text(),
            user_message: text(),
            token: text(),
            resume_after: 0,
            next_number: 1,
        };
        Speaker { turn, n_said: 1, said: vec![("a".to_owned(), outcome)] }
    }

    #[test]
    fn what_was_not_known_may_be_there_or_not() {
        speaker(Outcome::Unknown).compare(&[]);
        speaker(Outcome::Unknown).compare(&["a".to_owned()]);
        speaker(Outcome::Refused).compare(&[]);
        speaker(Outcome::Stored).compare(&["a".to_owned()]);
    }

    #[test]
    #[should_panic(expected = "lost: a")]
    fn what_was_acknowledged_has_to_be_there() {
        speaker(Outcome::Stored).compare(&[]);
    }

    #[test]
    #[should_panic(expected = "refused and stored: a")]
    fn what_was_refused_must_not_be_there() {
        speaker(Outcome::Refused).compare(&["a".to_owned()]);
    }

    #[test]
    #[should_panic(expected = "nobody said it")]
    fn what_nobody_said_must_not_be_there() {
        speaker(Outcome::Stored).compare(&["a".to_owned(), "b".to_owned()]);
    }
}
