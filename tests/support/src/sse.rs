//! A reader of server-sent events that keeps the bytes: what two readers got is compared as it
//! came.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::Value;

use crate::wait::within;

/// One frame, from its first field to the empty line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The bytes as they came.
    pub raw: Bytes,
    /// The seq, in frames that move the cursor.
    pub id: Option<u64>,
    /// The event's name; empty in a comment.
    pub event: String,
    /// The data.
    pub data: String,
}

impl Frame {
    /// Whether it carries an event of the log.
    pub fn is_data(&self) -> bool {
        self.event == "stream"
    }

    /// The data as JSON.
    ///
    /// # Panics
    ///
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|e| panic!("{e}: {}", self.data))
    }

    fn parse(raw: Bytes) -> Frame {
        let text = std::str::from_utf8(&raw).expect("frames are UTF-8");
        let (mut id, mut event, mut data) = (None, String::new(), Vec::new());
        for line in text.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => id = Some(value.parse().expect("an id is a seq")),
                "event" => value.clone_into(&mut event),
                "data" => data.push(value),
                _ => {}
            }
        }
        let data = data.join("\n");
        Frame { raw, id, event, data }
    }
}

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// At the first event.
    Beginning,
    /// Strictly after this seq, said as a browser says it: with `Last-Event-ID`.
    After(u64),
}

/// An open stream.
pub struct SseReader {
    chunks: futures_util::stream::BoxStream<'static, Result<Bytes, reqwest::Error>>,
    buffer: BytesMut,
}

impl SseReader {
    /// Opens a stream.
    ///
    /// # Errors
    ///
    /// The status and the body, if the server refuses.
    ///
    /// # Panics
    ///
    /// If there is no answer, or it is no event stream.
    pub async fn open(
        client: &reqwest::Client,
        url: &str,
        resume: Resume,
    ) -> Result<SseReader, (u16, String)> {
        let mut request = client.get(url).header("accept", "text/event-stream");
        if let Resume::After(seq) = resume {
            request = request.header("last-event-id", seq);
        }
        let response = within("the stream's head", request.send()).await.expect("an answer");
        let status = response.status().as_u16();
        if status != 200 {
            return Err((status, response.text().await.unwrap_or_default()));
        }
        Ok(SseReader::of(response))
    }

    /// Reads what a server grants.
    ///
    /// # Panics
    ///
    /// If it is no event stream.
    pub fn of(response: reqwest::Response) -> SseReader {
        let header = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("cache-control"), "no-cache, no-transform");
        assert_eq!(header("x-accel-buffering"), "no");
        SseReader { chunks: response.bytes_stream().boxed(), buffer: BytesMut::new() }
    }

    /// The next frame, comments included; `None` when the server has ended the stream.
    ///
    /// # Cancel safety
    ///
    /// A dropped future loses nothing: bytes that came are kept for the next call.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\n\n") {
                return Some(Frame::parse(self.buffer.split_to(end + 2).freeze()));
            }
            match self.chunks.next().await {
                Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
                // A server that dies cuts the connection: that ends the stream too.
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The next frame of this name; others before it are passed over.
    ///
    /// # Panics
    ///
    /// If none comes.
    pub async fn named(&mut self, event: &str) -> Frame {
        let what = format!("a frame {event}");
        within(&what, async {
            loop {
                match self.frame().await {
                    Some(frame) if frame.event == event => return frame,
                    Some(_) => {}
                    None => panic!("the stream ended before {what}"),
                }
            }
        })
        .await
    }

    /// Every frame until the server ends the stream.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub async fn rest(&mut self) -> Vec<Frame> {
        within("the end of the stream", async {
            let mut frames = Vec::new();
            while let Some(frame) = self.frame().await {
                frames.push(frame);
            }
            frames
        })
        .await
    }
}

impl std::fmt::Debug for SseReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SseReader").field("n_buffered", &self.buffer.len()).finish_non_exhaustive()
    }
}

/// What a reader has collected over any number of connections.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Collected {
    /// The data frames as they came, by their seq.
    pub frames: BTreeMap<u64, Bytes>,
    /// Where the reader would resume.
    pub cursor: u64,
}

impl Collected {
    /// A reader that starts after `cursor`.
    pub const fn after(cursor: u64) -> Collected {
        Collected { frames: BTreeMap::new(), cursor }
    }

    /// Takes a frame.
    ///
    /// # Panics
    ///
    /// If it goes back: a seq at or below the cursor is a duplicate or out of order.
    #[track_caller]
    pub fn take(&mut self, frame: &Frame) {
        let Some(id) = frame.id else { return };
        if frame.is_data() {
            assert!(id > self.cursor, "seq {id} came after {}", self.cursor);
            self.frames.insert(id, frame.raw.clone());
        } else {
            assert!(id >= self.cursor, "{} goes back from {} to {id}", frame.event, self.cursor);
        }
        self.cursor = id;
    }

    /// All bytes of the data frames, in order.
    pub fn bytes(&self) -> Vec<u8> {
        self.frames.values().flat_map(|frame| frame.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &'static str) -> Frame {
        Frame::parse(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_frame_is_its_fields() {
        let data = frame("id: 7\nevent: stream\ndata: {\"seq\":7}\n\n");
        assert_eq!((data.id, data.event.as_str()), (Some(7), "stream"));
        assert_eq!(data.json()["seq"], 7);
        let comment = frame(": heartbeat\n\n");
        assert_eq!((comment.id, comment.event.as_str(), comment.data.as_str()), (None, "", ""));
    }

    #[test]
    #[should_panic(expected = "seq 7 came after 7")]
    fn a_duplicate_is_noticed() {
        let mut collected = Collected::default();
        collected.take(&frame("id: 7\nevent: stream\ndata: {}\n\n"));
        collected.take(&frame("event: bye\ndata: {}\n\n"));
        collected.take(&frame("id: 7\nevent: stream\ndata: {}\n\n"));
    }
}
