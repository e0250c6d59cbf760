//! Which events are wanted: what was typed, and what of the log has to be read for it.

use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use scrollback_schema::{ChatId, Kind, MessageId, Recorded, Seq, TurnId};

use super::Stretch;
use super::sieve::Sieve;
use crate::cli::preview::text_of;
use crate::cli::range::{SeqRange, When};
use crate::clock::Clock;
use crate::log::offline::OfflineLog;
use crate::log::{Scope, Section};

/// Chats that a walk is narrowed to at most.
const CHATS_MAX: usize = 100;

/// Which events are wanted; all that is given has to hold.
#[derive(Debug, Default, Args)]
pub(crate) struct Filter {
    /// Take the events of this chat
    #[arg(long, value_name = "CHAT")]
    pub(crate) chat: Option<ChatId>,
    /// Take the events of this message
    #[arg(long, value_name = "MESSAGE")]
    pub(crate) message: Option<MessageId>,
    /// Take the events of this turn
    #[arg(long, value_name = "TURN")]
    pub(crate) turn: Option<TurnId>,
    /// Take the events of these kinds, by name or number
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = parse_kind)]
    pub(crate) kind: Vec<u16>,
    /// Take these seqs: 42, 42..99, 42.. or ..99, both ends included
    #[arg(long, value_name = "RANGE", allow_negative_numbers = true)]
    pub(crate) seq: Option<SeqRange>,
    /// Take what was committed at this instant or later: 2026-11-22T20:52:00Z, 2026-11-22, 15m, 2h
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<When>,
    /// Take what was committed at this instant or before
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<When>,
    /// Take events whose text contains this, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
}

fn parse_kind(text: &str) -> Result<u16, String> {
    if let Some(kind) = Kind::from_name(text) {
        return Ok(kind.number());
    }
    text.parse().map_err(|_| {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("no such kind; known are {}", names.join(", "))
    })
}

/// A filter whose names were looked up.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What has to be read.
    pub(crate) stretch: Stretch,
    message: Option<MessageId>,
    /// Turns by the seq of their start, in order.
    turns: Option<Vec<Seq>>,
    kinds: Vec<u16>,
    text: Option<String>,
}

impl Filter {
    /// Looks up what the filter names; `head` is the last seq that is wanted.
    pub(crate) fn plan(&self, log: &mut OfflineLog, head: Seq) -> anyhow::Result<Plan> {
        let range = self.seq.unwrap_or(SeqRange::ALL);
        let text = self.text.as_ref().map(|text| text.to_lowercase());
        let mut stretch = Stretch {
            scope: Scope::All,
            kinds: self.kind.clone(),
            sieve: text.as_deref().and_then(Sieve::of).map(Arc::new),
            after: range.first.prev(),
            until: range.last.min(head),
        };
        if let Some(id) = &self.chat {
            let chat = find_chat(log, id)?;
            stretch.scope = Scope::Chat(chat);
            stretch.after = stretch.after.max(chat.prev());
        }
        let turns = self.find_turns(log, &mut stretch)?;
        let now = Clock::System.now();
        if let Some(since) = self.since {
            stretch.after = stretch.after.max(log.seq_before(since.resolve(now))?);
        }
        if let Some(until) = self.until {
            let behind = until.resolve(now).plus_ms(1);
            stretch.until = stretch.until.min(log.seq_before(behind)?);
        }
        Ok(Plan { stretch, message: self.message.clone(), turns, kinds: self.kind.clone(), text })
    }

    /// Narrows the stretch to the turns that are named, by themselves or by their message.
    fn find_turns(
        &self,
        log: &mut OfflineLog,
        stretch: &mut Stretch,
    ) -> anyhow::Result<Option<Vec<Seq>>> {
        let chat = match stretch.scope {
            Scope::Chat(chat) => Some(chat),
            Scope::All | Scope::Chats(_) => None,
        };
        let found = match (&self.turn, &self.message) {
            (Some(turn), _) => log.find_turns(turn, chat)?,
            (None, Some(message)) => log.find_turns_of_message(message, chat)?,
            (None, None) => return Ok(None),
        };
        if found.is_empty() {
            if let Some(turn) = &self.turn {
                bail!(
                    "there is no turn {turn}; `scrollback inspect events --kind stream_started` \
                     lists them"
                );
            }
            if let Some(message) = &self.message {
                // A user's message has no turn. Where no table knows it, it is looked for.
                let messages = log.find_messages(message, chat)?;
                if let Some(first) = messages.iter().map(|message| message.first).min() {
                    stretch.after = stretch.after.max(first.prev());
                    stretch.narrow(messages.iter().map(|message| message.chat));
                }
            }
            return Ok(None);
        }
        let first = found.iter().map(|turn| turn.turn.started).min().unwrap_or_default();
        let ends: Option<Vec<Seq>> = found.iter().map(|turn| turn.ended).collect();
        stretch.after = stretch.after.max(first.prev());
        if let Some(last) = ends.and_then(|ends| ends.into_iter().max()) {
            stretch.until = stretch.until.min(last);
        }
        stretch.narrow(found.iter().map(|turn| turn.chat.created));
        Ok(Some(found.into_iter().map(|turn| turn.turn.started).collect()))
    }
}

impl Stretch {
    /// Leaves only these chats, unless it is one chat's already.
    fn narrow(&mut self, chats: impl Iterator<Item = Seq>) {
        if !matches!(self.scope, Scope::All) {
            return;
        }
        let mut chats: Vec<Seq> = chats.collect();
        chats.sort_unstable();
        chats.dedup();
        match chats.as_slice() {
            [chat] => self.scope = Scope::Chat(*chat),
            chats if chats.len() <= CHATS_MAX => self.scope = Scope::Chats(Arc::from(chats)),
            // Each section is then as well looked at as looked up.
            _ => {}
        }
    }
}

impl Plan {
    /// Whether an event is wanted, as far as can be told without its content.
    pub(crate) fn wants(&self, section: &Section, index: usize) -> bool {
        let of_turn = |turns: &Vec<Seq>| {
            section.turn().is_some_and(|turn| turns.binary_search(&turn.started).is_ok())
        };
        self.turns.as_ref().is_none_or(of_turn)
            && self.message.as_ref().is_none_or(|message| section.message() == Some(message))
            && (self.kinds.is_empty() || self.kinds.contains(&section.kind_at(index)))
    }

    /// The event, if it is wanted.
    pub(crate) fn wanted(
        &self,
        section: &Section,
        index: usize,
    ) -> anyhow::Result<Option<Recorded>> {
        if !self.wants(section, index) {
            return Ok(None);
        }
        Ok(Some(section.recorded(index)?).filter(|event| self.wants_text(event)))
    }

    /// Whether an event is wanted, by its content.
    fn wants_text(&self, event: &Recorded) -> bool {
        self.text
            .as_ref()
            .is_none_or(|text| text_of(event, usize::MAX).to_lowercase().contains(text.as_str()))
    }
}

/// The number of a chat that has to be there.
pub(crate) fn find_chat(log: &mut OfflineLog, id: &ChatId) -> anyhow::Result<Seq> {
    let (chat, _) = log
        .find_chat(id)?
        .with_context(|| format!("there is no chat {id}; `scrollback inspect chats` lists them"))?;
    Ok(chat.created)
}
