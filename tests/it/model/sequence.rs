//! One sequence of steps: done to a server and to the model, and compared after each.

use axum::body::Body;
use axum::http::Request;
use scrollback::clock::Clock;
use scrollback_schema::Millis;
use scrollback_test_support::wait::{eventually, within};
use serde_json::{Value, json};

use super::compare;
use super::history::{Ev, Proto};
use super::names::Names;
use super::op::{Call, Op, ReaderOp, Restart, Step};
use super::provider::{Held, Place, Word, event};
use super::readers::Reader;
use super::server::Server;
use super::world::{Expected, Sabotage, World};

/// When every sequence begins.
const BEGIN: &str = "2026-11-22T20:52:00.123Z";

/// Readers that a sequence has at most.
const READERS_MAX: usize = 5;

/// A sequence under way.
pub(super) struct Sequence {
    server: Server,
    clock: Clock,
    held: Held,
    world: World,
    names: Names,
    /// Reads everything from the first event on, and is cut by restarts alone.
    recorder: Reader,
    readers: Vec<Reader>,
    /// What happened, in words that the same seed gives again.
    said: String,
    n_steps: usize,
}

impl Sequence {
    pub(super) async fn new(sabotage: Option<Sabotage>) -> Sequence {
        let begin = Millis::parse(BEGIN).unwrap();
        let (clock, held) = (Clock::manual(begin), Held::default());
        let server = Server::new(clock.clone(), held.clone()).await;
        let (world, names) = (World::new(begin.get(), sabotage), Names::default());
        let mut recorder = Reader::new(None, false);
        recorder.connect(&server, &names, false).await;
        let (readers, said) = (Vec::new(), String::new());
        Sequence { server, clock, held, world, names, recorder, readers, said, n_steps: 0 }
    }

    pub(super) fn world(&self) -> &World {
        &self.world
    }

    /// Whether the server has said everything that a step names.
    pub(super) fn knows(&self, op: &Op) -> bool {
        op.call().is_none_or(|call| self.names.know(&call))
    }

    /// Which readers are connected; none beyond as many as there may be.
    pub(super) fn connected(&self) -> Vec<bool> {
        self.readers.iter().map(Reader::is_connected).collect()
    }

    /// Does a step and compares.
    pub(super) async fn step(&mut self, step: &Step) {
        self.n_steps += 1;
        let open = self.open_turn(&step.op);
        let expected = self.world.expect(step);
        self.act(step, open.as_ref(), &expected).await;
        self.see(&expected).await;
        self.note(step, &expected);
        self.readers_go_on(&step.op).await;
        self.compare(&step.op, &expected).await;
    }

    /// The turn that a provider speaks in, by the server's name.
    fn open_turn(&self, op: &Op) -> Option<Place> {
        let (Op::Say { chat, .. } | Op::End { chat, .. }) = op else { return None };
        let open = self.world.chats[chat].open().unwrap();
        let real = |name: &str| self.names.real(name).to_owned();
        Some((real(chat), real(&open.turn)))
    }

    async fn act(&mut self, step: &Step, turn: Option<&Place>, expected: &Expected) {
        match &step.op {
            Op::Again { kept, is_other } => {
                let kept = self.world.kept[*kept].clone();
                self.call(&kept.call, Some(&kept.key), *is_other, expected).await;
            }
            Op::Say { said, .. } => {
                for (kind, payload) in said {
                    self.held.let_say(turn.unwrap(), Word::Event(Box::new(event(kind, payload))));
                }
            }
            Op::End { failure, .. } => {
                let word = failure.map_or(Word::End, Word::Failure);
                self.held.let_say(turn.unwrap(), word);
            }
            Op::Clock { ms } => self.clock.advance_ms(*ms),
            Op::Sweep => self.server.log().sweep_leases().await,
            Op::Rebuild { name, is_check } => self.rebuild(name, *is_check).await,
            Op::Restart { how } => self.restart(*how).await,
            Op::Reader(_) => {}
            op => {
                let call = op.call().unwrap();
                self.call(&call, step.key.as_deref(), false, expected).await;
            }
        }
    }

    async fn call(&mut self, call: &Call, key: Option<&str>, is_other: bool, expected: &Expected) {
        let mut request =
            Request::builder().method(call.method.clone()).uri(self.names.path(&call.path));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let mut body = match &call.body {
            Value::Null => String::new(),
            body => self.names.json(body).to_string(),
        };
        if is_other {
            body.push_str(if body.is_empty() { "{}" } else { " " });
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let (status, came) = self.server.answer(request.body(Body::from(body)).unwrap()).await;
        let what = format!("{} {}", call.method, call.path);
        assert_eq!(status, expected.status, "{what}: {came}, expected {}", expected.answer);
        if status < 300 {
            compare::assert_shown(&mut self.names, &what, &expected.answer, &came);
        } else {
            assert_eq!(came["code"], expected.answer["code"], "{what}: {came}");
        }
    }

    async fn rebuild(&mut self, name: &str, is_check: bool) {
        self.server.keep_views().await;
        let path = format!("/v1/projections/{name}/rebuild");
        let (status, came) = self.server.post(&path, &json!({ "check": is_check })).await;
        assert_eq!(status, 202, "{came}");
        let server = &self.server;
        let done = eventually("the end of a rebuild", async || {
            let list = server.get("/v1/projections").await;
            let items = list["items"].as_array().unwrap();
            let rebuild = &items.iter().find(|item| item["name"] == name).unwrap()["rebuild"];
            let is_over = rebuild["state"] == "done" || rebuild["state"] == "failed";
            is_over.then(|| rebuild.clone())
        })
        .await;
        let check = if is_check { json!("equal") } else { Value::Null };
        assert_eq!((&done["state"], &done["check"]), (&json!("done"), &check), "{name}: {done}");
    }

    async fn restart(&mut self, how: Restart) {
        for reader in self.readers.iter_mut().chain([&mut self.recorder]) {
            reader.cut();
        }
        self.server.restart(how).await;
        self.server.resume().await;
        self.recorder.connect(&self.server, &self.names, false).await;
    }

    /// Sees the events that are expected: nothing is compared before they are there.
    async fn see(&mut self, expected: &Expected) {
        let mut left: Vec<Proto> = expected.stored.clone();
        let mut seen: Vec<Ev> = Vec::new();
        let at = self.world.at();
        let mut seq = self.world.head;
        while !left.is_empty() {
            if left.iter().all(|proto| proto.is_hidden) {
                panic!("what is hidden comes first");
            }
            let came = self.recorder.next().await;
            let came_seq = came["seq"].as_u64().unwrap();
            let names = &self.names;
            let is_of = |proto: &Proto| names.real(&proto.chat) == came["chatId"];
            let place = left.iter().position(is_of);
            let place = place.unwrap_or_else(|| panic!("nobody expects {came}, but {left:?}"));
            let mut said = left.remove(place);
            if said.is_hidden {
                seq += 1;
                seen.push(Ev { seq, at, said });
                said = left.remove(place);
            }
            seq += 1;
            assert_eq!(seq, came_seq, "seqs are dense: {came}");
            let event = Ev { seq, at, said };
            compare::assert_shown(
                &mut self.names,
                "an event",
                &super::views::envelope(&event),
                &came,
            );
            seen.push(event);
        }
        self.world.note(seen);
        assert_eq!(self.server.log().head().get(), self.world.head, "nothing else is stored");
    }

    /// Writes down what happened, without what the order of chats decides.
    fn note(&mut self, step: &Step, expected: &Expected) {
        let mut stored: Vec<String> = expected
            .stored
            .iter()
            .map(|proto| {
                let (mut payload, chat) = (proto.payload.clone(), &proto.chat);
                if let Some(fields) = payload.as_object_mut() {
                    fields.remove("forked_at_seq");
                }
                format!("{chat} {} {:?} {payload}", proto.kind, proto.turn)
            })
            .collect();
        stored.sort_by(|a, b| a.split(' ').next().cmp(&b.split(' ').next()));
        let name = format!("{:?}", step.op);
        let name = name.split(' ').next().unwrap_or_default();
        let code = &expected.answer["code"];
        self.said
            .push_str(&format!("{name} {:?} {} {code} {stored:?}\n", step.key, expected.status));
    }

    async fn readers_go_on(&mut self, op: &Op) {
        match op {
            Op::Reader(ReaderOp::Open { chat, is_lazy, has_snapshot }) => {
                if self.readers.len() >= READERS_MAX {
                    self.readers.remove(0);
                }
                let mut reader = Reader::new(chat.clone(), *is_lazy);
                let snapshot = reader.connect(&self.server, &self.names, *has_snapshot).await;
                if let (Some(chat), Some(came)) = (chat, snapshot) {
                    compare::snapshot(&mut self.names, &self.world, chat, &came);
                }
                self.readers.push(reader);
            }
            Op::Reader(ReaderOp::Cut { reader, n_frames }) => {
                let reader = &mut self.readers[*reader];
                reader.take(&self.world, *n_frames).await;
                reader.cut();
            }
            Op::Reader(ReaderOp::Resume { reader }) => {
                let reader = &mut self.readers[*reader];
                reader.connect(&self.server, &self.names, false).await;
            }
            _ => {}
        }
        for reader in self.readers.iter_mut().filter(|reader| !reader.is_lazy) {
            reader.take(&self.world, usize::MAX).await;
            compare::bytes(reader, &self.recorder);
        }
    }

    async fn compare(&mut self, op: &Op, expected: &Expected) {
        let Sequence { server, names, world, .. } = self;
        if let Op::Delete { .. } = op {
            server.forget_views();
        }
        let mut touched: Vec<&String> = expected.stored.iter().map(|proto| &proto.chat).collect();
        touched.sort();
        touched.dedup();
        let all: Vec<&String> = world.chats.keys().collect();
        let is_whole = matches!(op, Op::Rebuild { .. } | Op::Restart { .. });
        for chat in if is_whole { &all } else { &touched } {
            compare::chat(server, names, world, chat).await;
        }
        if !touched.is_empty() || is_whole {
            compare::lists(server, names, world).await;
            compare::search(server, names, world, self.n_steps).await;
        }
        let alive: Vec<&String> =
            all.into_iter().filter(|id| !world.chats[*id].is_deleted()).collect();
        if !alive.is_empty() && self.n_steps.is_multiple_of(2) {
            let chat = alive[self.n_steps % alive.len()];
            let events = &world.chats[chat].events;
            let at_seq = events[self.n_steps * 7 % events.len()].seq;
            compare::chat_at(server, names, world, chat, at_seq).await;
        }
    }

    /// Looks at everything once more, and ends the server; what happened, as text.
    pub(super) async fn end(mut self) -> String {
        for id in self.world.chats.keys() {
            compare::chat(&self.server, &mut self.names, &self.world, id).await;
        }
        let chats: Vec<Option<String>> = self.world.chats.keys().cloned().map(Some).collect();
        let mut readers = std::mem::take(&mut self.readers);
        readers.extend(chats.into_iter().chain([None]).map(|chat| Reader::new(chat, false)));
        for reader in &mut readers {
            if !reader.is_connected() && !reader.is_over {
                reader.connect(&self.server, &self.names, false).await;
            }
            reader.take(&self.world, usize::MAX).await;
            compare::bytes(reader, &self.recorder);
            if !reader.is_over {
                compare::whole(reader, &self.world);
            }
        }
        within("the end of the server", self.server.close()).await;
        self.said
    }
}
