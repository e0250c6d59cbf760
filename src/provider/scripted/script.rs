//! What a script is: a TOML file of steps, read and checked whole before anything is played.
//!
//! ```toml
//! keywords = ["table"]   # prompts that ask for this script; else scripts take turns
//! setup_ms = 100         # until the provider is set up
//! piece_words = 2        # words in one delta of text, and
//! pace_ms = 30           # the pause after each
//! ignore_stop = false    # whether it goes on when it is told to stop, as a hanging agent does
//!
//! [[step]]
//! say = "Text in pieces. {prompt} and {answer} stand for what the user said and answered."
//!
//! [[step]]
//! think = "Reasoning in pieces."
//!
//! [[step]]
//! pause_ms = 400
//!
//! [[step]]               # any other event of a turn, by its kind and with its wire payload
//! tool_started = { id = "read", name = "read_file", input = { path = "a.txt" } }
//!
//! [[step]]               # waits for an answer and goes on with the steps of that answer
//! [step.permission]      # or [step.question] with message and schema
//! id = "send"
//! expires_ms = 60000
//! options = [{ option_id = "yes", name = "Send it", kind = "allow_once" }]
//! [[step.permission.on.yes]]
//! say = "Sent."
//! [[step.permission.on.else]]   # or: selected, denied, dismissed, expired
//! say = "Not sent."
//!
//! [[step]]
//! [step.repeat]
//! times = 100
//! [[step.repeat.step]]
//! say = "Again. "
//!
//! [[step]]               # ends the turn; as the first step it is a failure in set-up
//! fail = { code = "provider_rate_limit", message = "come back later", retry_after_ms = 2000 }
//! ```
//!
//! Further faults: `hang = true` says nothing more, `cut = true` is a connection that breaks,
//! `panic = "words"` is a fault of the program, and a script without any step ends at once.

use std::collections::BTreeMap;
use std::time::Duration;

use scrollback_schema::event::{JsonText, PermissionOption, Phase, ToolEvent};
use scrollback_schema::{ErrorCode, Event, Kind, wire};
use serde::Deserialize;

use crate::provider::ProviderError;

/// Steps of a script, nested ones included: enough for any story; loads repeat.
const STEPS_MAX: usize = 10_000;

/// A script.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Words of a prompt that ask for it, in lower case.
    keywords: Vec<String>,
    #[serde(rename = "setup_ms", deserialize_with = "millis")]
    pub(super) setup: Duration,
    #[serde(rename = "pace_ms", deserialize_with = "millis")]
    pub(super) pace: Duration,
    pub(super) piece_words: usize,
    pub(super) ignore_stop: bool,
    #[serde(rename = "step")]
    pub(super) steps: Vec<Step>,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            keywords: Vec::new(),
            setup: Duration::ZERO,
            pace: Duration::from_millis(30),
            piece_words: 2,
            ignore_stop: false,
            steps: Vec::new(),
        }
    }
}

/// Why a text is no script.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct ScriptError {
    /// What is wrong, and where.
    problem: String,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    ///
    /// [`ScriptError`], with the line where it can be told.
    pub fn parse(text: &str) -> Result<Script, ScriptError> {
        let wrong = |problem: String| ScriptError { problem };
        let script: Script =
            toml::from_str(text).map_err(|error| wrong(error.to_string().trim().to_owned()))?;
        let n_steps = n_steps(&script.steps);
        if n_steps > STEPS_MAX {
            return Err(wrong(format!("{n_steps} steps; use at most {STEPS_MAX}, and repeat")));
        }
        if script.piece_words == 0 {
            return Err(wrong("piece_words = 0; use 1 or more".to_owned()));
        }
        Ok(script)
    }

    /// Whether a prompt, in lower case, asks for it.
    pub(super) fn is_asked_for(&self, prompt: &str) -> bool {
        self.keywords.iter().any(|word| prompt.contains(&word.to_lowercase()))
    }

    /// The failure with which it begins, unless that one says that it comes later.
    pub(super) fn setup_failure(&self) -> Option<&Fail> {
        match self.steps.first() {
            Some(Step::Fail(fail)) if fail.phase.is_none_or(|phase| phase == Phase::Setup) => {
                Some(fail)
            }
            _ => None,
        }
    }
}

fn n_steps(steps: &[Step]) -> usize {
    let nested = |step: &Step| match step {
        Step::Permission(step) => step.on.values().map(|steps| n_steps(steps)).sum(),
        Step::Question(step) => step.on.values().map(|steps| n_steps(steps)).sum(),
        Step::Repeat(repeat) => n_steps(&repeat.steps),
        _ => 0,
    };
    steps.iter().map(|step| 1 + nested(step)).sum()
}

/// One step.
#[derive(Debug, Deserialize)]
#[serde(try_from = "toml::Table")]
pub(super) enum Step {
    Say(String),
    Think(String),
    Pause(Duration),
    Event(Box<Event>),
    Permission(Box<PermissionStep>),
    Question(Box<QuestionStep>),
    Repeat(Repeat),
    Fail(Fail),
    Hang,
    Panic(String),
}

/// A request for approval, and what follows from its answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PermissionStep {
    pub(super) id: String,
    #[serde(default, deserialize_with = "tool")]
    pub(super) tool: Option<ToolEvent>,
    #[serde(deserialize_with = "options")]
    pub(super) options: Vec<PermissionOption>,
    #[serde(default, rename = "expires_ms", deserialize_with = "some_millis")]
    pub(super) expires: Option<Duration>,
    #[serde(default)]
    pub(super) on: BTreeMap<String, Vec<Step>>,
}

/// A question, and what follows from its answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuestionStep {
    pub(super) id: String,
    pub(super) message: String,
    #[serde(default, deserialize_with = "json")]
    pub(super) schema: Option<JsonText>,
    #[serde(default)]
    pub(super) on: BTreeMap<String, Vec<Step>>,
}

/// Steps played again and again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Repeat {
    pub(super) times: u64,
    #[serde(rename = "step")]
    pub(super) steps: Vec<Step>,
}

/// The turn's failure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fail {
    #[serde(deserialize_with = "code")]
    code: ErrorCode,
    message: Option<String>,
    #[serde(default, deserialize_with = "phase")]
    phase: Option<Phase>,
    retryable: Option<bool>,
    #[serde(default, rename = "retry_after_ms", deserialize_with = "some_millis")]
    retry_after: Option<Duration>,
}

impl Fail {
    /// The failure, in this phase unless the script says another one.
    pub(super) fn error(&self, phase: Phase) -> ProviderError {
        let message = self.message.clone();
        let message = message.unwrap_or_else(|| format!("the script fails: {}", self.code.name()));
        let mut error = ProviderError::new(self.code, self.phase.unwrap_or(phase), message)
            .with_retry_after(self.retry_after);
        error.retryable = self.retryable.unwrap_or(error.retryable);
        error
    }

    fn cut() -> Fail {
        Fail {
            code: ErrorCode::ProviderTransport,
            message: Some("the connection was cut".to_owned()),
            phase: None,
            retryable: None,
            retry_after: None,
        }
    }
}

impl TryFrom<toml::Table> for Step {
    type Error = String;

    fn try_from(table: toml::Table) -> Result<Step, String> {
        let n_keys = table.len();
        let mut entries = table.into_iter();
        let (Some((key, value)), 1) = (entries.next(), n_keys) else {
            return Err(format!("a step has one key, this one has {n_keys}"));
        };
        fn read<'de, T: Deserialize<'de>>(key: &str, value: toml::Value) -> Result<T, String> {
            value.try_into().map_err(|e: toml::de::Error| format!("step {key}: {}", e.message()))
        }
        Ok(match key.as_str() {
            "say" => Step::Say(read(&key, value)?),
            "think" => Step::Think(read(&key, value)?),
            "pause_ms" => Step::Pause(Duration::from_millis(read(&key, value)?)),
            "permission" => Step::Permission(read(&key, value)?),
            "question" => Step::Question(read(&key, value)?),
            "repeat" => Step::Repeat(read(&key, value)?),
            "fail" => Step::Fail(read(&key, value)?),
            "cut" => Step::Fail(Fail::cut()),
            "hang" => Step::Hang,
            "panic" => Step::Panic(read(&key, value)?),
            _ => Step::Event(Box::new(event(&key, &value)?)),
        })
    }
}

/// An event of a turn by its wire name; a tool's payload may leave out the word `tool`.
fn event(name: &str, payload: &toml::Value) -> Result<Event, String> {
    let kind = Kind::from_name(name)
        .filter(|kind| kind.is_turn_content() || *kind == Kind::Session)
        .filter(|kind| !matches!(kind, Kind::PermissionRequest | Kind::ElicitationRequest))
        .ok_or_else(|| format!("step {name}: there is no such step"))?;
    let mut json =
        serde_json::to_string(payload).map_err(|error| format!("step {name}: {error}"))?;
    let is_tool = matches!(kind, Kind::ToolStarted | Kind::ToolCompleted | Kind::ToolFailed);
    if is_tool && payload.get("tool").is_none() {
        json = format!("{{\"tool\":{json}}}");
    }
    wire::parse_payload(kind, &json).map_err(|error| format!("step {name}: {error}"))
}

fn millis<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_millis)
}

fn some_millis<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    millis(from).map(Some)
}

fn json<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<JsonText>, D::Error> {
    let value = toml::Value::deserialize(from)?;
    let text = serde_json::to_string(&value).map_err(serde::de::Error::custom)?;
    JsonText::parse(&text).map(Some).map_err(serde::de::Error::custom)
}

fn code<'de, D: serde::Deserializer<'de>>(from: D) -> Result<ErrorCode, D::Error> {
    let name = String::deserialize(from)?;
    let unknown = || format!("code \"{name}\"; known are: {}", ErrorCode::NAMES.join(", "));
    ErrorCode::from_name(&name).ok_or_else(|| serde::de::Error::custom(unknown()))
}

fn phase<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Phase>, D::Error> {
    let name = String::deserialize(from)?;
    let unknown = || format!("phase \"{name}\"; known are: {}", Phase::NAMES.join(", "));
    let phase = Phase::from_name(&name).ok_or_else(|| serde::de::Error::custom(unknown()))?;
    Ok(Some(phase))
}

fn tool<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<ToolEvent>, D::Error> {
    let value = toml::Value::deserialize(from)?;
    match event("tool_started", &value).map_err(serde::de::Error::custom)? {
        Event::ToolStarted(tool) => Ok(Some(tool)),
        _ => unreachable!("a kind's payload is of that kind"),
    }
}

fn options<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<PermissionOption>, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Offered {
        option_id: String,
        name: String,
        kind: String,
    }
    let offered = Vec::<Offered>::deserialize(from)?;
    let option = |offered: Offered| PermissionOption {
        option_id: offered.option_id,
        name: offered.name,
        kind: offered.kind,
    };
    Ok(offered.into_iter().map(option).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_above_is_a_script() {
        let source = include_str!("script.rs");
        let lines = source.lines().take_while(|line| line.starts_with("//!"));
        let text: Vec<&str> = lines
            .map(|line| line.trim_start_matches("//!").trim_start_matches(' '))
            .skip_while(|line| *line != "```toml")
            .skip(1)
            .take_while(|line| *line != "```")
            .collect();
        let script = Script::parse(&text.join("\n")).unwrap();
        assert_eq!(script.steps.len(), 7);
        assert!(script.is_asked_for("a table, please") && !script.is_asked_for("a chair"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let refused = |text: &str, part: &str| {
            let error = Script::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        refused("[[step]]\nsay = 'a'\nthink = 'b'", "this one has 2");
        refused("[[step]]\nsing = 'a'", "step sing: there is no such step");
        refused("[[step]]\ncomplete = {}", "step complete: there is no such step");
        refused("[[step]]\nplan = { entries = 3 }", "step plan");
        refused("[[step]]\nfail = { code = 'oops' }", "known are: provider_setup");
        refused("piece_words = 0", "piece_words");
        refused("peace_ms = 3", "peace_ms");
    }
}
