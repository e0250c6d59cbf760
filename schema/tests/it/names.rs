//! Ids, seqs, instants and free JSON: what is taken, what is refused, what comes out.

use scrollback_schema::event::JsonText;
use scrollback_schema::limits::JSON_DEPTH_MAX;
use scrollback_schema::{ChatId, ErrorCode, Kind, Millis, Seq};

#[test]
fn an_id_is_1_to_128_characters_of_a_small_alphabet() {
    let longest = "a".repeat(128);
    for good in ["a", "0", "Az09._:-", "-", longest.as_str()] {
        assert_eq!(ChatId::parse(good).unwrap().as_str(), good);
    }
    let too_long = "a".repeat(129);
    for bad in ["", "a b", "a/b", "ä", "a\n", "\0", "a%20", too_long.as_str()] {
        let error = ChatId::parse(bad).unwrap_err().to_string();
        assert!(bad.is_empty() || !error.contains(bad) || bad.len() == 1, "{error}");
    }
}

#[test]
fn a_seq_is_decimal_digits_up_to_2_to_the_63_less_1() {
    for (text, seq) in [("0", 0), ("1", 1), ("007", 7), ("9223372036854775807", Seq::MAX.get())] {
        assert_eq!(text.parse::<Seq>().unwrap().get(), seq);
    }
    for bad in ["", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "one", "١"] {
        let error = bad.parse::<Seq>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "a seq is a whole number of 0 or more, in decimal digits",
            "{bad:?}"
        );
    }
    for bad in ["9223372036854775808", "18446744073709551616", "99999999999999999999999999"] {
        let error = bad.parse::<Seq>().unwrap_err();
        assert_eq!(error.to_string(), "a seq is at most 9223372036854775807", "{bad:?}");
    }
    assert_eq!(Seq::new(1 << 63), None);
    assert_eq!(Seq::from_i64(-1), None);
    assert_eq!(Seq::MAX.next(), Seq::MAX);
    assert_eq!(Seq::ZERO.prev(), Seq::ZERO);
}

#[test]
fn an_instant_always_has_three_decimals() {
    for (ms, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (1_795_380_720_120, "2026-11-22T20:52:00.120Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (253_402_207_199_999, "9999-12-30T21:59:59.999Z"),
    ] {
        assert_eq!(Millis::new(ms).to_string(), text);
        assert_eq!(Millis::parse(text).unwrap(), Millis::new(ms));
    }
}

#[test]
fn an_instant_is_read_with_any_offset_and_held_within_its_years() {
    for (text, expected) in [
        ("2026-11-22T21:52:00.1234+01:00", "2026-11-22T20:52:00.123Z"),
        ("2026-11-22T20:52:00Z", "2026-11-22T20:52:00.000Z"),
        ("1969-12-31T23:59:59Z", "1970-01-01T00:00:00.000Z"),
        ("9999-12-30T22:00:00Z", "9999-12-30T21:59:59.999Z"),
    ] {
        assert_eq!(Millis::parse(text).unwrap().to_string(), expected);
    }
    for extreme in [i64::MIN, -1, i64::MAX] {
        let text = Millis::new(extreme).to_string();
        assert_eq!(Millis::parse(&text).unwrap(), Millis::new(extreme));
    }
    for bad in ["", "now", "2026-11-22", "2026-11-22T20:52:00", "1795380720123"] {
        assert!(Millis::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn free_json_loses_its_white_space_and_nothing_else() {
    for (given, kept) in [
        (" { \"b\" : [ 1 , 2.50 ] ,\r\n\t\"a\" : null } ", r#"{"b":[1,2.50],"a":null}"#),
        (r#" "a b \" c \\" "#, r#""a b \" c \\""#),
        (r#"["\\", " ", "\\\" "]"#, r#"["\\"," ","\\\" "]"#),
        (r#"{"":"","a":1,"a":2}"#, r#"{"":"","a":1,"a":2}"#),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("1E-2", "1E-2"),
        ("\"\u{2028}é\\u00e9\\ud83d\\ude00\"", "\"\u{2028}é\\u00e9\\ud83d\\ude00\""),
    ] {
        let json = JsonText::parse(given).unwrap();
        assert_eq!(json.as_str(), kept);
        assert_eq!(JsonText::parse(kept).unwrap(), json, "compacting twice changes nothing");
    }
}

#[test]
fn free_json_that_some_reader_could_not_read_is_refused() {
    let deep = |n| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(JsonText::parse(&deep(JSON_DEPTH_MAX)).is_ok());
    let objects = format!("{}1{}", r#"{"a":"#.repeat(101), "}".repeat(101));
    let too_deep = deep(JSON_DEPTH_MAX + 1);
    let absurd = "[".repeat(1 << 20);
    for bad in [
        "",
        " ",
        "{",
        "{}{}",
        "nul",
        "NaN",
        "01",
        "'a'",
        "[1,]",
        "\"\n\"",
        r#""\x""#,
        r#""\ud83d""#,
        r#"["\ude00"]"#,
        r#"{"\ud83d":1}"#,
        "1e999",
        objects.as_str(),
        too_deep.as_str(),
        absurd.as_str(),
    ] {
        assert!(JsonText::parse(bad).is_err(), "{:.40}", bad);
    }
}

#[test]
fn names_and_numbers_lead_back_to_their_kinds() {
    for &kind in Kind::ALL {
        assert_eq!(Kind::from_name(kind.name()), Some(kind));
        assert_eq!(Kind::from_number(kind.number()), Some(kind));
    }
    assert!(Kind::ALL.is_sorted_by_key(|kind| kind.number()));
    assert_eq!(Kind::from_name("unknown"), None, "the wire has this word for other kinds");
    for &code in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_name(code.name()), Some(code));
    }
}
