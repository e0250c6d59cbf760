//! The appends of a large log, from a seed: thousands of chats, a few dozen of which speak at a
//! time, deltas of about 20 bytes, and now and then a message that is very long.
//!
//! Where `workload` looks for every rule, this looks like what a busy server writes.

use scrollback_schema::error_code::ErrorCode;
use scrollback_schema::event::{
    AssistantText, ChatCreated, Complete, Origin, Phase, StreamStarted, ToolEvent, TurnError,
    Usage, UserText,
};
use scrollback_schema::{ChatId, Event, MessageId, NewEvent, TurnId};

use crate::rng::Rng;
use crate::workload::Step;

/// Deltas of a message that is very long.
pub const LONG_DELTAS: usize = 50_000;

/// One in so many messages is very long.
const LONG_ONE_IN: usize = 1_500;

/// Appends of [`Deltas::round`], at most one a speaking chat.
#[derive(Debug)]
pub struct Deltas {
    rng: Rng,
    /// How many turns each chat has had; 0 of a chat that does not exist yet.
    n_turns: Vec<u32>,
    speaking: Vec<Speaker>,
    n_begun: usize,
    /// The longest message so far: its chat, its turn, its deltas.
    longest: (usize, u32, usize),
}

/// A chat with an open turn.
#[derive(Debug)]
struct Speaker {
    chat: usize,
    n_left: usize,
}

impl Deltas {
    /// Appends to `n_chats` chats, of which `n_speaking` have an open turn.
    ///
    /// # Panics
    ///
    /// If fewer chats exist than speak.
    pub fn new(seed: u64, n_chats: usize, n_speaking: usize) -> Deltas {
        assert!(n_speaking < n_chats, "a chat is free when a turn ends");
        Deltas {
            rng: Rng::new(seed),
            n_turns: vec![0; n_chats],
            speaking: (0..n_speaking).map(|chat| Speaker { chat, n_left: 0 }).collect(),
            n_begun: n_speaking,
            longest: (0, 0, 0),
        }
    }

    /// One append of each chat that speaks, all of different chats.
    pub fn round(&mut self) -> Vec<Step> {
        (0..self.speaking.len()).flat_map(|at| self.next(at)).collect()
    }

    /// Ends every open turn.
    pub fn close(&mut self) -> Vec<Step> {
        let open = self.speaking.iter_mut().filter(|speaker| speaker.n_left > 0);
        let ends = open.map(|speaker| {
            speaker.n_left = 0;
            let complete = Event::Complete(Complete { duration_ms: 5 });
            step(speaker.chat, vec![of_turn(self.n_turns[speaker.chat], complete)])
        });
        ends.collect()
    }

    /// The chat, the turn and the assistant's message that had the most deltas so far.
    pub fn longest(&self) -> (String, String, String) {
        let (chat, turn, _) = self.longest;
        (format!("chat-{chat}"), format!("t{turn}"), format!("a{turn}"))
    }

    fn next(&mut self, at: usize) -> Option<Step> {
        let chat = self.speaking[at].chat;
        if self.speaking[at].n_left == 0 {
            return Some(self.begin(at));
        }
        let n_deltas = self.rng.between(1, 24).min(self.speaking[at].n_left);
        let turn = self.n_turns[chat];
        let mut events: Vec<NewEvent> =
            (0..n_deltas).map(|_| of_turn(turn, delta(&mut self.rng))).collect();
        self.speaking[at].n_left -= n_deltas;
        if self.rng.one_in(60) {
            events.extend(tool(&mut self.rng).map(|event| of_turn(turn, event)));
        }
        if self.speaking[at].n_left == 0 {
            events.extend(end(&mut self.rng).map(|event| of_turn(turn, event)));
            self.hand_over(at);
        }
        Some(step(chat, events))
    }

    /// Lets another chat speak: a new one at times, else one that was there before.
    fn hand_over(&mut self, at: usize) {
        let n_chats = self.n_turns.len();
        if self.n_begun < n_chats && self.rng.one_in(3) {
            self.speaking[at].chat = self.n_begun;
            self.n_begun += 1;
            return;
        }
        let chat = self.rng.below(self.n_begun);
        if self.speaking.iter().all(|speaker| speaker.chat != chat) {
            self.speaking[at].chat = chat;
        }
    }

    fn begin(&mut self, at: usize) -> Step {
        let chat = self.speaking[at].chat;
        let is_new = self.n_turns[chat] == 0;
        self.n_turns[chat] += 1;
        let turn = self.n_turns[chat];
        let n_deltas =
            if self.rng.one_in(LONG_ONE_IN) { LONG_DELTAS } else { self.rng.between(20, 300) };
        self.speaking[at].n_left = n_deltas;
        if n_deltas > self.longest.2 {
            self.longest = (chat, turn, n_deltas);
        }
        let mut events = Vec::new();
        if is_new {
            let title = Some(format!("Chat number {chat}"));
            let created = ChatCreated { title, ..ChatCreated::default() };
            events.push(NewEvent::of_chat(Event::ChatCreated(created)));
        }
        let user = MessageId::parse(&format!("u{turn}")).expect("a message id");
        let asked = UserText { text: text(&mut self.rng, 90), attachments: Vec::new() };
        let started = StreamStarted {
            provider: "scripted".to_owned(),
            model: Some("model-1".to_owned()),
            user_message_id: Some(user.clone()),
            origin: Origin::User,
        };
        events.push(NewEvent { message: Some(user), turn: None, event: Event::UserText(asked) });
        events.push(of_turn(turn, Event::StreamStarted(started)));
        step(chat, events)
    }
}

fn step(chat: usize, events: Vec<NewEvent>) -> Step {
    Step { chat: ChatId::parse(&format!("chat-{chat}")).expect("a chat id"), events }
}

fn of_turn(turn: u32, event: Event) -> NewEvent {
    let id = TurnId::parse(&format!("t{turn}")).expect("a turn id");
    NewEvent::of_turn(id, MessageId::parse(&format!("a{turn}")).expect("a message id"), event)
}

fn delta(rng: &mut Rng) -> Event {
    let n_chars = rng.between(12, 28);
    Event::AssistantText(AssistantText { text: text(rng, n_chars) })
}

fn text(rng: &mut Rng, n_chars: usize) -> String {
    const WORDS: [&str; 8] =
        ["revenue ", "grew ", "by ", "14 % ", "in the ", "third ", "quarter, ", "and "];
    let mut text = String::with_capacity(n_chars + 10);
    while text.len() < n_chars {
        text.push_str(rng.pick::<&str>(&WORDS));
    }
    text.truncate(n_chars);
    text
}

fn tool(rng: &mut Rng) -> [Event; 2] {
    let tool = ToolEvent {
        id: format!("call-{}", rng.bits()),
        name: "read_file".to_owned(),
        ..ToolEvent::default()
    };
    [Event::ToolStarted(tool.clone()), Event::ToolCompleted(tool)]
}

fn end(rng: &mut Rng) -> [Event; 2] {
    let usage = Usage { input_tokens: Some(900), output_tokens: Some(300), ..Usage::default() };
    let end = if rng.one_in(50) {
        Event::Error(TurnError {
            code: ErrorCode::ProviderTimeout,
            message: "no answer in time".to_owned(),
            phase: Phase::Stream,
            retryable: true,
            duration_ms: 5,
        })
    } else {
        Event::Complete(Complete { duration_ms: 5 })
    };
    [Event::Usage(usage), end]
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use scrollback_schema::Kind;

    use super::*;

    #[test]
    fn turns_end_once_and_a_seed_gives_the_same_log() {
        let steps = || {
            let mut deltas = Deltas::new(7, 300, 16);
            let mut steps: Vec<Step> = (0..600).flat_map(|_| deltas.round()).collect();
            steps.extend(deltas.close());
            steps
        };
        let once = steps();
        assert_eq!(once, steps());
        let (mut open, mut n_deltas): (HashMap<&ChatId, Option<&TurnId>>, usize) =
            (HashMap::new(), 0);
        let mut turns = HashSet::new();
        for step in &once {
            for new in &step.events {
                let turn = open.entry(&step.chat).or_default();
                match new.event.kind() {
                    Kind::StreamStarted => {
                        assert!(turn.is_none() && turns.insert((&step.chat, &new.turn)));
                        *turn = new.turn.as_ref();
                    }
                    kind if kind.is_terminal() => assert!(turn.take() == new.turn.as_ref()),
                    kind => n_deltas += usize::from(kind == Kind::AssistantText),
                }
            }
        }
        assert!(open.len() > 50 && open.values().all(Option::is_none));
        assert!(n_deltas > 50_000, "{n_deltas}");
    }
}
