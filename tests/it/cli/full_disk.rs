//! A disk that is full: what was acknowledged stays, and the server goes on when there is room.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use scrollback_test_support::client::{Client, ExternalTurn};
use scrollback_test_support::left_out::left_out;
use scrollback_test_support::sample::{complete, text};
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::eventually;
use serde_json::json;

use super::program::{Ended, PROGRAM};

/// Ways to a mount of one's own, and to that of another process: as root, or as root of a namespace
/// of users of one's own. Nobody else sees it, and it is gone with the process.
const WAYS: [(&str, &[&str]); 2] = [
    ("unshare --mount", &["--mount"]),
    ("unshare --user --map-root-user --mount", &["--user", "--preserve-credentials", "--mount"]),
];

/// A server's disk, which it alone sees.
struct SmallDisk {
    options: ServerOptions,
    /// How others get to see it.
    enter: &'static [&'static str],
}

/// A server on a disk of its own of so many bytes; none where that is not allowed.
fn small_disk(dir: &TempDir, n_bytes: usize) -> Option<SmallDisk> {
    let data = dir.join("data");
    std::fs::create_dir(&data).unwrap();
    let mount = format!("mount -t tmpfs -o size={n_bytes} small '{}'", data.display());
    let works = |unshare: &str| {
        let tried = Command::new("sh").args(["-c", &format!("{unshare} {mount}")]).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let Some((unshare, enter)) = WAYS.into_iter().find(|(unshare, _)| works(unshare)) else {
        left_out("A FULL DISK: this machine lets nobody mount one; run the tests as root");
        return None;
    };
    let script = format!(
        "#!/bin/sh\nexec {unshare} sh -c \"{mount} && exec '{PROGRAM}' \\\"\\$@\\\"\" sh \"$@\"\n"
    );
    let path = dir.join("scrollback");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let options = ServerOptions::new(path.to_str().unwrap(), &data);
    Some(SmallDisk { options, enter })
}

impl SmallDisk {
    /// A file of the data directory as the server has it.
    fn file(&self, server: &Server, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", server.pid()));
        root.join(self.options.data.strip_prefix("/").unwrap()).join(name)
    }

    /// Runs a command beside the server.
    fn run(&self, server: &Server, args: &[&str]) -> Ended {
        let mut command = Command::new("nsenter");
        command.args(["--target", &server.pid().to_string()]).args(self.enter);
        command.arg("--").arg(PROGRAM).args(args).arg("--data").arg(&self.options.data);
        Ended::of(command.output().unwrap())
    }
}

/// Takes what room is left.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    while file.write_all(&[7; 4_096]).is_ok() {}
}

/// Appends until the disk is full; what was acknowledged, and what was said then.
async fn append_until_full(client: &Client, turn: &mut ExternalTurn) -> (Vec<String>, String) {
    let mut acknowledged = Vec::new();
    loop {
        assert!(acknowledged.len() < 1_000, "the disk is never full");
        let said = format!("{}.{};", acknowledged.len(), "x".repeat(30_000));
        let request = client.append_request(turn, turn.next_number, &[text(&said)]);
        let answer = Client::send(request).await;
        if answer.status != 200 {
            let detail = answer.body["detail"].as_str().unwrap().to_owned();
            assert_eq!(answer.body["retryable"], true);
            assert_eq!(answer.problem(507), "storage_failed");
            return (acknowledged, detail);
        }
        turn.next_number += 1;
        acknowledged.push(said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_loses_nothing_and_room_lets_the_server_go_on() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "cli-full");
    let Some(disk) = small_disk(&dir, 6 << 20) else { return };
    let server = Server::start_well(&disk.options);
    let filler = disk.file(&server, "filler");
    let client = Client::new(server.base_url());
    client.create_chat("c1").await;
    let mut turn = client.start_external_turn("c1", "go").await;
    client.append(&mut turn, &[text("begun;")]).await;
    fill(&filler);
    let (acknowledged, detail) = append_until_full(&client, &mut turn).await;
    let expected = "the disk of the log is full and nothing was stored; make room on it, then \
                    send the same call again";
    assert_eq!(detail, expected);
    // Reads go on, and have what was acknowledged and no more.
    let path = format!("/v1/chats/c1/messages/{}", turn.message);
    let said = async || client.get(&path).await.expect(200)["content_text"].clone();
    let whole = format!("begun;{}", acknowledged.concat());
    assert_eq!(said().await, json!(whole));

    std::fs::remove_file(filler).unwrap();
    eventually("the server to be ready again", async || {
        (client.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    // The call that was refused, sent again.
    client.append(&mut turn, &[text("and on"), complete()]).await;
    assert_eq!(said().await, json!(format!("{whole}and on")));
    disk.run(&server, &["verify"]).well();
    disk.run(&server, &["rebuild", "--check"]).well();
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    assert!(!stderr.contains("xxx"), "no text of the chat");
}

#[test]
fn a_disk_that_has_no_room_for_a_log_is_said_at_the_start() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "cli-no-room");
    let Some(SmallDisk { options, .. }) = small_disk(&dir, 100 << 10) else { return };
    let refused = Server::start(&options).unwrap_err();
    assert_eq!(refused.status.code(), Some(2));
    let expected = format!(
        "scrollback: cannot open database {}; check its permissions and the room on its disk: \
         database or disk is full\n",
        options.data.join("log.db").display()
    );
    assert_eq!(refused.stderr, expected);
}
