//! Whatever is wrong with a call: the right status, a stable code, a sentence that names the part.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use super::api::{Api, request};

#[tokio::test]
async fn every_wrong_path_and_parameter_has_its_code() {
    let api = Api::new().await;
    api.turn("c1", "t1").await;
    let long = "x".repeat(129);
    let cases = [
        ("/v1/chats/", "404 route_not_found"),
        ("/v1/chats/c1/nothing", "404 route_not_found"),
        ("/v1/chats/unknown", "404 chat_not_found"),
        ("/v1/chats/unknown/messages", "404 chat_not_found"),
        ("/v1/chats/unknown/events", "404 chat_not_found"),
        ("/v1/chats/unknown/stream", "404 chat_not_found"),
        ("/v1/chats/unknown/status", "404 chat_not_found"),
        ("/v1/chats/a%2Fb", "400 bad_id"),
        ("/v1/chats/%ff", "400 bad_id"),
        (&format!("/v1/chats/{long}"), "400 bad_id"),
        ("/v1/chats/c1/messages/a%20b", "400 bad_id"),
        ("/v1/chats/c1/messages/unknown", "404 message_not_found"),
        ("/v1/chats/c1/messages?at_seq=4", "416 position_ahead"),
        ("/v1/chats/c1/messages?at_seq=x", "400 bad_cursor"),
        ("/v1/chats/c1/messages?cursor=x", "400 bad_cursor"),
        ("/v1/chats/c1/messages?limit=501", "400 bad_query"),
        ("/v1/chats?cursor=x", "400 bad_cursor"),
        ("/v1/chats?limit=0", "400 bad_query"),
        ("/v1/chats?limit=1&limit=2", "400 bad_query"),
        ("/v1/chats/c1/events?after_seq=4", "416 position_ahead"),
        ("/v1/chats/c1/events?after_seq=-1", "400 bad_cursor"),
        ("/v1/chats/c1/events?kind=nothing", "400 bad_query"),
        ("/v1/chats/c1/events?limit=1001", "400 bad_query"),
        ("/v1/chats/c1/stream?after_seq=abc", "400 bad_cursor"),
        ("/v1/chats/c1/stream?after_seq=", "400 bad_cursor"),
        ("/v1/chats/c1/stream?after_seq=9223372036854775808", "400 bad_cursor"),
        ("/v1/chats/c1/stream?until=never", "400 bad_query"),
        ("/v1/chats/c1/stream?snapshot=maybe", "400 bad_query"),
        ("/v1/stream?after_seq=1.5", "400 bad_cursor"),
        ("/v1/stream?chats=a%20b", "400 bad_id"),
        ("/v1/turns?open=false", "400 bad_query"),
    ];
    for (path, expected) in cases {
        assert_eq!(api.get(path).await.problem(), expected, "{path}");
    }
    let request = Request::get("/v1/chats/c1/stream").header("last-event-id", "nine");
    let answer = api.answer(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.problem(), "400 bad_cursor");
}

#[tokio::test]
async fn every_wrong_body_has_its_code() {
    let api = Api::new().await;
    api.turn("c1", "t1").await;
    let head = api.log.head();
    let cases = [
        (Method::POST, "/v1/chats", "{", "400 bad_json"),
        (Method::POST, "/v1/chats", "[]", "422 bad_body"),
        (Method::POST, "/v1/chats", r#"{"chat_id":"a/b"}"#, "400 bad_id"),
        (Method::POST, "/v1/chats", r#"{"chat_id":7}"#, "422 bad_body"),
        (Method::POST, "/v1/chats", r#"{"chat_id":"c1"}"#, "409 chat_exists"),
        (Method::POST, "/v1/chats", r#"{"title":7}"#, "422 bad_body"),
        (Method::PATCH, "/v1/chats/c1", "{}", "422 bad_body"),
        (Method::PATCH, "/v1/chats/unknown", r#"{"title":"x"}"#, "404 chat_not_found"),
        (Method::DELETE, "/v1/chats/unknown", "", "404 chat_not_found"),
        (Method::POST, "/v1/chats/unknown/viewed", "", "404 chat_not_found"),
        (Method::POST, "/v1/chats/unknown/fork", "{}", "404 chat_not_found"),
        (Method::POST, "/v1/chats/c1/fork", r#"{"at_seq":-1}"#, "422 bad_body"),
        (Method::POST, "/v1/chats/c1/turns", "{}", "422 bad_body"),
        (Method::POST, "/v1/chats/c1/turns", r#"{"text":"x"}"#, "422 bad_body"),
        (
            Method::POST,
            "/v1/chats/c1/turns",
            r#"{"text":"","provider":"external"}"#,
            "422 bad_body",
        ),
        (Method::POST, "/v1/chats/c1/turns", r#"{"text":"x","if_busy":"x"}"#, "422 bad_body"),
        (Method::POST, "/v1/chats/c1/events", "{}", "422 bad_body"),
        (Method::POST, "/v1/chats/c1/events", "nonsense", "400 bad_json"),
        (
            Method::POST,
            "/v1/chats/unknown/turns",
            r#"{"text":"x","provider":"external"}"#,
            "404 chat_not_found",
        ),
        (Method::POST, "/v1/chats/c1", "{}", "405 method_not_allowed"),
        (Method::PUT, "/v1/chats", "{}", "405 method_not_allowed"),
        (Method::POST, "/healthz", "{}", "405 method_not_allowed"),
    ];
    for (method, path, body, expected) in cases {
        let call = Request::builder()
            .method(&method)
            .uri(path)
            .header("content-type", "application/json")
            .body(Body::from(body))
            .unwrap();
        assert_eq!(api.answer(call).await.problem(), expected, "{method} {path} {body}");
    }
    assert_eq!(api.log.head(), head, "nothing was stored");
}

#[tokio::test]
async fn a_body_of_another_type_or_over_the_limit_is_refused() {
    let api = Api::new().await;
    let mut call = request(Method::POST, "/v1/chats", &json!({}));
    call.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(api.answer(call).await.problem(), "415 unsupported_media_type");
    let mut call = request(Method::POST, "/v1/chats", &json!({}));
    call.headers_mut().remove("content-type");
    assert_eq!(api.answer(call).await.problem(), "415 unsupported_media_type");
    let large = Value::from("x".repeat(scrollback_schema::limits::HTTP_BODY_BYTES_MAX));
    let answer = api.post("/v1/chats", &large).await;
    assert_eq!(answer.problem(), "413 body_too_large");
    let mut call = request(Method::POST, "/v1/chats", &json!({}));
    call.headers_mut().insert("content-length", "99999999999".parse().unwrap());
    assert_eq!(api.answer(call).await.problem(), "413 body_too_large");
}

#[tokio::test]
async fn a_problem_names_its_subject() {
    let api = Api::new().await;
    let cases = [
        ("/v1/chats/c9", "chat c9 does not exist"),
        ("/v1/nothing", "nothing is at /v1/nothing; /openapi.json lists the routes"),
        (
            "/v1/chats/c9/events?after_seq=x",
            "after_seq: a seq is a whole number of 0 or more, in decimal digits",
        ),
    ];
    for (path, detail) in cases {
        assert_eq!(api.get(path).await.json()["detail"], detail);
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let api = Api::new().await;
    let answer = api.call(Method::PUT, "/v1/chats", &json!({})).await;
    let allowed = answer.headers["allow"].to_str().unwrap().to_owned();
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
}

#[tokio::test]
async fn health_and_metrics_tell_the_truth() {
    let api = Api::new().await;
    api.turn("c1", "t1").await;
    let ok = json!({ "status": "ok", "reasons": [], "faults": [] });
    assert_eq!(api.get("/healthz").await.expect(200), ok);
    assert_eq!(api.get("/readyz").await.expect(200), ok);
    let metrics = api.get("/metrics").await;
    assert!(
        metrics.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics")
    );
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    let families = [
        "scrollback_appends_total 2",
        "scrollback_events_total 3",
        "scrollback_commit_seconds_count 2",
        "scrollback_commit_events_count 2",
        "scrollback_head_seq 3",
        "scrollback_readers 0",
        "scrollback_sse_bytes_total 0",
        "scrollback_sse_frames_total 0",
        "scrollback_projection_lag_events{projection=\"messages\"}",
        "scrollback_projection_lag_seconds{projection=\"messages\"}",
        "scrollback_projection_parked_chats{projection=\"messages\"} 0",
        "scrollback_log_bytes ",
        "scrollback_wal_bytes ",
        "scrollback_archive_bytes ",
        "scrollback_archive_segments ",
        "scrollback_archived_seq ",
    ];
    for family in families {
        assert!(text.contains(family), "{family} is not in\n{text}");
    }
    api.app.stop();
    let stopping = api.get("/readyz").await.expect(503);
    assert_eq!(stopping["reasons"], json!(["the server is shutting down"]));
    api.log.close().await;
    assert_eq!(api.get("/healthz").await.expect(503)["status"], "unavailable");
}
