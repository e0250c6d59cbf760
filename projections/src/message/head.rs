//! What is known of a message apart from its content; its size does not depend on the content.

use scrollback_schema::event::{CancelReason, Origin, Phase, Usage};
use scrollback_schema::{ChatId, ErrorCode, MessageId, Millis, Seq, TurnId};
use serde::{Deserialize, Serialize};

use super::text::Tail;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A person, or what speaks for one: a schedule.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamStatus {
    /// Its turn is open.
    InProgress,
    /// It is all there; a user's message always is.
    Completed,
    /// Its turn failed.
    Failed,
    /// Its turn was interrupted.
    Interrupted,
}

impl StreamStatus {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            StreamStatus::InProgress => "in_progress",
            StreamStatus::Completed => "completed",
            StreamStatus::Failed => "failed",
            StreamStatus::Interrupted => "interrupted",
        }
    }
}

/// Why a turn failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong, from the closed list.
    pub code: ErrorCode,
    /// What a person reads.
    pub message: String,
    /// Where in the turn.
    pub phase: Phase,
    /// Whether the same turn may succeed if it is tried again.
    pub retryable: bool,
}

/// The turn that produces an assistant's message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnHead {
    /// The turn.
    pub id: TurnId,
    /// The user's message that it answers.
    pub user_message_id: Option<MessageId>,
    /// Who asked for it.
    pub origin: Origin,
    /// The provider that runs it.
    pub provider: String,
    /// The model it was asked for.
    pub model: Option<String>,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// How long it took, as its terminal event says.
    pub duration_ms: Option<u64>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// Why it was interrupted, if it was.
    pub interrupted: Option<CancelReason>,
}

/// Tokens and money of a turn.
///
/// Every `usage` event replaces the fields that it names: tokens and window are counts so far. Its
/// price is of what it reports, so prices add up. An event that names neither a window nor a
/// percentage leaves the percentage as it was.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct UsageTotal {
    /// Tokens that the model read.
    pub input_tokens: Option<u64>,
    /// Tokens that the model wrote.
    pub output_tokens: Option<u64>,
    /// Tokens that fit into the model's window.
    pub context_window: Option<u64>,
    /// How full the window is, 0 to 100; 0 if it is not known.
    pub percentage: f64,
    /// The sum of all prices in US dollars, if any was reported.
    pub cost_usd: Option<f64>,
}

impl UsageTotal {
    /// Adds what one `usage` event says.
    pub fn add(&mut self, usage: &Usage) {
        // As on the wire, so that a client that folds by itself comes to the same numbers.
        let usage = usage.clone().normalized();
        let percentage = usage.percentage.unwrap_or(0.0);
        if usage.context_window.is_some_and(|tokens| tokens > 0) || percentage > 0.0 {
            self.percentage = percentage;
        }
        self.input_tokens = usage.input_tokens.or(self.input_tokens);
        self.output_tokens = usage.output_tokens.or(self.output_tokens);
        self.context_window = usage.context_window.or(self.context_window);
        if let Some(cost_usd) = usage.cost_usd {
            self.cost_usd = Some(self.cost_usd.unwrap_or(0.0) + cost_usd);
        }
    }
}

/// What is known of a message apart from its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The message.
    pub id: MessageId,
    /// The chat, by the seq of its `chat_created`.
    pub chat: Seq,
    /// The chat's id.
    pub chat_id: ChatId,
    /// Who speaks.
    pub role: Role,
    /// How far it is.
    pub status: StreamStatus,
    /// The turn that produces it; none for a user's message.
    pub turn: Option<TurnHead>,
    /// Tokens and money, if any were reported.
    pub usage: Option<UsageTotal>,
    /// The seq of its first event.
    pub first_seq: Seq,
    /// The seq of the last event that was folded into it.
    pub last_seq: Seq,
    /// When its first event was committed.
    pub created_at: Millis,
    /// The place of the next part.
    pub(super) n_parts: u32,
    /// The place of the plan.
    pub(super) plan: Option<u32>,
    /// The text or thinking that the next delta of its sort goes on with; none if something else
    /// came after it, or the turn ended.
    pub(super) tail: Option<Tail>,
}
