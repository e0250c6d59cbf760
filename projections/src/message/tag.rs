//! Finds `<prompt_suggestions>…</prompt_suggestions>` in text that comes in pieces.
//!
//! Each byte is looked at once, whatever the pieces. The rules, which a client that folds by itself
//! has to share:
//! - a tag is what lies between the *last* opening before a closing and that closing, so that an
//!   opening that is never closed takes nothing with it;
//! - there are at most [`SUGGESTIONS_TAG_BYTES_MAX`] bytes in between, else it is left alone;
//! - it lies within one part: what comes between two texts ends a tag that is open.

use memchr::memchr;
use scrollback_schema::limits::SUGGESTIONS_TAG_BYTES_MAX;
use serde::{Deserialize, Serialize};

pub(super) const OPEN: &[u8] = b"<prompt_suggestions>";
const CLOSE: &[u8] = b"</prompt_suggestions>";

/// How far a tag has been read. Places are bytes from the beginning of the text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Scan {
    /// Where the last opening begins that may still be closed.
    open: Option<u64>,
    /// The last `<`, while what follows may become an opening or a closing.
    candidate: Option<Candidate>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Candidate {
    /// Where the `<` is.
    start: u64,
    /// Bytes that fit so far.
    n: u8,
    /// Whether it begins with `</`.
    is_close: bool,
}

/// A tag that was closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag {
    /// Where it begins in the text.
    pub(super) start: u64,
    /// Bytes between its two ends.
    pub(super) body_bytes: usize,
    /// Where the rest begins in the piece in which it was closed.
    pub(super) end: usize,
}

impl Scan {
    /// Reads a piece of text that begins at `from`, up to the end of the first tag closed in it.
    ///
    /// When there is a tag, the rest of the piece is to be read as what follows once it has left.
    pub(super) fn next_tag(&mut self, from: u64, piece: &[u8]) -> Option<Tag> {
        let mut i = 0;
        while i < piece.len() {
            let Some(candidate) = &mut self.candidate else {
                let Some(n) = memchr(b'<', &piece[i..]) else { break };
                let start = from + (i + n) as u64;
                self.candidate = Some(Candidate { start, n: 1, is_close: false });
                i += n + 1;
                continue;
            };
            candidate.is_close |= candidate.n == 1 && piece[i] == b'/';
            let name = if candidate.is_close { CLOSE } else { OPEN };
            if piece[i] != name[usize::from(candidate.n)] {
                // Not taken: it may be a `<` that begins the next candidate.
                self.candidate = None;
                continue;
            }
            candidate.n += 1;
            i += 1;
            if usize::from(candidate.n) == name.len() {
                let (start, is_close) = (candidate.start, candidate.is_close);
                self.candidate = None;
                if !is_close {
                    self.open = Some(start);
                } else if let Some(tag) = self.close(start, i) {
                    return Some(tag);
                }
            }
        }
        self.forget_if_too_long(from + piece.len() as u64);
        None
    }

    /// Where the text begins that a tag may still take away.
    pub(super) fn open_since(&self) -> Option<u64> {
        self.open.or(self.candidate.as_ref().map(|candidate| candidate.start))
    }

    fn close(&mut self, close: u64, end: usize) -> Option<Tag> {
        let start = self.open.take()?;
        let body_bytes = (close - start) as usize - OPEN.len();
        (body_bytes <= SUGGESTIONS_TAG_BYTES_MAX).then_some(Tag { start, body_bytes, end })
    }

    fn forget_if_too_long(&mut self, text_bytes: u64) {
        let end = self.candidate.as_ref().map_or(text_bytes, |candidate| candidate.start);
        let longest = (OPEN.len() + SUGGESTIONS_TAG_BYTES_MAX) as u64;
        if self.open.is_some_and(|open| end - open > longest) {
            self.open = None;
        }
    }
}
