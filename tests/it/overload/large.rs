//! Many chats, and a chat with many events: what a page costs does not grow with what is behind it.

use std::time::Duration;

use futures_util::StreamExt as _;
use scrollback_schema::Event;
use scrollback_schema::event::{AssistantText, Complete};
use scrollback_test_support::client::Client;
use scrollback_test_support::resources::{Times, memory_bytes};
use scrollback_test_support::rounds::rounds;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::sse::{Resume, SseReader};
use scrollback_test_support::wait::{eventually, within};
use serde_json::Value;

use super::room::Room;

/// What a person notices: a page that takes longer is not good enough, even on a busy machine.
const NOTICED: Duration = Duration::from_millis(1_500);

/// Asks for a page again and again; how long each took, and the last answer.
async fn timed(api: &Client, path: &str) -> (Times, Value) {
    let (mut times, mut last) = (Times::default(), Value::Null);
    for _ in 0..20 {
        let began = scrollback::clock::monotonic();
        last = api.get(path).await.expect(200);
        times.add(began.elapsed());
    }
    assert!(times.percentile(50) < NOTICED, "{path}: {times}");
    (times, last)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_chats_are_listed_found_streamed_and_opened_again() {
    /// Created, a question, a start, an answer, its end.
    const EVENTS_OF_A_CHAT: usize = 5;
    let n_chats = rounds().scale(4_000).min(100_000);
    let room = Room::new("overload-chats", "");
    let began = scrollback::clock::monotonic();
    futures_util::stream::iter(0..n_chats)
        .for_each_concurrent(64, async |n| {
            let word = if n % 1_000 == 7 { "needle" } else { "straw" };
            let chat = format!("c{n}");
            room.api.create_chat(&chat).await;
            let text = format!("a {word} in a haystack");
            let mut turn = room.api.start_external_turn(&chat, &text).await;
            let said = Event::AssistantText(AssistantText { text: "I see".to_owned() });
            let end = Event::Complete(Complete { duration_ms: 1 });
            room.api.append(&mut turn, &[said, end]).await;
        })
        .await;
    let made = began.elapsed();
    let (listed, page) = timed(&room.api, "/v1/chats?limit=50").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 50);
    let (found, page) = timed(&room.api, "/v1/chats?q=needle&limit=500").await;
    assert_eq!(page["items"].as_array().unwrap().len(), n_chats.div_ceil(1_000).min(500));
    let began = scrollback::clock::monotonic();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = room.api.url("/v1/stream");
    let mut reader = SseReader::open(&http, &url, Resume::Beginning).await.unwrap();
    let mut n_seen = 0;
    while n_seen < EVENTS_OF_A_CHAT * n_chats {
        n_seen += usize::from(reader.frame().await.unwrap().is_data());
    }
    let streamed = began.elapsed();
    let memory = memory_bytes(room.server.pid());
    let Room { server, dir, .. } = room;
    let (options, began) = (
        ServerOptions::new(env!("CARGO_BIN_EXE_scrollback"), server.data()),
        scrollback::clock::monotonic(),
    );
    server.kill();
    let server = Server::start_well(&options);
    let started = began.elapsed();
    let api = Client::new(server.base_url());
    eventually("the list, after the restart", async || {
        (api.get("/v1/chats?limit=1").await.status == 200).then_some(())
    })
    .await;
    let ready = began.elapsed();
    println!(
        "chats: {n_chats} made in {made:.1?}; list {listed}; search {found}; all streamed in \
         {streamed:.1?}; memory {} MiB; after a kill it listens in {started:.1?}, lists in \
         {ready:.1?}",
        memory >> 20
    );
    assert!(ready < Duration::from_secs(15), "it takes {ready:?} to be back");
    drop((server, dir));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_with_many_events_opens_like_any_other() {
    const BATCH: usize = 1_000;
    let n_events = rounds().scale(40_000).min(1_000_000);
    let room = Room::new("overload-long", "");
    room.api.create_chat("c").await;
    let mut turn = room.api.start_external_turn("c", "go").await;
    let events: Vec<Event> = (0..BATCH)
        .map(|n| Event::AssistantText(AssistantText { text: format!("{n:>7} ") }))
        .collect();
    let began = scrollback::clock::monotonic();
    for _ in 0..n_events / BATCH {
        room.api.append(&mut turn, &events).await;
    }
    let appended = began.elapsed();
    eventually("the views", async || {
        let status = room.api.get("/v1/chats/c/status").await;
        (status.status == 200).then_some(())
    })
    .await;
    let (status, _) = timed(&room.api, "/v1/chats/c/status").await;
    let head = room.api.head("c").await;
    let last = head - 50;
    let (tail, page) = timed(&room.api, &format!("/v1/chats/c/events?after_seq={last}")).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 50);
    let (first, _) = timed(&room.api, "/v1/chats/c/events?after_seq=0&limit=50").await;
    let began = scrollback::clock::monotonic();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = room.api.url("/v1/chats/c/stream");
    let mut reader = SseReader::open(&http, &url, Resume::After(last)).await.unwrap();
    within("the end of the chat", reader.named("caught_up")).await;
    let resumed = began.elapsed();
    let began = scrollback::clock::monotonic();
    let mut reader = SseReader::open(&http, &url, Resume::Beginning).await.unwrap();
    let mut n_seen = 0;
    while n_seen < n_events {
        n_seen += usize::from(reader.frame().await.unwrap().is_data());
    }
    let replayed = began.elapsed();
    println!(
        "one chat: {n_events} events appended in {appended:.1?}; status {status}; its end {tail}; \
         its beginning {first}; resumed at its end in {resumed:.1?}; all replayed in \
         {replayed:.1?}; memory {} MiB",
        memory_bytes(room.server.pid()) >> 20
    );
    assert!(resumed < NOTICED, "a reader near the end waits {resumed:?}");
}
