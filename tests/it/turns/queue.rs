//! The queue: first in, first out, edited, cleared, sent now; each hand-off is one append.

use axum::http::Method;
use scrollback_test_support::wait::eventually;
use serde_json::{Value, json};

use super::room::{Room, n_ends};

const ECHO: &str = "pace_ms = 0\npiece_words = 100\n[[step]]\nsay = '<{prompt}>'";
const HANGS: &str = "pace_ms = 0\n[[step]]\nsay = 'a'\n[[step]]\nhang = true";

const SCRIPTS: &[(&str, &str)] = &[("echo", ECHO), ("hangs", HANGS)];

async fn queue(room: &Room, content: &str) -> Value {
    let body = json!({ "provider": "echo", "content": content, "queued_message_id": content });
    room.api.post("/v1/chats/c1/queue", &body).await.expect(202)
}

/// A turn that runs until it is stopped, with something said.
async fn busy(room: &Room) -> Value {
    let started = room.start("hangs").await;
    room.message_when(&started, "its word", |m| m["content_text"] == "a").await;
    started
}

async fn queued(room: &Room) -> Vec<String> {
    let list = room.api.get("/v1/chats/c1/queue").await.expect(200);
    let content = |item: &Value| item["content"].as_str().unwrap().to_owned();
    list["items"].as_array().unwrap().iter().map(content).collect()
}

/// What the assistant said, turn by turn.
fn answers(events: &[String]) -> Vec<&str> {
    events.iter().filter_map(|e| e.strip_prefix("assistant_text ")).collect()
}

#[tokio::test]
async fn messages_go_first_in_first_out_and_the_chat_is_never_idle_between() {
    let room = Room::new("", SCRIPTS).await;
    let first = busy(&room).await;
    for content in ["one", "two", "three"] {
        assert_eq!(queue(&room, content).await["queued_message_id"], content);
    }
    assert_eq!(queued(&room).await, ["one", "two", "three"]);
    room.stop(&first).await;
    room.idle().await;
    let events = room.events().await;
    assert_eq!(answers(&events), ["a", "<one>", "<two>", "<three>"]);
    let end = events.iter().position(|e| e == "cancelled user").unwrap();
    let expected = ["cancelled user", "queue_processing", "user_text one", "stream_started queue"];
    assert_eq!(events[end..end + 4], expected);
    let two = events.iter().position(|e| e == "user_text two").unwrap();
    assert_eq!(events[two - 2..two], ["complete", "queue_processing"]);
    assert_eq!(n_ends(&events), 4);
}

#[tokio::test]
async fn a_hand_off_names_the_turn_before_it() {
    let room = Room::new("", SCRIPTS).await;
    let first = busy(&room).await;
    queue(&room, "one").await;
    room.api.clock.advance_ms(1_500);
    room.stop(&first).await;
    room.idle().await;
    let page = room.api.get("/v1/chats/c1/events?kind=queue_processing").await.expect(200);
    let handed = &page["items"][0]["payload"];
    assert_eq!(handed["prior_turn_id"], first["turn_id"]);
    assert_eq!(handed["prior_duration_ms"], 1_500);
    let page = room.api.get("/v1/chats/c1/events?kind=cancelled").await.expect(200);
    assert_eq!(page["items"][0]["payload"]["duration_ms"], 1_500);
    let started = json!({ "message_id": handed["assistant_message_id"] });
    assert_eq!(room.ended(&started).await["content_text"], "<one>");
}

#[tokio::test]
async fn in_an_idle_chat_a_queued_message_starts_at_once() {
    let room = Room::new("", SCRIPTS).await;
    queue(&room, "one").await;
    room.idle().await;
    let events = room.events_when("an answer", |events| n_ends(events) == 1).await;
    assert_eq!(answers(&events), ["<one>"]);
    assert!(events.contains(&"chat_updated one".to_owned()), "{events:?}");
}

#[tokio::test]
async fn a_busy_chat_does_with_a_message_what_the_caller_wants() {
    let room = Room::new("", SCRIPTS).await;
    busy(&room).await;
    let body = |if_busy: &str| json!({ "provider": "echo", "text": if_busy, "if_busy": if_busy });
    let post = async |if_busy: &str| room.api.post("/v1/chats/c1/turns", &body(if_busy)).await;
    assert_eq!(post("reject").await.problem(), "409 chat_busy");
    let queued = post("queue").await.expect(202);
    assert!(queued["turn_id"].is_null() && queued["queued_message_id"].is_string(), "{queued}");
    assert_eq!(room.status().await["queue_length"], 1);
    post("send_now").await.expect(202);
    room.idle().await;
    let events = room.events().await;
    assert_eq!(answers(&events), ["a", "<send_now>", "<queue>"]);
    let end = events.iter().position(|e| e == "cancelled send_now").unwrap();
    let expected = ["queue_processing", "user_text send_now", "stream_started send_now"];
    assert_eq!(events[end + 1..end + 4], expected);
}

#[tokio::test]
async fn a_key_queues_once_and_says_so_again_after_the_start() {
    let room = Room::new("", SCRIPTS).await;
    let first = busy(&room).await;
    let body = json!({ "provider": "echo", "text": "one", "if_busy": "queue" });
    let other = json!({ "provider": "echo", "text": "two", "if_busy": "queue" });
    let [queued, again, refused] =
        room.api.thrice(Method::POST, "/v1/chats/c1/turns", &body, &other).await;
    assert_eq!((queued.status, again.status, queued.json()), (202, 202, again.json()));
    assert_eq!(refused.problem(), "409 idempotency_key_reused");
    room.stop(&first).await;
    room.idle().await;
    let [late, ..] = room.api.thrice(Method::POST, "/v1/chats/c1/turns", &body, &other).await;
    assert_eq!((late.status, late.json()), (202, queued.json()));
    room.idle().await;
    assert_eq!(answers(&room.events().await), ["a", "<one>"]);
}

#[tokio::test]
async fn a_queued_message_is_edited_removed_and_cleared() {
    let room = Room::new("", SCRIPTS).await;
    let first = busy(&room).await;
    for content in ["one", "two", "three", "four"] {
        queue(&room, content).await;
    }
    let item = |id: &str| format!("/v1/chats/c1/queue/{id}");
    let call =
        async |method: Method, id: &str, body: Value| room.api.call(method, &item(id), &body).await;
    let edited = call(Method::PATCH, "one", json!({ "content": "uno" })).await.expect(200);
    assert_eq!(edited["queued_message_id"], "one");
    call(Method::DELETE, "two", json!({ "by": "me" })).await.expect(200);
    assert_eq!(queued(&room).await, ["uno", "three", "four"]);
    let gone = call(Method::DELETE, "two", Value::Null).await;
    assert_eq!(gone.problem(), "409 queued_message_gone");
    let unknown = call(Method::PATCH, "nine", json!({ "content": "x" })).await;
    assert_eq!(unknown.problem(), "404 queued_message_not_found");
    assert_eq!(call(Method::PATCH, "one", json!({})).await.problem(), "422 bad_body");
    let external = call(Method::PATCH, "one", json!({ "provider": "external" })).await;
    assert_eq!(external.problem(), "422 provider_external");
    let cleared = room.api.call(Method::DELETE, "/v1/chats/c1/queue", &Value::Null).await;
    assert_eq!(cleared.expect(200)["n_removed"], 3);
    let again = room.api.call(Method::DELETE, "/v1/chats/c1/queue", &Value::Null).await;
    assert_eq!(again.expect(200)["n_removed"], 0);
    room.stop(&first).await;
    room.idle().await;
    assert_eq!(answers(&room.events().await), ["a"]);
}

#[tokio::test]
async fn sent_now_a_queued_message_takes_the_place_of_the_open_turn() {
    let room = Room::new("", SCRIPTS).await;
    busy(&room).await;
    queue(&room, "one").await;
    queue(&room, "two").await;
    let sent = room.api.post("/v1/chats/c1/queue/two/send-now", &Value::Null).await.expect(202);
    assert_eq!(sent["queued_message_id"], "two");
    room.idle().await;
    let events = room.events().await;
    assert_eq!(answers(&events), ["a", "<two>", "<one>"]);
    assert!(events.contains(&"cancelled send_now".to_owned()), "{events:?}");
    let gone = room.api.post("/v1/chats/c1/queue/two/send-now", &Value::Null).await;
    assert_eq!(gone.problem(), "409 queued_message_gone");
}

#[tokio::test]
async fn nothing_can_be_queued_that_nobody_would_run() {
    let room = Room::new("", SCRIPTS).await;
    let post = async |body: Value| room.api.post("/v1/chats/c1/queue", &body).await.problem();
    let external = json!({ "content": "x", "provider": "external" });
    assert_eq!(post(external).await, "422 provider_external");
    assert_eq!(post(json!({ "content": "x", "provider": "q" })).await, "422 provider_unknown");
    assert_eq!(post(json!({ "content": "x" })).await, "422 bad_body");
    assert_eq!(post(json!({ "content": "", "provider": "echo" })).await, "422 bad_body");
}

#[tokio::test]
async fn a_queue_goes_on_after_a_failed_turn_and_one_of_a_producer_outside() {
    let room = Room::new("", SCRIPTS).await;
    let lease = room.api.turn("c1", "t1").await;
    queue(&room, "one").await;
    assert_eq!(room.status().await["queue_length"], 1);
    let end = json!([{ "kind": "error", "payload": {
        "code": "internal", "message": "x", "phase": "stream", "retryable": true,
    } }]);
    room.api.append("c1", &lease, 1, &end).await.expect(200);
    room.idle().await;
    assert_eq!(answers(&room.events().await), ["<one>"]);
    room.api.turn("c1", "t2").await;
    queue(&room, "two").await;
    room.api.post("/v1/chats/c1/queue/two/send-now", &Value::Null).await.expect(202);
    room.idle().await;
    let events = room.events().await;
    assert_eq!(answers(&events), ["<one>", "<two>"]);
    assert!(events.contains(&"cancelled send_now".to_owned()), "{events:?}");
}

#[tokio::test]
async fn a_full_queue_says_so() {
    let room = Room::new("", SCRIPTS).await;
    busy(&room).await;
    for n in 0..100 {
        queue(&room, &format!("q{n}")).await;
    }
    let body = json!({ "provider": "echo", "content": "x" });
    let answer = room.api.post("/v1/chats/c1/queue", &body).await;
    assert_eq!(answer.problem(), "409 queue_full");
    eventually("a full queue", async || (room.status().await["queue_length"] == 100).then_some(()))
        .await;
}

#[tokio::test]
async fn every_call_takes_a_key() {
    let room = Room::new("", SCRIPTS).await;
    let first = busy(&room).await;
    queue(&room, "one").await;
    queue(&room, "two").await;
    let one = "/v1/chats/c1/queue/one".to_owned();
    let turn = first["turn_id"].as_str().unwrap();
    let calls = [
        (Method::POST, "/v1/chats/c1/queue".to_owned(), "content"),
        (Method::PATCH, one.clone(), "content"),
        (Method::DELETE, one, "by"),
        (Method::DELETE, "/v1/chats/c1/queue".to_owned(), "by"),
        (Method::POST, format!("/v1/chats/c1/turns/{turn}/stop"), "by"),
    ];
    for (method, path, field) in calls {
        let body = json!({ field: "x", "provider": "echo" });
        let other = json!({ field: "y", "provider": "echo" });
        let [first, again, refused] = room.api.thrice(method.clone(), &path, &body, &other).await;
        assert!(first.status < 300, "{method} {path}: {}", first.json());
        assert_eq!((first.status, first.json()), (again.status, again.json()), "{method} {path}");
        assert_eq!(refused.problem(), "409 idempotency_key_reused", "{method} {path}");
    }
    room.idle().await;
    assert_eq!(answers(&room.events().await), ["a"]);
}
