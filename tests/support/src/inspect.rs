//! `scrollback inspect` as a person runs it: what the files say, a server running or not.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What `inspect` prints with these arguments.
///
/// # Errors
///
/// What it says on stderr, if it could not run.
///
/// # Panics
///
/// If the program cannot be started.
pub fn inspect(program: &Path, data: &Path, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program);
    command.arg("--data").arg(data).arg("inspect").args(args);
    let output = command.output().expect("the program can be started");
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).expect("the output is UTF-8")),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The events of a chat as `inspect` prints them; none if there is no such chat.
///
/// # Panics
///
/// If it cannot be run, or prints no JSON.
pub fn events_of_chat(program: &Path, data: &Path, chat: &str) -> Vec<Value> {
    match inspect(program, data, &["events", "--json", "--chat", chat]) {
        Ok(lines) => lines.lines().map(json).collect(),
        Err(stderr) if stderr.contains(&format!("there is no chat {chat};")) => Vec::new(),
        Err(stderr) => panic!("inspect events of {chat}: {stderr}"),
    }
}

/// Reads one JSON value.
///
/// # Panics
///
/// If it is none.
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}
