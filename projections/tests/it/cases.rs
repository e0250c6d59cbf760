//! Runs `tests/cases/*.txt`: a script of events, then `---`, then the rows as JSON.
//!
//! The first line says what is shown: `show content chats`. A client that folds by itself can read
//! the same files: `content` and `messages` are the message rows, by chat.
//!
//! After a change that is meant, `cargo test -p scrollback-projections -- --ignored bless` writes
//! the expected halves anew; read the difference before you commit it.

use std::path::{Path, PathBuf};

use scrollback_test_support::script;

use crate::shown::Shown;

pub(crate) fn cases() -> Vec<(PathBuf, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = std::fs::read_dir(dir).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The script of a case, and what is expected of it.
pub(crate) fn halves(case: &str) -> (&str, &str) {
    case.split_once("---\n").unwrap_or((case, ""))
}

fn rows_of(input: &str) -> String {
    let (first, script) = input.split_once('\n').expect("a case has lines");
    let what = first.strip_prefix("show ").expect("the first line says what to show");
    let script = script::parse(script).unwrap_or_else(|error| panic!("after `show`, {error}"));
    Shown::of(&script.recorded()).json(&what.split(' ').collect::<Vec<_>>())
}

/// The rows that follow from a script are these.
#[track_caller]
fn check(input: &str, expected: &str) {
    let rows = rows_of(input);
    if rows != expected {
        let differs = rows.lines().zip(expected.lines()).find(|(got, wanted)| got != wanted);
        let (got, wanted) = differs.unwrap_or(("(another length)", ""));
        panic!("\n  folded:   {got}\n  expected: {wanted}\nall that was folded:\n{rows}");
    }
}

#[test]
fn every_case_gives_the_rows_beside_it() {
    let cases = cases();
    assert!(cases.len() > 10, "the cases were found");
    for (path, case) in cases {
        eprintln!("case {}", path.file_name().unwrap().display());
        let (input, expected) = halves(&case);
        check(input, expected);
    }
}

#[test]
#[ignore = "writes what the folds give into the cases, as what is expected of them"]
fn bless() {
    for (path, case) in cases() {
        eprintln!("case {}", path.file_name().unwrap().display());
        let (input, _) = halves(&case);
        std::fs::write(path, format!("{input}---\n{}", rows_of(input))).unwrap();
    }
}
