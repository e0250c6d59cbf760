//! The fuzz targets with the stable toolchain: over everything that was kept, and over mutations of
//! it from a printed seed. What has to hold is in `scrollback_test_support::fuzz`.
//!
//! An input that has broken a promise stays for ever in `fuzz/corpus/TARGET`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use scrollback_schema::Kind;
use scrollback_test_support::fuzz::{TARGETS, Target};
use scrollback_test_support::rng::Rng;
use scrollback_test_support::rounds::rounds;

/// Inputs of each target, unless it soaks.
const N_INPUTS: usize = 40_000;

/// Bytes of a mutated input, at most: what is longer finds the same, later.
const INPUT_BYTES_MAX: usize = 4_096;

/// Pieces that have meant something to a parser.
const TOKENS: &[&[u8]] = &[
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"9223372036854775807",
    b"18446744073709551616",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"\r\n",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\0",
    b"\x01",
    b"\xfb\xff\xff",
    b"\xfc\xff\xff\xff\xff",
    b"\xfd\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\"erased\":true",
    b"\"kind\":\"unknown\"",
];

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every file below a directory, in order of their paths; none if there is no such directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

/// What a target begins with: the golden files in the form that it takes, and what was kept.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let mut corpus = Vec::new();
    for kind in Kind::ALL {
        let number = kind.number().to_le_bytes();
        for path in files(&root("schema/golden").join(kind.name())) {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.trim_end();
            let is_hex = path.extension().is_some_and(|extension| extension == "hex");
            match (name, is_hex) {
                ("codec", true) => corpus.push([&number, &[1][..], &unhex(text)].concat()),
                ("import", false) => corpus.push(text.as_bytes().to_vec()),
                ("wire", false) => {
                    let json: serde_json::Value = serde_json::from_str(text).unwrap();
                    let payload = &json["payload"];
                    let event = format!(r#"{{"kind":"{}","payload":{payload}}}"#, kind.name());
                    let body = format!(r#"{{"lease":"x","first_number":1,"events":[{event}]}}"#);
                    corpus.push([&number, payload.to_string().as_bytes()].concat());
                    corpus.push(body.into_bytes());
                }
                _ => {}
            }
        }
    }
    if name == "batch" {
        let row = std::fs::read_to_string(root("schema/golden/row/v1.hex")).unwrap();
        let first_seq = 1u64.to_le_bytes();
        let (_checksum, records) = row.trim_end().split_once(' ').unwrap();
        for n_events in 1..=9 {
            corpus.push([&first_seq, &[n_events][..], &unhex(records)].concat());
        }
    }
    if name == "cursor" {
        let kept = ["0", "42", "9223372036854775807", "c1", "a.b_c:d-e", "\u{662}"];
        corpus.extend(kept.map(|text| text.as_bytes().to_vec()));
    }
    let kept = files(&root("fuzz/corpus").join(name));
    corpus.extend(kept.iter().map(|path| std::fs::read(path).unwrap()));
    corpus
}

fn unhex(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// An input with some things done to it.
fn mutated(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = rng.pick(corpus).clone();
    for _ in 0..rng.between(1, 4) {
        let at = rng.below(input.len() + 1);
        match rng.below(7) {
            0 if at < input.len() => input[at] ^= 1 << rng.below(8),
            1 if at < input.len() => input[at] = rng.bits() as u8,
            2 => {
                let end = (at + rng.between(1, 8)).min(input.len());
                input.drain(at..end);
            }
            3 => {
                let token = *rng.pick(TOKENS);
                input.splice(at..at, token.iter().copied());
            }
            4 => {
                let from = rng.below(input.len() + 1);
                let piece = input[from..(from + rng.between(1, 32)).min(input.len())].to_vec();
                input.splice(at..at, piece);
            }
            5 => {
                let other = rng.pick(corpus);
                input.truncate(at);
                input.extend_from_slice(&other[rng.below(other.len() + 1)..]);
            }
            _ => input.push(rng.bits() as u8),
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

/// Runs one input; a broken promise names it in a form that can be kept as a file.
fn run((name, body): Target, input: &[u8], from: &str) {
    if catch_unwind(AssertUnwindSafe(|| body(input))).is_err() {
        let hex: String = input.iter().map(|b| format!("{b:02x}")).collect();
        panic!("target {name}, {from}: {hex}");
    }
}

#[test]
fn no_input_breaks_a_promise() {
    let (seed, n_inputs) = (rounds().seed(), rounds().scale(N_INPUTS));
    for &target in TARGETS {
        let (name, mut rng) = (target.0, Rng::new(seed));
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for (n, input) in corpus.iter().enumerate() {
            run(target, input, &format!("kept input {n}"));
        }
        for n in 0..n_inputs {
            run(target, &mutated(&corpus, &mut rng), &format!("seed {seed}, input {n}"));
        }
        println!("{name}: {} kept inputs and {n_inputs} mutations, seed {seed}", corpus.len());
    }
}

#[test]
fn every_target_is_built_for_a_fuzzer() {
    let manifest = std::fs::read_to_string(root("fuzz/Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(root("fuzz/fuzz_targets").join(format!("{name}.rs")).exists(), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
    assert_eq!(files(&root("fuzz/fuzz_targets")).len(), TARGETS.len());
}
