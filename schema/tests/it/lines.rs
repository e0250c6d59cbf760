//! Lines of an export lose nothing, and a line that nobody exported is refused.

use scrollback_schema::wire::{envelope_of, parse_line, write_line};
use scrollback_schema::{Body, Kind, Recorded};

use crate::golden::recorded;

const HEAD: &str = r#"{"chatId":"c1","messageId":"m2","streamId":"t1","seq":42,"#;
const AT: &str = r#""at":"2026-11-22T20:52:00.123Z","#;

fn line(rest: &str) -> String {
    format!("{HEAD}{AT}{rest}}}")
}

fn event(body: Body) -> Recorded {
    let text = line(r#""kind":"assistant_text","payload":{"text":""}"#);
    Recorded { body, ..recorded(parse_line(&text).unwrap()) }
}

fn check(body: &Body, rest: &str) {
    let mut out = Vec::new();
    write_line(&mut out, &event(body.clone()));
    assert_eq!(String::from_utf8(out).unwrap(), line(rest) + "\n");
    assert_eq!(parse_line(&line(rest)).unwrap().body, *body);
}

#[test]
fn an_erased_event_keeps_its_place_and_kind() {
    let kind = Kind::AssistantText.number();
    check(&Body::Erased { kind }, r#""erased":true,"kind":"assistant_text","payload":null"#);
    check(&Body::Erased { kind: 9_999 }, r#""erased":true,"kind":9999,"payload":null"#);
    assert_eq!(envelope_of(&event(Body::Erased { kind })), None);
    assert_eq!(envelope_of(&event(Body::Unread { kind })), None);
}

#[test]
fn an_unknown_event_keeps_every_byte() {
    let all: Vec<u8> = (0..=255).rev().collect();
    let digits: String = all.iter().map(|b| format!("{b:02x}")).collect();
    check(
        &Body::Unknown { kind: 9_999, version: 255, payload: all },
        &format!(r#""kind":"unknown","payload":{{"kind":9999,"version":255,"data":"{digits}"}}"#),
    );
    check(
        &Body::Unknown { kind: 21, version: 2, payload: Vec::new() },
        r#""kind":"unknown","payload":{"kind":21,"version":2,"data":""}"#,
    );
}

#[test]
fn what_was_unknown_where_it_was_exported_is_read_where_it_is_known() {
    let text = line(r#""kind":"unknown","payload":{"kind":21,"version":1,"data":"01024f4b"}"#);
    let known = parse_line(&line(r#""kind":"assistant_text","payload":{"text":"OK"}"#)).unwrap();
    assert_eq!(parse_line(&text).unwrap(), known);
}

#[test]
fn the_order_of_fields_and_white_space_do_not_matter() {
    let text = " {\"payload\" : {\"text\":\"OK\"}, \"kind\":\"assistant_text\", \"seq\": 42,\t\
                \"at\":\"2026-11-22T21:52:00.123+01:00\", \"chatId\":\"c1\"}\r\n";
    let read = parse_line(text).unwrap();
    assert_eq!((read.message, read.turn), (None, None));
    assert_eq!(read.at.to_string(), "2026-11-22T20:52:00.123Z");
}

#[test]
fn a_line_that_nobody_exported_is_refused() {
    for (text, expected) in [
        (String::new(), "line: not valid JSON at line 1, column 0"),
        ("[]".to_owned(), "line: expected an object"),
        (HEAD.to_owned(), "line: not valid JSON at line 1, column 57"),
        (line(r#""kind":"unheard","payload":{}"#), "kind: unknown kind"),
        (line(r#""kind":21,"payload":{"text":""}"#), "kind: expected a string of valid Unicode"),
        (line(r#""kind":"assistant_text","payload":null"#), "payload: expected an object"),
        (
            line(r#""erased":true,"kind":"assistant_text","payload":{"text":"secret"}"#),
            "payload: expected null, since it is erased",
        ),
        (
            line(r#""kind":"unknown","payload":{"kind":21,"version":1,"data":"0103"}"#),
            "payload.data: expected the hexadecimal digits of a stored payload",
        ),
        (
            // A custom fact whose data is no JSON would break the line that it is shown in.
            line(r#""kind":"unknown","payload":{"kind":70,"version":1,"data":"010161010161"}"#),
            "payload.data: expected the hexadecimal digits of a stored payload",
        ),
        (
            line(r#""kind":"unknown","payload":{"kind":70000,"version":1,"data":""}"#),
            "payload.kind: expected a whole number of 0 to 65535",
        ),
        (
            line(r#""kind":"complete","payload":{}"#).replace("42", "-1"),
            "seq: expected a seq: a whole number of 0 to 9223372036854775807",
        ),
        (
            line(r#""kind":"complete","payload":{}"#).replace("c1", "c 1"),
            "chatId: expected an id of 1 to 128 characters of A-Z a-z 0-9 . _ : -",
        ),
    ] {
        assert_eq!(parse_line(&text).unwrap_err().to_string(), expected, "{text}");
    }
}
