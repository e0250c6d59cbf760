//! What the events say together: were they allowed, and do the writer's tables agree with them?
//!
//! The rules are those of `turn_guard`, asked again of what is stored. In memory are the chats that
//! have something open and a bounded number of others; everything else is looked up in the tables,
//! as of the event that is being looked at, and is thereby compared.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};
use scrollback_schema::batch::{PayloadState, RowHead, SectionView};
use scrollback_schema::codec::{self, decode_payload};
use scrollback_schema::{Body, ChatId, Event, Kind, MessageId, Seq, TurnId};

use super::agree;
use super::finding::{Finding, Span, Table};
use crate::log::turn_guard::{
    Candidate, ChatState, Effect, Entry, OpenTurn, Reason, Register, Rejection, Space, admit,
};

/// Chats kept in memory; beyond it those with nothing open are looked up again.
const CHATS_MAX: usize = 65_536;

/// What the fold knows of a chat.
#[derive(Debug)]
struct Slot {
    state: Option<ChatState>,
    /// The tables say that it is deleted, now or further on.
    is_doomed: bool,
    /// The tables say that its payloads are erased.
    is_erased: bool,
    /// The producer's number that is due in the open turn.
    next_number: u64,
}

/// How much of each thing the log holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) n_chats: u64,
    pub(crate) n_deleted: u64,
    pub(crate) n_turns: u64,
    /// Ids first used in chats that were not deleted.
    pub(crate) n_registered: u64,
    pub(crate) n_erased: u64,
    pub(crate) n_unknown: u64,
}

/// The fold over all events so far.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    slots: HashMap<Seq, Slot>,
    open: HashSet<(Seq, Space, String)>,
    /// What could not be read; events in it may explain what follows.
    lost: Vec<Span>,
    pub(crate) tally: Tally,
}

/// Where a section stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) row: &'a RowHead,
    pub(crate) span: Span,
    pub(crate) payloads: PayloadState,
}

/// The register as it was before an event.
struct AsOf<'a> {
    db: &'a Connection,
    before: Seq,
    open: &'a HashSet<(Seq, Space, String)>,
}

impl Register for AsOf<'_> {
    type Error = rusqlite::Error;

    fn entry(&self, chat: Seq, space: Space, id: &str) -> Result<Option<Entry>, Self::Error> {
        let row = agree::register_row(self.db, chat, space, id)?;
        let is_known = row.is_some_and(|row| row.seq < self.before);
        let is_open = || self.open.contains(&(chat, space, id.to_owned()));
        Ok(is_known.then(|| Entry { is_open: is_open() }))
    }

    fn has_turn(&self, chat: Seq, turn: &TurnId) -> Result<bool, Self::Error> {
        let started: Option<i64> = self
            .db
            .prepare_cached("SELECT started_seq FROM turn WHERE chat = ?1 AND turn_id = ?2")?
            .query_row(params![chat.as_i64(), turn.as_str()], |row| row.get(0))
            .optional()?;
        Ok(started.is_some_and(|started| started < self.before.as_i64()))
    }
}

/// The ids that a section's events name.
#[derive(Debug)]
struct Names {
    turn: Option<TurnId>,
    message: Option<MessageId>,
}

type Found<'f> = &'f mut dyn FnMut(Finding);

impl Rules {
    /// Notes that some seqs could not be read.
    pub(crate) fn lose(&mut self, span: Span) {
        self.lost.push(span);
    }

    /// Ids that are open after the last event, and the turns that are.
    pub(crate) fn left_open(
        &self,
    ) -> (impl Iterator<Item = &(Seq, Space, String)>, impl Iterator<Item = Seq>) {
        let turns = self.slots.values().filter_map(|slot| slot.state.as_ref()?.open.as_ref());
        (self.open.iter(), turns.map(|open| open.started))
    }

    /// Looks at the events of one section.
    pub(crate) fn section(
        &mut self,
        db: &Connection,
        place: Place<'_>,
        section: &SectionView<'_>,
        found: Found<'_>,
    ) -> Result<(), rusqlite::Error> {
        let chat = section.head.chat;
        let Some(mut slot) = self.take_slot(db, place, section, found)? else { return Ok(()) };
        erased_as_it_should(&slot, place, section, found);
        let names = self.names(db, &mut slot, place, section, found)?;
        self.numbers(&mut slot, place, section, found);
        for (index, (head, payload)) in section.events().enumerate() {
            let seq = place.span.first.plus(index as u64);
            let event = self.decoded(place, seq, head.kind, head.version, payload, found);
            let id = slot.state.as_ref().map(|state| state.id.clone());
            let id = id.or_else(|| ChatId::parse(section.head.chat_id?).ok());
            let Some(id) = id else { break };
            let candidate = Candidate {
                seq,
                at: place.row.at,
                chat: &id,
                turn: names.turn.as_ref(),
                message: names.message.as_ref(),
                kind: head.kind,
                event: event.as_ref(),
            };
            for effect in self.judge(db, &mut slot, &candidate, found)? {
                self.take_effect(db, chat, &mut slot, &candidate, &effect, found)?;
            }
        }
        self.slots.insert(chat, slot);
        if self.slots.len() > CHATS_MAX {
            self.slots.retain(|_, slot| !slot.is_at_rest());
        }
        Ok(())
    }

    fn take_slot(
        &mut self,
        db: &Connection,
        place: Place<'_>,
        section: &SectionView<'_>,
        found: Found<'_>,
    ) -> Result<Option<Slot>, rusqlite::Error> {
        let (chat, first) = (section.head.chat, place.span.first);
        if let Some(slot) = self.slots.remove(&chat) {
            return Ok(Some(slot));
        }
        let row = agree::chat_row(db, chat)?;
        let mut slot = Slot {
            state: None,
            is_doomed: row.as_ref().is_some_and(|row| row.deleted.is_some()),
            is_erased: row.as_ref().is_some_and(|row| row.is_erased),
            next_number: 1,
        };
        if chat == first {
            return Ok(Some(slot));
        }
        let Some(row) = row else {
            let what = format!("no row says which chat {chat} is");
            found(Finding::Table { table: Table::Chat, seq: first, what });
            return Ok(None);
        };
        let Ok(id) = ChatId::parse(&row.id) else { return Ok(None) };
        slot.state = Some(ChatState {
            created: chat,
            id,
            deleted: row.deleted.filter(|deleted| *deleted < first),
            open: None,
            n_queued: 0,
            n_schedules: 0,
        });
        Ok(Some(slot))
    }

    fn names(
        &mut self,
        db: &Connection,
        slot: &mut Slot,
        place: Place<'_>,
        section: &SectionView<'_>,
        found: Found<'_>,
    ) -> Result<Names, rusqlite::Error> {
        let own = section.head.message_id.and_then(|id| MessageId::parse(id).ok());
        let Some(started) = section.head.turn else {
            return Ok(Names { turn: None, message: own });
        };
        if let Some((turn, message)) = section.head.turn_ids {
            let message = own.or_else(|| MessageId::parse(message).ok());
            return Ok(Names { turn: TurnId::parse(turn).ok(), message });
        }
        self.heal_turn(db, slot, started, place.span.first)?;
        let open = slot.state.as_ref().and_then(|state| state.open.as_ref());
        if let Some(open) = open.filter(|open| open.started == started) {
            let message = own.unwrap_or_else(|| open.message.clone());
            return Ok(Names { turn: Some(open.id.clone()), message: Some(message) });
        }
        let Some(row) = agree::turn_row(db, started)? else {
            let what = format!("no row says which turn {started} is");
            found(Finding::Table { table: Table::Turn, seq: place.span.first, what });
            return Ok(Names { turn: None, message: own });
        };
        Ok(Names {
            turn: TurnId::parse(&row.id).ok(),
            message: own.or_else(|| MessageId::parse(&row.message).ok()),
        })
    }

    /// Whether an event is among those that could not be read.
    pub(crate) fn was_lost(&self, seq: Seq) -> bool {
        self.lost.iter().any(|span| span.first <= seq && seq <= span.last)
    }

    /// Whether events behind this one could not be read: what it left open may have been closed
    /// there.
    pub(crate) fn lost_after(&self, seq: Seq) -> bool {
        self.lost.iter().any(|span| span.last >= seq)
    }

    /// Takes from the tables what unreadable rows would have said of the open turn.
    fn heal_turn(
        &self,
        db: &Connection,
        slot: &mut Slot,
        started: Seq,
        first: Seq,
    ) -> Result<(), rusqlite::Error> {
        let Some(state) = slot.state.as_mut().filter(|_| !self.lost.is_empty()) else {
            return Ok(());
        };
        if let Some(open) = &state.open {
            let ended = agree::turn_row(db, open.started)?.and_then(|row| row.ended);
            if ended.is_some_and(|ended| ended < first && self.was_lost(ended)) {
                state.open = None;
            }
        }
        if state.open.is_some() || !self.was_lost(started) {
            return Ok(());
        }
        if let Some(row) = agree::turn_row(db, started)?
            && let (Ok(id), Ok(message)) = (TurnId::parse(&row.id), MessageId::parse(&row.message))
        {
            slot.next_number = 0;
            let started_at = row.started_at;
            state.open = Some(OpenTurn { started, started_at, id, message, pending: Vec::new() });
        }
        Ok(())
    }

    /// A producer numbers the events of its turn from 1, without a hole.
    fn numbers(
        &self,
        slot: &mut Slot,
        place: Place<'_>,
        section: &SectionView<'_>,
        found: Found<'_>,
    ) {
        let Some(number) = section.head.first_number else { return };
        let due = if section.head.turn_ids.is_some() { 1 } else { slot.next_number };
        if number != due && due != 0 && self.lost.is_empty() {
            let rule = format!("its producer's number is {number}, {due} was due");
            found(Finding::Rule { seq: place.span.first, rule });
        }
        slot.next_number = number.saturating_add(section.n_events);
    }

    fn decoded(
        &mut self,
        place: Place<'_>,
        seq: Seq,
        kind: u16,
        version: u8,
        payload: &[u8],
        found: Found<'_>,
    ) -> Option<Event> {
        if place.payloads == PayloadState::Damaged {
            return None;
        }
        match decode_payload(kind, version, payload) {
            Ok(Body::Event(event)) => return Some(event),
            Ok(Body::Erased { .. }) => self.tally.n_erased += 1,
            Ok(Body::Unknown { .. }) => self.tally.n_unknown += 1,
            Ok(Body::Unread { .. }) => {}
            Err(cause) => found(Finding::Undecodable { seq, kind, cause }),
        }
        None
    }

    /// Asks the rules; what they refuse is a finding and changes nothing.
    fn judge(
        &mut self,
        db: &Connection,
        slot: &mut Slot,
        candidate: &Candidate<'_>,
        found: Found<'_>,
    ) -> Result<Vec<Effect>, rusqlite::Error> {
        let (mut effects, seq) = (Vec::new(), candidate.seq);
        if let Some(deleted) = slot.state.as_ref().and_then(|state| state.deleted) {
            let rule = format!("its chat was deleted at seq {deleted}");
            found(Finding::Rule { seq, rule });
            return Ok(effects);
        }
        let kind = Kind::from_number(candidate.kind);
        let before = kind.is_some_and(may_change_the_chat).then(|| slot.state.clone());
        let register = AsOf { db, before: seq, open: &self.open };
        match admit(&mut slot.state, &register, &mut effects, candidate) {
            Ok(()) => return Ok(effects),
            Err(Rejection::Register(error)) => return Err(error),
            Err(Rejection::Reason(reason)) => {
                if let Some(before) = before {
                    slot.state = before;
                }
                if !self.explained_by_loss(&reason) {
                    found(Finding::Rule { seq, rule: reason.to_string() });
                }
            }
        }
        effects.clear();
        Ok(effects)
    }

    /// Whether the event that would have made this one legal may stand in what cannot be read.
    fn explained_by_loss(&self, reason: &Reason) -> bool {
        let is_about_the_past = !matches!(
            reason,
            Reason::Missing { .. } | Reason::KindNotAllowed | Reason::TooMany { .. }
        );
        !self.lost.is_empty() && is_about_the_past
    }

    fn take_effect(
        &mut self,
        db: &Connection,
        chat: Seq,
        slot: &mut Slot,
        candidate: &Candidate<'_>,
        effect: &Effect,
        found: Found<'_>,
    ) -> Result<(), rusqlite::Error> {
        match effect {
            Effect::CreateChat => self.tally.n_chats += 1,
            Effect::DeleteChat => self.tally.n_deleted += 1,
            Effect::StartTurn { .. } => {
                self.tally.n_turns += 1;
                slot.next_number = 1;
            }
            Effect::EndTurn { .. } => {}
            Effect::Open { space, id, is_open } => {
                if !slot.is_doomed {
                    self.tally.n_registered += 1;
                }
                if *is_open {
                    self.open.insert((chat, *space, id.clone()));
                }
            }
            Effect::Close { space, id } => {
                self.open.remove(&(chat, *space, id.clone()));
            }
        }
        agree::effect(db, chat, candidate, effect, found)
    }
}

impl Slot {
    fn is_at_rest(&self) -> bool {
        self.state.as_ref().is_none_or(|state| {
            state.open.is_none() && state.n_queued == 0 && state.n_schedules == 0
        })
    }
}

/// Erased payloads need a tombstone, and an erased chat has no other payloads.
fn erased_as_it_should(slot: &Slot, place: Place<'_>, section: &SectionView<'_>, found: Found<'_>) {
    let chat = section.head.chat;
    let mut events = section.events();
    if place.payloads == PayloadState::Erased
        || (place.payloads == PayloadState::Intact
            && events.any(|(_, payload)| codec::is_erased(payload)))
    {
        if !slot.is_doomed {
            found(Finding::ErasedWithoutTombstone { span: place.span, chat });
        }
    } else if slot.is_erased && place.payloads == PayloadState::Intact {
        let tombstone = Kind::ChatDeleted.number();
        if section.events().any(|(head, _)| head.kind != tombstone) {
            found(Finding::NotErased { span: place.span, chat });
        }
    }
}

/// Whether admitting an event of this kind can change what is known of its chat.
const fn may_change_the_chat(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::AssistantText
            | Kind::AssistantThinking
            | Kind::ToolStarted
            | Kind::ToolCompleted
            | Kind::ToolFailed
            | Kind::Plan
            | Kind::PromptSuggestions
            | Kind::Usage
            | Kind::Session
            | Kind::Custom
            | Kind::ChatUpdated
            | Kind::ChatViewed
    )
}
