//! One turn of a provider: asked, heard to its end, and written down as a line of text.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use scrollback::provider::{
    Past, Provider, ProviderError, Providers, Role, Said, Saying, TurnRequest,
};
use scrollback_schema::event::JsonText;
use scrollback_schema::{ChatId, Event, TurnId};
use scrollback_test_support::model_server::{ModelServer, Step, event_stream};
use scrollback_test_support::wait::within;
use tokio_util::sync::CancellationToken;

/// The key that every provider here is given as `THE_KEY`.
pub(super) const KEY: &str = "sk-hush-1234567890";

/// What the user says here; no error may repeat it.
pub(super) const QUESTION: &str = "what is the colour of the secret door";

/// Builds the one provider of a table.
pub(super) fn build(table: &str) -> Result<Arc<dyn Provider>, String> {
    let tables = BTreeMap::from([("p".to_owned(), toml::from_str(table).unwrap())]);
    let secrets = |name: &str| (name == "THE_KEY").then(|| KEY.to_owned());
    let providers = Providers::build(&tables, &secrets).map_err(|error| error.to_string())?;
    Ok(Arc::clone(providers.get("p").unwrap()))
}

/// A provider of `kind` at this address; `more` are further lines of its table.
pub(super) fn provider_at(kind: &str, base_url: &str, more: &str) -> Arc<dyn Provider> {
    build(&format!(
        "kind = '{kind}'\nbase_url = '{base_url}'\nmodel = 'm1'\napi_key_env = 'THE_KEY'\n{more}"
    ))
    .unwrap()
}

pub(super) fn asked(text: &str) -> TurnRequest {
    TurnRequest {
        chat: ChatId::parse("c1").unwrap(),
        turn: TurnId::parse("t1").unwrap(),
        model: None,
        history: vec![Past { role: Role::User, text: text.to_owned(), attachments: Vec::new() }],
        session: None,
        stop: CancellationToken::new(),
    }
}

/// What was said, and how it ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) events: Vec<Event>,
    pub(super) failure: Option<ProviderError>,
}

impl Outcome {
    /// Everything as words, adjacent deltas joined: `text:… | tool:ID NAME INPUT | usage:IN+OUT`.
    pub(super) fn words(&self) -> String {
        let mut words: Vec<(&str, String)> = Vec::new();
        for event in &self.events {
            let (kind, text) = match event {
                Event::AssistantText(delta) => ("text:", delta.text.clone()),
                Event::AssistantThinking(delta) => ("thinking:", delta.thinking.clone()),
                Event::ToolStarted(tool) => {
                    let input = tool.input.as_ref().map_or("-", JsonText::as_str);
                    ("tool:", format!("{} {} {input}", tool.id, tool.name))
                }
                Event::Usage(usage) => {
                    let number = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
                    let cost = usage.cost_usd.map_or(String::new(), |usd| format!(" ${usd}"));
                    let (input, output) = (usage.input_tokens, usage.output_tokens);
                    ("usage:", format!("{}+{}{cost}", number(input), number(output)))
                }
                other => panic!("a provider of a model does not say {other:?}"),
            };
            match words.last_mut() {
                Some((last, so_far)) if *last == kind && ["text:", "thinking:"].contains(&kind) => {
                    so_far.push_str(&text);
                }
                _ => words.push((kind, text)),
            }
        }
        let failure = self.failure.as_ref().map(|error| ("failed:", error.code.name().to_owned()));
        words.extend(failure);
        words.iter().map(|(kind, text)| format!("{kind}{text}")).collect::<Vec<_>>().join(" | ")
    }
}

/// Hears a stream to its end; it fails at most once, and ends with that.
pub(super) async fn hear(mut saying: Saying) -> Outcome {
    let (mut events, mut failure) = (Vec::new(), None);
    while let Some(said) = within("the provider to say something", saying.next()).await {
        assert!(failure.is_none(), "{said:?} came after a failure");
        match said {
            Ok(Said::Event(event)) => events.push(event),
            Ok(Said::Ask(ask)) => panic!("a model asks nobody: {ask:?}"),
            Err(error) => failure = Some(error),
        }
    }
    Outcome { events, failure }
}

/// Runs a turn to its end.
pub(super) async fn run(provider: &dyn Provider) -> Outcome {
    match within("an answer's head", provider.start(asked(QUESTION))).await {
        Ok(saying) => hear(saying).await,
        Err(error) => Outcome { events: Vec::new(), failure: Some(error) },
    }
}

/// Runs a turn against a server that plays these steps.
pub(super) async fn against(kind: &str, steps: Vec<Step>) -> Outcome {
    let server = ModelServer::start(steps).await;
    run(&*provider_at(kind, &server.base_url(), "")).await
}

/// Runs a turn against a server that sends this event stream.
pub(super) async fn of_stream(kind: &str, body: &str) -> Outcome {
    against(kind, vec![Step::Send(event_stream(body))]).await
}

/// Data frames, one a line of JSON.
pub(super) fn frames(lines: &str) -> String {
    lines.lines().map(|line| format!("data: {line}\n\n")).collect()
}
