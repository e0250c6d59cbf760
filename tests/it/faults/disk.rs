//! A disk that is full, fails, is read-only, or takes a write in pieces: each file, each moment.

use scrollback_test_support::client::Client;
use scrollback_test_support::interposer::FaultFile;
use scrollback_test_support::server::Server;
use scrollback_test_support::wait::eventually;
use serde_json::json;

use super::trial::{Outcome, Speaker, Trial, options};
use crate::fixture::temp_dir;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// When the fault comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Nobody has written for a while; then one append comes.
    Idle,
    /// Within the commits of appends that come from everywhere at once.
    Load,
    /// When committed pages are moved from the WAL into the file.
    Checkpoint,
    /// When a deleted chat is erased.
    Erase,
}

/// What is to come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Appends are refused, and taken again once the fault is gone.
    Refuses(&'static str, &'static str),
    /// Nothing more is written until a restart.
    Stops(&'static str, &'static str),
    /// Appends are taken all the same; it is said that something does not work.
    Says(&'static str, &'static str),
    /// The server overcomes it at once; it was said that something did not work.
    Overcomes(&'static str, &'static str),
    /// It is no fault to anybody.
    Nothing,
}

struct Case {
    /// OPERATION FILE [COUNT].
    fault: &'static str,
    error: i32,
    moment: Moment,
    then: Then,
}

const fn case(fault: &'static str, error: i32, moment: Moment, then: Then) -> Case {
    Case { fault, error, moment, then }
}

const FULL: Then = Then::Refuses("log", "disk_full");
const FAILS: Then = Then::Refuses("log", "io_error");
const STOPS: Then = Then::Stops("log", "sync_failed");

/// Appending: the WAL of log.db.
const OF_THE_WAL: [Case; 10] = [
    case("write log.db-wal", ENOSPC, Moment::Idle, FULL),
    case("write log.db-wal", EIO, Moment::Idle, FAILS),
    case("write log.db-wal 3", ENOSPC, Moment::Load, FULL),
    case("write log.db-wal 41", ENOSPC, Moment::Load, FULL),
    case("write log.db-wal 42", EIO, Moment::Load, FAILS),
    case("sync log.db-wal", EIO, Moment::Idle, STOPS),
    case("sync log.db-wal", ENOSPC, Moment::Idle, STOPS),
    case("sync log.db-wal 7", EIO, Moment::Load, STOPS),
    case("short log.db-wal", 0, Moment::Load, Then::Nothing),
    case("short log.db-wal 20", 0, Moment::Load, Then::Nothing),
];

/// Erasing and checkpoints: log.db, and its WAL within an erasure.
const OF_THE_FILE: [Case; 11] = [
    case("write log.db-wal", ENOSPC, Moment::Erase, FULL),
    case("write log.db-wal 5", ENOSPC, Moment::Erase, FULL),
    case("write log.db-wal 9", EIO, Moment::Erase, FAILS),
    case("write log.db-wal 12", ENOSPC, Moment::Erase, FULL),
    case("sync log.db-wal", EIO, Moment::Erase, STOPS),
    case("sync log.db-wal 1", EIO, Moment::Erase, STOPS),
    case("sync log.db-wal 2", EIO, Moment::Erase, STOPS),
    case("short log.db", 0, Moment::Checkpoint, Then::Nothing),
    case("write log.db", ENOSPC, Moment::Checkpoint, Then::Says("checkpoint", "disk_full")),
    case("write log.db", EIO, Moment::Checkpoint, Then::Says("checkpoint", "io_error")),
    case("sync log.db", EIO, Moment::Checkpoint, STOPS),
];

/// The witness and the views: nothing that an append waits for.
const OF_THE_OTHERS: [Case; 10] = [
    case("write head", ENOSPC, Moment::Load, Then::Says("witness", "disk_full")),
    case("write head", EIO, Moment::Idle, Then::Says("witness", "io_error")),
    case("sync head", EIO, Moment::Load, Then::Says("witness", "io_error")),
    case("short head", 0, Moment::Load, Then::Nothing),
    case("write messages.db-wal", ENOSPC, Moment::Load, MESSAGES_FULL),
    case("write messages.db-wal", EIO, Moment::Idle, Then::Says("view_messages", "io_error")),
    case("write chats.db-wal 9", ENOSPC, Moment::Load, Then::Says("view_chats", "disk_full")),
    case("write search.db-wal", ENOSPC, Moment::Erase, Then::Says("view_search", "disk_full")),
    case("sync messages.db", EIO, Moment::Erase, Then::Overcomes("view_messages", "sync_failed")),
    case("short messages.db-wal", 0, Moment::Load, Then::Nothing),
];

const MESSAGES_FULL: Then = Then::Says("view_messages", "disk_full");

/// The whole disk takes nothing (EROFS): as after a remount by a system that found it failing.
const READ_ONLY: [&str; 4] =
    ["write log.db-wal 30", "write head 30", "write log.db 30", "write messages.db-wal 30"];

async fn run(case: &Case) -> usize {
    let name = format!("{} error {} {:?}", case.fault, case.error, case.moment);
    let mut trial = Trial::start(&name, 3, &[]).await;
    let mut gone = Speaker::new(&trial.client, "gone").await;
    gone.say(&trial.client).await;
    let line = format!("{} {}", case.fault, case.error);
    trial.faults.set(&[&line]);
    let (n, n_refused) = match case.then {
        Then::Refuses(..) | Then::Stops(..) => (200, 2),
        Then::Says(..) | Then::Overcomes(..) | Then::Nothing => (20, usize::MAX),
    };
    let mut is_deleted = false;
    match case.moment {
        Moment::Idle => drop(trial.speakers[0].say(&trial.client).await),
        Moment::Load => trial.speak(n, n_refused).await,
        Moment::Checkpoint => trial.speak(5, usize::MAX).await,
        Moment::Erase => {
            let answer = trial.client.delete("/v1/chats/gone").await;
            is_deleted = answer.body["code"] == "erase_unfinished" || answer.status == 200;
        }
    }
    match case.then {
        Then::Refuses(subject, code) => {
            let fault = trial.said_unwell(subject, code).await;
            assert_eq!(fault["needs_restart"], false);
            assert_eq!(trial.speakers[0].say(&trial.client).await.0, Outcome::Refused, "{name}");
            trial.assert_reads().await;
            trial.assert_recovers().await;
        }
        Then::Stops(subject, code) => {
            let fault = trial.said_unwell(subject, code).await;
            assert_eq!(fault["needs_restart"], true);
            trial.assert_reads().await;
            trial.assert_stays_stopped().await;
        }
        Then::Says(subject, code) => {
            trial.said_unwell(subject, code).await;
            trial.speak(3, usize::MAX).await;
            trial.assert_reads().await;
            trial.assert_recovers().await;
        }
        Then::Overcomes(subject, code) => {
            trial.counted(subject, code).await;
            trial.assert_reads().await;
            trial.assert_recovers().await;
        }
        Then::Nothing => {
            // Nobody is told of it, and a checkpoint comes when it likes.
            let what = format!("{name}: the fault to be met");
            eventually(&what, async || (trial.faults.n_met() > 0).then_some(())).await;
            trial.assert_reads().await;
            assert_eq!(trial.client.get("/readyz").await.status, 200, "{name}");
            trial.assert_recovers().await;
        }
    }
    if is_deleted && !matches!(case.then, Then::Stops(..)) {
        let what = format!("{name}: the deleted text to be gone");
        let is_gone = async || trial.files_with("gone.0;").is_empty().then_some(());
        eventually(&what, is_gone).await;
    }
    let n_met = trial.finish().await;
    assert!(n_met > 0, "{name}: the fault was never met");
    println!("{name}: {:?}, met {n_met} times", case.then);
    n_met
}

async fn run_all(of: &str, cases: &[Case]) {
    let mut n_met = 0;
    for case in cases {
        n_met += run(case).await;
    }
    let n = cases.len();
    println!("{n} faults of {of} injected, met {n_met} times, lost: 0, silent: 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wal_that_fails_takes_nothing_away_and_is_told_of() {
    run_all("the WAL", &OF_THE_WAL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_fails_while_it_is_tidied_takes_nothing_away_and_is_told_of() {
    run_all("log.db", &OF_THE_FILE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_or_a_view_that_fails_holds_up_nobody_and_is_told_of() {
    run_all("the witness and the views", &OF_THE_OTHERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_becomes_read_only_is_told_of_and_one_that_is_writable_again_is_used() {
    let mut trial = Trial::start("read-only", 2, &[]).await;
    trial.faults.set(&READ_ONLY);
    trial.speak(50, 2).await;
    trial.said_unwell("log", "read_only").await;
    trial.assert_reads().await;
    trial.assert_recovers().await;
    let n_met = trial.finish().await;
    println!("a read-only disk, met {n_met} times, lost: 0, silent: 0");
    assert!(n_met > 0, "the disk was read-only");
}

/// The index of the WAL grows with every 4,096 pages: then SQLite has written the commit already.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_the_index_of_the_wal_has_no_room_for_is_not_stored() {
    let mut trial = Trial::start("the index of the WAL", 1, &[]).await;
    // Without checkpoints the WAL grows.
    trial.faults.set(&["write log.db 28", "write log.db-shm 28"]);
    trial.speak(4_000, 1).await;
    assert_eq!(trial.speakers[0].n_of(Outcome::Refused), 1);
    assert!(trial.speakers[0].n_of(Outcome::Stored) > 500, "the WAL was large");
    trial.said_unwell("log", "disk_full").await;
    assert_eq!(trial.speakers[0].say(&trial.client).await.0, Outcome::Refused);
    trial.assert_reads().await;
    trial.finish().await;
    println!("an index of the WAL that cannot grow, lost: 0, silent: 0");
}

/// The rebuild of a view, once it has ended: its state, and why.
async fn rebuilt(client: &Client) -> (String, String) {
    eventually("the rebuild to end", async || {
        let list = client.get("/v1/projections").await.expect(200);
        let items = list["items"].as_array().unwrap();
        let rebuild = &items.iter().find(|item| item["name"] == "messages").unwrap()["rebuild"];
        let text = |name: &str| rebuild[name].as_str().unwrap_or_default().to_owned();
        (text("state") != "running").then(|| (text("state"), text("cause")))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_the_disk_refuses_says_why_and_changes_nothing() {
    const REBUILD: &str = "/v1/projections/messages/rebuild";
    let lines = [
        "write messages.db.rebuild 28",
        "write messages.db.rebuild-wal 5",
        "sync messages.db.rebuild 5",
        "create messages.db.rebuild 30",
        "rename messages.db.next 30",
    ];
    for line in lines {
        let mut trial = Trial::start(line, 2, &[]).await;
        trial.faults.set(&[line]);
        trial.client.post(REBUILD, &json!({})).await.expect(202);
        let (state, cause) = rebuilt(&trial.client).await;
        assert_eq!(state, "failed", "{line}");
        assert!(!cause.is_empty(), "{line}");
        trial.speak(5, usize::MAX).await;
        trial.assert_reads().await;
        trial.faults.clear();
        trial.client.post(REBUILD, &json!({})).await.expect(202);
        assert_eq!(rebuilt(&trial.client).await.0, "done", "{line}");
        trial.assert_recovers().await;
        assert!(trial.finish().await > 0, "{line}: the fault was never met");
        println!("{line}: {cause}");
    }
    println!("{} faults of a rebuild injected, lost: 0, silent: 0", lines.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_the_disk_refuses_says_why_and_a_later_one_has_everything() {
    let starts = [
        ("write log.db-wal 28", "cannot use data directory"),
        ("sync log.db-wal 5", "cannot use data directory"),
        ("open log.db 30", "cannot open database"),
        ("open log.db 24", "cannot open database"),
        ("open head 5", "cannot use data directory"),
        ("open messages.db 5", "cannot open the view messages"),
    ];
    for (line, said) in starts {
        let dir = temp_dir("faults-start");
        let faults = FaultFile::new(dir.join("faults"));
        let options = options(&dir, &faults);
        let server = Server::start_well(&options);
        let client = Client::new(server.base_url());
        let mut speaker = Speaker::new(&client, "c0").await;
        for _ in 0..3 {
            assert_eq!(speaker.say(&client).await.0, Outcome::Stored);
        }
        server.kill();
        faults.set(&[line]);
        let refused = Server::start(&options).expect_err(line);
        assert_eq!(refused.status.code(), Some(2), "{line}: {}", refused.stderr);
        assert!(refused.stderr.contains(said), "{line}: {}", refused.stderr);
        assert!(faults.n_met() > 0, "{line}");
        faults.clear();
        let server = Server::start_well(&options);
        let client = Client::new(server.base_url());
        assert_eq!(super::trial::said_in(&client, "c0").await.len(), 3, "{line}");
        println!("{line} at the start: {}", refused.stderr.trim());
    }
    println!("{} faults of the disk injected at the start, lost: 0, silent: 0", starts.len());
}
