//! The short way of an append: a request that came by a socket is answered as the router does.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use scrollback::http::{bind, serve};
use scrollback_test_support::client::Client;
use scrollback_test_support::wait::within;
use serde_json::json;

use super::api::Api;

/// One request: method, path, headers, body.
type Sent<'a> = (Method, &'a str, &'a [(&'a str, &'a str)], String);

#[tokio::test]
async fn an_append_by_a_socket_is_answered_as_by_the_router() {
    const JSON: (&str, &str) = ("content-type", "application/json");
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    let body = |lease: &str, number: u64| {
        let event = json!({ "kind": "assistant_text", "payload": { "text": "a" } });
        json!({ "lease": lease, "first_number": number, "events": [event] }).to_string()
    };
    let events = "/v1/chats/c1/events";
    // Each is answered the same however often it is sent.
    let cases: &[Sent<'_>] = &[
        (Method::POST, events, &[JSON], body(&lease, 1)),
        (Method::POST, events, &[JSON, ("idempotency-key", "k")], body(&lease, 2)),
        (Method::POST, events, &[JSON, ("idempotency-key", "k")], body(&lease, 3)),
        (Method::POST, events, &[JSON, ("idempotency-key", "a b")], body(&lease, 3)),
        (Method::POST, events, &[JSON], body(&lease, 9)),
        (Method::POST, events, &[JSON], body("nobody's", 3)),
        (Method::POST, events, &[JSON], "{".to_owned()),
        (Method::POST, events, &[("content-type", "text/plain")], body(&lease, 3)),
        (Method::POST, events, &[], String::new()),
        (Method::POST, "/v1/chats/c2/events", &[JSON], body(&lease, 3)),
        (Method::POST, "/v1/chats/c%31/events", &[JSON], body(&lease, 1)),
        (Method::POST, "/v1/chats/c!/events", &[JSON], body(&lease, 1)),
        (Method::POST, "/v1/chats//events", &[JSON], body(&lease, 1)),
        (Method::POST, "/v1/chats/c1/x/events", &[JSON], body(&lease, 1)),
        (Method::PUT, events, &[JSON], body(&lease, 1)),
    ];
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let client = Client::new(&format!("http://{}", listener.addr()));
    let server = tokio::spawn(serve(listener, api.app.clone(), Duration::ZERO));
    for (method, path, headers, body) in cases {
        let mut routed = Request::builder().method(method).uri(*path);
        let mut by_socket = client.request(method.clone(), path).body(body.clone());
        for (name, value) in *headers {
            routed = routed.header(*name, *value);
            by_socket = by_socket.header(*name, *value);
        }
        let by_socket = Client::send(by_socket).await;
        let routed = api.answer(routed.body(Body::from(body.clone())).unwrap()).await;
        let media_type = routed.headers["content-type"].to_str().unwrap();
        assert_eq!(
            (by_socket.status, by_socket.media_type.as_str(), by_socket.body),
            (routed.status, media_type, routed.json()),
            "{method} {path} {headers:?} {body}"
        );
    }
    assert_eq!(api.log.head().get(), 5, "two events came in, each of them once");
    api.app.stop();
    within("the server's end", server).await.unwrap();
}
