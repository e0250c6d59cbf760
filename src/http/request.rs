//! How a call is read: the ids of its path, its parameters and its idempotency key.
//!
//! Everything is parsed here into the types of `schema`; what is wrong is a [`Problem`] that names
//! the part. Its body is left to `json_body`, what it means to the handlers.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Query, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri};
use scrollback_schema::limits::{IDEMPOTENCY_KEY_LEN_MAX, LIST_LIMIT_DEFAULT};
use scrollback_schema::{
    ChatId, IdError, MessageId, QueuedMessageId, RequestId, ScheduleId, Seq, TurnId,
};
use sha2::{Digest, Sha256};

use super::error::{Code, Problem};
use super::gate::Caller;
use crate::auth::Principal;
use crate::log::Idempotency;

/// The ids that a path can name.
#[derive(Debug, Clone)]
pub(crate) struct PathIds {
    chat: Option<ChatId>,
    message: Option<MessageId>,
    turn: Option<TurnId>,
    queued: Option<QueuedMessageId>,
    request: Option<RequestId>,
    schedule: Option<ScheduleId>,
}

fn id<T>(text: &str, parse: impl FnOnce(&str) -> Result<T, IdError>) -> Result<Option<T>, Problem> {
    parse(text).map(Some).map_err(|error| Problem::new(Code::BadId, error.to_string()))
}

impl<S: Send + Sync> FromRequestParts<S> for PathIds {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<PathIds, Problem> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::new(Code::BadId, "the path is not valid UTF-8"))?;
        let mut ids = PathIds {
            chat: None,
            message: None,
            turn: None,
            queued: None,
            request: None,
            schedule: None,
        };
        for (name, text) in &params {
            match name {
                "chat" => ids.chat = id(text, ChatId::parse)?,
                "message" => ids.message = id(text, MessageId::parse)?,
                "turn" => ids.turn = id(text, TurnId::parse)?,
                "queued" => ids.queued = id(text, QueuedMessageId::parse)?,
                "request" => ids.request = id(text, RequestId::parse)?,
                "schedule" => ids.schedule = id(text, ScheduleId::parse)?,
                _ => {}
            }
        }
        Ok(ids)
    }
}

/// The chat that the path names.
#[derive(Debug, Clone)]
pub(crate) struct ChatPath(pub(crate) ChatId);

impl<S: Send + Sync> FromRequestParts<S> for ChatPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<ChatPath, Problem> {
        let ids = PathIds::from_request_parts(parts, state).await?;
        Ok(ChatPath(ids.chat.expect("the route has {chat}")))
    }
}

/// The chat and the message that the path names.
#[derive(Debug, Clone)]
pub(crate) struct MessagePath(pub(crate) ChatId, pub(crate) MessageId);

impl<S: Send + Sync> FromRequestParts<S> for MessagePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<MessagePath, Problem> {
        let ids = PathIds::from_request_parts(parts, state).await?;
        let (chat, message) = ids.chat.zip(ids.message).expect("the route has both");
        Ok(MessagePath(chat, message))
    }
}

/// The chat and the turn that the path names.
#[derive(Debug, Clone)]
pub(crate) struct TurnPath(pub(crate) ChatId, pub(crate) TurnId);

impl<S: Send + Sync> FromRequestParts<S> for TurnPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<TurnPath, Problem> {
        let ids = PathIds::from_request_parts(parts, state).await?;
        let (chat, turn) = ids.chat.zip(ids.turn).expect("the route has both");
        Ok(TurnPath(chat, turn))
    }
}

/// The chat and the queued message that the path names.
#[derive(Debug, Clone)]
pub(crate) struct QueuedPath(pub(crate) ChatId, pub(crate) QueuedMessageId);

impl<S: Send + Sync> FromRequestParts<S> for QueuedPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<QueuedPath, Problem> {
        let ids = PathIds::from_request_parts(parts, state).await?;
        let (chat, queued) = ids.chat.zip(ids.queued).expect("the route has both");
        Ok(QueuedPath(chat, queued))
    }
}

/// The chat and the approval or question that the path names.
#[derive(Debug, Clone)]
pub(crate) struct RequestPath(pub(crate) ChatId, pub(crate) RequestId);

impl<S: Send + Sync> FromRequestParts<S> for RequestPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<RequestPath, Problem> {
        let ids = PathIds::from_request_parts(parts, state).await?;
        let (chat, request) = ids.chat.zip(ids.request).expect("the route has both");
        Ok(RequestPath(chat, request))
    }
}

/// The schedule that the path names; its chat is named elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct SchedulePath(pub(crate) ScheduleId);

impl<S: Send + Sync> FromRequestParts<S> for SchedulePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<SchedulePath, Problem> {
        let ids = PathIds::from_request_parts(parts, state).await?;
        Ok(SchedulePath(ids.schedule.expect("the route has {schedule}")))
    }
}

/// The parameters of a query, each at most once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Params, Problem> {
        Params::of(&parts.uri)
    }
}

impl Params {
    /// Reads the query of an address.
    pub(crate) fn of(uri: &Uri) -> Result<Params, Problem> {
        if uri.query().is_none_or(str::is_empty) {
            return Ok(Params::default());
        }
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Problem::new(Code::BadQuery, "the query is not form-urlencoded UTF-8"))?;
        for (at, (name, _)) in pairs.iter().enumerate() {
            if pairs[..at].iter().any(|(other, _)| other == name) {
                let detail = format!("parameter {} is given twice", shown(name));
                return Err(Problem::new(Code::BadQuery, detail));
            }
        }
        Ok(Params(pairs))
    }

    /// The text of a parameter; an empty one is as good as none.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(other, _)| other == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// A seq; an empty one is malformed, since a client that lost its cursor has to hear of it.
    pub(crate) fn seq(&self, name: &'static str) -> Result<Option<Seq>, Problem> {
        match self.0.iter().find(|(other, _)| other == name) {
            Some((_, text)) => parse_cursor(name, text).map(Some),
            None => Ok(None),
        }
    }

    /// `cursor`: where the page before of the same list ended.
    pub(crate) fn cursor<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let Some((_, text)) = self.0.iter().find(|(other, _)| other == "cursor") else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            let detail = "cursor: not one that this list gave; leave it out to begin anew";
            Problem::new(Code::BadCursor, detail).with("parameter", "cursor")
        })
    }

    /// `true` or `false`, false if it is not there.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => {
                Err(Problem::new(Code::BadQuery, format!("parameter {name} is true or false")))
            }
        }
    }

    /// `limit`: 1 to `max`; the default of lists if it is not there.
    pub(crate) fn limit(&self, max: usize) -> Result<usize, Problem> {
        let Some(text) = self.text("limit") else { return Ok(LIST_LIMIT_DEFAULT.min(max)) };
        text.parse().ok().filter(|limit| (1..=max).contains(limit)).ok_or_else(|| {
            let detail = format!("parameter limit is a whole number from 1 to {max}");
            Problem::new(Code::BadQuery, detail)
        })
    }
}

/// A name from a client, short enough for a message.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Parses a cursor; `name` is the parameter or header that it came in.
pub(crate) fn parse_cursor(name: &'static str, text: &str) -> Result<Seq, Problem> {
    text.parse().map_err(|error| {
        Problem::new(Code::BadCursor, format!("{name}: {error}")).with("parameter", name)
    })
}

/// What a client calls its request, so that a repetition is answered and not done again.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKey(Option<[u8; 32]>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().map(|caller| &**caller);
        IdempotencyKey::of(&parts.method, &parts.uri, &parts.headers, caller)
    }
}

impl IdempotencyKey {
    /// The key of a request, by its head; another user's key of the same name is another one.
    pub(crate) fn of(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        caller: Option<&Principal>,
    ) -> Result<IdempotencyKey, Problem> {
        let mut keys = headers.get_all("idempotency-key").iter();
        let Some(key) = keys.next() else { return Ok(IdempotencyKey(None)) };
        let key = key.as_bytes();
        let is_legal = (1..=IDEMPOTENCY_KEY_LEN_MAX).contains(&key.len())
            && key.iter().all(u8::is_ascii_graphic)
            && keys.next().is_none();
        if !is_legal {
            let detail = format!(
                "idempotency-key is given once, as 1 to {IDEMPOTENCY_KEY_LEN_MAX} visible \
                 ASCII characters"
            );
            return Err(Problem::new(Code::BadIdempotencyKey, detail));
        }
        let mut hash = Sha256::new();
        if let Some(owner) = caller.and_then(Principal::owner) {
            for part in ["owner\n", owner.as_str(), "\n"] {
                hash.update(part);
            }
        }
        for part in [method.as_str().as_bytes(), b"\n", uri.path().as_bytes(), b"\n", key] {
            hash.update(part);
        }
        Ok(IdempotencyKey(Some(hash.finalize().into())))
    }

    /// What the log keeps of this request; `receipt` is what the answer is made of.
    pub(crate) fn with(&self, body: &[u8], receipt: String) -> Option<Idempotency> {
        let key = self.0?;
        Some(Idempotency { key, body: Sha256::digest(body).into(), receipt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Result<Params, Problem> {
        Params::of(&format!("/x?{query}").parse().unwrap())
    }

    #[test]
    fn a_cursor_is_decimal_digits_up_to_the_greatest_seq() {
        let seq = |text: &str| params(text).unwrap().seq("after_seq").map_err(|p| p.code());
        assert_eq!(seq("after_seq=0"), Ok(Some(Seq::ZERO)));
        assert_eq!(seq("after_seq=9223372036854775807"), Ok(Some(Seq::MAX)));
        assert_eq!(seq("other=1"), Ok(None));
        for bad in ["", "-1", "%2B1", "x", "1.0", "9223372036854775808", "1e3", "%201"] {
            assert_eq!(seq(&format!("after_seq={bad}")), Err(Code::BadCursor), "{bad}");
        }
    }

    #[test]
    fn limits_flags_and_repetitions_are_checked() {
        let limit = |text: &str| params(text).unwrap().limit(100).map_err(|p| p.code());
        assert_eq!((limit("limit=1"), limit("limit=100"), limit("")), (Ok(1), Ok(100), Ok(50)));
        assert_eq!(limit("limit=0"), Err(Code::BadQuery));
        assert_eq!(limit("limit=101"), Err(Code::BadQuery));
        assert!(params("snapshot=true").unwrap().flag("snapshot").unwrap());
        assert!(params("snapshot=yes").unwrap().flag("snapshot").is_err());
        assert_eq!(params("a=1&a=2").unwrap_err().code(), Code::BadQuery);
    }

    #[test]
    fn a_key_is_bound_to_its_method_and_path() {
        let key = |method, path: &str, key: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", key.parse().unwrap());
            let uri = path.parse().unwrap();
            IdempotencyKey::of(&method, &uri, &headers, None).map(|key| key.0).map_err(|p| p.code())
        };
        let first = key(Method::POST, "/v1/chats", "k").unwrap().unwrap();
        assert_eq!(key(Method::POST, "/v1/chats?x=1", "k"), Ok(Some(first)));
        assert_ne!(key(Method::PATCH, "/v1/chats", "k"), Ok(Some(first)));
        assert_ne!(key(Method::POST, "/v1/chats/c", "k"), Ok(Some(first)));
        assert_eq!(key(Method::POST, "/v1/chats", "a b"), Err(Code::BadIdempotencyKey));
        assert_eq!(key(Method::POST, "/v1/chats", &"k".repeat(256)), Err(Code::BadIdempotencyKey));
    }
}
