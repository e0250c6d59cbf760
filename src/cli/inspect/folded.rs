//! Rows folded from the log: a bounded number in memory, the others in a scratch database, so that
//! memory does not grow with the log.

use std::collections::HashMap;

use anyhow::Context;
use rusqlite::{Connection, OptionalExtension, params};
use scrollback_projections::chat::{Chat, Chats};
use scrollback_projections::{Projection, Reads, Touch};
use scrollback_schema::{Kind, Recorded, Seq};

use super::fold;
use crate::cli::output::say;
use crate::sqlite::open_scratch;

/// Chats in memory: those that were touched since the others were put away.
const CHATS_MAX: usize = 8_192;

/// In which order chats are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As they were created.
    Created,
    /// The latest active one last.
    Activity,
}

/// The rows.
pub(super) struct Folded {
    scratch: Connection,
    chats: HashMap<Seq, Chat>,
    chats_max: usize,
}

impl Folded {
    /// No rows yet.
    pub(super) fn new() -> anyhow::Result<Folded> {
        Folded::with_chats_max(CHATS_MAX)
    }

    fn with_chats_max(chats_max: usize) -> anyhow::Result<Folded> {
        let open = || -> Result<Connection, rusqlite::Error> {
            let scratch = open_scratch()?;
            scratch.execute_batch(include_str!("folded.sql"))?;
            Ok(scratch)
        };
        let scratch = open().context("cannot make a temporary file; check TMPDIR")?;
        Ok(Folded { scratch, chats: HashMap::new(), chats_max })
    }

    /// Folds an event into its chat; says what does not fit.
    pub(super) fn chat_event(&mut self, event: &Recorded) -> anyhow::Result<()> {
        match Chats::touches(event) {
            Touch::Nothing => {}
            Touch::Chat => {
                self.chats.remove(&event.chat.created);
                self.scratch
                    .prepare_cached("DELETE FROM chat WHERE created = ?1")?
                    .execute([event.chat.created.as_i64()])?;
            }
            Touch::Row(created) => {
                let mut row = self.take_chat(created, event)?;
                if let Some(cause) = fold::<Chats>(&mut row, event) {
                    say(&cause);
                }
                self.chats.extend(row.map(|row| (created, row)));
                if self.chats.len() > self.chats_max {
                    self.put_away()?;
                }
            }
        }
        Ok(())
    }

    fn take_chat(&mut self, created: Seq, event: &Recorded) -> anyhow::Result<Option<Chat>> {
        if let Some(chat) = self.chats.remove(&created) {
            return Ok(Some(chat));
        }
        if event.seq == created {
            return Ok(None);
        }
        let body: Option<Vec<u8>> = self
            .scratch
            .prepare_cached("SELECT body FROM chat WHERE created = ?1")?
            .query_row([created.as_i64()], |row| row.get(0))
            .optional()?;
        Ok(body.map(|body| Chat::decode(&body)).transpose()?)
    }

    fn put_away(&mut self) -> Result<(), rusqlite::Error> {
        let mut put = self.scratch.prepare_cached(
            "INSERT OR REPLACE INTO chat (created, activity, body) VALUES (?, ?, ?)",
        )?;
        for (created, chat) in self.chats.drain() {
            put.execute(params![created.as_i64(), chat.last_activity_at.get(), chat.encode()])?;
        }
        Ok(())
    }

    /// Calls `f` with every chat.
    pub(super) fn chats(
        &mut self,
        order: Order,
        mut f: impl FnMut(&Folded, &Chat) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.put_away()?;
        let mut statement = self.scratch.prepare(match order {
            Order::Created => "SELECT body FROM chat ORDER BY created",
            Order::Activity => "SELECT body FROM chat ORDER BY activity, created",
        })?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            f(self, &Chat::decode(row.get_ref(0)?.as_blob()?)?)?;
        }
        Ok(())
    }

    /// Keeps a message as it will be shown.
    pub(super) fn put_message(
        &mut self,
        chat: Seq,
        first: Seq,
        shown: &str,
    ) -> Result<(), rusqlite::Error> {
        self.scratch
            .prepare_cached("INSERT INTO message (chat, first_seq, shown) VALUES (?1, ?2, ?3)")?
            .execute(params![chat.as_i64(), first.as_i64(), shown])?;
        Ok(())
    }

    /// Forgets the messages of a chat.
    pub(super) fn drop_messages(&mut self, chat: Seq) -> Result<(), rusqlite::Error> {
        self.scratch
            .prepare_cached("DELETE FROM message WHERE chat = ?1")?
            .execute([chat.as_i64()])?;
        Ok(())
    }

    /// Calls `f` with the messages of a chat, in the order in which they began.
    pub(super) fn messages(
        &self,
        chat: Seq,
        mut f: impl FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut statement = self
            .scratch
            .prepare_cached("SELECT shown FROM message WHERE chat = ?1 ORDER BY first_seq")?;
        let mut rows = statement.query([chat.as_i64()])?;
        while let Some(row) = rows.next()? {
            f(row.get_ref(0)?.as_str()?)?;
        }
        Ok(())
    }
}

/// Stored numbers of the kinds that chats are folded from.
pub(super) fn kinds_of_chats() -> Vec<u16> {
    let read = Kind::ALL.iter().filter(|kind| reads(kind.number()));
    read.map(|kind| kind.number()).collect()
}

/// Whether chats are folded from events of this kind.
pub(super) fn reads(kind: u16) -> bool {
    Kind::from_number(kind).is_some_and(|kind| Chats::reads(kind) != Reads::Nothing)
}

#[cfg(test)]
mod tests {
    use scrollback_test_support::script;

    use super::*;

    fn folded(events: &[Recorded], chats_max: usize) -> (Vec<Chat>, usize) {
        let (mut folded, mut most) = (Folded::with_chats_max(chats_max).unwrap(), 0);
        for event in events.iter().filter(|event| reads(event.body.kind_number())) {
            folded.chat_event(event).unwrap();
            most = most.max(folded.chats.len());
        }
        let mut chats = Vec::new();
        folded
            .chats(Order::Created, |_, chat| {
                chats.push(chat.clone());
                Ok(())
            })
            .unwrap();
        (chats, most)
    }

    #[test]
    fn chats_that_were_put_away_go_on_where_they_were() {
        let mut text = String::new();
        for chat in 0..40 {
            text += &format!("chat c{chat} {{\"title\":\"Number {chat}\"}}\n");
        }
        for round in 0..3 {
            for chat in (0..40).rev() {
                text += &format!("in c{chat}\nuser u{round} \"hello\"\n");
            }
        }
        text += "in c7\nchat_deleted {}\n";
        let events = script::parse(&text).unwrap().recorded();
        let (all, _) = folded(&events, usize::MAX);
        let (bounded, most) = folded(&events, 3);
        assert_eq!(bounded, all);
        assert_eq!((bounded.len(), bounded[0].counts.messages), (39, 3));
        assert!(most <= 3, "{most} chats were in memory at once");
    }

    #[test]
    fn messages_are_kept_by_chat_and_forgotten_with_it() {
        let seq = |n| Seq::new(n).unwrap();
        let mut folded = Folded::new().unwrap();
        for (chat, first) in [(1, 9), (2, 4), (1, 3), (2, 6)] {
            folded.put_message(seq(chat), seq(first), &format!("{chat}: {first}")).unwrap();
        }
        let shown = |folded: &Folded, chat| {
            let mut shown = Vec::new();
            folded
                .messages(seq(chat), |message| {
                    shown.push(message.to_owned());
                    Ok(())
                })
                .unwrap();
            shown
        };
        assert_eq!(shown(&folded, 1), ["1: 3", "1: 9"]);
        folded.drop_messages(seq(1)).unwrap();
        assert_eq!((shown(&folded, 1).len(), shown(&folded, 2).len()), (0, 2));
    }
}
