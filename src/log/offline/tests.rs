//! Reading beside a crash, at rest and while a server starts, without a trace.

use std::collections::BTreeMap;

use scrollback_schema::event::{ChatCreated, UserText};
use scrollback_schema::{ChatId, Event, MessageId, NewEvent};

use super::*;
use crate::clock::Clock;
use crate::log::{Append, Log, LogOptions, PageLimits, Scope};

fn seq(n: u64) -> Seq {
    Seq::new(n).unwrap()
}

fn append(log: &Log, chat: &str, events: Vec<NewEvent>) {
    let append = Append::new(ChatId::parse(chat).unwrap(), events).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(log.append(append)).unwrap();
}

fn said(message: &str) -> NewEvent {
    let text = Event::UserText(UserText { text: "hello".to_owned(), attachments: vec![] });
    NewEvent { message: Some(MessageId::parse(message).unwrap()), turn: None, event: text }
}

fn open(dir: &Path, clock: &Clock) -> Log {
    Log::open(dir, LogOptions::default(), clock).unwrap()
}

fn close(log: &Log) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(log.close());
}

/// Three commits at 1 s, 2 s and 3 s.
fn fill(log: &Log, clock: &Clock) {
    append(log, "c1", vec![NewEvent::of_chat(Event::ChatCreated(ChatCreated::default()))]);
    clock.advance_ms(1_000);
    append(log, "c1", vec![said("m1"), said("m2")]);
    clock.advance_ms(1_000);
    append(log, "c1", vec![said("m3")]);
}

/// Every file of a directory: a checksum of its content, and the time of its last change.
fn files(dir: &Path) -> BTreeMap<String, (u32, SystemTime)> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let modified = entry.metadata().unwrap().modified().unwrap();
            let name = entry.file_name().to_str().unwrap().to_owned();
            (name, (crc32c::crc32c(&std::fs::read(entry.path()).unwrap()), modified))
        })
        .collect()
}

/// Copies what a server leaves: all its files if it was killed, log.db if it was stopped.
fn copied(from: &Path, names: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        std::fs::copy(from.join(name), dir.path().join(name)).unwrap();
    }
    dir
}

fn read_all(dir: &Path) -> Result<Vec<Seq>, OfflineError> {
    let mut log = OfflineLog::open(dir)?;
    let (mut seqs, head) = (Vec::new(), log.head()?);
    let mut after = Seq::ZERO;
    while after < head {
        let page = log.page(&Scope::All, after, head, PageLimits { events: 1, bytes: 1 })?;
        for section in &page.sections {
            seqs.extend(section.events_in(after, page.through).map(|i| section.seq_at(i)));
        }
        after = page.through;
    }
    Ok(seqs)
}

fn reads_without_a_trace(dir: &Path) {
    let before = files(dir);
    assert_eq!(read_all(dir).unwrap(), [seq(1), seq(2), seq(3), seq(4)]);
    assert_eq!(files(dir), before, "not a byte was written");
}

#[test]
fn reads_at_rest_and_after_a_crash_without_a_trace() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Millis::new(1_000));
    let log = open(dir.path(), &clock);
    fill(&log, &clock);

    let killed = copied(dir.path(), &["log.db", "log.db-wal", "log.db-shm"]);
    reads_without_a_trace(killed.path());
    std::fs::remove_file(killed.path().join("log.db-shm")).unwrap();
    assert!(matches!(read_all(killed.path()), Err(OfflineError::NoIndex { .. })));
    std::fs::File::create(killed.path().join("log.db-shm")).unwrap();
    reads_without_a_trace(killed.path());

    close(&log);
    reads_without_a_trace(copied(dir.path(), &["log.db"]).path());
}

#[test]
fn a_server_that_starts_meanwhile_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Millis::new(1_000));
    let log = open(dir.path(), &clock);
    fill(&log, &clock);
    close(&log);
    let stopped = copied(dir.path(), &["log.db"]);
    let mut offline = OfflineLog::open(stopped.path()).unwrap();
    assert_eq!((offline.head().unwrap(), offline.is_at_rest()), (seq(4), true));
    let log = open(stopped.path(), &clock);
    append(&log, "c1", vec![said("m4")]);
    let read = offline.read_once(|store| head_of(store.db));
    assert!(matches!(read, Err(OfflineError::Changed { .. })));
    assert_eq!((offline.head().unwrap(), offline.is_at_rest()), (seq(5), false));
}

#[test]
fn an_instant_is_found_by_halving() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Millis::new(1_000));
    let log = open(dir.path(), &clock);
    fill(&log, &clock);
    let mut offline = OfflineLog::open(dir.path()).unwrap();
    let mut check = |ms: i64, expected: u64| {
        assert_eq!(offline.seq_before(Millis::new(ms)).unwrap(), seq(expected), "{ms}");
    };
    check(0, 0);
    check(1_000, 0);
    check(1_001, 1);
    check(2_000, 1);
    check(2_001, 3);
    check(3_000, 3);
    check(3_001, 4);
}

#[test]
fn a_directory_without_a_log_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let words = OfflineLog::open(dir.path()).unwrap_err().to_string();
    assert!(words.contains("--data") && words.contains("scrollback serve"), "{words}");
    let path = dir.path().join("log.db");
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(OfflineLog::open(dir.path()), Err(OfflineError::Foreign { .. })));
    std::fs::write(&path, "not a database ".repeat(100)).unwrap();
    let error = OfflineLog::open(dir.path()).unwrap_err();
    assert!(matches!(error, OfflineError::Damaged { .. }), "{error:?}");
}
