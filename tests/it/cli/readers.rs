//! Commands that follow: `tail` over a restart, `replay`, and a reader that goes away.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use scrollback_test_support::client::Client;
use scrollback_test_support::sample::{complete, text};
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::DEADLINE;

use super::program::{FixedLog, PROGRAM, command, run};

/// The lines of a running command, as they come.
fn lines(child: &mut Child) -> Receiver<String> {
    let (sender, lines) = channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_goes_on_after_its_server_was_killed() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "cli-tail");
    let options = ServerOptions::new(PROGRAM, dir.path());
    let server = Server::start_well(&options);
    let address = server.base_url().strip_prefix("http://").unwrap().to_owned();
    let client = Client::new(server.base_url());
    client.create_chat("c1").await;
    let mut turn = client.start_external_turn("c1", "go").await;
    let (_, before) = client.append(&mut turn, &[text("a"), text("b")]).await;

    let mut tail = Command::new(PROGRAM)
        .args(["tail", &address, "--chat", "c1", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let printed = lines(&mut tail);
    let mut got: Vec<String> = Vec::new();
    let mut take = |n: u64| {
        while (got.len() as u64) < n {
            got.push(printed.recv_timeout(DEADLINE).expect("the next line of the tail"));
        }
        got.clone()
    };
    take(before);
    server.kill();
    // On the same port, so that the reader finds it.
    let server = Server::start_well(&options.listen(&address));
    client.append(&mut turn, &[text("c"), complete()]).await;
    let got = take(before + 2);
    let exported = run(dir.path(), &["export"]).well();
    assert_eq!(got, exported.lines().collect::<Vec<_>>(), "each event once, as it is in the log");
    tail.kill().unwrap();
    tail.wait().unwrap();
    let mut stderr = String::new();
    tail.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(stderr.contains(&format!("after seq {before}; again in")), "{stderr}");
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
}

#[test]
fn a_replay_prints_the_events_of_its_chat() {
    let log = FixedLog::new("cli-replay");
    let json = log.run(&["replay", "open", "--speed", "max", "--json"]).well();
    let exported = log.lines();
    let of_chat = exported.lines().filter(|line| line.contains(r#""chatId":"open""#));
    assert_eq!(json.lines().collect::<Vec<_>>(), of_chat.collect::<Vec<_>>());
    for chat in ["open", "garden"] {
        let text = log.run(&["replay", chat, "--speed", "max"]).well();
        insta::assert_snapshot!(format!("replay-{chat}"), text);
    }
    let part = log.run(&["replay", "garden", "--speed", "max", "--seq", "5..7", "--json"]).well();
    assert_eq!(part.lines().count(), 3);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let log = FixedLog::new("cli-pipe");
    let commands: [&[&str]; 5] = [
        &["inspect", "events", "--full"],
        &["inspect", "events", "--json"],
        &["inspect", "state", "--json"],
        &["export"],
        &["replay", "garden", "--speed", "max"],
    ];
    for args in commands {
        let mut child = command(&log.data(), args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(0), "{args:?}: {stderr}");
        assert!(!stderr.contains("scrollback:"), "{args:?}: {stderr}");
    }
}
