//! How a message is kept in a store: its head as one blob, its parts as chunks.
//!
//! Two tables hold it (`sql/messages.sql`). This file says what goes into them and what comes out;
//! the statements are left to the store.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use scrollback_schema::codec::{CodecError, decode_row, encode_row};
use scrollback_schema::event::{Attachment, JsonText, PlanEntry};

use super::text::Text;
use super::tool::{self, Tool, ToolHead};
use super::{Head, Message, Part, StreamStatus};

/// What a chunk is a piece of, under the number by which it is stored; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PartKind {
    /// [`Part::Text`]: the chunks joined in order, UTF-8.
    Text = 1,
    /// [`Part::Thinking`]: likewise.
    Thinking = 2,
    /// [`Part::Tool`]: chunk 0 is the head, 1 the input, 2 the result, each a row blob.
    Tool = 3,
    /// [`Part::Plan`]: chunk 0, a row blob.
    Plan = 4,
    /// [`Part::Suggestions`]: likewise.
    Suggestions = 5,
    /// [`Part::Attachments`]: likewise.
    Attachments = 6,
}

impl PartKind {
    /// The kind with this stored number.
    pub const fn from_number(number: u8) -> Option<PartKind> {
        Some(match number {
            1 => PartKind::Text,
            2 => PartKind::Thinking,
            3 => PartKind::Tool,
            4 => PartKind::Plan,
            5 => PartKind::Suggestions,
            6 => PartKind::Attachments,
            _ => return None,
        })
    }

    /// The number by which it is stored.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// A stored chunk, as a store gives it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The place of its part within the message.
    pub part: u32,
    /// Its place within the part.
    pub chunk: u32,
    /// What it is a piece of.
    pub kind: PartKind,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// One thing to do so that the store has what the row has; to be done in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// Delete the chunks of this part from this one on; some or all may not be there.
    Drop {
        /// The place of the part.
        part: u32,
        /// The first chunk to go.
        from: u32,
    },
    /// Insert or replace a chunk.
    Put {
        /// The place of its part.
        part: u32,
        /// Its place within the part.
        chunk: u32,
        /// What it is a piece of.
        kind: PartKind,
        /// Its bytes.
        body: Cow<'a, [u8]>,
    },
}

/// Why stored bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A row blob does not decode.
    #[error("a stored part of a message does not decode; rebuild the projection messages")]
    Blob(#[from] CodecError),
    /// A chunk of text is no UTF-8.
    #[error("stored text of a message is no UTF-8; rebuild the projection messages")]
    Utf8(#[from] std::string::FromUtf8Error),
    /// A chunk is missing, or there is one too many.
    #[error("part {part} of a stored message is not complete; rebuild the projection messages")]
    Chunks {
        /// The place of the part.
        part: u32,
    },
}

/// What of a message the store does not have yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Unsaved {
    /// Parts to cut, by place: the first chunk to go.
    drops: BTreeMap<u32, u32>,
    /// Chunks to put, by part and place.
    puts: BTreeSet<(u32, u32)>,
}

impl Unsaved {
    /// Notes that a chunk is new or changed.
    pub(super) fn put(&mut self, part: u32, chunk: u32) {
        self.puts.insert((part, chunk));
    }

    /// Notes that the chunks of a part from this one on are gone.
    pub(super) fn drop_from(&mut self, part: u32, from: u32) {
        let first = self.drops.entry(part).or_insert(from);
        *first = from.min(*first);
        let gone: Vec<_> = self.puts.range((part, from)..=(part, u32::MAX)).copied().collect();
        for key in gone {
            self.puts.remove(&key);
        }
    }
}

impl Head {
    /// The head as a row blob.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        encode_row(self, &mut out);
        out
    }

    /// Reads a row blob back.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the bytes are no head.
    pub fn decode(blob: &[u8]) -> Result<Head, CodecError> {
        decode_row(blob)
    }

    /// The part whose last chunks a fold needs, and the first of those chunks.
    ///
    /// That is the last chunk, or the one where a tag begins that is not closed yet.
    pub fn tail_needed(&self) -> Option<(u32, u32)> {
        self.tail.as_ref().map(|tail| (tail.part, tail.needed_from))
    }
}

impl Message {
    /// The row as it is when all of it was read from the store.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the chunks are not those of the head.
    pub fn whole(
        head: Head,
        chunks: impl IntoIterator<Item = Chunk>,
    ) -> Result<Message, LoadError> {
        Message::load(head, chunks, true)
    }

    /// The row as it is when only what a fold needs was read: the chunks of
    /// [`Head::tail_needed`], and chunk 0 of every tool call; none at all once the turn has ended.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the chunks are not those of the head.
    pub fn to_fold(
        head: Head,
        chunks: impl IntoIterator<Item = Chunk>,
    ) -> Result<Message, LoadError> {
        Message::load(head, chunks, false)
    }

    fn load(
        head: Head,
        chunks: impl IntoIterator<Item = Chunk>,
        is_whole: bool,
    ) -> Result<Message, LoadError> {
        let mut parts = BTreeMap::new();
        let mut tools = HashMap::new();
        for chunk in chunks {
            let part = chunk.part;
            if let Some(id) = load_chunk(&mut parts, chunk)? {
                tools.insert(id, part);
            }
        }
        let message = Message { head, parts, tools, is_whole, unsaved: Unsaved::default() };
        message.check_loaded()?;
        Ok(message)
    }

    /// Checks that text begins where it should and ends where the tail says.
    fn check_loaded(&self) -> Result<(), LoadError> {
        for (&part, content) in &self.parts {
            if let (true, Part::Text(text) | Part::Thinking(text)) = (self.is_whole, content)
                && text.first_chunk() != 0
            {
                return Err(LoadError::Chunks { part });
            }
        }
        let Some(tail) = &self.head.tail else { return Ok(()) };
        let end = match self.parts.get(&tail.part) {
            Some(Part::Text(text) | Part::Thinking(text)) => text.n_chunks(),
            _ => 0,
        };
        if end == tail.n_chunks { Ok(()) } else { Err(LoadError::Chunks { part: tail.part }) }
    }

    /// What the store does not have yet, to be written together with [`Head::encode`], which
    /// changes with every event.
    ///
    /// A delta adds at most the last chunk and those that follow it.
    pub fn unsaved(&self) -> Vec<Change<'_>> {
        let drops = self.unsaved.drops.iter().map(|(&part, &from)| Change::Drop { part, from });
        let puts = self.unsaved.puts.iter().map(|&(part, chunk)| {
            let content = self.parts.get(&part).expect("what is unsaved is in memory");
            Change::Put { part, chunk, kind: content.kind(), body: content.chunk_body(chunk) }
        });
        drops.chain(puts).collect()
    }

    /// Notes that the store has all of it.
    pub fn mark_saved(&mut self) {
        self.unsaved = Unsaved::default();
    }

    /// Lets go of what the store has and a fold does not need, after [`Message::mark_saved`].
    ///
    /// A fold goes on as before; to be shown, the message has to be loaded again.
    ///
    /// # Panics
    ///
    /// If something is unsaved.
    pub fn forget_saved(&mut self) {
        let is_saved = self.unsaved.drops.is_empty() && self.unsaved.puts.is_empty();
        assert!(is_saved, "only what the store has can be forgotten");
        self.is_whole = false;
        if self.head.status != StreamStatus::InProgress {
            self.parts.clear();
            self.tools.clear();
            return;
        }
        let tail_needed = self.head.tail_needed();
        self.parts.retain(|&place, part| match part {
            Part::Tool(tool) => {
                tool.input = None;
                tool.result = None;
                true
            }
            Part::Text(text) | Part::Thinking(text) => match tail_needed {
                Some((tail, from)) if tail == place => {
                    text.forget_before(from);
                    true
                }
                _ => false,
            },
            Part::Plan(_) | Part::Attachments(_) | Part::Suggestions(_) => false,
        });
    }
}

impl Part {
    pub(super) const fn kind(&self) -> PartKind {
        match self {
            Part::Text(_) => PartKind::Text,
            Part::Thinking(_) => PartKind::Thinking,
            Part::Tool(_) => PartKind::Tool,
            Part::Plan(_) => PartKind::Plan,
            Part::Suggestions(_) => PartKind::Suggestions,
            Part::Attachments(_) => PartKind::Attachments,
        }
    }

    /// The bytes of a chunk that is in memory.
    fn chunk_body(&self, chunk: u32) -> Cow<'_, [u8]> {
        let mut out = Vec::new();
        match self {
            Part::Text(text) | Part::Thinking(text) => {
                return Cow::Borrowed(text.chunk(chunk).as_bytes());
            }
            Part::Tool(tool) => match chunk {
                tool::HEAD => encode_row(&tool.head, &mut out),
                tool::INPUT => encode_row(&tool.input, &mut out),
                _ => encode_row(&tool.result, &mut out),
            },
            Part::Plan(entries) => encode_row(entries, &mut out),
            Part::Suggestions(suggestions) => encode_row(suggestions, &mut out),
            Part::Attachments(attachments) => encode_row(attachments, &mut out),
        }
        Cow::Owned(out)
    }
}

/// Puts a stored chunk into its part; the id, if it is the head of a tool call.
fn load_chunk(
    parts: &mut BTreeMap<u32, Part>,
    Chunk { part, chunk, kind, body }: Chunk,
) -> Result<Option<String>, LoadError> {
    let loaded = match kind {
        PartKind::Text | PartKind::Thinking => {
            let empty = if kind == PartKind::Text { Part::Text } else { Part::Thinking };
            let entry = parts.entry(part).or_insert_with(|| empty(Text::starting_at(chunk)));
            let is_same = entry.kind() == kind;
            match entry {
                Part::Text(text) | Part::Thinking(text) if is_same && text.n_chunks() == chunk => {
                    text.push_chunk(String::from_utf8(body)?);
                    return Ok(None);
                }
                _ => return Err(LoadError::Chunks { part }),
            }
        }
        PartKind::Tool if chunk == tool::HEAD => {
            let head: ToolHead = decode_row(&body)?;
            let id = head.id.clone();
            parts.insert(part, Part::Tool(Box::new(Tool { head, input: None, result: None })));
            return Ok(Some(id));
        }
        PartKind::Tool => {
            let Some(Part::Tool(tool)) = parts.get_mut(&part) else {
                return Err(LoadError::Chunks { part });
            };
            let value: Option<JsonText> = decode_row(&body)?;
            let slot = if chunk == tool::INPUT { &mut tool.input } else { &mut tool.result };
            *slot = value;
            return Ok(None);
        }
        PartKind::Plan => Part::Plan(decode_row::<Vec<PlanEntry>>(&body)?),
        PartKind::Suggestions => Part::Suggestions(decode_row::<Vec<String>>(&body)?),
        PartKind::Attachments => Part::Attachments(decode_row::<Vec<Attachment>>(&body)?),
    };
    parts.insert(part, loaded);
    Ok(None)
}
