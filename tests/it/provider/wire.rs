//! What real endpoints send beside the recordings: variants, oddities, ends of every kind.

use scrollback_test_support::model_server::{
    ModelServer, Step, answer, begun_stream, event_stream,
};

use super::turn::{against, build, frames, of_stream, run};

/// What a stream of these chunks says.
#[track_caller]
fn check(chunks: &str, expected: &str) -> impl Future<Output = ()> {
    let (body, expected) = (frames(chunks), expected.to_owned());
    let caller = std::panic::Location::caller();
    async move {
        let outcome = of_stream("openai", &body).await;
        assert_eq!(outcome.words(), expected, "{caller}: {:?}", outcome.failure);
    }
}

#[tokio::test]
async fn reasoning_comes_under_many_names_and_once() {
    check(
        r#"{"choices":[{"delta":{"role":"assistant","content":"","reasoning_content":null}}]}
{"choices":[{"delta":{"reasoning_content":"a","content":null}}]}
{"choices":[{"delta":{"reasoning":"b","reasoning_content":"b"}}]}
{"choices":[{"delta":{"reasoning":"c","reasoning_details":[{"type":"x","text":"c"}]}}]}
{"choices":[{"delta":{"reasoning_details":[{"type":"x","text":"d"},{"summary":"e"}]}}]}
{"choices":[{"delta":{"thinking":"f"}}]}
{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"text":"g"}]}]}}]}
{"choices":[{"delta":{"content":[{"type":"text","text":"done"}]},"finish_reason":"stop"}]}
[DONE]"#,
        "thinking:abcdefg | text:done",
    )
    .await;
}

#[tokio::test]
async fn odd_chunks_are_passed_over() {
    check(
        r#"{"choices":[],"prompt_filter_results":[{"content_filter_results":{}}]}
{"choices":null,"usage":null}
{}
{"error":null,"choices":[{"index":0,"delta":{"role":"model","content":"a"},"finish_reason":null}]}
{"error":{},"choices":[{"index":0,"delta":null,"finish_reason":""}]}
{"error":"","choices":[{"index":0,"delta":{},"finish_reason":"null"}]}
{"choices":[{"index":1,"delta":{"content":"another answer"}},{"delta":{"content":7}}]}
{"choices":[{"index":0,"delta":{"content":"b","refusal":null,"tool_calls":null}}]}
{"choices":[{"delta":{"refusal":"no"},"message":{"content":"abno"},"finish_reason":"mystery"}]}
{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":null}}"#,
        "text:abno | usage:3+-",
    )
    .await;
}

#[tokio::test]
async fn tool_calls_are_left_to_the_reader_and_the_turn_ends_well() {
    check(
        r#"{"choices":[{"delta":{"content":"let me see"}}]}
{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}}]}
{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":""}}]}}]}
{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"q\": [1]}"}}]}}]}
{"choices":[{"delta":{},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        r#"text:let me see | tool:a f - | tool:b g - | tool:a f {"q":[1]} | usage:1+2"#,
    )
    .await;
    check(
        r#"{"choices":[{"delta":{"function_call":{"name":"f","arguments":"{}"}},"finish_reason":"function_call"}]}"#,
        "tool:call_0 f - | tool:call_0 f {}",
    )
    .await;
}

#[tokio::test]
async fn an_answer_ends_when_the_model_has_finished_however_the_connection_does() {
    let finished = frames(r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#);
    let pings = b"7\r\n: ping\n\r\n".to_vec();
    for end in [vec![], vec![Step::Reset], vec![Step::Stall], vec![Step::Flood(pings)]] {
        let mut steps = vec![Step::Send(begun_stream(&finished))];
        steps.extend(end);
        assert_eq!(against("openai", steps).await.words(), "text:a");
    }
    // `[DONE]` is an end without a reason.
    check("{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n[DONE]", "text:a").await;
    // Without any content: what that means is left to the turn runner.
    check(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, "").await;
}

#[tokio::test]
async fn a_cut_answer_keeps_what_was_said_and_is_no_whole_one() {
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":6}}"#;
    for reason in ["length", "model_length", "MAX_TOKENS"] {
        let cut =
            format!(r#"{{"choices":[{{"delta":{{"content":"a"}},"finish_reason":"{reason}"}}]}}"#);
        check(&cut, "text:a | failed:output_too_long").await;
        check(&format!("{cut}\n{usage}\n[DONE]"), "text:a | usage:5+6 | failed:output_too_long")
            .await;
    }
    // All of it went into reasoning.
    let thought = r#"{"choices":[{"delta":{"reasoning_content":"hm"},"finish_reason":"length"}]}"#;
    check(thought, "thinking:hm | failed:output_too_long").await;
    let body = r#"{"choices":[{"message":{"content":"hello"},"finish_reason":"length"}],
        "usage":{"prompt_tokens":5,"completion_tokens":6}}"#;
    let whole = answer("200 OK", &["content-type: application/json"], body);
    let outcome = against("openai", vec![Step::Send(whole)]).await;
    assert_eq!(outcome.words(), "text:hello | usage:5+6 | failed:output_too_long");
    let failure = outcome.failure.unwrap();
    assert!(!failure.retryable && failure.message.contains("limit of tokens"), "{failure:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_is_heard() {
    let body = r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant",
        "content":"hello","reasoning_content":"hm","tool_calls":[{"id":"a","type":"function",
        "function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":5,"completion_tokens":6}}"#;
    let whole = answer("200 OK", &["content-type: application/json; charset=utf-8"], body);
    let outcome = against("openai", vec![Step::Send(whole)]).await;
    assert_eq!(outcome.words(), "thinking:hm | text:hello | tool:a f - | tool:a f {} | usage:5+6");
}

#[tokio::test]
async fn a_stream_without_a_type_is_heard() {
    let body = frames(r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#);
    for headers in [&[][..], &["content-type: text/plain"], &["Content-Type: Text/Event-Stream"]] {
        let steps = vec![Step::Send(answer("200 OK", headers, &body))];
        assert_eq!(against("openai", steps).await.words(), "text:a");
    }
}

#[tokio::test]
async fn what_a_turn_cost_is_said_or_counted() {
    let end = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"usage":USAGE}"#;
    let usages = [
        (r#"{"prompt_tokens":10,"completion_tokens":2,"cost":0.5}"#, "usage:10+2 $0.5"),
        (
            r#"{"prompt_tokens":10,"completion_tokens":2,"cost":{"total_cost":0.25}}"#,
            "usage:10+2 $0.25",
        ),
        (
            r#"{"prompt_tokens":1,"completion_tokens":2,"total_tokens":9,"cost_in_usd_ticks":10000000000}"#,
            "usage:1+8 $1",
        ),
        (r#"{"prompt_tokens":1000000,"completion_tokens":500000}"#, "usage:1000000+500000 $3"),
    ];
    for (usage, expected) in usages {
        let body = frames(&end.replace("USAGE", usage));
        let steps = vec![Step::Send(event_stream(&body))];
        let server = ModelServer::start(steps).await;
        let provider = build(&format!(
            "kind = 'openai'\nbase_url = '{}'\nmodel = 'm1'\n\
             input_usd_per_million = 1\noutput_usd_per_million = 4",
            server.base_url()
        ));
        let outcome = run(&*provider.unwrap()).await;
        assert_eq!(outcome.words(), format!("text:a | {expected}"));
    }
}
