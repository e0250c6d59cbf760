//! What must hold for any bytes whatever: the bodies of the fuzz targets in `fuzz/`.
//!
//! `tests/it/fuzz_smoke.rs` runs them over a corpus and its mutations with the stable toolchain; a
//! fuzzer runs them for as long as it likes. Each takes any bytes, and panics if a promise breaks.

use scrollback_schema::batch::{RowHead, erase, row_checksum, sections};
use scrollback_schema::codec::{CodecError, decode_payload, encode_payload};
use scrollback_schema::wire::{
    EnvelopeHead, Imported, Written, parse_append, parse_line, parse_payload, write_envelope,
    write_line, write_payload,
};
use scrollback_schema::{
    Body, ChatId, ChatRef, Event, Kind, MessageId, Millis, Recorded, Seq, TurnId, TurnRef,
};

/// A target: its name in `fuzz/fuzz_targets`, and what it does with some bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] =
    &[("batch", batch), ("codec", codec), ("cursor", cursor), ("import", import), ("wire", wire)];

/// The stored form of an event; two that store alike are the same, also where a number is none.
fn stored(event: &Event) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    encode_payload(event, &mut bytes).ok().map(|()| bytes)
}

/// A stored payload: two bytes of its kind, one of its version, the payload.
///
/// What decodes encodes to something that decodes to the same, a byte more is refused, and what is
/// shown of it is a line of JSON that reads back to the same event.
///
/// # Panics
///
/// If a promise breaks.
pub fn codec(data: &[u8]) {
    let Some((&[low, high, version], payload)) = data.split_first_chunk::<3>() else { return };
    let kind = u16::from_le_bytes([low, high]);
    let decoded = decode_payload(kind, version, payload);
    let mut line = b"before".to_vec();
    let (chat_id, at) = ("c1", "2026-11-22T20:52:00.123Z");
    let seq = Seq::MAX;
    let head = EnvelopeHead { chat_id, message_id: None, stream_id: Some("t1"), seq, at };
    let written = write_envelope(&mut line, &head, kind, version, payload);
    let is_parsed = Kind::from_number(kind).is_some_and(is_parsed_when_appended);
    match (&decoded, written) {
        (Err(a), Err(b)) => assert_eq!(a.to_string(), b.to_string(), "both say why"),
        (Ok(Body::Erased { .. }), Ok(Written::Erased)) => {}
        (Ok(body), Ok(Written::Yes)) => {
            let line = std::str::from_utf8(&line["before".len()..]).expect("a line is text");
            match parse_line(line) {
                Ok(read) => {
                    assert!(!line.contains(['\n', '\r']), "a line stays a line");
                    match &read.body {
                        // What reads it completes it: a percentage follows from the tokens.
                        Body::Event(event @ Event::Usage(_)) => written_is_read(event),
                        // Line breaks of somebody else's JSON are written as spaces.
                        _ if is_parsed && payload.iter().any(|byte| b"\r\n".contains(byte)) => {}
                        read => assert_same(body, read),
                    }
                }
                Err(error) => {
                    let text = error.to_string();
                    let is_bound = BOUNDS.iter().any(|bound| text.contains(bound));
                    assert!(is_bound || is_parsed, "{text}");
                }
            }
        }
        (decoded, written) => panic!("decoding says {decoded:?}, writing {written:?}"),
    }
    if let Ok(Body::Event(event)) = decoded
        && let Some(bytes) = stored(&event)
    {
        let again = decode_payload(kind, version, &bytes).expect("what was written is read");
        assert_same(&Body::Event(event), &again);
        let longer = [payload, &[0]].concat();
        let refused = decode_payload(kind, version, &longer);
        assert!(matches!(refused, Err(CodecError::Trailing { .. })), "{refused:?}");
    }
}

/// What is asked of a value when it is appended, and not again when it is read.
const BOUNDS: [&str; 3] = ["a string of one character or more", "either a cron", "more than"];

/// Whether payloads of this kind have JSON that somebody else defined, or numbers that JSON does
/// not have: what makes no sense there is refused when it is appended, and not when it is read.
const fn is_parsed_when_appended(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ChatCreated
            | Kind::ChatUpdated
            | Kind::ToolStarted
            | Kind::ToolCompleted
            | Kind::ToolFailed
            | Kind::Usage
            | Kind::Session
            | Kind::PermissionRequest
            | Kind::ElicitationRequest
            | Kind::ElicitationResolved
            | Kind::Custom
    )
}

fn assert_same(a: &Body, b: &Body) {
    match (a, b) {
        (Body::Event(a), Body::Event(b)) => {
            assert_eq!(a.kind(), b.kind());
            assert_eq!(stored(a), stored(b), "{a:?} and {b:?}");
        }
        (a, b) => assert_eq!(a, b),
    }
}

/// The records of a row: 8 bytes of its first seq, one of its count, the records.
///
/// What can be walked has as many events as it says and as long payloads, and erasing a chat
/// changes no checksum.
///
/// # Panics
///
/// If a promise breaks.
pub fn batch(data: &[u8]) {
    let Some((first, rest)) = data.split_first_chunk::<8>() else { return };
    let Some((&n_events, records)) = rest.split_first() else { return };
    let Some(first_seq) = Seq::new(u64::from_le_bytes(*first)) else { return };
    let (n_events, batch_id) = (u64::from(n_events), [7; 16]);
    let row = RowHead { first_seq, n_events, at: Millis::new(0), batch_id };
    let (mut chat, mut n_bytes) = (None, 0);
    for section in sections(records).map_while(Result::ok) {
        let lens = section.events().map(|(head, payload)| {
            assert_eq!(head.payload_len as usize, payload.len());
            payload.len()
        });
        assert_eq!(lens.sum::<usize>(), section.payloads.len());
        assert_eq!(section.events().count() as u64, section.n_events);
        let _ = section.payload_state();
        n_bytes += section.payloads.len();
        chat.get_or_insert(section.head.chat);
    }
    assert!(n_bytes <= records.len(), "payloads stand within the records");
    let checksum = row_checksum(&row, records, 0);
    if let (Ok(checksum), Some(chat)) = (checksum, chat) {
        let mut erased = records.to_vec();
        erase(&mut erased, first_seq, chat, &[]).expect("it was walked before");
        assert_eq!(row_checksum(&row, &erased, 0), Ok(checksum));
    }
}

/// A position or an id as a client sends it.
///
/// What is taken is said again as it was sent, but for zeroes in front of a number.
///
/// # Panics
///
/// If a promise breaks.
pub fn cursor(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(seq) = text.parse::<Seq>() {
        let digits = text.trim_start_matches('0');
        let expected = if digits.is_empty() { "0" } else { digits };
        assert_eq!(seq.to_string(), expected);
        assert!(seq <= Seq::MAX);
    }
    if let Ok(id) = ChatId::parse(text) {
        assert_eq!(id.as_str(), text);
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
        assert!((1..=128).contains(&text.len()) && text.bytes().all(is_plain));
    }
    assert_eq!(MessageId::parse(text).is_ok(), ChatId::parse(text).is_ok());
    assert_eq!(TurnId::parse(text).is_ok(), ChatId::parse(text).is_ok());
}

/// Lines of an export.
///
/// What is taken is written as a line that is taken again and means the same.
///
/// # Panics
///
/// If a promise breaks.
pub fn import(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines() {
        let Ok(imported) = parse_line(line) else { continue };
        let mut out = Vec::new();
        write_line(&mut out, &recorded(&imported));
        let again = std::str::from_utf8(&out).expect("a line is text");
        assert_eq!(again.matches(['\n', '\r']).count(), 1, "a line stays a line");
        let again = parse_line(again).expect("what was written is read");
        assert_same(&imported.body, &again.body);
        // An event of a turn is of the turn's message, unless it names one itself.
        let message = if imported.turn.is_some() { again.message.clone() } else { None };
        let message = imported.message.or(message);
        assert_eq!(Imported { body: again.body.clone(), message, ..imported }, again);
    }
}

fn recorded(line: &Imported) -> Recorded {
    let of = |id: &TurnId| TurnRef {
        id: id.clone(),
        message: line.message.clone().unwrap_or_else(|| MessageId::parse("m").expect("an id")),
        started: Seq::ZERO.next(),
    };
    let turn = line.turn.as_ref().map(of);
    let message = line.message.clone();
    let chat = ChatRef { id: line.chat.clone(), created: Seq::ZERO.next() };
    Recorded { seq: line.seq, at: line.at, chat, message, turn, body: line.body.clone() }
}

/// What a producer sends: a body of an append, or, behind two bytes of its kind, one payload.
///
/// What is taken is written as JSON that is taken again and means the same.
///
/// # Panics
///
/// If a promise breaks.
pub fn wire(data: &[u8]) {
    if let Ok(body) = parse_append(data) {
        for event in &body.events {
            assert!(event.kind().is_appended_by_producer());
            written_is_read(event);
        }
    }
    let Some((&[low, high], json)) = data.split_first_chunk::<2>() else { return };
    let Some(kind) = Kind::from_number(u16::from_le_bytes([low, high])) else { return };
    let Ok(json) = std::str::from_utf8(json) else { return };
    if let Ok(event) = parse_payload(kind, json) {
        assert_eq!(event.kind(), kind);
        written_is_read(&event);
    }
}

fn written_is_read(event: &Event) {
    let mut json = Vec::new();
    write_payload(&mut json, event);
    let json = std::str::from_utf8(&json).expect("JSON is text");
    let again = parse_payload(event.kind(), json).expect("what was written is read");
    assert_same(&Body::Event(event.clone()), &Body::Event(again));
}
