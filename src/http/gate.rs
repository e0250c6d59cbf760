//! The gate before every route: who calls, and whether it may.
//!
//! It stands before all routes of the API at once, and lets nobody but operators through to a route
//! that it does not know, so that a forgotten check closes and never opens. A route with a chat in
//! its path is checked here; one that names chats elsewhere asks [`App::chat`], which takes the
//! caller. To somebody who may not see it, a chat is not there: same answer, same words.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock, Mutex};

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use lru::LruCache;
use scrollback_schema::{ChatId, ChatRef, Event, Seq};

use super::App;
use super::admission::CallerKey;
use super::error::{Code, Problem};
use super::openapi;
use super::request::Params;
use crate::auth::{Principal, Unproven};
use crate::log::{Log, Owner, PageLimits, ReadError, Scope};

/// Who calls; handlers take it to ask for chats.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Arc<Principal>);

static ANYBODY: LazyLock<Arc<Principal>> = LazyLock::new(|| Arc::new(Principal::anybody()));

impl std::ops::Deref for Caller {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Caller, Problem> {
        // Without the gate before it, a route is closed.
        parts.extensions.get::<Caller>().cloned().ok_or_else(|| unauthenticated(NO_TOKEN))
    }
}

/// Who calls, if it is known: for routes that answer strangers too.
#[derive(Debug, Clone)]
pub(crate) struct MaybeCaller(pub(crate) Option<Caller>);

impl<S: Send + Sync> FromRequestParts<S> for MaybeCaller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(MaybeCaller(parts.extensions.get::<Caller>().cloned()))
    }
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Strangers too.
    Anybody,
    /// Who may see the chat of the path.
    OfChat,
    /// Everybody who is known; the handler asks for the chats that it is about.
    Known,
    /// Operators.
    Operators,
}

/// What is not named here is for operators.
fn access(route: &str) -> Access {
    match route {
        "/healthz" | "/readyz" => Access::Anybody,
        // These two answer for a chat that is not there yet.
        "/api/chat/{chat}/stream" | "/api/chat/{chat}/messages" => Access::Known,
        "/v1/chats"
        | "/v1/stream"
        | "/v1/tickets"
        | "/v1/turns"
        | "/v1/providers"
        | "/v1/schedules"
        | "/v1/schedules/{schedule}"
        | "/v1/schedules/{schedule}/run"
        | "/v1/schedules/{schedule}/runs"
        | "/api/chat" => Access::Known,
        route if route.contains("{chat}") => Access::OfChat,
        _ => Access::Operators,
    }
}

/// Lets a call through to its route, or refuses it.
pub(super) async fn gate(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match admit(&app, &mut parts).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => problem.into_response(),
    }
}

async fn admit(app: &App, parts: &mut Parts) -> Result<(), Problem> {
    let route = parts.extensions.get::<MatchedPath>().cloned();
    let access = route.as_ref().map_or(Access::Operators, |route| access(route.as_str()));
    let ticket = match &route {
        Some(route) => ticket(route.as_str(), parts, app).await?,
        None => None,
    };
    let caller = match caller(app, &parts.method, &parts.headers, ticket) {
        Ok(caller) => caller,
        Err(_) if access == Access::Anybody => return Ok(()),
        Err(problem) => return Err(problem),
    };
    match access {
        Access::Anybody | Access::Known => {}
        Access::OfChat => {
            // What is no id is the handler's to name.
            if let Some(chat) = chat_of_path(parts, app).await? {
                app.admit_to(&caller, &chat).await?;
            }
        }
        Access::Operators if caller.may_operate() => {}
        Access::Operators => return Err(forbidden("only an admin may do this")),
    }
    parts.extensions.insert(caller);
    Ok(())
}

/// The chat that the path names, if that is an id.
async fn chat_of_path(parts: &mut Parts, app: &App) -> Result<Option<ChatId>, Problem> {
    let params = RawPathParams::from_request_parts(parts, app)
        .await
        .map_err(|_| Problem::new(Code::BadId, "the path is not valid UTF-8"))?;
    let chat = params.iter().find(|(name, _)| *name == "chat").map(|(_, text)| text);
    Ok(chat.and_then(|text| ChatId::parse(text).ok()))
}

/// A ticket, and the chat whose stream it is to open.
pub(super) struct TicketFor {
    ticket: String,
    chat: Option<ChatId>,
}

/// The ticket of a call of a stream, of which an address is all that some clients can send.
async fn ticket(route: &str, parts: &mut Parts, app: &App) -> Result<Option<TicketFor>, Problem> {
    if !openapi::TICKET_ROUTES.contains(&route) || parts.method != Method::GET {
        return Ok(None);
    }
    let Some(ticket) = Params::of(&parts.uri)?.text("ticket").map(str::to_owned) else {
        return Ok(None);
    };
    let chat = chat_of_path(parts, app).await?;
    // A path that names no chat is not the stream of all of them.
    let is_whole = route.contains("{chat}") == chat.is_some();
    Ok(is_whole.then_some(TicketFor { ticket, chat }))
}

/// Who sends a request, by its head.
pub(super) fn caller(
    app: &App,
    method: &Method,
    headers: &HeaderMap,
    ticket: Option<TicketFor>,
) -> Result<Caller, Problem> {
    if app.auth().is_open() {
        from_this_machine(app, method, headers)?;
        return Ok(Caller(Arc::clone(&ANYBODY)));
    }
    let now = app.clock().now();
    let principal = match (bearer(headers), ticket) {
        (Some(token), _) => app.auth().prove(token, now),
        (None, Some(TicketFor { ticket, chat })) => {
            app.auth().prove_ticket(&ticket, chat.as_ref(), now)
        }
        (None, None) => return Err(unauthenticated(NO_TOKEN)),
    };
    let principal = principal.map_err(|error| unauthenticated(unproven(error)))?;
    Ok(Caller(principal))
}

/// Whose rate a request counts against: of who proves who it is, else of the address.
pub(super) fn caller_key(app: &App, headers: &HeaderMap, peer: IpAddr) -> CallerKey {
    let proven = bearer(headers).map(|token| app.auth().prove(token, app.clock().now()));
    match proven {
        Some(Ok(principal)) => CallerKey::of_principal(&principal),
        _ => CallerKey::of_peer(peer),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

const NO_TOKEN: &str = "this needs a token; send authorization: Bearer TOKEN";

fn unproven(error: Unproven) -> &'static str {
    match error {
        Unproven::Unknown => "the token is not one of this server's, or has expired",
        Unproven::Expired => "the token has expired; ask for a new one",
    }
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(Code::Unauthenticated, detail)
}

/// Somebody who is known may not do this.
pub(crate) fn forbidden(detail: &str) -> Problem {
    Problem::new(Code::Forbidden, detail)
}

/// Where everybody is an admin, nobody but this machine may speak: a page of another site that a
/// browser here has open can reach loopback too, by another name for it or by posting forms.
fn from_this_machine(app: &App, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text(HOST).is_some_and(|host| !is_loopback(host)) {
        return Err(forbidden(
            "without credentials this server answers to loopback names only; call it as \
             localhost or 127.0.0.1, or configure [auth]",
        ));
    }
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    match text(ORIGIN) {
        Some(origin) if !is_local_origin(origin) && !app.config().cors.allows(origin) => {
            Err(forbidden("a page of another site may not change anything here"))
        }
        _ => Ok(()),
    }
}

/// Whether a page was loaded from this machine.
fn is_local_origin(origin: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, host)| is_loopback(host))
}

/// Whether `HOST` or `HOST:PORT` is this machine, whatever a name server says.
fn is_loopback(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address.split_once(']').is_some_and(|(address, _)| is_loopback_address(address));
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || is_loopback_address(name)
}

fn is_loopback_address(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whose a chat is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    /// There is no such chat.
    NoChat,
    /// It was deleted, and its owner's name with it.
    Forgotten,
    /// The owner's, or nobody's.
    Owned(Option<Owner>),
}

/// Chats whose owner is kept in memory; others are read from the log, a row each.
const KNOWN_MAX: NonZeroUsize = NonZeroUsize::new(65_536).expect("not zero");

/// Whose chats are, as the log says: their first event names the owner, for ever.
#[derive(Debug)]
pub(super) struct Owners(Mutex<LruCache<ChatId, Option<Owner>>>);

impl Default for Owners {
    fn default() -> Owners {
        Owners(Mutex::new(LruCache::new(KNOWN_MAX)))
    }
}

impl Owners {
    async fn of(&self, log: &Log, chat: &ChatId) -> Result<Whose, ReadError> {
        let lock = || self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(owner) = lock().get(chat) {
            return Ok(Whose::Owned(owner.clone()));
        }
        let Some(entry) = log.find_chat(chat).await? else { return Ok(Whose::NoChat) };
        let owner = read_owner(log, entry.chat.created).await?;
        Ok(match owner {
            Some(owner) => {
                lock().put(chat.clone(), owner.clone());
                Whose::Owned(owner)
            }
            None => Whose::Forgotten,
        })
    }
}

/// The owner that the first event of a chat names, unless it was erased.
async fn read_owner(log: &Log, created: Seq) -> Result<Option<Option<Owner>>, ReadError> {
    let limits = PageLimits { events: 1, bytes: 1 };
    let page = log.read(&Scope::All, created.prev(), created, limits).await?;
    let section = page.sections.first().ok_or(ReadError::Gap { seq: created })?;
    let index = section.events_in(created.prev(), created).start;
    Ok(match section.recorded(index)?.event() {
        Some(Event::ChatCreated(made)) => Some(made.owner.as_deref().map(Owner::new)),
        _ => None,
    })
}

impl App {
    /// Whose a chat is.
    pub(crate) async fn whose(&self, chat: &ChatId) -> Result<Whose, Problem> {
        Ok(self.0.owners.of(self.log(), chat).await?)
    }

    /// Whether a caller may see a chat that is there or was.
    pub(crate) async fn may_see(&self, caller: &Principal, chat: &ChatId) -> Result<bool, Problem> {
        if caller.sees_all() {
            return Ok(true);
        }
        Ok(match self.whose(chat).await? {
            Whose::NoChat | Whose::Forgotten => false,
            Whose::Owned(owner) => caller.may_see(owner.as_ref(), chat),
        })
    }

    /// Refuses a caller that may not see a chat, as if there were none.
    pub(crate) async fn admit_to(&self, caller: &Principal, chat: &ChatId) -> Result<(), Problem> {
        match self.may_see(caller, chat).await? {
            true => Ok(()),
            false => Err(Problem::chat_not_found(chat)),
        }
    }

    /// The chat of this id: 404 if there is none that the caller may see, 410 if it was deleted.
    pub(crate) async fn chat(&self, caller: &Principal, id: &ChatId) -> Result<ChatRef, Problem> {
        self.admit_to(caller, id).await?;
        match self.log().find_chat(id).await? {
            None => Err(Problem::chat_not_found(id)),
            Some(entry) if entry.deleted.is_some() => Err(Problem::chat_deleted(id)),
            Some(entry) => Ok(entry.chat),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_few_names() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:7878", "127.9.9.9", "[::1]:7878"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "evil.example:7878", "localhost.evil.example", "[::2]", "0.0.0.0", "[x"] {
            assert!(!is_loopback(host), "{host}");
        }
        assert!(is_local_origin("http://localhost:3000") && !is_local_origin("null"));
        assert!(!is_local_origin("https://localhost.evil.example"));
    }

    #[test]
    fn a_route_that_nobody_thought_of_is_for_operators() {
        assert_eq!(access("/v1/something"), Access::Operators);
        assert_eq!(access("/metrics"), Access::Operators);
        assert_eq!(access("/v1/chats/{chat}/anything"), Access::OfChat);
    }
}
