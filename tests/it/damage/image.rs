//! A small log as a server leaves it, in pages that are small as well, so that every bit of it can
//! be flipped: as it is when the server was killed, and as it is when it was stopped.

use std::path::Path;

use rusqlite::Connection;
use scrollback::clock::Clock;
use scrollback::log::{Append, Log, LogOptions, PageLimits, Scope, Witnessed, read_witness};
use scrollback_schema::event::{ChatCreated, Origin};
use scrollback_schema::{Event, NewEvent, wire};
use scrollback_test_support::sample::{
    CHAT, DELETED_CHAT, chat_id, complete, every_kind, of_turn, started, text, thinking, user_text,
};
use scrollback_test_support::script::{APPEND_EVERY_MS, BEGINS_AT};
use scrollback_test_support::workload::Step;

use crate::fixture::{read, temp_dir};

/// The files of a data directory, and what its log says.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) files: Vec<(&'static str, Vec<u8>)>,
    /// The lines of its export; the seq of each is its place from 1.
    pub(super) lines: Vec<String>,
    /// What the head witness says.
    pub(super) witnessed: Option<Witnessed>,
}

/// One log, twice.
pub(super) struct Images {
    /// log.db with a WAL behind it that was never moved into it.
    pub(super) killed: Image,
    /// The same, all of it in log.db.
    pub(super) stopped: Image,
}

impl Image {
    pub(super) fn write_to(&self, dir: &Path) {
        for (name, bytes) in &self.files {
            std::fs::write(dir.join(name), bytes).unwrap();
        }
    }

    pub(super) fn file(&self, name: &str) -> &[u8] {
        &self.files.iter().find(|(other, _)| *other == name).unwrap().1
    }

    fn of(dir: &Path, names: &[&'static str], lines: &[String]) -> Image {
        let file = |name: &&'static str| (*name, std::fs::read(dir.join(name)).unwrap());
        let witnessed = read_witness(&dir.join("head")).unwrap();
        Image { files: names.iter().map(file).collect(), lines: lines.to_vec(), witnessed }
    }
}

/// What the second life of the server appends: what its WAL holds. The turn is left open.
fn second_life() -> Vec<Step> {
    let created = NewEvent::of_chat(Event::ChatCreated(ChatCreated::default()));
    let mut events = vec![created, user_text("u1", "How deep is the pond?")];
    events.push(started("t1", "a1", Origin::User));
    let answer = of_turn("t1", "a1", vec![thinking("It depends "), text("About 180 cm")]);
    [events, answer].map(|events| Step { chat: chat_id("open"), events }).to_vec()
}

/// What the first life appends: a chat with a turn that has ended, and one that was deleted. A test
/// that soaks has every kind of event instead, many times.
fn first_life(n_times: usize) -> Vec<Step> {
    let mut all = every_kind();
    let deleted = all.split_off(all.len() - 2);
    let mut steps: Vec<Step> = if n_times == 1 {
        all.truncate(3);
        all.push(Step { chat: chat_id(CHAT), events: of_turn("t1", "a1", vec![complete()]) });
        all
    } else {
        let again = |n: usize| {
            let chat = chat_id(&format!("{CHAT}-{n}"));
            all.iter().map(move |step| Step { chat: chat.clone(), events: step.events.clone() })
        };
        (0..n_times).flat_map(again).collect()
    };
    steps.extend(deleted);
    steps
}

/// Makes the log, as long as a factor asks for.
pub(super) async fn images(n_times: usize) -> Images {
    let dir = temp_dir("damage");
    let clock = Clock::manual(BEGINS_AT);
    let log = Log::open(dir.path(), LogOptions::default(), &clock).unwrap();
    for step in first_life(n_times) {
        append(&log, &clock, step).await;
    }
    let deleted = log.find_chat(&chat_id(DELETED_CHAT)).await.unwrap().unwrap();
    log.erase(&deleted.chat).await.unwrap();
    log.close().await;
    drop(log);
    let path = dir.join("log.db");
    shrink_pages(&path);
    // A reader that saw an empty WAL: nothing is moved out of it while this one is there.
    let reader = connection(&path);
    reader.execute_batch("BEGIN; SELECT count(*) FROM meta").unwrap();
    let log = Log::open(dir.path(), LogOptions::default(), &clock).unwrap();
    for step in second_life() {
        append(&log, &clock, step).await;
    }
    let mut lines = Vec::new();
    for event in read(&log, &Scope::All, PageLimits::default()).await {
        let mut line = Vec::new();
        wire::write_line(&mut line, &event);
        lines.push(String::from_utf8(line).unwrap());
    }
    let mut killed = Image::of(dir.path(), &["log.db", "log.db-wal", "head"], &lines);
    killed.files.push(("log.db-shm", Vec::new()));
    reader.execute_batch("COMMIT").unwrap();
    drop(reader);
    log.close().await;
    drop(log);
    let wal = std::fs::metadata(dir.join("log.db-wal")).map_or(0, |wal| wal.len());
    assert_eq!(wal, 0, "a log that was closed is all in its file");
    Images { killed, stopped: Image::of(dir.path(), &["log.db", "head"], &lines) }
}

async fn append(log: &Log, clock: &Clock, step: Step) {
    log.append(Append::new(step.chat, step.events).unwrap()).await.unwrap();
    clock.advance_ms(APPEND_EVERY_MS);
}

#[expect(clippy::disallowed_methods, reason = "a file is prepared as no program of ours does")]
fn connection(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

/// Gives a database the smallest pages that there are; how large they are changes nothing else.
fn shrink_pages(path: &Path) {
    connection(path)
        .execute_batch(
            "PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM;
             PRAGMA journal_mode = WAL;",
        )
        .unwrap();
}
