//! Stored payloads: whatever the bytes are, reading them ends in an answer.

use scrollback_schema::codec::{CodecError, PAYLOAD_VERSION, decode_payload, encode_payload};
use scrollback_schema::event::{AssistantText, Event, Plan, PlanEntry, PromptSuggestions};
use scrollback_schema::limits::PAYLOAD_BYTES_MAX;
use scrollback_schema::wire::{EnvelopeHead, Written, write_envelope};
use scrollback_schema::{Body, Kind, Seq};

use crate::golden::{golden_dir, unhex};

const TEXT: u16 = Kind::AssistantText.number();
const PLAN: u16 = Kind::Plan.number();
const SUGGESTIONS: u16 = Kind::PromptSuggestions.number();

fn encode(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_payload(event, &mut bytes).unwrap();
    bytes
}

fn text(text: &str) -> Event {
    Event::AssistantText(AssistantText { text: text.to_owned() })
}

fn head() -> EnvelopeHead<'static> {
    let (chat_id, at) = ("c1", "2026-11-22T20:52:00.123Z");
    EnvelopeHead { chat_id, message_id: None, stream_id: None, seq: Seq::MAX, at }
}

/// Decodes and writes, and checks that both say the same.
fn read(kind: u16, payload: &[u8]) -> Result<Body, CodecError> {
    let body = decode_payload(kind, PAYLOAD_VERSION, payload);
    let mut out = b"before".to_vec();
    let written = write_envelope(&mut out, &head(), kind, PAYLOAD_VERSION, payload);
    match (&body, written) {
        (Ok(Body::Erased { .. }), Ok(Written::Erased)) => assert_eq!(out, b"before"),
        (Ok(_), Ok(Written::Yes)) => {
            assert!(!out.iter().any(|&b| matches!(b, b'\n' | b'\r')), "a line stays a line");
        }
        (Err(a), Err(b)) => {
            assert_eq!(a.to_string(), b.to_string());
            assert_eq!(out, b"before");
        }
        (body, written) => panic!("decoding says {body:?}, writing {written:?}"),
    }
    body
}

#[test]
fn a_blob_is_read_to_its_last_byte_and_no_further() {
    let mut blob = encode(&text("hello"));
    assert_eq!(read(TEXT, &blob).unwrap(), Body::Event(text("hello")));
    blob.push(0);
    assert!(matches!(read(TEXT, &blob), Err(CodecError::Trailing { bytes: 1 })));
    assert!(matches!(read(TEXT, b""), Err(CodecError::Empty)));
    assert!(matches!(read(TEXT, b"\x01\x01\xff"), Err(CodecError::Malformed)), "no UTF-8");
}

#[test]
fn zeroes_are_an_erased_payload_of_any_kind() {
    for kind in [TEXT, PLAN, 9_999] {
        assert_eq!(read(kind, b"\0\0\0").unwrap(), Body::Erased { kind });
    }
    assert!(matches!(read(TEXT, b"\0\0\x01"), Err(CodecError::Format { format: 0 })));
}

#[test]
fn other_kinds_and_versions_are_carried_as_they_are() {
    let unknown = |kind, version, payload: &[u8]| {
        let payload = payload.to_vec();
        assert_eq!(
            decode_payload(kind, version, &payload).unwrap(),
            Body::Unknown { kind, version, payload }
        );
    };
    unknown(9_999, 1, b"\x07what");
    unknown(TEXT, 2, b"\x01\xff");
    unknown(9_999, 1, b"");
    // A format of a newer program: the kind says what it is, and not how it is to be read.
    unknown(TEXT, 1, b"\x02\x00");
    unknown(PLAN, 1, b"\xff");
    read(TEXT, b"\x02\x00").unwrap();
    let mut out = Vec::new();
    write_envelope(&mut out, &head(), TEXT, 2, b"\x01\xab").unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"chatId":"c1","messageId":null,"streamId":null,"seq":9223372036854775807,"#.to_owned()
            + r#""at":"2026-11-22T20:52:00.123Z","kind":"unknown","#
            + r#""payload":{"kind":21,"version":2,"data":"01ab"}}"#
    );
}

#[test]
fn an_absurd_length_is_refused_before_memory_is_asked_for() {
    // 0xfb, 0xfc and 0xfd announce a length of two, four and eight bytes.
    for length in [
        &b"\xfb\xff\xff"[..],
        b"\xfc\xff\xff\xff\xff",
        b"\xfd\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\xfd\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xff",
    ] {
        let blob = [b"\x01", length, b"abc"].concat();
        assert!(matches!(read(TEXT, &blob), Err(CodecError::Malformed)), "{length:?}");
        assert!(matches!(read(PLAN, &blob), Err(CodecError::Malformed)), "{length:?}");
    }
}

#[test]
fn a_payload_has_a_greatest_size() {
    let fits = text(&"a".repeat(PAYLOAD_BYTES_MAX - 6));
    assert_eq!(read(TEXT, &encode(&fits)).unwrap(), Body::Event(fits));
    let tiny = (0..1 << 20).map(|_| String::new()).collect();
    let tiny = Event::PromptSuggestions(PromptSuggestions { suggestions: tiny });
    assert_eq!(read(SUGGESTIONS, &encode(&tiny)).unwrap(), Body::Event(tiny));
    let mut out = b"before".to_vec();
    let error = encode_payload(&text(&"a".repeat(PAYLOAD_BYTES_MAX)), &mut out).unwrap_err();
    assert!(matches!(error, CodecError::TooLarge { bytes } if bytes == PAYLOAD_BYTES_MAX + 6));
    assert_eq!(out, b"before");
}

fn golden_blobs() -> Vec<(u16, Vec<u8>)> {
    let mut blobs = Vec::new();
    for kind in Kind::ALL {
        for entry in std::fs::read_dir(golden_dir().join(kind.name())).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().unwrap() == "hex" {
                let hex = std::fs::read_to_string(path).unwrap();
                blobs.push((kind.number(), unhex(hex.trim_end())));
            }
        }
    }
    blobs
}

#[test]
fn a_blob_cut_anywhere_is_refused() {
    for (kind, blob) in golden_blobs() {
        for len in 0..blob.len() {
            assert!(read(kind, &blob[..len]).is_err(), "kind {kind}, {len} bytes of {blob:?}");
        }
    }
}

/// A sequence of numbers that is the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % below
    }
}

#[test]
fn no_bytes_make_reading_panic() {
    let (mut random, blobs) = (Random(20_261_122), golden_blobs());
    for _ in 0..50_000 {
        let (kind, mut blob) = blobs[random.next(blobs.len())].clone();
        for _ in 0..random.next(4) {
            let at = random.next(blob.len());
            blob[at] = random.next(256) as u8;
        }
        let _ = read(kind, &blob);
        let noise: Vec<u8> = (0..random.next(40)).map(|_| random.next(256) as u8).collect();
        let _ = read(kind, &[b"\x01", &noise[..]].concat());
        let _ = read(kind, &noise);
    }
}

#[test]
fn a_long_list_reads_back() {
    let entry = |i: usize| PlanEntry {
        content: format!("step {i}"),
        status: "pending".to_owned(),
        priority: String::new(),
    };
    let plan = Event::Plan(Plan { entries: (0..1_000).map(entry).collect() });
    assert_eq!(read(PLAN, &encode(&plan)).unwrap(), Body::Event(plan));
}
