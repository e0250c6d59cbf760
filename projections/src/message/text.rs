//! Text in chunks: grown at its end by deltas, cut back when a tag leaves it.
//!
//! A chunk is filled until the next character does not fit; so chunks depend on the text alone, and
//! not on the deltas that it came in. Earlier chunks may be absent from memory.

use scrollback_schema::limits::TEXT_CHUNK_BYTES;
use serde::{Deserialize, Serialize};

use super::stored::Unsaved;
use super::tag::{OPEN, Scan};

const _: () = assert!(TEXT_CHUNK_BYTES >= 4, "every character fits into a chunk");

/// Text in chunks of at most [`TEXT_CHUNK_BYTES`]; the first ones may be in the store alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The place of the first chunk in memory.
    first: u32,
    chunks: Vec<String>,
}

/// What the next delta needs to know of the text that it goes on with; of constant size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tail {
    /// The place of the part.
    pub(super) part: u32,
    /// What the part is.
    pub(super) voice: Voice,
    /// Chunks so far.
    pub(super) n_chunks: u32,
    /// Bytes so far.
    pub(super) bytes: u64,
    /// The first chunk that a fold needs: the last, or the one where an open tag begins.
    pub(super) needed_from: u32,
    /// How far a tag has been read.
    pub(super) scan: Scan,
}

/// What a fold that has the text of a message needs to know besides, to go on with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenEnd {
    /// Whether it is thinking that goes on, or text.
    pub is_thinking: bool,
    /// Whether the part has no text so far, or lost all of it to a tag.
    pub is_empty: bool,
    /// Bytes at the end that a tag may take away.
    pub held_bytes: u64,
}

/// The two sorts of text that come in deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Voice {
    /// What is said.
    Text,
    /// What is thought; tags mean nothing here.
    Thinking,
}

impl Text {
    /// The joined text is what these say one after the other.
    pub fn pieces(&self) -> impl Iterator<Item = &str> {
        self.chunks.iter().map(String::as_str)
    }

    /// A whole text that does not grow any more.
    pub(super) fn new(text: &str) -> Text {
        let mut out = Text::starting_at(0);
        out.push(text);
        out
    }

    /// Nothing in memory yet; the next chunk to come is the one with this place.
    pub(super) const fn starting_at(first: u32) -> Text {
        Text { first, chunks: Vec::new() }
    }

    /// The place of the first chunk in memory.
    pub(super) const fn first_chunk(&self) -> u32 {
        self.first
    }

    /// Chunks, counting those that are not in memory.
    pub(super) fn n_chunks(&self) -> u32 {
        let n = u32::try_from(self.chunks.len()).expect("the log ends before the chunks do");
        self.first + n
    }

    /// A chunk that is in memory.
    pub(super) fn chunk(&self, chunk: u32) -> &str {
        &self.chunks[(chunk - self.first) as usize]
    }

    /// Adds a chunk as it was stored.
    pub(super) fn push_chunk(&mut self, chunk: String) {
        self.chunks.push(chunk);
    }

    /// Lets go of the chunks before this one.
    pub(super) fn forget_before(&mut self, chunk: u32) {
        let n = (chunk.saturating_sub(self.first) as usize).min(self.chunks.len());
        self.chunks.drain(..n);
        self.first += n as u32;
    }

    /// Appends; the first chunk that changed.
    fn push(&mut self, text: &str) -> u32 {
        let changed = self.n_chunks().saturating_sub(1).max(self.first);
        let mut rest = text;
        while !rest.is_empty() {
            let room = self.chunks.last().map_or(0, |last| TEXT_CHUNK_BYTES - last.len());
            let (head, tail) = rest.split_at(rest.floor_char_boundary(room));
            match self.chunks.last_mut() {
                Some(last) if !head.is_empty() => last.push_str(head),
                _ => self.chunks.push(String::new()),
            }
            rest = if head.is_empty() { rest } else { tail };
        }
        changed
    }

    /// The last `n` bytes, all of which are in memory.
    pub(super) fn last_bytes(&self, n: usize) -> String {
        let mut pieces = Vec::new();
        let mut missing = n;
        for chunk in self.chunks.iter().rev() {
            let from = chunk.len().saturating_sub(missing);
            pieces.push(&chunk[from..]);
            missing -= chunk.len() - from;
            if missing == 0 {
                break;
            }
        }
        pieces.into_iter().rev().collect()
    }

    /// Takes away the last `n` bytes, all of which are in memory.
    fn cut(&mut self, n: usize) {
        let mut surplus = n;
        while let Some(last) = self.chunks.last_mut() {
            if surplus < last.len() {
                last.truncate(last.len() - surplus);
                return;
            }
            surplus -= last.len();
            self.chunks.pop();
        }
    }

    /// The chunk in which the last `n` bytes begin.
    fn chunk_of_last(&self, n: usize) -> u32 {
        let mut missing = n;
        let mut place = self.n_chunks();
        for chunk in self.chunks.iter().rev() {
            place -= 1;
            if chunk.len() >= missing {
                break;
            }
            missing -= chunk.len();
        }
        place
    }
}

impl Tail {
    /// The tail of a part that begins.
    pub(super) fn new(part: u32, voice: Voice) -> Tail {
        Tail { part, voice, n_chunks: 0, bytes: 0, needed_from: 0, scan: Scan::default() }
    }

    pub(super) fn open_end(&self) -> OpenEnd {
        OpenEnd {
            is_thinking: self.voice == Voice::Thinking,
            is_empty: self.bytes == 0,
            held_bytes: self.scan.open_since().map_or(0, |start| self.bytes - start),
        }
    }

    /// Appends a delta to the part; the suggestions, if a tag that holds some was closed in it.
    ///
    /// Takes time in proportion to the delta. A tag leaves the text as soon as it closes.
    pub(super) fn append(
        &mut self,
        text: &mut Text,
        delta: &str,
        unsaved: &mut Unsaved,
    ) -> Option<Vec<String>> {
        let mut suggestions = None;
        let mut rest = delta;
        while self.voice == Voice::Text
            && let Some(tag) = self.scan.next_tag(self.bytes, rest.as_bytes())
        {
            let (head, tail) = rest.split_at(tag.end);
            self.push(text, head, unsaved);
            let tag_bytes = (self.bytes - tag.start) as usize;
            let body = &text.last_bytes(tag_bytes)[OPEN.len()..OPEN.len() + tag.body_bytes];
            suggestions = serde_json::from_str(body).ok().or(suggestions);
            text.cut(tag_bytes);
            self.bytes = tag.start;
            unsaved.drop_from(self.part, text.n_chunks());
            if text.n_chunks() > text.first_chunk() {
                unsaved.put(self.part, text.n_chunks() - 1);
            }
            rest = tail;
        }
        self.push(text, rest, unsaved);
        self.n_chunks = text.n_chunks();
        let open_bytes = self.scan.open_since().map_or(0, |start| (self.bytes - start) as usize);
        self.needed_from = text.chunk_of_last(open_bytes).min(self.n_chunks.saturating_sub(1));
        suggestions
    }

    fn push(&mut self, text: &mut Text, piece: &str, unsaved: &mut Unsaved) {
        if piece.is_empty() {
            return;
        }
        let changed = text.push(piece);
        (changed..text.n_chunks()).for_each(|chunk| unsaved.put(self.part, chunk));
        self.bytes += piece.len() as u64;
    }
}
