//! Replay and live are one: whoever comes when and as often as he likes gets the same bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use scrollback::log::{Log, Page, PageLimits, Scope, Step as TailStep, Tail};
use scrollback_schema::Seq;
use scrollback_test_support::rng::Rng;
use scrollback_test_support::sample::every_kind;
use scrollback_test_support::wait::{eventually, within};
use scrollback_test_support::workload::Workload;

use crate::fixture::{Fixture, append, assert_whole};

/// A reader in this process: its frames by seq, and where it goes on.
struct Reader {
    log: Log,
    scope: Scope,
    cursor: Seq,
    frames: BTreeMap<Seq, Bytes>,
}

impl Reader {
    fn new(log: &Log, scope: Scope) -> Reader {
        Reader { log: log.clone(), scope, cursor: Seq::ZERO, frames: BTreeMap::new() }
    }

    /// Takes at most `n_max` events of a page: a cut can come after any of them.
    fn take(&mut self, page: &Page, n_max: usize) -> usize {
        let mut n_taken = 0;
        for section in &page.sections {
            for i in section.events_in(self.cursor, page.through) {
                if n_taken == n_max {
                    return n_taken;
                }
                let (seq, frame) = (section.seq_at(i), section.frames().slice(i..i + 1));
                assert!(seq > self.cursor, "{seq} came after {}", self.cursor);
                assert!(self.frames.insert(seq, frame).is_none(), "{seq} came twice");
                self.cursor = seq;
                n_taken += 1;
            }
        }
        self.cursor = page.through;
        n_taken
    }

    /// One connection: reads until `n_max` events came, or until it is caught up.
    async fn connection(&mut self, n_max: usize, limits: PageLimits) {
        let mut tail = Tail::new(&self.log, self.scope.clone(), self.cursor, limits);
        let mut n_left = n_max;
        while n_left > 0 {
            match within("a step of the tail", tail.next()).await.unwrap() {
                TailStep::Page(page) => n_left -= self.take(&page, n_left),
                TailStep::CaughtUp(_) => return,
            }
        }
    }

    /// All that it got.
    fn bytes(&self) -> Vec<u8> {
        self.frames.values().flatten().copied().collect()
    }
}

/// What a reader gets that asks once, in the end.
async fn uncut(log: &Log, scope: Scope, limits: PageLimits) -> Reader {
    let mut reader = Reader::new(log, scope);
    while reader.cursor < log.head() {
        reader.connection(usize::MAX, limits).await;
    }
    reader
}

const fn limits(events: usize) -> PageLimits {
    PageLimits { events, bytes: usize::MAX }
}

#[tokio::test]
async fn the_bytes_do_not_depend_on_the_size_of_the_pages() {
    let fixture = Fixture::new("replay-pages");
    for step in every_kind() {
        fixture.append(step).await.unwrap();
    }
    let whole = uncut(&fixture.log, Scope::All, PageLimits::default()).await;
    assert_eq!(whole.frames.len() as u64, fixture.log.head().get());
    // The first time from memory, then from the file.
    let mut fixture = fixture;
    for _ in 0..2 {
        for size in [1, 7, 1_000] {
            let paged = uncut(&fixture.log, Scope::All, limits(size)).await;
            assert!(paged.bytes()[..whole.bytes().len()] == whole.bytes(), "pages of {size}");
        }
        fixture = fixture.reopen().await;
    }
}

const N_CUTS: usize = 10_000;
const N_STEPS: usize = 60;

/// Appends to a chat of its own, step by step as the readers are cut.
async fn write(log: Log, mut workload: Workload, n_cuts: Arc<AtomicUsize>) {
    for n in 0..N_STEPS {
        append(&log, workload.step()).await.unwrap();
        let due = n * N_CUTS / N_STEPS;
        let is_due = || async { (n_cuts.load(Ordering::Relaxed) >= due).then_some(()) };
        eventually("the next cuts", is_due).await;
    }
    for step in workload.close() {
        append(&log, step).await.unwrap();
    }
}

/// Reads in many short connections while the log grows.
async fn read_cut(log: Log, seed: u64, scope: Scope, n_cuts: Arc<AtomicUsize>) -> Reader {
    let (mut rng, mut reader) = (Rng::new(seed), Reader::new(&log, scope));
    while n_cuts.load(Ordering::Relaxed) < N_CUTS {
        let (n_max, page) = (rng.between(1, 40), rng.between(1, 30));
        reader.connection(n_max, limits(page)).await;
        n_cuts.fetch_add(1, Ordering::Relaxed);
    }
    reader
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_cuts_lose_and_repeat_nothing() {
    const N: u64 = 64;
    let fixture = Fixture::new("replay-cuts");
    let projector = fixture.project();
    let log = &fixture.log;
    let mut chats = Vec::new();
    for seed in 0..N {
        let chat = append(log, Workload::new(seed, &format!("c{seed}"), 1).step()).await.unwrap();
        chats.push(chat.first_seq);
    }
    let n_cuts = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..N)
        .map(|seed| {
            let mut workload = Workload::new(seed, &format!("c{seed}"), 1);
            workload.step();
            tokio::spawn(write(log.clone(), workload, Arc::clone(&n_cuts)))
        })
        .collect();
    let readers: Vec<_> = (0..N)
        .map(|seed| {
            let scope = match seed % 4 {
                0 => Scope::All,
                1 => Scope::Chats(Arc::from(&chats[seed as usize / 2..][..4])),
                _ => Scope::Chat(chats[seed as usize]),
            };
            tokio::spawn(read_cut(log.clone(), seed, scope, Arc::clone(&n_cuts)))
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for reader in readers {
        let mut reader = reader.await.unwrap();
        while reader.cursor < log.head() {
            reader.connection(7, limits(5)).await;
        }
        let uncut = uncut(log, reader.scope.clone(), PageLimits::default()).await;
        assert!(reader.frames.len() > 1 && reader.frames.len() == uncut.frames.len());
        assert!(reader.bytes() == uncut.bytes(), "{:?}", reader.scope);
    }
    projector.close().await;
    assert_whole(fixture.close().await.path());
}
