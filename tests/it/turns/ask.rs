//! Approvals and questions: durable, answered once by anybody, expired, put aside.

use axum::http::Method;
use scrollback_test_support::wait::{eventually, let_live};
use serde_json::{Value, json};

use super::room::{Room, n_ends};

const ASKS: &str = "pace_ms = 0\n[[step]]\nsay = 'May I? '\n[[step]]\n[step.permission]\nid = 'p'\n\
    options = [{ option_id = 'yes', name = 'Yes', kind = 'allow_once' }, \
    { option_id = 'no', name = 'No', kind = 'reject_once' }]\n\
    [[step.permission.on.yes]]\nsay = 'Done.'\n\
    [[step.permission.on.denied]]\nsay = 'Denied.'\n\
    [[step.permission.on.expired]]\nsay = 'Expired.'\n\
    [[step.permission.on.else]]\nsay = 'Else.'\n";

const QUESTION: &str = "pace_ms = 0\n[[step]]\n[step.question]\nid = 'q'\nmessage = 'Which?'\n\
    schema = { type = 'string' }\n\
    [[step.question.on.selected]]\nsay = 'You chose {answer}.'\n\
    [[step.question.on.else]]\nsay = 'No answer.'\n";

/// The request that waits, once there is one.
async fn pending(room: &Room) -> Value {
    eventually("a request", async || {
        let list = room.api.get("/v1/chats/c1/requests").await.expect(200);
        list["items"].get(0).cloned()
    })
    .await
}

fn path(request: &Value) -> String {
    format!("/v1/chats/c1/requests/{}/respond", request["request_id"].as_str().unwrap())
}

#[tokio::test]
async fn an_answer_goes_on_with_the_turn_once() {
    let room = Room::new("", &[("p", ASKS)]).await;
    let started = room.start("p").await;
    let request = pending(&room).await;
    assert_eq!(room.status().await["pending_requests"], 1);
    let body = json!({ "option_id": "yes", "by": "phone" });
    let answer = room.api.post(&path(&request), &body).await.expect(200);
    assert_eq!(
        (&answer["outcome"], &answer["request_id"]),
        (&json!("selected"), &request["request_id"])
    );
    assert_eq!(room.api.post(&path(&request), &body).await.problem(), "409 request_answered");
    let message = room.ended(&started).await;
    assert_eq!(message["content_text"], "May I? Done.");
    assert_eq!(room.api.post(&path(&request), &body).await.problem(), "409 request_answered");
    let events = room.events().await;
    assert_eq!(events.iter().filter(|e| e.starts_with("permission_resolved")).count(), 1);
    assert_eq!(n_ends(&events), 1);
}

#[tokio::test]
async fn of_many_answers_at_once_one_counts() {
    let room = Room::new("", &[("p", ASKS)]).await;
    let started = room.start("p").await;
    let request = pending(&room).await;
    let (path, yes, no) =
        (path(&request), json!({ "option_id": "yes" }), json!({ "outcome": "denied" }));
    let (a, b, c) = tokio::join!(
        room.api.post(&path, &yes),
        room.api.post(&path, &no),
        room.api.post(&path, &yes)
    );
    let mut statuses = [a.status, b.status, c.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409]);
    room.ended(&started).await;
    let events = room.events().await;
    assert_eq!(events.iter().filter(|e| e.starts_with("permission_resolved")).count(), 1);
}

#[tokio::test]
async fn a_key_answers_once() {
    let room = Room::new("", &[("p", ASKS)]).await;
    let started = room.start("p").await;
    let path = path(&pending(&room).await);
    let (body, other) = (json!({ "option_id": "yes" }), json!({ "option_id": "no" }));
    let [first, again, refused] = room.api.thrice(Method::POST, &path, &body, &other).await;
    assert_eq!((first.status, again.status, first.json()), (200, 200, again.json()));
    assert_eq!(refused.problem(), "409 idempotency_key_reused");
    assert_eq!(room.ended(&started).await["content_text"], "May I? Done.");
}

#[tokio::test]
async fn a_denial_and_a_dismissal_go_their_own_ways() {
    for (body, said) in [
        (json!({ "outcome": "denied" }), "May I? Denied."),
        (json!({ "outcome": "dismissed" }), "May I? Else."),
        (json!({ "option_id": "no" }), "May I? Else."),
    ] {
        let room = Room::new("", &[("p", ASKS)]).await;
        let started = room.start("p").await;
        room.api.post(&path(&pending(&room).await), &body).await.expect(200);
        assert_eq!(room.ended(&started).await["content_text"], said);
    }
}

#[tokio::test]
async fn a_question_is_answered_with_content() {
    let room = Room::new("", &[("p", QUESTION)]).await;
    let started = room.start("p").await;
    let request = pending(&room).await;
    assert_eq!((&request["type"], &request["message"]), (&json!("elicitation"), &json!("Which?")));
    let refused = room.api.post(&path(&request), &json!({ "option_id": "x" })).await;
    assert_eq!(refused.problem(), "422 bad_body");
    room.api.post(&path(&request), &json!({ "content": "red" })).await.expect(200);
    assert_eq!(room.ended(&started).await["content_text"], "You chose red.");
}

#[tokio::test]
async fn a_wrong_answer_is_refused_and_the_request_waits_on() {
    let room = Room::new("", &[("p", ASKS)]).await;
    room.start("p").await;
    let request = pending(&room).await;
    let refused = async |body: Value| room.api.post(&path(&request), &body).await.problem();
    assert_eq!(refused(json!({ "option_id": "maybe" })).await, "422 bad_body");
    assert_eq!(refused(json!({ "outcome": "selected" })).await, "422 bad_body");
    assert_eq!(refused(json!({ "outcome": "expired" })).await, "422 bad_body");
    assert_eq!(refused(json!({})).await, "422 bad_body");
    let denied = json!({ "outcome": "denied" });
    let unknown = room.api.post("/v1/chats/c1/requests/r9/respond", &denied).await;
    assert_eq!(unknown.problem(), "404 request_not_found");
    assert_eq!(room.status().await["pending_requests"], 1);
}

#[tokio::test]
async fn time_stands_still_while_a_person_is_asked() {
    let turns = "idle_timeout_ms = 60\ntotal_timeout_ms = 5000";
    let room = Room::new(turns, &[("p", ASKS)]).await;
    let started = room.start("p").await;
    let request = pending(&room).await;
    // Several times as long as the provider may be silent.
    let_live(std::time::Duration::from_millis(300)).await;
    room.api.post(&path(&request), &json!({ "option_id": "yes" })).await.expect(200);
    assert_eq!(room.ended(&started).await["content_text"], "May I? Done.");
}

#[tokio::test]
async fn a_stop_puts_the_request_aside_before_the_end() {
    let room = Room::new("", &[("p", ASKS)]).await;
    let started = room.start("p").await;
    let request = pending(&room).await;
    assert_eq!(room.stop(&started).await, 202);
    assert_eq!(room.ended(&started).await["interrupt_reason"], "user");
    let events = room.events().await;
    let end = ["cancel_requested", "permission_resolved dismissed", "cancelled user"];
    assert_eq!(events[events.len() - 3..], end, "{events:?}");
    let late = room.api.post(&path(&request), &json!({ "option_id": "yes" })).await;
    assert_eq!(late.problem(), "409 request_answered");
}
