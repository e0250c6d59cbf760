//! What is found by looking at bytes first is what is found by decoding everything.

use std::path::Path;

use scrollback_schema::batch::SectionView;
use scrollback_schema::event::Origin;
use scrollback_schema::{Kind, Seq};
use scrollback_test_support::sample::{self, chat_id, every_kind};
use scrollback_test_support::workload::{Step, Workload};

use super::sieve::{LOWERED_TO_ASCII, Sieve};
use super::{Plan, Wanted, last_events, text_of};
use crate::clock::Clock;
use crate::log::offline::OfflineLog;
use crate::log::{Append, Log, LogOptions, PageLimits, Scope};

/// Texts with what is special to lower case, to how texts are shown, and to how they are stored.
const TEXTS: [&str; 9] = [
    "Disk Full",
    "273 \u{212a}elvin and a \u{212a}",
    "\u{130}stanbul, IN\u{130}",
    "she said \"no\"",
    "\"",
    "one\ntwo\u{1b}[31m three",
    "GRÜSSE und Grüße ΣΑΣ",
    "x",
    "(erased)",
];

/// A log with every kind, a chat that was deleted and erased, and the texts above.
fn fill(dir: &Path) -> OfflineLog {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let log = Log::open(dir, LogOptions::default(), &Clock::System).unwrap();
    let mut steps = every_kind();
    let mut workload = Workload::new(3, "w", 3);
    steps.extend((0..50).map(|_| workload.step()));
    let chat = chat_id("texts");
    let created = scrollback_schema::Event::ChatCreated(Default::default());
    let mut batches = vec![vec![scrollback_schema::NewEvent::of_chat(created)]];
    batches.push(vec![sample::user_text("said", TEXTS[0])]);
    batches.push(vec![sample::started("told", "answer", Origin::User)]);
    for text in TEXTS {
        batches.push(sample::of_turn("told", "answer", vec![sample::text(text)]));
        let events = vec![sample::thinking(text), sample::text("y")];
        batches.push(sample::of_turn("told", "answer", events));
    }
    steps.extend(batches.into_iter().map(|events| Step { chat: chat.clone(), events }));
    for step in steps {
        let deletes = step.events.iter().any(|new| new.event.kind() == Kind::ChatDeleted);
        runtime.block_on(log.append(Append::new(step.chat.clone(), step.events).unwrap())).unwrap();
        if deletes {
            let chat = runtime.block_on(log.find_chat(&step.chat)).unwrap().unwrap().chat;
            runtime.block_on(log.erase(&chat)).unwrap();
        }
    }
    runtime.block_on(log.close());
    OfflineLog::open(dir).unwrap()
}

fn seqs(log: &mut OfflineLog, plan: &Plan) -> Vec<Seq> {
    last_events(log, plan, usize::MAX).unwrap().iter().map(|event| event.seq).collect()
}

#[test]
fn what_is_refused_by_its_bytes_does_not_hold_the_text() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = fill(dir.path());
    let head = log.head().unwrap();
    let everything = Wanted::default().plan(&mut log, head).unwrap();
    let all = last_events(&mut log, &everything, usize::MAX).unwrap();
    // Short and long pieces of what is shown, in either case.
    let mut texts: Vec<String> = TEXTS.iter().map(|text| (*text).to_owned()).collect();
    for (index, event) in all.iter().enumerate().step_by(3) {
        let chars: Vec<char> = text_of(event, 200).chars().collect();
        for n in [1, 3, 17] {
            let at = (index * 7) % chars.len().max(1);
            let piece: String = chars.iter().skip(at).take(n).collect();
            texts.push(if index % 2 == 0 { piece.to_uppercase() } else { piece });
        }
    }
    texts.sort_unstable();
    texts.dedup();
    let mut n_sieved = 0;
    for text in texts {
        let wanted = Wanted { text: Some(text.clone()), ..Wanted::default() };
        let mut plan = wanted.plan(&mut log, head).unwrap();
        let sieved = seqs(&mut log, &plan);
        n_sieved += u32::from(plan.stretch.sieve.take().is_some());
        assert_eq!(sieved, seqs(&mut log, &plan), "{text:?}");
    }
    assert!(n_sieved > 50, "{n_sieved} texts were looked for by bytes");
}

#[test]
fn what_is_most_of_a_log_is_refused_by_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = fill(dir.path());
    let head = log.head().unwrap();
    let mut n_let_through = |text: &str| {
        let sieve = Sieve::of(text).unwrap();
        let limits = PageLimits { events: usize::MAX, bytes: usize::MAX };
        let pass = |section: &SectionView<'_>| sieve.lets_through(section);
        let page = log.page_where(&Scope::All, Seq::ZERO, head, limits, &pass).unwrap();
        let of_texts = page.sections.iter().filter(|section| section.chat().id.as_str() == "texts");
        of_texts.count()
    };
    // Those of the chat's and the turn's beginning are of kinds that read otherwise.
    assert_eq!(n_let_through("no such text"), 2);
    assert_eq!(n_let_through("k full"), 2 + 3 + 2, "those with a Kelvin sign may hold it too");
    assert_eq!(n_let_through("\u{130}stan"), 2 + 2);
    assert_eq!(n_let_through("no"), 2 + 2);
}

#[test]
fn no_other_character_is_ascii_in_lower_case() {
    let found: Vec<(char, u8)> = ('\u{80}'..=char::MAX)
        .filter_map(|c| {
            let lowered = c.to_lowercase().find(char::is_ascii)?;
            Some((c, lowered as u8))
        })
        .collect();
    assert_eq!(found, LOWERED_TO_ASCII);
}

#[test]
fn a_text_that_is_nowhere_told_apart_is_not_looked_for_by_bytes() {
    for text in ["", "erase", "\"", "\u{e4}\u{3c3}"] {
        assert!(Sieve::of(text).is_none(), "{text:?}");
    }
}
