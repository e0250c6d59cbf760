//! Golden files: for each kind, stored bytes and wire JSON that stay readable for ever.
//!
//! `golden/KIND/vN-CASE.json` is an envelope as a reader gets it, `.hex` its payload as the log
//! stores it under version N. To add one, write the `.json` by hand and run
//! `cargo test -p scrollback-schema -- --ignored write_missing_golden_bytes`. None is ever edited.

use std::path::{Path, PathBuf};

use scrollback_schema::codec::{PAYLOAD_VERSION, encode_payload};
use scrollback_schema::wire::{
    EnvelopeHead, Imported, Written, envelope_of, parse_line, write_envelope, write_line,
};
use scrollback_schema::{Body, ChatRef, Kind, Recorded, Seq, TurnRef};

struct Golden {
    kind: Kind,
    version: u8,
    json: PathBuf,
    envelope: String,
}

impl Golden {
    fn hex(&self) -> PathBuf {
        self.json.with_extension("hex")
    }

    fn stored(&self) -> Vec<u8> {
        let path = self.hex();
        let hex = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        unhex(hex.trim_end())
    }

    fn imported(&self) -> Imported {
        parse_line(&self.envelope).unwrap_or_else(|e| panic!("{:?}: {e}", self.json))
    }

    fn encoded(&self) -> Vec<u8> {
        let Body::Event(event) = self.imported().body else { panic!("{:?}", self.json) };
        let mut bytes = Vec::new();
        encode_payload(&event, &mut bytes).unwrap();
        bytes
    }
}

pub(crate) fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn golden_of(kind: Kind) -> Vec<Golden> {
    let dir = golden_dir().join(kind.name());
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let jsons = paths.into_iter().filter(|path| path.extension().unwrap() == "json");
    jsons
        .map(|json| {
            let name = json.file_name().unwrap().to_str().unwrap();
            let (version, _) = name.strip_prefix('v').unwrap().split_once('-').unwrap();
            let version = version.parse().unwrap();
            let envelope = std::fs::read_to_string(&json).unwrap();
            Golden { kind, version, envelope, json }
        })
        .collect()
}

fn all_golden() -> impl Iterator<Item = Golden> {
    Kind::ALL.iter().flat_map(|&kind| golden_of(kind))
}

#[test]
fn every_kind_has_a_full_and_a_minimal_example() {
    for kind in Kind::ALL {
        for case in ["full", "minimal"] {
            let path = golden_dir().join(kind.name()).join(format!("v1-{case}.json"));
            assert!(path.exists(), "write {}", path.display());
        }
    }
}

#[test]
fn no_golden_file_is_left_unread() {
    let mut found = 0;
    for entry in std::fs::read_dir(golden_dir()).unwrap() {
        let dir = entry.unwrap().path();
        let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
        if name != "row" {
            assert!(Kind::from_name(&name).is_some(), "{name} is no kind");
            found += std::fs::read_dir(dir).unwrap().count();
        }
    }
    assert_eq!(found, all_golden().count() * 2, "a .json for each .hex, and nothing else");
}

#[test]
fn json_gives_the_golden_bytes() {
    for golden in all_golden().filter(|golden| golden.version == PAYLOAD_VERSION) {
        assert_eq!(hex(&golden.encoded()), hex(&golden.stored()), "{:?}", golden.json);
    }
}

#[test]
fn bytes_give_the_golden_json() {
    for golden in all_golden() {
        let line = golden.imported();
        let head = EnvelopeHead {
            chat_id: line.chat.as_str(),
            message_id: line.message.as_ref().map(|id| id.as_str()),
            stream_id: line.turn.as_ref().map(|id| id.as_str()),
            seq: line.seq,
            at: &line.at.to_string(),
        };
        let mut out = b"before".to_vec();
        let (kind, stored) = (golden.kind.number(), golden.stored());
        let written = write_envelope(&mut out, &head, kind, golden.version, &stored);
        assert_eq!(written.unwrap(), Written::Yes, "{:?}", golden.json);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, format!("before{}", golden.envelope.trim_end()), "{:?}", golden.json);
    }
}

#[test]
fn the_other_writers_agree() {
    for golden in all_golden() {
        let event = recorded(golden.imported());
        assert_eq!(envelope_of(&event).unwrap(), golden.envelope.trim_end(), "{:?}", golden.json);
        let mut line = Vec::new();
        write_line(&mut line, &event);
        assert_eq!(String::from_utf8(line).unwrap(), golden.envelope, "{:?}", golden.json);
    }
}

pub(crate) fn recorded(line: Imported) -> Recorded {
    let started = Seq::ZERO.next();
    let message = line.message.clone();
    let turn = |id| TurnRef { id, message: message.expect("a turn has a message"), started };
    Recorded {
        seq: line.seq,
        at: line.at,
        chat: ChatRef { id: line.chat, created: started },
        turn: line.turn.map(turn),
        message: line.message,
        body: line.body,
    }
}

#[test]
#[ignore = "writes the .hex that a new .json lacks; run it by name"]
fn write_missing_golden_bytes() {
    for golden in all_golden().filter(|golden| !golden.hex().exists()) {
        assert_eq!(golden.version, PAYLOAD_VERSION, "only today's bytes can be made");
        std::fs::write(golden.hex(), format!("{}\n", hex(&golden.encoded()))).unwrap();
    }
}
