//! A sound log has no finding; each way to ruin one has the finding that names it, and no other.

use std::path::Path;

use scrollback_schema::event::{
    AssistantText, ChatCreated, ChatDeleted, Complete, MessageQueued, Origin, PermissionRequest,
    PermissionResolved, QueueRemoved, RequestOutcome, StreamStarted, UserText,
};
use scrollback_schema::{
    ChatId, Event, MessageId, Millis, NewEvent, QueuedMessageId, RequestId, TurnId,
};

use super::*;
use crate::clock::Clock;
use crate::log::{Append, Log, LogOptions};
use crate::sqlite::{Durability, open_log_writer};

fn chat_created() -> NewEvent {
    NewEvent::of_chat(Event::ChatCreated(ChatCreated::default()))
}

fn said(message: &str) -> NewEvent {
    let event = Event::UserText(UserText { text: "hello".to_owned(), attachments: vec![] });
    NewEvent { message: Some(MessageId::parse(message).unwrap()), turn: None, event }
}

fn of_turn(turn: &str, event: Event) -> NewEvent {
    let message = MessageId::parse(&format!("answer-{turn}")).unwrap();
    NewEvent::of_turn(TurnId::parse(turn).unwrap(), message, event)
}

fn started(turn: &str) -> NewEvent {
    let event = Event::StreamStarted(StreamStarted {
        provider: "scripted".to_owned(),
        model: None,
        user_message_id: None,
        origin: Origin::User,
    });
    of_turn(turn, event)
}

fn delta(turn: &str) -> NewEvent {
    of_turn(turn, Event::AssistantText(AssistantText { text: "a word ".to_owned() }))
}

fn complete(turn: &str) -> NewEvent {
    of_turn(turn, Event::Complete(Complete { duration_ms: 5 }))
}

fn asked(turn: &str) -> NewEvent {
    of_turn(
        turn,
        Event::PermissionRequest(PermissionRequest {
            request_id: RequestId::parse("r1").unwrap(),
            tool: None,
            options: vec![],
            expires_at: None,
        }),
    )
}

fn answered() -> NewEvent {
    NewEvent::of_chat(Event::PermissionResolved(PermissionResolved {
        request_id: RequestId::parse("r1").unwrap(),
        outcome: RequestOutcome::Denied,
        option_id: None,
        by: None,
    }))
}

fn queued(id: &str) -> NewEvent {
    NewEvent::of_chat(Event::MessageQueued(MessageQueued {
        queued_message_id: QueuedMessageId::parse(id).unwrap(),
        content: "next".to_owned(),
        attachments: vec![],
        provider: None,
        model: None,
    }))
}

fn unqueued(id: &str) -> NewEvent {
    NewEvent::of_chat(Event::QueueRemoved(QueueRemoved {
        queued_message_id: QueuedMessageId::parse(id).unwrap(),
        by: None,
    }))
}

/// Appends, each its own commit; what stands before a colon is the chat.
fn commits() -> Vec<(&'static str, Vec<NewEvent>)> {
    vec![
        ("c1", vec![chat_created()]),                             // 1
        ("c1", vec![said("m1"), started("t1")]),                  // 2 3
        ("c1", vec![delta("t1"), delta("t1"), asked("t1")]),      // 4 5 6
        ("gone", vec![chat_created(), said("m1"), queued("q1")]), // 7 8 9
        ("c1", vec![answered(), delta("t1")]),                    // 10 11
        ("c1", vec![complete("t1")]),                             // 12
        ("c1", vec![queued("q1"), queued("q2"), unqueued("q1")]), // 13 14 15
        ("gone", vec![NewEvent::of_chat(Event::ChatDeleted(ChatDeleted::default()))]), // 16
        ("c2", vec![chat_created()]),                             // 17
        ("c2", vec![started("t1"), delta("t1"), asked("t1")]),    // 18 19 20
    ]
}

/// Writes the sample log and leaves nothing but its files.
fn sample() -> tempfile::TempDir {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = Clock::manual(Millis::new(1_000));
    let log = Log::open(dir.path(), LogOptions::default(), &clock).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (chat, events) in commits() {
        let append = Append::new(ChatId::parse(chat).unwrap(), events).unwrap();
        runtime.block_on(log.append(append)).unwrap();
        clock.advance_ms(10);
    }
    let gone = log.find_chat_blocking(&ChatId::parse("gone").unwrap()).unwrap().unwrap();
    runtime.block_on(log.erase(&gone.chat)).unwrap();
    runtime.block_on(log.close());
    let wal = std::fs::metadata(dir.path().join("log.db-wal")).map_or(0, |wal| wal.len());
    assert_eq!(wal, 0, "a log that was closed is all in its file");
    for name in ["log.db", "head"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    copy
}

fn findings(dir: &Path) -> (Vec<String>, Report) {
    let mut lines = Vec::new();
    let report = verify(dir, &mut |progress| {
        if let Progress::Found(finding) = progress {
            assert!(!finding.advice().is_empty());
            lines.push(finding.to_string());
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(lines.len() as u64, report.n_findings);
    (lines, report)
}

/// Ruins a log by SQL, its triggers out of the way, and says what is found.
fn ruined(sql: &str) -> Vec<String> {
    let dir = sample();
    ruin(dir.path(), sql);
    findings(dir.path()).0
}

fn ruin(dir: &Path, sql: &str) {
    let db = open_log_writer(&dir.join("log.db"), Durability::Process).unwrap();
    let mut statement = db
        .prepare("SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'log'")
        .unwrap();
    let triggers = statement.query_map([], |row| row.get(0)).unwrap();
    let triggers: Vec<String> = triggers.map(Result::unwrap).collect();
    db.execute_batch(
        "DROP TRIGGER log_insert_dense; DROP TRIGGER log_delete_only_archived;
         DROP TRIGGER log_update_only_to_erase; PRAGMA ignore_check_constraints = ON;",
    )
    .unwrap();
    db.execute_batch(sql).unwrap();
    db.execute_batch(&triggers.join(";\n")).unwrap();
}

fn check(sql: &str, expected: &[&str]) {
    assert_eq!(ruined(sql), expected, "{sql}");
}

#[test]
fn a_sound_log_has_no_finding() {
    let (lines, report) = findings(sample().path());
    assert_eq!(lines, [""; 0]);
    assert_eq!((report.head.get(), report.n_events, report.n_rows), (20, 20, 10));
    assert_eq!((report.n_chats, report.n_turns, report.n_open_turns), (3, 2, 1));
    assert_eq!((report.n_erased, report.n_unknown), (3, 0));
}

#[test]
fn rows_that_are_not_as_written() {
    check(
        "UPDATE log SET checksum = checksum + 1 WHERE first_seq = 4",
        &["seq 4 to 6: the row's checksum does not fit what it holds"],
    );
    check(
        "UPDATE log SET at_ms = 1 WHERE first_seq = 10",
        &[
            "seq 10 to 11: committed at 1970-01-01T00:00:00.001Z, before the \
             1970-01-01T00:00:01.030Z of the row in front",
            "seq 10 to 11: the row's checksum does not fit what it holds",
        ],
    );
    check("DELETE FROM log WHERE first_seq = 4", &["seq 4 to 6: missing: no row holds them"]);
    check("DELETE FROM log WHERE first_seq = 2", &["seq 2 to 3: missing: no row holds them"]);
    check(
        "DELETE FROM log WHERE first_seq = 18",
        &[
            "seq 18: table turn disagrees with the log: its rows go on behind the log, which ends \
             at 17",
            "seq 18: table register disagrees with the log: its rows go on behind the log, which \
             ends at 17",
            "seq 20: the witness names it, the log ends at 17: its tail is gone",
        ],
    );
    check(
        "UPDATE log SET records = substr(records, 1, length(records) - 1) WHERE first_seq = 4",
        &["seq 4 to 6: record batch ends early"],
    );
}

#[test]
fn every_flipped_bit_of_a_row_is_found() {
    let dir = sample();
    let path = dir.path().join("log.db");
    let db = open_log_writer(&path, Durability::Process).unwrap();
    db.execute_batch("DROP TRIGGER log_update_only_to_erase").unwrap();
    let select = "SELECT records FROM log WHERE first_seq = 4";
    let records: Vec<u8> = db.query_row(select, [], |row| row.get(0)).unwrap();
    let update = "UPDATE log SET records = ?1 WHERE first_seq = 4";
    for bit in 0..records.len() * 8 {
        let mut flipped = records.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        db.execute(update, [flipped]).unwrap();
        let (lines, _) = findings(dir.path());
        assert!(lines.iter().any(|line| line.starts_with("seq 4")), "bit {bit}: {lines:?}");
    }
}

#[test]
fn a_trigger_that_guards_nothing() {
    let dir = sample();
    let db = open_log_writer(&dir.path().join("log.db"), Durability::Process).unwrap();
    db.execute_batch("DROP TRIGGER log_delete_only_archived").unwrap();
    drop(db);
    let expected = ["file: trigger log_delete_only_archived is not as this program defines it"];
    assert_eq!(findings(dir.path()).0, expected);
    let refused = Log::open(dir.path(), LogOptions::default(), &Clock::System).unwrap_err();
    assert!(refused.to_string().contains("trigger log_delete_only_archived"), "{refused}");
}

#[test]
fn payloads_and_erasure() {
    check(
        "UPDATE log SET records = CAST(substr(records, 1, length(records) - 1) || x'00' AS BLOB)
         WHERE first_seq = 12",
        &["seq 12: payloads are not what was written"],
    );
    check(
        "UPDATE chat SET deleted_seq = NULL, erased = 0 WHERE chat_id = 'gone'",
        &[
            "seq 7: erased, but chat 7 has no tombstone",
            "seq 8: erased, but chat 7 has no tombstone",
            "seq 9: erased, but chat 7 has no tombstone",
            "seq 16: table chat disagrees with the log: it does not say that the chat is deleted \
             here",
        ],
    );
    check(
        "UPDATE chat SET deleted_seq = 16, erased = 1 WHERE chat_id = 'c2'",
        &[
            "seq 17: still there, though the erasing of chat 17 is said done",
            "seq 18 to 20: still there, though the erasing of chat 17 is said done",
            "seq 16: table chat disagrees with the log: it has a row for something that the log \
             does not say here",
        ],
    );
}

/// What the row of a table says that the log does not.
const SURPLUS: &str = "it has a row for something that the log does not say here";

/// Ruins the log by a statement and expects one finding about one table.
fn disagrees(sql: &str, seq: u64, table: &str, what: &str) {
    let expected = format!("seq {seq}: table {table} disagrees with the log: {what}");
    assert_eq!(ruined(sql), [expected], "{sql}");
}

#[test]
fn tables_that_disagree() {
    let (check, surplus) = (disagrees, SURPLUS);
    check(
        "UPDATE chat SET chat_id = 'x' WHERE created_seq = 1",
        1,
        "chat",
        "it has another id for this chat",
    );
    check("INSERT INTO chat (created_seq, chat_id) VALUES (2, 'x')", 2, "chat", surplus);
    check(
        "UPDATE turn SET ended_seq = 11 WHERE started_seq = 3",
        12,
        "turn",
        "it does not say that the turn ended here",
    );
    check(
        "UPDATE turn SET ended_seq = 19 WHERE started_seq = 18",
        18,
        "turn",
        "it holds ended a turn that is open",
    );
    check(
        "UPDATE turn SET message_id = 'x' WHERE started_seq = 3",
        3,
        "turn",
        "its row for this turn says something else",
    );
    check(
        "INSERT INTO turn (started_seq, chat, turn_id, message_id, started_at_ms, ended_seq)
         VALUES (4, 1, 't9', 'm9', 0, 5)",
        4,
        "turn",
        surplus,
    );
}

#[test]
fn registers_that_disagree() {
    let (check, surplus) = (disagrees, SURPLUS);
    check(
        "DELETE FROM register WHERE seq = 2",
        2,
        "register",
        "it does not know the id that is used here",
    );
    check(
        "UPDATE register SET seq = 4 WHERE seq = 2",
        2,
        "register",
        "it has the id that is used here at another seq",
    );
    check(
        "UPDATE register SET is_open = 1 WHERE seq = 13",
        15,
        "register",
        "it holds open what was closed here",
    );
    check(
        "UPDATE register SET is_open = 0 WHERE seq = 14",
        14,
        "register",
        "it holds closed a queued message that is open",
    );
    check("INSERT INTO register VALUES (1, 1, 'x', 4, 0)", 4, "register", surplus);
    check(
        "INSERT INTO idempotency VALUES (zeroblob(32), zeroblob(32), 0, 21, 21, '')",
        21,
        "idempotency",
        "its rows go on behind the log, which ends at 20",
    );
}

#[test]
fn events_that_no_append_allows() {
    // The same commits, some of them copied behind the end by hand.
    let again = |first: u64, n: u64| {
        format!(
            "INSERT INTO main.log SELECT 21, n_events, at_ms + 1000, batch_id, checksum, records
             FROM log WHERE first_seq = {first} AND n_events = {n}"
        )
    };
    let rules = |sql: &str| -> Vec<String> {
        let found = ruined(sql);
        found.into_iter().filter(|line| line.contains("breaks a rule")).collect()
    };
    assert_eq!(rules(&again(12, 1)), ["seq 21: breaks a rule: no turn is open in this chat"]);
    assert_eq!(rules(&again(16, 1)), ["seq 21: breaks a rule: its chat was deleted at seq 16"]);
    let answered_again = rules(&again(10, 2));
    assert_eq!(
        answered_again,
        [
            "seq 21: breaks a rule: request r1 is no longer open",
            "seq 22: breaks a rule: no turn is open in this chat"
        ]
    );
}

#[test]
fn a_ruined_page_costs_its_rows_only() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Millis::new(1_000));
    let log = Log::open(dir.path(), LogOptions::default(), &clock).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let append = |chat: &str, events| {
        let append = Append::new(ChatId::parse(chat).unwrap(), events).unwrap();
        runtime.block_on(log.append(append)).unwrap();
    };
    append("c1", vec![chat_created(), started("t1")]);
    for _ in 0..1_000 {
        append("c1", vec![delta("t1")]);
    }
    runtime.block_on(log.close());
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(dir.path().join("head"), copy.path().join("head")).unwrap();
    let mut bytes = std::fs::read(dir.path().join("log.db")).unwrap();
    // A leaf of the log is a page whose first byte says so and which holds deltas.
    let leaf = |page: &&mut [u8]| page[0] == 13 && page.windows(6).any(|w| w == b"a word");
    let page = bytes.chunks_mut(8_192).filter(leaf).nth(3).unwrap();
    page.fill(0xff);
    std::fs::write(copy.path().join("log.db"), bytes).unwrap();
    let (lines, report) = findings(copy.path());
    let unreadable: Vec<_> = lines.iter().filter(|line| line.starts_with("seq")).collect();
    assert_eq!(unreadable.len(), 1, "{lines:?}");
    assert!(unreadable[0].contains("unreadable: database disk image is malformed"), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("file: ")), "{lines:?}");
    assert!(report.n_events > 700 && report.n_events < 1_002, "{report:?}");
}

#[test]
fn a_file_cut_short_says_so() {
    let dir = sample();
    let path = dir.path().join("log.db");
    let n_bytes = std::fs::metadata(&path).unwrap().len();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(n_bytes - 8_192).unwrap();
    let (lines, _) = findings(dir.path());
    assert_eq!(
        lines[0],
        format!("file: cut short: {} bytes of {n_bytes} are there", n_bytes - 8_192)
    );
}
