//! One failure, four ways of looking: a live reader, one that was away, a page that reloads, and a
//! person who looks into the files. All of them see the same events, and the error once.
//!
//! ```ignore
//! let witnesses = Witnesses::before(&server, "c1").await;
//! let started = client.post("/v1/chats/c1/turns", &body).await.expect(202);
//! let failed = witnesses.assert_failure_seen_everywhere(&started, &expected).await;
//! ```

use serde_json::Value;

use crate::client::Client;
use crate::inspect::{inspect, json};
use crate::server::Server;
use crate::sse::{Collected, Frame, Resume, SseReader};
use crate::wait::within;

/// How a turn is expected to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedFailure {
    /// The code of the closed list.
    pub code: &'static str,
    /// `setup`, `stream`, `tool` or `storage`.
    pub phase: &'static str,
    /// Whether a retry can help.
    pub retryable: bool,
    /// What was said before, and stays; empty if nothing was.
    pub partial_text: &'static str,
    /// A part of the sentence that a person reads; empty if any will do.
    pub message_part: &'static str,
}

/// Readers of a chat that were there before its turn.
pub struct Witnesses<'a> {
    server: &'a Server,
    client: Client,
    http: reqwest::Client,
    chat: String,
    live: SseReader,
    away: Option<SseReader>,
    after: u64,
}

impl std::fmt::Debug for Witnesses<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witnesses").field("chat", &self.chat).finish_non_exhaustive()
    }
}

impl<'a> Witnesses<'a> {
    /// Lets readers of a chat take their places.
    ///
    /// # Panics
    ///
    /// If the server grants no stream.
    pub async fn before(server: &'a Server, chat: &str) -> Witnesses<'a> {
        let (client, http) = (Client::new(server.base_url()), reqwest::Client::new());
        let after = client.head(chat).await;
        let url = client.url(&format!("/v1/chats/{chat}/stream"));
        let open = async || {
            SseReader::open(&http, &url, Resume::After(after)).await.expect("a stream is granted")
        };
        let (live, away) = (open().await, Some(open().await));
        Witnesses { server, client, http, chat: chat.to_owned(), live, away, after }
    }

    /// Waits for the failure of the turn that `started` answers, and has everybody tell it; the
    /// message as a reload shows it.
    ///
    /// # Panics
    ///
    /// If somebody tells it otherwise.
    pub async fn assert_failure_seen_everywhere(
        mut self,
        started: &Value,
        expected: &ExpectedFailure,
    ) -> Value {
        let turn = started["turn_id"].as_str().expect("a turn was started").to_owned();
        // The one that goes away sees the turn begin, and not how it ends.
        let mut back = Collected::after(self.after);
        if let Some(mut away) = self.away.take() {
            back.take(&away.named("stream").await);
        }
        let live = until_end(&mut self.live, &turn, Collected::after(self.after)).await;
        let end = last_event(&live, &turn);
        assert_error_event(&end, expected);
        assert_eq!(n_ends(&live, &turn), 1, "a turn has one end");

        let url = self.client.url(&format!("/v1/chats/{}/stream", self.chat));
        let mut reader = SseReader::open(&self.http, &url, Resume::After(back.cursor))
            .await
            .expect("a stream is granted");
        let back = until_end(&mut reader, &turn, back).await;
        let bytes =
            |collected: &Collected| String::from_utf8_lossy(&collected.bytes()).into_owned();
        assert_eq!(bytes(&back), bytes(&live), "who was away gets the same bytes");

        let message = self.reload(started).await;
        assert_message(&message, expected);
        self.assert_snapshot_frame(&message).await;
        self.assert_inspected(&live, &turn, &message);
        message
    }

    async fn reload(&self, started: &Value) -> Value {
        let id = started["message_id"].as_str().expect("a turn makes a message");
        let path = format!("/v1/chats/{}/messages/{id}", self.chat);
        self.client.get(&path).await.expect(200)
    }

    /// A page that loads with a snapshot shows the same message.
    async fn assert_snapshot_frame(&self, message: &Value) {
        let url = self.client.url(&format!("/v1/chats/{}/stream?snapshot=true", self.chat));
        let mut reader = SseReader::open(&self.http, &url, Resume::Beginning)
            .await
            .expect("a stream is granted");
        let snapshot = reader.named("snapshot").await.json();
        let messages = snapshot["messages"].as_array().expect("a snapshot has messages");
        let found = messages.iter().find(|found| found["id"] == message["id"]);
        assert_eq!(found, Some(&without_as_of(message)), "the snapshot shows the same");
    }

    /// The files say the same, the server running.
    fn assert_inspected(&self, live: &Collected, turn: &str, message: &Value) {
        let id = message["id"].as_str().expect("a message has an id");
        let shown = self.inspect(&["message", id, "--chat", &self.chat, "--json"]);
        let shown: Value = serde_json::from_str(&shown).expect("one JSON value");
        assert_eq!(without_as_of(&shown), without_as_of(message), "inspect shows the same message");
        let lines = self.inspect(&["events", "--chat", &self.chat, "--turn", turn, "--json"]);
        let lines: Vec<Value> = lines.lines().map(json).collect();
        let seen: Vec<Value> = envelopes(live).filter(|event| is_of(event, turn)).collect();
        assert_eq!(lines, seen, "inspect shows the same events");
    }

    fn inspect(&self, args: &[&str]) -> String {
        inspect(self.server.program(), self.server.data(), args)
            .unwrap_or_else(|stderr| panic!("inspect {args:?}: {stderr}"))
    }
}

fn without_as_of(message: &Value) -> Value {
    let mut message = message.clone();
    if let Some(fields) = message.as_object_mut() {
        fields.remove("as_of_seq");
    }
    message
}

/// Reads on until the turn has ended.
async fn until_end(reader: &mut SseReader, turn: &str, mut collected: Collected) -> Collected {
    within("the end of the turn", async {
        loop {
            let frame: Frame = reader.frame().await.expect("the stream goes on");
            collected.take(&frame);
            if frame.is_data() && is_end(&frame.json(), turn) {
                return collected;
            }
        }
    })
    .await
}

fn envelopes(collected: &Collected) -> impl Iterator<Item = Value> {
    collected.frames.values().map(|frame| {
        let text = std::str::from_utf8(frame).expect("frames are UTF-8");
        let data = text.lines().find_map(|line| line.strip_prefix("data: "));
        json(data.expect("a data frame has data"))
    })
}

fn is_of(event: &Value, turn: &str) -> bool {
    event["streamId"] == turn
}

fn is_end(event: &Value, turn: &str) -> bool {
    let kind = event["kind"].as_str().unwrap_or_default();
    is_of(event, turn) && ["complete", "cancelled", "error"].contains(&kind)
}

fn last_event(collected: &Collected, turn: &str) -> Value {
    envelopes(collected).filter(|event| is_of(event, turn)).last().expect("a turn has events")
}

fn n_ends(collected: &Collected, turn: &str) -> usize {
    envelopes(collected).filter(|event| is_end(event, turn)).count()
}

fn assert_error_event(end: &Value, expected: &ExpectedFailure) {
    assert_eq!(end["kind"], "error", "{end}");
    assert_error(&end["payload"], expected);
}

fn assert_error(error: &Value, expected: &ExpectedFailure) {
    assert_eq!(error["code"], expected.code, "{error}");
    assert_eq!(error["phase"], expected.phase, "{error}");
    assert_eq!(error["retryable"], expected.retryable, "{error}");
    let message = error["message"].as_str().expect("an error has a message");
    assert!(message.contains(expected.message_part), "{error}");
}

fn assert_message(message: &Value, expected: &ExpectedFailure) {
    assert_eq!(message["stream_status"], "failed", "{message}");
    let events = message["content_render"]["events"].as_array().expect("entries");
    let errors: Vec<&Value> = events.iter().filter(|entry| entry["error"].is_object()).collect();
    assert_eq!(errors.len(), 1, "the error is shown once: {message}");
    assert_eq!(errors[0]["type"], "assistant_text", "who knows only text can show it: {message}");
    assert_error(&errors[0]["error"], expected);
    let text = errors[0]["text"].as_str().expect("an entry has a text");
    assert!(text.starts_with("\n\nError: "), "{text:?}");
    let said = events.iter().filter(|entry| entry["type"] == "assistant_text");
    let said = said.filter(|entry| entry["error"].is_null());
    let said: String = said.filter_map(|entry| entry["text"].as_str()).collect();
    assert_eq!(said, expected.partial_text, "what was said stays: {message}");
}
