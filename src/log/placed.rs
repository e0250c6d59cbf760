//! Admitted events as sections: whom they belong to, and how they stand in a row.

use std::sync::OnceLock;

use bytes::Bytes;
use scrollback_schema::batch::{BatchBuilder, EventHead, SectionHead};
use scrollback_schema::limits::BATCH_BYTES_SOFT;
use scrollback_schema::{ChatRef, Kind, MessageId, Millis, Seq, TurnRef};

use super::append::Draft;
use super::section::{Section, Slot};

/// Events of one section: what a reader of a page has to take or leave as one.
const SECTION_EVENTS_MAX: usize = 1_000;

/// Whom the events belong to: all to one, or each to its own.
pub(super) enum Contexts {
    All(Context),
    Each(Vec<Context>),
}

impl Contexts {
    pub(super) fn get(&self, index: usize) -> &Context {
        match self {
            Contexts::All(context) => context,
            Contexts::Each(contexts) => &contexts[index],
        }
    }

    /// Whether two neighbours belong to the same.
    fn are_alike(&self, one: usize, other: usize) -> bool {
        match self {
            Contexts::All(_) => true,
            Contexts::Each(contexts) => {
                !contexts[other].defines
                    && contexts[other].turn == contexts[one].turn
                    && contexts[other].message == contexts[one].message
            }
        }
    }
}

/// Whom one event belongs to, names resolved.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Context {
    pub(super) turn: Option<TurnRef>,
    pub(super) message: Option<MessageId>,
    /// Starts a section whatever came before: it defines a chat or a turn.
    pub(super) defines: bool,
}

pub(super) fn section_end(drafts: &[Draft], contexts: &Contexts, start: usize) -> usize {
    let from = start.checked_sub(1).map_or(0, |before| drafts[before].end);
    let mut end = start + 1;
    while end < drafts.len()
        && end - start < SECTION_EVENTS_MAX
        && drafts[end].end - from <= BATCH_BYTES_SOFT
        && contexts.are_alike(start, end)
    {
        end += 1;
    }
    end
}

#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) chat: &'a ChatRef,
    pub(super) at: Millis,
    pub(super) first_seq: Seq,
    pub(super) first_number: Option<u64>,
    pub(super) context: &'a Context,
    pub(super) drafts: &'a [Draft],
    pub(super) from: usize,
    pub(super) payloads: &'a Bytes,
}

pub(super) fn make_section(part: Part<'_>) -> Section {
    let to = part.drafts.last().map_or(part.from, |draft| draft.end);
    let slots = part
        .drafts
        .iter()
        .map(|draft| Slot {
            kind: draft.kind,
            version: draft.version,
            end: u32::try_from(draft.end - part.from)
                .expect("an append is bounded far below 4 GiB"),
        })
        .collect();
    Section {
        first_seq: part.first_seq,
        at: part.at,
        chat: part.chat.clone(),
        turn: part.context.turn.clone(),
        message: part.context.message.clone(),
        first_number: part.first_number,
        slots,
        payloads: part.payloads.slice(part.from..to),
        is_damaged: false,
        frames: OnceLock::new(),
    }
}

/// Adds a section to a row under construction.
pub(crate) fn push_section(row: &mut BatchBuilder, section: &Section, defines: bool) {
    let mut from = 0;
    let heads: Vec<EventHead> = section
        .slots
        .iter()
        .map(|slot| {
            let payload_len = slot.end - from;
            from = slot.end;
            EventHead { kind: slot.kind, version: slot.version, payload_len }
        })
        .collect();
    let is = |kind: Kind| defines && section.slots[0].kind == kind.number();
    let head = SectionHead {
        chat: section.chat.created,
        chat_id: is(Kind::ChatCreated).then_some(section.chat.id.as_str()),
        turn: section.turn.as_ref().map(|turn| turn.started),
        turn_ids: section
            .turn
            .as_ref()
            .filter(|_| is(Kind::StreamStarted))
            .map(|turn| (turn.id.as_str(), turn.message.as_str())),
        message_id: section.message.as_ref().map(MessageId::as_str),
        first_number: section.first_number,
    };
    row.push(&head, &heads, &section.payloads);
}
