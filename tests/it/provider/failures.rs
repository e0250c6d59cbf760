//! The failure matrix: each fault of an endpoint over a real socket, and the typed error for it.

use jiff::fmt::rfc2822::DateTimePrinter;
use scrollback::clock::Clock;
use scrollback::provider::ProviderError;
use scrollback_schema::event::Phase;
use scrollback_test_support::model_server::{
    ModelServer, Step, answer, begun_stream, event_stream,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::turn::{KEY, Outcome, QUESTION, against, frames, provider_at, run};

const KINDS: [&str; 2] = ["openai", "anthropic"];

/// The first words of an answer, in both protocols.
fn begun(kind: &str) -> String {
    frames(match kind {
        "openai" => r#"{"choices":[{"index":0,"delta":{"content":"partial"}}]}"#,
        _ => {
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"partial"}}"#
        }
    })
}

/// Checks an outcome against `CODE PHASE retry|final` and a part of the message.
#[track_caller]
fn expect(outcome: &Outcome, expected: &str, part: &str) {
    let Some(error) = &outcome.failure else { panic!("it did not fail: {}", outcome.words()) };
    let phase = if error.phase == Phase::Setup { "setup" } else { "stream" };
    let retry = if error.retryable { "retry" } else { "final" };
    let found = format!("{} {phase} {retry}", error.code.name());
    assert_eq!(found, expected, "{error}");
    assert!(error.message.contains(part), "{part} is not in: {error}");
    assert_clean(error);
}

/// A message is one sentence without secrets, chat text or paths.
#[track_caller]
fn assert_clean(error: &ProviderError) {
    let all = format!("{error:?} {error}");
    let n_lines = error.message.lines().count();
    assert!(n_lines == 1 && error.message.len() < 300, "{all}");
    for secret in [KEY, "hush", QUESTION, "secret door", "api-version"] {
        assert!(!all.contains(secret), "{all}");
    }
}

/// An endpoint that refuses, and quotes the key and the question while it does.
fn refusal(status: &str, headers: &[&str], kind: &str, code: &str) -> Vec<Step> {
    let message = format!("{KEY} said {QUESTION}");
    let body = serde_json::json!({ "error": { "message": message, "type": kind, "code": code } });
    let mut all = vec!["content-type: application/json"];
    all.extend(headers);
    vec![Step::Send(answer(status, &all, &body.to_string()))]
}

#[tokio::test]
async fn refusals_are_typed() {
    let cases = [
        (
            "404 Not Found",
            "model_not_found",
            "provider_setup setup final",
            "does not know the model",
        ),
        ("400 Bad", "model_not_found", "provider_setup setup final", "model_not_found"),
        ("401 No", "invalid_api_key", "provider_auth setup final", "variable THE_KEY"),
        ("403 No", "", "provider_auth setup final", "HTTP 403"),
        ("429 Slow", "rate_limit_exceeded", "provider_rate_limit setup retry", "come back later"),
        ("429 Slow", "insufficient_quota", "provider_rate_limit setup final", "quota"),
        ("500 Oops", "server_error", "provider_unavailable setup retry", "HTTP 500, server_error"),
        ("503 Busy", "", "provider_unavailable setup retry", "HTTP 503"),
        ("529 Busy", "overloaded_error", "provider_unavailable setup retry", "HTTP 529"),
        ("400 Bad", "context_length_exceeded", "context_overflow setup final", "window"),
        ("400 Bad", "content_filter", "provider_refused setup final", "refused the content"),
        ("418 Pot", KEY, "provider_setup setup final", "refused the request (HTTP 418)"),
    ];
    for kind in KINDS {
        for (status, code, expected, part) in cases {
            expect(&against(kind, refusal(status, &[], "", code)).await, expected, part);
        }
    }
}

#[tokio::test]
async fn a_rate_limit_says_how_long_to_wait() {
    let in_90_s = Clock::System.now().get() + 90_000;
    let soon = jiff::Timestamp::from_millisecond(in_90_s).unwrap();
    let soon = DateTimePrinter::new().timestamp_to_rfc9110_string(&soon).unwrap();
    let cases = [
        ("retry-after: 7".to_owned(), 7..=7),
        ("retry-after-ms: 2000".to_owned(), 2..=2),
        (format!("Retry-After: {soon}"), 60..=90),
    ];
    for (header, seconds) in cases {
        for status in ["429 Slow", "503 Busy"] {
            let outcome = against("openai", refusal(status, &[&header], "", "")).await;
            let wait = outcome.failure.unwrap().retry_after.unwrap();
            assert!(seconds.contains(&wait.as_secs()), "{header}: {wait:?}");
        }
    }
    let outcome = against("openai", refusal("429 Slow", &[], "", "")).await;
    assert_eq!(outcome.failure.unwrap().retry_after, None);
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_is_typed() {
    for kind in KINDS {
        let at = async |base_url: &str, more: &str| run(&*provider_at(kind, base_url, more)).await;
        // A port that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let outcome = at(&format!("http://127.0.0.1:{port}/v1?api-version=1"), "").await;
        expect(
            &outcome,
            "provider_transport setup retry",
            &format!("nothing listens at http://127.0.0.1:{port}"),
        );

        // RFC 2606 keeps this top level empty.
        let outcome = at("http://scrollback.invalid/v1", "connect_timeout_ms = 25000").await;
        expect(
            &outcome,
            "provider_transport setup retry",
            "http://scrollback.invalid has no address",
        );

        // A plain server where TLS is wanted.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/v1", listener.local_addr().unwrap());
        let plain = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let outcome = at(&url, "").await;
        expect(&outcome, "provider_transport setup final", "no TLS connection with https://127");
        plain.await.unwrap();

        // Somebody who takes the connection and never shakes hands.
        let silent = ModelServer::start(vec![Step::Stall]).await;
        let url = format!("https://{}/v1", silent.address());
        let outcome = at(&url, "connect_timeout_ms = 200").await;
        expect(&outcome, "provider_timeout setup retry", "within 200 ms");
    }
}

#[tokio::test]
async fn a_cut_keeps_what_was_said_and_is_typed() {
    for kind in KINDS {
        let begun = begun(kind);
        let whole = vec![Step::Send(event_stream(&begun))];
        let cut = vec![Step::Send(begun_stream(&begun))];
        let in_a_chunk = vec![Step::Send(begun_stream(&format!("{begun}data: {{\"choi")))];
        for steps in [whole, cut, in_a_chunk] {
            let outcome = against(kind, steps).await;
            assert_eq!(outcome.words(), "text:partial | failed:provider_transport");
        }
        let outcome = against(kind, vec![Step::Send(begun_stream(&begun))]).await;
        expect(&outcome, "provider_transport stream retry", "in the middle of its answer");
        // A reset can overtake what was sent just before it.
        let reset = vec![Step::Send(begun_stream(&begun)), Step::Reset];
        let outcome = against(kind, reset).await;
        assert_eq!(outcome.failure.unwrap().code.name(), "provider_transport");
        // Closed before a single byte.
        let outcome = against(kind, vec![]).await;
        expect(&outcome, "provider_transport setup retry", "without an answer");
        // An empty stream was cut too.
        let outcome = against(kind, vec![Step::Send(event_stream(""))]).await;
        expect(&outcome, "provider_transport stream retry", "before it was finished");
    }
}

#[tokio::test]
async fn what_is_not_the_protocol_is_typed() {
    for kind in KINDS {
        let begun = begun(kind);
        for garbage in ["data: {\"choices\": [\n\n", "data: hello\n\n", "data: [1]\n\n"] {
            let steps = vec![Step::Send(event_stream(&format!("{begun}{garbage}")))];
            let outcome = against(kind, steps).await;
            expect(&outcome, "provider_protocol stream retry", "no JSON object");
            assert_eq!(outcome.words(), "text:partial | failed:provider_protocol");
        }
        let steps = vec![Step::Send(event_stream("what is this\n\nno stream\n"))];
        expect(&against(kind, steps).await, "provider_protocol stream retry", "no event stream");

        let with_type = |content_type: &str, body: &str| {
            vec![Step::Send(answer("200 OK", &[&format!("content-type: {content_type}")], body))]
        };
        let steps = with_type("text/html; charset=utf-8", "<html>please log in</html>");
        expect(&against(kind, steps).await, "provider_protocol setup retry", "text/html");
        let steps = with_type("image/hush", "");
        expect(&against(kind, steps).await, "provider_protocol setup retry", "another type");
        let steps = with_type("application/json", r#"{"hello": 1}"#);
        expect(&against(kind, steps).await, "provider_protocol setup retry", "JSON without");
        let steps = with_type("application/json", "{");
        expect(&against(kind, steps).await, "provider_protocol setup retry", "no JSON object");
        let steps = with_type("application/json", r#"{"error": {"code": 401}}"#);
        expect(&against(kind, steps).await, "provider_auth setup final", "HTTP 401");
        // Not HTTP at all.
        let steps = vec![Step::Send(b"220 mail.example ESMTP\r\n".to_vec())];
        expect(&against(kind, steps).await, "provider_transport setup retry", "without an answer");
    }
}

#[tokio::test]
async fn an_error_within_the_stream_is_typed() {
    let cases = [
        (
            r#"{"error":{"code":502,"message":"sk-hush-1234567890"}}"#,
            "provider_unavailable stream retry",
        ),
        (r#"{"error":"secret door"}"#, "provider_unavailable stream retry"),
        (
            r#"{"object":"error","message":"maximum context length is 8","code":400}"#,
            "context_overflow stream final",
        ),
        (
            r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
            "provider_unavailable stream retry",
        ),
        (
            r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#,
            "provider_refused stream final",
        ),
        (
            r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#,
            "provider_unavailable stream retry",
        ),
    ];
    for (line, expected) in cases {
        for prefix in ["data: ", "event: error\ndata: ", ""] {
            if prefix.starts_with("event") && line.contains("choices") {
                continue;
            }
            let body = format!("{}{prefix}{line}\n\n", begun("openai"));
            let outcome = against("openai", vec![Step::Send(event_stream(&body))]).await;
            expect(&outcome, expected, "http://127.0.0.1");
            assert!(outcome.words().starts_with("text:partial | failed:"), "{}", outcome.words());
        }
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = ModelServer::start(vec![Step::Send(event_stream(""))]).await;
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let location = format!("location: {}/chat/completions?key=hush", elsewhere.base_url());
        let steps = vec![Step::Send(answer(status, &[&location], ""))];
        let outcome = against("openai", steps).await;
        expect(&outcome, "provider_setup setup final", "set base_url");
    }
    assert_eq!(elsewhere.seen(), [], "the key went nowhere else");
}
