//! Server-sent events out of bytes, with a bound on what one event may hold.
//!
//! Not `eventsource-stream`, which the `tail` command uses on our own server: it keeps an event of
//! any size, keeps everything that follows one invalid byte, scans a long line anew with each
//! packet and drops an event whose last empty line is missing. Model servers send all of these.
//!
//! Beyond the standard, a line that begins with `{` is data: some servers write an error into the
//! stream without a field's name.

use bytes::{Buf, Bytes};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) struct SseEvent {
    /// Its name; empty if it has none.
    pub(in crate::provider) name: String,
    /// Its data. Invalid UTF-8 is replaced, as the standard has it.
    pub(in crate::provider) data: String,
}

/// An event is larger than the decoder may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::provider) struct TooLarge;

/// Takes bytes in any pieces and gives events.
#[derive(Debug)]
pub(in crate::provider) struct Decoder {
    /// Bytes that one event, or one line, may hold.
    bytes_max: usize,
    /// The line that is not whole yet.
    line: Vec<u8>,
    name: String,
    data: Option<Vec<u8>>,
    /// The last byte was a CR: an LF right after it belongs to it.
    after_cr: bool,
    is_first_line: bool,
    /// Lines that are no field of an event.
    n_strange: u64,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub(in crate::provider) fn new(bytes_max: usize) -> Decoder {
        Decoder {
            bytes_max,
            line: Vec::new(),
            name: String::new(),
            data: None,
            after_cr: false,
            is_first_line: true,
            n_strange: 0,
        }
    }

    /// Whether there were lines that no event stream has.
    pub(in crate::provider) fn has_strange_lines(&self) -> bool {
        self.n_strange > 0
    }

    /// Takes bytes from the front until an event is whole; `None` if all are taken.
    pub(in crate::provider) fn next(
        &mut self,
        bytes: &mut Bytes,
    ) -> Result<Option<SseEvent>, TooLarge> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes.advance(1);
                continue;
            }
            let end = memchr::memchr2(b'\n', b'\r', bytes);
            let n_taken = end.unwrap_or(bytes.len());
            let n_kept = self.data.as_ref().map_or(0, Vec::len) + self.line.len();
            if n_kept + n_taken > self.bytes_max {
                return Err(TooLarge);
            }
            self.line.extend_from_slice(&bytes[..n_taken]);
            let Some(end) = end else {
                bytes.clear();
                return Ok(None);
            };
            self.after_cr = bytes[end] == b'\r';
            bytes.advance(end + 1);
            if let Some(event) = self.end_line() {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// The event that the end of the stream left without its empty line.
    pub(in crate::provider) fn finish(&mut self) -> Option<SseEvent> {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.dispatch()
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_first_line) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        let event = if line.is_empty() {
            self.dispatch()
        } else {
            self.field(&line);
            None
        };
        line.clear();
        // Its memory serves the next line, unless it was an unusual one.
        if line.capacity() <= 64 << 10 {
            self.line = line;
        }
        event
    }

    fn field(&mut self, line: &[u8]) {
        let colon = memchr::memchr(b':', line);
        let (name, value) = match colon {
            _ if line[0] == b'{' => (&b"data"[..], line),
            Some(at) => (&line[..at], line[at + 1..].strip_prefix(b" ").unwrap_or(&line[at + 1..])),
            None => (line, &b""[..]),
        };
        match name {
            b"data" => {
                let data = self.data.get_or_insert_with(Vec::new);
                if !data.is_empty() {
                    data.push(b'\n');
                }
                data.extend_from_slice(value);
            }
            b"event" => self.name = String::from_utf8_lossy(value).into_owned(),
            // An empty name is a comment.
            b"" | b"id" | b"retry" => {}
            _ => self.n_strange += 1,
        }
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        let name = std::mem::take(&mut self.name);
        let data = self.data.take()?;
        let data = String::from_utf8(data)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Some(SseEvent { name, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a text that arrives in pieces of `n` bytes, as `name|data`.
    fn events_in(text: &[u8], n: usize) -> Vec<String> {
        let mut decoder = Decoder::new(64);
        let mut found = Vec::new();
        for piece in text.chunks(n) {
            let mut bytes = Bytes::copy_from_slice(piece);
            while let Some(event) = decoder.next(&mut bytes).unwrap() {
                found.push(event);
            }
        }
        found.extend(decoder.finish());
        found.into_iter().map(|event| format!("{}|{}", event.name, event.data)).collect()
    }

    #[track_caller]
    fn check(text: &[u8], expected: &[&str]) {
        for n in 1..=text.len() {
            assert_eq!(events_in(text, n), expected, "in pieces of {n}");
        }
    }

    #[test]
    fn events_come_out_however_the_bytes_arrive() {
        check(b"data: a\n\ndata:b\n\n", &["|a", "|b"]);
        check(b"\xef\xbb\xbfdata: a\r\n\r\ndata: b\r\rdata: c\n\n", &["|a", "|b", "|c"]);
        check(b": comment\n\nretry: 3\nid: 4\n\nevent: ping\n\n", &[]);
        check(b"event: error\ndata: one\ndata: two\n\n", &["error|one\ntwo"]);
        check("data: h\u{f6}\u{1f44d}\n\n".as_bytes(), &["|h\u{f6}\u{1f44d}"]);
        check(b"data: \xff!\n\n", &["|\u{fffd}!"]);
        check(b"data\n\ndata: \n\n", &["|", "|"]);
    }

    #[test]
    fn what_servers_forget_is_forgiven() {
        check(b"data: a\n\ndata: [DONE]", &["|a", "|[DONE]"]);
        check(b"data: a\n", &["|a"]);
        check(b"{\"error\": 1}\n", &["|{\"error\": 1}"]);
    }

    #[test]
    fn a_strange_line_is_counted() {
        let mut decoder = Decoder::new(64);
        assert_eq!(decoder.next(&mut Bytes::from_static(b"data: a\n")), Ok(None));
        assert!(!decoder.has_strange_lines());
        assert_eq!(decoder.next(&mut Bytes::from_static(b"<html>: a\n")), Ok(None));
        assert!(decoder.has_strange_lines());
    }

    #[test]
    fn an_event_is_bounded() {
        let in_one_line = [&b"data: "[..], &[b'x'; 64]].concat();
        let in_many = b"data: 12345678\n".repeat(9);
        for text in [in_one_line, in_many] {
            for n in 1..=text.len() {
                let mut decoder = Decoder::new(64);
                let outcome = text
                    .chunks(n)
                    .map(|piece| decoder.next(&mut Bytes::copy_from_slice(piece)))
                    .find(|outcome| *outcome != Ok(None));
                assert_eq!(outcome, Some(Err(TooLarge)), "in pieces of {n}");
            }
        }
    }
}
