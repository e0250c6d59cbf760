//! The routes of the Vercel AI SDK: what is sent, resumed, stopped and loaded, and never twice.
//!
//! The SDK itself talks to them in `tests/ai-sdk`.

use axum::body::Body;
use axum::http::{Method, Request};
use scrollback_test_support::wait::{eventually, within};
use serde_json::{Value, json};

use super::api::{Answer, Stream, request};
use crate::turns::room::Room;

/// Says half of its answer, and the rest once somebody allows it.
const GATE: &str = "pace_ms = 0\n[[step]]\nthink = 'Hm.'\n[[step]]\nsay = 'One two'\n[[step]]\n\
                    [step.permission]\nid = 'gate'\noptions = [{ option_id = 'go', name = 'Go', \
                    kind = 'allow_once' }]\n[[step]]\nsay = ' three.'\n";
const HELLO: &str = "pace_ms = 0\n[[step]]\nsay = 'Hello there'\n";
const FAILS: &str = "pace_ms = 0\n[[step]]\nsay = 'Half'\n[[step]]\n\
                     fail = { code = 'provider_transport', message = 'it broke' }\n";

async fn room() -> Room {
    Room::new("", &[("gate", GATE), ("hello", HELLO), ("fails", FAILS)]).await
}

fn message(id: &str, text: &str, provider: &str) -> Value {
    let message = json!({ "id": id, "role": "user", "parts": [{ "type": "text", "text": text }] });
    json!({ "id": "c1", "messages": [message], "trigger": "submit-message", "provider": provider })
}

/// The chunks of a whole answer, a line each.
fn chunks(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.headers["x-vercel-ai-ui-message-stream"], "v1");
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    text.split_terminator("\n\n").filter_map(line).collect()
}

/// A chunk as a line; what every answer begins with and metadata are left out.
fn line(frame: &str) -> Option<String> {
    let data = frame.strip_prefix("data: ").unwrap().trim_end();
    if data == "[DONE]" {
        return Some("done".to_owned());
    }
    let chunk: Value = serde_json::from_str(data).unwrap();
    let kind = chunk["type"].as_str().unwrap();
    let said = ["delta", "errorText", "reason"].iter().find_map(|name| chunk[*name].as_str());
    let said = said.map(|said| format!(" {said}")).unwrap_or_default();
    let is_told = !["start", "message-metadata"].contains(&kind);
    is_told.then(|| format!("{kind}{said}"))
}

/// The lines of a stream up to one, included; heartbeats do not prolong the wait.
async fn until(stream: &mut Stream, last: &str) -> Vec<String> {
    let lines = async {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != last) {
            let frame = stream.next().await;
            let frame = frame.unwrap_or_else(|| panic!("{last} comes after {lines:?}"));
            lines.extend(line(&frame));
        }
        lines
    };
    within(last, lines).await
}

/// Opens the gate of the one turn that waits for it.
async fn open(room: &Room) {
    let request = eventually("a request", async || {
        let list = room.api.get("/v1/chats/c1/requests").await.expect(200);
        list["items"][0]["request_id"].as_str().map(str::to_owned)
    })
    .await;
    let path = format!("/v1/chats/c1/requests/{request}/respond");
    room.api.post(&path, &json!({ "option_id": "go" })).await.expect(200);
}

async fn loaded(room: &Room) -> Vec<Value> {
    let list = room.api.get("/api/chat/c1/messages").await.expect(200);
    list.as_array().unwrap().clone()
}

fn texts(messages: &[Value]) -> Vec<String> {
    let text = |message: &Value| {
        let parts = message["parts"].as_array().unwrap();
        let texts = parts.iter().filter(|part| part["type"] == "text");
        texts.map(|part| part["text"].as_str().unwrap()).collect::<String>()
    };
    messages.iter().map(|m| format!("{} {}", m["role"].as_str().unwrap(), text(m))).collect()
}

const LATE: [&str; 6] = [
    "reasoning-start",
    "reasoning-delta Hm.",
    "reasoning-end",
    "text-start",
    "text-delta One two",
    "data-request",
];
/// An answered request closes no text: what was said before it goes on.
const REST: [&str; 5] = ["data-request", "text-delta  three.", "text-end", "finish", "done"];

#[tokio::test]
async fn a_message_is_answered_with_its_turn_in_a_chat_that_was_not_there() {
    let room = room().await;
    let mut body = message("u1", "Hi", "hello");
    body["id"] = json!("new");
    let answer = room.api.post("/api/chat", &body).await;
    assert_eq!(chunks(&answer).concat(), "text-starttext-delta Hello theretext-endfinishdone");
    let list = room.api.get("/v1/chats/new/messages").await.expect(200);
    assert_eq!(list["items"][0]["id"], "u1");
    assert_eq!(list["items"][1]["content_text"], "Hello there");
    assert_eq!(room.api.get("/v1/chats/new").await.expect(200)["title"], "Hi");
}

#[tokio::test]
async fn the_same_message_again_is_told_the_same_turn() {
    let room = room().await;
    let body = message("u1", "Hi", "gate");
    let post = || request(Method::POST, "/api/chat", &body);
    let mut first = room.api.stream_with(post()).await;
    until(&mut first, "data-request").await;
    let mut second = room.api.stream_with(post()).await;
    assert_eq!(until(&mut second, "data-request").await, LATE);
    open(&room).await;
    assert_eq!(until(&mut first, "done").await, REST);
    assert_eq!(until(&mut second, "done").await, REST);
    let third = room.api.answer(post()).await;
    let expected = [
        "reasoning-start",
        "reasoning-delta Hm.",
        "reasoning-end",
        "text-start",
        "text-delta One two three.",
        "text-end",
        "finish",
        "done",
    ];
    assert_eq!(chunks(&third), expected);
    let told = room.events().await;
    assert_eq!(told.iter().filter(|event| event.starts_with("user_text")).count(), 1);
}

#[tokio::test]
async fn a_message_sent_twice_at_once_is_one() {
    let room = room().await;
    let body = message("u1", "Hi", "hello");
    let (one, other) =
        tokio::join!(room.api.post("/api/chat", &body), room.api.post("/api/chat", &body));
    assert_eq!(chunks(&one).last().unwrap(), "done");
    assert_eq!(chunks(&other).last().unwrap(), "done");
    assert_eq!(texts(&loaded(&room).await), ["user Hi", "assistant Hello there"]);
}

#[tokio::test]
async fn who_leaves_does_not_stop_the_turn_and_resumes_it() {
    let room = room().await;
    let resume = || Request::get("/api/chat/c1/stream").body(Body::empty()).unwrap();
    assert_eq!(room.api.answer(resume()).await.status, 204);
    let post = request(Method::POST, "/api/chat", &message("u1", "Hi", "gate"));
    let mut first = room.api.stream_with(post).await;
    until(&mut first, "data-request").await;
    drop(first);
    let mut resumed = room.api.stream_with(resume()).await;
    assert_eq!(until(&mut resumed, "data-request").await, LATE);
    let open_part = loaded(&room).await[1]["parts"][1].clone();
    assert_eq!(open_part, json!({ "type": "text", "text": "One two", "state": "streaming" }));
    open(&room).await;
    assert_eq!(until(&mut resumed, "done").await, REST);
    assert_eq!(resumed.next().await, None);
    room.idle().await;
    assert_eq!(room.api.answer(resume()).await.status, 204);
    assert_eq!(texts(&loaded(&room).await), ["user Hi", "assistant One two three."]);
}

#[tokio::test]
async fn a_failure_is_told_live_and_to_who_comes_later() {
    let room = room().await;
    let told = chunks(&room.api.post("/api/chat", &message("u1", "Hi", "fails")).await);
    assert_eq!(told, ["text-start", "text-delta Half", "text-end", "error it broke", "done"]);
    assert_eq!(chunks(&room.api.get("/api/chat/c1/stream").await), told);
    let messages = loaded(&room).await;
    assert_eq!(texts(&messages), ["user Hi", "assistant Half"]);
    let error = &messages[1]["metadata"]["error"];
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("provider_transport"), &json!("it broke"))
    );
    assert_eq!(messages[1]["metadata"]["stream_status"], "failed");
}

#[tokio::test]
async fn a_turn_is_stopped_by_its_chat() {
    let room = room().await;
    let post = request(Method::POST, "/api/chat", &message("u1", "Hi", "gate"));
    let mut stream = room.api.stream_with(post).await;
    until(&mut stream, "data-request").await;
    let stopped = room.api.post("/api/chat/c1/stop", &Value::Null).await.expect(202);
    assert!(stopped["turn_id"].is_string(), "{stopped}");
    let rest = until(&mut stream, "done").await;
    assert_eq!(rest[rest.len() - 2..], ["abort user", "done"]);
    room.idle().await;
    let again = room.api.post("/api/chat/c1/stop", &json!({})).await.expect(202);
    assert_eq!(again["turn_id"], Value::Null);
    assert_eq!(room.api.get("/api/chat/c1/stream").await.status, 204);
    assert_eq!(loaded(&room).await[1]["metadata"]["interrupt_reason"], "user");
    assert_eq!(
        room.api.post("/api/chat/c9/stop", &json!({})).await.problem(),
        "404 chat_not_found"
    );
}

#[tokio::test]
async fn another_answer_takes_the_place_of_the_first() {
    let room = room().await;
    room.api.post("/api/chat", &message("u1", "Hi", "fails")).await;
    room.api.post("/api/chat", &message("u2", "And?", "hello")).await;
    let mut body = message("u1", "Hi", "hello");
    body["trigger"] = json!("regenerate-message");
    let told = chunks(&room.api.post("/api/chat", &body).await);
    assert_eq!(told, ["text-start", "text-delta Hello there", "text-end", "finish", "done"]);
    assert_eq!(texts(&loaded(&room).await), ["user Hi", "assistant Hello there"]);
    let list = room.api.get("/v1/chats/c1/messages").await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 5, "nothing leaves the log");
}

#[tokio::test]
async fn an_edited_message_is_a_new_one_and_only_once() {
    let room = room().await;
    room.api.post("/api/chat", &message("u1", "Hi", "hello")).await;
    for _ in 0..2 {
        let told = chunks(&room.api.post("/api/chat", &message("u1", "Ho", "hello")).await);
        assert_eq!(told.last().unwrap(), "done");
    }
    let expected = ["user Hi", "assistant Hello there", "user Ho", "assistant Hello there"];
    assert_eq!(texts(&loaded(&room).await), expected);
}

#[tokio::test]
async fn messages_come_in_pages_back_in_time() {
    let room = room().await;
    assert_eq!(room.api.get("/api/chat/c9/messages").await.expect(200), json!([]));
    for n in 1..=3 {
        room.api.post("/api/chat", &message(&format!("u{n}"), &format!("{n}"), "hello")).await;
    }
    let page = room.api.get("/api/chat/c1/messages?limit=4").await;
    let next = page.headers["x-scrollback-next-cursor"].to_str().unwrap().to_owned();
    let texts_of = |page: Value| texts(page.as_array().unwrap());
    assert_eq!(texts_of(page.expect(200))[0], "user 2");
    let page = room.api.get(&format!("/api/chat/c1/messages?limit=4&cursor={next}")).await;
    assert!(!page.headers.contains_key("x-scrollback-next-cursor"));
    assert_eq!(texts_of(page.expect(200)), ["user 1", "assistant Hello there"]);
}

#[tokio::test]
async fn what_cannot_be_done_is_a_problem() {
    let room = room().await;
    let post = async |body: &Value| room.api.post("/api/chat", body).await.problem();
    assert_eq!(post(&json!({ "id": "c1", "messages": [] })).await, "422 bad_body");
    assert_eq!(post(&json!({ "id": "c 1", "messages": [] })).await, "400 bad_id");
    assert_eq!(post(&message("u1", "Hi", "nobody")).await, "422 provider_unknown");
    let open = request(Method::POST, "/api/chat", &message("u1", "Hi", "gate"));
    let mut stream = room.api.stream_with(open).await;
    until(&mut stream, "data-request").await;
    assert_eq!(post(&message("u2", "Hi", "hello")).await, "409 chat_busy");
    room.api.call(Method::DELETE, "/v1/chats/c1", &Value::Null).await;
    let rest = until(&mut stream, "done").await;
    assert!(rest.iter().any(|line| line == "error the chat was deleted"), "{rest:?}");
    assert_eq!(post(&message("u3", "Hi", "hello")).await, "410 chat_deleted");
    for path in ["/api/chat/c1/stream", "/api/chat/c1/messages"] {
        assert_eq!(room.api.get(path).await.problem(), "410 chat_deleted");
    }
}
