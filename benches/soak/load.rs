//! What is asked of the server: producers that write, readers that follow, and pages that are
//! looked at; all of them come back after a kill, and each checks what it gets.
//!
//! A producer knows what was acknowledged, a reader that no seq is left out and none comes twice:
//! a loss ends the program. The text of an event says when it was sent.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use scrollback_schema::Event;
use scrollback_schema::event::{AssistantText, Complete};
use scrollback_test_support::client::{Client, ExternalTurn};
use scrollback_test_support::resources::Times;
use scrollback_test_support::rng::Rng;
use scrollback_test_support::sse::SseReader;
use serde_json::json;
use tokio::task::JoinHandle;

const N_PRODUCERS: usize = 16;
const N_READERS: usize = 8;
const N_LOOKERS: usize = 2;

/// Events of one append, and appends of one turn.
const BATCH: usize = 5;
const APPENDS_OF_A_TURN: usize = 60;

/// Turns of one chat.
const TURNS_OF_A_CHAT: usize = 20;

/// Between two tries while the server is away.
const AWAY: Duration = Duration::from_millis(20);

/// What has happened since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) n_events: u64,
    pub(super) appends: Times,
    pub(super) deliveries: Times,
    pub(super) n_cuts: u64,
}

/// Where producers and readers count.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) began: Instant,
    counted: Mutex<Counted>,
    n_acknowledged: AtomicU64,
}

impl Tally {
    pub(super) fn new(began: Instant) -> Tally {
        Tally { began, counted: Mutex::default(), n_acknowledged: AtomicU64::new(0) }
    }

    /// What has happened since the last call.
    pub(super) fn take(&self) -> Counted {
        std::mem::take(&mut *self.counted.lock().expect("nobody panics while it holds this"))
    }

    fn note(&self, change: impl FnOnce(&mut Counted)) {
        change(&mut self.counted.lock().expect("nobody panics while it holds this"));
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).expect("a run is shorter")
    }
}

/// What all tasks of the load share.
struct Shared {
    base: String,
    tally: Arc<Tally>,
    is_over: AtomicBool,
    /// Microseconds from one append of a producer to its next; 0 is as fast as it goes.
    pace: AtomicU64,
    began: Instant,
}

/// A load that runs.
pub(super) struct Load {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts to drive the server as fast as it goes.
    pub(super) fn start(base: &str, tally: &Arc<Tally>, seed: u64) -> Load {
        let shared = Arc::new(Shared {
            base: base.to_owned(),
            tally: Arc::clone(tally),
            is_over: AtomicBool::new(false),
            pace: AtomicU64::new(0),
            began: Instant::now(),
        });
        let mut tasks = Vec::new();
        for n in 0..N_PRODUCERS {
            tasks.push(tokio::spawn(produce(Arc::clone(&shared), n)));
        }
        for _ in 0..N_READERS {
            tasks.push(tokio::spawn(follow(Arc::clone(&shared))));
        }
        for n in 0..N_LOOKERS {
            tasks.push(tokio::spawn(look(Arc::clone(&shared), Rng::new(seed + n as u64))));
        }
        Load { shared, tasks }
    }

    /// Goes on with half of what it did so far.
    pub(super) fn slow_down(&self) {
        let n_appends = self.shared.tally.n_acknowledged.load(Ordering::Relaxed) / BATCH as u64;
        let of_one = (n_appends / N_PRODUCERS as u64).max(1);
        let micros = u64::try_from(self.shared.began.elapsed().as_micros()).expect("it just began");
        self.shared.pace.store(2 * micros / of_one, Ordering::Relaxed);
    }

    /// Ends it; how many events were acknowledged.
    pub(super) async fn stop(self) -> u64 {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("nothing was lost");
        }
        self.shared.tally.n_acknowledged.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// A moment, while the server is away.
async fn away() {
    let mut pause = tokio::time::interval(AWAY);
    pause.tick().await;
    pause.tick().await;
}

/// Chats, turns and events, one after the other.
async fn produce(shared: Arc<Shared>, n: usize) {
    let api = Client::new(&shared.base);
    let mut n_chats = 0;
    while !shared.is_over() {
        let chat = format!("p{n}-{n_chats}");
        n_chats += 1;
        for _ in 0..TURNS_OF_A_CHAT {
            if shared.is_over() {
                return;
            }
            if let Some(turn) = begin(&shared, &api, &chat).await {
                one_turn(&shared, &api, turn).await;
            }
        }
    }
}

/// Makes a chat if it is not there, and starts a turn in it; `None` if one is still open.
async fn begin(shared: &Shared, api: &Client, chat: &str) -> Option<ExternalTurn> {
    loop {
        let create = api.request(reqwest::Method::POST, "/v1/chats");
        let made = Client::try_send(create.json(&json!({ "chat_id": chat }))).await;
        if made.is_ok_and(|answer| matches!(answer.status, 201 | 409)) {
            break;
        }
        if shared.is_over() {
            return None;
        }
        away().await;
    }
    let body = json!({ "text": "go on", "provider": "external", "lease_ms": 10_000 });
    let start = api.request(reqwest::Method::POST, &format!("/v1/chats/{chat}/turns"));
    let started = Client::try_send(start.json(&body)).await.ok().filter(|a| a.status == 202);
    let Some(answer) = started else {
        away().await;
        return None;
    };
    Some(ExternalTurn::of_answer(&answer.body))
}

/// Appends to a turn, each append until it is acknowledged, and ends it.
async fn one_turn(shared: &Shared, api: &Client, mut turn: ExternalTurn) {
    let mut pace = tokio::time::interval(Duration::from_micros(1));
    for n in 0..=APPENDS_OF_A_TURN {
        let micros = shared.pace.load(Ordering::Relaxed);
        if micros > 0 && pace.period() != Duration::from_micros(micros) {
            pace = tokio::time::interval(Duration::from_micros(micros));
            pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        if micros > 0 {
            pace.tick().await;
        }
        let events = match n {
            APPENDS_OF_A_TURN => vec![Event::Complete(Complete { duration_ms: 1 })],
            _ => (0..BATCH).map(|_| said(shared.tally.micros())).collect(),
        };
        if !acknowledged(shared, api, &turn, &events).await {
            return;
        }
        turn.next_number += events.len() as u64;
    }
}

fn said(micros: u64) -> Event {
    let text = format!("@{micros} and some words that a model may have said at this point ");
    Event::AssistantText(AssistantText { text })
}

/// Whether the events are stored; not if the turn has ended, as it does if its producer is late.
async fn acknowledged(
    shared: &Shared,
    api: &Client,
    turn: &ExternalTurn,
    events: &[Event],
) -> bool {
    loop {
        let began = Instant::now();
        let request = api.append_request(turn, turn.next_number, events);
        match Client::try_send(request).await {
            Ok(answer) if answer.status == 200 => {
                shared.tally.n_acknowledged.fetch_add(events.len() as u64, Ordering::Relaxed);
                shared.tally.note(|counted| {
                    counted.n_events += events.len() as u64;
                    counted.appends.add(began.elapsed());
                });
                return true;
            }
            Ok(answer) if answer.status == 409 => {
                let code = answer.body["code"].as_str().unwrap_or_default();
                assert_ne!(code, "number_gap", "acknowledged events are gone: {}", answer.body);
                return false;
            }
            Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.body),
            Err(_) => {}
        }
        if shared.is_over() {
            return false;
        }
        away().await;
    }
}

/// Follows every chat, and comes back after each cut: no seq is left out and none comes twice.
async fn follow(shared: Arc<Shared>) {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/v1/stream", shared.base);
    let mut cursor = 0;
    while !shared.is_over() {
        let request = http.get(&url).header("last-event-id", cursor);
        let Ok(response) = request.send().await else {
            away().await;
            continue;
        };
        if response.status() != 200 {
            away().await;
            continue;
        }
        let mut reader = SseReader::of(response);
        let mut ticks = tokio::time::interval(Duration::from_millis(500));
        loop {
            tokio::select! {
                frame = reader.frame() => {
                    let Some(frame) = frame else { break };
                    if frame.is_data() {
                        let seq = frame.id.expect("an event has a seq");
                        assert_eq!(seq, cursor + 1, "a reader was given seq {seq} after {cursor}");
                        cursor = seq;
                        delivered(&shared.tally, &frame.data);
                    }
                }
                _ = ticks.tick() => if shared.is_over() { return },
            }
        }
        shared.tally.note(|counted| counted.n_cuts += 1);
    }
}

fn delivered(tally: &Tally, data: &str) {
    let Some((_, rest)) = data.split_once("\"text\":\"@") else { return };
    let Some((micros, _)) = rest.split_once(' ') else { return };
    let sent: u64 = micros.parse().expect("a number was written there");
    let time = Duration::from_micros(tally.micros().saturating_sub(sent));
    tally.note(|counted| counted.deliveries.add(time));
}

/// Looks at pages, as people do.
async fn look(shared: Arc<Shared>, mut rng: Rng) {
    let api = Client::new(&shared.base);
    let mut pace = tokio::time::interval(Duration::from_millis(200));
    while !shared.is_over() {
        pace.tick().await;
        let chat = format!("p{}-0", rng.below(N_PRODUCERS));
        let path = match rng.below(5) {
            0 => "/v1/chats?limit=50".to_owned(),
            1 => "/v1/chats?q=words&limit=20".to_owned(),
            2 => format!("/v1/chats/{chat}/messages?limit=20"),
            3 => format!("/v1/chats/{chat}/status"),
            _ => "/metrics".to_owned(),
        };
        // A page of a server that is away, or of a chat that is not there yet.
        let Ok(answer) = Client::try_send(api.request(reqwest::Method::GET, &path)).await else {
            away().await;
            continue;
        };
        assert!(matches!(answer.status, 200 | 404 | 503), "{path}: {}", answer.body);
    }
}
