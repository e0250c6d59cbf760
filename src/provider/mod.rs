//! What a turn asks of a model or an agent, and what it hears back: one small trait.
//!
//! A provider turns a protocol of its own into events of one turn. It appends nothing, knows no
//! reader and keeps no state of a chat: what becomes of what it says is left to `turn`.
//!
//! To add a kind: give it a file, its name in [`KINDS`], a line in [`Providers::build`], and a
//! table in the README.

mod acp;
mod anthropic;
mod conversation;
mod endpoint;
mod openai;
pub mod scripted;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use scrollback_schema::event::{
    Attachment, ElicitationRequest, JsonText, PermissionRequest, Phase, RequestOutcome, Session,
};
use scrollback_schema::{ChatId, ErrorCode, Event, TurnId};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::endpoint::Model;

/// Runs turns: a model behind an API, an agent's process, a script.
pub trait Provider: Send + Sync + fmt::Debug {
    /// Begins one turn; what it says comes as a stream whose end is the turn's good end.
    ///
    /// Fails in set-up: nothing was said yet. The stream fails at most once, and ends with it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future or the stream ends the work: connections are closed, a process that was
    /// started for it alone is killed. [`TurnRequest::stop`] asks for the same politely.
    fn start(&self, request: TurnRequest) -> BoxFuture<'_, Result<Saying, ProviderError>>;

    /// Tries whether the provider could run a turn, at the least cost that tells.
    ///
    /// The sentence says what was found, for example the models on offer; never a secret.
    fn check(&self) -> BoxFuture<'_, Result<String, ProviderError>>;
}

/// What a provider says, in order.
pub type Saying = BoxStream<'static, Result<Said, ProviderError>>;

/// What a turn asks for.
#[derive(Debug, Clone)]
pub struct TurnRequest {
    /// The chat.
    pub chat: ChatId,
    /// The turn.
    pub turn: TurnId,
    /// The model that was asked for; the provider's own choice otherwise.
    pub model: Option<String>,
    /// The conversation, oldest first; the last one is the user's message to be answered.
    pub history: Vec<Past>,
    /// What an agent noted last about its session in this chat.
    pub session: Option<Session>,
    /// Cancelled when the turn is stopped: whoever can should tell the other side.
    pub stop: CancellationToken,
}

/// One message of the conversation so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// Who said it.
    pub role: Role,
    /// What was said, without errors and suggestions.
    pub text: String,
    /// Files that went with it.
    pub attachments: Vec<Attachment>,
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The user.
    User,
    /// The model or the agent.
    Assistant,
}

/// One thing that a provider says.
#[derive(Debug)]
pub enum Said {
    /// An event of the turn: content, or the session's bookkeeping; never a terminal one.
    Event(Event),
    /// A question that a person answers.
    Ask(Ask),
}

/// A question, and where its answer goes.
#[derive(Debug)]
pub struct Ask {
    /// What is asked.
    pub question: Question,
    /// Gets the answer once; dropped without one if the turn ends before.
    pub answer: oneshot::Sender<Answer>,
}

/// What a person is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// May this be done?
    Permission(PermissionRequest),
    /// What is wanted?
    Elicitation(ElicitationRequest),
}

/// What a person answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How it ended.
    pub outcome: RequestOutcome,
    /// The option that was chosen.
    pub option_id: Option<String>,
    /// What was answered to a question.
    pub content: Option<JsonText>,
}

/// Why a turn failed, as a provider tells it.
///
/// `message` is shown to the user and stored: it names no secret and repeats no text of the chat.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What went wrong.
    pub code: ErrorCode,
    /// One sentence for a person.
    pub message: String,
    /// Where in the turn.
    pub phase: Phase,
    /// Whether the same turn may succeed if it is tried again.
    pub retryable: bool,
    /// How long the other side asks to wait before that.
    pub retry_after: Option<Duration>,
}

impl ProviderError {
    /// A failure whose code says whether a retry can help.
    pub fn new(code: ErrorCode, phase: Phase, message: impl Into<String>) -> ProviderError {
        let retryable = code.is_retryable();
        ProviderError { code, message: message.into(), phase, retryable, retry_after: None }
    }

    /// The same failure, with the time that the other side asks to wait.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Option<Duration>) -> ProviderError {
        self.retry_after = retry_after;
        self
    }
}

/// The name under which a program outside the server runs a turn; no table can have it.
pub const EXTERNAL: &str = "external";

/// The kinds that a table of the configuration can name.
pub const KINDS: &[&str] = &["acp", "anthropic", "openai", "scripted"];

/// Where secrets come from: asked with the name of an environment variable.
pub type Secrets<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a configured provider cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("provider \"{name}\": {problem}")]
pub struct ProviderConfigError {
    /// The name of its table.
    pub name: String,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// The providers of a server, by name.
#[derive(Debug, Clone, Default)]
pub struct Providers(BTreeMap<String, Arc<dyn Provider>>);

impl Providers {
    /// Builds the providers that a configuration names, each from its own table.
    ///
    /// # Errors
    ///
    /// [`ProviderConfigError`], of the first table that is wrong.
    pub fn build(
        tables: &BTreeMap<String, toml::Table>,
        secrets: Secrets<'_>,
    ) -> Result<Providers, ProviderConfigError> {
        let mut providers = Providers::default();
        for (name, table) in tables {
            if name == EXTERNAL {
                let problem = "is the name of producers outside; choose another".to_owned();
                return Err(ProviderConfigError { name: name.clone(), problem });
            }
            let provider = build(name, table, secrets)
                .map_err(|problem| ProviderConfigError { name: name.clone(), problem })?;
            providers.insert(name, provider);
        }
        Ok(providers)
    }

    /// The provider of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.0.get(name)
    }

    /// Adds a provider; one of the same name is replaced.
    pub fn insert(&mut self, name: &str, provider: Arc<dyn Provider>) {
        self.0.insert(name.to_owned(), provider);
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// One provider, or a sentence about its table.
fn build(
    name: &str,
    table: &toml::Table,
    secrets: Secrets<'_>,
) -> Result<Arc<dyn Provider>, String> {
    Ok(match table.get("kind").and_then(toml::Value::as_str) {
        Some("acp") => Arc::new(acp::Acp::build(name, table, secrets)?),
        Some("anthropic") => Arc::new(Model::<anthropic::Anthropic>::new(table, secrets)?),
        Some("openai") => Arc::new(Model::<openai::OpenAi>::new(table, secrets)?),
        Some("scripted") => Arc::new(scripted::Scripted::build(table)?),
        Some(kind) => {
            return Err(format!("kind \"{kind}\" is unknown; known are: {}", KINDS.join(", ")));
        }
        None => return Err(format!("has no kind; known are: {}", KINDS.join(", "))),
    })
}
