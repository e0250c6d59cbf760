//! Streams: which frames come, in which order, and when they end.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use super::api::Api;

/// A chat with one turn that said `a`, `b`, `c` and is over.
async fn recorded(chat: &str) -> Api {
    let api = Api::new().await;
    let lease = api.turn(chat, "t1").await;
    api.say(chat, &lease, 1, &["a", "b", "c"]).await;
    let end = json!([{ "kind": "complete", "payload": { "duration_ms": 5 } }]);
    api.append(chat, &lease, 4, &end).await.expect(200);
    api
}

const REPLAY: [&str; 8] = [
    "- hello 7",
    "1 stream c1 chat_created",
    "2 stream c1 user_text go",
    "3 stream c1 stream_started",
    "4 stream c1 assistant_text a",
    "5 stream c1 assistant_text b",
    "6 stream c1 assistant_text c",
    "7 stream c1 complete",
];

#[tokio::test]
async fn a_replay_is_hello_then_every_event_then_caught_up() {
    let api = recorded("c1").await;
    let mut stream = api.stream("/v1/chats/c1/stream").await;
    let headers = &stream.headers;
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-cache, no-transform");
    assert_eq!(headers["x-accel-buffering"], "no");
    assert_eq!(stream.lines(8).await, REPLAY);
    assert_eq!(stream.line().await.unwrap(), "7 caught_up 7");
}

#[tokio::test]
async fn a_data_frame_is_the_envelope_and_nothing_else() {
    let api = recorded("c1").await;
    let mut stream = api.stream("/v1/chats/c1/stream?after_seq=4").await;
    let hello = stream.next().await.unwrap();
    assert!(hello.starts_with("retry: ") && hello.contains("\nevent: hello\n"), "{hello}");
    assert_eq!(
        stream.next().await.unwrap(),
        "id: 5\nevent: stream\ndata: {\"chatId\":\"c1\",\"messageId\":\"m-t1\",\"streamId\":\"t1\",\
         \"seq\":5,\"at\":\"2026-11-22T20:52:00.123Z\",\"kind\":\"assistant_text\",\
         \"payload\":{\"text\":\"b\"}}\n\n"
    );
}

#[tokio::test]
async fn a_reader_cut_anywhere_goes_on_from_there() {
    let api = recorded("c1").await;
    for cut in 0..=7usize {
        let request = Request::get("/v1/chats/c1/stream?after_seq=1")
            .header("last-event-id", cut.to_string())
            .body(Body::empty())
            .unwrap();
        let mut stream = api.stream_with(request).await;
        assert_eq!(stream.line().await.unwrap(), "- hello 7");
        assert_eq!(stream.lines(7 - cut).await, REPLAY[1 + cut..], "cut after {cut}");
        assert_eq!(stream.line().await.unwrap(), "7 caught_up 7");
    }
}

#[tokio::test]
async fn live_events_follow_the_replay_on_the_same_stream() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    let mut stream = api.stream("/v1/chats/c1/stream?after_seq=3").await;
    assert_eq!(stream.lines(2).await, ["- hello 3", "3 caught_up 3"]);
    api.say("c1", &lease, 1, &["a"]).await;
    assert_eq!(stream.line().await.unwrap(), "4 stream c1 assistant_text a");
    api.turn("c2", "t2").await;
    api.say("c1", &lease, 2, &["b"]).await;
    assert_eq!(stream.line().await.unwrap(), "8 stream c1 assistant_text b");
}

#[tokio::test]
async fn an_empty_chat_is_caught_up_at_the_head() {
    let api = recorded("c1").await;
    api.post("/v1/chats", &json!({ "chat_id": "c2" })).await;
    let mut stream = api.stream("/v1/chats/c2/stream?after_seq=8").await;
    assert_eq!(stream.lines(2).await, ["- hello 8", "8 caught_up 8"]);
}

#[tokio::test]
async fn a_quiet_connection_hears_that_it_has_everything() {
    let api = recorded("c1").await;
    let mut stream = api.stream("/v1/chats/c1/stream?after_seq=7").await;
    assert_eq!(stream.lines(2).await, ["- hello 7", "7 caught_up 7"]);
    api.post("/v1/chats", &json!({ "chat_id": "c2" })).await;
    tokio::time::pause();
    assert_eq!(stream.line().await.unwrap(), "8 caught_up 8");
}

#[tokio::test]
async fn a_snapshot_comes_first_and_the_stream_goes_on_from_it() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    api.say("c1", &lease, 1, &["a", "b"]).await;
    let mut stream = api.stream("/v1/chats/c1/stream?snapshot=true").await;
    stream.next().await.unwrap();
    let snapshot = stream.next().await.unwrap();
    assert!(snapshot.starts_with("event: snapshot\ndata: "), "{snapshot}");
    let data: Value = serde_json::from_str(snapshot.split_once("data: ").unwrap().1).unwrap();
    assert_eq!((&data["as_of_seq"], &data["chat"]["id"]), (&json!(5), &json!("c1")));
    assert_eq!(data["messages"][1]["content_text"], "ab");
    assert_eq!(stream.line().await.unwrap(), "5 caught_up 5");
    api.say("c1", &lease, 3, &["c"]).await;
    assert_eq!(stream.line().await.unwrap(), "6 stream c1 assistant_text c");
}

#[tokio::test]
async fn a_reader_that_comes_back_gets_events_and_no_snapshot() {
    let api = recorded("c1").await;
    let request = Request::get("/v1/chats/c1/stream?snapshot=true")
        .header("last-event-id", "6")
        .body(Body::empty())
        .unwrap();
    let mut stream = api.stream_with(request).await;
    assert_eq!(stream.lines(2).await, ["- hello 7", "7 stream c1 complete"]);
}

#[tokio::test]
async fn a_cursor_of_another_log_or_ahead_of_the_head_is_a_resync() {
    let api = recorded("c1").await;
    let mut stream = api.stream("/v1/chats/c1/stream?after_seq=8").await;
    let expected = ["- hello 7", "- resync cursor_ahead 7", "- snapshot 7", "7 caught_up 7"];
    assert_eq!(stream.lines(4).await, expected);
    let mut stream = api.stream("/v1/chats/c1/stream?after_seq=3&log_id=other").await;
    let expected = ["- hello 7", "- resync other_log 7", "- snapshot 7", "7 caught_up 7"];
    assert_eq!(stream.lines(4).await, expected);
    let path = format!("/v1/chats/c1/stream?after_seq=6&log_id={}", api.log.log_id());
    let mut stream = api.stream(&path).await;
    assert_eq!(stream.lines(2).await, ["- hello 7", "7 stream c1 complete"]);
    let mut stream = api.stream("/v1/stream?after_seq=9").await;
    let expected = ["- hello 7", "- resync cursor_ahead 7", "- snapshot 7", "7 caught_up 7"];
    assert_eq!(stream.lines(4).await, expected);
}

#[tokio::test]
async fn until_idle_ends_after_the_open_turn() {
    let api = recorded("c1").await;
    let lease = api.turn("c1", "t2").await;
    let mut stream = api.stream("/v1/chats/c1/stream?until=idle&after_seq=6").await;
    let expected = [
        "- hello 9",
        "7 stream c1 complete",
        "8 stream c1 user_text go",
        "9 stream c1 stream_started",
    ];
    assert_eq!(stream.lines(4).await, expected);
    assert_eq!(stream.line().await.unwrap(), "9 caught_up 9");
    let end = json!([
        { "kind": "assistant_text", "payload": { "text": "x" } },
        { "kind": "complete", "payload": { "duration_ms": 5 } },
    ]);
    api.append("c1", &lease, 1, &end).await.expect(200);
    api.turn("c1", "t3").await;
    let expected = ["10 stream c1 assistant_text x", "11 stream c1 complete", "- bye idle"];
    assert_eq!(stream.rest().await, expected);
}

#[tokio::test]
async fn until_idle_ends_at_once_where_no_turn_is_open() {
    let api = recorded("c1").await;
    let mut stream = api.stream("/v1/chats/c1/stream?until=idle").await;
    assert_eq!(stream.lines(8).await, REPLAY);
    assert_eq!(stream.rest().await, ["7 caught_up 7", "- bye idle"]);
    let mut stream = api.stream("/v1/chats/c1/stream?until=idle&snapshot=true").await;
    let expected = ["- hello 7", "- snapshot 7", "7 caught_up 7", "- bye idle"];
    assert_eq!(stream.rest().await, expected);
}

#[tokio::test]
async fn a_shutdown_says_bye() {
    let api = recorded("c1").await;
    let mut stream = api.stream("/v1/chats/c1/stream?after_seq=7").await;
    assert_eq!(stream.lines(2).await, ["- hello 7", "7 caught_up 7"]);
    api.app.stop();
    assert_eq!(stream.rest().await, ["- bye shutdown"]);
}

#[tokio::test]
async fn the_combined_feed_shows_new_chats_by_itself() {
    let api = recorded("c1").await;
    let mut stream = api.stream("/v1/stream?after_seq=6").await;
    let expected = ["- hello 7", "7 stream c1 complete", "7 caught_up 7"];
    assert_eq!(stream.lines(3).await, expected);
    api.turn("c2", "t2").await;
    let expected =
        ["8 stream c2 chat_created", "9 stream c2 user_text go", "10 stream c2 stream_started"];
    assert_eq!(stream.lines(3).await, expected);
}

#[tokio::test]
async fn a_combined_feed_of_some_chats_leaves_the_others_out() {
    let api = recorded("c1").await;
    let lease = api.turn("c2", "t2").await;
    let mut stream = api.stream("/v1/stream?after_seq=6&chats=c2,unknown").await;
    let expected = [
        "- hello 10",
        "8 stream c2 chat_created",
        "9 stream c2 user_text go",
        "10 stream c2 stream_started",
        "10 caught_up 10",
    ];
    assert_eq!(stream.lines(5).await, expected);
    api.turn("c1", "t3").await;
    api.say("c2", &lease, 1, &["x"]).await;
    assert_eq!(stream.line().await.unwrap(), "13 stream c2 assistant_text x");
}

#[tokio::test]
async fn a_deleted_chat_ends_its_streams_and_is_skipped_by_feeds() {
    let api = recorded("c1").await;
    let mut open = api.stream("/v1/chats/c1/stream?after_seq=7").await;
    assert_eq!(open.lines(2).await, ["- hello 7", "7 caught_up 7"]);
    api.call(Method::DELETE, "/v1/chats/c1", &Value::Null).await.expect(200);
    assert_eq!(open.rest().await, ["8 stream c1 chat_deleted", "- bye chat_deleted"]);
    api.post("/v1/chats", &json!({ "chat_id": "c2" })).await.expect(201);
    let mut feed = api.stream("/v1/stream").await;
    let expected =
        ["- hello 9", "8 stream c1 chat_deleted", "9 stream c2 chat_created", "9 caught_up 9"];
    assert_eq!(feed.lines(4).await, expected);
}

#[tokio::test]
async fn head_asks_for_headers_and_starts_no_stream() {
    let api = recorded("c1").await;
    for path in ["/v1/chats/c1/stream", "/v1/stream"] {
        let answer = api.answer(Request::head(path).body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
        assert_eq!(answer.headers["content-type"], "text/event-stream");
    }
    let metrics = api.get("/metrics").await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains("scrollback_readers 0\n"), "{text}");
}

#[tokio::test]
async fn a_slow_reader_misses_nothing() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    let mut stream = api.stream("/v1/chats/c1/stream?after_seq=3").await;
    assert_eq!(stream.lines(2).await, ["- hello 3", "3 caught_up 3"]);
    let texts: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
    for (n, page) in texts.chunks(50).enumerate() {
        let page: Vec<&str> = page.iter().map(String::as_str).collect();
        api.say("c1", &lease, n as u64 * 50 + 1, &page).await;
    }
    for n in 0..5_000u64 {
        let mut line = stream.line().await.unwrap();
        while line.contains(" caught_up ") {
            line = stream.line().await.unwrap();
        }
        assert_eq!(line, format!("{} stream c1 assistant_text {n}", n + 4));
    }
}
