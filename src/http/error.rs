//! What can go wrong in a call, in one table: a stable code, its status, and whether a retry helps.
//!
//! Every error leaves as `application/problem+json` (RFC 9457). What a client reads is the code,
//! a title that never changes, and a detail that names the subject; what caused a fault of ours
//! goes to the trace, once, here. No detail carries a chat's text.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use scrollback_schema::{ChatId, MessageId, Seq, TurnId};

use super::admission::RETRY_AFTER;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $name:literal $status:literal $retry:ident $title:literal;)+)
    => {
        /// What went wrong, by the name that clients may rely on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)+ }
            }

            /// The status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)+ }
            }

            /// Whether the same call may succeed if it is made again, unchanged.
            pub const fn is_retryable(self) -> bool {
                match self { $(Code::$variant => codes!(@retry $retry),)+ }
            }

            /// A short title that is the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Code::$variant => $title,)+ }
            }
        }
    };
    (@retry retry) => { true };
    (@retry never) => { false };
}

codes! {
    /// Nobody is proven to call.
    Unauthenticated "unauthenticated" 401 never "Not authenticated";
    /// Who calls may not do this.
    Forbidden "forbidden" 403 never "Not allowed";
    /// The path names no route.
    RouteNotFound "route_not_found" 404 never "No such route";
    /// The route has other methods.
    MethodNotAllowed "method_not_allowed" 405 never "Method not allowed";
    /// An id in the path or in the body is none.
    BadId "bad_id" 400 never "Malformed id";
    /// A query parameter is malformed.
    BadQuery "bad_query" 400 never "Malformed query parameter";
    /// A seq or a list cursor is malformed.
    BadCursor "bad_cursor" 400 never "Malformed cursor";
    /// The body is no JSON.
    BadJson "bad_json" 400 never "Body is not JSON";
    /// The idempotency key is malformed.
    BadIdempotencyKey "bad_idempotency_key" 400 never "Malformed idempotency key";
    /// The body came too slowly.
    BodyTooSlow "body_too_slow" 408 retry "Body came too slowly";
    /// The body could not be read to its end.
    BodyIncomplete "body_incomplete" 400 retry "Body ended early";
    /// The body is JSON of another shape.
    BadBody "bad_body" 422 never "Body has the wrong shape";
    /// An event of the body is unknown or has another shape.
    BadEvent "bad_event" 422 never "Event has the wrong shape";
    /// The body is no `application/json`.
    UnsupportedMediaType "unsupported_media_type" 415 never "Unsupported media type";
    /// The body is over the limit.
    BodyTooLarge "body_too_large" 413 never "Body too large";
    /// One event, or all of them, are over the limit.
    EventTooLarge "event_too_large" 413 never "Events too large";
    /// More events than one append may carry.
    TooManyEvents "too_many_events" 413 never "Too many events";
    /// There is no such chat, or the caller may not see it.
    ChatNotFound "chat_not_found" 404 never "No such chat";
    /// The chat was deleted.
    ChatDeleted "chat_deleted" 410 never "Chat was deleted";
    /// The chat has no such message, or had none at that position.
    MessageNotFound "message_not_found" 404 never "No such message";
    /// The chat has no such turn.
    TurnNotFound "turn_not_found" 404 never "No such turn";
    /// No projection has this name.
    ProjectionNotFound "projection_not_found" 404 never "No such projection";
    /// A rebuild or a check runs already.
    RebuildRunning "rebuild_running" 409 retry "Rebuild is running";
    /// The chat id is taken.
    ChatExists "chat_exists" 409 never "Chat exists already";
    /// A turn is open in the chat.
    ChatBusy "chat_busy" 409 retry "Chat is busy";
    /// A turn, message or other id is taken.
    IdTaken "id_taken" 409 never "Id is taken";
    /// The rules of the log refuse an event.
    EventRefused "event_refused" 409 never "Event is refused";
    /// The position is beyond the head of the log.
    PositionAhead "position_ahead" 416 never "Position is not written yet";
    /// The prefix is larger than a fork may be.
    ForkTooLarge "fork_too_large" 422 never "Prefix is too large to fork";
    /// The prefix does not hold the chat.
    ForkTooEarly "fork_too_early" 422 never "Position is before the chat";
    /// No provider of this name is configured.
    ProviderUnknown "provider_unknown" 422 never "Provider is not configured";
    /// Queued messages are run by the server, which cannot run this provider.
    ProviderExternal "provider_external" 422 never "Provider cannot be queued for";
    /// The chat has no such approval or question.
    RequestNotFound "request_not_found" 404 never "No such request";
    /// The approval or question was answered before, or its turn has ended.
    RequestAnswered "request_answered" 409 never "Request was answered";
    /// The chat has never had such a queued message.
    QueuedMessageNotFound "queued_message_not_found" 404 never "No such queued message";
    /// The queued message has started, or was removed.
    QueuedMessageGone "queued_message_gone" 409 never "Queued message has left the queue";
    /// The queue is as long as it may be.
    QueueFull "queue_full" 409 retry "Queue is full";
    /// The chat has no such schedule.
    ScheduleNotFound "schedule_not_found" 404 never "No such schedule";
    /// The chat has as many schedules as it may.
    TooManySchedules "too_many_schedules" 409 never "Too many schedules";
    /// As many turns wait as may.
    TooManyTurns "too_many_turns" 503 retry "Too many turns wait";
    /// The idempotency key was used with another body.
    IdempotencyKeyReused "idempotency_key_reused" 409 never "Idempotency key was used before";
    /// The token is no lease of the chat's open turn.
    LeaseInvalid "lease_invalid" 403 never "Lease is not valid";
    /// A newer lease of the turn is in force.
    LeaseFenced "lease_fenced" 409 never "Lease was taken over";
    /// The turn of the lease has ended.
    TurnEnded "turn_ended" 409 never "Turn has ended";
    /// An event number was left out.
    NumberGap "number_gap" 409 never "Event number was left out";
    /// The caller goes faster than it may.
    RateLimited "rate_limited" 429 retry "Too fast";
    /// The server has as much to do as it takes at once; nothing was done.
    Overloaded "overloaded" 503 retry "Server is overloaded";
    /// The server is shutting down.
    ShuttingDown "shutting_down" 503 retry "Server is shutting down";
    /// The log takes no more appends until the server is restarted.
    LogStopped "log_stopped" 503 retry "Log has stopped";
    /// The append may or may not have been stored.
    OutcomeUnknown "outcome_unknown" 503 retry "Outcome is unknown";
    /// The disk did not take the append; nothing was stored.
    StorageFailed "storage_failed" 507 retry "Log could not be written";
    /// The chat is deleted, and its text is not gone from every file yet.
    EraseUnfinished "erase_unfinished" 503 retry "Erasing is not finished";
    /// The log could not be read.
    ReadFailed "read_failed" 500 retry "Log could not be read";
    /// The log is damaged where it was to be read.
    LogDamaged "log_damaged" 500 never "Log is damaged";
    /// A read model is being built, or out of service.
    ViewUnavailable "view_unavailable" 503 retry "Read model is not available";
    /// A read model could not be read.
    ViewFailed "view_failed" 500 retry "Read model could not be read";
    /// A fault of this program.
    Internal "internal" 500 retry "Internal fault";
}

/// One error as the client reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    code: Code,
    detail: String,
    members: Vec<(&'static str, Value)>,
    /// When to come back; a 503 that does not know says [`RETRY_AFTER`].
    retry_after: Option<Duration>,
}

impl Problem {
    /// A problem whose detail names the subject and, where it helps, what to do.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem { code, detail: detail.into(), members: Vec::new(), retry_after: None }
    }

    /// Adds a member that a program can read.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Problem {
        self.members.push((name, value.into()));
        self
    }

    /// Says how long to wait before the call is made again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Problem {
        self.retry_after = Some(wait);
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The sentence that names the subject.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// There is no such chat.
    pub fn chat_not_found(chat: &ChatId) -> Problem {
        Problem::new(Code::ChatNotFound, format!("chat {chat} does not exist"))
            .with("chat_id", chat.as_str())
    }

    /// The chat was deleted.
    pub fn chat_deleted(chat: &ChatId) -> Problem {
        Problem::new(Code::ChatDeleted, format!("chat {chat} was deleted"))
            .with("chat_id", chat.as_str())
    }

    /// The chat has no such message.
    pub fn message_not_found(chat: &ChatId, message: &MessageId) -> Problem {
        let detail = format!("chat {chat} has no message {message} at this position");
        Problem::new(Code::MessageNotFound, detail)
            .with("chat_id", chat.as_str())
            .with("message_id", message.as_str())
    }

    /// There is no such turn.
    pub fn turn_not_found(turn: &TurnId) -> Problem {
        Problem::new(Code::TurnNotFound, format!("there is no turn {turn}"))
            .with("turn_id", turn.as_str())
    }

    /// A position that is not written yet: nobody waits for it in silence.
    pub fn ahead(name: &str, seq: Seq, head: Seq) -> Problem {
        let detail = format!("{name} {seq} is beyond the head of the log, which is {head}");
        Problem::new(Code::PositionAhead, detail).with("head_seq", head.get())
    }

    /// A fault of ours: the chain goes to the trace, the client reads the sentence.
    pub fn fault(code: Code, detail: &str, cause: &dyn std::error::Error) -> Problem {
        let mut chain = cause.to_string();
        let mut next = cause.source();
        while let Some(source) = next {
            chain.push_str(": ");
            chain.push_str(&source.to_string());
            next = source.source();
        }
        tracing::error!(code = code.name(), cause = chain, "{detail}");
        Problem::new(code, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        let code = self.code;
        body.insert("type".to_owned(), format!("urn:scrollback:problem:{}", code.name()).into());
        body.insert("title".to_owned(), code.title().into());
        body.insert("status".to_owned(), code.status().into());
        body.insert("detail".to_owned(), self.detail.into());
        body.insert("code".to_owned(), code.name().into());
        body.insert("retryable".to_owned(), code.is_retryable().into());
        for (name, value) in self.members {
            body.insert(name.to_owned(), value);
        }
        let status = StatusCode::from_u16(code.status()).expect("the table holds legal statuses");
        let problem_json = HeaderValue::from_static("application/problem+json");
        let mut response = (status, Value::Object(body).to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, problem_json);
        if code == Code::Unauthenticated {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        let wait = self.retry_after.or_else(|| (code.status() == 503).then_some(RETRY_AFTER));
        if let Some(wait) = wait {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
