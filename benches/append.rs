//! Appending through `Log::append`: one and 64 writers, one and 100 events an append, synced and
//! not. On a real disk (under `target`), with the rules on.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use scrollback::clock::Clock;
use scrollback::log::{Append, Claim, Log, LogOptions};
use scrollback::sqlite::Durability;
use scrollback_schema::event::{AssistantText, ChatCreated, Origin, StreamStarted};
use scrollback_schema::{ChatId, Event, MessageId, NewEvent, TurnId};
use tokio::runtime::Runtime;

/// A writer's chat with a turn that it leases.
#[derive(Clone)]
struct Producer {
    chat: ChatId,
    token: String,
    next_number: u64,
}

impl Producer {
    async fn new(log: &Log, name: String) -> Producer {
        let chat = ChatId::parse(&name).expect("a bench names its chats well");
        let turn = TurnId::parse("t").expect("a bench names its turns well");
        let message = MessageId::parse("m").expect("a bench names its messages well");
        let started = Event::StreamStarted(StreamStarted {
            provider: "external".to_owned(),
            model: None,
            user_message_id: None,
            origin: Origin::External,
        });
        let created = NewEvent::of_chat(Event::ChatCreated(ChatCreated::default()));
        let events = vec![created, NewEvent::of_turn(turn, message, started)];
        let mut append = Append::new(chat.clone(), events).expect("two small events");
        append.lease_ms = Some(3_600_000);
        let lease = log.append(append).await.expect("a new chat").lease.expect("a leased turn");
        Producer { chat, token: lease.token, next_number: 1 }
    }

    async fn append(&mut self, log: &Log, n_events: usize, text: &str) {
        let delta = || Event::AssistantText(AssistantText { text: text.to_owned() });
        let events = (0..n_events).map(|_| NewEvent::of_chat(delta())).collect();
        let mut append = Append::new(self.chat.clone(), events).expect("small events");
        let first_number = self.next_number;
        append.claim = Claim::Lease { token: self.token.clone(), first_number };
        let appended = log.append(append).await.expect("a leased turn takes its events");
        assert_eq!(appended.last_seq.get() - appended.first_seq.get() + 1, n_events as u64);
        self.next_number += n_events as u64;
    }
}

fn append(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let text = "x".repeat(90);
    let mut group = c.benchmark_group("append");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for durability in [Durability::Full, Durability::Process] {
        for n_writers in [1, 64] {
            for n_events in [1, 100] {
                let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
                let dir = tempfile::tempdir_in(target).expect("a directory on a real disk");
                let options = LogOptions { durability, ..LogOptions::default() };
                let log = Log::open(dir.path(), options, &Clock::System).expect("a new log");
                let mut producers: Vec<Producer> = runtime.block_on(async {
                    let mut all = Vec::new();
                    for n in 0..n_writers {
                        all.push(Producer::new(&log, format!("c{n}")).await);
                    }
                    all
                });
                group.throughput(Throughput::Elements((n_writers * n_events) as u64));
                let name = format!("{durability:?}/{n_writers} writers");
                group.bench_function(BenchmarkId::new(name, n_events), |b| {
                    b.iter_custom(|n_rounds| {
                        runtime.block_on(rounds(&log, &mut producers, n_rounds, n_events, &text))
                    });
                });
                runtime.block_on(log.close());
            }
        }
    }
    group.finish();
}

/// Each writer appends `n_rounds` times, all at once.
async fn rounds(
    log: &Log,
    producers: &mut Vec<Producer>,
    n_rounds: u64,
    n_events: usize,
    text: &str,
) -> Duration {
    let started = scrollback::clock::monotonic();
    let mut tasks = Vec::new();
    for mut producer in producers.drain(..) {
        let (log, text) = (log.clone(), text.to_owned());
        tasks.push(tokio::spawn(async move {
            for _ in 0..n_rounds {
                producer.append(&log, n_events, &text).await;
            }
            producer
        }));
    }
    for task in tasks {
        producers.push(black_box(task.await.expect("a writer ends well")));
    }
    started.elapsed()
}

criterion_group!(benches, append);
criterion_main!(benches);
