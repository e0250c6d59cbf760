//! A delta costs the same at the 10th and at the 100,000th: what is written, and what is in memory.

use scrollback_projections::Projection;
use scrollback_projections::message::{Change, Head, Message, Messages};
use scrollback_schema::limits::{SUGGESTIONS_TAG_BYTES_MAX, TEXT_CHUNK_BYTES};
use scrollback_schema::{Body, Event, Recorded, event};
use scrollback_test_support::script;

use crate::fold::{MessageTables, Table};

const HEAD_BYTES_MAX: usize = 300;

fn opened(script: &str) -> (Option<Message>, Recorded) {
    let events = script::parse(script).unwrap().recorded();
    let mut row = None;
    events.iter().skip(1).for_each(|event| Messages::apply(&mut row, event).unwrap());
    (row, events.last().unwrap().clone())
}

fn next_text(event: &mut Recorded, text: &str) {
    event.seq = event.seq.next();
    let text = text.to_owned();
    event.body = Body::Event(Event::AssistantText(event::AssistantText { text }));
}

fn bytes_of(changes: &[Change<'_>]) -> usize {
    let bytes = changes.iter().map(|change| match change {
        Change::Put { body, .. } => body.len(),
        Change::Drop { .. } => 0,
    });
    bytes.sum()
}

#[test]
fn a_delta_writes_its_head_and_one_or_two_chunks() {
    let (mut row, mut event) = opened("chat c1\nstart t1 m1 openai/gpt");
    let delta = "Some twenty letters é ";
    let mut n_twice = 0;
    for n in 1..=100_000_usize {
        next_text(&mut event, delta);
        Messages::apply(&mut row, &event).unwrap();
        let message = row.as_mut().unwrap();
        let changes = message.unsaved();
        assert!((1..=2).contains(&changes.len()), "delta {n} changes {} chunks", changes.len());
        n_twice += changes.len() - 1;
        assert!(bytes_of(&changes) <= TEXT_CHUNK_BYTES + delta.len(), "delta {n}");
        assert!(message.head().encode().len() <= HEAD_BYTES_MAX, "delta {n}");
        message.mark_saved();
    }
    let bytes = 100_000 * delta.len();
    assert!(n_twice <= bytes / (TEXT_CHUNK_BYTES - 3), "a chunk is begun when one is full");
    assert_eq!(row.unwrap().text().len(), bytes);
}

#[test]
fn an_open_message_goes_on_from_its_last_chunk() {
    let (mut row, mut event) = opened("chat c1\nstart t1 m1\ntool c1 grep running {\"input\":1}");
    let mut table = MessageTables::default();
    let delta = "word ".repeat(100);
    for _ in 0..2_000 {
        next_text(&mut event, &delta);
        Messages::apply(&mut row, &event).unwrap();
    }
    let key = row.as_ref().unwrap().key();
    table.save(&key, row.as_mut());

    let stored = &table.0[&key];
    let head = Head::decode(&stored.head).unwrap();
    let needed = stored.needed(&head);
    assert!(stored.chunks.len() > 200, "the message is long");
    assert_eq!(needed.len(), 2, "the tool's head and the last chunk");

    let mut resumed = table.load(&key);
    for row in [&mut row, &mut resumed] {
        let mut event = event.clone();
        next_text(&mut event, &delta);
        Messages::apply(row, &event).unwrap();
    }
    assert!(!resumed.as_ref().unwrap().is_whole());
    assert_eq!(resumed.as_ref().unwrap().unsaved(), row.as_ref().unwrap().unsaved());
    table.save(&key, resumed.as_mut());
    assert!(table.whole(&key) == row.unwrap());
}

#[test]
fn an_opening_that_is_never_closed_keeps_no_more_than_its_bound() {
    let (mut row, mut event) = opened("chat c1\nstart t1 m1\ntext \"<prompt_suggestions>[\"");
    let mut table = MessageTables::default();
    let key = row.as_ref().unwrap().key();
    let chunks_max = SUGGESTIONS_TAG_BYTES_MAX / TEXT_CHUNK_BYTES + 2;
    for n in 0..200 {
        next_text(&mut event, &"x".repeat(500));
        Messages::apply(&mut row, &event).unwrap();
        table.save(&key, row.as_mut());
        let stored = &table.0[&key];
        let needed = stored.needed(&Head::decode(&stored.head).unwrap()).len();
        assert!(needed <= chunks_max, "after delta {n} a fold needs {needed} chunks");
    }
    let stored = &table.0[&key];
    let needed = stored.needed(&Head::decode(&stored.head).unwrap()).len();
    assert_eq!(needed, 1, "the opening is too far back to be closed");
}

#[test]
fn what_was_saved_can_be_let_go() {
    let (mut row, mut event) = opened("chat c1\nstart t1 m1");
    let mut table = MessageTables::default();
    let key = row.as_ref().unwrap().key();
    for _ in 0..5_000 {
        next_text(&mut event, "a delta that is let go of ");
        Messages::apply(&mut row, &event).unwrap();
        table.save(&key, row.as_mut());
        row.as_mut().unwrap().forget_saved();
        assert!(format!("{row:?}").len() < 2 * TEXT_CHUNK_BYTES, "constant memory");
    }
    assert_eq!(table.whole(&key).text(), "a delta that is let go of ".repeat(5_000));
}

#[test]
fn an_update_of_a_tool_writes_what_it_names() {
    let input = format!("{{\"input\":\"{}\"}}", "x".repeat(10_000));
    let script = format!("chat c1\nstart t1 m1\ntool c1 grep running {input}");
    let (mut row, _) = opened(&script);
    row.as_mut().unwrap().mark_saved();
    let events = script::parse(&format!("{script}\ntool c1 grep completed {{\"result\":[1]}}"));
    let last = events.unwrap().recorded().pop().unwrap();
    Messages::apply(&mut row, &last).unwrap();
    let message = row.unwrap();
    assert_eq!(message.unsaved().len(), 2);
    assert!(bytes_of(&message.unsaved()) < 100, "the input is not written again");
}

#[test]
fn a_message_of_many_tools_has_a_small_head() {
    let mut script = String::from("chat c1\nstart t1 m1\n");
    (0..500).for_each(|n| script += &format!("tool c{n} grep running {{\"input\":{n}}}\n"));
    let (row, _) = opened(&script);
    assert!(row.unwrap().head().encode().len() <= HEAD_BYTES_MAX);
}

#[test]
#[should_panic(expected = "a message is shown when all of it was loaded")]
fn a_message_that_is_not_whole_is_not_shown() {
    let (mut row, _) = opened("chat c1\nstart t1 m1\ntext \"a\"");
    let message = row.as_mut().unwrap();
    message.mark_saved();
    message.forget_saved();
    let _ = message.text();
}
