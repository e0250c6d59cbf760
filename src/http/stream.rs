//! The two streams: of one chat, and of every chat that the caller may see.
//!
//! Here a reader's cursor is found and its first frames are made; what follows is `replay`'s.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Method, Response};
use scrollback_schema::limits::{FEED_CHATS_MAX, LIST_LIMIT_DEFAULT};
use scrollback_schema::{ChatId, ChatRef, Seq};
use serde::Serialize;
use serde_json::value::RawValue;

use super::App;
use super::error::{Code, Problem};
use super::gate::Caller;
use super::replay::{Feed, Until};
use super::request::{ChatPath, Params, parse_cursor};
use super::sse;
use super::takeover::Takeover;
use crate::log::{Scope, Subscription};
use crate::read_model::{ChatFilter, ChatsQuery};

/// Where a reader is, as it says itself.
#[derive(Debug, Clone, Copy)]
struct Place {
    after: Seq,
    /// The reader was here before: its browser sends the cursor again, and not the query anew.
    comes_back: bool,
    /// Why the cursor is of no use.
    resync: Option<&'static str>,
}

impl Place {
    /// `Last-Event-ID` wins over `after_seq`; without both, the beginning.
    fn of(app: &App, headers: &HeaderMap, params: &Params) -> Result<Place, Problem> {
        let asked = params.seq("after_seq")?;
        let header = headers.get("last-event-id").filter(|value| !value.is_empty());
        let last = match header {
            Some(value) => Some(parse_cursor("last-event-id", value.to_str().unwrap_or("?"))?),
            None => None,
        };
        let after = last.or(asked).unwrap_or_default();
        let resync = match params.text("log_id") {
            Some(log_id) if log_id != app.log().log_id() => Some("other_log"),
            _ if after > app.log().head() => Some("cursor_ahead"),
            _ => None,
        };
        Ok(Place { after, comes_back: last.is_some(), resync })
    }
}

/// Follows a chat
///
/// Server-sent events from a position on, then live. `hello` comes first, `caught_up` whenever the
/// head is reached, `bye` before the server ends the stream on purpose.
#[utoipa::path(
    get,
    path = "/v1/chats/{chat}/stream",
    operation_id = "stream_chat",
    params(
        ("after_seq" = Option<i64>, Query, minimum = 0,
            description = "The seq after which the stream starts; 0 is the beginning"),
        ("last-event-id" = Option<i64>, Header, minimum = 0,
            description = "The last id that was received; wins over after_seq"),
        ("snapshot" = Option<bool>, Query,
            description = "Start with the state of the chat, and go on from there; without effect \
                           where last-event-id is given"),
        ("until" = Option<String>, Query,
            description = "`idle` ends the stream after the open turn, or at once if there is \
                           none"),
        ("ticket" = Option<String>, Query,
            description = "In place of a token, for clients that cannot send headers"),
        ("log_id" = Option<String>, Query,
            description = "The log that the cursor belongs to; another one is answered by \
                           `resync`"),
    ),
    responses((
        status = 200,
        description = "Frames: `hello`, `snapshot`, `stream`, `caught_up`, `resync`, `bye`",
        body = String,
        content_type = "text/event-stream"
    ))
)]
pub(crate) async fn stream_chat(
    State(app): State<App>,
    caller: Caller,
    method: Method,
    ChatPath(chat): ChatPath,
    params: Params,
    headers: HeaderMap,
    takeover: Option<Extension<Takeover>>,
) -> Result<Response<Body>, Problem> {
    let mut place = Place::of(&app, &headers, &params)?;
    let wants_snapshot = params.flag("snapshot")? && !place.comes_back;
    let until_idle = match params.text("until") {
        None => false,
        Some("idle") => true,
        Some(_) => return Err(Problem::new(Code::BadQuery, "parameter until can only be idle")),
    };
    let chat = app.chat(&caller, &chat).await?;
    if method == Method::HEAD {
        return Ok(head_only());
    }
    let mut opening = Vec::new();
    sse::push_hello(&mut opening, app.log().log_id(), app.log().head());
    if let Some(reason) = place.resync {
        sse::push_resync(&mut opening, reason, app.log().head());
    }
    if wants_snapshot || place.resync.is_some() {
        place.after = push_chat_snapshot(&app, &chat, &mut opening).await?;
    }
    let until = match until_idle {
        true => until_idle_of(&app, &chat).await?,
        false => Until::Forever,
    };
    let feed = Feed::new(&app, &caller, Scope::Chat(chat.created), place.after, until, opening)?;
    Ok(respond(feed, takeover))
}

/// Follows every chat
///
/// One cursor over all chats that the caller may see, or over those that `chats` names; unknown
/// ones are left out. Without `chats`, a new chat appears by itself.
#[utoipa::path(
    get,
    path = "/v1/stream",
    operation_id = "stream_all",
    params(
        ("after_seq" = Option<i64>, Query, minimum = 0,
            description = "The seq after which the stream starts; 0 is the beginning"),
        ("last-event-id" = Option<i64>, Header, minimum = 0,
            description = "The last id that was received; wins over after_seq"),
        ("chats" = Option<String>, Query,
            description = "Ids of chats, separated by commas; all by default"),
        ("ticket" = Option<String>, Query,
            description = "In place of a token, for clients that cannot send headers"),
        ("log_id" = Option<String>, Query,
            description = "The log that the cursor belongs to; another one is answered by \
                           `resync`"),
    ),
    responses((
        status = 200,
        description = "Frames: `hello`, `stream`, `caught_up`, `resync`, `snapshot`, `bye`",
        body = String,
        content_type = "text/event-stream"
    ))
)]
pub(crate) async fn stream_all(
    State(app): State<App>,
    caller: Caller,
    method: Method,
    params: Params,
    headers: HeaderMap,
    takeover: Option<Extension<Takeover>>,
) -> Result<Response<Body>, Problem> {
    let mut place = Place::of(&app, &headers, &params)?;
    let (scope, held) = scope(&app, &caller, params.text("chats")).await?;
    // Whose a deleted chat was is erased with it. Somebody who does not see all chats, and was away
    // when one went, is told to look which are left.
    if !caller.sees_all() && place.after > Seq::ZERO && app.log().last_deletion() > place.after {
        place.resync.get_or_insert("chats_deleted");
    }
    if method == Method::HEAD {
        return Ok(head_only());
    }
    let mut opening = Vec::new();
    sse::push_hello(&mut opening, app.log().log_id(), app.log().head());
    if let Some(reason) = place.resync {
        sse::push_resync(&mut opening, reason, app.log().head());
        place.after = push_list_snapshot(&app, &caller, &mut opening).await?;
    }
    let feed = Feed::new(&app, &caller, scope, place.after, Until::Forever, opening)?;
    drop(held);
    Ok(respond(feed, takeover))
}

/// A scope, and what keeps it followed until its reader does.
type Followed = (Scope, Option<Subscription>);

/// All chats that a caller may see.
async fn followed(app: &App, caller: &Caller) -> Result<Followed, Problem> {
    if caller.sees_all() {
        return Ok((Scope::All, None));
    }
    let filter = ChatFilter::of(caller);
    let (Some(owner), None) = (caller.owner(), caller.chats()) else {
        // Limited to a few chats, which it named itself.
        let found = app.read_model().chats_of(filter).await?;
        return Ok((Scope::Chats(Arc::from(found)), None));
    };
    let scope = Scope::Owner(owner.clone());
    // Followed before it is asked which chats there are, so that none is made in between.
    let held = app.log().subscribe(&scope);
    if !app.log().knows_chats_of(owner) {
        app.log().learn_chats_of(owner, &app.read_model().chats_of(filter).await?);
    }
    Ok((scope, Some(held)))
}

/// The chats that a combined feed shows; what is unknown is left out without a word.
async fn scope(app: &App, caller: &Caller, chats: Option<&str>) -> Result<Followed, Problem> {
    let Some(names) = chats else { return followed(app, caller).await };
    let names: Vec<&str> = names.split(',').collect();
    if names.len() > FEED_CHATS_MAX {
        let detail = format!("parameter chats names more than {FEED_CHATS_MAX} chats");
        return Err(Problem::new(Code::BadQuery, detail));
    }
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let id = ChatId::parse(name)
            .map_err(|error| Problem::new(Code::BadId, format!("parameter chats: {error}")))?;
        if app.may_see(caller, &id).await?
            && let Some(entry) = app.log().find_chat(&id).await?
        {
            found.push(entry.chat.created);
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok((Scope::Chats(Arc::from(found)), None))
}

/// The state of a chat, from which its events go on.
#[derive(Serialize)]
struct ChatSnapshot {
    as_of_seq: u64,
    chat: Option<Box<RawValue>>,
    messages: Vec<Box<RawValue>>,
    /// Where the page of earlier messages begins, if there is one.
    next_cursor: Option<String>,
}

async fn push_chat_snapshot(app: &App, chat: &ChatRef, out: &mut Vec<u8>) -> Result<Seq, Problem> {
    let snapshot = app.read_model().snapshot(chat).await?;
    let shown = ChatSnapshot {
        as_of_seq: snapshot.as_of_seq.get(),
        chat: snapshot.chat,
        messages: snapshot.messages,
        next_cursor: snapshot.next_cursor.map(|cursor| cursor.to_string()),
    };
    sse::push_snapshot(out, &shown);
    Ok(snapshot.as_of_seq)
}

/// The first page of the list of chats, from which a combined feed goes on.
#[derive(Serialize)]
struct ListSnapshot {
    as_of_seq: u64,
    chats: Vec<Box<RawValue>>,
    /// Where the next page begins, if there is one.
    next_cursor: Option<String>,
}

async fn push_list_snapshot(app: &App, caller: &Caller, out: &mut Vec<u8>) -> Result<Seq, Problem> {
    let filter = ChatFilter::of(caller);
    let query = ChatsQuery { filter, cursor: None, limit: LIST_LIMIT_DEFAULT };
    let page = app.read_model().chats(query).await?;
    let shown = ListSnapshot {
        as_of_seq: page.as_of_seq.get(),
        chats: page.items,
        next_cursor: page.next_cursor.map(|cursor| cursor.to_string()),
    };
    sse::push_snapshot(out, &shown);
    Ok(page.as_of_seq)
}

/// The end of the turn that is open, or, if none is, the place where none was.
async fn until_idle_of(app: &App, chat: &ChatRef) -> Result<Until, Problem> {
    let status = app.read_model().status(chat).await?;
    Ok(match status.open_turn {
        Some(turn) => Until::TurnEnds(turn.started_seq),
        None => Until::Reached(status.head_seq),
    })
}

fn respond(feed: Feed, takeover: Option<Extension<Takeover>>) -> Response<Body> {
    let mut response = head_only();
    match takeover {
        Some(Extension(takeover)) => takeover.leave(feed),
        None => *response.body_mut() = feed.into_body(),
    }
    response
}

fn head_only() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.headers_mut().extend(sse::HEADERS);
    response
}
