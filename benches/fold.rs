//! Folding the log: a message delta by delta, and views rebuilt from a log of half a million events
//! on a real disk (under `target`).

use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use scrollback::clock::Clock;
use scrollback::log::{Append, Log, LogOptions};
use scrollback::projector::rebuild::{RebuildOptions, rebuild};
use scrollback::sqlite::Durability;
use scrollback_projections::Projection;
use scrollback_projections::message::{Message, Messages};
use scrollback_schema::event::{AssistantText, ChatCreated};
use scrollback_schema::{Body, Event, NewEvent, Recorded};
use scrollback_test_support::rng::Rng;
use scrollback_test_support::sample::{chat_id, complete, of_turn, started, text, user_text};
use scrollback_test_support::script;

const N_CHATS: usize = 64;
const N_EVENTS: usize = 500_000;

/// Deltas of one answer, and of one append.
const ANSWER_DELTAS: usize = 250;
const APPEND_DELTAS: usize = 25;

const WORDS: &[&str] = &[
    "revenue ",
    "grew ",
    "by ",
    "fourteen ",
    "per ",
    "cent ",
    "in ",
    "the ",
    "third ",
    "quarter, ",
];

/// About 28 bytes of plain words.
fn delta(rng: &mut Rng) -> String {
    (0..4).map(|_| WORDS[rng.below(WORDS.len())]).collect()
}

/// Half a million events: answers of 250 deltas, after each a new one in the same chat.
async fn fill(log: &Log) {
    let mut rng = Rng::new(7);
    let append = async |chat: usize, events| {
        let append = Append::new(chat_id(&format!("c{chat}")), events).expect("small events");
        log.append(append).await.expect("the rules allow it");
    };
    for chat in 0..N_CHATS {
        let created = NewEvent::of_chat(Event::ChatCreated(ChatCreated::default()));
        append(chat, vec![created]).await;
    }
    for n in 0..N_EVENTS / ANSWER_DELTAS {
        let (turn, message, chat) = (format!("t{n}"), format!("m{n}"), n % N_CHATS);
        let asked = user_text(&format!("u{n}"), "What has changed since then?");
        append(chat, vec![asked, started(&turn, &message, scrollback_schema::event::Origin::User)])
            .await;
        for _ in 0..ANSWER_DELTAS / APPEND_DELTAS {
            let said = (0..APPEND_DELTAS).map(|_| text(&delta(&mut rng))).collect();
            append(chat, of_turn(&turn, &message, said)).await;
        }
        append(chat, of_turn(&turn, &message, vec![complete()])).await;
    }
}

/// A message that has begun, and the event that its deltas are made of.
fn begun() -> (Option<Message>, Recorded) {
    let events = script::parse("chat c1\nstart t1 m1 openai/gpt").expect("a script").recorded();
    let mut row = None;
    for event in &events {
        if event.turn.is_some() {
            Messages::apply(&mut row, event).expect("a turn starts");
        }
    }
    (row, events.last().expect("two events").clone())
}

fn fold_deltas(n_deltas: usize) -> impl Fn((Option<Message>, Recorded)) -> Option<Message> {
    move |(mut row, mut event)| {
        for _ in 0..n_deltas {
            event.seq = event.seq.next();
            let text = "revenue grew by fourteen per ".to_owned();
            event.body = Body::Event(Event::AssistantText(AssistantText { text }));
            Messages::apply(&mut row, &event).expect("the turn is open");
        }
        let n_bytes = row.as_ref().map_or(0, |message| message.text().len());
        assert_eq!(n_bytes, 29 * n_deltas);
        row
    }
}

fn fold(c: &mut Criterion) {
    let mut group = c.benchmark_group("fold");
    for n_deltas in [1_000, 100_000] {
        group.sample_size(10).throughput(Throughput::Elements(n_deltas as u64));
        group.bench_function(BenchmarkId::new("deltas of one message", n_deltas), |b| {
            b.iter_batched(begun, fold_deltas(n_deltas), BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn rebuilds(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = tempfile::tempdir_in(target).expect("a directory on a real disk");
    let options = LogOptions { durability: Durability::Process, ..LogOptions::default() };
    let log = Log::open(dir.path(), options, &Clock::System).expect("a new log");
    runtime.block_on(fill(&log));
    let head = log.head();
    runtime.block_on(log.close());
    drop(log);
    let mut group = c.benchmark_group("rebuild");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(head.get()));
    let names = scrollback_projections::ALL.iter().map(|described| described.name);
    for name in names.map(Some).chain([None]) {
        let projections = name.map(str::to_owned).into_iter().collect();
        let options = RebuildOptions { projections, ..RebuildOptions::default() };
        group.bench_function(BenchmarkId::from_parameter(name.unwrap_or("all")), |b| {
            b.iter(|| {
                let rebuilt = rebuild(dir.path(), &options, &|_| {}).expect("a sound log");
                assert_eq!(rebuilt.head, head);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, fold, rebuilds);
criterion_main!(benches);
