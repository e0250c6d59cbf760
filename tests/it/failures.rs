//! The failure matrix: each way in which a turn can fail, seen live, by a reader that was away,
//! after a reload and in the files: the same events, what was said stays, and the error once.
//!
//! The cells of the scripted provider are here; each other provider has its own beside them.

use scrollback_test_support::client::Client;
use scrollback_test_support::failure::{ExpectedFailure, Witnesses};
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

/// A cell: its script, further lines of its provider's table, and what everybody sees.
struct Cell {
    name: &'static str,
    script: &'static str,
    table: &'static str,
    expected: ExpectedFailure,
}

const fn failure(
    code: &'static str,
    phase: &'static str,
    retryable: bool,
    partial_text: &'static str,
    message_part: &'static str,
) -> ExpectedFailure {
    ExpectedFailure { code, phase, retryable, partial_text, message_part }
}

/// Half an answer, with what stands around it: reasoning and a call that never ends.
const HALF: &str = "pace_ms = 0\n[[step]]\nthink = 'hm'\n[[step]]\nsay = 'half an '\n\
                    [[step]]\ntool_started = { id = 't', name = 'read' }\n";

const fn cell(
    name: &'static str,
    script: &'static str,
    table: &'static str,
    expected: ExpectedFailure,
) -> Cell {
    Cell { name, script, table, expected }
}

const CELLS: &[Cell] = &[
    cell(
        "set-up-refused",
        "[[step]]\nfail = { code = 'provider_setup', message = 'no such option' }",
        "",
        failure("provider_setup", "setup", false, "", "no such option"),
    ),
    cell(
        "unauthorized",
        "setup_ms = 20\n[[step]]\nfail = { code = 'provider_auth' }",
        "",
        failure("provider_auth", "setup", false, "", ""),
    ),
    cell(
        "rate-limited",
        "[[step]]\nfail = { code = 'provider_rate_limit', retry_after_ms = 2000 }",
        "",
        failure("provider_rate_limit", "setup", true, "", "try again in 2 s"),
    ),
    cell(
        "server-error-in-mid-stream",
        "FAIL provider_unavailable",
        "",
        failure("provider_unavailable", "stream", true, "half an ", ""),
    ),
    cell(
        "connection-refused",
        "[[step]]\nfail = { code = 'provider_transport', message = 'refused' }",
        "",
        failure("provider_transport", "setup", true, "", "refused"),
    ),
    cell("cut", "CUT", "", failure("provider_transport", "stream", true, "half an ", "cut")),
    cell(
        "malformed",
        "FAIL provider_protocol",
        "",
        failure("provider_protocol", "stream", true, "half an ", ""),
    ),
    cell(
        "content-filter",
        "FAIL provider_refused",
        "",
        failure("provider_refused", "stream", false, "half an ", ""),
    ),
    cell(
        "context-overflow",
        "[[step]]\nfail = { code = 'context_overflow' }",
        "",
        failure("context_overflow", "setup", false, "", ""),
    ),
    cell(
        "crashed",
        "FAIL provider_crashed",
        "",
        failure("provider_crashed", "stream", true, "half an ", ""),
    ),
    cell("panic", "PANIC", "", failure("internal", "stream", true, "half an ", "")),
    cell(
        "finish-without-content",
        "",
        "",
        failure("empty_response", "stream", true, "", "without an answer"),
    ),
    cell(
        "never-set-up",
        "setup_ms = 600000",
        "connect_timeout_ms = 50",
        failure("provider_timeout", "setup", true, "", "not set up within 50ms"),
    ),
    cell(
        "silent-before-the-first-token",
        "[[step]]\nhang = true",
        "first_token_timeout_ms = 50",
        failure("provider_timeout", "setup", true, "", "begin to answer within 50ms"),
    ),
    cell(
        "silent-in-mid-stream",
        "HANG",
        "idle_timeout_ms = 80",
        failure("provider_timeout", "stream", true, "half an ", "nothing for 80ms"),
    ),
    cell(
        "never-ending",
        "ENDLESS",
        "total_timeout_ms = 150",
        failure("provider_timeout", "stream", true, "half an ", "longer than 150ms"),
    ),
];

fn script(cell: &Cell) -> String {
    match cell.script.split_once(' ') {
        Some(("FAIL", code)) => format!("{HALF}[[step]]\nfail = {{ code = '{code}' }}"),
        _ => match cell.script {
            "CUT" => format!("{HALF}[[step]]\ncut = true"),
            "PANIC" => format!("{HALF}[[step]]\npanic = 'as the test wants'"),
            "HANG" => format!("{HALF}[[step]]\nhang = true"),
            "ENDLESS" => format!(
                "{HALF}[[step]]\n[step.repeat]\ntimes = 1000000\n[[step.repeat.step]]\n\
                 think = 'on'\n[[step.repeat.step]]\npause_ms = 5"
            ),
            script => script.to_owned(),
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_is_told_alike_by_everybody() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "failures");
    let (data, config) = (dir.path().join("data"), dir.path().join("config.toml"));
    let mut lines = String::new();
    for cell in CELLS {
        let path = dir.path().join(format!("{}.toml", cell.name));
        std::fs::write(&path, script(cell)).unwrap();
        let (name, table) = (cell.name, cell.table);
        lines.push_str(&format!("[providers.{name}]\nkind = 'scripted'\n"));
        lines.push_str(&format!("script = '{}'\n{table}\n", path.display()));
    }
    std::fs::write(&config, lines).unwrap();
    let options = ServerOptions::new(PROGRAM, &data);
    let server = Server::start_well(&options.args(&["--config", config.to_str().unwrap()]));
    let client = Client::new(server.base_url());
    for cell in CELLS {
        client.create_chat(cell.name).await;
        let path = format!("/v1/chats/{}/turns", cell.name);
        // Twice: what failed once does not stand in the way of the next message.
        for _ in 0..2 {
            let witnesses = Witnesses::before(&server, cell.name).await;
            let body = json!({ "provider": cell.name, "text": "go" });
            let started = client.post(&path, &body).await.expect(202);
            let message = witnesses.assert_failure_seen_everywhere(&started, &cell.expected).await;
            let tools = message["content_render"]["events"].as_array().unwrap().iter();
            for tool in tools.filter(|entry| entry["type"] == "tool") {
                assert_eq!(tool["tool"]["status"], "failed", "{message}");
            }
        }
    }
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
}
