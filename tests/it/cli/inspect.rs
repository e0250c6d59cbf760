//! `inspect`: what it shows of a fixed log, that it writes nothing, and that it does not matter
//! whether a server runs.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use scrollback_test_support::client::Client;
use scrollback_test_support::server::{Server, ServerOptions};

use super::program::{FixedLog, PROGRAM, run};

/// Every command that is shown, by the name of its snapshot.
const SHOWN: [(&str, &[&str]); 13] = [
    ("chats", &["chats"]),
    ("chats-open", &["chats", "--open", "--full"]),
    ("events", &["events", "--full"]),
    ("events-last", &["events", "--last", "3", "--chat", "garden"]),
    ("events-filtered", &["events", "--kind", "error,complete,cancelled", "--text", "lost"]),
    ("message-tools", &["message", "a1", "--chat", "garden"]),
    ("message-failed", &["message", "a2", "--chat", "garden"]),
    ("message-then", &["message", "a1", "--chat", "garden", "--at", "9"]),
    ("turn", &["turn", "t1", "--chat", "open"]),
    ("turn-ended", &["turn", "t1", "--chat", "garden"]),
    ("stats", &["stats"]),
    ("state", &["state"]),
    ("state-then", &["state", "--at", "12"]),
];

fn args<'a>(shown: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [&["inspect"], shown, more].concat()
}

/// Sizes of files are the file system's and SQLite's.
fn without_sizes(text: &str) -> String {
    let is_size = |line: &&str| line.starts_with("files ");
    let lines = text.lines().map(|line| if is_size(&line) { "files     SIZES" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_it_shows_changes_only_when_that_is_meant() {
    let log = FixedLog::new("cli-inspect");
    for (name, shown) in SHOWN {
        let text = log.run(&args(shown, &[]));
        assert_eq!(text.code, 0, "{name}: {}", text.stderr);
        let text = format!("{}\n{}", text.stderr, without_sizes(&text.stdout));
        insta::assert_snapshot!(format!("inspect-{name}"), log.stable(&text));
        let json = log.run(&args(shown, &["--json"])).well();
        let lines = json.lines().map(|line| {
            let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
            if let Some(files) = value.get_mut("files") {
                *files = "SIZES".into();
            }
            log.stable(&value.to_string())
        });
        let json = lines.collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(format!("inspect-{name}-json"), json);
    }
}

/// What can be told of the files of a directory and of the directories: size, when the content was
/// last changed, inode, content.
///
/// The time of a change of the inode is left out: root's SQLite gives the WAL index to the owner of
/// the log, who has it already, and that counts as one.
type Listing = BTreeMap<PathBuf, (u64, (i64, i64), u64, Vec<u8>)>;

fn listing(dir: &Path) -> Listing {
    let mut found = Listing::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let of = |path: &Path| {
            let meta = std::fs::metadata(path).unwrap();
            let content = if meta.is_dir() { Vec::new() } else { std::fs::read(path).unwrap() };
            (meta.len(), (meta.mtime(), meta.mtime_nsec()), meta.ino(), content)
        };
        found.insert(dir.clone(), of(&dir));
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.insert(path.clone(), of(&path));
            }
        }
    }
    found
}

/// What every command prints on a directory; the heads and ids are part of it.
fn answers(data: &Path) -> Vec<(String, String)> {
    let shown = SHOWN.iter().map(|(_, shown)| args(shown, &[]));
    let others = [vec!["verify"], vec!["export"], vec!["replay", "garden", "--speed", "max"]];
    shown
        .chain(others)
        .map(|args| {
            let ended = run(data, &args);
            assert_eq!(ended.code, 0, "{args:?}: {}", ended.stderr);
            let stdout = without_sizes(&ended.stdout);
            (args.join(" "), format!("{}\n{stdout}", ended.stderr))
        })
        .collect()
}

#[track_caller]
fn assert_same(when: &str, before: &Listing, after: &Listing) {
    let names = |listing: &Listing| listing.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(before), names(after));
    for (path, file) in before {
        let (size, content) = (file.0, &file.3);
        let (size_after, content_after) = (after[path].0, &after[path].3);
        let first = content.iter().zip(content_after).position(|(one, other)| one != other);
        let path_text = path.display();
        assert_eq!((size, first), (size_after, None), "{when}: {path_text} was written to");
        assert!(after[path] == *file, "{when}: {path_text} was touched");
    }
}

#[test]
fn it_writes_not_a_byte_to_the_files_or_beside_them() {
    let log = FixedLog::new("cli-writes-nothing");
    // At rest, with the views of a server that was stopped.
    let options = ServerOptions::new(PROGRAM, &log.data());
    let (status, stderr) = Server::start_well(&options).stop();
    assert!(status.success(), "{stderr}");
    let before = listing(&log.data());
    let at_rest = answers(&log.data());
    assert_same("at rest", &before, &listing(&log.data()));
    // As a server left it that was killed, with commits in the WAL.
    Server::start_well(&options).kill();
    let before = listing(&log.data());
    assert_eq!(answers(&log.data()), at_rest);
    assert_same("after a kill", &before, &listing(&log.data()));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_the_same_beside_a_server_as_after_it_has_stopped() {
    let log = FixedLog::new("cli-beside");
    let server = Server::start_well(&ServerOptions::new(PROGRAM, &log.data()));
    let client = Client::new(server.base_url());
    let mut turn = client.start_external_turn("garden", "And in winter?").await;
    let winter = scrollback_test_support::sample::text("Under snow.");
    client.append(&mut turn, &[winter, scrollback_test_support::sample::complete()]).await;
    let beside = answers(&log.data());
    assert!(beside.iter().any(|(_, said)| said.contains("Under snow.")));
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    for (after, beside) in answers(&log.data()).iter().zip(&beside) {
        assert_eq!(after, beside);
    }
}
