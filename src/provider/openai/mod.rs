//! Any OpenAI-compatible chat-completions endpoint: hosted ones, Ollama, vLLM, llama.cpp.
//!
//! The wire is our own; two libraries were served the recorded streams and some bad ones first:
//!
//! - `genai` 0.7.2 reads every recording, but without the closing `[DONE]` it gives neither usage
//!   nor tool calls, takes a cut for an end, drops a tool call without an index, glues calls that
//!   share one, and fails a turn over `"error": null`. Its buffers have no bound. It also switches
//!   `serde_json` to `preserve_order` in the whole program, which would change what is written.
//! - `async-openai` 0.43 hands out free JSON with its `byot`, so all of the reading is left to us;
//!   it reads ahead into a channel without a bound, loses an event whose empty line is missing, and
//!   cannot read an error whose `code` is a number, as llama.cpp and vLLM have it.
//!
//! A turn that ends with tool calls: the server executes no tools of a model. Each call is
//! `tool_started`, first with its name, then with its input; the turn ends well, and the call is
//! closed with it, as the messages have it. Whoever wants tools run configures an agent.

mod reply;
mod request;
mod tool_calls;

pub(super) use self::tool_calls::{input_of, tool_started};

use serde_json::Value;

use super::Past;
use super::endpoint::{Asked, Dialect, Habits, Meter, Reply, Settings};

/// Chat completions.
pub(super) enum OpenAi {}

impl Dialect for OpenAi {
    const HABITS: Habits = Habits {
        base_url: None,
        key_header: "authorization",
        headers: &[],
        own_fields: request::OWN_FIELDS,
    };

    const PATH: &'static str = "chat/completions";

    fn body(settings: &Settings, model: &str, history: &[Past]) -> Value {
        request::body(settings, model, history)
    }

    fn reply(asked: Asked, meter: Meter) -> impl Reply {
        reply::ChatReply::new(asked, meter)
    }
}
