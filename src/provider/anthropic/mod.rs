//! Anthropic's Messages API, and endpoints that speak it.
//!
//! The wire is our own here too: `genai`, the one library that has it, came with what `openai` says
//! about it. Tool calls are what they are there: `tool_started`, and closed with the turn.

mod reply;
mod request;

use serde_json::Value;

use super::Past;
use super::endpoint::{Asked, Dialect, Habits, Meter, Reply, Settings};

/// Messages.
pub(super) enum Anthropic {}

impl Dialect for Anthropic {
    const HABITS: Habits = Habits {
        base_url: Some("https://api.anthropic.com/v1"),
        key_header: "x-api-key",
        headers: &[("anthropic-version", "2023-06-01")],
        own_fields: request::OWN_FIELDS,
    };

    const PATH: &'static str = "messages";

    fn body(settings: &Settings, model: &str, history: &[Past]) -> Value {
        request::body(settings, model, history)
    }

    fn reply(asked: Asked, meter: Meter) -> impl Reply {
        reply::MessageReply::new(asked, meter)
    }
}
