//! Stopping: before it starts, while it waits, while it speaks, at its very end, twice, by anybody.

use scrollback_test_support::wait::eventually;
use serde_json::{Value, json};

use super::room::{Room, n_ends};

const SPEAKS: &str = "pace_ms = 1\n[[step]]\n[step.repeat]\ntimes = 100000\n\
                      [[step.repeat.step]]\nsay = 'word '";
const SETS_UP: &str = "setup_ms = 600000\n[[step]]\nsay = 'a'";

async fn stopped(room: &Room, started: &Value) -> Vec<String> {
    assert_eq!(room.stop(started).await, 202);
    let message = room.ended(started).await;
    assert_eq!(message["stream_status"], "interrupted");
    assert_eq!(message["interrupt_reason"], "user");
    let events = room.events().await;
    assert_eq!(n_ends(&events), 1, "{events:?}");
    assert_eq!(events.iter().filter(|e| *e == "cancel_requested").count(), 1, "{events:?}");
    assert_eq!(events.last().unwrap(), "cancelled user");
    events
}

#[tokio::test]
async fn a_turn_stops_before_its_provider_is_set_up() {
    let room = Room::new("", &[("p", SETS_UP)]).await;
    let started = room.start("p").await;
    stopped(&room, &started).await;
}

#[tokio::test]
async fn a_turn_stops_while_it_speaks_and_keeps_what_it_said() {
    let room = Room::new("", &[("p", SPEAKS)]).await;
    let started = room.start("p").await;
    let begun = |m: &Value| m["content_text"].as_str().unwrap().len() > 20;
    room.message_when(&started, "some words", begun).await;
    let events = stopped(&room, &started).await;
    let n_said = events.iter().filter(|e| e.starts_with("assistant_text")).count();
    let message = room.ended(&started).await;
    assert_eq!(message["content_text"], "word ".repeat(n_said));
}

#[tokio::test]
async fn a_turn_stops_while_it_waits_for_its_slot() {
    let room = Room::new("running_max = 1", &[("p", SPEAKS)]).await;
    room.api.post("/v1/chats", &json!({ "chat_id": "c2" })).await.expect(201);
    let body = json!({ "text": "x", "provider": "p" });
    room.api.post("/v1/chats/c2/turns", &body).await.expect(202);
    let started = room.start("p").await;
    let events = stopped(&room, &started).await;
    assert!(!events.iter().any(|e| e.starts_with("assistant_text")), "{events:?}");
}

#[tokio::test]
async fn a_stop_at_the_very_end_leaves_one_end() {
    let script = "pace_ms = 0\n[[step]]\nsay = 'a'";
    let room = Room::new("", &[("p", script)]).await;
    let mut ways = std::collections::BTreeSet::new();
    for n in 0..40 {
        let started = room.start("p").await;
        for _ in 0..n % 8 {
            tokio::task::yield_now().await;
        }
        if n % 2 == 0 {
            room.message_when(&started, "its word", |m| m["content_text"] == "a").await;
        }
        assert_eq!(room.stop(&started).await, 202);
        let message = room.ended(&started).await;
        ways.insert(message["stream_status"].as_str().unwrap().to_owned());
        assert_eq!(n_ends(&room.events().await), n + 1);
    }
    assert!(!ways.is_empty());
}

#[tokio::test]
async fn two_stops_at_once_are_one() {
    let room = Room::new("", &[("p", SPEAKS)]).await;
    let started = room.start("p").await;
    let (first, second) = tokio::join!(room.stop(&started), room.stop(&started));
    assert_eq!((first, second), (202, 202));
    stopped(&room, &started).await;
}

#[tokio::test]
async fn an_old_or_unknown_turn_touches_no_other() {
    let room = Room::new("", &[("p", SPEAKS)]).await;
    let old = room.start("p").await;
    room.stop(&old).await;
    room.ended(&old).await;
    let new = room.start("p").await;
    let n_events = room.events().await.len();
    assert_eq!(room.stop(&old).await, 202);
    assert_eq!(room.stop(&json!({ "turn_id": "t-unknown" })).await, 202);
    let message =
        room.message_when(&new, "more words", |m| m["content_text"].as_str().unwrap().len() > 20);
    assert_eq!(message.await["stream_status"], "in_progress");
    let events = room.events().await;
    assert!(!events[n_events..].contains(&"cancel_requested".to_owned()), "{events:?}");
    let nowhere = room.api.post("/v1/chats/c9/turns/t/stop", &Value::Null).await;
    assert_eq!(nowhere.problem(), "404 chat_not_found");
    room.stop(&new).await;
    room.ended(&new).await;
}

#[tokio::test]
async fn a_provider_that_does_not_stop_is_dropped_and_holds_nobody_up() {
    let deaf = format!("ignore_stop = true\n{SPEAKS}");
    let room = Room::new("stop_grace_ms = 100", &[("deaf", &deaf), ("p", SPEAKS)]).await;
    let started = room.start("deaf").await;
    room.message_when(&started, "a word", |m| m["content_text"] != "").await;
    stopped(&room, &started).await;
    let next = room.start("p").await;
    room.message_when(&next, "a word", |m| m["content_text"] != "").await;
    room.stop(&next).await;
    room.ended(&next).await;
}

#[tokio::test]
async fn a_turn_of_a_producer_outside_stops_as_well() {
    let room = Room::new("", &[("p", SPEAKS)]).await;
    let lease = room.api.turn("c1", "t1").await;
    let ask = json!([{ "kind": "permission_request", "payload": {
        "request_id": "r1",
        "options": [{ "option_id": "o", "name": "Allow", "kind": "allow_once" }],
    } }]);
    room.api.append("c1", &lease, 1, &ask).await.expect(200);
    assert_eq!(room.stop(&json!({ "turn_id": "t1" })).await, 202);
    let events = room.events().await;
    let end = ["cancel_requested", "permission_resolved dismissed", "cancelled user"];
    assert_eq!(events[events.len() - 3..], end, "{events:?}");
    let text = json!([{ "kind": "assistant_text", "payload": { "text": "x" } }]);
    assert_eq!(room.api.append("c1", &lease, 2, &text).await.problem(), "409 turn_ended");
    eventually("an idle chat", async || room.status().await["open_turn"].is_null().then_some(()))
        .await;
}
