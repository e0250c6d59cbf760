//! What the model remembers of a chat: its events, one after the other, and nothing else.
//!
//! Every question is answered by looking through them from the first one, so that no answer can
//! go stale and none shares a thought with the folds of the product.

use serde_json::{Value, json};

/// An event before it has a place in the log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Proto {
    pub(super) chat: String,
    pub(super) message: Option<String>,
    pub(super) turn: Option<String>,
    pub(super) kind: &'static str,
    pub(super) payload: Value,
    /// Erased before any reader can ask for it.
    pub(super) is_hidden: bool,
}

impl Proto {
    pub(super) fn of_chat(chat: &str, kind: &'static str, payload: Value) -> Proto {
        let chat = chat.to_owned();
        Proto { chat, message: None, turn: None, kind, payload, is_hidden: false }
    }

    pub(super) fn of_turn(chat: &str, open: &Open, kind: &'static str, payload: Value) -> Proto {
        let (turn, message) = (Some(open.turn.clone()), Some(open.message.clone()));
        Proto { turn, message, ..Proto::of_chat(chat, kind, payload) }
    }
}

/// An event of the log.
#[derive(Debug, Clone)]
pub(super) struct Ev {
    pub(super) seq: u64,
    /// Milliseconds since the epoch.
    pub(super) at: i64,
    pub(super) said: Proto,
}

impl Ev {
    pub(super) fn kind(&self) -> &'static str {
        self.said.kind
    }

    /// A text of the payload.
    pub(super) fn text(&self, name: &str) -> &str {
        self.said.payload[name].as_str().unwrap_or_default()
    }
}

/// The turn that is open.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Open {
    pub(super) turn: String,
    pub(super) message: String,
    pub(super) seq: u64,
    pub(super) at: i64,
    pub(super) is_external: bool,
}

/// A message that waits.
#[derive(Debug, Clone)]
pub(super) struct Queued {
    pub(super) id: String,
    pub(super) item: Value,
}

/// A request that waits.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) id: String,
    pub(super) is_permission: bool,
    pub(super) event: Ev,
}

/// What a chat knows of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Never,
    Open,
    Closed,
}

/// A chat: what happened in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Chat {
    pub(super) events: Vec<Ev>,
}

pub(super) fn is_terminal(kind: &str) -> bool {
    matches!(kind, "complete" | "cancelled" | "error")
}

impl Chat {
    /// The chat as it was.
    pub(super) fn at_seq(&self, seq: u64) -> Chat {
        Chat { events: self.events.iter().filter(|event| event.seq <= seq).cloned().collect() }
    }

    /// The chat if these came next, for questions that do not look at seqs.
    pub(super) fn with(&self, protos: &[Proto], at: i64) -> Chat {
        let mut chat = self.clone();
        let mine = protos.iter().filter(|proto| self.id().is_none_or(|id| proto.chat == id));
        let seq = self.events.last().map_or(0, |event| event.seq);
        chat.events.extend(mine.map(|said| Ev { seq, at, said: said.clone() }));
        chat
    }

    fn id(&self) -> Option<&str> {
        self.events.first().map(|event| event.said.chat.as_str())
    }

    pub(super) fn created(&self) -> u64 {
        self.events.first().map_or(0, |event| event.seq)
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.events.last().is_some_and(|event| event.kind() == "chat_deleted")
    }

    pub(super) fn open(&self) -> Option<Open> {
        let mut open = None;
        for event in &self.events {
            if event.kind() == "stream_started" {
                open = Some(Open {
                    turn: event.said.turn.clone().unwrap(),
                    message: event.said.message.clone().unwrap(),
                    seq: event.seq,
                    at: event.at,
                    is_external: event.text("provider") == "external",
                });
            } else if is_terminal(event.kind()) {
                open = None;
            }
        }
        open
    }

    /// Turns that have been, the open one last.
    pub(super) fn turns(&self) -> Vec<&str> {
        let starts = self.events.iter().filter(|event| event.kind() == "stream_started");
        starts.map(|event| event.said.turn.as_deref().unwrap()).collect()
    }

    pub(super) fn has_message(&self, id: &str) -> bool {
        let begins = |event: &&Ev| matches!(event.kind(), "user_text" | "stream_started");
        self.events.iter().filter(begins).any(|event| event.said.message.as_deref() == Some(id))
    }

    pub(super) fn n_messages(&self) -> u64 {
        let begins = |event: &&Ev| matches!(event.kind(), "user_text" | "stream_started");
        self.events.iter().filter(begins).count() as u64
    }

    pub(super) fn title(&self) -> Option<&str> {
        let says = |event: &&Ev| {
            event.kind() == "chat_created"
                || event.kind() == "chat_updated" && event.said.payload.get("title").is_some()
        };
        self.events.iter().rev().find(says).and_then(|event| event.said.payload["title"].as_str())
    }

    /// What waits, the next one first.
    pub(super) fn queue(&self) -> Vec<Queued> {
        let mut queue: Vec<Queued> = Vec::new();
        for event in &self.events {
            let id = event.text("queued_message_id").to_owned();
            let place = queue.iter().position(|queued| queued.id == id);
            let payload = &event.said.payload;
            match (event.kind(), place) {
                ("message_queued", _) => {
                    let mut item = json!({
                        "queued_message_id": id, "content": payload["content"],
                        "provider": payload["provider"], "model": payload["model"],
                        "send_now": false, "queued_seq": event.seq,
                        "queued_at": instant(event.at), "edited_at": null,
                    });
                    if let Some(files) = payload.get("attachments") {
                        item["attachments"] = files.clone();
                    }
                    queue.push(Queued { id, item });
                }
                ("queue_edited", Some(place)) => {
                    let item = &mut queue[place].item;
                    for name in ["content", "provider", "model"] {
                        if let Some(value) = payload.get(name) {
                            item[name] = value.clone();
                        }
                    }
                    item["edited_at"] = instant(event.at);
                }
                ("queue_send_now", Some(place)) => {
                    let mut queued = queue.remove(place);
                    queued.item["send_now"] = json!(true);
                    queue.insert(0, queued);
                }
                ("queue_removed" | "queue_processing", Some(place)) => {
                    queue.remove(place);
                }
                _ => {}
            }
        }
        queue
    }

    pub(super) fn queued(&self, id: &str) -> Known {
        let is_waiting = self.queue().iter().any(|queued| queued.id == id);
        let was_there = self
            .events
            .iter()
            .any(|e| e.kind() == "message_queued" && e.text("queued_message_id") == id);
        known(is_waiting, was_there)
    }

    /// Requests that wait, the oldest first.
    pub(super) fn pending(&self) -> Vec<Pending> {
        let mut pending: Vec<Pending> = Vec::new();
        for event in &self.events {
            let id = event.text("request_id");
            match event.kind() {
                "permission_request" | "elicitation_request" => pending.push(Pending {
                    id: id.to_owned(),
                    is_permission: event.kind() == "permission_request",
                    event: event.clone(),
                }),
                "permission_resolved" | "elicitation_resolved" => pending.retain(|p| p.id != id),
                kind if is_terminal(kind) => pending.clear(),
                _ => {}
            }
        }
        pending
    }

    pub(super) fn request(&self, id: &str) -> Known {
        let asks =
            |event: &&Ev| matches!(event.kind(), "permission_request" | "elicitation_request");
        let was_there = self.events.iter().filter(asks).any(|e| e.text("request_id") == id);
        known(self.pending().iter().any(|pending| pending.id == id), was_there)
    }

    /// What the open turn has said so far.
    pub(super) fn of_turn<'a>(&'a self, turn: &'a str) -> impl Iterator<Item = &'a Ev> {
        self.events.iter().filter(move |event| event.said.turn.as_deref() == Some(turn))
    }

    /// Calls of the turn that have begun and not ended: id and latest name, as they began.
    pub(super) fn open_tools(&self, turn: &str) -> Vec<(String, String)> {
        let mut tools: Vec<(String, String)> = Vec::new();
        for event in self.of_turn(turn) {
            let tool = &event.said.payload["tool"];
            let id = tool["id"].as_str().unwrap_or_default();
            let name = tool["name"].as_str().unwrap_or_default().to_owned();
            match event.kind() {
                "tool_started" => match tools.iter_mut().find(|(open, _)| open == id) {
                    Some(open) => open.1 = name,
                    None => tools.push((id.to_owned(), name)),
                },
                "tool_completed" | "tool_failed" => tools.retain(|(open, _)| open != id),
                _ => {}
            }
        }
        tools
    }

    /// Whether the turn has said anything that counts as an answer.
    pub(super) fn has_answer(&self, turn: &str) -> bool {
        self.of_turn(turn).any(|event| match event.kind() {
            "assistant_text" => !event.text("text").trim().is_empty(),
            kind => kind.starts_with("tool_") || kind == "plan",
        })
    }
}

fn known(is_open: bool, was_there: bool) -> Known {
    match (is_open, was_there) {
        (true, _) => Known::Open,
        (false, true) => Known::Closed,
        (false, false) => Known::Never,
    }
}

/// An instant as clients see it.
pub(super) fn instant(ms: i64) -> Value {
    json!(scrollback_schema::Millis::new(ms).to_string())
}
