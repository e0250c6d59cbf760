//! Payloads of a turn, from its start to its end.

use serde::{Deserialize, Serialize};

use super::field::JsonText;
use crate::error_code::ErrorCode;
use crate::id::{MessageId, TurnId};

/// Who asked for a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A user's message.
    User,
    /// The queue's head.
    Queue,
    /// A queued message that jumped the queue.
    SendNow,
    /// A schedule.
    Schedule,
    /// A program outside the server.
    External,
}

words!(Origin {
    User "user",
    Queue "queue",
    SendNow "send_now",
    Schedule "schedule",
    External "external",
});

/// Payload of [`Event::StreamStarted`](super::Event::StreamStarted).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamStarted {
    /// The provider that runs the turn.
    pub provider: String,
    /// The model it was asked for.
    pub model: Option<String>,
    /// The user's message that it answers.
    pub user_message_id: Option<MessageId>,
    /// Who asked for it.
    pub origin: Origin,
}

/// Payload of [`Event::AssistantText`](super::Event::AssistantText).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AssistantText {
    /// A delta, appended to what came before.
    pub text: String,
}

/// Payload of [`Event::AssistantThinking`](super::Event::AssistantThinking).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AssistantThinking {
    /// A delta, appended to what came before.
    pub thinking: String,
}

/// Payload of the three tool events: the state of one call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ToolEvent {
    /// The call's id within its turn.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// A line that says what the call does.
    pub title: Option<String>,
    /// The call that made this one.
    pub parent_id: Option<String>,
    /// What it was given.
    pub input: Option<JsonText>,
    /// What it gave back.
    pub result: Option<JsonText>,
    /// Why it failed.
    pub error: Option<String>,
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanEntry {
    /// What is to be done.
    pub content: String,
    /// How far it is, in the agent's words (`pending`, `in_progress`, `completed`).
    pub status: String,
    /// How much it matters, in the agent's words (`high`, `medium`, `low`).
    pub priority: String,
}

/// Payload of [`Event::Plan`](super::Event::Plan).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The whole plan; it replaces the former one.
    pub entries: Vec<PlanEntry>,
}

/// Payload of [`Event::PromptSuggestions`](super::Event::PromptSuggestions).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PromptSuggestions {
    /// What the user might ask next; it replaces the former list.
    pub suggestions: Vec<String>,
}

/// Payload of [`Event::Usage`](super::Event::Usage).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens that the model read.
    pub input_tokens: Option<u64>,
    /// Tokens that the model wrote.
    pub output_tokens: Option<u64>,
    /// Tokens that fit into the model's window; 0 if unknown.
    pub context_window: Option<u64>,
    /// How full the window is, 0 to 100.
    pub percentage: Option<f64>,
    /// Price of the turn in US dollars.
    pub cost_usd: Option<f64>,
}

impl Usage {
    /// The same usage with a percentage, and with numbers that JSON can write.
    ///
    /// A percentage that was given stands, held within 0 to 100. Without one it is the tokens read
    /// and written, of the window; 0 if the window is unknown.
    #[must_use]
    pub fn normalized(mut self) -> Usage {
        let finite = |n: Option<f64>| n.filter(|n| n.is_finite());
        let percentage = finite(self.percentage).unwrap_or_else(|| {
            let tokens = [self.input_tokens, self.output_tokens].into_iter().flatten();
            match self.context_window {
                None | Some(0) => 0.0,
                Some(window) => tokens.fold(0, u64::saturating_add) as f64 * 100.0 / window as f64,
            }
        });
        self.percentage = Some(percentage.clamp(0.0, 100.0));
        self.cost_usd = finite(self.cost_usd);
        self
    }
}

/// Payload of [`Event::Session`](super::Event::Session).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Session {
    /// The agent's id of its session.
    pub session_id: Option<String>,
    /// The directory it works in.
    pub cwd: Option<String>,
    /// The agent's own JSON.
    pub data: Option<JsonText>,
}

/// Payload of [`Event::CancelRequested`](super::Event::CancelRequested).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CancelRequested {
    /// The turn to stop.
    pub turn_id: TurnId,
    /// Who asked.
    pub by: Option<String>,
}

/// Payload of [`Event::Complete`](super::Event::Complete).
///
/// On the wire it also says `status: "completed"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Complete {
    /// From the turn's start to its end.
    pub duration_ms: u64,
}

impl Complete {
    /// Its status on the wire.
    pub const STATUS: &'static str = "completed";
}

/// Why a turn was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CancelReason {
    /// A user stopped it.
    User,
    /// A queued message was sent now.
    SendNow,
    /// The server shut down.
    Shutdown,
    /// The server died and was started again.
    Restart,
    /// Its producer fell silent.
    LeaseExpired,
}

words!(CancelReason {
    User "user",
    SendNow "send_now",
    Shutdown "shutdown",
    Restart "restart",
    LeaseExpired "lease_expired",
});

/// Payload of [`Event::Cancelled`](super::Event::Cancelled).
///
/// On the wire it also says `status: "interrupted"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Why.
    pub reason: CancelReason,
    /// From the turn's start to its end.
    pub duration_ms: u64,
}

impl Cancelled {
    /// Its status on the wire.
    pub const STATUS: &'static str = "interrupted";
}

/// Where in a turn it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Before the provider said anything.
    Setup,
    /// While it spoke.
    Stream,
    /// In a tool.
    Tool,
    /// While the log was written.
    Storage,
}

words!(Phase { Setup "setup", Stream "stream", Tool "tool", Storage "storage" });

/// Payload of [`Event::Error`](super::Event::Error).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnError {
    /// What went wrong, from the closed list.
    pub code: ErrorCode,
    /// What a person reads.
    pub message: String,
    /// Where in the turn.
    pub phase: Phase,
    /// Whether the same turn may succeed if it is tried again.
    pub retryable: bool,
    /// From the turn's start to its end.
    pub duration_ms: u64,
}
