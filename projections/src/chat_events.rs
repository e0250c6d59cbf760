//! Where the events of a chat are in the log: runs of neighbouring seqs, in chunks of fixed size.
//!
//! This is what makes a reader of one chat cheap: it goes from run to run and never sees what other
//! chats write. Every event counts, whatever its kind, also one that was erased or is not known.
//!
//! A chunk that is full is never touched again, so what is stored does not depend on how many
//! events were folded at a time.

use scrollback_schema::codec::{CodecError, decode_row, encode_row};
use scrollback_schema::event::Kind;
use scrollback_schema::{Recorded, Seq};
use serde::{Deserialize, Serialize};

use crate::{CannotApply, Projection, Reads, Touch};

/// Runs in a full chunk: about half a kilobyte, which is what one more event costs to store.
pub const RUNS_PER_CHUNK: usize = 128;

/// The projection `chat_events`.
#[derive(Debug, Clone, Copy)]
pub struct ChatEvents;

/// Neighbouring seqs that all belong to one chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The first of them.
    pub first: Seq,
    /// How many there are, at least 1.
    pub n: u64,
}

impl Run {
    /// The last of them.
    pub const fn last(&self) -> Seq {
        self.first.plus(self.n - 1)
    }
}

/// A stretch of a chat's runs: one stored row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// In ascending order, at least 1 and at most [`RUNS_PER_CHUNK`].
    runs: Vec<Run>,
}

impl Chunk {
    /// The runs, in ascending order; never empty.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The first seq in it: its key within the chat.
    pub fn first_seq(&self) -> Seq {
        self.runs.first().expect("a chunk has a run").first
    }

    /// The last seq in it.
    pub fn last_seq(&self) -> Seq {
        self.runs.last().expect("a chunk has a run").last()
    }

    /// The runs as a row blob: the distance of each from the end of the one before, and its length.
    pub fn encode(&self) -> Vec<u8> {
        let mut end = 0;
        let pairs: Vec<(u64, u64)> = self
            .runs
            .iter()
            .map(|run| {
                let distance = run.first.get() - end;
                end = run.last().get();
                (distance, run.n)
            })
            .collect();
        let mut out = Vec::with_capacity(2 + pairs.len() * 4);
        encode_row(&pairs, &mut out);
        out
    }

    /// Reads a row blob back.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the bytes are no chunk.
    pub fn decode(blob: &[u8]) -> Result<Chunk, CodecError> {
        let pairs: Vec<(u64, u64)> = decode_row(blob)?;
        let mut end = Seq::ZERO;
        let mut runs = Vec::with_capacity(pairs.len());
        for (distance, n) in pairs {
            if distance == 0 || n == 0 {
                return Err(CodecError::Malformed);
            }
            let run = Run { first: end.plus(distance), n };
            end = run.last();
            runs.push(run);
        }
        if runs.is_empty() { Err(CodecError::Malformed) } else { Ok(Chunk { runs }) }
    }
}

/// A row: the last chunk of a chat, and those that were filled since they were last saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRuns {
    full: Vec<Chunk>,
    last: Chunk,
}

impl ChatRuns {
    /// The row as it is when its last chunk was read from the store.
    pub const fn from_last(last: Chunk) -> ChatRuns {
        ChatRuns { full: Vec::new(), last }
    }

    /// The chunks to store, each under its [`Chunk::first_seq`]; all but the last are full.
    pub fn unsaved(&self) -> impl Iterator<Item = &Chunk> {
        self.full.iter().chain(std::iter::once(&self.last))
    }

    /// Forgets the full chunks: the store has them now.
    pub fn mark_saved(&mut self) {
        self.full.clear();
    }
}

impl Projection for ChatEvents {
    const NAME: &'static str = "chat_events";
    const VERSION: u32 = 1;
    const SQL: &'static str = include_str!("../sql/chat_events.sql");
    const READS_UNKNOWN: Reads = Reads::Head;

    type Key = Seq;
    type Row = ChatRuns;

    fn reads(_kind: Kind) -> Reads {
        Reads::Head
    }

    fn touches(event: &Recorded) -> Touch<Seq> {
        Touch::Row(event.chat.created)
    }

    fn apply(row: &mut Option<ChatRuns>, event: &Recorded) -> Result<(), CannotApply> {
        let run = Run { first: event.seq, n: 1 };
        let Some(row) = row else {
            *row = Some(ChatRuns::from_last(Chunk { runs: vec![run] }));
            return Ok(());
        };
        if event.seq <= row.last.last_seq() {
            return Err(CannotApply::because("the event is not after the last one of its chat"));
        }
        let open = row.last.runs.last_mut().expect("a chunk has a run");
        if open.last().next() == event.seq {
            open.n += 1;
        } else if row.last.runs.len() < RUNS_PER_CHUNK {
            row.last.runs.push(run);
        } else {
            let next = Chunk { runs: vec![run] };
            row.full.push(std::mem::replace(&mut row.last, next));
        }
        Ok(())
    }
}
