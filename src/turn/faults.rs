//! The failures of a turn that are no provider's: each with its code, its phase and its sentence.

use scrollback_schema::ErrorCode;
use scrollback_schema::event::Phase;

use crate::log::AppendError;
use crate::provider::ProviderError;

/// The failure of an answer that is too long.
pub(super) fn too_long(bytes_max: usize) -> ProviderError {
    let message = format!("the answer was cut at {bytes_max} bytes, which is the limit");
    ProviderError::new(ErrorCode::OutputTooLong, Phase::Stream, message)
}

/// The turn's own task panicked.
pub(super) fn broke_off() -> ProviderError {
    let message = "the turn broke off at a fault of this program";
    ProviderError::new(ErrorCode::Internal, Phase::Stream, message)
}

/// The provider that a turn names is not there (any more).
pub(super) fn not_configured(name: &str) -> ProviderError {
    let message = format!("the provider \"{name}\" is not configured");
    ProviderError::new(ErrorCode::ProviderSetup, Phase::Setup, message)
}

/// The provider panicked.
pub(super) fn panicked(phase: Phase) -> ProviderError {
    ProviderError::new(ErrorCode::Internal, phase, "the provider failed at a fault of this program")
}

/// The provider said what is none of its to say.
pub(super) fn protocol(what: &str) -> ProviderError {
    let message = format!("the provider {what}, which is not allowed");
    ProviderError::new(ErrorCode::ProviderProtocol, Phase::Stream, message)
}

/// The log refuses what the provider said.
pub(super) fn refused(error: &AppendError) -> ProviderError {
    match error {
        AppendError::TooLarge { .. } => {
            let message = "the provider said more at once than one event can hold";
            ProviderError::new(ErrorCode::OutputTooLong, Phase::Stream, message)
        }
        _ => protocol("said something out of place"),
    }
}
