//! Readers of a view file that stay, or that never pause, beside its worker.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scrollback_schema::{Event, NewEvent};
use scrollback_test_support::sample::{chat_id, user_text};
use scrollback_test_support::wait::eventually;
use scrollback_test_support::workload::Step;

use super::projector_test::Fixture;
use super::wal::{WAIT, WAL_BYTES_HARD, WAL_BYTES_SOFT};
use crate::sqlite;

const BYTES_A_MESSAGE: usize = 64 << 10;

/// Far less than SQLite would wait for a reader, far more than the worker needs on a busy machine.
const WORKER_WAIT: Duration = Duration::from_secs(2);

fn step(event: NewEvent) -> Vec<Step> {
    vec![Step { chat: chat_id("c1"), events: vec![event] }]
}

async fn begin() -> Fixture {
    let fixture = Fixture::new();
    fixture.append(step(NewEvent::of_chat(Event::ChatCreated(Default::default())))).await;
    fixture
}

/// Appends a message; whether the worker of `messages` has written it soon.
async fn say(fixture: &Fixture, n: usize) -> bool {
    fixture.append(step(user_text(&format!("m{n}"), &"x".repeat(BYTES_A_MESSAGE)))).await;
    let head = fixture.log.head();
    fixture
        .projector
        .views()
        .messages
        .wait_until(WORKER_WAIT, |position| position.committed >= head)
        .await
}

fn wal_bytes(db: &Path) -> u64 {
    let wal = PathBuf::from(format!("{}-wal", db.display()));
    std::fs::metadata(wal).unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stays_does_not_hold_up_the_worker() {
    let fixture = begin().await;
    assert!(say(&fixture, 0).await);
    let path = fixture.view_path("messages");
    let reader = sqlite::open_view_reader(&path).unwrap();
    let tx = reader.unchecked_transaction().unwrap();
    let count =
        || -> i64 { tx.query_row("SELECT count(*) FROM message", [], |row| row.get(0)).unwrap() };
    assert_eq!(count(), 1);
    // It grows beyond all that is tried for readers that leave.
    let mut n = 1;
    while wal_bytes(&path) < 2 * WAL_BYTES_HARD {
        assert!(say(&fixture, n).await, "the worker waits for a reader at message {n}");
        n += 1;
    }
    assert_eq!(count(), 1, "the reader sees what it saw");
    // Once it has left, the WAL is cut though nothing is written any more.
    tx.finish().unwrap();
    eventually("the WAL is cut", || async { (wal_bytes(&path) < WAL_BYTES_SOFT).then_some(()) })
        .await;
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_never_pause_do_not_let_the_wal_grow() {
    let fixture = begin().await;
    assert!(say(&fixture, 0).await);
    let path = fixture.view_path("messages");
    let is_done = Arc::new(AtomicBool::new(false));
    // Together, some transaction is always open; none is for longer than the worker waits.
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (path, is_done) = (path.clone(), Arc::clone(&is_done));
            std::thread::spawn(move || {
                let db = sqlite::open_view_reader(&path).unwrap();
                while !is_done.load(Ordering::Relaxed) {
                    let tx = db.unchecked_transaction().unwrap();
                    let read = || -> i64 {
                        tx.query_row("SELECT checkpoint FROM state", [], |row| row.get(0)).unwrap()
                    };
                    let before = read();
                    std::thread::sleep(WAIT / 10);
                    assert_eq!(read(), before);
                }
            })
        })
        .collect();
    let mut largest = 0;
    for n in 1..160 {
        assert!(say(&fixture, n).await, "message {n}");
        largest = largest.max(wal_bytes(&path));
    }
    is_done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
    assert!(largest < 3 * WAL_BYTES_HARD, "the WAL grew to {largest} bytes");
    fixture.close().await;
}
