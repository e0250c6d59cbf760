//! Stored bytes that are no row are refused, and never fold into something else.

use scrollback_projections::Projection;
use scrollback_projections::chat::Chat;
use scrollback_projections::chat_events;
use scrollback_projections::message::{Chunk, Head, LoadError, Message, Messages, PartKind};
use scrollback_test_support::script;

use crate::fold::{MessageTables, Table};

/// A message of two chunks of text and a tool, as it is stored.
fn stored() -> (Head, Vec<Chunk>) {
    let script =
        "chat c1\nstart t1 m1\ntool c1 grep running {\"input\":1}\ntext \"12345678\" x 600";
    let mut row = None;
    for event in script::parse(script).unwrap().recorded().iter().skip(1) {
        Messages::apply(&mut row, event).unwrap();
    }
    let key = row.as_ref().unwrap().key();
    let mut table = MessageTables::default();
    table.save(&key, row.as_mut());
    let stored = &table.0[&key];
    let chunks = stored.chunks.iter().map(|(&(part, chunk), (kind, body))| Chunk {
        part,
        chunk,
        kind: PartKind::from_number(*kind).unwrap(),
        body: body.clone(),
    });
    (Head::decode(&stored.head).unwrap(), chunks.collect())
}

#[test]
fn what_was_stored_loads() {
    let (head, chunks) = stored();
    let places: Vec<_> = chunks.iter().map(|chunk| (chunk.part, chunk.chunk)).collect();
    assert_eq!(places, [(0, 0), (0, 1), (1, 0), (1, 1)]);
    assert_eq!(Message::whole(head, chunks).unwrap().text(), "12345678".repeat(600));
}

#[test]
fn a_chunk_that_is_missing_is_found() {
    for missing in [0, 2, 3] {
        let (head, mut chunks) = stored();
        let part = chunks.remove(missing).part;
        let error = Message::whole(head, chunks).unwrap_err();
        assert!(matches!(error, LoadError::Chunks { part: p } if p == part), "{error:?}");
    }
}

#[test]
fn a_chunk_that_stands_for_another_part_is_found() {
    let (head, mut chunks) = stored();
    chunks[2].kind = PartKind::Thinking;
    let error = Message::whole(head, chunks).unwrap_err();
    assert!(matches!(error, LoadError::Chunks { part: 1 }), "{error:?}");
}

#[test]
fn bytes_that_are_none_of_ours_are_refused() {
    let (head, mut chunks) = stored();
    chunks[2].body[0] = 0xff;
    assert!(matches!(Message::whole(head.clone(), chunks), Err(LoadError::Utf8(_))));
    let (_, mut chunks) = stored();
    chunks[0].body.pop();
    assert!(matches!(Message::whole(head.clone(), chunks), Err(LoadError::Blob(_))));

    let blob = head.encode();
    assert!((0..blob.len()).all(|n| Head::decode(&blob[..n]).is_err()));
    assert!(Chat::decode(&blob).is_err());
    assert!(chat_events::Chunk::decode(&[1, 0]).is_err(), "a chunk without a run");
    assert!(chat_events::Chunk::decode(&[1, 1, 0, 5]).is_err(), "a run that begins nowhere");
    assert!(chat_events::Chunk::decode(&[1, 1, 5, 0]).is_err(), "a run of nothing");
}
