//! The failure matrix of models behind HTTP and of agents, through a server: live, to a reader that
//! was away, after a reload and in the files, the same events and the error once.
//!
//! That each fault is typed as it should be is tested beside this, for every provider.

use std::path::Path;

use scrollback_test_support::client::Client;
use scrollback_test_support::failure::{ExpectedFailure, Witnesses};
use scrollback_test_support::model_server::{
    ModelServer, Step, answer, begun_stream, event_stream,
};
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::turn::frames;

/// A cell: its provider's table but for its name, and `CODE PHASE retry|final PARTIAL TEXT`.
struct Cell {
    name: &'static str,
    table: String,
    expected: &'static str,
}

fn expected(words: &'static str) -> ExpectedFailure {
    let mut words = words.splitn(4, ' ');
    let (code, phase) = (words.next().unwrap(), words.next().unwrap());
    let retryable = words.next() == Some("retry");
    let partial_text = words.next().unwrap_or_default();
    ExpectedFailure { code, phase, retryable, partial_text, message_part: "" }
}

fn at(url: &str, more: &str) -> String {
    format!("kind = 'openai'\nbase_url = '{url}'\nmodel = 'm'\n{more}\n")
}

/// Endpoints, each with its fault; they live as long as the servers do.
async fn endpoints() -> (Vec<ModelServer>, Vec<Cell>) {
    let begun = frames(r#"{"choices":[{"index":0,"delta":{"content":"partial"}}]}"#);
    let end = |reason: &str| {
        let choice = json!({ "index": 0, "delta": {}, "finish_reason": reason });
        frames(&json!({ "choices": [choice] }).to_string()) + "data: [DONE]\n\n"
    };
    let refusal = |status: &str, code: &str| {
        let body = json!({ "error": { "message": "no", "type": "", "code": code } }).to_string();
        let headers = ["content-type: application/json", "retry-after: 7"];
        vec![Step::Send(answer(status, &headers, &body))]
    };
    let stream = |body: String| vec![Step::Send(event_stream(&body))];
    let then_silent = |body: &str| vec![Step::Send(begun_stream(body)), Step::Stall];
    let faults = [
        ("unknown-model", refusal("404 No", "model_not_found"), "", "provider_setup setup final"),
        ("unauthorized", refusal("401 No", ""), "", "provider_auth setup final"),
        ("rate-limit", refusal("429 Slow", ""), "", "provider_rate_limit setup retry"),
        ("server-error", refusal("500 Oops", ""), "", "provider_unavailable setup retry"),
        (
            "overflow",
            refusal("400 Bad", "context_length_exceeded"),
            "",
            "context_overflow setup final",
        ),
        (
            "cut",
            vec![Step::Send(begun_stream(&begun))],
            "",
            "provider_transport stream retry partial",
        ),
        (
            "malformed",
            stream(format!("{begun}data: hello\n\n")),
            "",
            "provider_protocol stream retry partial",
        ),
        ("empty", stream(end("stop")), "", "empty_response stream retry"),
        (
            "filtered",
            stream(begun.clone() + &end("content_filter")),
            "",
            "provider_refused stream final partial",
        ),
        (
            "no-first-token",
            then_silent(": hm\n\n"),
            "first_token_timeout_ms = 100",
            "provider_timeout setup retry",
        ),
        (
            "silent",
            then_silent(&begun),
            "idle_timeout_ms = 100",
            "provider_timeout stream retry partial",
        ),
    ];
    let (mut servers, mut cells) = (Vec::new(), Vec::new());
    for (name, steps, more, expected) in faults {
        let server = ModelServer::start(steps).await;
        cells.push(Cell { name, table: at(&server.base_url(), more), expected });
        servers.push(server);
    }
    (servers, cells)
}

/// Endpoints that are not there, or speak no TLS.
async fn unreachable() -> Vec<Cell> {
    // A plain server where TLS is wanted: it answers without having understood a word.
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    let cells = [
        ("refused", at("http://127.0.0.1:9/v1", ""), "provider_transport setup retry"),
        ("no-name", at("http://scrollback.invalid/v1", ""), "provider_transport setup retry"),
        ("no-tls", at(&format!("https://{address}/v1"), ""), "provider_transport setup final"),
    ];
    cells.map(|(name, table, expected)| Cell { name, table, expected }).into()
}

/// An agent that plays a script.
fn agent(script: &Value, more: &str) -> String {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/fault_agent.py");
    let command = json!(["python3", program.to_str().unwrap(), script.to_string()]);
    let command: toml::Value = serde_json::from_value(command).unwrap();
    format!("kind = 'acp'\ncommand = {command}\n{more}\n")
}

fn agents() -> Vec<Cell> {
    let prompt = |steps: Value| json!({ "session/prompt": steps });
    let half = |last: Value| prompt(json!([{"say": "half"}, last]));
    let dead = json!({ "initialize": [{"exit": 3}] });
    vec![
        Cell {
            name: "agent-missing",
            table: "kind = 'acp'\ncommand = ['no-such-agent']\n".to_owned(),
            expected: "provider_setup setup final",
        },
        Cell {
            name: "agent-dead",
            table: agent(&dead, ""),
            expected: "provider_crashed setup retry",
        },
        Cell {
            name: "agent-exits",
            table: agent(&half(json!({"exit": 1})), ""),
            expected: "provider_crashed stream retry half",
        },
        Cell {
            name: "agent-rubbish",
            table: agent(&half(json!({"write": "hush"})), ""),
            expected: "provider_protocol stream retry half",
        },
        Cell {
            name: "agent-hangs",
            table: agent(&half(json!({"hang": null})), "idle_timeout_ms = 200"),
            expected: "provider_timeout stream retry half",
        },
        Cell {
            name: "agent-never-ready",
            table: agent(&json!({ "initialize": [{"hang": null}] }), "setup_timeout_ms = 1500"),
            expected: "provider_timeout setup retry",
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_models_and_agents_are_told_alike_by_everybody() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "everybody");
    let config = dir.path().join("config.toml");
    let (_endpoints, mut cells) = endpoints().await;
    cells.extend(unreachable().await);
    cells.extend(agents());
    let table = |cell: &Cell| format!("[providers.{}]\n{}", cell.name, cell.table);
    std::fs::write(&config, cells.iter().map(table).collect::<String>()).unwrap();
    let options = ServerOptions::new(env!("CARGO_BIN_EXE_scrollback"), &dir.path().join("data"));
    let server = Server::start_well(&options.args(&["--config", config.to_str().unwrap()]));
    let client = Client::new(server.base_url());
    for cell in cells {
        client.create_chat(cell.name).await;
        let witnesses = Witnesses::before(&server, cell.name).await;
        let body = json!({ "provider": cell.name, "text": "go" });
        let path = format!("/v1/chats/{}/turns", cell.name);
        let started = client.post(&path, &body).await.expect(202);
        witnesses.assert_failure_seen_everywhere(&started, &expected(cell.expected)).await;
    }
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
}
