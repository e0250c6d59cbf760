//! Each rule, shown to fail: a text that breaks it and one that keeps it.

use super::*;

/// Findings of all rules in a file with a good header.
fn check(path: &str, text: &str) -> Vec<String> {
    let text = format!("//! Owns what this test needs of it.\n{text}");
    of_one_file(&SourceFile::new(path, &text)).iter().map(Finding::to_string).collect()
}

#[track_caller]
fn breaks(path: &str, text: &str, expected: &str) {
    let findings = check(path, text);
    assert!(findings.iter().any(|f| f.contains(expected)), "{expected:?} not in {findings:?}");
}

#[track_caller]
fn keeps(path: &str, text: &str) {
    assert_eq!(check(path, text), Vec::<String>::new());
}

#[test]
fn a_file_starts_with_what_it_owns() {
    let bare = |text: &str| of_one_file(&SourceFile::new("src/a.rs", text)).len();
    assert_eq!(bare("fn a() {}\n"), 1);
    assert_eq!(bare("//! x\nfn a() {}\n"), 1);
    assert_eq!(bare("//! Owns what this test needs.\nfn a() {}\n"), 0);
}

#[test]
fn files_lines_and_functions_are_short() {
    breaks("src/a.rs", &"\n".repeat(500), "501 lines");
    keeps("src/a.rs", &"\n".repeat(499));
    breaks("src/a.rs", &format!("// x{}", " x".repeat(49)), "longer than 100 columns");
    keeps("src/a.rs", &format!("// {}", "é".repeat(97)));
    let function = |n: usize| format!("    pub fn a() {{\n{}    }}\n", "        b();\n".repeat(n));
    breaks("src/a.rs", &function(69), "function has 71 lines");
    keeps("src/a.rs", &function(68));
    breaks("src/a.rs", &format!("async fn a(\n{}}}\n", "    b: u8,\n".repeat(80)), "function has");
}

#[test]
fn each_door_is_closed_to_others() {
    breaks("src/a.rs", "let db = Connection::open(path);", "src/sqlite.rs");
    keeps("src/sqlite.rs", "let db = Connection::open(path);");
    keeps("tests/it/a.rs", "let db = Connection::open(path);");
    breaks("src/log/a.rs", "let t = std::time::Instant::now();", "src/clock.rs");
    breaks("schema/src/a.rs", "let t = Timestamp::now();", "src/clock.rs");
    keeps("src/clock.rs", "let t = Instant::now();");
    breaks("src/config.rs", "let key = std::env::var(name);", "src/cli/");
    keeps("src/cli/serve.rs", "let key = std::env::var(name);");
    breaks("src/log/a.rs", "use anyhow::Context;", "src/cli/");
    keeps("src/main.rs", "use anyhow::Context;");
    breaks("schema/src/wire.rs", "bincode::serde::encode(x)", "schema/src/codec");
    breaks("tests/it/a.rs", "bincode::serde::encode(x)", "schema/src/codec");
    keeps("schema/src/batch.rs", "// bincode is elsewhere\nlet a = \"bincode\";");
    breaks("tests/it/a.rs", "tokio::time::sleep(second).await;", "tests/support/");
}

#[test]
fn nothing_is_left_half_done() {
    breaks("src/a.rs", "todo!()", "not finished");
    breaks("src/a.rs", "let a = dbg!(b);", "not finished");
    breaks("src/a.rs", concat!("// FIX", "ME: later"), "not finished");
    breaks("src/a.rs", "#[allow(dead_code)]", "#[expect(");
    keeps("src/a.rs", "// todo lists are what users write; \"todo!\" is a word");
}

#[test]
fn a_file_is_named_for_what_is_in_it() {
    breaks("src/utils.rs", "", "name that says nothing");
    breaks("src/helpers/mod.rs", "", "name that says nothing");
    keeps("src/log/mod.rs", "");
}

#[test]
fn the_pure_crates_stay_pure() {
    let findings = |path: &str, text: &str| of_one_file(&SourceFile::new(path, text)).len();
    assert_eq!(findings("schema/Cargo.toml", "[dependencies]\ntokio.workspace = true\n"), 1);
    assert_eq!(findings("projections/Cargo.toml", "[dependencies]\ntokio-util = \"1\"\n"), 1);
    assert_eq!(findings("projections/Cargo.toml", "[dependencies]\nserde.workspace = true\n"), 0);
    assert_eq!(findings("Cargo.toml", "[dependencies]\ntokio.workspace = true\n"), 0);
}

#[test]
fn stored_types_are_plain() {
    for word in ["flatten", "untagged", "tag = \"kind\"", "skip", "skip_serializing_if = \"x\""] {
        breaks("schema/src/event.rs", &format!("#[serde({word})]"), "stored types");
        keeps("schema/src/wire.rs", &format!("#[serde({word})]"));
    }
    breaks("schema/src/event.rs", "    pub count: usize,", "usize");
    keeps("schema/src/id.rs", "#[serde(try_from = \"String\", into = \"String\")]");
}

#[test]
fn no_machine_is_named() {
    breaks("README.md", concat!("see /ro", "ot/x"), "somebody's machine");
    breaks("a/package-lock.json", concat!("\"resol", "ved\": \"x\""), "somebody's machine");
}

#[test]
fn one_statement_writes_to_the_log() {
    let file = |path: &str, sql: &str| {
        SourceFile::new(
            path,
            &format!("//! Owns what this test needs.\nconst A: &str = \"{sql}\";"),
        )
    };
    let insert = "INSERT INTO log (first_seq) VALUES (?1)";
    let writer = || file("src/log/writer.rs", insert);
    let count = |files: &[SourceFile]| one_door_of_the_log(files).len();
    assert_eq!(count(&[writer()]), 0);
    assert_eq!(count(&[writer(), file("src/log/erase.rs", insert)]), 2);
    assert_eq!(count(&[writer(), file("src/a.rs", "insert or replace into  log values (1)")]), 2);
    assert_eq!(count(&[writer(), file("src/a.rs", "INSERT INTO logbook VALUES (1)")]), 0);
    assert_eq!(count(&[writer(), file("tests/it/a.rs", insert)]), 0);
    assert_eq!(count(&[file("src/log/writer.rs", "SELECT 1")]), 1);
    assert_eq!(count(&[file("src/a.rs", insert)]), 1);
}

#[test]
fn no_test_file_is_forgotten() {
    let count = |main: &str, path: &str| {
        let files =
            [SourceFile::new("tests/it/main.rs", main), SourceFile::new(path, "//! Tests a.")];
        forgotten_tests(&files).len()
    };
    assert_eq!(count("mod tidy;\n", "tests/it/append.rs"), 1);
    assert_eq!(count("mod append;\n", "tests/it/append.rs"), 0);
    assert_eq!(count("mod append;\n", "tests/append.rs"), 1);
    assert_eq!(count("mod append;\n", "benches/append.rs"), 1);
    assert_eq!(count("mod append;\n", "tests/it/append/rounds.rs"), 0);
}
