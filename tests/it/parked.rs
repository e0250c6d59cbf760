//! A build that cannot apply an event: one chat of one projection stands still and says so, and a
//! fixed build goes on from there.

#![cfg(feature = "failpoints")]

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use scrollback_test_support::client::Client;
use scrollback_test_support::sample::{complete, text};
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::eventually;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

/// What no log line, metric or cause may say.
const SECRET: &str = "xyzzy";

/// A build that cannot apply to `projection` what happens in the chat `bad` from seq 6 on.
fn fault(projection: &str) -> String {
    format!("fold-apply=return({projection} bad 6)")
}

fn broken(data: &Path, projection: &str) -> ServerOptions {
    ServerOptions::new(PROGRAM, data).env("FAILPOINTS", &fault(projection))
}

/// Folds everything anew and compares, with a build that has these faults.
#[track_caller]
fn assert_live_is_rebuilt(data: &Path, faults: &str) {
    let mut check = Command::new(PROGRAM);
    check.args(["rebuild", "--check", "--data"]).arg(data).env("FAILPOINTS", faults);
    let ended = check.output().unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// The chats `bad` and `good`, each with a turn of three events; seq 6 is the secret text of `bad`.
async fn converse(client: &Client) {
    client.create_chat("bad").await;
    client.create_chat("good").await;
    for chat in ["bad", "good"] {
        let mut turn = client.start_external_turn(chat, "go").await;
        let first = text(&format!("{chat} begins, "));
        client.append(&mut turn, &[first, text(&format!("{SECRET} {chat}")), complete()]).await;
    }
}

async fn parked(client: &Client, chat: &str) -> Value {
    client.get(&format!("/v1/chats/{chat}/status")).await.expect(200)["parked"].clone()
}

/// The last message of a chat, and the seq that the list is as of.
async fn last_message(client: &Client, chat: &str) -> (Value, Value) {
    let page = client.get(&format!("/v1/chats/{chat}/messages")).await.expect(200);
    let last = page["items"].as_array().unwrap().last().unwrap();
    (json!([last["content_text"], last["stream_status"]]), page["as_of_seq"].clone())
}

async fn metric(client: &Client, projection: &str) -> String {
    let metrics = client.get("/metrics").await.body;
    let name = format!("scrollback_projection_parked_chats{{projection=\"{projection}\"}} ");
    let mut values = metrics.as_str().unwrap().lines().filter_map(|l| l.strip_prefix(&name));
    values.next().unwrap().to_owned()
}

fn stats(data: &Path) -> Value {
    let output = Command::new(PROGRAM)
        .args(["inspect", "stats", "--json", "--data"])
        .arg(data)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !stderr.contains("cannot"), "{stderr}");
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["parked"].clone()
}

fn stop(server: Server) -> String {
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    assert!(!stderr.contains(SECRET), "{stderr}");
    stderr
}

/// What was said of chats that stand still.
fn said(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| line.contains("a chat is parked")).collect()
}

const CAUSE: &str = "a test has it refused";

#[tokio::test(flavor = "multi_thread")]
async fn one_chat_stands_still_in_one_projection_until_a_build_can_apply_its_events() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "parked-chats");
    let options = broken(dir.path(), "chats");
    let server = Server::start_well(&options);
    let client = Client::new(server.base_url());
    converse(&client).await;
    let is_parked = async || (parked(&client, "bad").await != json!([])).then_some(());
    eventually("the chat to be parked", is_parked).await;

    let expected = json!([{ "projection": "chats", "seq": 7, "cause": CAUSE }]);
    let in_stats = json!([
        { "projection": "chats", "chat_id": "bad", "seq": 7, "cause": CAUSE }
    ]);
    assert_eq!(parked(&client, "bad").await, expected);
    assert_eq!(parked(&client, "good").await, json!([]));
    for projection in ["messages", "search", "chat_events", "queue"] {
        assert_eq!(metric(&client, projection).await, "0", "{projection}");
    }
    assert_eq!(metric(&client, "chats").await, "1");
    assert_eq!(client.get("/readyz").await.status, 200, "the others are served");
    // The last good row: the chat's turn is still open in it, and nowhere else.
    let open = async |chat: &str| {
        let path = format!("/v1/chats/{chat}");
        client.get(&path).await.expect(200)["open_turn"].is_object()
    };
    assert_eq!((open("bad").await, open("good").await), (true, false));
    for chat in ["bad", "good"] {
        let (message, _) = last_message(&client, chat).await;
        assert_eq!(message, json!([format!("{chat} begins, {SECRET} {chat}"), "completed"]));
        let found = client.get(&format!("/v1/chats?q=%22{SECRET}%20{chat}%22")).await.expect(200);
        assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    }
    assert_eq!(stats(dir.path()), in_stats, "beside the server");
    let stderr = stop(server);
    let said_once = said(&stderr);
    assert_eq!(said_once.len(), 1, "{stderr}");
    for word in ["WARN", "projection=\"chats\"", "chat_id=bad", "seq=7", CAUSE] {
        assert!(said_once[0].contains(word), "{word}: {said_once:?}");
    }
    assert_eq!(stats(dir.path()), in_stats, "offline");
    assert_live_is_rebuilt(dir.path(), &fault("chats"));

    let server = Server::start_well(&options);
    let client = Client::new(server.base_url());
    client.create_chat("more").await;
    assert_eq!(parked(&client, "bad").await, expected, "a restart alone mends nothing");
    assert_eq!(said(&stop(server)).len(), 1);
    heals(dir.path(), "chats").await;
}

/// A build without the fault takes the chat up, in the file that was there.
async fn heals(data: &Path, projection: &str) {
    let view = data.join("views").join(format!("{projection}.db"));
    let inode = || std::fs::metadata(&view).unwrap().ino();
    let before = inode();
    let server = Server::start_well(&ServerOptions::new(PROGRAM, data).env("RUST_LOG", "info"));
    let client = Client::new(server.base_url());
    let is_healed = async || (parked(&client, "bad").await == json!([])).then_some(());
    eventually("the chat to go on", is_healed).await;
    assert_eq!(metric(&client, projection).await, "0");
    let chat = client.get("/v1/chats/bad").await.expect(200);
    assert_eq!(chat["open_turn"], Value::Null);
    let (message, as_of) = last_message(&client, "bad").await;
    assert_eq!(message, json!([format!("bad begins, {SECRET} bad"), "completed"]));
    assert_eq!(as_of, client.head("bad").await);
    eventually("the text to be found", async || {
        let found = client.get(&format!("/v1/chats?q=%22{SECRET}%20bad%22")).await.expect(200);
        (found["items"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    assert_eq!(inode(), before, "no file was made anew");
    let stderr = stop(server);
    assert!(!stderr.contains("building a view"), "{stderr}");
    assert!(stderr.contains("a parked chat goes on"), "{stderr}");
    assert_eq!(stats(data), json!([]));
    assert_live_is_rebuilt(data, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_stands_still_is_read_as_it_was_and_found_once_it_is_whole() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "parked-messages");
    let server = Server::start_well(&broken(dir.path(), "messages"));
    let client = Client::new(server.base_url());
    converse(&client).await;
    let parked_in = async |projection: &str| {
        let what = format!("the chat to be parked in {projection}");
        eventually(&what, async || {
            let parked = parked(&client, "bad").await;
            let mut parked = parked.as_array().unwrap().iter().cloned();
            parked.find(|parked| parked["projection"] == projection)
        })
        .await
    };
    assert_eq!(parked_in("messages").await["seq"], 6);
    // A part of a text is not worth finding, and the index would keep it.
    let search = parked_in("search").await;
    assert_eq!(search["seq"], 7);
    assert_eq!(search["cause"], format!("the message stands still before seq 6: {CAUSE}"));
    let (message, as_of) = last_message(&client, "bad").await;
    assert_eq!((message, as_of), (json!(["bad begins, ", "in_progress"]), json!(5)));
    let (message, as_of) = last_message(&client, "good").await;
    assert_eq!(message, json!([format!("good begins, {SECRET} good"), "completed"]));
    assert_eq!(as_of, client.head("good").await);
    assert_eq!(client.get("/v1/chats/bad").await.expect(200)["open_turn"], Value::Null);
    assert_eq!(parked(&client, "good").await, json!([]));
    assert_eq!(said(&stop(server)).len(), 2, "once for each projection");
    assert_live_is_rebuilt(dir.path(), &fault("messages"));
    heals(dir.path(), "messages").await;
}
