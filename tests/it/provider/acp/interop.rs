//! Agents that we did not write. `tests/run interop` installs them.

use scrollback::provider::{Answer, Past, Provider, Role};
use scrollback_schema::event::RequestOutcome;
use scrollback_test_support::client::Client;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::sse::{Resume, SseReader};
use scrollback_test_support::wait::{eventually, within};
use serde_json::{Value, json};

use super::super::turn::{QUESTION, asked};
use super::{Outcome, dismissed, hear, in_repository, of_command};

const NODE_AGENT: &str =
    "tests/interop/node_modules/@agentclientprotocol/sdk/dist/examples/agent.js";
const PYTHON_AGENT: [&str; 2] = ["target/venv/bin/python", "tests/interop/acp_agent.py"];

async fn run(provider: &dyn Provider, answer: Answer) -> Outcome {
    let saying = within("set-up", provider.start(asked(QUESTION))).await.unwrap();
    hear(saying, |_| answer.clone()).await
}

fn selected(option: &str) -> Answer {
    let option_id = Some(option.to_owned());
    Answer { outcome: RequestOutcome::Selected, option_id, content: None }
}

#[tokio::test]
#[ignore = "needs npm @agentclientprotocol/sdk; run by tests/run interop"]
async fn the_example_agent_asks_and_goes_on_as_it_is_answered() {
    let agent = in_repository(NODE_AGENT);
    let provider = of_command(&["node", agent.to_str().unwrap()], "mode = 'code'");
    let found = provider.check().await.unwrap();
    assert_eq!(found, "an agent speaks ACP 1 and opens a session a turn");
    let (allowed, refused, aside) = tokio::join!(
        run(&*provider, selected("allow")),
        run(&*provider, selected("reject")),
        run(&*provider, dismissed()),
    );
    let before = "text:I'll help you with that. Let me start by reading some files to understand \
        the current situation. | tool:call_1 read Reading project files \
        {\"path\":\"/project/README.md\"} - - | done:call_1 read - -";
    for outcome in [&allowed, &refused, &aside] {
        let words = outcome.words();
        assert!(words.starts_with(before), "{words}");
        assert!(words.contains(" | ask:t1:1 allow/reject call_2 edit Modifying"), "{words}");
        assert!(outcome.failure.is_none(), "{words}");
    }
    assert!(allowed.words().contains(" | done:call_2 edit - - {\"success\":true"));
    assert!(allowed.words().ends_with("The changes have been applied."));
    assert!(refused.words().ends_with("I'll skip the configuration update."));
    assert!(!refused.words().contains("done:call_2"));
    let last = aside.words().split(" | ").last().unwrap().to_owned();
    assert!(last.starts_with("ask:"), "{last}");
}

#[tokio::test]
#[ignore = "needs npm @agentclientprotocol/sdk; run by tests/run interop"]
async fn the_example_agent_knows_no_models() {
    let agent = in_repository(NODE_AGENT);
    let provider = of_command(&["node", agent.to_str().unwrap()], "model = 'm'");
    let Err(error) = provider.start(asked(QUESTION)).await else { panic!("it has a model") };
    assert_eq!((error.code.name(), error.phase.name()), ("provider_setup", "setup"));
}

#[tokio::test]
#[ignore = "needs PyPI agent-client-protocol; run by tests/run interop"]
async fn an_agent_in_python_loads_its_session() {
    let command = PYTHON_AGENT.map(in_repository);
    let provider = of_command(&command.each_ref().map(|part| part.to_str().unwrap()), "");
    let found = provider.check().await.unwrap();
    assert_eq!(found, "echo 1.0 speaks ACP 1 and resumes its sessions");
    let mut first = run(&*provider, dismissed()).await;
    assert_eq!(first.words(), format!("text:{QUESTION}"));
    let mut request = asked("and then?");
    request
        .history
        .insert(0, Past { role: Role::User, text: QUESTION.to_owned(), attachments: Vec::new() });
    request.session = first.sessions.pop();
    let saying = within("set-up", provider.start(request)).await.unwrap();
    let second = hear(saying, |_| dismissed()).await;
    assert_eq!(second.words(), "text:and then?");
    assert_eq!(second.sessions[0].session_id, first.sessions[0].session_id);
}

/// Reads until an event of this kind; its payload.
async fn until(reader: &mut SseReader, kind: &str) -> Value {
    within(kind, async {
        loop {
            let frame = reader.frame().await.expect("the stream goes on");
            if frame.is_data() && frame.json()["kind"] == kind {
                return frame.json()["payload"].clone();
            }
        }
    })
    .await
}

#[tokio::test]
#[ignore = "needs npm @agentclientprotocol/sdk; run by tests/run interop"]
async fn a_second_connection_answers_what_the_example_agent_asks() {
    let dir = crate::fixture::temp_dir("acp-served");
    let (config, agent) = (dir.path().join("config.toml"), in_repository(NODE_AGENT));
    let table = format!(
        "default_provider = 'agent'\n[providers.agent]\nkind = 'acp'\n\
         command = ['node', '{}']\ncwd = '{}'\n",
        agent.display(),
        dir.path().display()
    );
    std::fs::write(&config, table).unwrap();
    let options = ServerOptions::new(env!("CARGO_BIN_EXE_scrollback"), &dir.path().join("data"))
        .args(&["--config", config.to_str().unwrap()]);
    let server = Server::start_well(&options);
    let asks = Client::new(server.base_url());
    asks.create_chat("c1").await;
    let body = json!({ "text": QUESTION });
    let started = asks.post("/v1/chats/c1/turns", &body).await.expect(202);
    let after = Resume::After(started["resume_after_seq"].as_u64().unwrap());
    let url = asks.url("/v1/chats/c1/stream");
    let mut reader = SseReader::open(&reqwest::Client::new(), &url, after).await.unwrap();
    let request = until(&mut reader, "permission_request").await;
    assert_eq!(request["tool"]["id"], "call_2");

    // Another client, and a reader of its own.
    let answers = Client::new(server.base_url());
    let path = format!("/v1/chats/c1/requests/{}/respond", request["request_id"].as_str().unwrap());
    let answer = json!({ "outcome": "selected", "option_id": "allow", "by": "second" });
    assert!(answers.post(&path, &answer).await.status < 300);
    assert_eq!(answers.post(&path, &answer).await.status, 409);
    assert_eq!(until(&mut reader, "permission_resolved").await["by"], "second");
    until(&mut reader, "complete").await;
    let path = format!("/v1/chats/c1/messages/{}", started["message_id"].as_str().unwrap());
    let message = eventually("the message", async || {
        let message = answers.get(&path).await.expect(200);
        (message["stream_status"] == "completed").then_some(message)
    })
    .await;
    let text = message["content_text"].as_str().unwrap();
    assert!(text.ends_with("The changes have been applied."), "{text}");
    let session = answers.get("/v1/chats/c1/events?kind=session").await.expect(200);
    assert!(!session["items"].as_array().unwrap().is_empty());
}
