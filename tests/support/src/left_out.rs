//! What could not be tested on this machine: never in silence.

use std::io::Write;

/// Says on stderr what is left out and why, and in the file that `SCROLLBACK_LEFT_OUT` names, from
/// which `tests/run` takes it into its summary: what a test that passes prints is hidden.
///
/// # Panics
///
/// If that file cannot be written.
pub fn left_out(what: &str) {
    eprintln!("!! LEFT OUT: {what}");
    if let Ok(path) = std::env::var("SCROLLBACK_LEFT_OUT") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        writeln!(file.expect("the list can be opened"), "{what}").expect("the list takes a line");
    }
}
