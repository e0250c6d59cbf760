//! What a walk shows and when, how little of the log it goes over, and how little it holds.

use std::cell::RefCell;
use std::io::Write;
use std::path::Path;
use std::rc::Rc;

use scrollback_schema::batch::SectionView;
use scrollback_schema::event::{ChatCreated, ChatViewed, Custom, Origin, UserText};
use scrollback_schema::{ChatId, Event, Kind, MessageId, NewEvent, Seq};

use super::events::{Printer, print_stretch};
use super::filter::Filter;
use super::message::{self, ShowMessage};
use crate::cli::output::{Format, Out};
use crate::cli::preview::{Extent, Lines};
use crate::clock::Clock;
use crate::inspect::last_events;
use crate::log::offline::OfflineLog;
use crate::log::{Append, Log, LogOptions, PageLimits, Scope};

/// Writes as they come: one a flush.
#[derive(Debug, Default, Clone)]
struct Writes(Rc<RefCell<Vec<String>>>);

impl Write for Writes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().push(String::from_utf8(bytes.to_vec()).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn custom() -> NewEvent {
    NewEvent::of_chat(Event::Custom(Custom { name: "x".repeat(1_000), data: None }))
}

fn viewed() -> NewEvent {
    NewEvent::of_chat(Event::ChatViewed(ChatViewed { by: None }))
}

fn said(message: &str) -> NewEvent {
    let text = Event::UserText(UserText { text: "hello".to_owned(), attachments: vec![] });
    NewEvent { message: Some(MessageId::parse(message).unwrap()), turn: None, event: text }
}

/// Two chats in a log of 12,102 events; `c2` is viewed about every 1,500th, and once says `m`.
fn fill(dir: &Path) -> OfflineLog {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let log = Log::open(dir, LogOptions::default(), &Clock::System).unwrap();
    let append = |chat: &str, events: Vec<NewEvent>| {
        let append = Append::new(ChatId::parse(chat).unwrap(), events).unwrap();
        runtime.block_on(log.append(append)).unwrap();
    };
    for chat in ["c1", "c2"] {
        append(chat, vec![NewEvent::of_chat(Event::ChatCreated(ChatCreated::default()))]);
    }
    for n in 0..120 {
        if n % 15 == 0 {
            append("c1", (1..100).map(|_| custom()).collect());
            append("c2", vec![if n == 60 { said("m") } else { viewed() }]);
        } else {
            append("c1", (0..100).map(|_| custom()).collect());
        }
    }
    append("c1", (0..100).map(|_| custom()).collect());
    runtime.block_on(log.close());
    OfflineLog::open(dir).unwrap()
}

fn printed(log: &mut OfflineLog, filter: &Filter, head: Seq) -> Vec<String> {
    let plan = filter.plan(log, head).unwrap();
    let writes = Writes::default();
    let mut out = Out::to(Box::new(writes.clone()), Format::Json);
    let lines = Lines::new(Extent::Short, head);
    let mut printer = Printer { lines, left: u64::MAX, format: Format::Json };
    print_stretch(log, &plan, &mut printer, &mut out).unwrap();
    drop(out);
    let writes = writes.0.borrow();
    writes.clone()
}

#[test]
fn a_line_does_not_wait_for_what_is_far_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = fill(dir.path());
    let head = log.head().unwrap();
    let filter = Filter { kind: vec![Kind::ChatViewed.number()], ..Filter::default() };
    let writes = printed(&mut log, &filter, head);
    // The walk pauses after 4 MiB of rows; views are one and a half apart.
    assert!(writes.len() >= 3, "{} views were shown in {} writes", 7, writes.len());
    assert_eq!(writes.concat().lines().count(), 7);
    assert_eq!(writes[0].lines().count(), 1, "the first line is there at once");
}

#[test]
fn the_last_events_are_those_at_the_end_of_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = fill(dir.path());
    let head = log.head().unwrap();
    let of_c2 = Filter { chat: Some(ChatId::parse("c2").unwrap()), ..Filter::default() };
    for filter in [of_c2, Filter { kind: vec![Kind::Custom.number()], ..Filter::default() }] {
        let plan = filter.plan(&mut log, head).unwrap();
        let all: Vec<Seq> = last_events(&mut log, &plan, usize::MAX)
            .unwrap()
            .iter()
            .map(|event| event.seq)
            .collect();
        let n_printed = printed(&mut log, &filter, head).concat().lines().count();
        assert!(all.is_sorted() && all.len() == n_printed, "{} of {n_printed}", all.len());
        for n in [0, 1, 3, 1_000, 5_000] {
            let last = last_events(&mut log, &plan, n).unwrap();
            let last: Vec<Seq> = last.iter().map(|event| event.seq).collect();
            assert_eq!(last, all[all.len().saturating_sub(n)..], "the last {n}");
        }
    }
    let n_page = PageLimits::default().events as u64;
    assert!(n_page < head.get() / 2, "more than one page was gone over");
}

#[test]
fn a_message_of_a_user_is_looked_up_and_not_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = fill(dir.path());
    let head = log.head().unwrap();
    let filter = Filter { message: Some(MessageId::parse("m").unwrap()), ..Filter::default() };
    let plan = filter.plan(&mut log, head).unwrap();
    let said = last_events(&mut log, &plan, 2).unwrap();
    assert_eq!((said.len(), plan.stretch.after), (1, said[0].seq.prev()));
    assert!(matches!(plan.stretch.scope, Scope::Chat(chat) if chat == said[0].chat.created));
}

#[test]
fn a_message_is_named_before_what_it_says_is_read() {
    use scrollback_test_support::sample::{complete, of_turn, started, text};
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let log = Log::open(dir.path(), LogOptions::default(), &Clock::System).unwrap();
    let append = |events: Vec<NewEvent>| {
        let append = Append::new(ChatId::parse("c1").unwrap(), events).unwrap();
        runtime.block_on(log.append(append)).unwrap().last_seq
    };
    append(vec![NewEvent::of_chat(Event::ChatCreated(ChatCreated::default()))]);
    append(vec![started("t1", "m1", Origin::User)]);
    let said = append(of_turn("t1", "m1", vec![text("hello")]));
    let ended = append(of_turn("t1", "m1", vec![complete()]));
    runtime.block_on(log.close());
    let mut log = OfflineLog::open(dir.path()).unwrap();
    for (at, status) in [(said, "in_progress"), (ended, "completed")] {
        let writes = Writes::default();
        let mut out = Out::to(Box::new(writes.clone()), Format::Text);
        let message = MessageId::parse("m1").unwrap();
        let args = ShowMessage { message, chat: None, at: Some(at) };
        message::run(&mut log, ended, &args, &mut out).unwrap();
        drop(out);
        let writes = writes.0.borrow();
        assert_eq!(writes[0], format!("message   m1 (assistant, {status})\n"));
        assert!(writes[1].starts_with("chat      c1\n"), "{writes:?}");
    }
}

#[test]
fn sections_without_the_kinds_are_not_held() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = fill(dir.path());
    let head = log.head().unwrap();
    let kinds = [Kind::ChatCreated.number(), Kind::UserText.number()];
    let (mut after, mut n_held) = (Seq::ZERO, 0);
    while after < head {
        let has_kind = |section: &SectionView<'_>| {
            section.events().any(|(head, _)| kinds.contains(&head.kind))
        };
        let limits = crate::log::PageLimits::default();
        let page = log.page_where(&Scope::All, after, head, limits, &has_kind).unwrap();
        n_held += page.sections.len();
        after = page.through;
    }
    assert_eq!(n_held, 3);
}
