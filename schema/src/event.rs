//! What can happen in a chat: one payload type a kind, and the numbers that the log stores.
//!
//! To add a kind:
//! 1. give it the next free number of its group in [`Kind`]; a number is never reused;
//! 2. give it a payload type here, and a variant in [`Event`];
//! 3. add it to `codec::encode_payload` and `codec::decode_payload`;
//! 4. add its wire form to `wire` (both directions);
//! 5. say in `src/log/turn_guard.rs` when it may happen;
//! 6. say in each projection what follows from it, or that nothing does;
//! 7. add its golden files (`schema/golden/`), and never edit those of a released kind;
//! 8. name it in the OpenAPI schema and in the README's table.
//!
//! To change a payload: never change a struct below once released. Add a new struct beside it, raise
//! the kind's version, and decode both. Stored types carry no `flatten`, `untagged`, `tag`, `skip*`,
//! `usize` or `serde_json::Value`: bincode writes them and never reads them back.

use serde::{Deserialize, Serialize};

use crate::error_code::ErrorCode;
use crate::id::{ChatId, MessageId, QueuedMessageId, RequestId, ScheduleId, Seq, TurnId};
use crate::time::Millis;

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
}

/// JSON that somebody else defined, kept as its text without white space between tokens.
///
/// Numbers and the order of keys stay as they were given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonText(pub(crate) String);

impl JsonText {
    /// Takes any valid JSON text.
    ///
    /// # Errors
    ///
    /// The parser's own error if the text is no JSON, or nests deeper than 127 levels.
    pub fn parse(text: &str) -> Result<JsonText, serde_json::Error> {
        serde_json::from_str::<serde::de::IgnoredAny>(text)?;
        let (mut out, mut in_string, mut escaped) =
            (String::with_capacity(text.len()), false, false);
        for c in text.chars() {
            if in_string {
                out.push(c);
                if escaped {
                    escaped = false;
                } else if c == '\\' {
                    escaped = true;
                } else if c == '"' {
                    in_string = false;
                }
            } else if !c.is_ascii_whitespace() {
                out.push(c);
                in_string = c == '"';
            }
        }
        Ok(JsonText(out))
    }

    /// The compact JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A change to a value that may be absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Patch<T> {
    /// Not mentioned: stays as it is.
    #[default]
    Keep,
    /// `null` on the wire: taken away.
    Remove,
    /// Replaced.
    Set(T),
}

/// Payload of [`Event::ChatCreated`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChatCreated {
    /// The principal that owns the chat.
    pub owner: Option<String>,
    /// What the list shows.
    pub title: Option<String>,
    /// The chat that this one is a fork of.
    pub parent_chat_id: Option<ChatId>,
    /// The last seq of the parent that the fork contains.
    pub forked_at_seq: Option<Seq>,
    /// The application's own JSON.
    pub metadata: Option<JsonText>,
}

/// Payload of [`Event::ChatUpdated`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChatUpdated {
    /// The new title.
    pub title: Patch<String>,
    /// The new metadata, as a whole.
    pub metadata: Patch<JsonText>,
}

/// Payload of [`Event::ChatViewed`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChatViewed {
    /// Who looked.
    pub by: Option<String>,
}

/// Payload of [`Event::ChatDeleted`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChatDeleted {
    /// Who deleted it.
    pub by: Option<String>,
}

/// A file that goes with a user's message; the log keeps its address, not its bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// The application's id of the file.
    pub id: String,
    /// The name to show.
    pub name: String,
    /// Its media type, for example `image/png`.
    pub media_type: String,
    /// Where it can be fetched.
    pub url: String,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// Payload of [`Event::UserText`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct UserText {
    /// What the user wrote.
    pub text: String,
    /// Files that go with it.
    pub attachments: Vec<Attachment>,
}

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

/// Payload of [`Event::StreamStarted`].
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

/// Payload of [`Event::AssistantText`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AssistantText {
    /// A delta, appended to what came before.
    pub text: String,
}

/// Payload of [`Event::AssistantThinking`].
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

/// Payload of [`Event::Plan`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The whole plan; it replaces the former one.
    pub entries: Vec<PlanEntry>,
}

/// Payload of [`Event::PromptSuggestions`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PromptSuggestions {
    /// What the user might ask next; it replaces the former list.
    pub suggestions: Vec<String>,
}

/// Payload of [`Event::Usage`].
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

/// Payload of [`Event::Session`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Session {
    /// The agent's id of its session.
    pub session_id: Option<String>,
    /// The directory it works in.
    pub cwd: Option<String>,
    /// The agent's own JSON.
    pub data: Option<JsonText>,
}

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

/// Payload of [`Event::PermissionRequest`].
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

/// Payload of [`Event::PermissionResolved`].
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

/// Payload of [`Event::ElicitationRequest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ElicitationRequest {
    /// The request's id within the chat.
    pub request_id: RequestId,
    /// The question.
    pub message: String,
    /// JSON schema of the answer.
    pub schema: Option<JsonText>,
}

/// Payload of [`Event::ElicitationResolved`].
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

/// Payload of [`Event::MessageQueued`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageQueued {
    /// The item's id within the chat.
    pub queued_message_id: QueuedMessageId,
    /// What the user wrote.
    pub content: String,
    /// Files that go with it.
    pub attachments: Vec<Attachment>,
    /// The provider to run it.
    pub provider: Option<String>,
    /// The model to ask for.
    pub model: Option<String>,
}

/// Payload of [`Event::QueueEdited`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueEdited {
    /// The item.
    pub queued_message_id: QueuedMessageId,
    /// Its new text.
    pub content: Option<String>,
    /// Its new provider.
    pub provider: Patch<String>,
    /// Its new model.
    pub model: Patch<String>,
}

/// Payload of [`Event::QueueRemoved`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueRemoved {
    /// The item.
    pub queued_message_id: QueuedMessageId,
    /// Who removed it.
    pub by: Option<String>,
}

/// Payload of [`Event::QueueSendNow`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueSendNow {
    /// The item, which becomes the first.
    pub queued_message_id: QueuedMessageId,
    /// Who asked for it.
    pub by: Option<String>,
}

/// Payload of [`Event::QueueProcessing`]: the hand-off from one turn to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueProcessing {
    /// The item that leaves the queue.
    pub queued_message_id: QueuedMessageId,
    /// The user's message that it becomes.
    pub user_message_id: MessageId,
    /// The assistant's message that answers it.
    pub assistant_message_id: MessageId,
    /// The turn that runs it.
    pub turn_id: TurnId,
    /// The turn that ended just before.
    pub prior_turn_id: Option<TurnId>,
    /// How long that one took.
    pub prior_duration_ms: Option<u64>,
}

/// Payload of [`Event::CancelRequested`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CancelRequested {
    /// The turn to stop.
    pub turn_id: TurnId,
    /// Who asked.
    pub by: Option<String>,
}

/// Payload of [`Event::Complete`]; on the wire it also says `status: "completed"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Complete {
    /// From the turn's start to its end.
    pub duration_ms: u64,
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

/// Payload of [`Event::Cancelled`]; on the wire it also says `status: "interrupted"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Why.
    pub reason: CancelReason,
    /// From the turn's start to its end.
    pub duration_ms: u64,
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

/// Payload of [`Event::Error`].
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

/// When a schedule runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Timing {
    /// A cron expression in a time zone of the IANA database.
    Cron {
        /// The expression.
        expression: String,
        /// The time zone, for example `Europe/Lisbon`.
        time_zone: String,
    },
    /// Again and again after so many milliseconds.
    Interval {
        /// The distance from one run to the next.
        every_ms: u64,
    },
}

/// Payload of [`Event::ScheduleCreated`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleCreated {
    /// The schedule's id within the chat.
    pub schedule_id: ScheduleId,
    /// When it runs.
    pub timing: Timing,
    /// What it sends.
    pub prompt: String,
    /// The provider to run it.
    pub provider: Option<String>,
    /// The model to ask for.
    pub model: Option<String>,
    /// Whether it waits to be resumed.
    pub paused: bool,
}

/// Payload of [`Event::ScheduleUpdated`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleUpdated {
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// Its new timing.
    pub timing: Option<Timing>,
    /// Its new prompt.
    pub prompt: Option<String>,
    /// Its new provider.
    pub provider: Patch<String>,
    /// Its new model.
    pub model: Patch<String>,
    /// Paused or resumed.
    pub paused: Option<bool>,
}

/// Payload of [`Event::ScheduleRemoved`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleRemoved {
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// Who removed it.
    pub by: Option<String>,
}

/// Payload of [`Event::ScheduleFired`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleFired {
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// When the run was due.
    pub due_at: Millis,
    /// The turn that runs it, if it started.
    pub turn_id: Option<TurnId>,
    /// Runs before this one that were missed.
    pub n_missed: u64,
    /// Why it did not start.
    pub error: Option<String>,
}

/// Payload of [`Event::Custom`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Custom {
    /// The application's name for the fact.
    pub name: String,
    /// The application's own JSON.
    pub data: Option<JsonText>,
}
