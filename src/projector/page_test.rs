//! Runs of deltas: folded in one step, to the same rows as one by one.

use std::cell::RefCell;

use rusqlite::Connection;
use scrollback_projections::message::{Message, Messages};
use scrollback_projections::{Description, MessageKey, Reads, describe};
use scrollback_schema::event::Origin;
use scrollback_schema::{ChatRef, Event, NewEvent, Recorded, Seq};
use scrollback_test_support::sample::{chat_id, complete, of_turn, started, text, thinking};
use scrollback_test_support::workload::Step;

use super::file::{Expected, ViewFile};
use super::fold::{Fold, Parked, Told, ViewFold};
use super::page::{FoldOn, ReadsTable, show_page};
use super::projector_test::Fixture;
use super::source::{PAGE, Source};
use super::store::{StoreError, Written};
use crate::log::{Page, Scope};

/// A log whose turn is one section: eight texts with a tag in three of them, two thoughts, a text.
async fn deltas() -> (Fixture, Page) {
    let fixture = Fixture::new();
    let mut said: Vec<Event> =
        ["One ", "two <prompt_", "suggestions>[\"x\"", "]</prompt_suggestions>"]
            .into_iter()
            .chain(["three ", "é", "", "four"])
            .map(text)
            .collect();
    said.extend([thinking("hm"), thinking(" so"), text("five"), complete()]);
    let mut events = vec![NewEvent::of_chat(Event::ChatCreated(Default::default()))];
    events.push(started("t1", "m1", Origin::External));
    events.extend(of_turn("t1", "m1", said));
    fixture.append(vec![Step { chat: chat_id("c1"), events }]).await;
    let page = fixture.log.page(&Scope::All, Seq::ZERO, fixture.log.head(), PAGE).unwrap();
    (fixture, page)
}

/// An empty view.
fn view() -> (tempfile::TempDir, ViewFile) {
    let dir = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap();
    let description = describe::<Messages>();
    let expected = Expected { description, log_id: "a log", head: Seq::MAX };
    let file = ViewFile::create(&dir.path().join("messages.db"), &expected).unwrap();
    (dir, file)
}

/// The messages that a page folds to, `step` events at a time.
fn messages(page: &Page, step: u64) -> Vec<(MessageKey, Option<Message>)> {
    let (_dir, file) = view();
    let mut fold = Fold::<Messages>::new();
    let reads = ReadsTable::of(&fold);
    let mut after = Seq::ZERO;
    while after < page.through {
        let until = after.plus(step).min(page.through);
        let mut folds = [FoldOn { fold: &mut fold, db: file.db(), after, reads: &reads }];
        show_page(&mut folds, page, after, until).unwrap();
        after = until;
    }
    fold.into_rows().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_fold_to_the_same_rows_wherever_they_are_cut() {
    let (_fixture, page) = deltas().await;
    let one_by_one = messages(&page, 1);
    let [(_, Some(message))] = &one_by_one[..] else { panic!("one message: {one_by_one:?}") };
    assert_eq!(message.text(), "One two three éfourfive");
    for step in [2, 3, 5, 100] {
        assert_eq!(messages(&page, step), one_by_one, "{step} events at a time");
    }
}

/// Notes what it is told, and takes no run that has this event in it.
struct Notes {
    refuses: Option<Seq>,
    told: RefCell<Vec<(u64, u64)>>,
}

impl ViewFold for Notes {
    fn description(&self) -> Description {
        describe::<Messages>()
    }

    fn reads(&self, kind: u16) -> Reads {
        Fold::<Messages>::new().reads(kind)
    }

    fn apply(&mut self, _: &Connection, event: &Recorded, first: Seq) -> Result<Told, StoreError> {
        let has_refused = self.refuses.is_some_and(|seq| (first..=event.seq).contains(&seq));
        if first < event.seq && has_refused {
            return Ok(Told::NotAsOne);
        }
        self.told.get_mut().push((first.get(), event.seq.get()));
        Ok(Told::Done)
    }

    fn park(&mut self, _: &ChatRef, _: Seq, _: String) {}

    fn unpark(&mut self, _: Seq) {}

    fn parked(&self) -> Vec<Parked> {
        Vec::new()
    }

    fn n_unsaved(&self) -> usize {
        0
    }

    fn save(&mut self, _: &Connection) -> Result<Written, StoreError> {
        Ok(Written::default())
    }

    fn reset(&mut self, _: Vec<Parked>) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_one_step_and_told_singly_to_whom_it_does_not_fit() {
    let (_fixture, page) = deltas().await;
    let (_dir, file) = view();
    let told = |refuses: Option<u64>, seen: u64| {
        let refuses = refuses.and_then(Seq::new);
        let mut notes = Notes { refuses, told: RefCell::default() };
        let reads = ReadsTable::of(&notes);
        let after = Seq::new(seen).unwrap();
        let mut folds = [FoldOn { fold: &mut notes, db: file.db(), after, reads: &reads }];
        show_page(&mut folds, &page, Seq::ZERO, page.through).unwrap();
        notes.told.into_inner()
    };
    assert_eq!(told(None, 0), [(2, 2), (3, 10), (11, 12), (13, 13), (14, 14)]);
    assert_eq!(told(None, 5), [(6, 10), (11, 12), (13, 13), (14, 14)], "5 are in the file");
    let singly = [(2, 2), (3, 10), (11, 11), (12, 12), (13, 13), (14, 14)];
    assert_eq!(told(Some(12), 0), singly);
}
