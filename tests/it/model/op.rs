//! What one step does, and the call that does it.
//!
//! Ids that the server makes are unknown while a sequence is drawn: they are names that begin with
//! `~`, which the driver exchanges for what the server really said.

use axum::http::Method;
use serde_json::{Value, json};

/// One step.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) op: Op,
    /// The client's key.
    pub(super) key: Option<String>,
}

/// What happens.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Create {
        body: Value,
    },
    Update {
        chat: String,
        body: Value,
    },
    View {
        chat: String,
    },
    Start {
        chat: String,
        body: Value,
    },
    Append {
        chat: String,
        token: Token,
        first: u64,
        events: Value,
    },
    TakeLease {
        chat: String,
        turn: String,
    },
    Stop {
        chat: String,
        turn: String,
        body: Value,
    },
    Queue {
        chat: String,
        body: Value,
    },
    Edit {
        chat: String,
        id: String,
        body: Value,
    },
    Remove {
        chat: String,
        id: String,
    },
    Clear {
        chat: String,
    },
    SendNow {
        chat: String,
        id: String,
    },
    Respond {
        chat: String,
        request: String,
        body: Value,
    },
    Fork {
        chat: String,
        body: Value,
    },
    Delete {
        chat: String,
    },
    /// A call of before once more, byte for byte or with another body.
    Again {
        kept: usize,
        is_other: bool,
    },
    /// The provider of a running turn says something.
    Say {
        chat: String,
        said: Vec<(&'static str, Value)>,
    },
    /// It has nothing more to say, or fails with this sentence.
    End {
        chat: String,
        failure: Option<&'static str>,
    },
    Clock {
        ms: i64,
    },
    Sweep,
    Rebuild {
        name: &'static str,
        is_check: bool,
    },
    Restart {
        how: Restart,
    },
    Reader(ReaderOp),
}

/// A lease's token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Of { turn: String, epoch: u64 },
    Invented,
}

/// How a server ends and the next one finds its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    /// It is shut down.
    Clean,
    /// It is gone, and its files are as they were.
    Crash,
    /// The same, and its views are older than its log.
    CrashWithOldViews,
    /// The same, and its views are lost.
    CrashWithoutViews,
}

/// What readers do.
#[derive(Debug, Clone)]
pub(super) enum ReaderOp {
    /// A new one, of a chat or of all; a lazy one reads only when it is cut.
    Open { chat: Option<String>, is_lazy: bool, has_snapshot: bool },
    /// It takes so many frames more and is gone.
    Cut { reader: usize, n_frames: usize },
    /// It comes back with the last id that it saw.
    Resume { reader: usize },
}

/// A call of the server.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    /// JSON; none at all if it is null.
    pub(super) body: Value,
}

impl Token {
    /// The name of the token in calls and answers.
    pub(super) fn name(&self, chat: &str) -> String {
        match self {
            Token::Of { turn, epoch } => format!("~lease/{chat}/{turn}/{epoch}"),
            Token::Invented => "12.1.invented".to_owned(),
        }
    }
}

impl Op {
    /// The call, unless it is something else that happens.
    pub(super) fn call(&self) -> Option<Call> {
        let of =
            |method, path: String, body: &Value| Some(Call { method, path, body: body.clone() });
        let none = &Value::Null;
        match self {
            Op::Create { body } => of(Method::POST, "/v1/chats".to_owned(), body),
            Op::Update { chat, body } => of(Method::PATCH, format!("/v1/chats/{chat}"), body),
            Op::View { chat } => of(Method::POST, format!("/v1/chats/{chat}/viewed"), none),
            Op::Start { chat, body } => of(Method::POST, format!("/v1/chats/{chat}/turns"), body),
            Op::Append { chat, token, first, events } => {
                let lease = token.name(chat);
                let body = json!({ "lease": lease, "first_number": first, "events": events });
                of(Method::POST, format!("/v1/chats/{chat}/events"), &body)
            }
            Op::TakeLease { chat, turn } => {
                of(Method::POST, format!("/v1/chats/{chat}/turns/{turn}/lease"), none)
            }
            Op::Stop { chat, turn, body } => {
                of(Method::POST, format!("/v1/chats/{chat}/turns/{turn}/stop"), body)
            }
            Op::Queue { chat, body } => of(Method::POST, format!("/v1/chats/{chat}/queue"), body),
            Op::Edit { chat, id, body } => {
                of(Method::PATCH, format!("/v1/chats/{chat}/queue/{id}"), body)
            }
            Op::Remove { chat, id } => {
                of(Method::DELETE, format!("/v1/chats/{chat}/queue/{id}"), none)
            }
            Op::Clear { chat } => of(Method::DELETE, format!("/v1/chats/{chat}/queue"), none),
            Op::SendNow { chat, id } => {
                of(Method::POST, format!("/v1/chats/{chat}/queue/{id}/send-now"), none)
            }
            Op::Respond { chat, request, body } => {
                of(Method::POST, format!("/v1/chats/{chat}/requests/{request}/respond"), body)
            }
            Op::Fork { chat, body } => of(Method::POST, format!("/v1/chats/{chat}/fork"), body),
            Op::Delete { chat } => of(Method::DELETE, format!("/v1/chats/{chat}"), none),
            _ => None,
        }
    }
}
