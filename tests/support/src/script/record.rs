//! From appends to recorded events, as a log makes them; its rules are left to the log.

use std::collections::HashMap;

use scrollback_schema::event::Kind;
use scrollback_schema::{
    Body, ChatId, ChatRef, MessageId, Millis, NewEvent, Recorded, Seq, TurnId, TurnRef,
};

use crate::workload::Step;

/// When the first append of a script is committed: 2026-11-22T20:52:00Z.
pub const BEGINS_AT: Millis = Millis::new(1_795_380_720_000);

/// Milliseconds from one append of a script to the next.
pub const APPEND_EVERY_MS: i64 = 1_000;

/// Gives events their seqs, times and numbers, as the log does; it knows no rules.
#[derive(Debug)]
pub struct Recorder {
    /// What was recorded.
    pub events: Vec<Recorded>,
    at: Millis,
    chats: HashMap<ChatId, ChatRef>,
    turns: HashMap<(ChatId, TurnId), TurnRef>,
}

impl Default for Recorder {
    fn default() -> Recorder {
        let at = BEGINS_AT.plus_ms(-APPEND_EVERY_MS);
        Recorder { events: Vec::new(), at, chats: HashMap::new(), turns: HashMap::new() }
    }
}

impl Recorder {
    /// Records an append: its events share an instant.
    pub fn append(&mut self, step: &Step) {
        self.begin();
        for NewEvent { message, turn, event } in &step.events {
            let body = Body::Event(event.clone());
            self.record(&step.chat, turn.as_ref(), message.as_ref(), body);
        }
    }

    /// Erases what a chat holds so far, but for its tombstone.
    pub fn erase(&mut self, chat: &ChatId) {
        for event in self.events.iter_mut().filter(|event| event.chat.id == *chat) {
            if event.kind() != Some(Kind::ChatDeleted) {
                event.body = Body::Erased { kind: event.body.kind_number() };
            }
        }
    }

    /// Records an event of a kind that this program does not know.
    pub fn unknown(&mut self, chat: &ChatId, kind: u16) {
        self.begin();
        let body = Body::Unknown { kind, version: 1, payload: vec![1, 2, 3] };
        self.record(chat, None, None, body);
    }

    /// Lets the clock go on by so many milliseconds.
    pub fn wait(&mut self, ms: i64) {
        self.at = self.at.plus_ms(ms);
    }

    fn begin(&mut self) {
        self.at = self.at.plus_ms(APPEND_EVERY_MS);
    }

    fn record(
        &mut self,
        chat: &ChatId,
        turn: Option<&TurnId>,
        message: Option<&MessageId>,
        body: Body,
    ) {
        let seq = Seq::ZERO.plus(self.events.len() as u64 + 1);
        let chat_ref = self
            .chats
            .entry(chat.clone())
            .or_insert_with(|| ChatRef { id: chat.clone(), created: seq });
        let turn = turn.zip(message).map(|(turn, message)| {
            let turns = self.turns.entry((chat.clone(), turn.clone()));
            turns
                .or_insert_with(|| TurnRef {
                    id: turn.clone(),
                    message: message.clone(),
                    started: seq,
                })
                .clone()
        });
        let (at, chat, message) = (self.at, chat_ref.clone(), message.cloned());
        self.events.push(Recorded { seq, at, chat, message, turn, body });
    }
}
