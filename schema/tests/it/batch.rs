//! Rows of the log as bytes: they read back, and no damage to them goes unseen.

use scrollback_schema::batch::{
    BatchBuilder, EventHead, PayloadState, RowHead, SectionHead, erase, row_checksum, sections,
};
use scrollback_schema::{Millis, Seq};

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
