//! What is archived reads as before, and what is deleted leaves no byte, wherever it stood.
//!
//! Here the log itself is asked. `program` asks the program, `told` those who read beside it,
//! `killed` what a kill leaves of either, `damage` what a flipped bit does, `pace` who waits.

mod damage;
#[cfg(feature = "failpoints")]
mod killed;
mod pace;
mod program;
mod told;

use std::collections::BTreeSet;
use std::path::Path;

use scrollback::clock::Clock;
use scrollback::log::offline::OfflineLog;
use scrollback::log::{
    ArchiveBounds, ArchiveStep, Fill, Log, LogOptions, OpenError, PageLimits, Scope,
};
use scrollback_schema::event::Origin;
use scrollback_schema::migrations::MIGRATIONS;
use scrollback_schema::{Body, Event, Millis, NewEvent, Recorded, Seq};
use scrollback_test_support::rng::Rng;
use scrollback_test_support::rounds::rounds;
use scrollback_test_support::sample::{chat_id, complete, of_turn, started, text, user_text};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::workload::{Step, Workload};

use crate::fixture::{Fixture, append, assert_whole, findings, open, read};

/// Bytes of a segment in these tests: some dozens of rows.
const SEGMENT_BYTES: u64 = 8 << 10;

/// Archives all that may be; how many segments were made.
async fn archive(log: &Log, bounds: ArchiveBounds) -> usize {
    let plan = log.archive_plan(bounds).await.unwrap();
    let step = ArchiveStep { through: plan.through, bytes: SEGMENT_BYTES, fill: Fill::Rest };
    let mut n_made = 0;
    while let Some(made) = log.archive_step(step).await.unwrap() {
        assert!(made.segment.last_seq <= plan.through);
        n_made += 1;
    }
    n_made
}

fn of_chat(event: Event) -> NewEvent {
    NewEvent::of_chat(event)
}

/// A whole turn.
fn turn(n: usize, words: &str) -> Vec<NewEvent> {
    let (turn, message) = (format!("t{n}"), format!("a{n}"));
    let mut events = vec![started(&turn, &message, Origin::User)];
    events.extend(of_turn(&turn, &message, vec![text(words), complete()]));
    events
}

/// A log of many appends over chats that end and go on.
async fn filled(name: &str, seed: u64, n_steps: usize) -> Fixture {
    let fixture = Fixture::new(name);
    let mut workload = Workload::new(seed, "w", 5);
    for _ in 0..n_steps {
        fixture.append(workload.step()).await.unwrap();
    }
    for step in workload.close() {
        fixture.append(step).await.unwrap();
    }
    fixture
}

/// A log of turns that all ended, in two chats: a server has nothing to add to it.
async fn finished(dir: TempDir, n_turns: usize) -> Fixture {
    let fixture = Fixture { log: open(dir.path()), dir };
    for chat in ["a", "b"] {
        let events = vec![of_chat(Event::ChatCreated(Default::default()))];
        append(&fixture.log, Step { chat: chat_id(chat), events }).await.unwrap();
    }
    for n in 0..n_turns {
        let words = format!("turn {n} says {:x}", (n as u128 + 3).pow(9)).repeat(3);
        let chat = chat_id(if n % 3 == 0 { "a" } else { "b" });
        append(&fixture.log, Step { chat, events: turn(n, &words) }).await.unwrap();
    }
    fixture
}

/// Every way to read the log offline: forwards, backwards, one chat, and each event as it stands.
fn offline(dir: &Path, chat: Seq) -> Vec<String> {
    let mut log = OfflineLog::open(dir).unwrap();
    let (head, limits) = (log.head().unwrap(), PageLimits { events: 7, bytes: 4 << 10 });
    let mut seen = Vec::new();
    let mut after = Seq::ZERO;
    while after < head {
        let page = log.page(&Scope::All, after, head, limits).unwrap();
        seen.extend(page.sections.iter().map(|s| format!("{} {}", s.first_seq(), s.n_bytes())));
        after = page.through;
    }
    let mut until = head;
    while until > Seq::ZERO {
        let page =
            log.page_back_where(&Scope::Chat(chat), Seq::ZERO, until, limits, &|_| true).unwrap();
        seen.extend(page.sections.iter().map(|s| format!("back {} {}", s.first_seq(), s.len())));
        until = page.after;
    }
    for seq in (1..=head.get()).filter_map(Seq::new) {
        let stored = log.stored(seq).unwrap().unwrap();
        seen.push(format!("{} {:?} {:?}", stored.kind, stored.state, stored.batch));
        let at = stored.batch.head.at;
        seen.push(format!("{}", log.seq_before(at).unwrap()));
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archived_log_reads_as_before() {
    let fixture = filled("retention-reads", 3, 1_500).await.reopen().await;
    let limits = PageLimits { events: 9, bytes: 8 << 10 };
    let all = read(&fixture.log, &Scope::All, limits).await;
    let chats: BTreeSet<Seq> = all.iter().map(|event| event.chat.created).collect();
    let mut of_chats = Vec::new();
    for chat in &chats {
        of_chats.push(read(&fixture.log, &Scope::Chat(*chat), limits).await);
    }
    let dir = fixture.close().await;
    let before = offline(dir.path(), *chats.first().unwrap());

    let log = open(dir.path());
    let n_made = archive(&log, ArchiveBounds::default()).await;
    assert!(n_made > 10, "{n_made} segments");
    assert_eq!(read(&log, &Scope::All, limits).await, all);
    log.close().await;
    drop(log);
    assert_eq!(offline(dir.path(), *chats.first().unwrap()), before);
    assert_whole(dir.path());

    let log = open(dir.path());
    assert_eq!(read(&log, &Scope::All, limits).await, all);
    for (chat, expected) in chats.iter().zip(&of_chats) {
        assert_eq!(&read(&log, &Scope::Chat(*chat), limits).await, expected);
    }
    let several = Scope::Chats(chats.iter().copied().collect::<Vec<_>>().into());
    assert_eq!(read(&log, &several, limits).await, all);
    let segments = log.segments().await.unwrap();
    assert_eq!(segments.len(), n_made);
    assert!(segments.last().unwrap().last_seq < log.head(), "the last row stays");
    log.close().await;
    println!("{} events read alike from {n_made} segments", all.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unfinished_stays_in_the_log_with_all_that_came_after() {
    let fixture = Fixture::new("retention-unfinished");
    let say = async |chat: &str, events| {
        let step = Step { chat: chat_id(chat), events };
        append(&fixture.log, step).await.unwrap()
    };
    say("a", vec![of_chat(Event::ChatCreated(Default::default()))]).await;
    say("a", turn(1, "x")).await;
    say("b", vec![of_chat(Event::ChatCreated(Default::default()))]).await;
    let open = turn(2, "x");
    let (terminal, begun) = open.split_last().unwrap();
    let started = say("b", begun.to_vec()).await.first_seq;
    for n in 3..20 {
        say("a", turn(n, "x")).await;
    }
    let plan = fixture.log.archive_plan(ArchiveBounds::default()).await.unwrap();
    assert_eq!((plan.through, plan.held_at), (started.prev(), Some(started)));
    let before = ArchiveBounds { before: Seq::new(3), ..ArchiveBounds::default() };
    let plan = fixture.log.archive_plan(before).await.unwrap();
    assert_eq!((plan.through.get(), plan.held_at), (2, None));
    say("b", vec![terminal.clone()]).await;
    let plan = fixture.log.archive_plan(ArchiveBounds::default()).await.unwrap();
    assert_eq!((plan.through, plan.held_at), (fixture.log.head().prev(), None));
    // Nothing is older than the epoch.
    let old = ArchiveBounds { older_than: Some(Millis::new(1)), before: None };
    assert_eq!(fixture.log.archive_plan(old).await.unwrap().n_events(), 0);
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_that_was_archived_is_erased_from_every_segment() {
    let fixture = Fixture::new("retention-erase");
    let (secret, other) = ("the-cat-is-called-mistigri", "nobody-knows-its-name");
    let say = async |log: &Log, chat: &str, events| {
        let step = Step { chat: chat_id(chat), events };
        append(log, step).await.unwrap();
    };
    for (chat, words) in [("gone", secret), ("kept", other)] {
        say(&fixture.log, chat, vec![of_chat(Event::ChatCreated(Default::default()))]).await;
        say(&fixture.log, chat, vec![user_text("first", words)]).await;
    }
    for n in 0..150 {
        for (chat, words) in [("gone", secret), ("kept", other)] {
            say(&fixture.log, chat, turn(n, words)).await;
        }
    }
    archive(&fixture.log, ArchiveBounds::default()).await;
    // Some more of both, which is in log.db.
    for (chat, words) in [("gone", secret), ("kept", other)] {
        say(&fixture.log, chat, vec![user_text("last", words)]).await;
    }
    let entry = fixture.log.find_chat(&chat_id("gone")).await.unwrap().unwrap();
    let before = fixture.log.segments().await.unwrap();
    assert!(before.len() > 2, "{before:?}");
    let kept = read(&fixture.log, &Scope::Chat(Seq::new(3).unwrap()), PageLimits::default()).await;
    // As an attempt leaves it that had replaced the file and failed at the next one.
    let replaced = fixture.dir.join("archive").join(&before[0].file);
    std::fs::copy(&replaced, replaced.with_file_name("000000000001-000000000009.9.seg")).unwrap();
    let tombstone = Event::ChatDeleted(Default::default());
    say(&fixture.log, "gone", vec![of_chat(tombstone)]).await;
    let n_erased = fixture.log.erase(&entry.chat).await.unwrap();
    assert_eq!(n_erased, 3 + 150 * 3);
    assert_eq!(bytes_with(fixture.dir.path(), secret), Vec::<String>::new());
    // A block is packed: what it says is found by reading it.
    let all = fixture.all().await;
    let is_erased = |event: &Recorded| matches!(event.body, Body::Erased { .. });
    assert_eq!(all.iter().filter(|event| is_erased(event)).count() as u64, n_erased);
    assert!(!format!("{all:?}").contains(secret));
    let after = fixture.log.segments().await.unwrap();
    assert!(before.iter().zip(&after).all(|(b, a)| a.file != b.file && a.first_seq == b.first_seq));
    let fixture = fixture.reopen().await;
    let again = read(&fixture.log, &Scope::Chat(Seq::new(3).unwrap()), PageLimits::default()).await;
    assert_eq!(again, kept, "the other chat is as it was");
    let dir = fixture.close().await;
    assert_whole(dir.path());
    let n_files = std::fs::read_dir(dir.join("archive")).unwrap().count();
    assert_eq!(n_files, after.len(), "files that were replaced are gone");
}

/// The files that hold this text as it is, or in a block of the archive.
fn bytes_with(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for file in std::fs::read_dir(dir).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                // A server takes files away meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => panic!("{}: {error}", path.display()),
            };
            if holds(&bytes, text.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    /// What a zstd frame begins with.
    const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let is_in = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    let frames = bytes.windows(4).enumerate().filter(|(_, window)| **window == FRAME);
    is_in(bytes)
        || frames.into_iter().any(|(at, _)| {
            let mut block = Vec::new();
            let mut decoder = zstd::Decoder::new(&bytes[at..]).unwrap().single_frame();
            let _ = std::io::Read::read_to_end(&mut decoder, &mut block);
            is_in(&block)
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_is_missing_or_damaged_is_named_with_its_seqs() {
    let fixture = filled("retention-damage", 5, 900).await;
    archive(&fixture.log, ArchiveBounds::default()).await;
    let segments = fixture.log.segments().await.unwrap();
    let dir = fixture.close().await;
    let victim = &segments[segments.len() / 2];
    let path = dir.join("archive").join(&victim.file);
    let whole = std::fs::read(&path).unwrap();
    let mut rng = Rng::new(rounds().seed());
    let n_flips = rounds().scale(150);
    for n in 0..n_flips {
        let mut bytes = whole.clone();
        let at = rng.below(bytes.len());
        bytes[at] ^= 1 << rng.below(8);
        std::fs::write(&path, &bytes).unwrap();
        let found = findings(dir.path());
        let named = found.iter().any(|finding| finding.contains(&victim.file));
        assert!(named && found.len() == 1, "flip {n} at {at}: {found:?}");
    }
    for len in [0, 1, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..len]).unwrap();
        let found = findings(dir.path());
        assert!(found.iter().any(|finding| finding.contains(&victim.file)), "{found:?}");
        let refused = Log::open(dir.path(), LogOptions::default(), &Clock::System).unwrap_err();
        assert!(matches!(refused, OpenError::Archive(_)), "{refused}");
    }
    std::fs::remove_file(&path).unwrap();
    let found = findings(dir.path());
    let span = format!("seq {} to {}", victim.first_seq, victim.last_seq);
    assert_eq!(found, [format!("{span}: archive/{}: it is missing", victim.file)]);
    let refused = Log::open(dir.path(), LogOptions::default(), &Clock::System).unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains(&victim.file) && refused.contains(&span), "{refused}");
    assert!(refused.contains("is missing; put it back from a backup"), "{refused}");
    std::fs::write(&path, &whole).unwrap();
    assert_whole(dir.path());
    println!("{n_flips} bits flipped in a segment, all found and named");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_a_crash_left_are_cleared_away_and_others_are_let_alone() {
    let fixture = filled("retention-orphans", 6, 300).await;
    archive(&fixture.log, ArchiveBounds::default()).await;
    let dir = fixture.close().await;
    let files = || std::fs::read_dir(dir.join("archive")).unwrap().count();
    let n_files = files();
    for name in ["000000000900-000000000999.1.seg", "000000000900-000000000999.1.seg.tmp"] {
        std::fs::write(dir.join("archive").join(name), "half").unwrap();
    }
    std::fs::write(dir.join("archive").join("note.txt"), "mine").unwrap();
    open(dir.path()).close().await;
    assert_eq!(files(), n_files + 1);
    assert_whole(dir.path());
}

/// Runs statements on a log that nobody has open.
#[expect(clippy::disallowed_methods, reason = "what no program of ours does to a log")]
fn change(dir: &Path, sql: &str) -> Result<(), rusqlite::Error> {
    rusqlite::Connection::open(dir.join("log.db"))?.execute_batch(sql)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_the_version_before_is_read_and_taken_over() {
    const BACK: &str = "
        DROP TRIGGER log_delete_only_archived; DROP TABLE segment; DROP INDEX register_open;
        PRAGMA user_version = 1;";
    let (_, trigger) = MIGRATIONS[0].sql.split_once("CREATE TRIGGER log_delete_never").unwrap();
    let (trigger, _) = trigger.split_once("END;").unwrap();
    let back_to_1 = format!("{BACK}CREATE TRIGGER log_delete_never{trigger}END;");
    let fixture = filled("retention-version-1", 5, 900).await;
    let all = fixture.all().await;
    let dir = fixture.close().await;
    change(dir.path(), &back_to_1).unwrap();
    assert_whole(dir.path());
    let mut old = OfflineLog::open(dir.path()).unwrap();
    assert_eq!(old.head().unwrap().get(), all.len() as u64);
    assert_eq!(old.segments().unwrap(), []);
    drop(old);
    let log = open(dir.path());
    assert!(archive(&log, ArchiveBounds::default()).await > 1);
    assert_eq!(read(&log, &Scope::All, PageLimits::default()).await, all);
    log.close().await;
    assert_whole(dir.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_leave_the_log_for_the_archive_alone() {
    let fixture = filled("retention-triggers", 8, 200).await;
    archive(&fixture.log, ArchiveBounds::default()).await;
    let dir = fixture.close().await;
    for (sql, words) in [
        ("DELETE FROM log", "rows leave it only for the archive"),
        ("DELETE FROM segment", "segments are never deleted"),
        ("UPDATE segment SET file = 'x'", "segments are changed only to erase payloads"),
        ("INSERT INTO segment VALUES (99999, 99999, 'x', 1, 1)", "the archive is dense"),
    ] {
        let refused = change(dir.path(), sql).unwrap_err().to_string();
        assert!(refused.contains(words), "{sql}: {refused}");
    }
    assert_whole(dir.path());
}
