//! Server-sent events as bytes: what stands between the data frames of a stream.
//!
//! Control frames have no id and never move a reader's cursor, but for `caught_up`. Data frames are
//! made once a section, by `log::frames`; when each is sent is left to `replay`.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use bytes::Bytes;
use scrollback_schema::Seq;
use serde::Serialize;
use serde_json::json;

/// Milliseconds after which a client connects again; `EventSource` would wait for three seconds.
const RETRY_MS: u64 = 1_000;

/// Bytes of a heartbeat's padding: enough to push out what a buffering proxy holds back.
const PADDING: &[u8; 512] = &[b' '; 512];

/// The headers of every stream.
pub(crate) const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
    (CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
];

/// The first frame: which log this is and where it ends.
pub(crate) fn push_hello(out: &mut Vec<u8>, log_id: &str, head: Seq) {
    out.extend_from_slice(format!("retry: {RETRY_MS}\n").as_bytes());
    push_control(out, "hello", &json!({ "log_id": log_id, "head_seq": head.get() }));
}

/// The cursor is of no use here; a snapshot follows.
pub(crate) fn push_resync(out: &mut Vec<u8>, reason: &str, head: Seq) {
    push_control(out, "resync", &json!({ "reason": reason, "head_seq": head.get() }));
}

/// The state from which the events after `as_of_seq` go on.
pub(crate) fn push_snapshot(out: &mut Vec<u8>, snapshot: &impl Serialize) {
    push_control(out, "snapshot", snapshot);
}

/// The reader has all that it may see up to `seq`; the one control frame that moves its cursor.
pub(crate) fn push_caught_up(out: &mut Vec<u8>, seq: Seq) {
    let text = format!("id: {seq}\nevent: caught_up\ndata: {{\"seq\":{seq}}}\n\n");
    out.extend_from_slice(text.as_bytes());
}

/// The server ends the stream on purpose.
pub(crate) fn push_bye(out: &mut Vec<u8>, reason: &str) {
    push_control(out, "bye", &json!({ "reason": reason }));
}

/// Nothing happened, and the connection is alive.
pub(crate) fn push_heartbeat(out: &mut Vec<u8>) {
    out.extend_from_slice(b": heartbeat");
    out.extend_from_slice(PADDING);
    out.extend_from_slice(b"\n\n");
}

fn push_control(out: &mut Vec<u8>, event: &str, data: &impl Serialize) {
    out.extend_from_slice(format!("event: {event}\ndata: ").as_bytes());
    // Neither serde_json nor a view writes a line break, so the data is one line.
    serde_json::to_writer(&mut *out, data).expect("views are JSON, and a Vec takes every byte");
    out.extend_from_slice(b"\n\n");
}

/// What is to be written next, in order; large pieces are shared with other readers.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// The pieces, none of them empty.
    pub(crate) pieces: Vec<Bytes>,
}

/// Pieces up to this size are joined: copying them costs less than passing them on one by one.
const JOIN_BYTES_MAX: usize = 16 << 10;

/// Gathers what is pending into few pieces.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    pieces: Vec<Bytes>,
    joined: Vec<u8>,
    n_bytes: usize,
}

impl Gather {
    /// Adds shared bytes: copied if they are few and not alone, else passed on as they are.
    pub(crate) fn share(&mut self, bytes: Bytes, is_alone: bool) {
        self.n_bytes += bytes.len();
        if bytes.is_empty() {
            return;
        }
        if bytes.len() <= JOIN_BYTES_MAX && !(is_alone && self.joined.is_empty()) {
            self.joined.extend_from_slice(&bytes);
            return;
        }
        self.flush();
        self.pieces.push(bytes);
    }

    /// The buffer that small pieces and control frames are written to.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.joined
    }

    fn flush(&mut self) {
        if !self.joined.is_empty() {
            self.pieces.push(Bytes::from(std::mem::take(&mut self.joined)));
        }
    }

    /// What was gathered, and how many bytes it has.
    pub(crate) fn finish(mut self) -> Chunk {
        self.flush();
        Chunk { pieces: self.pieces }
    }
}

impl Chunk {
    /// Bytes of all pieces.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(push: impl FnOnce(&mut Vec<u8>), expected: &str) {
        let mut out = Vec::new();
        push(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    fn seq(n: u64) -> Seq {
        Seq::new(n).unwrap()
    }

    #[test]
    fn control_frames_have_no_id_but_caught_up() {
        check(
            |out| push_hello(out, "l", seq(7)),
            "retry: 1000\nevent: hello\ndata: {\"head_seq\":7,\"log_id\":\"l\"}\n\n",
        );
        check(|out| push_caught_up(out, seq(7)), "id: 7\nevent: caught_up\ndata: {\"seq\":7}\n\n");
        check(|out| push_bye(out, "shutdown"), "event: bye\ndata: {\"reason\":\"shutdown\"}\n\n");
    }

    #[test]
    fn a_heartbeat_is_a_comment_alone() {
        let mut out = Vec::new();
        push_heartbeat(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(": ") && text.ends_with("\n\n") && text.len() > 512);
        assert_eq!(text.trim_end().lines().count(), 1);
    }

    #[test]
    fn large_pieces_are_shared_and_small_ones_joined_in_order() {
        let large = Bytes::from(vec![b'x'; JOIN_BYTES_MAX + 1]);
        let mut gather = Gather::default();
        gather.share(Bytes::from_static(b"a"), false);
        gather.share(Bytes::from_static(b"b"), false);
        gather.share(large.clone(), false);
        gather.buffer().extend_from_slice(b"c");
        let pieces = gather.finish().pieces;
        assert_eq!(pieces, [Bytes::from_static(b"ab"), large.clone(), Bytes::from_static(b"c")]);
        assert_eq!(pieces[1].as_ptr(), large.as_ptr());
    }
}
