//! Payloads on the wire: what is taken with its defaults, and what is refused in which words.

use scrollback_schema::Kind;
use scrollback_schema::wire::{parse_payload, write_payload};

/// Reads a payload of a kind, and shows what is kept of it or why it is refused.
fn read(kind: &str, json: &str) -> String {
    match parse_payload(Kind::from_name(kind).unwrap(), json) {
        Ok(event) => {
            let mut out = Vec::new();
            write_payload(&mut out, &event);
            String::from_utf8(out).unwrap()
        }
        Err(error) => error.to_string(),
    }
}

fn check(cases: &[(&str, &str, &str)]) {
    for (kind, json, expected) in cases {
        assert_eq!(read(kind, json), *expected, "{kind} {json}");
    }
}

#[test]
fn what_may_be_left_out_has_a_default() {
    check(&[
        ("complete", "{}", r#"{"status":"completed","duration_ms":0}"#),
        (
            "cancelled",
            r#"{"reason":"send_now","duration_ms":5}"#,
            r#"{"status":"interrupted","reason":"send_now","duration_ms":5}"#,
        ),
        (
            "error",
            r#"{"code":"provider_timeout","message":"no answer"}"#,
            concat!(
                r#"{"code":"provider_timeout","message":"no answer","phase":"stream","#,
                r#""retryable":true,"duration_ms":0}"#
            ),
        ),
        (
            "error",
            r#"{"code":"provider_auth","message":"","phase":"setup","retryable":null}"#,
            concat!(
                r#"{"code":"provider_auth","message":"","phase":"setup","#,
                r#""retryable":false,"duration_ms":0}"#
            ),
        ),
        (
            "schedule_created",
            r#"{"schedule_id":"d1","timing":{"cron":"0 9 * * *"},"prompt":"hi"}"#,
            concat!(
                r#"{"schedule_id":"d1","timing":{"cron":"0 9 * * *","time_zone":"UTC"},"#,
                r#""prompt":"hi","paused":false}"#
            ),
        ),
        ("user_text", r#"{"text":"hi","attachments":[]}"#, r#"{"text":"hi"}"#),
        ("chat_viewed", r#"{"by":null}"#, "{}"),
        ("custom", r#"{"name":"n","data":null}"#, r#"{"name":"n"}"#),
        ("chat_updated", r#"{"title":null}"#, r#"{"title":null}"#),
    ]);
}

#[test]
fn a_percentage_is_within_0_and_100_and_always_there() {
    check(&[
        ("usage", "{}", r#"{"percentage":0.0}"#),
        ("usage", r#"{"context_window":0}"#, r#"{"context_window":0,"percentage":0.0}"#),
        ("usage", r#"{"percentage":250}"#, r#"{"percentage":100.0}"#),
        (
            "usage",
            r#"{"input_tokens":30,"output_tokens":20,"context_window":200}"#,
            r#"{"input_tokens":30,"output_tokens":20,"context_window":200,"percentage":25.0}"#,
        ),
        (
            "usage",
            r#"{"output_tokens":18446744073709551615,"input_tokens":1,"context_window":1}"#,
            concat!(
                r#"{"input_tokens":1,"output_tokens":18446744073709551615,"#,
                r#""context_window":1,"percentage":100.0}"#
            ),
        ),
        (
            "usage",
            r#"{"percentage":0.1,"cost_usd":0.30000000000000004}"#,
            r#"{"percentage":0.1,"cost_usd":0.30000000000000004}"#,
        ),
        ("usage", r#"{"percentage":-1}"#, "payload.percentage: expected a number of 0 or more"),
        ("usage", r#"{"cost_usd":1e999}"#, "payload.cost_usd: expected a number of 0 or more"),
        ("usage", r#"{"cost_usd":"1"}"#, "payload.cost_usd: expected a number of 0 or more"),
        (
            "usage",
            r#"{"input_tokens":1.5}"#,
            "payload.input_tokens: expected a whole number of 0 or more",
        ),
    ]);
}

#[test]
fn a_refusal_names_the_place_and_never_the_text() {
    check(&[
        ("assistant_text", r#""secret""#, "payload: expected an object"),
        ("assistant_text", "{", "payload: not valid JSON at line 1, column 1"),
        ("assistant_text", "{}", "payload.text: expected a string of valid Unicode"),
        (
            "assistant_text",
            r#"{"text":"\ud800"}"#,
            "payload.text: expected a string of valid Unicode",
        ),
        (
            "assistant_text",
            r#"{"text":"secret","text":"secret"}"#,
            "payload.text: given more than once",
        ),
        (
            "assistant_thinking",
            r#"{"thinking":"secret","text":"secret"}"#,
            "payload.text: unknown field; known are: thinking",
        ),
        (
            "assistant_text",
            r#"{"my secret":1,"text":""}"#,
            "payload: unknown field; known are: text",
        ),
        ("complete", r#"{"status":"secret"}"#, "payload.status: expected one of: completed"),
        (
            "cancelled",
            r#"{"status":"completed","reason":"user"}"#,
            "payload.status: expected one of: interrupted",
        ),
        (
            "cancelled",
            "{}",
            "payload.reason: expected one of: user, send_now, shutdown, restart, lease_expired",
        ),
    ]);
}

#[test]
fn a_refusal_within_a_payload_says_where() {
    check(&[
        (
            "plan",
            r#"{"entries":[{"content":"secret","status":"","priority":""},{"content":1}]}"#,
            "payload.entries[1].content: expected a string of valid Unicode",
        ),
        (
            "tool_started",
            r#"{"tool":{"id":"","name":"secret"}}"#,
            "payload.tool.id: expected a string of one character or more",
        ),
        ("tool_started", r#"{"id":"secret"}"#, "payload.id: unknown field; known are: tool"),
        (
            "permission_request",
            r#"{"request_id":"r 1","options":[]}"#,
            "payload.request_id: expected an id of 1 to 128 characters of A-Z a-z 0-9 . _ : -",
        ),
        (
            "permission_request",
            r#"{"request_id":"r1","options":[],"expires_at":1795380720123}"#,
            "payload.expires_at: expected an RFC 3339 instant such as 2026-11-22T20:52:00.123Z",
        ),
        (
            "schedule_created",
            r#"{"schedule_id":"d1","timing":{"every_ms":0},"prompt":""}"#,
            "payload.timing: expected either a cron expression with a time_zone, \
             or every_ms of 1 or more",
        ),
        (
            "schedule_updated",
            r#"{"schedule_id":"d1","timing":{"every_ms":1,"cron":"* * * * *"}}"#,
            "payload.timing: expected either a cron expression with a time_zone, \
             or every_ms of 1 or more",
        ),
        (
            "chat_created",
            r#"{"forked_at_seq":9223372036854775808}"#,
            "payload.forked_at_seq: expected a seq: a whole number of 0 to 9223372036854775807",
        ),
    ]);
}

#[test]
fn bounds_are_counted_in_characters_and_items() {
    let title = |n| format!(r#"{{"title":"{}"}}"#, "é".repeat(n));
    assert_eq!(read("chat_created", &title(1_000)), title(1_000));
    assert_eq!(
        read("chat_updated", &title(1_001)),
        "payload.title: expected a string of at most 1000 characters"
    );
    let list = |n| format!(r#"{{"suggestions":[{}]}}"#, vec![r#""""#; n].join(","));
    assert_eq!(read("prompt_suggestions", &list(1_000)), list(1_000));
    assert_eq!(
        read("prompt_suggestions", &list(1_001)),
        "payload.suggestions: more than 1000 items"
    );
}

#[test]
fn no_line_break_is_written_whatever_was_read() {
    let json = "{\n\"tool\":\r\n{\"id\":\"a\\nb\",\"name\":\"\\r\",\"input\":{\n\"a\":\r[1,\n2]}}}";
    let kept = r#"{"tool":{"id":"a\nb","name":"\r","input":{"a":[1,2]}}}"#;
    check(&[("tool_started", json, kept)]);
}
