//! The rules themselves, and for each of them a text that breaks it.

use std::fmt;

use super::source::{SourceFile, has_word};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 100;
const HEADER_CHARS_MIN: usize = 20;

/// Names that say nothing about what is in a file.
const EMPTY_NAMES: &[&str] =
    &["utils", "util", "types", "common", "helpers", "helper", "manager", "service", "misc"];

/// What the meaning of the log may not depend on.
const IMPURE_CRATES: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "futures",
    "rusqlite",
    "r2d2",
    "sqlx",
    "libsqlite3-sys",
    "axum",
    "hyper",
    "tower",
    "http",
    "reqwest",
    "getrandom",
    "rand",
    "fastrand",
    "tracing",
    "fail",
];

/// Words of code with the one place that may use them; test targets may use the first kind too.
const DOORS: &[Door] = &[
    Door { words: &["Connection::open"], home: "src/sqlite.rs", tests_may: true },
    Door { words: &["open_in_memory"], home: "src/sqlite.rs", tests_may: true },
    Door { words: &["SystemTime::now", "Instant::now"], home: "src/clock.rs", tests_may: true },
    Door { words: &["Timestamp::now", "Zoned::now"], home: "src/clock.rs", tests_may: true },
    Door { words: &["now_v7", "getrandom::fill"], home: "src/clock.rs", tests_may: true },
    Door {
        words: &["env::var", "env::var_os", "env::vars"],
        home: "src/cli/ build.rs",
        tests_may: true,
    },
    Door { words: &["anyhow"], home: "src/cli/ src/main.rs", tests_may: true },
    Door { words: &["bincode"], home: "schema/src/codec", tests_may: false },
    Door {
        words: &["time::sleep", "thread::sleep"],
        home: "src/ tests/support/",
        tests_may: false,
    },
];

struct Door {
    words: &'static [&'static str],
    /// Prefixes of the paths that may use them, separated by spaces.
    home: &'static str,
    tests_may: bool,
}

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

pub(super) fn finding(file: &SourceFile, line: usize, what: impl Into<String>) -> Finding {
    Finding { path: file.path.clone(), line, what: what.into() }
}

/// Every rule that looks at one file at a time.
pub(super) fn of_one_file(file: &SourceFile) -> Vec<Finding> {
    let rules = [
        header,
        length,
        line_length,
        function_length,
        doors,
        left_over,
        name,
        manifest,
        stored_types,
        machine_names,
    ];
    rules.iter().flat_map(|rule| rule(file)).collect()
}

/// Every rule that looks at the tree as a whole.
pub(super) fn of_the_tree(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = one_door_of_the_log(files);
    findings.extend(forgotten_tests(files));
    findings
}

fn header(file: &SourceFile) -> Vec<Finding> {
    let first = file.text.lines().next().unwrap_or_default();
    if file.is_rust() && !(first.starts_with("//! ") && first.len() >= HEADER_CHARS_MIN) {
        return vec![finding(file, 1, "starts without a //! line that says what the file owns")];
    }
    Vec::new()
}

fn length(file: &SourceFile) -> Vec<Finding> {
    let n_lines = file.text.lines().count();
    if file.is_code() && n_lines > FILE_LINES_MAX {
        let what = format!("has {n_lines} lines; split it by responsibility at {FILE_LINES_MAX}");
        return vec![finding(file, n_lines, what)];
    }
    Vec::new()
}

fn line_length(file: &SourceFile) -> Vec<Finding> {
    if !file.is_code() {
        return Vec::new();
    }
    let lines = file.text.lines().enumerate();
    // One long word, such as an address or an example of JSON, cannot be broken.
    let is_one_word = |line: &str| {
        let line = line.trim_start_matches(['/', '!', '#', ' ']);
        !line.contains(' ')
    };
    let long =
        lines.filter(|(_, line)| line.chars().count() > LINE_COLUMNS_MAX && !is_one_word(line));
    let what = format!("is longer than {LINE_COLUMNS_MAX} columns");
    long.map(|(i, _)| finding(file, i + 1, what.clone())).collect()
}

/// Relies on rustfmt: a function's last brace stands under the first letter of its first line.
fn function_length(file: &SourceFile) -> Vec<Finding> {
    if !file.is_rust() {
        return Vec::new();
    }
    let lines = file.code_lines();
    let mut findings = Vec::new();
    for (i, (number, line)) in lines.iter().enumerate() {
        if !has_word(line, "fn") || line.trim_end().ends_with(';') || line.contains('}') {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let close = format!("{}}}", " ".repeat(indent));
        let end = lines[i..].iter().position(|(_, l)| l.trim_end() == close);
        let n_lines = end.map_or(0, |n| n + 1);
        if n_lines > FUNCTION_LINES_MAX {
            let what = format!("function has {n_lines} lines of at most {FUNCTION_LINES_MAX}");
            findings.push(finding(file, *number, what));
        }
    }
    findings
}

fn doors(file: &SourceFile) -> Vec<Finding> {
    if !file.is_rust() {
        return Vec::new();
    }
    let closed = DOORS.iter().filter(|door| {
        let at_home = door.home.split(' ').any(|home| file.path.starts_with(home));
        !(at_home || door.tests_may && file.is_test_target())
    });
    let words: Vec<(&str, &str)> =
        closed.flat_map(|door| door.words.iter().map(|&word| (word, door.home))).collect();
    let mut findings = Vec::new();
    for (number, line) in file.code_lines() {
        for (word, home) in words.iter().filter(|(word, _)| has_word(&line, word)) {
            let what = format!("names {word}, which only {home} may");
            findings.push(finding(file, number, what));
        }
    }
    findings
}

fn left_over(file: &SourceFile) -> Vec<Finding> {
    if !file.is_rust() {
        return Vec::new();
    }
    let macros = ["todo!", "unimplemented!", "dbg!"];
    let mut findings = Vec::new();
    for ((number, code), text) in file.code_lines().into_iter().zip(file.text.lines()) {
        if macros.iter().any(|word| has_word(&code, word)) {
            findings.push(finding(file, number, "is not finished"));
        }
        if code.contains("#[allow(") || code.contains("#![allow(") {
            findings.push(finding(file, number, "silences a lint without #[expect(.., reason)]"));
        }
        if has_word(text, concat!("FIX", "ME")) || has_word(text, concat!("XX", "X")) {
            findings.push(finding(file, number, "says that it is not finished"));
        }
    }
    findings
}

fn name(file: &SourceFile) -> Vec<Finding> {
    let parts = file.path.split('/').map(|part| part.split('.').next().unwrap_or_default());
    if file.is_code() && parts.into_iter().any(|part| EMPTY_NAMES.contains(&part)) {
        return vec![finding(file, 1, "has a name that says nothing about what is in it")];
    }
    Vec::new()
}

fn manifest(file: &SourceFile) -> Vec<Finding> {
    if !["schema/Cargo.toml", "projections/Cargo.toml"].contains(&file.path.as_str()) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (i, line) in file.text.lines().enumerate() {
        let dependency = line.split(['.', '=', ' ']).next().unwrap_or_default();
        let is_impure = |name: &str| {
            dependency
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        if IMPURE_CRATES.iter().any(|name| is_impure(name)) {
            findings.push(finding(file, i + 1, format!("depends on {dependency}: not pure")));
        }
    }
    findings
}

/// bincode writes these and never reads them back.
fn stored_types(file: &SourceFile) -> Vec<Finding> {
    let stored = file.path.starts_with("schema/src/") && !file.path.starts_with("schema/src/wire");
    if !stored {
        return Vec::new();
    }
    let refused = ["flatten", "untagged", "tag", "skip", "skip_serializing", "skip_deserializing"];
    let mut findings = Vec::new();
    for (number, line) in file.code_lines() {
        let attribute = line.find("#[serde(").map_or("", |at| &line[at..]);
        let conditional = attribute.contains("skip_serializing_if");
        if conditional || refused.iter().any(|word| has_word(attribute, word)) {
            findings.push(finding(file, number, "stored types carry no flatten, tag or skip"));
        }
        let is_field = line.trim_start().starts_with("pub ") && line.ends_with(',');
        if file.path.contains("/event") && is_field && has_word(&line, "usize") {
            findings.push(finding(file, number, "stored types have no usize"));
        }
    }
    findings
}

/// Nobody's machine, and no private registry, is named in the tree.
fn machine_names(file: &SourceFile) -> Vec<Finding> {
    let names = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("\"resol", "ved\":")];
    let lines = file.text.lines().enumerate();
    let named = lines.filter(|(_, line)| names.iter().any(|name| line.contains(name)));
    named.map(|(i, _)| finding(file, i + 1, "names somebody's machine or registry")).collect()
}

/// Lines that write to the log itself, as SQL or within a text of SQL.
fn log_inserts(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (i, line) in file.text.lines().enumerate() {
        let words: Vec<String> = line
            .to_ascii_lowercase()
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        let is_comment = line.trim_start().starts_with("//");
        let into_log = words.windows(2).any(|pair| pair == ["into", "log"]);
        if into_log && !is_comment && words.iter().any(|word| word == "insert") {
            findings.push(finding(file, i + 1, "writes to the log"));
        }
    }
    findings
}

fn one_door_of_the_log(files: &[SourceFile]) -> Vec<Finding> {
    let shipped = files
        .iter()
        .filter(|file| (file.is_rust() || file.path.ends_with(".sql")) && !file.is_test_target());
    let inserts: Vec<Finding> = shipped.flat_map(log_inserts).collect();
    let has_log = files.iter().any(|file| file.path == "src/log/writer.rs");
    match (inserts.len(), has_log) {
        (1, true) if inserts[0].path.starts_with("src/log/") => Vec::new(),
        (0, false) => Vec::new(),
        (0, true) => vec![Finding {
            path: "src/log/writer.rs".to_owned(),
            line: 1,
            what: "no statement writes to the log".to_owned(),
        }],
        _ => inserts,
    }
}

/// A file of tests that no target compiles tests nothing.
fn forgotten_tests(files: &[SourceFile]) -> Vec<Finding> {
    let text_of = |path: &str| {
        files.iter().find(|file| file.path == path).map_or("", |file| file.text.as_str())
    };
    let (tests, manifest) = (text_of("tests/it/main.rs"), text_of("Cargo.toml"));
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let declared = match file.path.split('/').collect::<Vec<_>>()[..] {
            ["tests", "it", "main.rs"] => true,
            ["tests", "it", _] => tests.lines().any(|l| l == format!("mod {};", file.stem())),
            ["tests", _] => false,
            ["benches", _] => manifest.contains(&format!("name = \"{}\"", file.stem())),
            _ => true,
        };
        if !declared {
            findings.push(finding(file, 1, "is compiled by no target"));
        }
    }
    findings
}

#[cfg(test)]
#[path = "rules_fail.rs"]
mod rules_fail;
