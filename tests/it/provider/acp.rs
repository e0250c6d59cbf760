//! Agents as processes: `tests/support/fault_agent.py` says what a test has it say.

mod faults;
mod interop;
mod session;
mod stop;
mod talk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt;
use scrollback::provider::TurnRequest;
use scrollback::provider::{Answer, Provider, ProviderError, Providers, Question, Said, Saying};
use scrollback_schema::event::{JsonText, RequestOutcome, Session, ToolEvent};
use scrollback_schema::{ErrorCode, Event};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::{eventually, within};
use serde_json::Value;

use super::turn::{KEY, QUESTION, asked};

/// A provider whose agent plays a script, and what the agent has heard.
struct Agent {
    provider: Arc<dyn Provider>,
    dir: TempDir,
}

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The variables of this program, and the key of every test.
#[expect(clippy::disallowed_methods, reason = "an agent is found where this program's are")]
fn variable(name: &str) -> Option<String> {
    (name == "THE_KEY").then(|| KEY.to_owned()).or_else(|| std::env::var(name).ok())
}

fn build(table: &toml::Table) -> Result<Arc<dyn Provider>, String> {
    let tables = BTreeMap::from([("p".to_owned(), table.clone())]);
    let providers = Providers::build(&tables, &variable).map_err(|error| error.to_string())?;
    Ok(Arc::clone(providers.get("p").unwrap()))
}

/// A provider that starts this command; `more` are further lines of its table.
fn of_command(command: &[&str], more: &str) -> Arc<dyn Provider> {
    let mut table: toml::Table = toml::from_str(&format!("kind = 'acp'\n{more}")).unwrap();
    table.insert("command".to_owned(), command.to_vec().into());
    build(&table).unwrap()
}

impl Agent {
    fn new(script: &Value) -> Agent {
        Agent::with(script, "")
    }

    fn with(script: &Value, more: &str) -> Agent {
        let dir = crate::fixture::temp_dir("agent");
        let (program, script) = (in_repository("tests/support/fault_agent.py"), script.to_string());
        let log = dir.join("heard");
        let more = format!(
            "cwd = '{}'\nenv = {{ AGENT_LOG = '{}' }}\n{more}",
            dir.path().display(),
            log.display()
        );
        let command = ["python3", program.to_str().unwrap(), &script];
        Agent { provider: of_command(&command, &more), dir }
    }

    /// Runs a turn to its end; every question is dismissed.
    async fn run(&self) -> Outcome {
        self.run_with(asked(QUESTION), |_| dismissed()).await
    }

    async fn run_with(
        &self,
        request: TurnRequest,
        answer: impl Fn(&Question) -> Answer,
    ) -> Outcome {
        match within("the agent to be set up", self.provider.start(request)).await {
            Ok(saying) => hear(saying, answer).await,
            Err(error) => Outcome { failure: Some(error), ..Outcome::default() },
        }
    }

    /// Everything the agent has heard, as JSON.
    fn heard(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.join("heard")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The methods that were called, in order.
    fn called(&self) -> String {
        let heard = self.heard();
        let methods = heard.iter().filter_map(|message| message["method"].as_str());
        methods.collect::<Vec<_>>().join(" ")
    }

    /// The parameters of the last call of a method.
    fn params_of(&self, method: &str) -> Value {
        let heard = self.heard();
        let call = heard.iter().rev().find(|message| message["method"] == method);
        call.unwrap_or_else(|| panic!("{method} was not called"))["params"].clone()
    }
}

fn dismissed() -> Answer {
    Answer { outcome: RequestOutcome::Dismissed, option_id: None, content: None }
}

/// What was said, and how it ended.
#[derive(Debug, Default)]
struct Outcome {
    said: Vec<(&'static str, String)>,
    sessions: Vec<Session>,
    failure: Option<ProviderError>,
}

impl Outcome {
    /// Everything but the bookkeeping of sessions as words, adjacent deltas joined.
    fn words(&self) -> String {
        let mut words: Vec<(&str, String)> = Vec::new();
        for (kind, text) in &self.said {
            match words.last_mut() {
                Some((last, so_far)) if last == kind && ["text", "thinking"].contains(kind) => {
                    so_far.push_str(text);
                }
                _ => words.push((kind, text.clone())),
            }
        }
        if let Some(error) = &self.failure {
            words.push(("failed", format!("{} {}", error.code.name(), error.phase.name())));
        }
        words.iter().map(|(kind, text)| format!("{kind}:{text}")).collect::<Vec<_>>().join(" | ")
    }

    fn take(&mut self, event: Event) {
        let said = match event {
            Event::AssistantText(delta) => ("text", delta.text),
            Event::AssistantThinking(delta) => ("thinking", delta.thinking),
            Event::ToolStarted(tool) => ("tool", words_of(&tool)),
            Event::ToolCompleted(tool) => ("done", words_of(&tool)),
            Event::ToolFailed(tool) => ("broken", words_of(&tool)),
            Event::Plan(plan) => {
                let lines = plan.entries.iter();
                let lines = lines.map(|e| format!("{}/{}/{}", e.content, e.status, e.priority));
                ("plan", lines.collect::<Vec<_>>().join(", "))
            }
            Event::Usage(usage) => {
                let numbers = (usage.input_tokens, usage.output_tokens, usage.context_window);
                ("usage", format!("{numbers:?} {:?} ${:?}", usage.percentage, usage.cost_usd))
            }
            Event::Session(session) => return self.sessions.push(session),
            other => panic!("an agent does not say {other:?}"),
        };
        self.said.push(said);
    }
}

fn words_of(tool: &ToolEvent) -> String {
    let json = |json: &Option<JsonText>| json.as_ref().map_or("-", |it| it.as_str()).to_owned();
    let text = |text: &Option<String>| text.as_deref().unwrap_or("-").to_owned();
    let parts = [
        tool.id.clone(),
        tool.name.clone(),
        text(&tool.title),
        json(&tool.input),
        json(&tool.result),
        text(&tool.error),
    ];
    parts.join(" ")
}

/// Hears a stream to its end; it fails at most once, and ends with that.
async fn hear(mut saying: Saying, answer: impl Fn(&Question) -> Answer) -> Outcome {
    let mut outcome = Outcome::default();
    while let Some(said) = within("the agent to say something", saying.next()).await {
        assert!(outcome.failure.is_none(), "{said:?} came after a failure");
        match said {
            Ok(Said::Event(event)) => outcome.take(event),
            Ok(Said::Ask(ask)) => {
                let question = match &ask.question {
                    Question::Permission(request) => {
                        let options = request.options.iter().map(|option| &option.option_id[..]);
                        let options = options.collect::<Vec<_>>().join("/");
                        let tool = request.tool.as_ref().map_or("-".to_owned(), words_of);
                        format!("{} {options} {tool}", request.request_id)
                    }
                    Question::Elicitation(request) => {
                        let schema = request.schema.as_ref().map_or("-", |json| json.as_str());
                        format!("{} {} {schema}", request.request_id, request.message)
                    }
                };
                outcome.said.push(("ask", question));
                let _ = ask.answer.send(answer(&ask.question));
            }
            Err(error) => outcome.failure = Some(error),
        }
    }
    outcome
}

/// Hears a turn, and leaves every question open until the first text comes.
async fn hear_late(agent: &Agent, answer: impl Fn(&Question) -> Answer) -> Outcome {
    let mut saying = agent.provider.start(asked(QUESTION)).await.unwrap();
    let (mut outcome, mut open) = (Outcome::default(), Vec::new());
    while let Some(said) = within("the agent to say something", saying.next()).await {
        match said.unwrap() {
            Said::Ask(ask) => {
                outcome.said.push(("ask", String::new()));
                open.push(ask);
            }
            Said::Event(event) => {
                let is_text = matches!(event, Event::AssistantText(_));
                outcome.take(event);
                let due = if is_text { std::mem::take(&mut open) } else { Vec::new() };
                for ask in due {
                    ask.answer.send(answer(&ask.question)).unwrap();
                }
            }
        }
    }
    outcome
}

/// Hears a stream until a text comes that the agent says alone, and returns it.
async fn next_text(saying: &mut Saying) -> String {
    loop {
        match within("a text", saying.next()).await {
            Some(Ok(Said::Event(Event::AssistantText(delta)))) => return delta.text,
            Some(Ok(_)) => {}
            other => panic!("no text but {other:?}"),
        }
    }
}

/// Whether a process runs; one that waits to be buried does not.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

/// Waits until a process has gone.
async fn gone(pid: &str) {
    eventually("the process to be gone", async || (!runs(pid)).then_some(())).await;
}

/// What a failure has to be: this code, and a sentence without the chat, the key or the agent's
/// own words.
#[track_caller]
fn assert_failed(outcome: &Outcome, code: ErrorCode, part: &str) {
    let error = outcome.failure.as_ref().expect("the turn failed");
    assert_eq!(error.code, code, "{error}");
    assert!(error.message.contains(part), "{error}");
    let secret = [KEY, QUESTION, "hush", "colour"];
    assert!(!secret.iter().any(|secret| error.message.contains(secret)), "{error}");
}
