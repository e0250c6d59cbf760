//! Bounded admission: whoever is beyond a limit gets 503 and `retry-after`, and nothing of its call
//! is done.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use scrollback_schema::Event;
use scrollback_schema::event::AssistantText;
use scrollback_test_support::client::{Client, ExternalTurn};
use scrollback_test_support::resources::Times;
use scrollback_test_support::rounds::rounds;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::wait::{eventually, within};
use serde_json::Value;

use super::room::{Raw, Room};
use crate::fixture::{assert_whole, temp_dir};

/// A request that was let in, and that waits for its body.
async fn begun(room: &Room, path: &str) -> Raw {
    eventually("room for a request", async || {
        let mut raw = room.connect().await;
        raw.head_with("POST", path, 30, "expect: 100-continue\r\n").await;
        (raw.status().await == 100).then_some(raw)
    })
    .await
}

/// Asks until there is an answer that is no refusal for want of room.
async fn let_in(room: &Room, method: &str, path: &str, body: &str) -> u16 {
    eventually("room for a request", async || {
        let mut raw = room.connect().await;
        raw.send(method, path, body).await;
        let status = raw.answer().await.status;
        (status != 503).then_some(status)
    })
    .await
}

/// Opens a stream until it is let in.
async fn stream_let_in(room: &Room, path: &str) -> Raw {
    eventually("room for a stream", async || {
        let mut raw = room.connect().await;
        raw.send("GET", path, "").await;
        (raw.status().await == 200).then_some(raw)
    })
    .await
}

/// Asks until the server says that it is full.
async fn refused(room: &Room, method: &str, path: &str, body: &str) -> u64 {
    eventually("a refusal", async || {
        let mut raw = room.connect().await;
        raw.send(method, path, body).await;
        let came = raw.try_answer().await?;
        (came.status == 503).then(|| {
            assert_eq!(came.code(), "overloaded");
            came.retry_after()
        })
    })
    .await
}

#[tokio::test]
async fn a_write_beyond_the_limit_is_refused_and_nothing_of_it_is_done() {
    let room = Room::new("overload-writes", "[limits]\nwrites_max = 1");
    room.api.create_chat("c").await;
    let turn = room.api.start_external_turn("c", "go").await;
    let head = room.api.head("c").await;
    let held = begun(&room, "/v1/chats").await;
    let append = format!(
        "{{\"lease\":\"{}\",\"first_number\":1,\"events\":[{{\"kind\":\"assistant_text\",\
         \"payload\":{{\"text\":\"a\"}}}}]}}",
        turn.token
    );
    let (chats, events) = ("/v1/chats", "/v1/chats/c/events");
    // Routed, and by the short way of an append.
    for (path, body) in [(chats, "{\"chat_id\":\"late\"}"), (events, append.as_str())] {
        assert_eq!(refused(&room, "POST", path, body).await, 1);
    }
    assert_eq!(let_in(&room, "GET", "/v1/chats", "").await, 200, "reads go on");
    assert_eq!(room.api.head("c").await, head, "nothing was stored");
    assert_eq!(room.api.get("/v1/chats/late").await.problem(404), "chat_not_found");
    assert!(room.metric("scrollback_refused_total{limit=\"writes\"}").await >= 2.0);
    drop(held);
    assert_eq!(let_in(&room, "POST", events, &append).await, 200);
    assert_eq!(room.api.head("c").await, head + 1);
}

#[tokio::test]
async fn health_is_told_when_there_is_no_room_for_anything_else() {
    let room = Room::new("overload-requests", "[limits]\nrequests_max = 1");
    let _held = begun(&room, "/v1/chats").await;
    assert_eq!(refused(&room, "GET", "/v1/chats", "").await, 1);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(room.api.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_told_so_and_closed() {
    let room = Room::new("overload-connections", "[limits]\nconnections_max = 2");
    let (mut first, mut second) = (room.connect().await, room.connect().await);
    for raw in [&mut first, &mut second] {
        raw.send("GET", "/v1/chats", "").await;
        assert_eq!(raw.answer().await.status, 200);
    }
    let mut third = room.connect().await;
    third.send("POST", "/v1/chats", "{\"chat_id\":\"c\"}").await;
    let came = third.answer().await;
    assert_eq!((came.status, came.retry_after()), (503, 1));
    assert_eq!(came.code(), "overloaded");
    third.closed().await;
    drop(first);
    assert_eq!(let_in(&room, "GET", "/v1/chats/c", "").await, 404, "the refused call did nothing");
}

#[tokio::test]
async fn a_stream_beyond_the_limit_is_refused_until_another_ends() {
    let room = Room::new("overload-streams", "[limits]\nstreams_max = 1\nrequests_max = 1");
    room.api.create_chat("c").await;
    let first = stream_let_in(&room, "/v1/chats/c/stream").await;
    // It does not count as a request any more, or this would be refused as one.
    assert_eq!(let_in(&room, "GET", "/v1/chats/c", "").await, 200);
    for path in ["/v1/chats/c/stream", "/v1/stream"] {
        assert_eq!(refused(&room, "GET", path, "").await, 1);
    }
    drop(first);
    stream_let_in(&room, "/v1/stream").await;
}

#[tokio::test]
async fn bodies_that_are_not_answered_yet_share_their_room() {
    let config = "[limits]\nbody_bytes_max = 100000\nbodies_bytes_max = 100000";
    let room = Room::new("overload-bodies", config);
    let large = format!("{{\"chat_id\":\"large\",\"title\":\"{}\"}}", "x".repeat(90_000));
    let late = format!("{{\"chat_id\":\"late\",\"title\":\"{}\"}}", "x".repeat(50_000));
    // The one that comes first is let in, and it may be the late one.
    let held = eventually("a body that takes the room", async || {
        let mut held = room.connect().await;
        held.head("POST", "/v1/chats", large.len() as u64).await;
        held.write(&large.as_bytes()[..80_000]).await;
        let mut raw = room.connect().await;
        raw.send("POST", "/v1/chats", &late).await;
        (raw.answer().await.status == 503).then_some(held)
    })
    .await;
    assert_eq!(let_in(&room, "GET", "/v1/chats/late", "").await, 404);
    drop(held);
    // A title is shorter than that, but this body is read to its end.
    assert_eq!(let_in(&room, "POST", "/v1/chats", &late).await, 422);
}

#[tokio::test]
async fn a_server_with_too_few_open_files_says_so_and_takes_fewer_connections() {
    let dir = temp_dir("overload-files");
    let script = dir.path().join("with-few-files");
    let text =
        format!("#!/bin/sh\nulimit -n 600\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_scrollback"));
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = ServerOptions::new(script.to_str().unwrap(), &dir.path().join("data"));
    let server = Server::start_well(&options);
    assert!(
        server.stderr().contains(
            "the system allows too few open files for limits.connections_max = 16384; taking 300 \
             connections at once"
        ),
        "{}",
        server.stderr()
    );
    let address = server.base_url().trim_start_matches("http://").to_owned();
    let mut held = Vec::new();
    for _ in 0..300 {
        held.push(Raw::connect(&address).await);
    }
    let mut late = Raw::connect(&address).await;
    late.send("GET", "/v1/chats", "").await;
    assert_eq!(late.answer().await.code(), "overloaded");
    drop(held);
}

const N_PRODUCERS: usize = 48;

/// What one producer of the flood met with.
#[derive(Debug, Default)]
struct Met {
    acknowledged: BTreeSet<u64>,
    n_refused: usize,
    times: Times,
}

/// Appends event after event, each until it is acknowledged.
async fn produce(api: Client, mut turn: ExternalTurn, n_events: usize) -> Met {
    let mut met = Met::default();
    for n in 0..n_events {
        let event = Event::AssistantText(AssistantText { text: format!("{n} ") });
        loop {
            let request = api.append_request(&turn, turn.next_number, std::slice::from_ref(&event));
            let began = scrollback::clock::monotonic();
            let answer = within("an answer", Client::send(request)).await;
            met.times.add(began.elapsed());
            if answer.status == 503 {
                assert_eq!(answer.problem(503), "overloaded");
                met.n_refused += 1;
                continue;
            }
            met.acknowledged.insert(answer.expect(200)["first_seq"].as_u64().unwrap());
            break;
        }
        turn.next_number += 1;
    }
    met
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_tiny_batches_is_refused_in_part_and_loses_nothing() {
    let n_events = rounds().scale(20);
    let room = Room::new("overload-flood", "[limits]\nwrites_max = 1");
    let mut turns = Vec::new();
    for n in 0..N_PRODUCERS {
        let chat = format!("c{n}");
        room.api.create_chat(&chat).await;
        turns.push(room.api.start_external_turn(&chat, "go").await);
    }
    let producers: Vec<_> = turns
        .iter()
        .map(|turn| {
            // Each its own client, or they would share few connections.
            let api = Client::new(room.server.base_url());
            tokio::spawn(produce(api, turn.clone(), n_events))
        })
        .collect();
    let (mut n_refused, mut times) = (0, Times::default());
    for (producer, turn) in producers.into_iter().zip(&turns) {
        let met = producer.await.unwrap();
        assert_eq!(met.acknowledged.len(), n_events);
        let path = format!("/v1/chats/{}/events?kind=assistant_text&limit=1000", turn.chat);
        let page = room.api.get(&path).await.expect(200);
        let seqs = page["items"].as_array().unwrap().iter();
        let seqs: BTreeSet<u64> =
            seqs.map(|event: &Value| event["seq"].as_u64().unwrap()).collect();
        if n_events <= 1_000 {
            assert_eq!(seqs, met.acknowledged, "each once, and no other");
        } else {
            assert!(seqs.is_subset(&met.acknowledged));
        }
        n_refused += met.n_refused;
        times.extend(&met.times);
    }
    let head = room.api.head("c0").await;
    assert_eq!(head, (N_PRODUCERS * (3 + n_events)) as u64, "nothing else was stored");
    assert!(n_refused > 0, "48 producers do not fit into one place");
    println!(
        "flood: {} appends acknowledged, {n_refused} refused, none lost; {times}",
        N_PRODUCERS * n_events
    );
    let Room { server, dir, .. } = room;
    server.stop();
    assert_whole(&dir.path().join("data"));
}
