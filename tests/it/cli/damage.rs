//! A log.db that is not whole, and a directory that may not be written: what each command says.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use scrollback_test_support::temp_dir::copy_dir;

use super::program::{FixedLog, run, without_rights};

/// A copy of a log to do something to.
fn copy(log: &FixedLog, name: &str) -> PathBuf {
    let to = log.dir.join(name);
    copy_dir(&log.data(), &to);
    to
}

/// What each command says of a directory: exit code, stderr, and what of stdout is a finding.
fn said(log: &FixedLog, data: &Path) -> String {
    let commands: [&[&str]; 6] = [
        &["inspect", "chats"],
        &["verify"],
        &["export"],
        &["export", "--readable"],
        &["rebuild"],
        &["serve", "--listen", "127.0.0.1:0"],
    ];
    let said = commands.map(|args| {
        let ended = run(data, args);
        // How many rows a file that is cut still has depends on how SQLite laid them out.
        let stdout = match args {
            ["verify"] => ended.stdout,
            ["export", "--readable"] => format!("{} lines\n", ended.stdout.lines().count()),
            _ => String::new(),
        };
        format!("$ scrollback {}\n{}{stdout}[{}]\n", args.join(" "), ended.stderr, ended.code)
    });
    log.stable(&said.join("\n"))
}

#[test]
fn a_file_that_is_not_whole_is_named_with_what_to_do() {
    let log = FixedLog::new("cli-damage");
    let whole = std::fs::read(log.data().join("log.db")).unwrap();
    let garbage = b"not a database, whatever it is called\n".repeat(100);
    let cut_short = &whole[..whole.len() / 2];
    let damages: [(&str, &[u8]); 4] =
        [("cut-short", cut_short), ("stump", &whole[..40]), ("empty", b""), ("garbage", &garbage)];
    for (name, bytes) in damages {
        let data = copy(&log, name);
        std::fs::write(data.join("log.db"), bytes).unwrap();
        insta::assert_snapshot!(format!("damage-{name}"), said(&log, &data));
        // An empty file is what a new log begins with.
        let is_as_before = std::fs::read(data.join("log.db")).unwrap() == bytes;
        assert!(is_as_before || bytes.is_empty(), "{name} was written to");
    }
}

#[test]
fn a_flipped_bit_is_found_and_named_by_its_seq() {
    let log = FixedLog::new("cli-flipped");
    let file = log.data().join("log.db");
    let (whole, all) = (std::fs::read(&file).unwrap(), log.lines());
    // The payloads of one append have one checksum.
    let places = [("so ferns", 4, 6), ("and \"hostas\"", 8, 10), ("All of it", 44, 44)];
    for (text, first_seq, last_seq) in places {
        let mut bytes = whole.clone();
        let at = bytes.windows(text.len()).position(|found| found == text.as_bytes()).unwrap();
        bytes[at + 2] ^= 0x10;
        std::fs::write(&file, bytes).unwrap();
        let ended = log.run(&["verify"]);
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        let seqs = match first_seq {
            only if only == last_seq => format!("{only}"),
            first => format!("{first} to {last_seq}"),
        };
        let expected = format!("seq {seqs}: payloads are not what was written");
        assert_eq!(ended.stdout.lines().next(), Some(expected.as_str()));
        let json = log.run(&["verify", "--json"]);
        let finding: serde_json::Value =
            serde_json::from_str(json.stdout.lines().next().unwrap()).unwrap();
        let seqs = (finding["first_seq"].as_u64(), finding["last_seq"].as_u64());
        assert_eq!((json.code, seqs), (1, (Some(first_seq), Some(last_seq))));
        // What is passed on ends in front of it.
        let exported = log.run(&["export"]);
        assert_eq!(exported.code, 2, "{}", exported.stderr);
        assert!(exported.stderr.contains(&expected), "{}", exported.stderr);
        let n_lines = exported.stdout.lines().count();
        let up_to = format!("only the events up to seq {n_lines} were exported");
        assert!(exported.stderr.contains(&up_to), "{}", exported.stderr);
        assert!(n_lines < first_seq as usize && all.starts_with(&exported.stdout), "{n_lines}");
        // What is behind it can be had as well, and what cannot is named.
        let saved = log.run(&["export", "--readable"]);
        let is_left = |n: &usize| !(first_seq..=last_seq).contains(&(*n as u64));
        let whole = (1..).zip(all.lines()).filter(|(n, _)| is_left(n)).map(|(_, line)| line);
        assert_eq!(saved.stdout.lines().collect::<Vec<_>>(), whole.collect::<Vec<_>>());
        assert_eq!(saved.code, 1, "{}", saved.stderr);
        assert!(saved.stderr.contains(&format!("left out: {expected}")), "{}", saved.stderr);
    }
    std::fs::write(&file, whole).unwrap();
    log.run(&["verify"]).well();
}

/// Takes the right to write from a directory and what is in it, or gives it back.
fn set_read_only(dir: &Path, is_read_only: bool) {
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let mode = if is_read_only { 0o555 } else { 0o755 };
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(mode)).unwrap();
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let mode = if is_read_only { 0o444 } else { 0o644 };
                std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            }
        }
    }
}

#[test]
fn a_directory_that_may_not_be_written_is_read_and_refused_to_writers() {
    let log = FixedLog::new("cli-read-only");
    let data = log.data();
    let (inside, new) = (data.join("x"), data.join("new"));
    set_read_only(&data, true);
    let denied = std::fs::metadata(&data).unwrap().permissions().mode() & 0o222;
    assert_eq!(denied, 0);
    let readers: [&[&str]; 5] = [
        &["inspect", "chats"],
        &["inspect", "stats"],
        &["verify"],
        &["export"],
        &["replay", "open", "--speed", "max"],
    ];
    for args in readers {
        let beside = without_rights(&data, args);
        assert_eq!(beside.code, 0, "{args:?}: {}", beside.stderr);
        assert_eq!(beside.well(), log.run(args).well(), "{args:?}");
    }
    let file = log.dir.join("log.ndjson");
    let writers: [(&Path, &[&str]); 6] = [
        (&data, &["serve", "--listen", "127.0.0.1:0"]),
        (&new, &["serve", "--listen", "127.0.0.1:0"]),
        (&data, &["rebuild"]),
        (&new, &["import", file.to_str().unwrap()]),
        (&data, &["backup", inside.to_str().unwrap()]),
        (&data, &["export", "--output", inside.to_str().unwrap()]),
    ];
    let mut said = String::new();
    for (data, args) in writers {
        let ended = without_rights(data, args);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{args:?}");
        said += &format!("$ scrollback {}\n{}\n", args.join(" "), ended.stderr);
    }
    insta::assert_snapshot!("read-only", log.stable(&said));
    set_read_only(&data, false);
    log.run(&["verify"]).well();
}
