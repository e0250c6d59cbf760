//! A person at `scrollback chat`: what is typed, what is seen so far, and how it ends.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use scrollback_test_support::wait::wait_until;

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

/// A run of the program that goes on beside the test.
pub(super) struct Person {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Person {
    /// Starts `chat` against a server; stdin stays open.
    pub(super) fn chat(server: &str, args: &[&str]) -> Person {
        let mut child = Command::new(PROGRAM)
            .args(["chat", "--server", server])
            .args(args)
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Person { child, stdout, stderr }
    }

    /// Types a line.
    pub(super) fn types(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.write_all(b"\n").unwrap();
    }

    /// Ends the input.
    pub(super) fn ends_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Presses Ctrl-C.
    pub(super) fn interrupts(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.unwrap().success(), "the program runs");
    }

    /// Waits until the answer has these words.
    pub(super) fn reads(&self, words: &str) {
        self.sees(&self.stdout, words);
    }

    /// Waits until stderr has these words.
    pub(super) fn is_told(&self, words: &str) {
        self.sees(&self.stderr, words);
    }

    fn sees(&self, text: &Mutex<String>, words: &str) {
        wait_until(words, || text.lock().unwrap().contains(words).then_some(()));
    }

    /// Waits for the end.
    pub(super) fn leaves(mut self) -> Left {
        let status =
            wait_until("chat to end", || self.child.try_wait().expect("a child can be asked"));
        let whole = |text: &Arc<Mutex<String>>| {
            wait_until("its output to end", || (Arc::strong_count(text) == 1).then_some(()));
            text.lock().unwrap().clone()
        };
        let (stdout, stderr) = (whole(&self.stdout), whole(&self.stderr));
        Left { code: status.code().unwrap_or(-1), stdout, stderr }
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let text = |text: &Mutex<String>| text.lock().map(|t| t.clone()).unwrap_or_default();
            eprintln!("stdout:\n{}\nstderr:\n{}", text(&self.stdout), text(&self.stderr));
        }
    }
}

/// Collects what comes until the other side is closed; its clone is dropped then.
fn collect(mut pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let collected = Arc::clone(&text);
    std::thread::spawn(move || {
        let (mut buffer, mut bytes) = ([0; 4096], Vec::new());
        while let Ok(n) = pipe.read(&mut buffer) {
            if n == 0 {
                break;
            }
            bytes.extend_from_slice(&buffer[..n]);
            *collected.lock().unwrap() = String::from_utf8_lossy(&bytes).into_owned();
        }
    });
    text
}
