//! What can happen in a chat: one payload type a kind, and the numbers that the log stores.
//!
//! To add a kind:
//! 1. give it the next free number of its group in [`Kind`]; a number is never reused;
//! 2. give it a payload type in `event/`, and a variant in [`Event`];
//! 3. add it to `codec::encode_payload` and `codec::decode_payload`;
//! 4. add its wire form to `wire` (both directions);
//! 5. say in `src/log/turn_guard.rs` when it may happen;
//! 6. say in each projection what follows from it, or that nothing does;
//! 7. add its golden files (`schema/golden/`), and never edit those of a released kind;
//! 8. name it in the OpenAPI schema and in the README's table.
//!
//! To change a payload: never change a struct of `event/` once released. Add a new struct beside
//! it, raise the kind's version, and decode both. Stored types carry no `flatten`, `untagged`,
//! `tag`, `skip*`, `usize` or `serde_json::Value`: bincode writes them and never reads them back.

#[macro_use]
mod field;
mod chat;
mod queue;
mod request;
mod schedule;
mod turn;

pub use chat::{Attachment, ChatCreated, ChatDeleted, ChatUpdated, ChatViewed, Custom, UserText};
pub use field::{JsonText, Patch};
pub use queue::{MessageQueued, QueueEdited, QueueProcessing, QueueRemoved, QueueSendNow};
pub use request::{
    ElicitationRequest, ElicitationResolved, PermissionOption, PermissionRequest,
    PermissionResolved, RequestOutcome,
};
pub use schedule::{ScheduleCreated, ScheduleFired, ScheduleRemoved, ScheduleUpdated, Timing};
pub use turn::{
    AssistantText, AssistantThinking, CancelReason, CancelRequested, Cancelled, Complete, Origin,
    Phase, Plan, PlanEntry, PromptSuggestions, Session, StreamStarted, ToolEvent, TurnError, Usage,
};

/// Declares the kinds once: the stored number, the wire name and the variant of [`Event`].
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $name:literal ($payload:ty)),+ $(,)?) => {
        /// The kind of an event, under the number by which the log stores it.
        ///
        /// Numbers are explicit, append only and never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Kind {
            $($(#[$doc])* $variant = $number,)+
        }

        impl Kind {
            /// Every kind, in the order of their numbers.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),+];

            /// The kind with this stored number, if this version knows it.
            pub const fn from_number(number: u16) -> Option<Kind> {
                match number {
                    $($number => Some(Kind::$variant),)+
                    _ => None,
                }
            }

            /// The number by which the log stores it.
            pub const fn number(self) -> u16 {
                self as u16
            }

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Kind::$variant => $name,)+
                }
            }

            /// The kind with this wire name.
            pub fn from_name(name: &str) -> Option<Kind> {
                match name {
                    $($name => Some(Kind::$variant),)+
                    _ => None,
                }
            }
        }

        /// One event: its kind and its payload.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Event {
            $($(#[$doc])* $variant($payload),)+
        }

        impl Event {
            /// The kind of the event.
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Event::$variant(_) => Kind::$variant,)+
                }
            }
        }
    };
}

kinds! {
    /// A chat began.
    ChatCreated = 1 "chat_created" (ChatCreated),
    /// Its title or metadata changed.
    ChatUpdated = 2 "chat_updated" (ChatUpdated),
    /// Somebody looked at it.
    ChatViewed = 3 "chat_viewed" (ChatViewed),
    /// It was deleted: the tombstone.
    ChatDeleted = 4 "chat_deleted" (ChatDeleted),
    /// A user said something.
    UserText = 10 "user_text" (UserText),
    /// A turn began.
    StreamStarted = 20 "stream_started" (StreamStarted),
    /// A piece of the answer.
    AssistantText = 21 "assistant_text" (AssistantText),
    /// A piece of the model's reasoning.
    AssistantThinking = 22 "assistant_thinking" (AssistantThinking),
    /// A tool call began, or changed while it ran.
    ToolStarted = 23 "tool_started" (ToolEvent),
    /// A tool call succeeded.
    ToolCompleted = 24 "tool_completed" (ToolEvent),
    /// A tool call failed.
    ToolFailed = 25 "tool_failed" (ToolEvent),
    /// The plan was replaced.
    Plan = 26 "plan" (Plan),
    /// What the user might ask next.
    PromptSuggestions = 27 "prompt_suggestions" (PromptSuggestions),
    /// Tokens and money.
    Usage = 28 "usage" (Usage),
    /// Bookkeeping of the agent session.
    Session = 29 "session" (Session),
    /// An agent asked for an approval.
    PermissionRequest = 30 "permission_request" (PermissionRequest),
    /// The approval was given, denied, dismissed, or expired.
    PermissionResolved = 31 "permission_resolved" (PermissionResolved),
    /// An agent asked a question.
    ElicitationRequest = 32 "elicitation_request" (ElicitationRequest),
    /// The question was answered, denied, dismissed, or expired.
    ElicitationResolved = 33 "elicitation_resolved" (ElicitationResolved),
    /// A message was put into the queue.
    MessageQueued = 40 "message_queued" (MessageQueued),
    /// A queued message was edited.
    QueueEdited = 41 "queue_edited" (QueueEdited),
    /// A queued message was removed.
    QueueRemoved = 42 "queue_removed" (QueueRemoved),
    /// A queued message jumped the queue.
    QueueSendNow = 43 "queue_send_now" (QueueSendNow),
    /// A queued message was handed to a turn.
    QueueProcessing = 44 "queue_processing" (QueueProcessing),
    /// Somebody asked a turn to stop.
    CancelRequested = 50 "cancel_requested" (CancelRequested),
    /// A turn ended well: terminal.
    Complete = 51 "complete" (Complete),
    /// A turn was interrupted: terminal.
    Cancelled = 52 "cancelled" (Cancelled),
    /// A turn failed: terminal.
    Error = 53 "error" (TurnError),
    /// A schedule was made.
    ScheduleCreated = 60 "schedule_created" (ScheduleCreated),
    /// A schedule was changed, paused or resumed.
    ScheduleUpdated = 61 "schedule_updated" (ScheduleUpdated),
    /// A schedule was removed.
    ScheduleRemoved = 62 "schedule_removed" (ScheduleRemoved),
    /// A schedule fired, missed runs, or failed to fire.
    ScheduleFired = 63 "schedule_fired" (ScheduleFired),
    /// An application's own fact.
    Custom = 70 "custom" (Custom),
}

impl Kind {
    /// Whether the kind ends a turn.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Kind::Complete | Kind::Cancelled | Kind::Error)
    }

    /// Whether the kind is something said within a turn, and so needs it open.
    pub const fn is_turn_content(self) -> bool {
        matches!(
            self,
            Kind::AssistantText
                | Kind::AssistantThinking
                | Kind::ToolStarted
                | Kind::ToolCompleted
                | Kind::ToolFailed
                | Kind::Plan
                | Kind::PromptSuggestions
                | Kind::Usage
                | Kind::PermissionRequest
                | Kind::ElicitationRequest
        )
    }

    /// Whether a producer outside the server may append it to the turn that it leases.
    pub const fn is_appended_by_producer(self) -> bool {
        self.is_turn_content() || self.is_terminal() || matches!(self, Kind::Session | Kind::Custom)
    }
}
