//! Turns of producers outside: started, appended to, fenced, seen in the status.

use axum::http::Method;
use serde_json::{Value, json};

use super::api::Api;

#[tokio::test]
async fn a_turn_is_started_with_a_lease_and_the_seq_to_resume_from() {
    let api = Api::new().await;
    api.post("/v1/chats", &json!({ "chat_id": "c1" })).await.expect(201);
    let body = json!({ "provider": "external", "text": "go", "lease_ms": 5_000 });
    let started = api.post("/v1/chats/c1/turns", &body).await.expect(202);
    assert_eq!((&started["chat_id"], &started["resume_after_seq"]), (&json!("c1"), &json!(1)));
    let lease = &started["lease"];
    assert_eq!(
        (&lease["epoch"], &lease["expires_at"]),
        (&json!(1), &json!("2026-11-22T20:52:05.123Z"))
    );
    let page = api.get("/v1/chats/c1/events?after_seq=1").await.expect(200);
    let ids =
        |index: usize| (&page["items"][index]["messageId"], &page["items"][index]["streamId"]);
    assert_eq!(ids(0), (&started["user_message_id"], &Value::Null));
    assert_eq!(ids(1), (&started["message_id"], &started["turn_id"]));
    assert_eq!(page["items"][1]["payload"]["user_message_id"], started["user_message_id"]);
}

#[tokio::test]
async fn a_busy_chat_refuses_a_second_turn() {
    let api = Api::new().await;
    api.turn("c1", "t1").await;
    for if_busy in ["reject", "queue", "send_now"] {
        let body = json!({ "provider": "external", "text": "x", "if_busy": if_busy });
        let answer = api.post("/v1/chats/c1/turns", &body).await;
        assert_eq!(answer.problem(), "409 chat_busy");
        assert_eq!(answer.json()["open_turn_id"], "t1");
    }
    assert_eq!(api.log.head().get(), 3);
}

#[tokio::test]
async fn an_append_answers_its_seqs_and_renews_the_lease() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    api.clock.advance_ms(30_000);
    let answer = api.say("c1", &lease, 1, &["a", "b"]).await;
    let expected =
        json!({ "first_seq": 4, "last_seq": 5, "expires_at": "2026-11-22T20:53:30.123Z" });
    assert_eq!(answer, expected);
    let again = api.say("c1", &lease, 1, &["a", "b"]).await;
    assert_eq!((&again["first_seq"], &again["last_seq"]), (&json!(4), &json!(5)));
    let end = json!([{ "kind": "complete", "payload": { "duration_ms": 1 } }]);
    let answer = api.append("c1", &lease, 3, &end).await.expect(200);
    assert_eq!(answer, json!({ "first_seq": 6, "last_seq": 6, "expires_at": null }));
    let late = json!([{ "kind": "assistant_text", "payload": { "text": "x" } }]);
    assert_eq!(api.append("c1", &lease, 4, &late).await.problem(), "409 turn_ended");
}

#[tokio::test]
async fn a_refused_append_stores_nothing_and_says_which_event_and_why() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    let text = json!({ "kind": "assistant_text", "payload": { "text": "x" } });
    let cases = [
        (1, json!([text, { "kind": "nonsense", "payload": {} }]), "422 bad_event", Some(1)),
        (1, json!([{ "kind": "user_text", "payload": { "text": "x" } }]), "422 bad_event", Some(0)),
        (
            1,
            json!([text, { "kind": "plan", "payload": { "entries": 3 } }]),
            "422 bad_event",
            Some(1),
        ),
        (1, json!([{ "kind": "complete", "payload": {} }, text]), "409 turn_ended", Some(1)),
        (2, json!([text]), "409 number_gap", None),
    ];
    for (number, events, expected, index) in cases {
        let answer = api.append("c1", &lease, number, &events).await;
        assert_eq!(answer.problem(), expected, "{events}");
        assert_eq!(answer.json()["event_index"].as_u64(), index, "{events}");
    }
    let gap = api.append("c1", &lease, 2, &json!([text])).await.json();
    assert_eq!(gap["expected_number"], 1);
    assert_eq!(api.append("c1", "1.1.x", 1, &json!([text])).await.problem(), "403 lease_invalid");
    assert_eq!(api.log.head().get(), 3);
}

#[tokio::test]
async fn a_takeover_fences_the_older_lease() {
    let api = Api::new().await;
    let old = api.turn("c1", "t1").await;
    api.say("c1", &old, 1, &["a"]).await;
    let path = "/v1/chats/c1/turns/t1/lease";
    let taken = api.post(path, &Value::Null).await.expect(200);
    assert_eq!(taken["lease"]["epoch"], 2);
    let text = json!([{ "kind": "assistant_text", "payload": { "text": "x" } }]);
    assert_eq!(api.append("c1", &old, 2, &text).await.problem(), "409 lease_fenced");
    let new = taken["lease"]["token"].as_str().unwrap();
    api.append("c1", new, 2, &text).await.expect(200);
    let unknown = api.post("/v1/chats/c1/turns/t9/lease", &Value::Null).await;
    assert_eq!(unknown.problem(), "409 turn_ended");
}

#[tokio::test]
async fn a_takeover_renews_nothing_since_only_an_append_does() {
    let api = Api::new().await;
    let old = api.turn("c1", "t1").await;
    api.clock.advance_ms(20_000);
    let taken = api.post("/v1/chats/c1/turns/t1/lease", &Value::Null).await.expect(200);
    assert_eq!(taken["lease"]["expires_at"], "2026-11-22T20:53:00.123Z", "found by model");
    api.clock.advance_ms(40_000);
    api.log.sweep_leases().await;
    let text = json!([{ "kind": "assistant_text", "payload": { "text": "x" } }]);
    let new = taken["lease"]["token"].as_str().unwrap();
    for lease in [&*old, new] {
        assert_eq!(api.append("c1", lease, 1, &text).await.problem(), "409 turn_ended");
    }
}

#[tokio::test]
async fn an_expired_lease_closes_the_turn_with_its_reason() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    api.clock.advance_ms(60_001);
    api.log.sweep_leases().await;
    let text = json!([{ "kind": "assistant_text", "payload": { "text": "x" } }]);
    assert_eq!(api.append("c1", &lease, 1, &text).await.problem(), "409 turn_ended");
    let page = api.get("/v1/chats/c1/events?kind=cancelled").await.expect(200);
    assert_eq!(page["items"][0]["payload"]["reason"], "lease_expired");
}

#[tokio::test]
async fn the_status_and_the_list_of_turns_show_who_is_busy() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    api.turn("c2", "t2").await;
    api.say("c1", &lease, 1, &["a"]).await;
    let status = api.get("/v1/chats/c1/status").await.expect(200);
    let expected = json!({
        "chat_id": "c1",
        "head_seq": 7,
        "last_seq": 7,
        "open_turn": { "turn_id": "t1", "message_id": "m-t1", "started_seq": 3 },
        "queue_length": 0,
        "pending_requests": 0,
        "parked": [],
    });
    assert_eq!(status, expected);
    let turns = api.get("/v1/turns?open=true").await.expect(200);
    let ids: Vec<_> = turns["items"].as_array().unwrap().iter().map(|t| &t["chat_id"]).collect();
    assert_eq!(ids, ["c1", "c2"]);
    let end = json!([{ "kind": "complete", "payload": {} }]);
    api.append("c1", &lease, 2, &end).await.expect(200);
    let status = api.get("/v1/chats/c1/status").await.expect(200);
    assert_eq!((&status["open_turn"], &status["last_seq"]), (&Value::Null, &json!(8)));
    let turns = api.get("/v1/turns").await.expect(200);
    assert_eq!(turns["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_waits_for_a_person_is_listed() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    let ask = json!([{ "kind": "permission_request", "payload": {
        "request_id": "r1",
        "options": [{ "option_id": "o", "name": "Allow", "kind": "allow_once" }],
    } }]);
    api.append("c1", &lease, 1, &ask).await.expect(200);
    let requests = api.get("/v1/chats/c1/requests").await.expect(200);
    assert_eq!(requests["items"][0]["request_id"], "r1");
    let queue = api.get("/v1/chats/c1/queue").await.expect(200);
    assert_eq!(queue["items"], json!([]));
    let status = api.get("/v1/chats/c1/status").await.expect(200);
    assert_eq!(status["pending_requests"], 1);
}

#[tokio::test]
async fn a_key_starts_one_turn_and_gives_its_lease_again() {
    let api = Api::new().await;
    api.post("/v1/chats", &json!({ "chat_id": "c1" })).await.expect(201);
    let body = json!({ "provider": "external", "text": "go" });
    let other = json!({ "provider": "external", "text": "stop" });
    let [first, again, refused] =
        api.thrice(Method::POST, "/v1/chats/c1/turns", &body, &other).await;
    assert_eq!((again.status, again.json()), (202, first.json()));
    assert_eq!(refused.problem(), "409 idempotency_key_reused");
    let lease = first.json()["lease"]["token"].as_str().unwrap().to_owned();
    let text = json!([{ "kind": "assistant_text", "payload": { "text": "x" } }]);
    let body = json!({ "lease": lease, "first_number": 1, "events": text });
    let other = json!({ "lease": lease, "first_number": 2, "events": text });
    let [first, again, refused] =
        api.thrice(Method::POST, "/v1/chats/c1/events", &body, &other).await;
    assert_eq!(first.json()["last_seq"], again.json()["last_seq"]);
    assert_eq!(refused.problem(), "409 idempotency_key_reused");
    assert_eq!(api.log.head().get(), 4);
}

#[tokio::test]
async fn a_repeated_append_is_answered_with_the_expiry_of_the_first() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    let path = "/v1/chats/c1/events";
    let append = |number: u64, event: Value| {
        let events = [event];
        json!({ "lease": lease, "first_number": number, "events": events })
    };
    let text = json!({ "kind": "assistant_text", "payload": { "text": "a" } });
    let keyed = |key: &str, body: &Value| {
        let mut request = super::api::request(Method::POST, path, body);
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        request
    };
    let (said, ended) = (append(1, text), append(2, json!({ "kind": "complete", "payload": {} })));
    let first = api.answer(keyed("k1", &said)).await.expect(200);
    assert_eq!(first["expires_at"], "2026-11-22T20:53:00.123Z");
    api.clock.advance_ms(5_000);
    let last = api.answer(keyed("k2", &ended)).await.expect(200);
    assert_eq!(last["expires_at"], Value::Null, "the lease has ended with its turn");
    assert_eq!(api.answer(keyed("k1", &said)).await.expect(200), first);
    assert_eq!(api.answer(keyed("k2", &ended)).await.expect(200), last);
}
