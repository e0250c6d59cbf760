//! Draws the next step from a seed and from what the model knows.
//!
//! Most steps make sense where they are drawn; some do not, on purpose: ids of before, turns that
//! have ended, leases that were taken over, chats that are gone.

use scrollback_test_support::rng::Rng;
use serde_json::{Value, json};

use super::content;
use super::history::{Chat, Open};
use super::op::{Op, ReaderOp, Restart, Step, Token};
use super::world::World;

/// Chats that a sequence has at most, beside its forks.
const N_CHATS: usize = 4;

/// Draws steps.
#[derive(Debug)]
pub(super) struct Draw {
    rng: Rng,
    n_ids: usize,
    n_keys: usize,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Draw {
        Draw { rng: Rng::new(seed), n_ids: 0, n_keys: 0 }
    }

    /// The next step; `readers` says of each reader whether it is connected.
    pub(super) fn step(&mut self, world: &World, readers: &[bool]) -> Step {
        let op = self.op(world, readers);
        let takes_key = op.call().is_some() && !matches!(op, Op::TakeLease { .. });
        let key = (takes_key && self.rng.one_in(3)).then(|| {
            self.n_keys += 1;
            format!("k{}", self.n_keys)
        });
        Step { op, key }
    }

    fn op(&mut self, world: &World, readers: &[bool]) -> Op {
        match self.rng.below(100) {
            0..5 => self.create(world),
            5..9 => self.time(),
            9..15 if !world.kept.is_empty() => {
                let kept = self.rng.below(world.kept.len());
                Op::Again { kept, is_other: self.rng.one_in(3) }
            }
            15..25 => self.reader(world, readers),
            25..27 => self.whole_server(),
            _ => self.of_chat(world),
        }
    }

    fn create(&mut self, world: &World) -> Op {
        let mut body = json!({});
        let is_new = world.chats.len() < N_CHATS;
        if is_new || !self.rng.one_in(4) {
            let n = if is_new { world.chats.len() } else { self.rng.below(N_CHATS) };
            body["chat_id"] = json!(format!("c{n}"));
        }
        if self.rng.one_in(3) {
            body["title"] = json!(content::words(&mut self.rng, 2));
        }
        if self.rng.one_in(3) {
            body["owner"] = json!("ada");
        }
        if self.rng.one_in(4) {
            body["metadata"] = json!({ "n": self.rng.below(9) });
        }
        Op::Create { body }
    }

    fn time(&mut self) -> Op {
        match self.rng.below(4) {
            0 => Op::Sweep,
            1 => Op::Clock { ms: -(self.rng.between(1, 20_000) as i64) },
            _ => Op::Clock { ms: self.rng.between(1, 40_000) as i64 },
        }
    }

    fn whole_server(&mut self) -> Op {
        if self.rng.one_in(2) {
            let all = scrollback_projections::ALL;
            let name = all[self.rng.below(all.len())].name;
            return Op::Rebuild { name, is_check: self.rng.one_in(2) };
        }
        let all = [
            Restart::Clean,
            Restart::Crash,
            Restart::CrashWithOldViews,
            Restart::CrashWithoutViews,
        ];
        Op::Restart { how: *self.rng.pick(&all) }
    }

    fn reader(&mut self, world: &World, readers: &[bool]) -> Op {
        let connected: Vec<usize> = (0..readers.len()).filter(|&n| readers[n]).collect();
        let gone: Vec<usize> = (0..readers.len()).filter(|&n| !readers[n]).collect();
        Op::Reader(match self.rng.below(3) {
            0 if !connected.is_empty() => {
                ReaderOp::Cut { reader: *self.rng.pick(&connected), n_frames: self.rng.below(12) }
            }
            1 if !gone.is_empty() => ReaderOp::Resume { reader: *self.rng.pick(&gone) },
            _ => ReaderOp::Open {
                chat: self.alive(world).filter(|_| !self.rng.one_in(4)),
                is_lazy: self.rng.one_in(3),
                has_snapshot: self.rng.one_in(3),
            },
        })
    }

    /// A chat that is there.
    fn alive(&mut self, world: &World) -> Option<String> {
        let alive: Vec<&String> =
            world.chats.iter().filter(|(_, chat)| !chat.is_deleted()).map(|(id, _)| id).collect();
        (!alive.is_empty()).then(|| (*self.rng.pick(&alive)).clone())
    }

    fn any_chat(&mut self, world: &World) -> String {
        let all: Vec<&String> = world.chats.keys().collect();
        match self.rng.below(20) {
            0 => "nowhere".to_owned(),
            1 if !all.is_empty() => (*self.rng.pick(&all)).clone(),
            _ => self.alive(world).unwrap_or_else(|| "nowhere".to_owned()),
        }
    }

    fn of_chat(&mut self, world: &World) -> Op {
        let chat = self.any_chat(world);
        let room = world.chats.get(&chat).filter(|room| !room.is_deleted()).cloned();
        let room = room.unwrap_or_default();
        match (self.rng.below(100), room.open()) {
            (0..45, Some(open)) if open.is_external => self.append(world, chat, &room, &open),
            (0..30, Some(_)) => self.say(chat, &room),
            (30..45, Some(_)) => {
                let failure = self.rng.one_in(4).then_some("the line went dead");
                Op::End { chat, failure }
            }
            (0..40, None) => self.start(chat, &room),
            (40..45, None) => self.append_late(world, chat, &room),
            (45..52, _) => self.start(chat, &room),
            (52..70, _) => self.queue(chat, &room),
            (70..76, _) => self.stop(chat, &room),
            (76..84, _) => self.respond(chat, &room),
            (84..87, Some(open)) => Op::TakeLease { chat, turn: open.turn },
            (84..89, _) => Op::View { chat },
            (89..93, _) => self.update(chat),
            (93..97, _) => self.fork(world, chat, &room),
            (97..99, _) => Op::Delete { chat },
            (_, _) => Op::TakeLease { chat, turn: self.turn(&room) },
        }
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.n_ids += 1;
        format!("{prefix}{}", self.n_ids)
    }

    /// A fresh id, now and then one that may be taken.
    fn id(&mut self, prefix: &str) -> String {
        match self.n_ids {
            n if n > 0 && self.rng.one_in(12) => format!("{prefix}{}", self.rng.between(1, n)),
            _ => self.fresh(prefix),
        }
    }

    /// A turn of the chat, mostly the open one.
    fn turn(&mut self, room: &Chat) -> String {
        let turns = room.turns();
        match room.open() {
            Some(open) if !self.rng.one_in(4) => open.turn,
            _ if !turns.is_empty() && !self.rng.one_in(6) => (*self.rng.pick(&turns)).to_owned(),
            _ => "t-unknown".to_owned(),
        }
    }

    fn start(&mut self, chat: String, room: &Chat) -> Op {
        let mut body = json!({ "text": content::words(&mut self.rng, 4) });
        if self.rng.one_in(6) {
            body["attachments"] = content::files(&mut self.rng);
        }
        if self.rng.one_in(4) {
            body["model"] = json!("m");
        }
        if self.rng.one_in(2) {
            body["provider"] = json!("external");
            body["lease_ms"] = json!(self.rng.between(20_000, 60_000));
        } else if self.rng.one_in(2) {
            body["provider"] = json!(super::turns::PROVIDER);
        }
        if self.rng.one_in(3) {
            body["turn_id"] = json!(self.id("t"));
            body["user_message_id"] = json!(self.id("m"));
            body["message_id"] = json!(self.id("m"));
        }
        body["queued_message_id"] = json!(self.id("q"));
        let words = ["reject", "queue", "send_now"];
        let is_busy = room.open().is_some();
        if is_busy || self.rng.one_in(3) {
            body["if_busy"] = json!(words[self.rng.below(3)]);
        }
        Op::Start { chat, body }
    }

    fn append(&mut self, world: &World, chat: String, room: &Chat, open: &Open) -> Op {
        let lease = &world.leases[&(chat.clone(), open.turn.clone())];
        let n = lease.seqs.len() as u64;
        let mut epoch = lease.epoch;
        if epoch > 1 && self.rng.one_in(4) {
            epoch -= 1;
        }
        let token = match self.rng.one_in(40) {
            true => Token::Invented,
            false => Token::Of { turn: open.turn.clone(), epoch },
        };
        let first = match self.rng.below(12) {
            0 => n + 2,
            1 if n > 0 => self.rng.between(1, n as usize) as u64,
            _ => n + 1,
        };
        let events = self.events(room);
        Op::Append { chat, token, first, events }
    }

    /// What a producer sends whose turn is over.
    fn append_late(&mut self, world: &World, chat: String, room: &Chat) -> Op {
        let leased = |turn: &&str| world.leases.contains_key(&(chat.clone(), (*turn).to_owned()));
        let turns: Vec<&str> = room.turns().into_iter().filter(leased).collect();
        if turns.is_empty() {
            return Op::View { chat };
        }
        let turn = (*self.rng.pick(&turns)).to_owned();
        let first = self.rng.between(1, 4) as u64;
        let events = self.events(room);
        Op::Append { chat, token: Token::Of { turn, epoch: 1 }, first, events }
    }

    fn events(&mut self, room: &Chat) -> Value {
        let mut events = Vec::new();
        for _ in 0..self.rng.between(1, 4) {
            events.push(self.event(room, true));
        }
        if self.rng.one_in(5) {
            events.push(content::terminal(&mut self.rng));
        }
        if self.rng.one_in(25) {
            events.push(self.event(room, true));
        }
        let shown = |(kind, payload): (&str, Value)| json!({ "kind": kind, "payload": payload });
        Value::from(events.into_iter().map(shown).collect::<Vec<_>>())
    }

    /// Content of a turn; a request now and then, with an id that may be taken if that is wanted.
    fn event(&mut self, room: &Chat, may_clash: bool) -> (&'static str, Value) {
        if self.rng.one_in(9) && room.pending().len() < 4 {
            let id = if may_clash { self.id("r") } else { self.fresh("r") };
            return content::request(&mut self.rng, &id);
        }
        content::said(&mut self.rng)
    }

    fn say(&mut self, chat: String, room: &Chat) -> Op {
        let n = self.rng.between(1, 4);
        let said = (0..n).map(|_| self.event(room, false)).collect();
        Op::Say { chat, said }
    }

    fn queue(&mut self, chat: String, room: &Chat) -> Op {
        let queue = room.queue();
        let id = match queue.is_empty() || self.rng.one_in(8) {
            true => format!("q{}", self.rng.between(1, self.n_ids.max(1))),
            false => self.rng.pick(&queue).id.clone(),
        };
        match self.rng.below(if queue.is_empty() { 5 } else { 9 }) {
            0..3 => {
                let content = content::words(&mut self.rng, 3);
                let mut body = json!({ "queued_message_id": self.id("q"), "content": content });
                if self.rng.one_in(2) {
                    body["provider"] = json!(super::turns::PROVIDER);
                }
                if self.rng.one_in(6) {
                    body["attachments"] = content::files(&mut self.rng);
                }
                Op::Queue { chat, body }
            }
            3 => Op::Clear { chat },
            4 | 5 => Op::Remove { chat, id },
            6 => {
                let mut body = json!({ "content": content::words(&mut self.rng, 2) });
                if self.rng.one_in(3) {
                    body["provider"] = Value::Null;
                }
                Op::Edit { chat, id, body }
            }
            _ => Op::SendNow { chat, id },
        }
    }

    fn stop(&mut self, chat: String, room: &Chat) -> Op {
        let body = if self.rng.one_in(2) { json!({ "by": "ada" }) } else { Value::Null };
        Op::Stop { chat, turn: self.turn(room), body }
    }

    fn respond(&mut self, chat: String, room: &Chat) -> Op {
        let pending = room.pending();
        let request = match pending.is_empty() || self.rng.one_in(6) {
            true => format!("r{}", self.rng.between(1, self.n_ids.max(1))),
            false => self.rng.pick(&pending).id.clone(),
        };
        let mut body = match self.rng.below(5) {
            0 => json!({ "outcome": "denied" }),
            1 => json!({ "outcome": "dismissed" }),
            2 => json!({ "content": { "n": self.rng.below(5) } }),
            _ => json!({ "option_id": "yes" }),
        };
        if self.rng.one_in(2) {
            body["by"] = json!("ada");
        }
        Op::Respond { chat, request, body }
    }

    fn update(&mut self, chat: String) -> Op {
        let mut body = json!({});
        if self.rng.one_in(2) {
            body["metadata"] = json!({ "n": self.rng.below(9) });
        }
        if body == json!({}) || self.rng.one_in(2) {
            let title = content::words(&mut self.rng, 2);
            body["title"] = if self.rng.one_in(4) { Value::Null } else { json!(title) };
        }
        Op::Update { chat, body }
    }

    fn fork(&mut self, world: &World, chat: String, room: &Chat) -> Op {
        let mut body = json!({ "chat_id": self.id("f") });
        match self.rng.below(8) {
            0 => {}
            1 => body["at_seq"] = json!(world.head + 1),
            2 => body["at_seq"] = json!(room.created().saturating_sub(1)),
            _ if room.events.is_empty() => {}
            _ => body["at_seq"] = json!(self.rng.pick(&room.events).seq),
        }
        Op::Fork { chat, body }
    }
}
