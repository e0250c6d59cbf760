//! Keys of calls: a repetition is answered as before, whatever has happened in between.
//!
//! Each case was found by `model`, the random sequences, or while they were made.

use axum::http::Method;
use serde_json::{Value, json};

use super::room::Room;

const HANGS: &str = "pace_ms = 0\n[[step]]\nsay = 'a'\n[[step]]\nhang = true";

async fn room() -> Room {
    Room::new("", &[("hangs", HANGS)]).await
}

/// The same call before and after something happened, then the key with another body.
async fn before_and_after(
    room: &Room,
    method: Method,
    path: &str,
    body: &Value,
    between: impl AsyncFnOnce(),
) {
    let mut other = body.clone();
    other["extra"] = json!(1);
    let [first, ..] = room.api.thrice(method.clone(), path, body, &other).await;
    assert!(first.status < 300, "{method} {path}: {}", first.json());
    between().await;
    let [again, _, refused] = room.api.thrice(method.clone(), path, body, &other).await;
    assert_eq!((again.status, again.json()), (first.status, first.json()), "{method} {path}");
    assert_eq!(refused.problem(), "409 idempotency_key_reused", "{method} {path}");
}

#[tokio::test]
async fn an_empty_queue_that_was_cleared_is_not_cleared_again_by_a_late_repetition() {
    let room = room().await;
    let started = room.start("hangs").await;
    let queue = "/v1/chats/c1/queue";
    before_and_after(&room, Method::DELETE, queue, &json!({}), async || {
        room.api.post(queue, &json!({ "provider": "hangs", "content": "one" })).await.expect(202);
    })
    .await;
    assert_eq!(room.status().await["queue_length"], 1, "what came after the first call stays");
    room.api.call(Method::DELETE, queue, &Value::Null).await.expect(200);
    room.stop(&started).await;
    room.idle().await;
}

#[tokio::test]
async fn a_stop_that_found_nothing_to_stop_keeps_its_key() {
    let room = room().await;
    room.api.turn("c1", "t1").await;
    for turn in ["t-unknown", "t1"] {
        let path = format!("/v1/chats/c1/turns/{turn}/stop");
        before_and_after(&room, Method::POST, &path, &json!({ "by": "ada" }), async || {}).await;
    }
}

#[tokio::test]
async fn what_was_answered_before_a_deletion_is_answered_alike_after_it() {
    let calls = [
        ("turns", json!({ "text": "go", "provider": "hangs" })),
        ("turns", json!({ "text": "go", "provider": "external" })),
        ("queue", json!({ "content": "go", "provider": "hangs" })),
        ("fork", json!({ "chat_id": "f1" })),
        ("viewed", json!({})),
    ];
    for (what, body) in calls {
        let room = room().await;
        let path = format!("/v1/chats/c1/{what}");
        before_and_after(&room, Method::POST, &path, &body, async || {
            room.api.call(Method::DELETE, "/v1/chats/c1", &Value::Null).await.expect(200);
        })
        .await;
        let fresh = room.api.post(&path, &body).await;
        assert_eq!(fresh.problem(), "410 chat_deleted", "{what} without the key");
    }
}

#[tokio::test]
async fn answers_and_hurries_of_a_deleted_chat_are_told_again() {
    let room = room().await;
    let lease = room.api.turn("c1", "t1").await;
    let ask = json!([{ "kind": "permission_request", "payload": {
        "request_id": "r1",
        "options": [{ "option_id": "yes", "name": "Allow", "kind": "allow_once" }],
    } }]);
    room.api.append("c1", &lease, 1, &ask).await.expect(200);
    let queued = json!({ "content": "go", "provider": "hangs", "queued_message_id": "q1" });
    room.api.post("/v1/chats/c1/queue", &queued).await.expect(202);
    let answer = json!({ "option_id": "yes" });
    let respond = "/v1/chats/c1/requests/r1/respond";
    before_and_after(&room, Method::POST, respond, &answer, async || {
        let edit = json!({ "content": "now" });
        let one = "/v1/chats/c1/queue/q1";
        before_and_after(&room, Method::PATCH, one, &edit, async || {
            let now = "/v1/chats/c1/queue/q1/send-now";
            before_and_after(&room, Method::POST, now, &json!({}), async || {
                room.api.call(Method::DELETE, "/v1/chats/c1", &Value::Null).await.expect(200);
            })
            .await;
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_fork_of_the_head_says_again_where_that_was() {
    let room = room().await;
    before_and_after(&room, Method::POST, "/v1/chats/c1/fork", &json!({}), async || {
        room.api.patch_title("c1", "Later").await;
    })
    .await;
}
