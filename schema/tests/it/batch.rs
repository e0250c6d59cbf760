//! Rows of the log as bytes: they read back, and no damage to them goes unseen.

use scrollback_schema::batch::{
    BatchBuilder, EventHead, PayloadState, RowHead, SectionHead, erase, row_checksum, sections,
};
use scrollback_schema::{Millis, Seq};

use crate::golden::{golden_dir, hex, unhex};

fn row() -> RowHead {
    RowHead { first_seq: Seq::ZERO.next(), n_events: 3, at: Millis::new(5), batch_id: [7; 16] }
}

fn batch() -> (Vec<u8>, u32) {
    let mut builder = BatchBuilder::new();
    let chat = Seq::ZERO.next();
    let plain = SectionHead {
        chat,
        chat_id: Some("c1"),
        turn: None,
        turn_ids: None,
        message_id: None,
        first_number: None,
    };
    let head = |len| EventHead { kind: 21, version: 1, payload_len: len };
    builder.push(&plain, &[head(3)], b"\x01ab");
    let turn = SectionHead {
        chat_id: None,
        turn: Some(chat.next()),
        turn_ids: Some(("t1", "m1")),
        first_number: Some(300),
        ..plain
    };
    builder.push(&turn, &[head(2), head(3)], b"\x01c\x01de");
    builder.finish(&row(), 99)
}

#[test]
fn a_batch_reads_back() {
    let (records, crc) = batch();
    let all: Vec<_> = sections(&records).collect::<Result<_, _>>().unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].head.chat_id, Some("c1"));
    assert_eq!(all[1].head.turn_ids, Some(("t1", "m1")));
    assert_eq!(all[1].head.first_number, Some(300));
    let payloads: Vec<_> = all[1].events().map(|(_, payload)| payload).collect();
    assert_eq!(payloads, [&b"\x01c"[..], b"\x01de"]);
    assert_eq!(row_checksum(&row(), &records, 99), Ok(crc));
}

#[test]
fn every_flipped_bit_and_every_truncation_is_found() {
    let (records, crc) = batch();
    let sound = |bytes: &[u8]| {
        row_checksum(&row(), bytes, 99) == Ok(crc)
            && sections(bytes).all(|s| s.is_ok_and(|s| s.payload_state() == PayloadState::Intact))
    };
    assert!(sound(&records));
    for bit in 0..records.len() * 8 {
        let mut flipped = records.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!sound(&flipped), "bit {bit}");
    }
    for len in 0..records.len() {
        assert!(!sound(&records[..len]), "length {len}");
    }
}

#[test]
fn erasing_keeps_the_chain_and_spares_what_it_should() {
    let (mut records, crc) = batch();
    let (chat, keep) = (Seq::ZERO.next(), Seq::ZERO.next());
    assert_eq!(erase(&mut records, row().first_seq, chat, &[keep]), Ok(2));
    assert_eq!(row_checksum(&row(), &records, 99), Ok(crc));
    let states: Vec<_> = sections(&records).map(|s| s.unwrap().payload_state()).collect();
    assert_eq!(states, [PayloadState::Intact, PayloadState::Erased]);
}

/// A row whose sections have every flag between them, as text and as bytes.
#[test]
fn the_golden_row_is_made_and_read_as_ever() {
    let seq = |n| Seq::new(n).unwrap();
    let plain = SectionHead {
        chat: seq(300),
        chat_id: None,
        turn: None,
        turn_ids: None,
        message_id: None,
        first_number: None,
    };
    let head = |kind, version, payload_len| EventHead { kind, version, payload_len };
    let turn = SectionHead { turn: Some(seq(302)), ..plain };
    let mut builder = BatchBuilder::new();
    let created = SectionHead { chat_id: Some("c1"), ..plain };
    builder.push(&created, &[head(1, 1, 6)], b"\x01\0\0\0\0\0");
    let user = SectionHead { message_id: Some("m1"), ..plain };
    builder.push(&user, &[head(10, 1, 5)], b"\x01\x02hi\0");
    let started = SectionHead { turn_ids: Some(("t1", "m2")), first_number: Some(1), ..turn };
    let payloads = b"\x01\x01p\0\0\x04\x01\x05hello";
    builder.push(&started, &[head(20, 1, 6), head(21, 1, 7)], payloads);
    let numbered = SectionHead { first_number: Some(1 << 40), ..turn };
    builder.push(&numbered, &[head(9_999, 7, 200)], &[b'x'; 200]);
    let row = RowHead {
        first_seq: seq(300),
        n_events: 5,
        at: Millis::new(1_795_380_720_123),
        batch_id: *b"0123456789abcdef",
    };
    let (records, checksum) = builder.finish(&row, 0xdead_beef);

    let golden = std::fs::read_to_string(golden_dir().join("row/v1.hex")).unwrap();
    let (golden_checksum, golden_records) = golden.trim_end().split_once(' ').unwrap();
    assert_eq!(hex(&records), golden_records);
    assert_eq!(format!("{checksum:08x}"), golden_checksum);
    let golden_records = unhex(golden_records);
    assert_eq!(row_checksum(&row, &golden_records, 0xdead_beef), Ok(checksum));
    let read: Vec<SectionHead<'_>> =
        sections(&golden_records).map(|section| section.unwrap().head).collect();
    assert_eq!(read, [created, user, started, numbered]);
}
