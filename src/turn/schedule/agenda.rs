//! Which chat has to be looked at next: one time a chat. Pure.

use std::collections::{BTreeSet, HashMap};

use scrollback_schema::{ChatRef, Millis, Seq};

/// The chats that have a schedule which runs some day.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    by_time: BTreeSet<(Millis, Seq)>,
    chats: HashMap<Seq, (Millis, ChatRef)>,
}

impl Agenda {
    /// Notes when a chat has to be looked at; in place of what was noted before.
    pub(super) fn set(&mut self, chat: ChatRef, at: Millis) {
        self.forget(chat.created);
        self.by_time.insert((at, chat.created));
        self.chats.insert(chat.created, (at, chat));
    }

    /// A chat need not be looked at.
    pub(super) fn forget(&mut self, chat: Seq) {
        if let Some((at, _)) = self.chats.remove(&chat) {
            self.by_time.remove(&(at, chat));
        }
    }

    /// When the next chat has to be looked at.
    pub(super) fn next_at(&self) -> Option<Millis> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the chat that has waited longest of those to be looked at by now.
    pub(super) fn take_due(&mut self, now: Millis) -> Option<ChatRef> {
        let (at, chat) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.pop_first();
        self.chats.remove(&chat).map(|(_, chat)| chat)
    }
}

#[cfg(test)]
mod tests {
    use scrollback_schema::ChatId;

    use super::*;

    fn chat(n: u64) -> ChatRef {
        ChatRef { id: ChatId::parse(&format!("c{n}")).unwrap(), created: Seq::new(n).unwrap() }
    }

    #[test]
    fn chats_come_by_their_time_and_only_once() {
        let mut agenda = Agenda::default();
        for (n, at) in [(1, 30), (2, 10), (3, 20), (1, 5), (4, 15)] {
            agenda.set(chat(n), Millis::new(at));
        }
        agenda.forget(chat(4).created);
        assert_eq!(agenda.next_at(), Some(Millis::new(5)));
        assert_eq!(agenda.take_due(Millis::new(4)), None);
        let mut taken = Vec::new();
        while let Some(chat) = agenda.take_due(Millis::new(20)) {
            taken.push(chat);
        }
        assert_eq!(taken, [chat(1), chat(2), chat(3)]);
        assert_eq!(agenda.next_at(), None);
    }
}
