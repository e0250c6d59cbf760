//! What only the program and its socket show: where it listens, what it says, who reaches it.

use std::path::Path;
use std::process::Command;

use reqwest::Method;
use scrollback::auth::ApiKey;
use scrollback_test_support::client::Client;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::eventually;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

fn directory() -> TempDir {
    TempDir::new(env!("CARGO_TARGET_TMPDIR"), "strangers")
}

/// A server with a configuration, everything that it could say about calls switched on.
fn serve(dir: &Path, config: &str) -> Server {
    let file = dir.join("scrollback.toml");
    std::fs::write(&file, config).unwrap();
    let options = ServerOptions::new(PROGRAM, &dir.join("data"));
    let options = options.args(&["--config", file.to_str().unwrap()]);
    Server::start_well(&options.env("RUST_LOG", "trace"))
}

fn keys(keys: &[(&str, &ApiKey)]) -> String {
    let entry = |(owner, key): &(&str, &ApiKey)| {
        format!(
            "[[auth.keys]]\nname = '{owner}'\nhash = '{}'\nrole = 'user'\nowner = '{owner}'\n",
            key.hash().hex()
        )
    };
    keys.iter().map(entry).collect()
}

async fn call(
    client: &Client,
    token: Option<&ApiKey>,
    method: Method,
    path: &str,
    body: &Value,
) -> reqwest::Response {
    let mut request = client.request(method, path);
    if let Some(token) = token {
        request = request.bearer_auth(token.reveal());
    }
    if !body.is_null() {
        request = request.json(body);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_socket_is_no_way_around_the_gate_and_no_secret_is_said() {
    let dir = directory();
    let (ann, bob) = (ApiKey::fresh(), ApiKey::fresh());
    let server = serve(dir.path(), &keys(&[("ann", &ann), ("bob", &bob)]));
    let client = Client::new(server.base_url());
    let post = async |token: Option<&ApiKey>, path: &str, body: Value| {
        call(&client, token, Method::POST, path, &body).await
    };
    post(Some(&ann), "/v1/chats", json!({ "chat_id": "c" })).await.error_for_status().unwrap();
    let turn = json!({ "provider": "external", "text": "xylographer" });
    let started = post(Some(&ann), "/v1/chats/c/turns", turn).await;
    let started: Value = started.json().await.unwrap();
    let lease = started["lease"]["token"].as_str().unwrap().to_owned();
    let said = json!({ "lease": lease, "first_number": 1,
        "events": [{ "kind": "assistant_text", "payload": { "text": "xylographer" } }] });
    // An append by a socket goes around the router, and a stream leaves it.
    for (token, status) in [(None, 401), (Some(&bob), 404), (Some(&ann), 200)] {
        let appended = post(token, "/v1/chats/c/events", said.clone()).await;
        assert_eq!(appended.status(), status);
        let stream = call(&client, token, Method::GET, "/v1/chats/c/stream", &Value::Null).await;
        assert_eq!(stream.status(), status);
    }
    let ticket = post(Some(&ann), "/v1/tickets", json!({})).await.json::<Value>().await.unwrap();
    let ticket = ticket["ticket"].as_str().unwrap().to_owned();
    let path = format!("/v1/stream?ticket={ticket}");
    let mut stream = call(&client, None, Method::GET, &path, &Value::Null).await;
    assert_eq!(stream.status(), 200);
    let first = stream.chunk().await.unwrap().unwrap();
    assert!(first.windows(12).any(|bytes| bytes == b"event: hello"), "{first:?}");
    drop(stream);
    assert_eq!(post(None, &path, json!({})).await.status(), 405);
    let (_, stderr) = server.stop();
    assert!(stderr.len() > 1_000, "it says what it does: {stderr}");
    for secret in [ann.reveal(), bob.reveal(), &ann.hash().hex(), &ticket, &lease, "xylographer"] {
        assert!(!stderr.contains(secret), "stderr has {secret}");
    }
}

#[tokio::test]
async fn without_credentials_other_sites_and_other_names_are_kept_out() {
    let dir = directory();
    let server = serve(dir.path(), "[cors]\norigins = ['https://app.example']\n");
    let client = Client::new(server.base_url());
    let port = server.base_url().rsplit(':').next().unwrap().to_owned();
    let local = format!("http://localhost:{port}");
    let post = async |header: &str, value: &str| {
        let body = json!({ "lease": "x", "first_number": 1, "events": [] });
        let mut statuses = Vec::new();
        for path in ["/v1/chats", "/v1/chats/c/events"] {
            let request = client.request(Method::POST, path).header(header, value);
            let answer = request.json(&body).send().await.unwrap();
            statuses.push(answer.status().as_u16());
        }
        statuses
    };
    assert_eq!(post("origin", "https://evil.example").await, [403, 403]);
    assert_eq!(post("origin", "null").await, [403, 403]);
    assert_eq!(post("host", "evil.example").await, [403, 403]);
    for origin in [&local, "https://app.example", "http://127.0.0.1:3000"] {
        let [made, appended] = post("origin", origin).await[..] else { panic!() };
        assert!(made == 201 && appended != 403, "{origin}: {made} {appended}");
    }
    let get = client.request(Method::GET, "/v1/chats").header("host", "evil.example:7878");
    assert_eq!(get.send().await.unwrap().status(), 403);
    // A page may read what it is told that it may.
    for (origin, is_told) in [("https://app.example", true), ("https://evil.example", false)] {
        let get = client.request(Method::GET, "/v1/chats").header("origin", origin);
        let answer = get.send().await.unwrap();
        assert_eq!(answer.headers().contains_key("access-control-allow-origin"), is_told);
    }
}

#[test]
fn without_credentials_it_listens_to_this_machine_only() {
    let dir = directory();
    for command in ["serve", "demo"] {
        let options = ServerOptions::new(PROGRAM, &dir.path().join(command)).command(command);
        let refused = Server::start(&options.listen("0.0.0.0:0")).unwrap_err();
        assert_eq!(refused.status.code(), Some(2));
        let said = refused.stderr;
        assert!(said.contains("scrollback token") && said.contains("127.0.0.1"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let config = dir.path().join("c.toml");
    std::fs::write(&config, keys(&[("ann", &ApiKey::fresh())])).unwrap();
    let options = ServerOptions::new(PROGRAM, &dir.path().join("serve")).listen("0.0.0.0:0");
    Server::start_well(&options.args(&["--config", config.to_str().unwrap()]));
}

#[tokio::test]
async fn a_key_of_the_command_opens_the_server_that_has_its_lines() {
    let dir = directory();
    let run = |args: &[&str]| {
        let output = Command::new(PROGRAM).arg("token").args(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, key, said) = run(&["--name", "ann", "--role", "user", "--owner", "it's \"ann\""]);
    assert_eq!((code, key.lines().count()), (Some(0), 1), "{said}");
    assert!(!said.contains(key.trim()));
    let (_, lines) = said.split_once("[[auth.keys]]").unwrap();
    let server = serve(dir.path(), &format!("[[auth.keys]]{lines}"));
    let client = Client::new(server.base_url());
    let request = client.request(Method::POST, "/v1/chats").bearer_auth(key.trim());
    let made = Client::send(request.json(&json!({}))).await.expect(201);
    let path = format!("/v1/chats/{}", made["chat_id"].as_str().unwrap());
    let chat = Client::send(client.request(Method::GET, &path).bearer_auth(key.trim())).await;
    assert_eq!(chat.expect(200)["owner"], "it's \"ann\"");
    assert_eq!(run(&["--role", "user"]).0, Some(2), "a user needs an owner");
    assert_eq!(run(&["--owner", "ann"]).0, Some(2), "an admin has none");
    let (_, json, _) = run(&["--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(json["key"].as_str().unwrap().starts_with("sbk_"));
}

/// A server that speaks TLS, configured with more than that.
fn serve_tls(dir: &Path, config: &str) -> Server {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/strangers/keys");
    let tls =
        format!("[tls]\ncertificate = '{keys}/tls_certificate.pem'\nkey = '{keys}/tls_key.pem'\n");
    let server = serve(dir, &format!("{tls}{config}"));
    assert!(server.base_url().starts_with("https://"), "{}", server.base_url());
    server
}

/// A client of its own connections that trusts that server.
fn tls_client() -> reqwest::Client {
    let certificate = include_bytes!("keys/tls_certificate.pem");
    let certificate = reqwest::Certificate::from_pem(certificate).unwrap();
    let http = reqwest::Client::builder().no_proxy().add_root_certificate(certificate);
    http.build().unwrap()
}

#[tokio::test]
async fn a_connection_over_tls_holds_no_place_once_it_has_its_answer() {
    let dir = directory();
    let server = serve_tls(dir.path(), "[limits]\nrequests_max = 1\n");
    let url = format!("{}/v1/chats", server.base_url());
    // Each keeps its connection, and asks nothing more of it.
    let mut idle = Vec::new();
    for _ in 0..3 {
        let http = eventually("room for a request", async || {
            let http = tls_client();
            let answer = http.get(&url).send().await.unwrap();
            let status = answer.status();
            answer.bytes().await.unwrap();
            (status == 200).then_some(http)
        });
        idle.push(http.await);
    }
}

#[tokio::test]
async fn tls_carries_calls_and_streams() {
    let dir = directory();
    let server = serve_tls(dir.path(), "");
    let http = tls_client();
    let url = |path: &str| format!("{}{path}", server.base_url());
    let made = http.post(url("/v1/chats")).json(&json!({ "chat_id": "c" })).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let mut stream = http.get(url("/v1/chats/c/stream?after_seq=0")).send().await.unwrap();
    let mut text = String::new();
    while !text.contains("event: caught_up") {
        text.push_str(&String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap()));
    }
    assert!(text.contains("chat_created"), "{text}");
    let plain = http.get(url("/healthz").replace("https", "http")).send().await;
    assert!(plain.is_err(), "what is not TLS is let go");
    // A shutdown ends the stream with a word.
    server.ask_to_stop();
    while let Ok(Some(chunk)) = stream.chunk().await {
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(text.contains("event: bye"), "{text}");
}
