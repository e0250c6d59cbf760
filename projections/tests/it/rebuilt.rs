//! A rebuilt projection equals the live one, whatever is saved when: over random chats that keep
//! the rules of the log, and over one of every kind.

use scrollback_projections::chat::Chats;
use scrollback_projections::chat_events::{ChatEvents, Chunk, RUNS_PER_CHUNK};
use scrollback_projections::message::Messages;
use scrollback_projections::{ALL, Projection};
use scrollback_schema::event::{AssistantText, ChatCreated, Kind};
use scrollback_schema::{ChatId, Event, NewEvent, Recorded};
use scrollback_test_support::sample;
use scrollback_test_support::script::Recorder;
use scrollback_test_support::workload::{Step, Workload};

use crate::fold::{Blobs, Chunks, Failure, MessageTables, Saving, fold};
use crate::shown::{Shown, fold_in_every_way};

fn workload(seed: u64, n_steps: usize) -> Vec<Recorded> {
    let mut workload = Workload::new(seed, "w", 4);
    let mut recorder = Recorder::default();
    (0..n_steps).for_each(|_| recorder.append(&workload.step()));
    recorder.events
}

const ALL_ROWS: &[&str] =
    &["messages", "chats", "queue", "requests", "schedules", "search", "chat_events"];

#[test]
fn every_way_to_save_gives_the_same_rows() {
    for seed in 1..=6 {
        let shown = Shown::of(&workload(seed, 400));
        assert_eq!(shown.failures, Vec::<Failure>::new(), "seed {seed}");
        assert!(!shown.json(ALL_ROWS).contains("cannot_apply"));
    }
}

#[test]
fn every_kind_can_be_folded() {
    let mut recorder = Recorder::default();
    sample::every_kind().iter().for_each(|step| recorder.append(step));
    let kinds = |kind| recorder.events.iter().any(|event| event.kind() == Some(kind));
    assert!(Kind::ALL.iter().copied().all(kinds));
    assert_eq!(Shown::of(&recorder.events).failures, Vec::<Failure>::new());
}

#[test]
fn what_was_deleted_and_erased_leaves_the_rows_of_the_others() {
    let mut recorder = Recorder::default();
    sample::every_kind().iter().for_each(|step| recorder.append(step));
    let live = Shown::of(&recorder.events).json(ALL_ROWS);
    recorder.erase(&sample::chat_id(sample::DELETED_CHAT));
    assert_eq!(Shown::of(&recorder.events).json(ALL_ROWS), live);
}

#[test]
fn a_row_that_was_saved_goes_on_as_if_it_had_not_been() {
    let events = workload(7, 600);
    let (whole, _) = fold::<Messages, MessageTables>(&events, Saving::Never);
    let (paged, _) = fold::<Messages, MessageTables>(&events, Saving::Page(13));
    assert!(whole == paged);
    let (whole, _) = fold::<Chats, Blobs>(&events, Saving::Never);
    let (paged, _) = fold::<Chats, Blobs>(&events, Saving::Page(13));
    assert!(whole == paged);
}

#[test]
fn the_runs_of_a_chat_fill_chunks_of_fixed_size() {
    let chat = |id: &str| ChatId::parse(id).unwrap();
    let (one, other) = (chat("one"), chat("other"));
    let mut recorder = Recorder::default();
    for id in [&one, &other] {
        let created = NewEvent::of_chat(Event::ChatCreated(ChatCreated::default()));
        recorder.append(&Step { chat: id.clone(), events: vec![created] });
    }
    let delta = NewEvent::of_chat(Event::AssistantText(AssistantText::default()));
    for _ in 0..2 * RUNS_PER_CHUNK {
        let twice = vec![delta.clone(), delta.clone()];
        recorder.append(&Step { chat: one.clone(), events: twice });
        recorder.append(&Step { chat: other.clone(), events: vec![delta.clone()] });
    }
    let (table, _) = fold_in_every_way::<ChatEvents, Chunks>(&recorder.events);
    for (id, n_in_run) in [(one, 2), (other, 1)] {
        let created = recorder.events.iter().find(|event| event.chat.id == id).unwrap().seq;
        let chunks = table.0[&created].iter().map(|(_, blob)| Chunk::decode(blob).unwrap());
        let chunks: Vec<_> = chunks.collect();
        let sizes: Vec<_> = chunks.iter().map(|chunk| chunk.runs().len()).collect();
        let n_runs = sizes.iter().sum::<usize>();
        assert!(sizes[..sizes.len() - 1].iter().all(|&size| size == RUNS_PER_CHUNK));
        assert!((2 * RUNS_PER_CHUNK..=2 * RUNS_PER_CHUNK + 1).contains(&n_runs), "{n_runs}");
        let runs = chunks.iter().flat_map(|chunk| chunk.runs());
        assert_eq!(runs.last().unwrap().n, n_in_run);
    }
}

#[test]
fn names_are_unique_and_tables_are_not_empty() {
    let mut names: Vec<_> = ALL.iter().map(|projection| projection.name).collect();
    assert!(names.contains(&Messages::NAME));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
    assert!(ALL.iter().all(|projection| projection.sql.contains("CREATE TABLE")));
}
