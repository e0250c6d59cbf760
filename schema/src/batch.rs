//! Record batches as bytes: what one row of the log holds.
//!
//! A batch is a format byte and then sections, each the run of events of one append that share a
//! chat, a turn and a message:
//!
//! ```text
//! section := flags:u8 chat:int [chat_id:text] [turn:int] [turn_id:text message_id:text]
//!            [message_id:text] [first_number:int]
//!            n_events:int (kind:int version:u8 payload_len:int) * n_events
//!            payload_crc:u32le  payloads
//! int := LEB128, at most 63 bits        text := len:int bytes
//! ```
//!
//! A chat is named by the seq of its `chat_created`, a turn by that of its `stream_started`; the
//! section of that event carries the ids as text, so that the log explains itself.
//!
//! Two checksums (CRC-32C, which finds every burst of up to 32 bits, so any single flipped bit):
//! each section's payloads have one, and each row has one over everything else, chained to that of
//! the row before. An erased payload is zeroes, which the chain does not cover: erasing changes no
//! checksum, and anything else that changes a payload is found.

use crate::id::Seq;
use crate::time::Millis;

/// The only format so far.
const FORMAT_SECTIONS: u8 = 1;

const HAS_TURN: u8 = 1;
const DEFINES_CHAT: u8 = 2;
const DEFINES_TURN: u8 = 4;
const HAS_MESSAGE: u8 = 8;
const HAS_NUMBER: u8 = 16;
const FLAGS_KNOWN: u8 = HAS_TURN | DEFINES_CHAT | DEFINES_TURN | HAS_MESSAGE | HAS_NUMBER;

/// Random bytes that name a commit: an append whose outcome is unknown is found again by them.
pub type BatchId = [u8; 16];

/// Whom the events of a section belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionHead<'a> {
    /// Seq of the chat's `chat_created`.
    pub chat: Seq,
    /// The chat's id, in the section that creates it.
    pub chat_id: Option<&'a str>,
    /// Seq of the turn's `stream_started`.
    pub turn: Option<Seq>,
    /// The turn's id and its message's, in the section that starts it.
    pub turn_ids: Option<(&'a str, &'a str)>,
    /// The message's id, where no turn tells it.
    pub message_id: Option<&'a str>,
    /// The producer's number of the first event, where a lease numbers them.
    pub first_number: Option<u64>,
}

/// What stands in front of the payloads for each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHead {
    /// Stored number of the kind.
    pub kind: u16,
    /// Version of the payload's shape.
    pub version: u8,
    /// Bytes of the payload.
    pub payload_len: u32,
}

/// Why bytes are no record batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The format byte is missing or unknown.
    #[error("record batch has an unknown format")]
    Format,
    /// It ends within a section.
    #[error("record batch ends early")]
    Truncated,
    /// A number, flag or text that no writer writes.
    #[error("record batch has a malformed section")]
    Malformed,
    /// The sections hold another number of events than the row says.
    #[error("record batch holds {found} events instead of {expected}")]
    Count {
        /// What the row says.
        expected: u64,
        /// What the sections hold.
        found: u64,
    },
}

/// The columns of a row beside its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowHead {
    /// Seq of the first event.
    pub first_seq: Seq,
    /// Number of events.
    pub n_events: u64,
    /// When it was committed.
    pub at: Millis,
    /// The commit it belongs to.
    pub batch_id: BatchId,
}

impl RowHead {
    /// Seq of the last event.
    pub const fn last_seq(&self) -> Seq {
        self.first_seq.plus(self.n_events).prev()
    }

    fn checksum(&self, previous: u32) -> u32 {
        let mut bytes = [0u8; 40];
        bytes[0..8].copy_from_slice(&self.first_seq.get().to_le_bytes());
        bytes[8..16].copy_from_slice(&self.n_events.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.at.get().to_le_bytes());
        bytes[24..40].copy_from_slice(&self.batch_id);
        crc32c::crc32c_append(previous, &bytes)
    }
}

/// Builds the records of one row.
#[derive(Debug)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    n_events: u64,
    /// Ranges of `bytes` that the row's checksum covers: all but the payloads.
    heads: Vec<(usize, usize)>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        BatchBuilder::new()
    }
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new() -> BatchBuilder {
        BatchBuilder { bytes: vec![FORMAT_SECTIONS], n_events: 0, heads: vec![(0, 1)] }
    }

    /// Number of events so far.
    pub const fn n_events(&self) -> u64 {
        self.n_events
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was added yet.
    pub const fn is_empty(&self) -> bool {
        self.n_events == 0
    }

    /// Adds a section; `payloads` are those of `events`, one after the other.
    ///
    /// # Panics
    ///
    /// If there is no event, or the lengths do not add up to `payloads`: the caller made both.
    pub fn push(&mut self, head: &SectionHead<'_>, events: &[EventHead], payloads: &[u8]) {
        let total: usize = events.iter().map(|e| e.payload_len as usize).sum();
        assert!(!events.is_empty() && total == payloads.len(), "section heads match its payloads");
        let start = self.bytes.len();
        let out = &mut self.bytes;
        out.push(flags(head));
        put_int(out, head.chat.get());
        if let Some(id) = head.chat_id {
            put_text(out, id);
        }
        if let Some(turn) = head.turn {
            put_int(out, turn.get());
        }
        if let Some((turn_id, message_id)) = head.turn_ids {
            put_text(out, turn_id);
            put_text(out, message_id);
        }
        if let Some(id) = head.message_id {
            put_text(out, id);
        }
        if let Some(number) = head.first_number {
            put_int(out, number);
        }
        put_int(out, events.len() as u64);
        for event in events {
            put_int(out, u64::from(event.kind));
            out.push(event.version);
            put_int(out, u64::from(event.payload_len));
        }
        out.extend_from_slice(&crc32c::crc32c(payloads).to_le_bytes());
        self.heads.push((start, out.len()));
        out.extend_from_slice(payloads);
        self.n_events += events.len() as u64;
    }

    /// The records, and the row's checksum chained to `previous`, that of the row before.
    pub fn finish(self, row: &RowHead, previous: u32) -> (Vec<u8>, u32) {
        let mut crc = row.checksum(previous);
        for (from, to) in self.heads {
            crc = crc32c::crc32c_append(crc, &self.bytes[from..to]);
        }
        (self.bytes, crc)
    }
}

fn flags(head: &SectionHead<'_>) -> u8 {
    let bit = |set: bool, flag: u8| if set { flag } else { 0 };
    bit(head.turn.is_some(), HAS_TURN)
        | bit(head.chat_id.is_some(), DEFINES_CHAT)
        | bit(head.turn_ids.is_some(), DEFINES_TURN)
        | bit(head.message_id.is_some(), HAS_MESSAGE)
        | bit(head.first_number.is_some(), HAS_NUMBER)
}

fn put_int(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_int(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// One section as it stands in the records.
#[derive(Debug, Clone, Copy)]
pub struct SectionView<'a> {
    /// Whom its events belong to.
    pub head: SectionHead<'a>,
    /// Number of its events, at least 1.
    pub n_events: u64,
    /// The payloads, one after the other.
    pub payloads: &'a [u8],
    /// Offset of `payloads` within the records.
    pub payloads_at: usize,
    event_heads: &'a [u8],
    payload_crc: u32,
}

/// Whether the payloads of a section are what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadState {
    /// As written.
    Intact,
    /// Zeroed, as erasing a chat leaves them.
    Erased,
    /// Neither.
    Damaged,
}

impl<'a> SectionView<'a> {
    /// The events, each with its payload.
    pub fn events(&self) -> impl Iterator<Item = (EventHead, &'a [u8])> + use<'a> {
        let (mut cursor, mut payloads, mut left) =
            (Cursor { bytes: self.event_heads, at: 0 }, self.payloads, self.n_events);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let head = cursor.event_head().expect("the section was walked when it was opened");
            let (payload, rest) = payloads.split_at(head.payload_len as usize);
            payloads = rest;
            Some((head, payload))
        })
    }

    /// Compares the payloads with their checksum.
    pub fn payload_state(&self) -> PayloadState {
        if crc32c::crc32c(self.payloads) == self.payload_crc {
            PayloadState::Intact
        } else if self.payloads.iter().all(|&b| b == 0) {
            PayloadState::Erased
        } else {
            PayloadState::Damaged
        }
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn u8(&mut self) -> Result<u8, BatchError> {
        let byte = *self.bytes.get(self.at).ok_or(BatchError::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    fn int(&mut self) -> Result<u64, BatchError> {
        let (mut n, mut shift) = (0u64, 0);
        loop {
            let byte = self.u8()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
            shift += 7;
            if shift > 56 {
                return Err(BatchError::Malformed);
            }
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], BatchError> {
        let end = self.at.checked_add(len).ok_or(BatchError::Malformed)?;
        let bytes = self.bytes.get(self.at..end).ok_or(BatchError::Truncated)?;
        self.at = end;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a str, BatchError> {
        let len = usize::try_from(self.int()?).map_err(|_| BatchError::Malformed)?;
        std::str::from_utf8(self.take(len)?).map_err(|_| BatchError::Malformed)
    }

    fn seq(&mut self) -> Result<Seq, BatchError> {
        Seq::new(self.int()?).ok_or(BatchError::Malformed)
    }

    fn event_head(&mut self) -> Result<EventHead, BatchError> {
        let kind = u16::try_from(self.int()?).map_err(|_| BatchError::Malformed)?;
        let version = self.u8()?;
        let payload_len = u32::try_from(self.int()?).map_err(|_| BatchError::Malformed)?;
        Ok(EventHead { kind, version, payload_len })
    }

    fn section_head(&mut self) -> Result<SectionHead<'a>, BatchError> {
        let flags = self.u8()?;
        if flags & !FLAGS_KNOWN != 0 {
            return Err(BatchError::Malformed);
        }
        let has = |flag| flags & flag != 0;
        let chat = self.seq()?;
        let chat_id = if has(DEFINES_CHAT) { Some(self.text()?) } else { None };
        let turn = if has(HAS_TURN) { Some(self.seq()?) } else { None };
        let turn_ids = if has(DEFINES_TURN) { Some((self.text()?, self.text()?)) } else { None };
        let message_id = if has(HAS_MESSAGE) { Some(self.text()?) } else { None };
        let first_number = if has(HAS_NUMBER) { Some(self.int()?) } else { None };
        Ok(SectionHead { chat, chat_id, turn, turn_ids, message_id, first_number })
    }

    fn section(&mut self) -> Result<SectionView<'a>, BatchError> {
        let head = self.section_head()?;
        let n_events = self.int()?;
        if n_events == 0 {
            return Err(BatchError::Malformed);
        }
        let heads_at = self.at;
        let mut len = 0usize;
        for _ in 0..n_events {
            len = len
                .checked_add(self.event_head()?.payload_len as usize)
                .ok_or(BatchError::Malformed)?;
        }
        let event_heads = &self.bytes[heads_at..self.at];
        let crc = self.take(4)?;
        let payload_crc = u32::from_le_bytes([crc[0], crc[1], crc[2], crc[3]]);
        let payloads_at = self.at;
        let payloads = self.take(len)?;
        Ok(SectionView { head, n_events, payloads, payloads_at, event_heads, payload_crc })
    }
}

/// Walks the sections of a row's records; ends at the first error.
pub fn sections(records: &[u8]) -> impl Iterator<Item = Result<SectionView<'_>, BatchError>> {
    let mut cursor = Cursor { bytes: records, at: 0 };
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed {
            return None;
        }
        if cursor.at == 0 {
            match cursor.u8() {
                Ok(FORMAT_SECTIONS) => {}
                _ => {
                    failed = true;
                    return Some(Err(BatchError::Format));
                }
            }
        }
        if cursor.at == records.len() {
            return None;
        }
        let section = cursor.section();
        failed = section.is_err();
        Some(section)
    })
}

/// The checksum that a row should have, given that of the row before.
///
/// # Errors
///
/// [`BatchError`] if the records cannot be walked or do not hold `n_events` events.
pub fn row_checksum(row: &RowHead, records: &[u8], previous: u32) -> Result<u32, BatchError> {
    let (mut crc, mut from, mut found) = (row.checksum(previous), 0, 0);
    for section in sections(records) {
        let section = section?;
        crc = crc32c::crc32c_append(crc, &records[from..section.payloads_at]);
        from = section.payloads_at + section.payloads.len();
        found += section.n_events;
    }
    if found != row.n_events {
        return Err(BatchError::Count { expected: row.n_events, found });
    }
    Ok(crc32c::crc32c_append(crc, &records[from..]))
}

/// Zeroes the payloads of a chat's sections, but for those that start at one of `keep`.
///
/// Lengths and checksums stay as they are. Returns how many events were erased.
///
/// # Errors
///
/// [`BatchError`] if the records cannot be walked; they are then unchanged.
pub fn erase(
    records: &mut [u8],
    first_seq: Seq,
    chat: Seq,
    keep: &[Seq],
) -> Result<u64, BatchError> {
    let (mut ranges, mut seq, mut n_erased) = (Vec::new(), first_seq, 0);
    for section in sections(records) {
        let section = section?;
        if section.head.chat == chat && !keep.contains(&seq) {
            ranges.push(section.payloads_at..section.payloads_at + section.payloads.len());
            n_erased += section.n_events;
        }
        seq = seq.plus(section.n_events);
    }
    for range in ranges {
        records[range].fill(0);
    }
    Ok(n_erased)
}
