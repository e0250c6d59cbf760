//! The model's turns and queues: who starts, who ends, what waits, and what a hand-off stores.

use serde_json::{Value, json};

use super::history::{Chat, Known, Open, Proto, is_terminal};
use super::world::{Expected, Lease, World, complete_payload};

/// The provider of turns that name none.
pub(super) const PROVIDER: &str = "held";

impl World {
    pub(super) fn start(&mut self, chat: &str, body: &Value) -> Result<Expected, Expected> {
        let is_external = body["provider"] == "external";
        let room = self.chat(chat)?.clone();
        let mut id = |name: &str| match body[name].as_str() {
            Some(chosen) => chosen.to_owned(),
            None => self.fresh(),
        };
        let (user, message) = (id("user_message_id"), id("message_id"));
        let turn = id("turn_id");
        if room.has_message(&user) {
            return Err(Expected::problem(409, "id_taken"));
        }
        if room.open().is_some() {
            return match body["if_busy"].as_str() {
                Some("queue" | "send_now") if !is_external => self.wait(chat, &room, body),
                _ => Err(Expected::problem(409, "chat_busy")),
            };
        }
        if room.turns().contains(&turn.as_str()) || room.has_message(&message) || user == message {
            return Err(Expected::problem(409, "id_taken"));
        }
        let at = self.at();
        let open = Open { turn, message, seq: 0, at, is_external };
        let origin = if is_external { "external" } else { "user" };
        let mut stored = World::begin(chat, &open, &user, body, origin);
        if !is_external {
            stored.extend(title(chat, &room, body["text"].as_str().unwrap()));
        }
        let mut answer = json!({
            "chat_id": chat, "user_message_id": user, "message_id": open.message,
            "turn_id": open.turn, "resume_after_seq": self.head, "lease": null,
        });
        if is_external {
            let ms = body["lease_ms"].as_i64().unwrap();
            let lease = Lease { epoch: 1, ms, renewed_at: at, seqs: Vec::new() };
            answer["lease"] = World::lease_shown(chat, &open.turn, &lease);
            self.leases.insert((chat.to_owned(), open.turn), lease);
        }
        Ok(Expected::ok(202, answer, stored))
    }

    /// The user's message and the start of its turn.
    fn begin(chat: &str, open: &Open, user: &str, body: &Value, origin: &str) -> Vec<Proto> {
        let mut said = json!({ "text": body["text"] });
        if let Some(files) = body.get("attachments") {
            said["attachments"] = files.clone();
        }
        let provider = body["provider"].as_str().unwrap_or(PROVIDER);
        let mut started =
            json!({ "provider": provider, "user_message_id": user, "origin": origin });
        if let Some(model) = body["model"].as_str() {
            started["model"] = json!(model);
        }
        vec![
            Proto { message: Some(user.to_owned()), ..Proto::of_chat(chat, "user_text", said) },
            Proto::of_turn(chat, open, "stream_started", started),
        ]
    }

    /// Puts a message into the queue of a busy chat.
    fn wait(&mut self, chat: &str, room: &Chat, body: &Value) -> Result<Expected, Expected> {
        let id = body["queued_message_id"].as_str().unwrap();
        let mut queued = json!({ "queued_message_id": id, "content": body["text"] });
        for name in ["attachments", "provider", "model"] {
            if let Some(value) = body.get(name) {
                queued[name] = value.clone();
            }
        }
        if room.queued(id) != Known::Never {
            return Err(Expected::problem(409, "id_taken"));
        }
        let mut stored = vec![Proto::of_chat(chat, "message_queued", queued)];
        let is_now = body["if_busy"] == "send_now";
        if is_now {
            let now = json!({ "queued_message_id": id });
            stored.push(Proto::of_chat(chat, "queue_send_now", now));
        }
        let seq = self.head + stored.len() as u64;
        if is_now {
            let after = room.with(&stored, self.at());
            stored.extend(self.interrupt(chat, &after, "send_now"));
        }
        let answer = json!({ "chat_id": chat, "queued_message_id": id, "seq": seq });
        Ok(Expected::ok(202, answer, stored))
    }

    /// The start of what waits first, if the chat is idle; `prior` is the turn that makes way.
    pub(super) fn hand_over(
        &mut self,
        chat: &str,
        room: &Chat,
        prior: Option<&Open>,
    ) -> Vec<Proto> {
        let queue = room.queue();
        if room.is_deleted() || room.open().is_some() || queue.is_empty() {
            return Vec::new();
        }
        let (id, item) = (&queue[0].id, &queue[0].item);
        let (user, message, turn) = (self.fresh(), self.fresh(), self.fresh());
        let mut taken = json!({
            "queued_message_id": id, "user_message_id": user,
            "assistant_message_id": message, "turn_id": turn,
        });
        if let Some(prior) = prior {
            taken["prior_turn_id"] = json!(prior.turn);
            taken["prior_duration_ms"] = json!((self.now - prior.at).max(0));
        }
        let mut body = json!({ "text": item["content"] });
        for name in ["attachments", "provider", "model"] {
            if let Some(value) = item.get(name).filter(|value| !value.is_null()) {
                body[name] = value.clone();
            }
        }
        let open = Open { turn, message, seq: 0, at: self.at(), is_external: false };
        let origin = if item["send_now"] == true { "send_now" } else { "queue" };
        let mut stored = vec![Proto::of_chat(chat, "queue_processing", taken)];
        stored.extend(World::begin(chat, &open, &user, &body, origin));
        if prior.is_none() {
            stored.extend(title(chat, room, body["text"].as_str().unwrap()));
        }
        stored
    }

    /// What the end of an open turn that is interrupted stores, whoever runs it.
    pub(super) fn interrupted(chat: &str, room: &Chat, reason: &str, at: i64) -> Vec<Proto> {
        let Some(open) = room.open() else { return Vec::new() };
        let mut stored = World::dismissed(chat, room, &open);
        if !open.is_external {
            let error = Some(format!("interrupted: {reason}"));
            stored.extend(World::closed_tools(chat, room, &open, error.as_deref()));
        }
        stored.push(World::cancelled(chat, &open, reason, at));
        stored
    }

    /// Requests that nobody has answered: a task of the server ends them by their ids, others as
    /// they were asked.
    fn dismissed(chat: &str, room: &Chat, open: &Open) -> Vec<Proto> {
        let mut pending = room.pending();
        if !open.is_external {
            pending.sort_by(|a, b| a.id.cmp(&b.id));
        }
        let dismiss = |pending: &super::history::Pending| {
            let kind = match pending.is_permission {
                true => "permission_resolved",
                false => "elicitation_resolved",
            };
            let payload = json!({ "request_id": pending.id, "outcome": "dismissed" });
            Proto::of_turn(chat, open, kind, payload)
        };
        pending.iter().map(dismiss).collect()
    }

    fn closed_tools(chat: &str, room: &Chat, open: &Open, error: Option<&str>) -> Vec<Proto> {
        let close = |(id, name): &(String, String)| {
            let mut tool = json!({ "id": id, "name": name });
            let kind = if error.is_some() { "tool_failed" } else { "tool_completed" };
            if let Some(error) = error {
                tool["error"] = json!(error);
            }
            Proto::of_turn(chat, open, kind, json!({ "tool": tool }))
        };
        room.open_tools(&open.turn).iter().map(close).collect()
    }

    /// The end of the open turn and what takes its place.
    fn interrupt(&mut self, chat: &str, room: &Chat, reason: &str) -> Vec<Proto> {
        let open = room.open();
        let mut stored = World::interrupted(chat, room, reason, self.at());
        let after = room.with(&stored, self.at());
        stored.extend(self.hand_over(chat, &after, open.as_ref()));
        stored
    }

    pub(super) fn stop(
        &mut self,
        chat: &str,
        turn: &str,
        body: &Value,
    ) -> Result<Expected, Expected> {
        let room = self.chat(chat)?.clone();
        let mut stored = Vec::new();
        if room.open().is_some_and(|open| open.turn == turn) {
            let mut asked = json!({ "turn_id": turn });
            if let Some(by) = body.get("by") {
                asked["by"] = by.clone();
            }
            stored.push(Proto::of_chat(chat, "cancel_requested", asked));
            let after = room.with(&stored, self.at());
            stored.extend(self.interrupt(chat, &after, "user"));
        }
        Ok(Expected::ok(202, json!({ "chat_id": chat, "turn_id": turn }), stored))
    }

    pub(super) fn queue(&mut self, chat: &str, body: &Value) -> Result<Expected, Expected> {
        let room = self.chat(chat)?.clone();
        let id = body["queued_message_id"].as_str().unwrap();
        if room.queued(id) != Known::Never {
            return Err(Expected::problem(409, "id_taken"));
        }
        let mut stored = vec![Proto::of_chat(chat, "message_queued", body.clone())];
        let answer = json!({ "chat_id": chat, "queued_message_id": id, "seq": self.head + 1 });
        let after = room.with(&stored, self.at());
        stored.extend(self.hand_over(chat, &after, None));
        Ok(Expected::ok(202, answer, stored))
    }

    pub(super) fn change_queue(
        &mut self,
        chat: &str,
        id: &str,
        kind: &'static str,
        body: &Value,
    ) -> Result<Expected, Expected> {
        match self.chat(chat)?.queued(id) {
            Known::Never => return Err(Expected::problem(404, "queued_message_not_found")),
            Known::Closed => return Err(Expected::problem(409, "queued_message_gone")),
            Known::Open => {}
        }
        let mut payload = body.clone();
        payload["queued_message_id"] = json!(id);
        let answer = json!({ "chat_id": chat, "queued_message_id": id, "seq": self.head + 1 });
        Ok(Expected::ok(200, answer, vec![Proto::of_chat(chat, kind, payload)]))
    }

    pub(super) fn clear(&mut self, chat: &str) -> Result<Expected, Expected> {
        let remove = |id: &str| {
            let payload = json!({ "queued_message_id": id });
            Proto::of_chat(chat, "queue_removed", payload)
        };
        let queue = self.chat(chat)?.queue();
        let stored: Vec<Proto> = queue.iter().map(|queued| remove(&queued.id)).collect();
        let seq = self.head + stored.len() as u64;
        let answer = json!({ "chat_id": chat, "seq": seq, "n_removed": stored.len() });
        Ok(Expected::ok(200, answer, stored))
    }

    pub(super) fn send_now(&mut self, chat: &str, id: &str) -> Result<Expected, Expected> {
        let expected = self.change_queue(chat, id, "queue_send_now", &json!({}))?;
        let mut stored = expected.stored;
        let after = self.chat(chat)?.with(&stored, self.at());
        stored.extend(self.interrupt(chat, &after, "send_now"));
        Ok(Expected::ok(202, expected.answer, stored))
    }

    pub(super) fn respond(
        &mut self,
        chat: &str,
        request: &str,
        body: &Value,
    ) -> Result<Expected, Expected> {
        let room = self.chat(chat)?;
        match room.request(request) {
            Known::Never => return Err(Expected::problem(404, "request_not_found")),
            Known::Closed => return Err(Expected::problem(409, "request_answered")),
            Known::Open => {}
        }
        let pending = room.pending().into_iter().find(|pending| pending.id == request).unwrap();
        let open = room.open().unwrap();
        let outcome = body["outcome"].as_str().unwrap_or("selected");
        let mut payload = json!({ "request_id": request, "outcome": outcome });
        let (kind, says) = match pending.is_permission {
            true => ("permission_resolved", "option_id"),
            false => ("elicitation_resolved", "content"),
        };
        if pending.is_permission && outcome == "selected" && body.get(says).is_none()
            || !pending.is_permission && body.get("option_id").is_some()
        {
            return Err(Expected::problem(422, "bad_body"));
        }
        for name in [says, "by"] {
            if let Some(value) = body.get(name) {
                payload[name] = value.clone();
            }
        }
        let answer = json!({
            "chat_id": chat, "request_id": request, "outcome": outcome, "seq": self.head + 1,
        });
        Ok(Expected::ok(200, answer, vec![Proto::of_turn(chat, &open, kind, payload)]))
    }

    /// A provider says something, which is stored as it is.
    pub(super) fn say(&mut self, chat: &str, said: &[(&'static str, Value)]) -> Expected {
        let open = self.chats[chat].open().unwrap();
        let store = |(kind, payload): &(&'static str, Value)| {
            let mut payload = payload.clone();
            complete_payload(kind, &mut payload, 0);
            Proto::of_turn(chat, &open, kind, payload)
        };
        debug_assert!(said.iter().all(|(kind, _)| !is_terminal(kind)), "a provider just ends");
        Expected::event(said.iter().map(store).collect())
    }

    /// A provider ends.
    pub(super) fn end(&mut self, chat: &str, failure: Option<&str>) -> Expected {
        let (room, at) = (self.chats[chat].clone(), self.at());
        let open = room.open().unwrap();
        let duration_ms = at - open.at;
        let failed = |code: &str, message: &str, retryable: bool| {
            json!({
                "code": code, "message": message, "phase": "stream", "retryable": retryable,
                "duration_ms": duration_ms,
            })
        };
        let empty = "the provider ended the turn without an answer";
        let (kind, payload) = match failure {
            Some(sentence) => ("error", failed("provider_transport", sentence, true)),
            None if !room.has_answer(&open.turn) => {
                ("error", failed("empty_response", empty, true))
            }
            None => ("complete", json!({ "status": "completed", "duration_ms": duration_ms })),
        };
        let mut stored = World::dismissed(chat, &room, &open);
        let error = payload["message"].as_str();
        stored.extend(World::closed_tools(chat, &room, &open, error));
        stored.push(Proto::of_turn(chat, &open, kind, payload.clone()));
        let after = room.with(&stored, at);
        stored.extend(self.hand_over(chat, &after, Some(&open)));
        Expected::event(stored)
    }
}

/// The title that a chat without one gets with its first message; the texts of the sequences are
/// lines that are short enough.
fn title(chat: &str, room: &Chat, text: &str) -> Option<Proto> {
    let is_new = room.title().is_none() && room.n_messages() == 0;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let named = is_new && !words.is_empty();
    named.then(|| Proto::of_chat(chat, "chat_updated", json!({ "title": words })))
}
