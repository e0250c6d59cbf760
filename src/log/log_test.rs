//! The log's contract through its own door: append, refuse, read, follow, reopen.

use scrollback_schema::event::{
    AssistantText, CancelReason, Cancelled, ChatCreated, ChatDeleted, Complete, Origin,
    StreamStarted, UserText,
};
use scrollback_schema::{Body, ChatId, Event, MessageId, Millis, NewEvent, Seq, TurnId};

use super::*;
use crate::clock::Clock;

fn chat(name: &str) -> ChatId {
    ChatId::parse(name).unwrap()
}

fn text(text: &str) -> Event {
    Event::AssistantText(AssistantText { text: text.to_owned() })
}

fn started() -> Event {
    Event::StreamStarted(StreamStarted {
        provider: "external".to_owned(),
        model: None,
        user_message_id: None,
        origin: Origin::External,
    })
}

fn in_turn(turn: &str, event: Event) -> NewEvent {
    let message = MessageId::parse(&format!("m-{turn}")).unwrap();
    NewEvent::of_turn(TurnId::parse(turn).unwrap(), message, event)
}

struct Fixture {
    dir: tempfile::TempDir,
    clock: Clock,
    log: Log,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/target").unwrap();
        let clock = Clock::manual(Millis::new(1_000));
        let log = Log::open(dir.path(), LogOptions::default(), &clock).unwrap();
        Fixture { dir, clock, log }
    }

    async fn reopen(self) -> Fixture {
        self.log.close().await;
        let Fixture { dir, clock, log } = self;
        drop(log);
        let log = Log::open(dir.path(), LogOptions::default(), &clock).unwrap();
        Fixture { dir, clock, log }
    }

    async fn append(&self, name: &str, events: Vec<NewEvent>) -> Result<Appended, AppendError> {
        self.log.append(Append::new(chat(name), events).unwrap()).await
    }

    async fn create(&self, name: &str) -> Seq {
        let created = NewEvent::of_chat(Event::ChatCreated(ChatCreated::default()));
        self.append(name, vec![created]).await.unwrap().first_seq
    }

    async fn lease(&self, name: &str, turn: &str) -> Lease {
        let mut append = Append::new(chat(name), vec![in_turn(turn, started())]).unwrap();
        append.lease_ms = Some(5_000);
        self.log.append(append).await.unwrap().lease.unwrap()
    }

    async fn produce(
        &self,
        name: &str,
        token: &str,
        n: u64,
        events: Vec<Event>,
    ) -> Result<Appended, AppendError> {
        let events = events.into_iter().map(NewEvent::of_chat).collect();
        let mut append = Append::new(chat(name), events).unwrap();
        append.claim = Claim::Lease { token: token.to_owned(), first_number: n };
        self.log.append(append).await
    }

    async fn all(&self, scope: &Scope) -> Vec<(u64, String)> {
        let (mut after, mut out) = (Seq::ZERO, Vec::new());
        while after < self.log.head() {
            let page = self
                .log
                .read(scope, after, Seq::MAX, PageLimits { events: 2, bytes: 64 })
                .await
                .unwrap();
            for section in &page.sections {
                for index in section.events_in(after, page.through) {
                    let recorded = section.recorded(index).unwrap();
                    let what = match recorded.body {
                        Body::Event(Event::AssistantText(p)) => p.text,
                        Body::Event(event) => event.kind().name().to_owned(),
                        Body::Erased { .. } => "erased".to_owned(),
                        _ => "?".to_owned(),
                    };
                    out.push((recorded.seq.get(), format!("{}:{what}", recorded.chat.id)));
                }
            }
            after = page.through;
        }
        out
    }
}

#[tokio::test]
async fn what_was_appended_is_read_back_and_survives_a_reopening() {
    let fixture = Fixture::new();
    fixture.create("a").await;
    fixture.create("b").await;
    let lease = fixture.lease("a", "t1").await;
    fixture.produce("a", &lease.token, 1, vec![text("x"), text("y")]).await.unwrap();
    fixture
        .append(
            "b",
            vec![NewEvent {
                message: Some(MessageId::parse("u1").unwrap()),
                turn: None,
                event: Event::UserText(UserText::default()),
            }],
        )
        .await
        .unwrap();
    let expected =
        ["a:chat_created", "b:chat_created", "a:stream_started", "a:x", "a:y", "b:user_text"];
    let expected: Vec<_> = (1..).zip(expected.map(str::to_owned)).collect();
    assert_eq!(fixture.all(&Scope::All).await, expected);
    let of_a: Vec<_> = expected.iter().filter(|(_, e)| e.starts_with('a')).cloned().collect();
    let scope = Scope::Chat(Seq::new(1).unwrap());
    assert_eq!(fixture.all(&scope).await, of_a);
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.all(&Scope::All).await, expected);
    assert_eq!(fixture.all(&scope).await, of_a);
    let both = Scope::Chats(Arc::new([Seq::new(1).unwrap(), Seq::new(2).unwrap()]));
    assert_eq!(fixture.all(&both).await, expected);
    // The lease is still good after a restart, and its numbers go on.
    fixture.produce("a", &lease.token, 3, vec![text("z")]).await.unwrap();
}

#[tokio::test]
async fn a_refused_append_leaves_the_head_where_it_was() {
    let fixture = Fixture::new();
    fixture.create("a").await;
    let lease = fixture.lease("a", "t1").await;
    let head = fixture.log.head();
    let refused = fixture.append("a", vec![in_turn("t2", started())]).await.unwrap_err();
    assert!(refused.to_string().contains("turn t1 is open"), "{refused}");
    let done = Event::Complete(Complete::default());
    let refused = fixture
        .produce("a", &lease.token, 1, vec![text("x"), done.clone(), text("late")])
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("event 2 (assistant_text)"), "{refused}");
    assert_eq!(fixture.log.head(), head);
    fixture.produce("a", &lease.token, 1, vec![text("x"), done]).await.unwrap();
    let again = fixture.append("a", vec![in_turn("t1", text("y"))]).await.unwrap_err();
    assert!(again.to_string().contains("no turn is open"), "{again}");
    let missing = fixture.append("zz", vec![in_turn("t1", text("y"))]).await.unwrap_err();
    assert!(matches!(missing, AppendError::ChatNotFound { .. }));
}

#[tokio::test]
async fn numbers_make_a_retry_harmless_and_a_takeover_fences() {
    let fixture = Fixture::new();
    fixture.create("a").await;
    let lease = fixture.lease("a", "t1").await;
    let first = fixture.produce("a", &lease.token, 1, vec![text("x"), text("y")]).await.unwrap();
    let head = fixture.log.head();
    let again = fixture.produce("a", &lease.token, 1, vec![text("x"), text("y")]).await.unwrap();
    assert_eq!((again.first_seq, again.last_seq), (first.first_seq, first.last_seq));
    assert_eq!(fixture.log.head(), head);
    let hole = fixture.produce("a", &lease.token, 5, vec![text("z")]).await.unwrap_err();
    assert!(matches!(hole, AppendError::NumberGap { expected: 3 }), "{hole:?}");
    let newer = fixture.log.take_lease(&chat("a"), &TurnId::parse("t1").unwrap()).await.unwrap();
    assert_eq!(newer.epoch, 2);
    let fenced = fixture.produce("a", &lease.token, 3, vec![text("z")]).await.unwrap_err();
    assert!(matches!(fenced, AppendError::LeaseFenced { epoch: 2 }), "{fenced:?}");
    let done = Event::Complete(Complete::default());
    let last = fixture.produce("a", &newer.token, 3, vec![done.clone()]).await.unwrap();
    let retried = fixture.produce("a", &newer.token, 3, vec![done]).await.unwrap();
    assert_eq!(retried.last_seq, last.last_seq);
    let late = fixture.produce("a", &newer.token, 4, vec![text("late")]).await.unwrap_err();
    assert!(matches!(late, AppendError::TurnEnded), "{late:?}");
    let forged = fixture.produce("a", "7.1.AAAA", 1, vec![text("z")]).await.unwrap_err();
    assert!(matches!(forged, AppendError::LeaseInvalid { .. }), "{forged:?}");
}

#[tokio::test]
async fn a_silent_producer_loses_its_turn_and_a_dead_servers_turn_is_closed() {
    let fixture = Fixture::new();
    fixture.create("a").await;
    fixture.lease("a", "t1").await;
    fixture.clock.advance_ms(4_999);
    fixture.log.sweep_leases().await;
    fixture.create("b").await;
    fixture.append("b", vec![in_turn("t9", started())]).await.unwrap();
    assert_eq!(fixture.log.head().get(), 4);
    fixture.clock.advance_ms(1);
    fixture.log.sweep_leases().await;
    fixture.create("c").await;
    let fixture = fixture.reopen().await;
    let mut closed = Vec::new();
    let page =
        fixture.log.read(&Scope::All, Seq::ZERO, Seq::MAX, PageLimits::default()).await.unwrap();
    for section in &page.sections {
        for index in 0..section.len() {
            if let Body::Event(Event::Cancelled(p)) = section.recorded(index).unwrap().body {
                closed.push((section.chat().id.to_string(), p));
            }
        }
    }
    assert_eq!(
        closed,
        [
            ("a".to_owned(), Cancelled { reason: CancelReason::LeaseExpired, duration_ms: 5_000 }),
            ("b".to_owned(), Cancelled { reason: CancelReason::Restart, duration_ms: 1 }),
        ]
    );
}

#[tokio::test]
async fn a_key_gives_the_first_answer_again_and_refuses_another_body() {
    let fixture = Fixture::new();
    let create = |body: u8| {
        let event = NewEvent::of_chat(Event::ChatCreated(ChatCreated::default()));
        let mut append = Append::new(chat("a"), vec![event]).unwrap();
        append.idempotency =
            Some(Idempotency { key: [1; 32], body: [body; 32], receipt: "r".to_owned() });
        append
    };
    let first = fixture.log.append(create(7)).await.unwrap();
    assert_eq!(first.replayed, None);
    let fixture = fixture.reopen().await;
    let again = fixture.log.append(create(7)).await.unwrap();
    assert_eq!((again.first_seq, again.replayed.as_deref()), (first.first_seq, Some("r")));
    let other = fixture.log.append(create(8)).await.unwrap_err();
    assert!(matches!(other, AppendError::IdempotencyMismatch));
}

#[tokio::test]
async fn an_erased_chat_leaves_no_byte_of_its_text() {
    let fixture = Fixture::new();
    fixture.create("a").await;
    fixture.create("b").await;
    let lease = fixture.lease("a", "t1").await;
    let secret = "the-cat-is-called-mistigri";
    let done = Event::Complete(Complete::default());
    for n in 0..50 {
        fixture.produce("a", &lease.token, 1 + n, vec![text(secret)]).await.unwrap();
    }
    fixture.produce("a", &lease.token, 51, vec![done]).await.unwrap();
    let holds = |dir: &Path| {
        std::fs::read_dir(dir).unwrap().any(|file| {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
        })
    };
    assert!(holds(fixture.dir.path()));
    fixture
        .append("a", vec![NewEvent::of_chat(Event::ChatDeleted(ChatDeleted::default()))])
        .await
        .unwrap();
    let entry = fixture.log.find_chat(&chat("a")).await.unwrap().unwrap();
    assert_eq!(fixture.log.unfinished_erasures().unwrap(), std::slice::from_ref(&entry.chat));
    assert_eq!(fixture.log.erase(&entry.chat).await.unwrap(), 53);
    assert!(!holds(fixture.dir.path()));
    assert_eq!(fixture.log.unfinished_erasures().unwrap(), []);
    let seen = fixture.all(&Scope::Chat(entry.chat.created)).await;
    assert_eq!(seen.last().unwrap().1, "a:chat_deleted");
    assert!(seen[..seen.len() - 1].iter().all(|(_, what)| what == "a:erased"), "{seen:?}");
    let gone = fixture.append("a", vec![in_turn("t1", text("y"))]).await.unwrap_err();
    assert!(matches!(gone, AppendError::ChatDeleted { .. }));
}

#[tokio::test]
async fn a_second_opening_is_refused_and_a_lost_tail_is_noticed() {
    let fixture = Fixture::new();
    fixture.create("a").await;
    let refused = Log::open(fixture.dir.path(), LogOptions::default(), &fixture.clock).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    fixture.log.close().await;
    let Fixture { dir, clock, log } = fixture;
    drop(log);
    let (mut witness, _) = witness::Witness::open(&dir.path().join("head")).unwrap();
    witness.note(Seq::new(5).unwrap(), 0).unwrap();
    let lost = Log::open(dir.path(), LogOptions::default(), &clock).unwrap_err();
    assert!(matches!(lost, OpenError::TailLost { .. }), "{lost}");
    let options = LogOptions { accept_lost_tail: true, ..LogOptions::default() };
    Log::open(dir.path(), options, &clock).unwrap();
}

#[tokio::test]
async fn the_tail_pages_waits_and_goes_on() {
    let fixture = Fixture::new();
    let a = fixture.create("a").await;
    let mut tail = Tail::new(&fixture.log, Scope::Chat(a), Seq::ZERO, PageLimits::default());
    assert!(matches!(tail.next().await.unwrap(), Step::Page(page) if page.sections.len() == 1));
    assert!(matches!(tail.next().await.unwrap(), Step::CaughtUp(seq) if seq == a));
    // Another chat does not wake it: the next thing it sees is its own.
    fixture.create("b").await;
    let (step, _) = tokio::join!(tail.next(), fixture.lease("a", "t1"));
    assert!(matches!(step.unwrap(), Step::Page(page) if page.through.get() == 3));
}

#[tokio::test]
async fn a_reader_of_an_owner_is_woken_by_its_chats_alone_and_misses_none() {
    use futures_util::FutureExt as _;
    let (fixture, ann) = (Fixture::new(), Owner::new("ann"));
    let make = async |name: &str, owner: &str| {
        let created = ChatCreated { owner: Some(owner.to_owned()), ..ChatCreated::default() };
        let created = NewEvent::of_chat(Event::ChatCreated(created));
        fixture.append(name, vec![created]).await.unwrap().first_seq
    };
    let say = async |name: &str, message: &str| {
        let said = Event::UserText(UserText { text: "x".to_owned(), ..UserText::default() });
        let message = Some(MessageId::parse(message).unwrap());
        fixture.append(name, vec![NewEvent { message, turn: None, event: said }]).await.unwrap();
    };
    let a = make("a", "ann").await;
    make("b", "bob").await;
    let scope = Scope::Owner(ann.clone());
    let mut wakes = fixture.log.subscribe(&scope);
    assert!(!fixture.log.knows_chats_of(&ann));
    fixture.log.learn_chats_of(&ann, &[a]);
    // Who is to be woken by the first is so before the second is taken.
    say("b", "m1").await;
    say("b", "m2").await;
    assert!(wakes.changed().now_or_never().is_none(), "woken by somebody else's chat");
    make("c", "ann").await;
    wakes.changed().await;
    say("a", "m3").await;
    wakes.changed().await;
    let events = [(1, "a:chat_created"), (5, "c:chat_created"), (6, "a:user_text")];
    let events = events.map(|(seq, what)| (seq, what.to_owned()));
    assert_eq!(fixture.all(&scope).await, events);
    // What came since is in one place; what is older, or forgotten, on disk.
    let page = fixture.log.recent().page(&scope, a, fixture.log.head(), PageLimits::default());
    assert!(page.is_none(), "it was not kept before it was known");
    fixture.log.recent().forget();
    assert_eq!(fixture.all(&scope).await, events);
    drop(wakes);
    assert!(!fixture.log.knows_chats_of(&ann) && fixture.log.recent().chats_of(&ann).is_empty());
}
