//! The suggestions tag against a plain model over the whole text, in all sorts of pieces.

use scrollback_projections::Projection;
use scrollback_projections::message::{Growing, Message, Messages, Part, Speaking};
use scrollback_schema::limits::{SUGGESTIONS_TAG_BYTES_MAX, TEXT_CHUNK_BYTES};
use scrollback_schema::{Body, Event, event};
use scrollback_test_support::rng::Rng;
use scrollback_test_support::script;

use crate::fold::{MessageTables, Table};

const OPEN: &str = "<prompt_suggestions>";
const CLOSE: &str = "</prompt_suggestions>";

/// What is left of a text, and the last suggestions in it.
fn model(text: &str) -> (String, Option<Vec<String>>) {
    let (mut out, mut rest, mut suggestions) = (String::new(), text, None);
    while let Some(end) = rest.find(CLOSE) {
        let before = &rest[..end];
        let open = before
            .rfind(OPEN)
            .filter(|open| before.len() - open - OPEN.len() <= SUGGESTIONS_TAG_BYTES_MAX);
        match open {
            Some(open) => {
                out.push_str(&before[..open]);
                let body = &before[open + OPEN.len()..];
                suggestions = serde_json::from_str(body).ok().or(suggestions);
            }
            None => out.push_str(&rest[..end + CLOSE.len()]),
        }
        rest = &rest[end + CLOSE.len()..];
    }
    (out + rest, suggestions)
}

/// Folds a text in these pieces, with a round through the tables after each if asked for.
fn fold(pieces: &[&str], through_tables: bool) -> (String, Option<Vec<String>>) {
    let started = script::parse("chat c1\nstart t1 m1").unwrap().recorded();
    let mut event = started[1].clone();
    let mut row = None;
    Messages::apply(&mut row, &event).unwrap();
    let key = row.as_ref().unwrap().key();
    let mut table = MessageTables::default();
    for &piece in pieces {
        event.seq = event.seq.next();
        let text = piece.to_owned();
        event.body = Body::Event(Event::AssistantText(event::AssistantText { text }));
        Messages::apply(&mut row, &event).unwrap();
        if through_tables {
            table.save(&key, row.as_mut());
            row = table.load(&key);
        }
    }
    table.save(&key, row.as_mut());
    let message = table.whole(&key);
    check_chunks(&message);
    let suggestions = message.parts().find_map(|part| match part {
        Part::Suggestions(suggestions) => Some(suggestions.clone()),
        _ => None,
    });
    (message.text(), suggestions)
}

/// What a reader is shown of a text in these pieces, who comes when `joins_after` of them are
/// there: what it finds, and what it is sent after that.
fn show(pieces: &[&str], joins_after: usize) -> String {
    let started = script::parse("chat c1\nstart t1 m1").unwrap().recorded();
    let mut event = started[1].clone();
    let mut row = None;
    Messages::apply(&mut row, &event).unwrap();
    for &piece in &pieces[..joins_after] {
        event.seq = event.seq.next();
        let text = piece.to_owned();
        event.body = Body::Event(Event::AssistantText(event::AssistantText { text }));
        Messages::apply(&mut row, &event).unwrap();
    }
    let message = row.unwrap();
    let mut growing = match message.current().map(|current| current.speaking) {
        Some(Speaking::Text(growing)) => growing,
        _ => Growing::default(),
    };
    let mut shown = message.text();
    shown.truncate(shown.len() - growing.held().len());
    for &piece in &pieces[joins_after..] {
        shown.push_str(&growing.push(piece).0);
    }
    shown + &growing.end()
}

/// Every chunk but the last is full: the next character does not fit.
fn check_chunks(message: &Message) {
    for part in message.parts() {
        let Part::Text(text) = part else { continue };
        let pieces: Vec<_> = text.pieces().collect();
        assert!(pieces.iter().all(|piece| !piece.is_empty()));
        for pair in pieces.windows(2) {
            let next = pair[1].chars().next().unwrap().len_utf8();
            assert!(pair[0].len() <= TEXT_CHUNK_BYTES && pair[0].len() + next > TEXT_CHUNK_BYTES);
        }
    }
}

fn pieces<'a>(rng: &mut Rng, text: &'a str, bytes_max: usize) -> Vec<&'a str> {
    let (mut out, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let n = 1 + rng.below(bytes_max);
        let (piece, next) = rest.split_at(rest.ceil_char_boundary(n.min(rest.len())));
        out.push(piece);
        rest = next;
    }
    out
}

#[test]
fn random_texts_in_random_pieces_agree_with_the_model() {
    let words = [
        OPEN,
        CLOSE,
        "<prompt_",
        "suggestions>",
        "<",
        "</",
        "[\"a\"]",
        "[\"b\",\"c\"]",
        "[1]",
        "é",
        "some words ",
        "<<prompt_suggestions>",
        "\u{1f33f}",
    ];
    let long = "lorem ipsum é ".repeat(100);
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut text = String::new();
        for _ in 0..1 + rng.below(30) {
            let n = rng.below(words.len() + 2);
            text.push_str(words.get(n).copied().unwrap_or(&long));
        }
        let (expected, suggestions) = model(&text);
        for bytes_max in [3, 25, 5_000] {
            let pieces = pieces(&mut rng, &text, bytes_max);
            let through_tables = bytes_max > 3;
            let (folded, offered) = fold(&pieces, through_tables);
            assert_eq!(folded, expected, "seed {seed}, pieces up to {bytes_max} bytes");
            let joins_after = rng.below(pieces.len() + 1);
            assert_eq!(show(&pieces, joins_after), expected, "seed {seed}, after {joins_after}");
            let offered = offered.unwrap_or_default();
            assert_eq!(offered, suggestions.clone().unwrap_or_default(), "seed {seed}");
        }
    }
}

#[test]
fn a_tag_reaches_over_chunks_up_to_its_bound() {
    for (n, is_tag) in [(SUGGESTIONS_TAG_BYTES_MAX, true), (SUGGESTIONS_TAG_BYTES_MAX + 1, false)] {
        for before in [0, TEXT_CHUNK_BYTES - 1, TEXT_CHUNK_BYTES, 3 * TEXT_CHUNK_BYTES - 7] {
            let before = "b".repeat(before);
            let body = format!("[\"{}\"]", "s".repeat(n - 4));
            let text = format!("{before}{OPEN}{body}{CLOSE}after");
            let mut rng = Rng::new(n as u64);
            let (folded, offered) = fold(&pieces(&mut rng, &text, 900), true);
            assert_eq!(folded == format!("{before}after"), is_tag);
            assert_eq!(folded == text, !is_tag);
            assert_eq!(offered.is_some(), is_tag);
        }
    }
}

#[test]
fn an_opening_that_is_not_closed_is_forgotten() {
    let text = format!("{OPEN}{}", "x".repeat(10 * SUGGESTIONS_TAG_BYTES_MAX));
    let mut rng = Rng::new(1);
    assert_eq!(fold(&pieces(&mut rng, &text, 2_000), true), (text.clone(), None));
}
