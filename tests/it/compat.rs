//! What earlier versions left behind, and what later ones will: all of it is read, shown and kept.
//!
//! `tests/fixtures` holds data of each version and says how it is made. What a single event or row
//! of the log looks like in bytes is kept in `schema/golden`.

mod fixtures;
mod newer;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::program::{Ended, run};
use crate::fixture::{assert_whole, open, temp_dir};
use scrollback_test_support::temp_dir::TempDir;

/// Every version of which there is data. A later one adds its name here, and then its directory.
const FIXTURES: &[&str] = &["v1", "v2"];

fn fixture(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version)
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A copy of the data directory of a version.
fn copy(version: &str) -> TempDir {
    let dir = temp_dir("compat");
    fixtures::copy(&fixture(version), dir.path());
    dir
}

/// Runs a command that has to end well; its output.
#[track_caller]
fn well(data: &Path, args: &[&str]) -> String {
    let ended: Ended = run(data, args);
    assert_eq!(ended.code, 0, "scrollback {args:?}: {}", ended.stderr);
    ended.stdout
}

#[test]
fn a_log_of_an_earlier_version_is_whole_and_exported_byte_for_byte() {
    for version in FIXTURES {
        let dir = copy(version);
        assert_whole(dir.path());
        assert_eq!(well(dir.path(), &["export"]), text(&fixture(version).join("log.ndjson")));
    }
}

#[test]
fn an_export_of_an_earlier_version_is_imported_and_exported_byte_for_byte() {
    for version in FIXTURES {
        let (dir, lines) = (temp_dir("compat-import"), fixture(version).join("log.ndjson"));
        let data = dir.join("data");
        well(&data, &["import", lines.to_str().unwrap()]);
        assert_whole(&data);
        assert_eq!(well(&data, &["export"]), text(&lines), "{version}");
    }
}

#[test]
fn an_earlier_log_folds_to_what_it_was_folded_to() {
    for version in FIXTURES {
        let dir = copy(version);
        well(dir.path(), &["rebuild"]);
        well(dir.path(), &["rebuild", "--check"]);
        let now = fixtures::states(dir.path());
        let kept = text(&fixture(version).join("state.ndjson"));
        assert_eq!(kept.lines().count(), now.lines().count(), "{version}");
        for (kept, now) in kept.lines().zip(now.lines()) {
            let kept: Value = serde_json::from_str(kept).unwrap();
            let now: Value = serde_json::from_str(now).unwrap();
            holds(&now, &kept, version);
        }
    }
}

/// Whether `now` says everything that `kept` does; it may say more.
fn holds(now: &Value, kept: &Value, place: &str) {
    match (now, kept) {
        (Value::Object(now), Value::Object(kept)) => {
            for (name, kept) in kept {
                let place = format!("{place}.{name}");
                holds(now.get(name).unwrap_or(&Value::Null), kept, &place);
            }
        }
        (Value::Array(now), Value::Array(kept)) => {
            assert_eq!(now.len(), kept.len(), "{place}");
            now.iter().zip(kept).for_each(|(now, kept)| holds(now, kept, place));
        }
        (now, kept) => assert_eq!(now, kept, "{place}"),
    }
}

#[tokio::test]
async fn an_earlier_log_is_written_on() {
    for version in FIXTURES {
        let dir = copy(version);
        let log = open(dir.path());
        let head = log.head();
        assert!(head.get() > 0, "{version}");
        log.close().await;
        // The lease of the fixture ran out long ago: its turn is closed, and nothing else happened.
        let exported = well(dir.path(), &["export"]);
        let kept = text(&fixture(version).join("log.ndjson"));
        let more = exported.strip_prefix(&kept).expect("what was there is there");
        assert_eq!(more.lines().count(), 1, "{more}");
        assert!(more.contains(r#""reason":"lease_expired""#), "{more}");
        assert_whole(dir.path());
    }
}

/// The data of this version, once and for ever.
#[tokio::test]
#[ignore = "writes the fixtures of a version that has none yet; see tests/fixtures/README.md"]
async fn write_the_fixtures_of_this_version() {
    let missing: Vec<&&str> =
        FIXTURES.iter().filter(|version| !fixture(version).exists()).collect();
    let [version] = missing[..] else {
        panic!("add the name of this version to FIXTURES; what is there is never made anew");
    };
    fixtures::write(&fixture(version)).await;
}
