//! Which events are wanted, and what of the log has to be read for it.

use std::sync::Arc;

use scrollback_schema::batch::SectionView;
use scrollback_schema::{ChatId, MessageId, Millis, Recorded, Seq, TurnId};

use super::sieve::Sieve;
use super::words::text_of;
use crate::log::offline::{OfflineError, OfflineLog};
use crate::log::{ReadError, Scope, Section};

/// Chats that a walk is narrowed to at most.
const CHATS_MAX: usize = 100;

/// What a walk over a part of the log goes over.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub(crate) scope: Scope,
    /// Stored numbers of kinds; all if none is named. What is near one of them is visited too.
    pub(crate) kinds: Vec<u16>,
    /// What the text of an event has to contain. What is near one that does is visited too.
    pub(crate) sieve: Option<Arc<Sieve>>,
    pub(crate) after: Seq,
    pub(crate) until: Seq,
}

/// Which events are wanted; all that is given has to hold.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Those of this chat.
    pub(crate) chat: Option<ChatId>,
    /// Those of this message.
    pub(crate) message: Option<MessageId>,
    /// Those of this turn.
    pub(crate) turn: Option<TurnId>,
    /// Those of these kinds, by their stored numbers; all if none is named.
    pub(crate) kinds: Vec<u16>,
    /// Those behind this seq.
    pub(crate) after: Seq,
    /// Those up to this seq.
    pub(crate) until: Seq,
    /// Those committed at this instant or later.
    pub(crate) since: Option<Millis>,
    /// Those committed before this instant.
    pub(crate) before: Option<Millis>,
    /// Those whose text contains this, in upper or lower case.
    pub(crate) text: Option<String>,
}

impl Default for Wanted {
    /// Everything.
    fn default() -> Wanted {
        Wanted {
            chat: None,
            message: None,
            turn: None,
            kinds: Vec::new(),
            after: Seq::ZERO,
            until: Seq::MAX,
            since: None,
            before: None,
            text: None,
        }
    }
}

/// Why nothing can be looked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// There is no such chat.
    #[error("there is no chat {0}")]
    NoChat(ChatId),
    /// There is no such turn.
    #[error("there is no turn {0}")]
    NoTurn(TurnId),
    /// The log cannot be read.
    #[error(transparent)]
    Offline(#[from] OfflineError),
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

impl Wanted {
    /// Looks up what is named; `head` is the last seq of the log that is read.
    pub(crate) fn plan(&self, log: &mut OfflineLog, head: Seq) -> Result<Plan, PlanError> {
        let text = self.text.as_ref().map(|text| text.to_lowercase());
        let mut stretch = Stretch {
            scope: Scope::All,
            kinds: self.kinds.clone(),
            sieve: text.as_deref().and_then(Sieve::of).map(Arc::new),
            after: self.after,
            until: self.until.min(head),
        };
        if let Some(id) = &self.chat {
            let chat = find_chat(log, id)?;
            stretch.scope = Scope::Chat(chat);
            stretch.after = stretch.after.max(chat.prev());
        }
        let turns = self.find_turns(log, &mut stretch)?;
        if let Some(since) = self.since {
            stretch.after = stretch.after.max(log.seq_before(since)?);
        }
        if let Some(before) = self.before {
            stretch.until = stretch.until.min(log.seq_before(before)?);
        }
        Ok(Plan { stretch, message: self.message.clone(), turns, kinds: self.kinds.clone(), text })
    }

    /// Narrows the stretch to the turns that are named, by themselves or by their message.
    fn find_turns(
        &self,
        log: &mut OfflineLog,
        stretch: &mut Stretch,
    ) -> Result<Option<Vec<Seq>>, PlanError> {
        let chat = match stretch.scope {
            Scope::Chat(chat) => Some(chat),
            Scope::All | Scope::Chats(_) | Scope::Owner(_) => None,
        };
        let found = match (&self.turn, &self.message) {
            (Some(turn), _) => log.find_turns(turn, chat)?,
            (None, Some(message)) => log.find_turns_of_message(message, chat)?,
            (None, None) => return Ok(None),
        };
        if found.is_empty() {
            if let Some(turn) = &self.turn {
                return Err(PlanError::NoTurn(turn.clone()));
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
    /// Whether an event of the section can be one that is wanted, as far as its bytes tell.
    pub(crate) fn may_want(&self, section: &SectionView<'_>) -> bool {
        let has_kind = self.kinds.is_empty()
            || section.events().any(|(head, _)| self.kinds.contains(&head.kind));
        has_kind && self.sieve.as_ref().is_none_or(|sieve| sieve.lets_through(section))
    }

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
    ) -> Result<Option<Recorded>, ReadError> {
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
pub(crate) fn find_chat(log: &mut OfflineLog, id: &ChatId) -> Result<Seq, PlanError> {
    let (chat, _) = log.find_chat(id)?.ok_or_else(|| PlanError::NoChat(id.clone()))?;
    Ok(chat.created)
}
