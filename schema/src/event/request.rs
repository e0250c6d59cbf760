//! Payloads of approvals and questions.

use serde::{Deserialize, Serialize};

use super::field::JsonText;
use super::turn::ToolEvent;
use crate::id::RequestId;
use crate::time::Millis;

/// One answer that an approval offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PermissionOption {
    /// The answer's id within the request.
    pub option_id: String,
    /// What the button says.
    pub name: String,
    /// What it means, in the agent's words (`allow_once`, `reject_once` …).
    pub kind: String,
}

/// Payload of [`Event::PermissionRequest`](super::Event::PermissionRequest).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PermissionRequest {
    /// The request's id within the chat.
    pub request_id: RequestId,
    /// The tool call that waits for it.
    pub tool: Option<ToolEvent>,
    /// The answers on offer.
    pub options: Vec<PermissionOption>,
    /// When it expires.
    pub expires_at: Option<Millis>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestOutcome {
    /// An option was chosen, or the question answered.
    Selected,
    /// It was refused.
    Denied,
    /// It was put aside, for example since the turn was stopped.
    Dismissed,
    /// Nobody answered in time.
    Expired,
}

words!(RequestOutcome {
    Selected "selected",
    Denied "denied",
    Dismissed "dismissed",
    Expired "expired",
});

/// Payload of [`Event::PermissionResolved`](super::Event::PermissionResolved).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PermissionResolved {
    /// The request that it ends.
    pub request_id: RequestId,
    /// How it ended.
    pub outcome: RequestOutcome,
    /// The option that was chosen.
    pub option_id: Option<String>,
    /// Who answered.
    pub by: Option<String>,
}

/// Payload of [`Event::ElicitationRequest`](super::Event::ElicitationRequest).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ElicitationRequest {
    /// The request's id within the chat.
    pub request_id: RequestId,
    /// The question.
    pub message: String,
    /// JSON schema of the answer.
    pub schema: Option<JsonText>,
}

/// Payload of [`Event::ElicitationResolved`](super::Event::ElicitationResolved).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ElicitationResolved {
    /// The request that it ends.
    pub request_id: RequestId,
    /// How it ended.
    pub outcome: RequestOutcome,
    /// The answer.
    pub content: Option<JsonText>,
    /// Who answered.
    pub by: Option<String>,
}
