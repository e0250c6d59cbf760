//! The program run to its end, and a fixed log to run it on.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use scrollback_schema::wire;
use scrollback_test_support::sample::{DELETED_CHAT, chat_id, every_kind};
use scrollback_test_support::script::{self, Act, Recorder};
use scrollback_test_support::temp_dir::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(output: Output) -> Ended {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// What it printed, once it has ended well.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self.stdout
    }
}

/// The program on a data directory.
pub(crate) fn command(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args).arg("--data").arg(data).stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

pub(crate) fn run(data: &Path, args: &[&str]) -> Ended {
    Ended::of(command(data, args).output().unwrap())
}

/// The program with root's right to write everywhere taken away, for whoever runs the tests.
pub(crate) fn without_rights(data: &Path, args: &[&str]) -> Ended {
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let plain = command(data, args);
    if !is_root {
        return Ended::of({ plain }.output().unwrap());
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"])
        .arg(plain.get_program())
        .args(plain.get_args());
    Ended::of(command.stdin(Stdio::null()).output().expect("setpriv is a part of util-linux"))
}

/// A log that has every kind of event, an erased chat, and a turn that nobody has ended: the same
/// seqs, ids and times in every run.
pub(crate) struct FixedLog {
    pub(crate) dir: TempDir,
}

/// A turn that is open, with pauses.
const OPEN: &str = r#"
chat open {"owner":"bob","title":"A question that is being answered"}
user m1 "How deep is the pond?"
start t1 m2 openai/gpt-x {"user_message_id":"m1"}
wait 4000
think "It depends "
think "on the pond."
tool c1 measure running {"input":{"pond":"north"},"title":"Measure the pond"}
wait 2500
tool c1 measure completed {"result":{"cm":180}}
text "About "
+ text "180 cm"
"#;

impl FixedLog {
    pub(crate) fn new(name: &str) -> FixedLog {
        let mut recorder = Recorder::default();
        every_kind().iter().for_each(|step| recorder.append(step));
        recorder.erase(&chat_id(DELETED_CHAT));
        for act in script::parse(OPEN).unwrap().acts {
            match act {
                Act::Append(step) => recorder.append(&step),
                Act::Wait(ms) => recorder.wait(ms),
                other => panic!("not in this script: {other:?}"),
            }
        }
        let mut lines = Vec::new();
        recorder.events.iter().for_each(|event| wire::write_line(&mut lines, event));
        let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), name);
        std::fs::write(dir.join("log.ndjson"), lines).unwrap();
        let file = dir.join("log.ndjson");
        run(&dir.join("data"), &["import", file.to_str().unwrap()]).well();
        FixedLog { dir }
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.dir.join("data")
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        run(&self.data(), args)
    }

    /// What was imported.
    pub(crate) fn lines(&self) -> String {
        std::fs::read_to_string(self.dir.join("log.ndjson")).unwrap()
    }

    /// Text with what differs from run to run taken out: paths and the log's id.
    pub(crate) fn stable(&self, text: &str) -> String {
        let log_id = self.run(&["inspect", "stats", "--json"]).well();
        let log_id: serde_json::Value = serde_json::from_str(&log_id).unwrap();
        let text = text.replace(self.dir.path().to_str().unwrap(), "DIR");
        text.replace(log_id["log_id"].as_str().unwrap(), "LOG-ID")
    }
}
