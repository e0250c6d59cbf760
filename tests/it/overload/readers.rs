//! Readers in numbers: many that wait, and many that never read, beside a few that are watched.

use std::sync::Arc;
use std::time::{Duration, Instant};

use scrollback_schema::Event;
use scrollback_schema::event::AssistantText;
use scrollback_test_support::client::ExternalTurn;
use scrollback_test_support::resources::{Times, memory_bytes};
use scrollback_test_support::rounds::rounds;
use scrollback_test_support::wait::{eventually, within};
use tokio::io::AsyncReadExt as _;
use tokio::sync::Mutex;

use super::room::{Raw, Room};

/// Readers whose delivery is measured.
const N_WATCHED: usize = 8;

/// Stands before the number of each event in its text.
const MARK: &[u8] = b"@@";

/// When each event was sent, by its number.
type Sent = Arc<Mutex<Vec<Instant>>>;

/// A chat with one producer and a few readers that are watched.
struct Watched {
    turn: ExternalTurn,
    sent: Sent,
    readers: Vec<tokio::task::JoinHandle<Times>>,
}

impl Watched {
    /// `n_events` will be sent, and then the turn ends.
    async fn new(room: &Room, chat: &str, n_events: usize) -> Watched {
        room.api.create_chat(chat).await;
        let turn = room.api.start_external_turn(chat, "go").await;
        let sent = Sent::default();
        let mut readers = Vec::new();
        for _ in 0..N_WATCHED {
            let raw = open(room, &format!("/v1/chats/{chat}/stream")).await;
            readers.push(tokio::spawn(watch(raw, Arc::clone(&sent), n_events)));
        }
        Watched { turn, sent, readers }
    }

    /// Sends `n_events`, of `bytes` each, at a steady pace.
    async fn send(&mut self, room: &Room, n_events: usize, bytes: usize, pace: Duration) {
        let mut pace = tokio::time::interval(pace);
        for _ in 0..n_events {
            pace.tick().await;
            let mut text = "x".repeat(bytes);
            text.push_str("@@");
            let event = Event::AssistantText(AssistantText { text });
            self.sent.lock().await.push(scrollback::clock::monotonic());
            room.api.append(&mut self.turn, &[event]).await;
        }
    }

    /// The times from a call to the receipt, of all readers.
    async fn times(self) -> Times {
        let mut times = Times::default();
        for reader in self.readers {
            times.extend(&within("a reader to have everything", reader).await.unwrap());
        }
        times
    }
}

/// Opens a stream and waits for its head.
async fn open(room: &Room, path: &str) -> Raw {
    begin(room.connect().await, path).await
}

/// Asks for a stream and waits for its head.
async fn begin(mut raw: Raw, path: &str) -> Raw {
    raw.send("GET", path, "").await;
    let mut start = [0; 12];
    within("a head", raw.0.read_exact(&mut start)).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    raw
}

/// Reads so many marked events; how long each was under way.
async fn watch(mut raw: Raw, sent: Sent, n_events: usize) -> Times {
    let (mut times, mut bytes, mut n_seen) = (Times::default(), Vec::new(), 0);
    while n_seen < n_events {
        let n = raw.0.read_buf(&mut bytes).await.unwrap();
        assert!(n > 0, "a watched stream is not cut");
        while let Some(at) = memchr::memmem::find(&bytes, MARK) {
            times.add(sent.lock().await[n_seen].elapsed());
            n_seen += 1;
            bytes.drain(..at + MARK.len());
        }
        // A mark that is cut by the end of a read is found with the next one.
        let kept = bytes.len().min(MARK.len() - 1);
        bytes.drain(..bytes.len() - kept);
    }
    times
}

/// Not slower than this beside the crowd, given what it was without: a factor for a busy machine,
/// and a little for one whose times are near nothing.
fn assert_not_slowed(alone: &Times, beside: &Times) {
    let (alone_p50, beside_p50) = (alone.percentile(50), beside.percentile(50));
    let bound = 3 * alone_p50 + Duration::from_millis(20);
    assert!(beside_p50 <= bound, "p50 went from {alone_p50:?} to {beside_p50:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_idle_readers_cost_little_and_slow_nobody() {
    const N_EVENTS: usize = 200;
    let n_idle = rounds().scale(1_000).min(10_000);
    let room = Room::new("overload-idle", "");
    let pace = Duration::from_millis(10);
    let mut watched = Watched::new(&room, "alone", N_EVENTS).await;
    watched.send(&room, N_EVENTS, 60, pace).await;
    let alone = watched.times().await;
    room.api.create_chat("quiet").await;
    let before = memory_bytes(room.server.pid());
    let mut idle = Vec::new();
    for _ in 0..n_idle {
        idle.push(open(&room, "/v1/chats/quiet/stream?after_seq=0").await);
    }
    eventually("all readers to be counted", async || {
        (room.metric("scrollback_readers ").await >= n_idle as f64).then_some(())
    })
    .await;
    let mut watched = Watched::new(&room, "beside", N_EVENTS).await;
    watched.send(&room, N_EVENTS, 60, pace).await;
    let beside = watched.times().await;
    let grown = memory_bytes(room.server.pid()).saturating_sub(before);
    let of_one = grown / n_idle as u64;
    println!(
        "idle readers: {n_idle}, {of_one} bytes each; delivery alone {alone}; beside them {beside}"
    );
    assert!(of_one < 32 << 10, "an idle reader costs {of_one} bytes");
    assert_not_slowed(&alone, &beside);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_never_read_cost_a_bounded_memory_and_slow_nobody() {
    const N_EVENTS: usize = 100;
    const EVENT_BYTES: usize = 64 << 10;
    let n_stuck = rounds().scale(100).min(1_000);
    let room = Room::new("overload-stuck", "");
    let pace = Duration::from_millis(20);
    let mut watched = Watched::new(&room, "alone", N_EVENTS).await;
    watched.send(&room, N_EVENTS, EVENT_BYTES, pace).await;
    let alone = watched.times().await;
    let mut stuck = Vec::new();
    for _ in 0..n_stuck {
        // All that was and will be said in any chat: far more than sockets hold.
        let raw = Raw::connect_narrow(room.address()).await;
        stuck.push(begin(raw, "/v1/stream?after_seq=0").await);
    }
    // Each has got what fits into its socket by now, and the next page waits for it.
    let mut watched = Watched::new(&room, "beside", 3 * N_EVENTS).await;
    watched.send(&room, N_EVENTS, EVENT_BYTES, pace).await;
    let filled = memory_bytes(room.server.pid());
    watched.send(&room, 2 * N_EVENTS, EVENT_BYTES, pace).await;
    let grown = memory_bytes(room.server.pid()).saturating_sub(filled);
    let beside = watched.times().await;
    println!(
        "readers that never read: {n_stuck}; memory {} MiB, and {} MiB more after {} MiB of \
         further events; delivery alone {alone}; beside them {beside}",
        filled >> 20,
        grown >> 20,
        (2 * N_EVENTS * EVENT_BYTES) >> 20,
    );
    // What is kept for live readers and for the views may still fill up; their lag may not.
    assert!(grown < 96 << 20, "memory grew by {grown} bytes beside readers that do not read");
    assert_not_slowed(&alone, &beside);
    eventually("those that never read to be all that is left", async || {
        (room.metric("scrollback_readers ").await as usize == n_stuck).then_some(())
    })
    .await;
    drop(stuck);
}
