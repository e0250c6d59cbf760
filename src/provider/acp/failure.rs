//! What goes wrong with an agent, as the failure of a turn: a code, a phase and a sentence.
//!
//! The agent's own words are repeated nowhere: an error of an agent's can quote the chat or a key.

use scrollback_schema::ErrorCode;
use scrollback_schema::event::Phase;

use super::wire::{Broken, RpcError};
use crate::provider::ProviderError;

/// The agent refused what every turn needs; `what` is what it was to do.
pub(super) fn set_up(error: RpcError, what: &str) -> ProviderError {
    match error.code {
        RpcError::AUTH_REQUIRED => wants_login(Phase::Setup),
        code => {
            let message = format!("the agent refused {what} (JSON-RPC error {code})");
            ProviderError::new(ErrorCode::ProviderSetup, Phase::Setup, message)
        }
    }
}

/// The agent failed in the turn itself.
pub(super) fn of_prompt(error: RpcError, phase: Phase) -> ProviderError {
    let (code, what) = match error.code {
        RpcError::AUTH_REQUIRED => return wants_login(phase),
        // Parse error, invalid request, method not found, invalid parameters.
        -32700 | -32600 | RpcError::METHOD_NOT_FOUND | -32602 => {
            (ErrorCode::ProviderProtocol, "did not understand the message")
        }
        _ => (ErrorCode::ProviderUnavailable, "failed"),
    };
    let message = format!("the agent {what} (JSON-RPC error {})", error.code);
    ProviderError::new(code, phase, message)
}

fn wants_login(phase: Phase) -> ProviderError {
    let message = "the agent wants somebody to log in; log in with the agent's own command";
    ProviderError::new(ErrorCode::ProviderAuth, phase, message)
}

/// Nothing more comes from the agent, though it is still there.
pub(super) fn broken(broken: Broken, phase: Phase) -> ProviderError {
    let message = match broken {
        Broken::Ended => return crashed("ended", phase),
        Broken::Rubbish => "the agent wrote what is no message of its protocol",
        Broken::Flood => "the agent wrote a longer line than is taken",
        Broken::Deaf => "the agent asks and does not read the answers",
    };
    ProviderError::new(ErrorCode::ProviderProtocol, phase, message)
}

/// The agent's process is gone; `how` says how.
pub(super) fn crashed(how: &str, phase: Phase) -> ProviderError {
    let message = format!("the agent's process {how} before the turn was over");
    ProviderError::new(ErrorCode::ProviderCrashed, phase, message)
}

/// An answer of the agent's lacks what it has to hold.
pub(super) fn shapeless(what: &str, phase: Phase) -> ProviderError {
    let message = format!("the agent's answer to {what} is not of its protocol");
    ProviderError::new(ErrorCode::ProviderProtocol, phase, message)
}

/// The model cannot be switched to.
pub(super) fn setting_refused(what: &str, value: &str) -> ProviderError {
    let message = format!("the agent does not switch to the {what} \"{value}\"");
    ProviderError::new(ErrorCode::ProviderSetup, Phase::Setup, message)
}

/// Set-up took too long.
pub(super) fn too_slow(limit: std::time::Duration) -> ProviderError {
    let message = format!("the agent was not set up within {limit:?}");
    ProviderError::new(ErrorCode::ProviderTimeout, Phase::Setup, message)
}

/// The agent speaks another version of the protocol.
pub(super) fn other_version(theirs: u64, ours: u64) -> ProviderError {
    let message = format!("the agent speaks version {theirs} of its protocol, and not {ours}");
    ProviderError::new(ErrorCode::ProviderSetup, Phase::Setup, message)
}

/// How a turn ended for the agent, if it did not end well.
pub(super) fn of_stop_reason(reason: &str) -> Option<ProviderError> {
    let (code, message) = match reason {
        "end_turn" | "cancelled" => return None,
        "refusal" => (ErrorCode::ProviderRefused, "the agent refused to go on"),
        // What was said stands, but nobody should take it for the whole: as at an endpoint.
        "max_tokens" => (ErrorCode::OutputTooLong, "the agent stopped at its limit of tokens"),
        "max_turn_requests" => {
            (ErrorCode::OutputTooLong, "the agent stopped at its limit of requests in one turn")
        }
        _ => (ErrorCode::ProviderProtocol, "the agent stopped for a reason that is not known here"),
    };
    Some(ProviderError::new(code, Phase::Stream, message))
}
