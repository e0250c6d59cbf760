//! The events of a section as SSE frames, made once and shared by every reader that passes it.
//!
//! A frame is `id: <seq>`, `event: stream`, `data: <envelope>`; what stands between frames, and
//! when they are sent, is left to `http`. An erased event has no frame: readers skip it.

use std::ops::Range;

use bytes::Bytes;
use scrollback_schema::codec::CodecError;
use scrollback_schema::wire::{EnvelopeHead, Written, write_envelope};
use scrollback_schema::{MessageId, Seq};

use super::ReadError;
use super::section::Section;

/// The frames of one section.
#[derive(Debug)]
pub struct Frames {
    bytes: Bytes,
    /// Where the frame of each event ends; it starts where the one before ends. Shorter than the
    /// section if an event does not decode.
    ends: Box<[u32]>,
}

impl Frames {
    /// The frames of the events at `range`, sharing the section's bytes.
    ///
    /// Stops before an event that does not decode: see [`Frames::n_readable`].
    pub fn slice(&self, range: Range<usize>) -> Bytes {
        let offset = |index: usize| match index.min(self.ends.len()) {
            0 => 0,
            index => self.ends[index - 1] as usize,
        };
        self.bytes.slice(offset(range.start)..offset(range.end))
    }

    /// How many events have been understood, from the first on; fewer than the section holds only
    /// if the log is damaged.
    pub fn n_readable(&self) -> usize {
        self.ends.len()
    }
}

impl Section {
    /// The frames of the section, made by the first who asks.
    pub fn frames(&self) -> &Frames {
        self.frames.get_or_init(|| {
            let mut bytes = Vec::with_capacity(self.frames_capacity());
            let mut ends = Vec::with_capacity(self.len());
            let at = self.at().to_string();
            for index in 0..self.len() {
                if self.write_frame(index, &at, &mut bytes).is_err() {
                    break;
                }
                ends.push(u32::try_from(bytes.len()).expect("an append is far below 4 GiB"));
            }
            bytes.shrink_to_fit();
            Frames { bytes: Bytes::from(bytes), ends: ends.into_boxed_slice() }
        })
    }

    /// Appends the frames of the events at `range` to `out` without keeping them, for a page that
    /// is read for one reader alone.
    ///
    /// # Errors
    ///
    /// The seq of the first event that does not decode; the frames before it are in `out`.
    pub fn write_frames(&self, range: Range<usize>, out: &mut Vec<u8>) -> Result<(), Seq> {
        if let Some(frames) = self.frames.get() {
            out.extend_from_slice(&frames.slice(range.clone()));
            let n_readable = frames.n_readable();
            return if range.end <= n_readable { Ok(()) } else { Err(self.seq_at(n_readable)) };
        }
        let at = self.at().to_string();
        out.reserve(self.n_bytes() + range.len() * FRAME_BYTES);
        for index in range {
            self.write_frame(index, &at, out).map_err(|_| self.seq_at(index))?;
        }
        Ok(())
    }

    /// Appends the envelope of the event at `index` alone; false if it was erased and has none.
    ///
    /// # Errors
    ///
    /// [`ReadError::Undecodable`] if its payload is damaged; `out` is then as before.
    pub fn write_envelope(&self, index: usize, out: &mut Vec<u8>) -> Result<bool, ReadError> {
        let seq = self.seq_at(index);
        let written = self
            .push_envelope(index, &self.at().to_string(), out)
            .map_err(|source| ReadError::Undecodable { seq, source })?;
        Ok(written == Written::Yes)
    }

    fn frames_capacity(&self) -> usize {
        self.n_bytes() + self.n_bytes() / 8 + self.len() * FRAME_BYTES
    }

    /// Appends one frame, or nothing if the event was erased or does not decode.
    fn write_frame(&self, index: usize, at: &str, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let start = out.len();
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(itoa::Buffer::new().format(self.seq_at(index).get()).as_bytes());
        out.extend_from_slice(b"\nevent: stream\ndata: ");
        match self.push_envelope(index, at, out) {
            Ok(Written::Yes) => out.extend_from_slice(b"\n\n"),
            Ok(Written::Erased) => out.truncate(start),
            Err(error) => {
                out.truncate(start);
                return Err(error);
            }
        }
        Ok(())
    }

    fn push_envelope(
        &self,
        index: usize,
        at: &str,
        out: &mut Vec<u8>,
    ) -> Result<Written, CodecError> {
        self.check_payloads()?;
        let head = EnvelopeHead {
            chat_id: self.chat().id.as_str(),
            message_id: self.message().map(MessageId::as_str),
            stream_id: self.turn().map(|turn| turn.id.as_str()),
            seq: self.seq_at(index),
            at,
        };
        let (kind, version) = (self.kind_at(index), self.version_at(index));
        write_envelope(out, &head, kind, version, self.payload_at(index))
    }
}

/// Bytes of a frame beside its payload, about: ids of 36 characters and what is around them.
const FRAME_BYTES: usize = 288;
