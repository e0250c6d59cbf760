//! Every route of the document, as somebody without a right to it calls it.
//!
//! A route that is added and not listed here fails the test: whoever adds one says what a second
//! person hears from it.

use axum::http::Method;
use serde_json::{Value, json};

use super::people::{CHAT, NO_CHAT, People, SECRET, said};
use crate::http::api::request;

/// Routes that answer strangers.
pub(super) const OPEN: [&str; 3] = ["healthz", "readyz", "openapi"];

/// An operation of the document.
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) method: Method,
    pub(super) path: String,
}

impl Operation {
    /// The path with Ann's ids, or with those of a chat that is not there.
    pub(super) fn path_in(&self, chat: &str) -> String {
        let ids = [("chat", chat), ("message", "m1"), ("turn", "t1"), ("queued", "q1")];
        let others = [("request", "r1"), ("schedule", "s1"), ("seq", "1"), ("name", "messages")];
        let filled = ids
            .iter()
            .chain(&others)
            .fold(self.path.clone(), |path, (name, id)| path.replace(&format!("{{{name}}}"), id));
        assert!(!filled.contains('{'), "{filled} has an id that nobody thought of");
        match self.id.as_str() {
            "get_schedule" | "list_runs" => format!("{filled}?chat_id={chat}"),
            _ => filled,
        }
    }

    fn is_of_chat(&self) -> bool {
        self.path.contains("{chat}")
    }

    /// A body that the route would take, as far as it is read before the caller is refused.
    pub(super) fn body(&self, chat: &str) -> Value {
        match self.id.as_str() {
            _ if self.method == Method::GET => Value::Null,
            "create_chat" | "run_schedule" | "remove_schedule" | "create_ticket" => {
                json!({ "chat_id": chat })
            }
            "create_schedule" => json!({ "chat_id": chat, "prompt": "p",
                "timing": { "every_ms": 86_400_000 } }),
            "update_schedule" => json!({ "chat_id": chat, "paused": true }),
            "ai_sdk_send" => json!({ "id": chat, "trigger": "submit-message", "messages": [
                { "id": "u9", "role": "user", "parts": [{ "type": "text", "text": "hi" }] }] }),
            _ => json!({}),
        }
    }

    /// What Bob hears of Ann's: `STATUS CODE`, or the status alone where it is no refusal.
    fn expected(&self) -> &'static str {
        match self.id.as_str() {
            "ai_sdk_resume" => "204",
            "ai_sdk_messages" => "200",
            _ if self.is_of_chat() => "404 chat_not_found",
            "create_schedule" | "get_schedule" | "update_schedule" | "remove_schedule"
            | "run_schedule" | "list_runs" | "create_ticket" | "ai_sdk_send" => {
                "404 chat_not_found"
            }
            "create_chat" => "409 chat_exists",
            "list_chats" | "list_turns" | "list_schedules" | "list_providers" | "stream_all" => {
                "200"
            }
            "get_log" | "list_log_events" | "get_log_event" | "list_projections"
            | "rebuild_projection" | "metrics" => "403 forbidden",
            id => panic!("nobody said what a second person hears from {id}"),
        }
    }
}

pub(super) async fn operations(people: &People) -> Vec<Operation> {
    let document = people.api.get("/openapi.json").await.expect(200);
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().iter();
        let operation = |(method, operation): (&String, &Value)| Operation {
            id: operation["operationId"].as_str().unwrap().to_owned(),
            method: method.to_uppercase().parse().unwrap(),
            path: path.clone(),
        };
        methods.map(operation).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[tokio::test]
async fn no_route_answers_a_stranger() {
    let people = People::new().await;
    let ann = people.ann.reveal();
    let cut = &ann[..ann.len() - 1];
    let strangers = [
        ("no token", None),
        ("an empty token", Some("Bearer ".to_owned())),
        ("garbage", Some("Bearer garbage".to_owned())),
        ("a key without its end", Some(format!("Bearer {cut}"))),
        ("a key's hash", Some(format!("Bearer {}", people.ann.hash().hex()))),
        ("another scheme", Some(format!("Basic {ann}"))),
        ("no scheme", Some(ann.to_owned())),
    ];
    let (mut n_calls, operations) = (0, operations(&people).await);
    for operation in &operations {
        let is_open = OPEN.contains(&operation.id.as_str());
        for (what, header) in &strangers {
            let (path, body) = (operation.path_in(CHAT), operation.body(CHAT));
            let mut request = request(operation.method.clone(), &path, &body);
            if let Some(header) = header {
                request.headers_mut().insert("authorization", header.parse().unwrap());
            }
            let answer = people.api.answer(request).await;
            n_calls += 1;
            match is_open {
                true => assert_eq!(answer.status, 200, "{what}: {path}"),
                false => {
                    assert_eq!(answer.problem(), "401 unauthenticated", "{what}: {path}");
                    assert_eq!(answer.headers["www-authenticate"], "Bearer");
                }
            }
            assert!(is_open || !said(&answer).contains(CHAT), "{what}: {path}");
            assert!(!said(&answer).contains(SECRET) && !said(&answer).contains(ann));
        }
    }
    println!("{} operations, {n_calls} calls of strangers", operations.len());
}

#[tokio::test]
async fn every_route_keeps_a_chat_from_a_second_person() {
    let people = People::new().await;
    let (mut n_chats, operations) = (0, operations(&people).await);
    for operation in operations.iter().filter(|operation| !OPEN.contains(&&*operation.id)) {
        let (expected, id) = (operation.expected(), &operation.id);
        if id == "stream_all" {
            // It does not end: `second_person` reads it.
            continue;
        }
        let bob = async |chat: &str| {
            let (path, body) = (operation.path_in(chat), operation.body(chat));
            people.bob(operation.method.clone(), &path, &body).await
        };
        let answer = bob(CHAT).await;
        match expected.len() {
            3 => assert_eq!(answer.status.to_string(), expected, "{id}: {}", said(&answer)),
            _ => assert_eq!(answer.problem(), expected, "{id}"),
        }
        assert!(!said(&answer).contains(SECRET), "{id}: {}", said(&answer));
        if expected.starts_with("404") || operation.is_of_chat() {
            n_chats += 1;
            if id == "ai_sdk_send" {
                continue; // A chat that is not there would be made.
            }
            // Nothing tells that chat from one that is not there.
            let (there, nowhere) = (said(&answer), said(&bob(NO_CHAT).await));
            assert_eq!(there.replace(CHAT, NO_CHAT), nowhere, "{id}");
        } else if operation.method == Method::GET {
            assert!(!said(&answer).contains(CHAT), "{id}: {}", said(&answer));
        }
    }
    println!("{} operations, {n_chats} of them name a chat", operations.len());
    assert!(n_chats > 30, "the document lists the routes of chats");
}

#[tokio::test]
async fn every_route_lets_its_owner_and_an_admin_in() {
    let people = People::new().await;
    for operation in operations(&people).await {
        if operation.method != Method::GET
            || !["stream_chat", "stream_all", "ai_sdk_resume"].iter().all(|id| operation.id != *id)
        {
            continue;
        }
        let path = operation.path_in(CHAT);
        let admin = people.admin(Method::GET, &path, &Value::Null).await;
        assert_eq!(admin.status, 200, "{path}: {}", said(&admin));
        if operation.is_of_chat() {
            let ann = people.ann(Method::GET, &path, &Value::Null).await;
            assert_eq!(ann.status, 200, "{path}: {}", said(&ann));
        }
    }
}
