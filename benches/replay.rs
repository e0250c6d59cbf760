//! Reading the log back: all of it, one chat of a large log, and what a reader missed.
//!
//! The one chat is found by its projection, as on a server, and without it: the price of a view
//! file that is missing.

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scrollback::clock::Clock;
use scrollback::log::{Append, Log, LogOptions, PageLimits, Scope};
use scrollback::projector::Projector;
use scrollback::sqlite::Durability;
use scrollback_schema::event::{ChatCreated, Custom};
use scrollback_schema::{ChatId, Event, NewEvent, Seq};
use scrollback_test_support::wait::eventually;

const N_CHATS: u64 = 64;
const N_ROUNDS: u64 = 160;
const N_A_ROUND: u64 = 100;

/// A log of about a million events: 64 chats that take turns, 100 events an append.
async fn fill(log: &Log) {
    for n in 0..N_CHATS {
        let created = NewEvent::of_chat(Event::ChatCreated(ChatCreated::default()));
        log.append(Append::new(chat(n), vec![created]).expect("one event")).await.expect("new");
    }
    for _ in 0..N_ROUNDS {
        let mut appends = Vec::new();
        for n in 0..N_CHATS {
            let custom = || Custom { name: "x".repeat(100), data: None };
            let events = (0..N_A_ROUND).map(|_| NewEvent::of_chat(Event::Custom(custom())));
            appends.push(log.append(Append::new(chat(n), events.collect()).expect("small")));
        }
        for append in appends {
            append.await.expect("a chat takes its events");
        }
    }
}

fn chat(n: u64) -> ChatId {
    ChatId::parse(&format!("c{n}")).expect("a bench names its chats well")
}

fn read(log: &Log, scope: &Scope, after: Seq) -> u64 {
    let (mut after, mut n_events) = (after, 0);
    while after < log.head() {
        let page = log
            .read_blocking(scope, after, Seq::MAX, PageLimits::default())
            .expect("a sound log is read");
        for section in &page.sections {
            n_events += section.events_in(after, page.through).len() as u64;
        }
        after = page.through;
    }
    n_events
}

/// Starts the projections, and waits until the events of chats are found by one.
async fn index(log: &Log) -> Projector {
    let opened = log.clone();
    let open = move || Projector::open(opened.dir(), &opened, &Clock::System);
    let projector = tokio::task::spawn_blocking(open).await.expect("a thread ends well");
    let projector = projector.expect("the views can be made");
    let is_behind = || projector.status().iter().any(|view| view.lag_events > 0);
    eventually("every view to have caught up", || std::future::ready((!is_behind()).then_some(())))
        .await;
    projector
}

fn replay(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = tempfile::tempdir_in(target).expect("a directory on a real disk");
    let options = LogOptions { durability: Durability::Process, ..LogOptions::default() };
    let log = Log::open(dir.path(), options, &Clock::System).expect("a new log");
    runtime.block_on(fill(&log));
    runtime.block_on(log.close());
    drop(log);
    // Opened anew, so that nothing is in memory.
    let log = Log::open(dir.path(), LogOptions::default(), &Clock::System).expect("opens again");
    let (n_all, n_one) = (N_CHATS * (1 + N_ROUNDS * N_A_ROUND), 1 + N_ROUNDS * N_A_ROUND);
    let mut group = c.benchmark_group("replay");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(n_all));
    group.bench_function("whole log", |b| {
        b.iter(|| assert_eq!(read(&log, &Scope::All, Seq::ZERO), n_all));
    });
    group.throughput(Throughput::Elements(n_one));
    group.bench_function("one chat of 64, by a walk", |b| {
        b.iter(|| assert_eq!(read(&log, &Scope::Chat(Seq::ZERO.next()), Seq::ZERO), n_one));
    });
    let projector = runtime.block_on(index(&log));
    group.bench_function("one chat of 64, by its index", |b| {
        b.iter(|| assert_eq!(read(&log, &Scope::Chat(Seq::ZERO.next()), Seq::ZERO), n_one));
    });
    runtime.block_on(projector.close());
    group.throughput(Throughput::Elements(100));
    let after = Seq::ZERO.plus(n_all - 100);
    group.bench_function("100 missed events", |b| {
        b.iter(|| assert_eq!(read(&log, &Scope::All, after), 100));
    });
    group.finish();
    runtime.block_on(log.close());
}

criterion_group!(benches, replay);
criterion_main!(benches);
