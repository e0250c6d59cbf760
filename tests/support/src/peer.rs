//! A server that we did not write, as a child process: prints its address, ends with its input.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long one may take to start: a real model is put together from its parts first.
const START_MAX: Duration = Duration::from_secs(120);

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    address: String,
}

impl Peer {
    /// Starts a program and waits for the first line that it prints: its address.
    ///
    /// # Panics
    ///
    /// If it cannot be started, ends, or says nothing for too long.
    pub fn start(program: &str, args: &[&str]) -> Peer {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {program}: {e}; tests/run installs it"));
        let stdout = child.stdout.take().expect("it is piped");
        let (lines, first) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        match first.recv_timeout(START_MAX) {
            Ok(address) => Peer { child, address },
            Err(e) => {
                let _ = child.kill();
                panic!("{program} {args:?} did not print its address: {e}");
            }
        }
    }

    /// What it printed: `http://HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
