//! What one user could learn of another beside a route's plain answer.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use super::people::{CHAT, People, SECRET, of_chat, said};
use crate::http::api::{Stream, with_token};

async fn feed(people: &People, token: &str, path: &str) -> Stream {
    let request = Request::get(path).body(Body::empty()).unwrap();
    people.api.stream_with(with_token(request, token)).await
}

#[tokio::test]
async fn a_search_finds_nothing_of_anybody_else() {
    let people = People::new().await;
    let lease = json!({});
    let path = of_chat("/turns/t1/lease");
    let lease = people.ann(Method::POST, &path, &lease).await.expect(200);
    let end = json!({ "lease": lease["lease"]["token"], "first_number": 3,
        "events": [{ "kind": "complete", "payload": {} }] });
    people.ann(Method::POST, &of_chat("/events"), &end).await.expect(200);
    let path = format!("/v1/chats?q={SECRET}&limit=1");
    let found = people.ann(Method::GET, &path, &Value::Null).await.expect(200);
    assert_eq!(found["items"][0]["id"], CHAT, "{found}");
    let found = people.bob(Method::GET, &path, &Value::Null).await.expect(200);
    // Not even a cursor tells that somebody said it.
    assert_eq!((&found["items"], &found["next_cursor"]), (&json!([]), &Value::Null));
    let asked = people.bob(Method::GET, "/v1/chats?owner=ann", &Value::Null).await;
    assert_eq!(asked.problem(), "403 forbidden");
}

#[tokio::test]
async fn a_feed_shows_its_readers_chats_and_a_new_one_by_itself() {
    let people = People::new().await;
    let mut feed = feed(&people, people.bob.reveal(), "/v1/stream?after_seq=0").await;
    let mut frames = Vec::new();
    while !frames.last().is_some_and(|frame: &String| frame.contains("event: caught_up")) {
        frames.push(feed.next().await.unwrap());
    }
    people.ann(Method::PATCH, &of_chat(""), &json!({ "title": SECRET })).await.expect(200);
    people.bob(Method::POST, "/v1/chats", &json!({ "chat_id": "bobs-2" })).await.expect(201);
    people.ann(Method::PATCH, &of_chat(""), &json!({ "title": SECRET })).await.expect(200);
    people.bob(Method::PATCH, "/v1/chats/bobs-2", &json!({ "title": "end" })).await.expect(200);
    while !frames.last().is_some_and(|frame| frame.contains("\"end\"")) {
        frames.push(feed.next().await.unwrap());
    }
    let all = frames.concat();
    assert!(!all.contains(SECRET) && !all.contains(CHAT), "{all}");
    for chat in ["\"bobs\"", "\"bobs-2\""] {
        assert!(all.contains(chat), "{chat}: {all}");
    }
}

#[tokio::test]
async fn a_feed_leaves_out_a_chat_that_is_named_and_not_ones_own() {
    let people = People::new().await;
    let path = format!("/v1/stream?after_seq=0&chats=bobs,{CHAT}");
    let mut feed = feed(&people, people.bob.reveal(), &path).await;
    let mut frames = vec![feed.next().await.unwrap()];
    while !frames.last().is_some_and(|frame| frame.contains("event: caught_up")) {
        frames.push(feed.next().await.unwrap());
    }
    let all = frames.concat();
    assert!(all.contains("\"bobs\"") && !all.contains(SECRET) && !all.contains(CHAT), "{all}");
}

#[tokio::test]
async fn who_was_away_when_a_chat_was_deleted_is_told_to_look_again() {
    let people = People::new().await;
    let mut feed = feed(&people, people.ann.reveal(), "/v1/stream?after_seq=0").await;
    while !feed.next().await.unwrap().contains("event: caught_up") {}
    let head = people.api.log.head();
    people.ann(Method::DELETE, &of_chat(""), &json!({})).await.expect(200);
    // Who is there hears of it.
    while !feed.next().await.unwrap().contains("chat_deleted") {}
    drop(feed);
    let away = async |after: scrollback_schema::Seq| {
        let path = format!("/v1/stream?after_seq={after}");
        let request = Request::get(path).body(Body::empty()).unwrap();
        let request = with_token(request, people.ann.reveal());
        let mut feed = people.api.stream_with(request).await;
        let mut said = String::new();
        while !said.contains("event: caught_up") {
            said.push_str(&feed.next().await.unwrap());
        }
        said
    };
    let said = away(head).await;
    assert!(said.contains("chats_deleted") && said.contains("event: snapshot"), "{said}");
    assert!(!said.contains(CHAT) && !said.contains(SECRET), "{said}");
    assert!(!away(people.api.log.head()).await.contains("resync"), "nothing went since");
}

#[tokio::test]
async fn a_key_of_idempotency_is_its_users_own() {
    let people = People::new().await;
    let make = async |token: &str| {
        let body = json!({ "title": "mine" });
        let mut request = crate::http::api::request(Method::POST, "/v1/chats", &body);
        request.headers_mut().insert("idempotency-key", "same".parse().unwrap());
        people.api.answer(with_token(request, token)).await.expect(201)["chat_id"].clone()
    };
    let first = make(people.ann.reveal()).await;
    assert_eq!(make(people.ann.reveal()).await, first);
    assert_ne!(make(people.bob.reveal()).await, first, "Bob has Ann's answer");
}

#[tokio::test]
async fn a_lease_is_of_no_use_to_somebody_who_may_not_see_its_chat() {
    let people = People::new().await;
    let lease = people.ann(Method::POST, &of_chat("/turns/t1/lease"), &json!({})).await;
    let token = lease.expect(200)["lease"]["token"].clone();
    let body = json!({ "lease": token, "first_number": 3,
        "events": [{ "kind": "assistant_text", "payload": { "text": "x" } }] });
    let refused = people.bob(Method::POST, &of_chat("/events"), &body).await;
    assert_eq!(refused.problem(), "404 chat_not_found");
    people.ann(Method::POST, &of_chat("/events"), &body).await.expect(200);
}

#[tokio::test]
async fn a_chat_is_made_for_oneself_and_a_fork_stays_its_owners() {
    let people = People::new().await;
    let for_ann = json!({ "owner": "ann" });
    let refused = people.bob(Method::POST, "/v1/chats", &for_ann).await;
    assert_eq!(refused.problem(), "403 forbidden");
    let own = people.bob(Method::GET, "/v1/chats/bobs", &Value::Null).await.expect(200);
    assert_eq!(own["owner"], "bob");
    let fork = json!({ "chat_id": "fork" });
    people.admin(Method::POST, &of_chat("/fork"), &fork).await.expect(201);
    let fork = people.ann(Method::GET, "/v1/chats/fork", &Value::Null).await.expect(200);
    assert_eq!(fork["owner"], "ann");
    let seen = people.bob(Method::GET, "/v1/chats/fork", &Value::Null).await;
    assert_eq!(seen.problem(), "404 chat_not_found");
}

#[tokio::test]
async fn what_was_deleted_is_not_there_for_anybody_else() {
    let people = People::new().await;
    people.ann(Method::DELETE, &of_chat(""), &json!({})).await.expect(200);
    let own = people.ann(Method::GET, &of_chat(""), &Value::Null).await;
    assert_eq!(own.problem(), "410 chat_deleted");
    for (method, path, expected) in [
        (Method::GET, of_chat(""), "404 chat_not_found"),
        (Method::POST, "/v1/chats".to_owned(), "409 chat_exists"),
    ] {
        let body = if method == Method::GET { Value::Null } else { json!({ "chat_id": CHAT }) };
        let answer = people.bob(method, &path, &body).await;
        assert_eq!(answer.problem(), expected, "{path}");
        assert!(!said(&answer).contains("deleted"), "{}", said(&answer));
    }
}
