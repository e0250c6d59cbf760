//! Why a turn can fail: a closed list, each with a word on whether a retry can help.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $name:literal retry $retry:literal),+ $(,)?) => {
        /// Why a turn failed.
        ///
        /// bincode stores the order of the variants: append only.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)+
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant),+];

            /// Their names on the wire, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorCode::$variant => $name,)+ }
            }

            /// The code with this wire name.
            pub fn from_name(name: &str) -> Option<ErrorCode> {
                match name { $($name => Some(ErrorCode::$variant),)+ _ => None }
            }

            /// Whether the same turn may succeed if it is tried again, unchanged.
            pub const fn is_retryable(self) -> bool {
                match self { $(ErrorCode::$variant => $retry,)+ }
            }
        }
    };
}

codes! {
    /// The provider could not be set up: unknown model, refused option, no such command.
    ProviderSetup "provider_setup" retry false,
    /// The provider refused the credentials.
    ProviderAuth "provider_auth" retry false,
    /// The provider asks to come back later.
    ProviderRateLimit "provider_rate_limit" retry true,
    /// The provider did not answer, or fell silent.
    ProviderTimeout "provider_timeout" retry true,
    /// The connection to the provider failed.
    ProviderTransport "provider_transport" retry true,
    /// The provider said something that is not its protocol.
    ProviderProtocol "provider_protocol" retry true,
    /// The provider refused the content.
    ProviderRefused "provider_refused" retry false,
    /// The provider failed on its own side.
    ProviderUnavailable "provider_unavailable" retry true,
    /// The agent's process ended.
    ProviderCrashed "provider_crashed" retry true,
    /// The turn ended without any content.
    EmptyResponse "empty_response" retry true,
    /// The conversation is longer than the model's window.
    ContextOverflow "context_overflow" retry false,
    /// The answer is longer than a message may be.
    OutputTooLong "output_too_long" retry false,
    /// A tool failed, and the turn with it.
    ToolFailed "tool_failed" retry true,
    /// The log could not be written.
    Storage "storage" retry true,
    /// A fault of this program.
    Internal "internal" retry true,
}
