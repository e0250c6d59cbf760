//! A section of the log in memory: immutable, shared by every reader that passes it.
//!
//! Its JSON frames are made once, by the first reader that needs them: see `frames`.

use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;
use scrollback_schema::batch::{PayloadState, SectionView};
use scrollback_schema::codec::{CodecError, decode_payload};
use scrollback_schema::{Body, ChatRef, MessageId, Millis, Recorded, Seq, TurnRef};

use super::ReadError;
use super::frames::Frames;

/// One event's place in a section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) kind: u16,
    pub(crate) version: u8,
    /// Where its payload ends; it starts where the one before ends.
    pub(crate) end: u32,
}

/// A run of events of one append that share a chat, a turn and a message.
#[derive(Debug)]
pub struct Section {
    pub(crate) first_seq: Seq,
    pub(crate) at: Millis,
    pub(crate) chat: ChatRef,
    pub(crate) turn: Option<TurnRef>,
    pub(crate) message: Option<MessageId>,
    pub(crate) first_number: Option<u64>,
    pub(crate) slots: Box<[Slot]>,
    pub(crate) payloads: Bytes,
    /// The payloads do not fit their checksum: none of them is told.
    pub(crate) is_damaged: bool,
    pub(crate) frames: OnceLock<Frames>,
}

impl Section {
    /// Makes a section from its stored form, its names already resolved.
    pub(crate) fn from_view(view: &SectionView<'_>, payloads: Bytes, place: Place) -> Section {
        let mut end = 0;
        let slots = view
            .events()
            .map(|(head, _)| {
                end += head.payload_len;
                Slot { kind: head.kind, version: head.version, end }
            })
            .collect();
        Section {
            first_seq: place.first_seq,
            at: place.at,
            chat: place.chat,
            turn: place.turn,
            message: place.message,
            first_number: view.head.first_number,
            slots,
            payloads,
            is_damaged: view.payload_state() == PayloadState::Damaged,
            frames: OnceLock::new(),
        }
    }

    /// Seq of the first event.
    pub fn first_seq(&self) -> Seq {
        self.first_seq
    }

    /// Seq of the last event.
    pub fn last_seq(&self) -> Seq {
        self.first_seq.plus(self.slots.len() as u64 - 1)
    }

    /// When its events were committed.
    pub fn at(&self) -> Millis {
        self.at
    }

    /// The chat that its events belong to.
    pub fn chat(&self) -> &ChatRef {
        &self.chat
    }

    /// The turn that its events belong to, if any.
    pub fn turn(&self) -> Option<&TurnRef> {
        self.turn.as_ref()
    }

    /// The message that its events belong to, if any: the turn's, unless they name one themselves.
    pub fn message(&self) -> Option<&MessageId> {
        self.message.as_ref().or(self.turn.as_ref().map(|turn| &turn.message))
    }

    /// The producer's number of the first event, if a lease numbers them.
    pub fn first_number(&self) -> Option<u64> {
        self.first_number
    }

    /// Number of events, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a section is never empty")]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Bytes of all payloads.
    pub fn n_bytes(&self) -> usize {
        self.payloads.len()
    }

    /// Stored number of the kind of the event at `index`.
    pub fn kind_at(&self, index: usize) -> u16 {
        self.slots[index].kind
    }

    /// Version of the payload of the event at `index`.
    pub fn version_at(&self, index: usize) -> u8 {
        self.slots[index].version
    }

    /// Seq of the event at `index`.
    pub fn seq_at(&self, index: usize) -> Seq {
        self.first_seq.plus(index as u64)
    }

    /// Stored payload of the event at `index`, format byte included.
    pub fn payload_at(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.slots[before].end as usize);
        &self.payloads[start..self.slots[index].end as usize]
    }

    /// Indexes of the events in (`after`, `until`].
    pub fn events_in(&self, after: Seq, until: Seq) -> Range<usize> {
        let first = self.first_seq.get();
        let index = |seq: Seq| (seq.get() + 1).saturating_sub(first).min(self.slots.len() as u64);
        let (start, end) = (index(after) as usize, index(until) as usize);
        start..end.max(start)
    }

    /// The event at `index`, decoded.
    ///
    /// # Errors
    ///
    /// [`ReadError::Undecodable`] if its payload is damaged.
    pub fn recorded(&self, index: usize) -> Result<Recorded, ReadError> {
        let body = self
            .body_at(index)
            .map_err(|source| ReadError::Undecodable { seq: self.seq_at(index), source })?;
        Ok(self.with_body(index, body))
    }

    /// The content of the event at `index`, decoded.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if its payload is damaged.
    pub(crate) fn body_at(&self, index: usize) -> Result<Body, CodecError> {
        self.check_payloads()?;
        let slot = self.slots[index];
        decode_payload(slot.kind, slot.version, self.payload_at(index))
    }

    /// Whether the payloads are those that were written: a flipped bit can leave another text that
    /// decodes as well.
    ///
    /// # Errors
    ///
    /// [`CodecError::Damaged`] if they are not.
    pub(crate) const fn check_payloads(&self) -> Result<(), CodecError> {
        if self.is_damaged { Err(CodecError::Damaged) } else { Ok(()) }
    }

    /// The event at `index` without its content.
    pub fn head_only(&self, index: usize) -> Recorded {
        self.with_body(index, Body::Unread { kind: self.slots[index].kind })
    }

    fn with_body(&self, index: usize, body: Body) -> Recorded {
        Recorded {
            seq: self.seq_at(index),
            at: self.at,
            chat: self.chat.clone(),
            message: self.message().cloned(),
            turn: self.turn.clone(),
            body,
        }
    }

    /// What it takes in memory, its frames included, in bytes: an estimate for bounds.
    pub(crate) fn weight(&self) -> usize {
        256 + self.payloads.len() * 2 + self.slots.len() * 200
    }
}

/// Where a section stands and whom it belongs to.
pub(crate) struct Place {
    pub(crate) first_seq: Seq,
    pub(crate) at: Millis,
    pub(crate) chat: ChatRef,
    pub(crate) turn: Option<TurnRef>,
    pub(crate) message: Option<MessageId>,
}
