//! The workers through their own door: catch up, heal, forget.

use scrollback_projections::message::Messages;
use scrollback_projections::{MessageKey, Projection, Touch};
use scrollback_schema::{ChatRef, Millis};
use scrollback_test_support::sample::{self, CHAT, chat_id, every_kind};
use scrollback_test_support::wait::eventually;
use scrollback_test_support::workload::{Step, Workload};
use serde_json::Value;

use super::*;
use crate::log::{Append, LogOptions, Scope};
use crate::read_model::{
    ChatFilter, ChatsQuery, MessagesQuery, ReadModel, SearchPage, SearchQuery,
};

pub(super) struct Fixture {
    pub(super) dir: tempfile::TempDir,
    clock: Clock,
    pub(super) log: Log,
    pub(super) projector: Projector,
}

fn start(dir: &Path, clock: &Clock) -> (Log, Projector) {
    let log = Log::open(dir, LogOptions::default(), clock).unwrap();
    let projector = Projector::open(dir, &log, clock).unwrap();
    (log, projector)
}

impl Fixture {
    pub(super) fn new() -> Fixture {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/target").unwrap();
        let clock = Clock::manual(Millis::new(1_790_000_000_000));
        let (log, projector) = start(dir.path(), &clock);
        Fixture { dir, clock, log, projector }
    }

    pub(super) async fn close(self) -> tempfile::TempDir {
        self.projector.close().await;
        self.log.close().await;
        self.dir
    }

    /// Closes everything, lets `between` do something to the files, and starts again.
    pub(super) async fn restart(self, between: impl FnOnce(&Path)) -> Fixture {
        let clock = self.clock.clone();
        let dir = self.close().await;
        between(dir.path());
        let (log, projector) = start(dir.path(), &clock);
        Fixture { dir, clock, log, projector }
    }

    pub(super) async fn append(&self, steps: Vec<Step>) {
        for step in steps {
            self.clock.advance_ms(1);
            self.log.append(Append::new(step.chat, step.events).unwrap()).await.unwrap();
        }
    }

    pub(super) async fn caught_up(&self) {
        for view in self.projector.views().all() {
            let head = self.log.head();
            assert!(
                view.wait_until(Duration::from_secs(30), |position| position.seen >= head).await,
                "{} gets to the head: {:?}",
                view.name(),
                self.projector.status()
            );
        }
    }

    pub(super) fn reads(&self) -> ReadModel {
        ReadModel::new(&self.projector)
    }

    pub(super) async fn chat(&self, name: &str) -> ChatRef {
        self.log.find_chat(&chat_id(name)).await.unwrap().unwrap().chat
    }

    pub(super) fn view_path(&self, name: &'static str) -> PathBuf {
        Names::new(self.dir.path(), name).live(0)
    }
}

/// The messages of a chat as a fold from the beginning has them at `at`, ascending.
pub(super) fn replayed(log: &Log, chat: Seq, at: Seq) -> Vec<Value> {
    let mut rows: Vec<(MessageKey, Option<_>)> = Vec::new();
    let page = log.page(&Scope::Chat(chat), Seq::ZERO, at, PAGE).unwrap();
    for section in &page.sections {
        for index in section.events_in(Seq::ZERO, at) {
            let event = section.recorded(index).unwrap();
            match Messages::touches(&event) {
                Touch::Row(key) => {
                    let at = rows.iter().position(|(known, _)| *known == key);
                    let at = at.unwrap_or_else(|| {
                        rows.push((key, None));
                        rows.len() - 1
                    });
                    Messages::apply(&mut rows[at].1, &event).unwrap();
                }
                Touch::Chat => rows.clear(),
                Touch::Nothing => {}
            }
        }
    }
    let shown = rows.iter().flat_map(|(_, row)| row);
    shown.map(|message| serde_json::to_value(message.view()).unwrap()).collect()
}

fn values(items: &[Box<serde_json::value::RawValue>]) -> Vec<Value> {
    items.iter().map(|item| serde_json::from_str(item.get()).unwrap()).collect()
}

pub(super) async fn all_messages(
    reads: &ReadModel,
    chat: &ChatRef,
    at_seq: Option<Seq>,
) -> (Vec<Value>, Seq) {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let query = MessagesQuery { cursor, limit: 2, at_seq };
        let page = reads.messages(chat, query).await.unwrap();
        assert!(page.items.len() <= 2);
        all.splice(0..0, values(&page.items));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return (all, page.as_of_seq);
        }
    }
}

async fn found(reads: &ReadModel, text: &str) -> SearchPage {
    let filter = ChatFilter::default();
    let query = SearchQuery { text: text.to_owned(), filter, cursor: None, limit: 10 };
    reads.search(query).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_at_any_seq_are_what_a_replay_gives() {
    let fixture = Fixture::new();
    fixture.append(every_kind()).await;
    fixture.caught_up().await;
    let (reads, chat) = (fixture.reads(), fixture.chat(CHAT).await);
    for at in 1..=fixture.log.head().get() {
        let at = Seq::new(at).unwrap();
        let (shown, as_of) = all_messages(&reads, &chat, Some(at)).await;
        assert_eq!(as_of, at);
        assert_eq!(shown, replayed(&fixture.log, chat.created, at), "at {at}");
    }
    let (shown, as_of) = all_messages(&reads, &chat, None).await;
    assert_eq!(as_of, fixture.log.head());
    assert_eq!(shown, replayed(&fixture.log, chat.created, as_of));
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_never_stale_while_the_log_grows() {
    let fixture = Fixture::new();
    let mut workload = Workload::new(7, "w", 5);
    let reads = fixture.reads();
    for _ in 0..400 {
        let step = workload.step();
        let name = step.chat.clone();
        fixture.append(vec![step]).await;
        let chat = fixture.log.find_chat(&name).await.unwrap().unwrap();
        let head = fixture.log.head();
        let snapshot = reads.snapshot(&chat.chat).await.unwrap();
        assert!(snapshot.as_of_seq >= head);
        assert_eq!(snapshot.chat.is_none(), chat.deleted.is_some());
        let messages = values(&snapshot.messages);
        let mut expected = replayed(&fixture.log, chat.chat.created, snapshot.as_of_seq);
        expected.drain(..expected.len() - messages.len());
        assert_eq!(messages, expected);
        let status = reads.status(&chat.chat).await.unwrap();
        assert_eq!((status.head_seq, status.last_seq), (head, head));
    }
    let query = ChatsQuery { filter: ChatFilter::default(), cursor: None, limit: 500 };
    let listed = values(&reads.chats(query).await.unwrap().items);
    let mut ids: Vec<&str> = listed.iter().map(|chat| chat["id"].as_str().unwrap()).collect();
    let mut activity: Vec<&str> =
        listed.iter().map(|chat| chat["last_activity_at"].as_str().unwrap()).collect();
    assert!(activity.is_sorted_by(|a, b| a >= b), "{activity:?}");
    ids.sort_unstable();
    let mut expected: Vec<&str> = workload.chat_ids().map(|id| id.as_str()).collect();
    expected.sort_unstable();
    activity.dedup();
    assert_eq!(ids, expected);
    assert_eq!(activity.len(), ids.len());
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_where_it_was() {
    let fixture = Fixture::new();
    fixture.append(every_kind()).await;
    fixture.caught_up().await;
    let head = fixture.log.head();
    let fixture = fixture.restart(|_| {}).await;
    for status in fixture.projector.status() {
        assert_eq!((status.checkpoint, status.lag_events, status.lag_ms), (head, 0, 0));
        assert_eq!((status.health, status.parked), (Health::Working, vec![]));
    }
    let chat = fixture.chat(CHAT).await;
    let (shown, _) = all_messages(&fixture.reads(), &chat, None).await;
    assert_eq!(shown, replayed(&fixture.log, chat.created, head));
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_good_is_made_anew_at_start() {
    let mut fixture = Fixture::new();
    fixture.append(every_kind()).await;
    fixture.caught_up().await;
    type Damage = fn(&Path);
    let damages: Vec<(&str, Damage)> = vec![
        ("missing", |path| remove_db(path).unwrap()),
        ("no database", |path| std::fs::write(path, "not a database at all").unwrap()),
        ("empty", |path| std::fs::write(path, "").unwrap()),
        ("truncated", |path| {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        }),
        ("overwritten", |path| {
            let mut bytes = std::fs::read(path).unwrap();
            bytes[4096..].fill(0xff);
            std::fs::write(path, bytes).unwrap();
        }),
        ("outdated", |path| change(path, "UPDATE state SET version = version + 1")),
        ("foreign", |path| change(path, "UPDATE state SET log_id = 'another'")),
        ("ahead", |path| change(path, "UPDATE state SET checkpoint = 1000000")),
        ("without a table", |path| change(path, "DROP TABLE parked")),
    ];
    for (what, damage) in damages {
        for view in ["messages", "chats", "search", "chat_events"] {
            let path = fixture.view_path(view);
            fixture = fixture.restart(|_| damage(&path)).await;
            fixture.caught_up().await;
            let (reads, chat) = (fixture.reads(), fixture.chat(CHAT).await);
            let (shown, head) = all_messages(&reads, &chat, None).await;
            assert_eq!(shown, replayed(&fixture.log, chat.created, head), "{view} {what}");
            assert_eq!(found(&reads, "ferns hostas").await.items.len(), 1, "{view} {what}");
            assert!(reads.chat(&chat).await.unwrap().chat.is_some(), "{view} {what}");
        }
    }
    fixture.close().await;
}

pub(super) fn change(path: &Path, sql: &str) {
    let db = crate::sqlite::open_view_writer(path).unwrap();
    db.execute_batch(sql).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_a_reader_finds_is_healed() {
    let fixture = Fixture::new();
    fixture.append(every_kind()).await;
    fixture.caught_up().await;
    change(&fixture.view_path("messages"), "DROP TABLE message_chunk");
    let (reads, chat) = (fixture.reads(), fixture.chat(CHAT).await);
    let query = MessagesQuery { cursor: None, limit: 50, at_seq: None };
    let error = reads.messages(&chat, query).await.unwrap_err();
    assert!(matches!(error, crate::read_model::ReadModelError::Damaged { .. }), "{error:?}");
    let page =
        eventually("the view is healed", || async { reads.messages(&chat, query).await.ok() })
            .await;
    let head = fixture.log.head();
    assert_eq!(values(&page.items), replayed(&fixture.log, chat.created, head));
    // The old file is gone, the new one gets the plain name at the next start.
    let names = Names::new(fixture.dir.path(), "messages");
    eventually("the damaged file is gone", || async {
        (names.live_files().unwrap().len() == 1).then_some(())
    })
    .await;
    drop(reads);
    let fixture = fixture.restart(|_| {}).await;
    assert_eq!(names.live_files().unwrap()[0].0, 0);
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_finds_what_was_said_before_it_was_asked() {
    let fixture = Fixture::new();
    let reads = fixture.reads();
    fixture.append(every_kind()).await;
    let page = found(&reads, "shade").await;
    assert!(page.as_of_seq >= fixture.log.head());
    let hits: Vec<(&str, &str)> =
        page.items.iter().map(|hit| (hit.message_id.as_str(), hit.chat.id.as_str())).collect();
    assert_eq!(hits, [("u1", CHAT)]);
    assert_eq!(page.items[0].snippet, "What can I plant\nin the shade?");
    assert_eq!(found(&reads, "\"ferns and\"").await.items.len(), 1);
    assert_eq!(found(&reads, "\"and ferns\"").await.items.len(), 0);
    assert_eq!(found(&reads, "xyzzy").await.items.len(), 0, "its chat was deleted");
    let filter = ChatFilter { owner: Some("somebody else".to_owned()), only: None };
    let query = SearchQuery { text: "shade".to_owned(), filter, cursor: None, limit: 10 };
    assert_eq!(reads.search(query).await.unwrap().items.len(), 0);
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_chat_leaves_no_byte_in_any_file() {
    let fixture = Fixture::new();
    let secret = "plugh-93417";
    let mut steps = every_kind();
    let tombstone = steps.pop().unwrap();
    let name = tombstone.chat.clone();
    let in_secret = |events| Step { chat: name.clone(), events };
    steps.push(in_secret(vec![sample::started(
        "t1",
        "a1",
        scrollback_schema::event::Origin::User,
    )]));
    for n in 0..500 {
        let text = sample::text(&format!("{secret} number {n} and some more words to fill it, "));
        steps.push(in_secret(sample::of_turn("t1", "a1", vec![text])));
    }
    let queued = scrollback_schema::event::MessageQueued {
        queued_message_id: "q".parse().unwrap(),
        content: secret.to_owned(),
        attachments: vec![],
        provider: None,
        model: None,
    };
    let queued = scrollback_schema::Event::MessageQueued(queued);
    steps.push(in_secret(vec![scrollback_schema::NewEvent::of_chat(queued)]));
    let renamed = scrollback_schema::event::ChatUpdated {
        title: scrollback_schema::event::Patch::Set(secret.to_owned()),
        metadata: scrollback_schema::event::Patch::Keep,
    };
    let renamed = scrollback_schema::Event::ChatUpdated(renamed);
    steps.push(in_secret(vec![scrollback_schema::NewEvent::of_chat(renamed)]));
    steps.push(in_secret(sample::of_turn("t1", "a1", vec![sample::complete()])));
    fixture.append(steps).await;
    fixture.caught_up().await;
    assert!(!found(&fixture.reads(), secret).await.items.is_empty());
    assert_ne!(files_with(fixture.dir.path(), secret), Vec::<PathBuf>::new());
    std::fs::write(fixture.dir.path().join("views/messages.db.rebuild"), secret).unwrap();

    fixture.append(vec![tombstone]).await;
    let chat = fixture.chat(name.as_str()).await;
    fixture.log.erase(&chat).await.unwrap();
    fixture.projector.settle(fixture.log.head()).await.unwrap();
    for part in [secret, "plugh", "93417"] {
        assert_eq!(files_with(fixture.dir.path(), part), Vec::<PathBuf>::new());
    }
    assert!(found(&fixture.reads(), secret).await.items.is_empty());
    assert!(fixture.reads().chat(&chat).await.unwrap().chat.is_none());
    fixture.close().await;
}

fn files_with(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path);
        }
    }
    found
}
