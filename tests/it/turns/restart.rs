//! A server that is killed or asked to stop in mid-turn, and started again; requests that expire,
//! by the real clock; and the demo.

use scrollback_test_support::client::Client;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::eventually;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

const ASKS: &str = "pace_ms = 0\n[[step]]\nsay = 'May I? '\n[[step]]\n[step.permission]\nid = 'p'\n\
    options = [{ option_id = 'yes', name = 'Yes', kind = 'allow_once' }]\n\
    [[step.permission.on.yes]]\nsay = 'Done.'\n";

const EXPIRES: &str = "[[step]]\n[step.permission]\nid = 'p'\nexpires_ms = 150\n\
    options = [{ option_id = 'yes', name = 'Yes', kind = 'allow_once' }]\n\
    [[step.permission.on.expired]]\nsay = 'Nobody came.'\n";

const ECHO: &str = "pace_ms = 0\npiece_words = 100\n[[step]]\nsay = '<{prompt}>'";

/// A data directory with a provider a script.
fn options(dir: &TempDir, turns: &str) -> ServerOptions {
    let mut config = format!("[turns]\n{turns}\n");
    for (name, script) in [("asks", ASKS), ("echo", ECHO), ("expires", EXPIRES)] {
        let path = dir.path().join(format!("{name}.toml"));
        std::fs::write(&path, script).unwrap();
        let path = path.display();
        config.push_str(&format!("[providers.{name}]\nkind = 'scripted'\nscript = '{path}'\n"));
    }
    let path = dir.path().join("config.toml");
    std::fs::write(&path, config).unwrap();
    let options = ServerOptions::new(PROGRAM, &dir.path().join("data"));
    options.args(&["--config", path.to_str().unwrap()])
}

/// A turn that waits for an answer, and a message behind it.
async fn busy(client: &Client) -> (Value, Value) {
    client.create_chat("c1").await;
    let body = json!({ "text": "go", "provider": "asks" });
    let started = client.post("/v1/chats/c1/turns", &body).await.expect(202);
    let request = eventually("a request", async || {
        let list = client.get("/v1/chats/c1/requests").await.expect(200);
        list["items"].get(0).cloned()
    })
    .await;
    let body = json!({ "content": "next", "provider": "echo" });
    client.post("/v1/chats/c1/queue", &body).await.expect(202);
    (started, request)
}

/// What has to hold once the server is there again.
async fn goes_on(client: &Client, started: &Value, request: &Value, reason: &str) {
    let id = started["message_id"].as_str().unwrap();
    let message = client.get(&format!("/v1/chats/c1/messages/{id}")).await.expect(200);
    assert_eq!(message["stream_status"], "interrupted");
    assert_eq!(message["interrupt_reason"], reason);
    assert_eq!(message["content_text"], "May I? ");
    let answers = eventually("the queue to be done", async || {
        let list = client.get("/v1/chats/c1/messages").await.expect(200);
        let last = list["items"].as_array().unwrap().last().unwrap().clone();
        (last["stream_status"] == "completed" && last["role"] == "assistant").then_some(last)
    })
    .await;
    assert_eq!(answers["content_text"], "<next>");
    let status = client.get("/v1/chats/c1/status").await.expect(200);
    assert_eq!((&status["pending_requests"], &status["queue_length"]), (&json!(0), &json!(0)));
    let path = format!("/v1/chats/c1/requests/{}/respond", request["request_id"].as_str().unwrap());
    let late = client.post(&path, &json!({ "option_id": "yes" })).await;
    assert_eq!(late.problem(409), "request_answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_the_turn_is_closed_and_its_queue_goes_on() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "restart");
    let options = options(&dir, "");
    let server = Server::start_well(&options);
    let (started, request) = busy(&Client::new(server.base_url())).await;
    server.kill();
    let server = Server::start_well(&options);
    goes_on(&Client::new(server.base_url()), &started, &request, "restart").await;
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_being_built_does_not_keep_a_server_from_starting() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "restart");
    let options = options(&dir, "");
    let server = Server::start_well(&options);
    let (started, request) = busy(&Client::new(server.base_url())).await;
    server.kill();
    let behind = options.env("FAILPOINTS", "view-behind=3*return->off");
    let server = Server::start_well(&behind);
    let client = Client::new(server.base_url());
    eventually("the views to be there", async || {
        (client.get("/v1/chats/c1/status").await.status == 200).then_some(())
    })
    .await;
    goes_on(&client, &started, &request, "restart").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_a_server_ends_its_turns_and_keeps_the_queue() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "restart");
    let options = options(&dir, "shutdown_grace_ms = 100");
    let server = Server::start_well(&options);
    let (started, request) = busy(&Client::new(server.base_url())).await;
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    let server = Server::start_well(&options);
    goes_on(&Client::new(server.base_url()), &started, &request, "shutdown").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_answers() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "demo");
    let options = ServerOptions::new(PROGRAM, &dir.path().join("data"));
    let server = Server::start_well(&options.command("demo").args(&["--speed", "200"]));
    let client = Client::new(server.base_url());
    for (text, status) in [("make a plan", "completed"), ("please fail", "failed")] {
        let body = json!({ "text": text });
        let started = client.post("/v1/chats/ask-me/turns", &body).await.expect(202);
        let path = format!("/v1/chats/ask-me/messages/{}", started["message_id"].as_str().unwrap());
        let message = eventually("an answer", async || {
            let message = client.get(&path).await.expect(200);
            (message["stream_status"] != "in_progress").then_some(message)
        })
        .await;
        assert_eq!(message["stream_status"], status, "{message}");
    }
    let chat = client.get("/v1/chats/ask-me").await.expect(200);
    assert_eq!(chat["title"], "make a plan");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_nobody_answers_expires() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "expires");
    let options = options(&dir, "idle_timeout_ms = 5000");
    let server = Server::start_well(&options);
    let client = Client::new(server.base_url());
    client.create_chat("c1").await;
    let body = json!({ "text": "go", "provider": "expires" });
    let started = client.post("/v1/chats/c1/turns", &body).await.expect(202);
    let path = format!("/v1/chats/c1/messages/{}", started["message_id"].as_str().unwrap());
    let message = eventually("an answer", async || {
        let message = client.get(&path).await.expect(200);
        (message["stream_status"] == "completed").then_some(message)
    })
    .await;
    assert_eq!(message["content_text"], "Nobody came.");
    let events = client.get("/v1/chats/c1/events?kind=permission_resolved").await.expect(200);
    assert_eq!(events["items"][0]["payload"]["outcome"], "expired");
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
}
