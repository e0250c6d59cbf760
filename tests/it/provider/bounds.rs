//! Nothing is read ahead, nothing is kept without a bound, and a dropped turn is let go of.

use futures_util::{FutureExt, StreamExt};
use scrollback_schema::limits;
use scrollback_test_support::model_server::{
    ModelServer, Step, answer, begun_stream, event_stream,
};
use scrollback_test_support::wait::{eventually, within};

use super::turn::{against, asked, frames, provider_at, run};

/// A chunk that is whole and large, of about 100 KiB.
fn large_chunk() -> String {
    let text = "x".repeat(100 << 10);
    frames(&format!(r#"{{"choices":[{{"delta":{{"content":"{text}"}}}}]}}"#))
}

#[tokio::test]
async fn a_dropped_turn_closes_its_connection() {
    let begun = begun_stream(&frames(r#"{"choices":[{"delta":{"content":"a"}}]}"#));
    let server = ModelServer::start(vec![Step::Send(begun), Step::Stall]).await;
    let provider = provider_at("openai", &server.base_url(), "");
    let mut saying = provider.start(asked("hi")).await.unwrap();
    saying.next().await.unwrap().unwrap();
    assert!(saying.next().now_or_never().is_none(), "there is nothing more to hear yet");
    drop(saying);
    server.closed().await;

    // While it still waits for the answer's head.
    let server = ModelServer::start(vec![Step::Stall]).await;
    let provider = provider_at("openai", &server.base_url(), "");
    let mut start = provider.start(asked("hi"));
    let asked_for = eventually("the request to arrive", || {
        let is_there = !server.seen().is_empty();
        std::future::ready(is_there.then_some(()))
    });
    tokio::select! {
        _ = &mut start => panic!("there is no answer"),
        () = asked_for => {}
    }
    drop(start);
    server.closed().await;
}

#[tokio::test]
async fn a_stopped_turn_ends_and_closes_its_connection() {
    let begun = begun_stream(&frames(r#"{"choices":[{"delta":{"content":"a"}}]}"#));
    let server = ModelServer::start(vec![Step::Send(begun), Step::Stall]).await;
    let provider = provider_at("openai", &server.base_url(), "");
    let request = asked("hi");
    let stop = request.stop.clone();
    let mut saying = provider.start(request).await.unwrap();
    saying.next().await.unwrap().unwrap();
    let stopped = async { tokio::join!(saying.next(), async { stop.cancel() }) };
    let (end, ()) = within("the turn to end", stopped).await;
    assert!(end.is_none());
    server.closed().await;

    // Stopped before it was started: nothing is asked.
    let request = asked("hi");
    request.stop.cancel();
    let n_seen = server.seen().len();
    assert!(provider.start(request).await.unwrap().next().await.is_none());
    assert_eq!(server.seen().len(), n_seen);
}

#[tokio::test]
async fn nothing_is_read_ahead_of_who_listens() {
    let head = begun_stream("");
    let head = head.strip_suffix(b"0\r\n\r\n").unwrap().to_vec();
    let chunk = large_chunk();
    let chunk = format!("{:x}\r\n{chunk}\r\n", chunk.len()).into_bytes();
    let server = ModelServer::start(vec![Step::Send(head), Step::Flood(chunk)]).await;
    let provider = provider_at("openai", &server.base_url(), "");
    let mut saying = provider.start(asked("hi")).await.unwrap();
    saying.next().await.unwrap().unwrap();
    // The server floods until the sockets are full; then its count stands still.
    let (mut last, mut n_same) = (0, 0);
    let stood = eventually("the flood to stand", || {
        let before = std::mem::replace(&mut last, server.n_sent());
        n_same = if before == last && last > 0 { n_same + 1 } else { 0 };
        // Many looks in a row, so that a pause of the machine is not taken for a full socket.
        std::future::ready((n_same == 100).then_some(last))
    })
    .await;
    assert!(stood < 32 << 20, "{stood} bytes went somewhere");
    // It flows again for who listens.
    for _ in 0..200 {
        within("more of the flood", saying.next()).await.unwrap().unwrap();
    }
    assert!(server.n_sent() > stood);
    drop(saying);
    server.closed().await;
}

#[tokio::test]
async fn a_chunk_without_an_end_is_given_up() {
    for kind in ["openai", "anthropic"] {
        for flood in ["data: ", "x", "data: x\n", ": a comment without an end"] {
            let head = event_stream("");
            let flood = flood.repeat(9_000);
            let outcome =
                against(kind, vec![Step::Send(head), Step::Flood(flood.into_bytes())]).await;
            let error = outcome.failure.unwrap();
            assert_eq!(error.code.name(), "provider_protocol", "{error}");
            assert!(error.message.contains("without an end"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_refusal_or_a_whole_answer_without_an_end_is_given_up() {
    let head = |status: &str| {
        let headers = ["content-type: application/json"];
        answer(status, &headers, "")
    };
    let flood = vec![b' '; 64 << 10];
    let steps = vec![Step::Send(head("200 OK")), Step::Flood(flood.clone())];
    let error = against("openai", steps).await.failure.unwrap();
    assert_eq!(error.code.name(), "provider_protocol", "{error}");
    for end in [Step::Flood(flood), Step::Stall] {
        let steps = vec![Step::Send(head("500 Oops")), end];
        let error = against("openai", steps).await.failure.unwrap();
        assert_eq!(error.code.name(), "provider_unavailable", "{error}");
    }
}

#[tokio::test]
async fn tool_calls_without_an_end_are_given_up() {
    let piece = "x".repeat(limits::PROVIDER_TOOL_INPUT_BYTES_MAX / 8);
    let chunk = |arguments: &str| {
        frames(&format!(
            r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":0,"id":"a","function":{{"name":"f","arguments":"{arguments}"}}}}]}}}}]}}"#
        ))
    };
    let head = event_stream("");
    let steps = vec![Step::Send(head), Step::Flood(chunk(&piece).into_bytes())];
    let outcome = against("openai", steps).await;
    assert_eq!(outcome.words(), "tool:a f - | failed:output_too_long");
}

#[tokio::test]
async fn turns_share_a_connection() {
    let done = begun_stream(&frames(
        "{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n[DONE]",
    ));
    let end = Step::Send(b"0\r\n\r\n".to_vec());
    let server = ModelServer::start(vec![Step::Send(done), end, Step::KeepOpen]).await;
    let provider = provider_at("openai", &server.base_url(), "");
    for _ in 0..20 {
        assert_eq!(run(&*provider).await.words(), "text:a");
    }
    // A turn may come before the client has put a connection back; hardly any does.
    let (n_turns, n_connections) = (server.seen().len(), server.n_accepted());
    assert!(n_turns == 20 && n_connections < 10, "{n_connections} connections");
}
