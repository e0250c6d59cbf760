//! A decoder that shares no code with the one in use reads what is stored.
//!
//! A struct is stored as a tuple of its fields, a choice as its number, so tuples mirror the
//! payloads here. If the decoder in use is ever lost, this is the way out.

use wincode::config::{Configuration, deserialize};

use crate::golden::{golden_dir, unhex};

fn golden(name: &str) -> Vec<u8> {
    let hex = std::fs::read_to_string(golden_dir().join(name)).unwrap();
    let bytes = unhex(hex.trim_end());
    assert_eq!(bytes[0], 1, "the format byte");
    bytes[1..].to_vec()
}

macro_rules! check {
    ($name:literal, $type:ty, $expected:expr $(,)?) => {
        let config = Configuration::default().with_varint_encoding();
        let bytes = golden($name);
        let found: $type = deserialize(&bytes, config).unwrap();
        let expected: $type = $expected;
        assert_eq!(found, expected, $name);
        let again = wincode::config::serialize(&expected, config).unwrap();
        assert_eq!(again, bytes, "{} is made of the same bytes", $name);
    };
}

type Usage = (Option<u64>, Option<u64>, Option<u64>, Option<f64>, Option<f64>);
type Schedule = (String, u32, u64, String, Option<String>, Option<String>, bool);
type Tool = (
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn texts_read_back() {
    check!("assistant_text/v1-full.hex", (String,), ("Hel".to_owned(),));
    check!("assistant_text/v1-minimal.hex", (String,), (String::new(),));
    check!("assistant_text/v1-long.hex", (String,), ("0123456789".repeat(30),));
}

#[test]
fn optional_fields_and_numbers_of_every_width_read_back() {
    check!(
        "usage/v1-full.hex",
        Usage,
        (Some(1_200), Some(u64::MAX), Some(200_000), Some(12.5), Some(0.0123)),
    );
    check!("complete/v1-full.hex", (u64,), (1_234,));
    check!("cancelled/v1-full.hex", (u32, u64), (4, 9_007_199_254_740_993));
    check!(
        "schedule_fired/v1-full.hex",
        (String, i64, Option<String>, u64, Option<String>),
        ("d1".to_owned(), 1_795_424_400_000, some("t3"), 2, some("the chat was busy")),
    );
}

#[test]
fn choices_and_lists_read_back() {
    check!(
        "error/v1-full.hex",
        (u32, String, u32, bool, u64),
        (2, "429: slow down".to_owned(), 2, true, 17),
    );
    check!(
        "plan/v1-full.hex",
        (Vec<(String, String, String)>,),
        (vec![
            ("look".to_owned(), "completed".to_owned(), "high".to_owned()),
            ("leap".to_owned(), "pending".to_owned(), "low".to_owned()),
        ],),
    );
    check!(
        "schedule_created/v1-minimal.hex",
        Schedule,
        ("d1".to_owned(), 1, 60_000, String::new(), None, None, false),
    );
}

#[test]
fn free_json_reads_back_as_its_text() {
    check!(
        "tool_failed/v1-full.hex",
        Tool,
        (
            "call_1".to_owned(),
            "read_file".to_owned(),
            some("Read README.md"),
            some("call_0"),
            some(r#"{"path":"README.md"}"#),
            some("{}"),
            some("no such file"),
        ),
    );
}
