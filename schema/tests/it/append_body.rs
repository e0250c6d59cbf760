//! Bodies of appends: what a producer may say, and where a refused one went wrong.

use scrollback_schema::Kind;
use scrollback_schema::event::{AssistantText, Complete, Event};
use scrollback_schema::limits::APPEND_EVENTS_MAX;
use scrollback_schema::wire::{AppendBody, parse_append};

fn body(events: &str) -> String {
    format!(r#"{{"lease":"L.1","first_number":7,"events":[{events}]}}"#)
}

fn text(text: &str) -> Event {
    Event::AssistantText(AssistantText { text: text.to_owned() })
}

#[test]
fn a_body_is_read_in_any_order_with_any_white_space() {
    let expected = AppendBody {
        lease: "L.1".into(),
        first_number: 7,
        events: vec![text("a\nb"), text(""), Event::Complete(Complete { duration_ms: 0 })],
    };
    for json in [
        body(
            r#"{"kind":"assistant_text","payload":{"text":"a\nb"}},
               {"kind":"assistant_text","payload":{"text":""}},
               {"kind":"complete","payload":{}}"#,
        ),
        r#" { "events" : [ { "payload" : { "text" : "a\u000ab" } , "kind" : "assistant_text" } ,
             {"kind":"assistant\u005ftext","payload":{"text":""}},
             {"kind":"complete","payload":{"status":"completed","duration_ms":0}} ] ,
             "first_number" : 7 , "lease" : "\u004c.1" } "#
            .to_owned(),
    ] {
        assert_eq!(parse_append(json.as_bytes()).unwrap(), expected, "{json}");
    }
}

#[test]
fn an_append_without_events_is_a_sign_of_life() {
    assert_eq!(parse_append(body("").as_bytes()).unwrap().events, []);
}

#[test]
fn a_producer_appends_what_its_turn_says() {
    let allowed: Vec<&str> = Kind::ALL
        .iter()
        .map(|kind| kind.name())
        .filter(|name| {
            let json = body(&format!(r#"{{"kind":"{name}","payload":{{}}}}"#));
            let refused = parse_append(json.as_bytes()).err().map(|e| e.problem.code());
            refused != Some("kind_not_allowed")
        })
        .collect();
    assert_eq!(
        allowed,
        [
            "assistant_text",
            "assistant_thinking",
            "tool_started",
            "tool_completed",
            "tool_failed",
            "plan",
            "prompt_suggestions",
            "usage",
            "session",
            "permission_request",
            "elicitation_request",
            "complete",
            "cancelled",
            "error",
            "custom",
        ]
    );
}

fn check(json: &str, index: Option<usize>, expected: &str) {
    let error = parse_append(json.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), expected, "{json}");
    assert_eq!(error.index, index, "{json}");
}

#[test]
fn a_refused_event_is_named_by_its_index() {
    const GOOD: &str = r#"{"kind":"assistant_text","payload":{"text":"secret"}},"#;
    for (event, expected) in [
        (r#"{"kind":"assistant_text"}"#, "events[1].payload: expected an object"),
        (
            r#"{"kind":"assistant_text","payload":{"text":7}}"#,
            "events[1].payload.text: expected a string of valid Unicode",
        ),
        (
            r#"{"kind":"assistant_text","payload":{"text":"secret","more":"secret"}}"#,
            "events[1].payload.more: unknown field; known are: text",
        ),
        (
            r#"{"kind":"assistant_text","payload":{"text":"secret"},"seq":1}"#,
            "events[1].seq: unknown field; known are: kind, payload",
        ),
        (
            r#"{"kind":"assistant_text","payload":{"text":"a"},"payload":{"text":"b"}}"#,
            "events[1].payload: given more than once",
        ),
        (r#"{"kind":"secret","payload":{}}"#, "events[1].kind: unknown kind"),
        (r#"{"kind":"unknown","payload":{}}"#, "events[1].kind: unknown kind"),
        (
            r#"{"kind":"user_text","payload":{"text":"secret"}}"#,
            "events[1].kind: user_text is not appended by a producer",
        ),
        (r#"{"payload":{}}"#, "events[1].kind: expected a string of valid Unicode"),
        (r#""secret""#, "events[1]: expected an object"),
        (
            r#"{"kind":"tool_started","payload":{"tool":{"id":"a","name":"b","input":1e999}}}"#,
            "events[1].payload.tool.input: \
             expected JSON of valid Unicode that nests at most 100 levels",
        ),
    ] {
        check(&body(&format!("{GOOD}{event}")), Some(1), expected);
    }
}

#[test]
fn a_refused_body_is_named_by_its_field() {
    for (json, expected) in [
        ("", "body: not valid JSON at line 1, column 0"),
        ("null", "body: expected an object"),
        ("{}", "lease: expected a string of one character or more"),
        (
            r#"{"lease":"","first_number":1,"events":[]}"#,
            "lease: expected a string of one \
            character or more",
        ),
        (
            r#"{"lease":"a","first_number":0,"events":[]}"#,
            "first_number: expected a whole number \
            of 1 or more",
        ),
        (
            r#"{"lease":"a","first_number":1.0,"events":[]}"#,
            "first_number: expected a whole \
            number of 1 or more",
        ),
        (r#"{"lease":"a","first_number":1,"events":{}}"#, "events: expected a list"),
        (r#"{"lease":"a","first_number":1}"#, "events: expected a list"),
        (
            r#"{"lease":"a","first_number":1,"events":[]}x"#,
            "body: not valid JSON at line 1, \
            column 43",
        ),
        (
            r#"{"lease":"a","first_number":1,"events":[],"two words":1}"#,
            "body: unknown field; \
            known are: lease, first_number, events",
        ),
    ] {
        check(json, None, expected);
    }
    assert_eq!(
        parse_append(b"{\"lease\":\"\xff\"}").unwrap_err().to_string(),
        "body: expected JSON in UTF-8"
    );
    let cut = body(r#"{"kind":"assistant_text","payload":{"text":"secret"#);
    assert_eq!(parse_append(cut.as_bytes()).unwrap_err().problem.code(), "malformed_json");
}

#[test]
fn a_body_has_a_bound() {
    let many = vec![r#"{"kind":"complete","payload":{}}"#; APPEND_EVENTS_MAX + 1];
    let full = body(&many[1..].join(","));
    assert_eq!(parse_append(full.as_bytes()).unwrap().events.len(), APPEND_EVENTS_MAX);
    check(&body(&many.join(",")), None, "events: more than 10000 items");
}
