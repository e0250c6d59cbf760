//! Anthropic's Messages API: what its stream says, and its errors within a stream.

use scrollback_test_support::model_server::{ModelServer, Step, answer, event_stream};
use serde_json::json;

use super::turn::{against, frames, of_stream, provider_at, run};

const ANSWER: &str = r#"
{"type":"message_start","message":{"content":[],"usage":{"input_tokens":10,"output_tokens":1}}}
{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}
{"type":"ping"}
{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}
{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQB"}}
{"type":"content_block_stop","index":0}
{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}
{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Let me "}}
{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"look"}}
{"type":"content_block_stop","index":1}
{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}
{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}
{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"q\":"}}
{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":" 1}"}}
{"type":"content_block_stop","index":2}
{"type":"something_new","index":9}
{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":42}}
{"type":"message_stop"}"#;

const SAID: &str = r#"thinking:hm | text:Let me look | tool:toolu_1 f - | tool:toolu_1 f {"q":1}"#;

#[tokio::test]
async fn text_thinking_tools_and_usage_are_heard() {
    let outcome = of_stream("anthropic", &frames(ANSWER.trim())).await;
    assert_eq!(outcome.words(), format!("{SAID} | usage:10+42"));
    // The last event is missing, or its connection stays open.
    let unclosed = frames(ANSWER.trim().rsplit_once('\n').unwrap().0);
    let steps = vec![Step::Send(event_stream(&unclosed)), Step::Stall];
    let outcome = against("anthropic", steps).await;
    assert_eq!(outcome.words(), format!("{SAID} | usage:10+42"));
}

#[tokio::test]
async fn tokens_of_the_cache_are_read_too() {
    let usage = json!({
        "input_tokens": 10, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 100,
        "output_tokens": 1,
    });
    let start = json!({ "type": "message_start", "message": { "usage": usage } });
    let stop = r#"{"type":"message_stop"}"#;
    assert_eq!(
        of_stream("anthropic", &frames(&format!("{start}\n{stop}"))).await.words(),
        "usage:115+1"
    );
}

#[tokio::test]
async fn a_whole_message_is_heard() {
    let body = json!({
        "type": "message",
        "content": [
            { "type": "thinking", "thinking": "hm" },
            { "type": "text", "text": "Let me look" },
            { "type": "tool_use", "id": "toolu_1", "name": "f", "input": { "q": 1 } },
        ],
        "stop_reason": "tool_use",
        "usage": { "input_tokens": 1, "output_tokens": 2 },
    });
    let head = ["content-type: application/json"];
    let steps = vec![Step::Send(answer("200 OK", &head, &body.to_string()))];
    assert_eq!(against("anthropic", steps).await.words(), format!("{SAID} | usage:1+2"));
}

#[tokio::test]
async fn errors_within_the_stream_keep_what_was_said() {
    let begun =
        ANSWER.trim().split("{\"type\":\"content_block_start\",\"index\":1").next().unwrap();
    let cases = [
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            "provider_unavailable",
            true,
        ),
        (
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"x"}}"#,
            "provider_rate_limit",
            true,
        ),
        (
            r#"{"type":"error","error":{"type":"api_error","message":"x"}}"#,
            "provider_unavailable",
            true,
        ),
        (
            r#"{"type":"message_delta","delta":{"stop_reason":"refusal"}}"#,
            "provider_refused",
            false,
        ),
    ];
    for (last, code, retryable) in cases {
        let outcome = of_stream("anthropic", &frames(&format!("{begun}{last}"))).await;
        assert_eq!(outcome.words(), format!("thinking:hm | usage:10+1 | failed:{code}"));
        assert_eq!(outcome.failure.unwrap().retryable, retryable);
    }
    let cut = " | failed:output_too_long";
    for (reason, failed) in [
        ("end_turn", ""),
        ("stop_sequence", ""),
        ("pause_turn", ""),
        ("max_tokens", cut),
        ("model_context_window_exceeded", cut),
    ] {
        let last = json!({ "type": "message_delta", "delta": { "stop_reason": reason } });
        let outcome = of_stream("anthropic", &frames(&format!("{begun}{last}"))).await;
        assert_eq!(outcome.words(), format!("thinking:hm | usage:10+1{failed}"), "{reason}");
    }
}

#[tokio::test]
async fn a_request_is_what_the_api_wants() {
    let server = ModelServer::start(vec![Step::Send(event_stream(&frames(ANSWER.trim())))]).await;
    let more = "system_prompt = 'be kind'\nrequest = { temperature = 0 }";
    run(&*provider_at("anthropic", &server.base_url(), more)).await;
    let seen = &server.seen()[0];
    assert_eq!(seen.call, "POST /v1/messages");
    for header in ["x-api-key: sk-hush-1234567890", "anthropic-version: 2023-06-01"] {
        assert!(seen.headers.contains(&header.to_owned()), "{:?}", seen.headers);
    }
    assert!(!seen.headers.iter().any(|header| header.starts_with("authorization")));
    assert_eq!(
        seen.body,
        json!({
            "model": "m1", "max_tokens": 8192, "stream": true, "temperature": 0,
            "system": "be kind",
            "messages": [{ "role": "user", "content": super::turn::QUESTION }],
        })
    );
}
