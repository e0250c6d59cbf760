//! Rebuilds: equal to the live views whatever the pages, taken over by a running server, resumable.

use std::sync::atomic::{AtomicU64, Ordering};

use scrollback_test_support::sample::{CHAT, every_kind};
use scrollback_test_support::workload::Workload;

use super::projector_test::{Fixture, all_messages, change, replayed};
use super::rebuild::{Progress, RebuildError, RebuildOptions, check, rebuild};
use super::*;
use crate::log::PageLimits;

fn quiet(_: Progress) {}

fn with_page(events: usize) -> RebuildOptions {
    let page = PageLimits { events, bytes: usize::MAX };
    RebuildOptions { page, ..RebuildOptions::default() }
}

fn only(projection: &str) -> RebuildOptions {
    RebuildOptions { projections: vec![projection.to_owned()], ..RebuildOptions::default() }
}

/// Every table of a view file as text.
fn dump(path: &Path) -> String {
    use rusqlite::types::Value;
    let db = crate::sqlite::open_view_reader(path).unwrap();
    let mut tables = db
        .prepare("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
        .unwrap();
    let tables: Vec<String> =
        tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut lines = Vec::new();
    for table in tables.iter().filter(|table| !table.starts_with("sqlite_")) {
        let mut rows = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let n = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<Value> = (0..n).map(|index| row.get(index).unwrap()).collect();
            lines.push(format!("{table} {values:?}"));
        }
    }
    lines.sort();
    lines.join("\n")
}

async fn recorded() -> Fixture {
    let fixture = Fixture::new();
    fixture.append(every_kind()).await;
    let mut workload = Workload::new(11, "w", 6);
    fixture.append((0..900).map(|_| workload.step()).collect()).await;
    fixture.caught_up().await;
    fixture
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuilt_view_is_the_live_one_whatever_the_pages() {
    let fixture = recorded().await;
    let head = fixture.log.head();
    let dir = fixture.close().await;
    let live: Vec<String> = scrollback_projections::ALL
        .iter()
        .map(|described| dump(&Names::new(dir.path(), described.name).live(0)))
        .collect();
    for events in [1, 7, 1_000] {
        assert_eq!(check(dir.path(), &with_page(events), &quiet).unwrap(), None);
        let rebuilt = rebuild(dir.path(), &with_page(events), &quiet).unwrap();
        assert_eq!((rebuilt.head, rebuilt.by_server), (head, false));
        for (described, live) in scrollback_projections::ALL.iter().zip(&live) {
            let path = Names::new(dir.path(), described.name).live(0);
            assert_eq!(dump(&path), *live, "{} with pages of {events}", described.name);
        }
    }
    let left = std::fs::read_dir(dir.path().join(VIEWS_DIR)).unwrap();
    let left: Vec<PathBuf> = left.map(|entry| entry.unwrap().path()).collect();
    let n_left = left.iter().filter(|path| path.extension() == Some("db".as_ref())).count();
    assert_eq!(n_left, scrollback_projections::ALL.len(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_names_the_first_difference() {
    let fixture = recorded().await;
    let dir = fixture.close().await;
    let changes = [
        (
            "chats",
            "UPDATE chat SET title = 'x' WHERE created_seq = 1",
            "chat, row (created_seq 1): column title differs",
        ),
        (
            "messages",
            "DELETE FROM message WHERE first_seq = 2",
            "message, row (first_seq 2): the live view does not have it",
        ),
        (
            "queue",
            "INSERT INTO queue VALUES (1, 1, x'00')",
            "queue, row (chat 1): only the live view has it",
        ),
        (
            "search",
            "INSERT INTO document_text (document_text, rowid, text) VALUES ('delete', 2, 'shade')",
            "document_term, row (term …, doc 2, col …, offset 6): the live view does not have it",
        ),
        (
            "chat_events",
            "UPDATE chat_events SET last_seq = 9 WHERE chat = 1",
            "chat_events, row (chat 1, first_seq 1): column last_seq differs",
        ),
    ];
    for (projection, sql, expected) in changes {
        let path = Names::new(dir.path(), projection).live(0);
        assert_eq!(check(dir.path(), &only(projection), &quiet).unwrap(), None);
        change(&path, sql);
        let difference = check(dir.path(), &only(projection), &quiet).unwrap().unwrap();
        assert_eq!(difference.projection, projection);
        let said = difference.to_string();
        assert!(said.contains(expected), "{said}");
        rebuild(dir.path(), &only(projection), &quiet).unwrap();
        assert_eq!(check(dir.path(), &only(projection), &quiet).unwrap(), None);
    }
    change(&Names::new(dir.path(), "chats").live(0), "UPDATE state SET version = 99");
    let error = check(dir.path(), &only("chats"), &quiet).unwrap_err();
    assert!(matches!(error, RebuildError::NoView { projection: "chats" }), "{error}");
    let error = rebuild(dir.path(), &only("chat"), &quiet).unwrap_err();
    assert!(error.to_string().starts_with("there is no projection chat; there are chat_events,"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_server_takes_a_rebuilt_view_over_and_readers_see_no_gap() {
    let fixture = recorded().await;
    let (reads, chat) = (fixture.reads(), fixture.chat(CHAT).await);
    let dir = fixture.dir.path().to_owned();
    let rebuilding =
        tokio::task::spawn_blocking(move || rebuild(&dir, &RebuildOptions::default(), &quiet));
    let mut workload = Workload::new(12, "x", 3);
    let mut n_reads = 0;
    while !rebuilding.is_finished() {
        fixture.append(vec![workload.step()]).await;
        let head = fixture.log.head();
        let (shown, as_of) = all_messages(&reads, &chat, None).await;
        assert!(as_of >= head);
        assert_eq!(shown, replayed(&fixture.log, chat.created, as_of));
        n_reads += 1;
    }
    let rebuilt = rebuilding.await.unwrap().unwrap();
    assert!(rebuilt.by_server);
    assert!(n_reads > 0);
    fixture.append((0..50).map(|_| workload.step()).collect()).await;
    fixture.caught_up().await;
    let dir = fixture.dir.path().to_owned();
    let checked =
        tokio::task::spawn_blocking(move || check(&dir, &RebuildOptions::default(), &quiet));
    assert_eq!(checked.await.unwrap().unwrap(), None);
    for described in scrollback_projections::ALL {
        let live = Names::new(fixture.dir.path(), described.name).live_files().unwrap();
        assert_eq!(live.iter().map(|(generation, _)| *generation).collect::<Vec<_>>(), [1]);
    }
    drop(reads);
    let fixture = fixture.restart(|_| {}).await;
    fixture.caught_up().await;
    let dir = fixture.close().await;
    assert_eq!(check(dir.path(), &RebuildOptions::default(), &quiet).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_was_killed_goes_on_and_a_foreign_leftover_starts_over() {
    let fixture = recorded().await;
    let head = fixture.log.head();
    let dir = fixture.close().await;
    let names = Names::new(dir.path(), "messages");
    // What a rebuild leaves that is killed when it has committed once: a file at an older seq.
    std::fs::copy(names.live(0), names.rebuild()).unwrap();
    let first = AtomicU64::new(u64::MAX);
    let note = |progress: Progress| {
        first.fetch_min(progress.through.get(), Ordering::SeqCst);
    };
    let rebuilt = rebuild(dir.path(), &only("messages"), &note).unwrap();
    assert_eq!((rebuilt.resumed_after, rebuilt.head), (head, head));
    for sql in
        ["UPDATE state SET version = 99", "UPDATE state SET log_id = 'x'", "DROP TABLE state"]
    {
        std::fs::copy(names.live(0), names.rebuild()).unwrap();
        change(&names.rebuild(), sql);
        let rebuilt = rebuild(dir.path(), &only("messages"), &quiet).unwrap();
        assert_eq!((rebuilt.resumed_after, rebuilt.head), (Seq::ZERO, head));
        assert_eq!(check(dir.path(), &only("messages"), &quiet).unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_makes_a_rebuild_start_over() {
    let fixture = recorded().await;
    let dir = fixture.close().await;
    let names = Names::new(dir.path(), "messages");
    let n_removed = AtomicU64::new(0);
    let remove_once = |_: Progress| {
        if n_removed.fetch_add(1, Ordering::SeqCst) == 0 {
            remove_db(&names.rebuild()).unwrap();
        }
    };
    let rebuilt = rebuild(dir.path(), &only("messages"), &remove_once).unwrap();
    assert!(!rebuilt.by_server);
    assert!(n_removed.load(Ordering::SeqCst) > 1, "it started over");
    assert_eq!(check(dir.path(), &only("messages"), &quiet).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_rebuilds_at_a_time_are_refused() {
    let fixture = recorded().await;
    let dir = fixture.close().await;
    let refused = AtomicU64::new(0);
    let second = |_: Progress| {
        let error = rebuild(dir.path(), &only("chats"), &quiet).unwrap_err();
        assert!(matches!(error, RebuildError::InUse { .. }), "{error}");
        refused.fetch_add(1, Ordering::SeqCst);
    };
    rebuild(dir.path(), &only("chats"), &second).unwrap();
    assert!(refused.load(Ordering::SeqCst) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_is_stopped_is_gone_on_with() {
    let fixture = recorded().await;
    let dir = fixture.close().await;
    let options = RebuildOptions { ..with_page(7) };
    let stop = |_: Progress| options.stop.cancel();
    let stopped = rebuild(dir.path(), &options, &stop);
    assert!(matches!(stopped, Err(RebuildError::Stopped)), "{stopped:?}");
    let options = RebuildOptions { ..with_page(7) };
    let stop = |_: Progress| options.stop.cancel();
    let stopped = check(dir.path(), &options, &stop);
    assert!(matches!(stopped, Err(RebuildError::Stopped)), "{stopped:?}");
    rebuild(dir.path(), &RebuildOptions::default(), &quiet).unwrap();
    assert_eq!(check(dir.path(), &RebuildOptions::default(), &quiet).unwrap(), None);
}
