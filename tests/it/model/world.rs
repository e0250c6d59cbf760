//! The model: what a server ought to answer and to store, step by step.
//!
//! Chats, leases, keys, deletion, forks and restarts; turns and queues are in `turns`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::history::{Chat, Ev, Known, Open, Proto, instant, is_terminal};
use super::op::{Call, Op, Restart, Step, Token};

/// What is expected of a step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expected {
    pub(super) status: u16,
    /// The answer; of a problem its code, and what else is named here.
    pub(super) answer: Value,
    /// What is stored; events of several chats in any order.
    pub(super) stored: Vec<Proto>,
}

impl Expected {
    pub(super) fn ok(status: u16, answer: Value, stored: Vec<Proto>) -> Expected {
        Expected { status, answer, stored }
    }

    pub(super) fn problem(status: u16, code: &str) -> Expected {
        Expected { status, answer: json!({ "code": code }), stored: Vec::new() }
    }

    /// Of something that is no call.
    pub(super) fn event(stored: Vec<Proto>) -> Expected {
        Expected { status: 0, answer: Value::Null, stored }
    }
}

/// What a model forgets, to see that somebody notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// An event that is stored.
    Event,
    /// That a key was used.
    Key,
    /// An edit of the queue.
    Edit,
}

/// A call that was answered under a key.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) key: String,
    op: Op,
    pub(super) call: Call,
    pub(super) expected: Expected,
}

/// A producer's right to append.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) epoch: u64,
    pub(super) ms: i64,
    pub(super) renewed_at: i64,
    /// Where its numbers are.
    pub(super) seqs: Vec<u64>,
}

/// Everything that the model knows.
#[derive(Debug, Clone)]
pub(super) struct World {
    /// What the clock says.
    pub(super) now: i64,
    last_at: i64,
    pub(super) head: u64,
    pub(super) chats: BTreeMap<String, Chat>,
    /// By chat and turn.
    pub(super) leases: BTreeMap<(String, String), Lease>,
    pub(super) kept: Vec<Kept>,
    n_fresh: usize,
    sabotage: Option<Sabotage>,
}

impl World {
    pub(super) fn new(now: i64, sabotage: Option<Sabotage>) -> World {
        World {
            now,
            last_at: 0,
            head: 0,
            chats: BTreeMap::new(),
            leases: BTreeMap::new(),
            kept: Vec::new(),
            n_fresh: 0,
            sabotage,
        }
    }

    /// The instant of the next event: it never goes back.
    pub(super) fn at(&self) -> i64 {
        self.now.max(self.last_at)
    }

    /// A name for an id that the server makes.
    pub(super) fn fresh(&mut self) -> String {
        self.n_fresh += 1;
        format!("~id{}", self.n_fresh)
    }

    /// The chat, or what is said of one that is not there.
    pub(super) fn chat(&self, id: &str) -> Result<&Chat, Expected> {
        match self.chats.get(id) {
            None => Err(Expected::problem(404, "chat_not_found")),
            Some(chat) if chat.is_deleted() => Err(Expected::problem(410, "chat_deleted")),
            Some(chat) => Ok(chat),
        }
    }

    /// What a step does; the events are noted once they are seen, by [`World::note`].
    pub(super) fn expect(&mut self, step: &Step) -> Expected {
        let expected = self.of_op(&step.op).unwrap_or_else(|refused| refused);
        if let (Some(key), Some(call)) = (&step.key, step.op.call())
            && (200..300).contains(&expected.status)
        {
            let (key, op, expected) = (key.clone(), step.op.clone(), expected.clone());
            self.kept.push(Kept { key, op, call, expected });
        }
        expected
    }

    fn of_op(&mut self, op: &Op) -> Result<Expected, Expected> {
        Ok(match op {
            Op::Create { body } => return self.create(body),
            Op::Update { chat, body } => return self.one(chat, "chat_updated", body),
            Op::View { chat } => return self.one(chat, "chat_viewed", &json!({})),
            Op::Start { chat, body } => return self.start(chat, body),
            Op::Append { chat, token, first, events } => {
                return self.append(chat, token, *first, events);
            }
            Op::TakeLease { chat, turn } => return self.take_lease(chat, turn),
            Op::Stop { chat, turn, body } => return self.stop(chat, turn, body),
            Op::Queue { chat, body } => return self.queue(chat, body),
            Op::Edit { chat, id, body } => {
                let edited = self.change_queue(chat, id, "queue_edited", body)?;
                match self.sabotage {
                    Some(Sabotage::Edit) => Expected { stored: Vec::new(), ..edited },
                    _ => edited,
                }
            }
            Op::Remove { chat, id } => {
                return self.change_queue(chat, id, "queue_removed", &json!({}));
            }
            Op::Clear { chat } => return self.clear(chat),
            Op::SendNow { chat, id } => return self.send_now(chat, id),
            Op::Respond { chat, request, body } => return self.respond(chat, request, body),
            Op::Fork { chat, body } => return self.fork(chat, body),
            Op::Delete { chat } => return self.delete(chat),
            Op::Again { kept, is_other: true } => {
                debug_assert!(*kept < self.kept.len(), "a call that was kept");
                Expected::problem(409, "idempotency_key_reused")
            }
            Op::Again { kept, is_other: false } if self.sabotage == Some(Sabotage::Key) => {
                return self.of_op(&self.kept[*kept].op.clone());
            }
            Op::Again { kept, is_other: false } => {
                Expected { stored: Vec::new(), ..self.kept[*kept].expected.clone() }
            }
            Op::Say { chat, said } => self.say(chat, said),
            Op::End { chat, failure } => self.end(chat, *failure),
            Op::Clock { ms } => {
                self.now += ms;
                Expected::event(Vec::new())
            }
            Op::Sweep => self.sweep(),
            Op::Restart { how } => self.restart(*how),
            Op::Rebuild { .. } | Op::Reader(_) => Expected::event(Vec::new()),
        })
    }

    /// Notes events that were seen where they stand.
    pub(super) fn note(&mut self, seen: Vec<Ev>) {
        for event in seen {
            self.head = event.seq;
            self.last_at = event.at;
            let chat = self.chats.entry(event.said.chat.clone()).or_default();
            let forgets = self.sabotage == Some(Sabotage::Event) && event.kind() == "tool_started";
            if !forgets {
                chat.events.push(event);
            }
        }
    }

    fn create(&mut self, body: &Value) -> Result<Expected, Expected> {
        let chat = match body["chat_id"].as_str() {
            Some(chosen) => chosen.to_owned(),
            None => self.fresh(),
        };
        self.is_free(&chat)?;
        let mut payload = body.clone();
        payload.as_object_mut().unwrap().remove("chat_id");
        let answer = json!({ "chat_id": chat, "seq": self.head + 1 });
        Ok(Expected::ok(201, answer, vec![Proto::of_chat(&chat, "chat_created", payload)]))
    }

    fn is_free(&self, chat: &str) -> Result<(), Expected> {
        match self.chats.get(chat) {
            None => Ok(()),
            Some(chat) if chat.is_deleted() => Err(Expected::problem(410, "chat_deleted")),
            Some(_) => Err(Expected::problem(409, "chat_exists")),
        }
    }

    fn one(&self, chat: &str, kind: &'static str, body: &Value) -> Result<Expected, Expected> {
        self.chat(chat)?;
        let answer = json!({ "chat_id": chat, "seq": self.head + 1 });
        Ok(Expected::ok(200, answer, vec![Proto::of_chat(chat, kind, body.clone())]))
    }

    /// A lease as an answer shows it.
    pub(super) fn lease_shown(chat: &str, turn: &str, lease: &Lease) -> Value {
        let token = Token::Of { turn: turn.to_owned(), epoch: lease.epoch }.name(chat);
        let expires_at = instant(lease.renewed_at + lease.ms);
        json!({ "token": token, "epoch": lease.epoch, "expires_at": expires_at })
    }

    fn take_lease(&mut self, chat: &str, turn: &str) -> Result<Expected, Expected> {
        let open = self.chat(chat)?.open();
        if !open.is_some_and(|open| open.is_external && open.turn == turn) {
            return Err(Expected::problem(409, "turn_ended"));
        }
        let lease = self.leases.get_mut(&(chat.to_owned(), turn.to_owned())).unwrap();
        lease.epoch += 1;
        let lease = World::lease_shown(chat, turn, lease);
        let answer = json!({ "chat_id": chat, "turn_id": turn, "lease": lease });
        Ok(Expected::ok(200, answer, Vec::new()))
    }

    fn append(
        &mut self,
        chat: &str,
        token: &Token,
        first: u64,
        events: &Value,
    ) -> Result<Expected, Expected> {
        let (at, next_seq) = (self.at(), self.head + 1);
        let room = self.chat(chat)?.clone();
        let Token::Of { turn, epoch } = token else {
            return Err(Expected::problem(403, "lease_invalid"));
        };
        let events = events.as_array().unwrap();
        let place = (chat.to_owned(), turn.clone());
        let lease = self.leases[&place].clone();
        let open = room.open().filter(|open| open.turn == *turn);
        let stored_before = |expires_at: Value| {
            let last = first + events.len() as u64 - 1;
            let seqs = (lease.seqs.get(first as usize - 1)?, lease.seqs.get(last as usize - 1)?);
            let answer =
                json!({ "first_seq": seqs.0, "last_seq": seqs.1, "expires_at": expires_at });
            Some(Expected::ok(200, answer, Vec::new()))
        };
        let Some(open) = open else {
            return stored_before(Value::Null).ok_or(Expected::problem(409, "turn_ended"));
        };
        if *epoch != lease.epoch {
            return Err(Expected::problem(409, "lease_fenced"));
        }
        if first != lease.seqs.len() as u64 + 1 {
            let gap = Expected::problem(409, "number_gap");
            let expires_at = instant(lease.renewed_at + lease.ms);
            return stored_before(expires_at).ok_or(gap);
        }
        let mut stored = World::admitted(&room, chat, &open, events, at)?;
        let lease = self.leases.get_mut(&place).unwrap();
        lease.renewed_at = at;
        lease.seqs.extend((next_seq..).take(events.len()));
        let has_ended = stored.last().is_some_and(|last| is_terminal(last.kind));
        let expires_at = if has_ended { Value::Null } else { instant(at + lease.ms) };
        let last_seq = next_seq + events.len() as u64 - 1;
        let answer =
            json!({ "first_seq": next_seq, "last_seq": last_seq, "expires_at": expires_at });
        if has_ended {
            let after = room.with(&stored, at);
            stored.extend(self.hand_over(chat, &after, None));
        }
        Ok(Expected::ok(200, answer, stored))
    }

    /// What a producer says, if the rules allow all of it.
    fn admitted(
        room: &Chat,
        chat: &str,
        open: &Open,
        events: &[Value],
        at: i64,
    ) -> Result<Vec<Proto>, Expected> {
        let mut stored: Vec<Proto> = Vec::new();
        for event in events {
            if stored.last().is_some_and(|last| is_terminal(last.kind)) {
                return Err(Expected::problem(409, "turn_ended"));
            }
            let (kind, mut payload) = (kind(event), event["payload"].clone());
            if kind.ends_with("_request") {
                let id = payload["request_id"].as_str().unwrap();
                if room.with(&stored, at).request(id) != Known::Never {
                    return Err(Expected::problem(409, "id_taken"));
                }
            }
            complete_payload(kind, &mut payload, at - open.at);
            stored.push(Proto::of_turn(chat, open, kind, payload));
        }
        Ok(stored)
    }

    fn delete(&mut self, chat: &str) -> Result<Expected, Expected> {
        let room = self.chat(chat)?;
        let mut stored = Vec::new();
        if let Some(open) = room.open() {
            let mut end = World::cancelled(chat, &open, "user", self.at());
            end.is_hidden = true;
            stored.push(end);
        }
        stored.push(Proto::of_chat(chat, "chat_deleted", json!({})));
        let answer = json!({ "chat_id": chat, "seq": self.head + stored.len() as u64 });
        Ok(Expected::ok(200, answer, stored))
    }

    pub(super) fn cancelled(chat: &str, open: &Open, reason: &str, at: i64) -> Proto {
        let payload =
            json!({ "status": "interrupted", "reason": reason, "duration_ms": at - open.at });
        Proto::of_turn(chat, open, "cancelled", payload)
    }

    /// Ends the turns whose lease ran out.
    fn sweep(&mut self) -> Expected {
        let mut stored = Vec::new();
        for (chat, room) in self.chats.clone() {
            if let Some(end) = self.expired(&chat, &room) {
                let after = room.with(std::slice::from_ref(&end), self.at());
                stored.push(end);
                stored.extend(self.hand_over(&chat, &after, None));
            }
        }
        Expected::event(stored)
    }

    fn expired(&self, chat: &str, room: &Chat) -> Option<Proto> {
        let open = room.open().filter(|open| open.is_external)?;
        let lease = &self.leases[&(chat.to_owned(), open.turn.clone())];
        let is_over = lease.renewed_at + lease.ms <= self.now;
        is_over.then(|| World::cancelled(chat, &open, "lease_expired", self.at()))
    }

    /// What the end of a server and the start of the next one leave in the log.
    fn restart(&mut self, how: Restart) -> Expected {
        let mut stored = Vec::new();
        for (chat, mut room) in self.chats.clone() {
            let at = self.at();
            let is_running = room.open().is_some_and(|open| !open.is_external);
            let end = match (is_running, how) {
                (true, Restart::Clean) => World::interrupted(&chat, &room, "shutdown", at),
                (true, _) => vec![World::cancelled(&chat, &room.open().unwrap(), "restart", at)],
                (false, _) => self.expired(&chat, &room).into_iter().collect(),
            };
            room = room.with(&end, at);
            stored.extend(end);
            stored.extend(self.hand_over(&chat, &room, None));
        }
        Expected::event(stored)
    }
}

/// The kind of an event of an append.
fn kind(event: &Value) -> &'static str {
    let name = event["kind"].as_str().unwrap();
    scrollback_schema::Kind::from_name(name).unwrap().name()
}

/// Fills in what the server adds to a producer's payload.
pub(super) fn complete_payload(kind: &str, payload: &mut Value, took_ms: i64) {
    let given = payload["duration_ms"].as_u64().unwrap_or(0);
    match kind {
        "complete" => payload["status"] = json!("completed"),
        "cancelled" => payload["status"] = json!("interrupted"),
        "usage" if payload.get("percentage").is_none() => {
            let n = |name: &str| payload[name].as_f64().unwrap_or(0.0);
            let (said, window) = (n("input_tokens") + n("output_tokens"), n("context_window"));
            let full = if window > 0.0 { said * 100.0 / window } else { 0.0 };
            payload["percentage"] = json!(full.min(100.0));
        }
        _ => {}
    }
    if is_terminal(kind) {
        payload["duration_ms"] = json!(if given > 0 { given } else { took_ms as u64 });
    }
}
