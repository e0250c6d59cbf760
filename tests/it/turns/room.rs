//! A server whose providers play the test's own scripts, and one chat.

use std::sync::Arc;

use scrollback::provider::Provider;
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::eventually;
use serde_json::{Value, json};

use crate::http::api::Api;

/// A server under test with a chat `c1`.
pub(crate) struct Room {
    pub(crate) api: Api,
    _scripts: TempDir,
}

impl Room {
    /// Each script is a provider of its name; `turns` are the lines of the `[turns]` table.
    pub(crate) async fn new(turns: &str, scripts: &[(&str, &str)]) -> Room {
        Room::with(turns, scripts, &[]).await
    }

    /// The same with providers of the test's own.
    pub(super) async fn with(
        turns: &str,
        scripts: &[(&str, &str)],
        others: &[(&str, Arc<dyn Provider>)],
    ) -> Room {
        let (config, dir) = Room::config(turns, scripts);
        let api = Api::with_providers(&config, others).await;
        api.post("/v1/chats", &json!({ "chat_id": "c1" })).await.expect(201);
        Room { api, _scripts: dir }
    }

    fn config(turns: &str, scripts: &[(&str, &str)]) -> (String, TempDir) {
        let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "scripts");
        let mut config = format!("[turns]\n{turns}\n");
        for (name, script) in scripts {
            let path = dir.path().join(format!("{name}.toml"));
            std::fs::write(&path, script).unwrap();
            config.push_str(&format!("[providers.{name}]\nkind = 'scripted'\n"));
            config.push_str(&format!("script = '{}'\n", path.display()));
        }
        (config, dir)
    }

    /// Starts a turn in `c1`; ids and the rest as the answer has them.
    pub(super) async fn start(&self, provider: &str) -> Value {
        self.start_with(json!({ "provider": provider })).await
    }

    /// The same with further fields.
    pub(super) async fn start_with(&self, mut body: Value) -> Value {
        if body["text"].is_null() {
            body["text"] = json!("go");
        }
        self.api.post("/v1/chats/c1/turns", &body).await.expect(202)
    }

    /// Starts a turn and waits for its end; the message that it made.
    pub(super) async fn run(&self, provider: &str) -> Value {
        let started = self.start(provider).await;
        self.ended(&started).await
    }

    /// The message of a turn, once the turn has ended.
    pub(super) async fn ended(&self, started: &Value) -> Value {
        self.message_when(started, "its end", |m| m["stream_status"] != "in_progress").await
    }

    /// The message of a turn, once it is as the test wants it.
    pub(super) async fn message_when(
        &self,
        started: &Value,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Value {
        let message = started["message_id"].as_str().unwrap();
        let path = format!("/v1/chats/c1/messages/{message}");
        eventually(what, async || {
            let message = self.api.get(&path).await.expect(200);
            is_so(&message).then_some(message)
        })
        .await
    }

    /// The events of `c1` after the chat's creation, `KIND` or `KIND DETAIL` each.
    pub(crate) async fn events(&self) -> Vec<String> {
        let page = self.api.get("/v1/chats/c1/events?after_seq=1&limit=1000").await.expect(200);
        page["items"].as_array().unwrap().iter().map(line).collect()
    }

    /// The events of `c1` once they fulfil a condition.
    pub(super) async fn events_when(
        &self,
        what: &str,
        is_so: impl Fn(&[String]) -> bool,
    ) -> Vec<String> {
        eventually(what, async || {
            let events = self.events().await;
            is_so(&events).then_some(events)
        })
        .await
    }

    /// What of a turn stops it.
    pub(super) async fn stop(&self, started: &Value) -> u16 {
        let turn = started["turn_id"].as_str().unwrap();
        let path = format!("/v1/chats/c1/turns/{turn}/stop");
        self.api.post(&path, &Value::Null).await.status
    }

    pub(crate) async fn status(&self) -> Value {
        self.api.get("/v1/chats/c1/status").await.expect(200)
    }

    /// Waits until nothing runs and nothing waits in `c1`.
    pub(crate) async fn idle(&self) {
        eventually("an idle chat", async || {
            let status = self.status().await;
            (status["open_turn"].is_null() && status["queue_length"] == 0).then_some(())
        })
        .await;
    }
}

fn line(event: &Value) -> String {
    let (kind, payload) = (event["kind"].as_str().unwrap(), &event["payload"]);
    let detail = match kind {
        "assistant_text" | "user_text" => &payload["text"],
        "stream_started" => &payload["origin"],
        "cancelled" => &payload["reason"],
        "error" => &payload["code"],
        "permission_resolved" | "elicitation_resolved" => &payload["outcome"],
        "message_queued" => &payload["content"],
        "chat_updated" => &payload["title"],
        _ => &Value::Null,
    };
    match detail.as_str() {
        Some(detail) => format!("{kind} {detail}"),
        None => kind.to_owned(),
    }
}

/// How often a terminal event is among the lines.
pub(super) fn n_ends(events: &[String]) -> usize {
    let is_end = |event: &&String| {
        let kind = event.split(' ').next().unwrap();
        ["complete", "cancelled", "error"].contains(&kind)
    };
    events.iter().filter(is_end).count()
}
