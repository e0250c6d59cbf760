//! Chats and their messages: created, listed, searched, changed, forked, deleted.

use axum::http::Method;
use serde_json::{Value, json};

use super::api::Api;

#[tokio::test]
async fn a_chat_is_created_read_changed_and_seen() {
    let api = Api::new().await;
    let body =
        json!({ "chat_id": "c1", "owner": "ann", "title": "T", "metadata": { "b": 1, "a": 2 } });
    let created = api.post("/v1/chats", &body).await.expect(201);
    assert_eq!(created, json!({ "chat_id": "c1", "seq": 1 }));
    let chat = api.get("/v1/chats/c1").await.expect(200);
    assert_eq!(
        (&chat["id"], &chat["title"], &chat["owner"]),
        (&json!("c1"), &json!("T"), &json!("ann"))
    );
    assert_eq!((&chat["metadata"], &chat["as_of_seq"]), (&json!({ "b": 1, "a": 2 }), &json!(1)));
    let patch = json!({ "title": "U", "metadata": null });
    let changed = api.call(Method::PATCH, "/v1/chats/c1", &patch).await.expect(200);
    assert_eq!(changed, json!({ "chat_id": "c1", "seq": 2 }));
    let seen = api.post("/v1/chats/c1/viewed", &Value::Null).await.expect(200);
    assert_eq!(seen, json!({ "chat_id": "c1", "seq": 3 }));
    let chat = api.get("/v1/chats/c1").await.expect(200);
    assert_eq!((&chat["title"], &chat["metadata"]), (&json!("U"), &Value::Null));
}

#[tokio::test]
async fn a_chat_without_an_id_is_given_one() {
    let api = Api::new().await;
    let created = api.post("/v1/chats", &json!({})).await.expect(201);
    let id = created["chat_id"].as_str().unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "7"), "{id} is a UUIDv7");
    api.get(&format!("/v1/chats/{id}")).await.expect(200);
}

#[tokio::test]
async fn chats_list_by_last_activity_in_pages() {
    let api = Api::new().await;
    for chat in ["c1", "c2", "c3"] {
        api.clock.advance_ms(1_000);
        api.post("/v1/chats", &json!({ "chat_id": chat })).await.expect(201);
    }
    api.clock.advance_ms(1_000);
    api.turn("c1", "t1").await;
    let ids = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|chat| chat["id"].as_str().unwrap().to_owned()).collect()
    };
    let page = api.get("/v1/chats?limit=2").await.expect(200);
    assert_eq!(
        (ids(&page), &page["as_of_seq"]),
        (vec!["c1".to_owned(), "c3".to_owned()], &json!(5))
    );
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = api.get(&format!("/v1/chats?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!((ids(&page), &page["next_cursor"]), (vec!["c2".to_owned()], &Value::Null));
}

#[tokio::test]
async fn a_search_finds_chats_by_what_was_said() {
    let api = Api::new().await;
    for (chat, said) in [("c1", "the quick fox"), ("c2", "a slow snail")] {
        let lease = api.turn(chat, &format!("t-{chat}")).await;
        api.say(chat, &lease, 1, &[said]).await;
        let end = json!([{ "kind": "complete", "payload": {} }]);
        api.append(chat, &lease, 2, &end).await.expect(200);
    }
    let page = api.get("/v1/chats?q=quick%20fox").await.expect(200);
    let items = page["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["id"]), (1, &json!("c1")));
    assert_eq!(items[0]["hits"][0]["message_id"], "m-t-c1");
    let none = api.get("/v1/chats?q=elephant").await.expect(200);
    assert_eq!(none["items"], json!([]));
}

#[tokio::test]
async fn messages_are_snapshots_with_their_position() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    api.say("c1", &lease, 1, &["a", "b"]).await;
    let page = api.get("/v1/chats/c1/messages").await.expect(200);
    let items = page["items"].as_array().unwrap();
    assert_eq!((items.len(), &page["as_of_seq"]), (2, &json!(5)));
    assert_eq!((&items[0]["role"], &items[0]["content_text"]), (&json!("user"), &json!("go")));
    assert_eq!((&items[1]["id"], &items[1]["content_text"]), (&json!("m-t1"), &json!("ab")));
    assert_eq!(items[1]["stream_status"], "in_progress");
    let latest = api.get("/v1/chats/c1/messages?limit=1").await.expect(200);
    assert_eq!(latest["items"][0]["id"], "m-t1");
    let cursor = latest["next_cursor"].as_str().unwrap();
    let before = api.get(&format!("/v1/chats/c1/messages?cursor={cursor}")).await.expect(200);
    assert_eq!(before["items"][0]["id"], "u-t1");
    let was = api.get("/v1/chats/c1/messages/m-t1?at_seq=4").await.expect(200);
    assert_eq!((&was["content_text"], &was["as_of_seq"]), (&json!("a"), &json!(4)));
    let unborn = api.get("/v1/chats/c1/messages/m-t1?at_seq=2").await;
    assert_eq!(unborn.problem(), "404 message_not_found");
}

#[tokio::test]
async fn events_come_in_pages_that_say_where_to_go_on() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    api.turn("c2", "t2").await;
    api.say("c1", &lease, 1, &["a", "b"]).await;
    let page = api.get("/v1/chats/c1/events?limit=2").await.expect(200);
    assert_eq!(page["items"][1]["kind"], "user_text");
    assert_eq!((&page["next_after_seq"], &page["head_seq"]), (&json!(2), &json!(8)));
    let page = api.get("/v1/chats/c1/events?after_seq=2").await.expect(200);
    let seqs: Vec<u64> =
        page["items"].as_array().unwrap().iter().map(|e| e["seq"].as_u64().unwrap()).collect();
    assert_eq!((seqs, &page["next_after_seq"]), (vec![3, 7, 8], &json!(8)));
    let page = api.get("/v1/chats/c1/events?kind=user_text,stream_started").await.expect(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_fork_replays_the_prefix_with_ids_of_its_own() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    api.say("c1", &lease, 1, &["a", "b", "later"]).await;
    let body = json!({ "at_seq": 5, "chat_id": "f1" });
    let forked = api.post("/v1/chats/c1/fork", &body).await.expect(201);
    assert_eq!((&forked["chat_id"], &forked["seq"]), (&json!("f1"), &json!(7)));
    let mut stream = api.stream("/v1/chats/f1/stream?until=idle").await;
    let expected = [
        "- hello 12",
        "7 stream f1 chat_created",
        "8 stream f1 user_text go",
        "9 stream f1 stream_started",
        "10 stream f1 assistant_text a",
        "11 stream f1 assistant_text b",
        "12 stream f1 cancelled",
        "12 caught_up 12",
        "- bye idle",
    ];
    assert_eq!(stream.rest().await, expected);
    let page = api.get("/v1/chats/f1/messages").await.expect(200);
    assert_eq!(page["items"][1]["content_text"], "ab");
    assert_eq!(page["items"][1]["stream_status"], "interrupted");
    assert!(page["items"][1]["id"] != "m-t1", "a fork has ids of its own");
    let chat = api.get("/v1/chats/f1").await.expect(200);
    assert_eq!((&chat["parent_chat_id"], &chat["forked_at_seq"]), (&json!("c1"), &json!(5)));
    api.turn("f1", "t1").await;
}

#[tokio::test]
async fn a_fork_of_a_position_that_does_not_hold_the_chat_is_refused() {
    let api = Api::new().await;
    api.turn("c0", "t0").await;
    api.turn("c1", "t1").await;
    let fork = async |at_seq: u64| {
        api.post("/v1/chats/c1/fork", &json!({ "at_seq": at_seq })).await.problem()
    };
    assert_eq!(fork(3).await, "422 fork_too_early");
    assert_eq!(fork(7).await, "416 position_ahead");
}

#[tokio::test]
async fn a_deleted_chat_leaves_no_byte_of_its_text() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    api.say("c1", &lease, 1, &["unforgettable-text"]).await;
    api.turn("c2", "t2").await;
    let deleted = api.call(Method::DELETE, "/v1/chats/c1", &Value::Null).await.expect(200);
    assert_eq!(deleted["chat_id"], "c1");
    for path in ["", "/messages", "/messages/m-t1", "/events", "/stream", "/status", "/queue"] {
        let answer = api.get(&format!("/v1/chats/c1{path}")).await;
        assert_eq!(answer.problem(), "410 chat_deleted", "{path}");
    }
    let again = api.call(Method::DELETE, "/v1/chats/c1", &Value::Null).await;
    assert_eq!(again.problem(), "410 chat_deleted");
    let page = api.get("/v1/chats").await.expect(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let files = api.dir.files();
    assert!(files.len() > 5, "the data directory has files");
    for (path, bytes) in files {
        let found = bytes.windows(18).any(|window| window == b"unforgettable-text");
        assert!(!found, "{} holds the text", path.display());
    }
}

#[tokio::test]
async fn a_key_gives_the_first_answer_again_and_refuses_another_body() {
    let api = Api::new().await;
    api.turn("c1", "t1").await;
    let calls = [
        (Method::POST, "/v1/chats", json!({ "title": "a" }), json!({ "title": "b" })),
        (Method::PATCH, "/v1/chats/c1", json!({ "title": "a" }), json!({ "title": "b" })),
        (Method::POST, "/v1/chats/c1/viewed", json!({ "by": "a" }), json!({ "by": "b" })),
        (Method::POST, "/v1/chats/c1/fork", json!({ "at_seq": 3 }), json!({ "at_seq": 2 })),
        (Method::DELETE, "/v1/chats/c1", json!({ "by": "a" }), json!({ "by": "b" })),
    ];
    for (method, path, body, other) in calls {
        let name = format!("{method} {path}");
        let [first, again, refused] = api.thrice(method, path, &body, &other).await;
        assert!(first.status < 300, "{name}");
        assert_eq!((again.status, again.json()), (first.status, first.json()), "{name}");
        assert_eq!(refused.problem(), "409 idempotency_key_reused", "{name}");
    }
}

#[tokio::test]
async fn calls_with_one_key_at_once_give_one_answer() {
    let api = Api::new().await;
    let call = || async {
        let mut request = super::api::request(Method::POST, "/v1/chats", &json!({ "title": "x" }));
        request.headers_mut().insert("idempotency-key", "same".parse().unwrap());
        api.answer(request).await.expect(201)
    };
    let answers = futures_util::future::join_all((0..16).map(|_| call())).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(api.log.head().get(), 1);
}
