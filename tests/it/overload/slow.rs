//! Clients that are slow on purpose, or send far too much: cut or refused, at little cost.

use std::time::Duration;

use scrollback_test_support::resources::memory_bytes;
use scrollback_test_support::rounds::rounds;
use scrollback_test_support::wait::{eventually, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::room::{Raw, Room};

/// Between two bytes of a slow client: the pace is the subject here.
const PACE: Duration = Duration::from_millis(50);

/// Bytes of the body that is far too large.
const GIGABYTE: u64 = 1 << 30;

/// Sends a byte at a time until the server cuts the connection; what it answered.
async fn dribble(mut raw: Raw) -> String {
    let (mut reads, mut writes) = raw.0.split();
    let (mut came, mut pace) = (Vec::new(), tokio::time::interval(PACE));
    loop {
        tokio::select! {
            read = reads.read_buf(&mut came) => {
                if read.unwrap_or(0) == 0 {
                    return String::from_utf8(came).unwrap();
                }
            }
            _ = pace.tick() => {
                // A connection that is cut is told by reading.
                let _ = writes.write_all(b"x").await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_come_byte_by_byte_are_cut_and_hold_nobody_up() {
    let n_slow = rounds().scale(200).min(4_000);
    let config = "[limits]\nhead_timeout_ms = 1000\nrequests_max = 8";
    let room = Room::new("overload-slow-heads", config);
    let mut slow = Vec::new();
    for _ in 0..n_slow {
        let mut raw = room.connect().await;
        raw.write(b"POST /v1/chats HTTP/1.1\r\nhost: localhost\r\nx-slow: ").await;
        slow.push(tokio::spawn(dribble(raw)));
    }
    room.api.create_chat("c").await;
    for task in slow {
        within("a slow head to be cut", task).await.unwrap();
    }
    // On a new connection: one that was idle for a second is closed as well.
    let mut raw = room.connect().await;
    raw.send("GET", "/v1/chats/c", "").await;
    assert_eq!(raw.answer().await.status, 200);
    println!("slow-loris: {n_slow} slow heads were cut, a call beside them was answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_come_byte_by_byte_are_refused_and_store_nothing() {
    let n_slow = rounds().scale(100).min(800);
    let config = "[limits]\nbody_timeout_ms = 500\nbody_bytes_per_s_min = 1000";
    let room = Room::new("overload-slow-bodies", config);
    room.api.create_chat("c").await;
    let head = room.api.head("c").await;
    let mut slow = Vec::new();
    for n in 0..n_slow {
        let mut raw = room.connect().await;
        // Routed, and by the short way of an append.
        let path = if n % 2 == 0 { "/v1/chats" } else { "/v1/chats/c/events" };
        raw.head("POST", path, 1_000).await;
        raw.write(b"{\"chat_id\":\"").await;
        slow.push(tokio::spawn(dribble(raw)));
    }
    for task in slow {
        let came = within("a slow body to be refused", task).await.unwrap();
        assert!(came.starts_with("HTTP/1.1 408 "), "{came}");
        assert!(came.contains("\"code\":\"body_too_slow\""), "{came}");
    }
    assert_eq!(room.api.head("c").await, head, "nothing was stored");
    println!("slow-loris: {n_slow} slow bodies were refused with 408, nothing was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_a_gigabyte_is_refused_early_and_costs_no_memory() {
    let room = Room::new("overload-gigabyte", "");
    room.api.create_chat("c").await;
    let before = memory_bytes(room.server.pid());
    let piece = vec![b'x'; 64 << 10];
    for path in ["/v1/chats", "/v1/chats/c/events"] {
        for is_chunked in [false, true] {
            let mut raw = room.connect().await;
            if is_chunked {
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                     transfer-encoding: chunked\r\n\r\n"
                );
                raw.write(head.as_bytes()).await;
            } else {
                raw.head("POST", path, GIGABYTE).await;
            }
            let (mut sent, mut came) = (0, None);
            while sent < GIGABYTE && came.is_none() {
                let chunk = format!("{:x}\r\n", piece.len());
                let parts: [&[u8]; 3] = match is_chunked {
                    true => [chunk.as_bytes(), &piece, b"\r\n"],
                    false => [&piece, b"", b""],
                };
                let mut is_cut = false;
                for part in parts {
                    let write = within("room in the socket", raw.0.write_all(part));
                    is_cut |= write.await.is_err();
                }
                sent += piece.len() as u64;
                let mut peeked = [0; 1];
                let has_answer = raw.0.try_read(&mut []).is_ok() && {
                    let peek = raw.0.peek(&mut peeked);
                    tokio::time::timeout(Duration::ZERO, peek).await.is_ok()
                };
                if has_answer || is_cut {
                    came = Some(raw.answer().await);
                }
            }
            let came = came.expect("the refusal comes before the gigabyte has been sent");
            assert_eq!((came.status, came.code().as_str()), (413, "body_too_large"));
            assert!(sent < 128 << 20, "refused only after {sent} bytes");
        }
    }
    let grown = memory_bytes(room.server.pid()).saturating_sub(before);
    assert!(grown < 128 << 20, "four bodies of a gigabyte cost {grown} bytes");
    println!("gigabyte: four bodies refused with 413, memory grew by {} KiB", grown >> 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_takes_are_given_up_and_make_room() {
    // Long enough for the four to be held at once.
    let config = "[limits]\nanswer_timeout_ms = 6000\nrequests_max = 4";
    let room = Room::new("overload-untaken", config);
    room.api.create_chat("c").await;
    let mut turn = room.api.start_external_turn("c", "go").await;
    let text = "x".repeat(1 << 20);
    for _ in 0..12 {
        let event = scrollback_schema::event::AssistantText { text: text.clone() };
        room.api.append(&mut turn, &[scrollback_schema::Event::AssistantText(event)]).await;
    }
    let mut held = Vec::new();
    for _ in 0..4 {
        // What was asked before may hold its place until the server knows that it was taken.
        let raw = eventually("room for another", async || {
            let mut raw = room.connect().await;
            raw.send("GET", "/v1/chats/c/events", "").await;
            (raw.status().await == 200).then_some(raw)
        });
        held.push(raw.await);
    }
    let mut late = room.connect().await;
    late.send("GET", "/v1/chats/c/status", "").await;
    assert_eq!(late.answer().await.status, 503, "the unread answers take all the room");
    eventually("room, once they are given up", async || {
        (room.api.get("/v1/chats/c/status").await.status == 200).then_some(())
    })
    .await;
    drop(held);
}
