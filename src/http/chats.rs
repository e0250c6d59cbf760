//! Chats: creating, listing and searching, reading, renaming, viewing them.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use scrollback_schema::limits::LIST_LIMIT_MAX;
use scrollback_schema::{ChatId, Event, Kind, NewEvent, Seq};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::App;
use super::answer::{self, with_fields};
use super::body::{Fields, missing};
use super::error::{Code, Problem};
use super::gate::{Caller, forbidden};
use super::json_body::JsonBody;
use super::request::{ChatPath, IdempotencyKey, Params};
use crate::auth::Principal;
use crate::log::{Append, Appended};
use crate::read_model::{ChatFilter, ChatsQuery, SearchHit, SearchQuery};

/// Creates a chat
#[utoipa::path(
    post,
    path = "/v1/chats",
    operation_id = "create_chat",
    request_body = ref("#/components/schemas/CreateChat"),
    responses((status = 201, description = "Created", body = ref("#/components/schemas/ChatSeq")))
)]
pub(crate) async fn create_chat(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let fields = Fields::read(&body)?;
    let chat = chosen_or_fresh(&app, &caller, &fields)?;
    let mut created = fields.event(Kind::ChatCreated, &["owner", "title", "metadata"])?;
    if let Event::ChatCreated(created) = &mut created {
        created.owner = owner_for(&caller, created.owner.take())?;
    }
    let mut append = Append::new(chat.clone(), vec![NewEvent::of_chat(created)])?;
    append.idempotency = key.with(&body, chat.as_str().to_owned());
    let appended = app.log().append(append).await;
    let appended = appended.map_err(|error| taken(&caller, &chat, error.into()))?;
    let chat = appended.replayed.as_deref().unwrap_or(chat.as_str());
    let answer = json!({ "chat_id": chat, "seq": appended.first_seq.get() });
    Ok(answer::json(StatusCode::CREATED, &answer))
}

/// The owner of a chat that this caller makes: a user's own, what an admin says.
pub(crate) fn owner_for(
    caller: &Principal,
    asked: Option<String>,
) -> Result<Option<String>, Problem> {
    match (caller.owner(), asked) {
        (None, asked) => Ok(asked),
        (Some(own), Some(asked)) if asked != own.as_str() => {
            Err(forbidden("owner: a chat is its maker's own; leave owner out"))
        }
        (Some(own), _) => Ok(Some(own.as_str().to_owned())),
    }
}

/// Whoever may not see every chat learns that an id is taken, and not whether its chat still is.
pub(crate) fn taken(caller: &Principal, chat: &ChatId, problem: Problem) -> Problem {
    if caller.sees_all() || !matches!(problem.code(), Code::ChatExists | Code::ChatDeleted) {
        return problem;
    }
    let detail = format!("chat id {chat} is taken; choose another one, or leave it out");
    Problem::new(Code::ChatExists, detail).with("chat_id", chat.as_str())
}

/// The id that the body names, or a fresh one.
pub(crate) fn chosen_or_fresh(
    app: &App,
    caller: &Principal,
    fields: &Fields<'_>,
) -> Result<ChatId, Problem> {
    let fresh = || ChatId::parse(&app.clock().fresh_id()).expect("a UUID is an id");
    let chat = fields.id("chat_id", ChatId::parse)?.unwrap_or_else(fresh);
    match caller.may_name(&chat) {
        true => Ok(chat),
        false => Err(forbidden("chat_id: the token is limited to other chats")),
    }
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct List {
    /// The items as clients see them.
    pub(crate) items: Vec<Box<RawValue>>,
    /// Where the next page begins, if there is one.
    pub(crate) next_cursor: Option<String>,
    /// The seq that the page reflects, from which a stream goes on.
    pub(crate) as_of_seq: u64,
}

/// Lists chats, the last active first
///
/// With `q`, the chats with messages that hold all its words, the latest message first; words in
/// double quotes stand together, and the last word may be the beginning of one, if no space is
/// behind it. A chat then has `hits`, and can be on more than one page.
#[utoipa::path(
    get,
    path = "/v1/chats",
    operation_id = "list_chats",
    params(
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 500,
            description = "Items in the page at most; 50 by default"),
        ("q" = Option<String>, Query, description = "What to search for"),
        ("owner" = Option<String>, Query, description = "Only chats of this owner"),
    ),
    responses((status = 200, description = "A page", body = ref("#/components/schemas/ChatList")))
)]
pub(crate) async fn list_chats(
    State(app): State<App>,
    caller: Caller,
    params: Params,
) -> Result<Response<Body>, Problem> {
    let limit = params.limit(LIST_LIMIT_MAX)?;
    let owner = owner_for(&caller, params.text("owner").map(str::to_owned))?;
    let filter = ChatFilter { owner, only: caller.chats().cloned() };
    let list = match params.text("q") {
        None => {
            let cursor = params.cursor()?;
            let page = app.read_model().chats(ChatsQuery { filter, cursor, limit }).await?;
            List {
                items: page.items,
                next_cursor: page.next_cursor.map(|cursor| cursor.to_string()),
                as_of_seq: page.as_of_seq.get(),
            }
        }
        Some(text) => {
            let query =
                SearchQuery { text: text.to_owned(), filter, cursor: params.cursor()?, limit };
            let page = app.read_model().search(query).await?;
            List {
                items: by_chat(page.items),
                next_cursor: page.next_cursor.map(|cursor| cursor.to_string()),
                as_of_seq: page.as_of_seq.get(),
            }
        }
    };
    Ok(answer::json(StatusCode::OK, &list))
}

/// Each chat once, where its latest hit is, with its hits.
fn by_chat(hits: Vec<SearchHit>) -> Vec<Box<RawValue>> {
    let mut chats: Vec<(Seq, Box<RawValue>, Vec<serde_json::Value>)> = Vec::new();
    for hit in hits {
        let shown = json!({
            "message_id": hit.message_id.as_str(),
            "first_seq": hit.first_seq.get(),
            "role": hit.role,
            "snippet": hit.snippet,
        });
        match chats.iter_mut().find(|(created, ..)| *created == hit.chat.created) {
            Some((_, _, hits)) => hits.push(shown),
            None => chats.push((hit.chat.created, hit.chat_view, vec![shown])),
        }
    }
    let with_hits = |(_, chat, hits): (_, Box<RawValue>, Vec<_>)| {
        with_fields(&chat, &[("hits", serde_json::Value::from(hits))])
    };
    chats.into_iter().map(with_hits).collect()
}

/// Reads a chat
#[utoipa::path(
    get,
    path = "/v1/chats/{chat}",
    operation_id = "get_chat",
    responses((
        status = 200,
        description = "The chat",
        body = ref("#/components/schemas/ChatState")
    ))
)]
pub(crate) async fn get_chat(
    State(app): State<App>,
    caller: Caller,
    ChatPath(id): ChatPath,
) -> Result<Response<Body>, Problem> {
    let chat = app.chat(&caller, &id).await?;
    let found = app.read_model().chat(&chat).await?;
    let row = found.chat.ok_or_else(|| Problem::chat_deleted(&id))?;
    let row = with_fields(&row, &[("as_of_seq", found.as_of_seq.get().into())]);
    Ok(answer::json(StatusCode::OK, &row))
}

/// Changes a chat's title or metadata
///
/// What is not named stays; `null` removes.
#[utoipa::path(
    patch,
    path = "/v1/chats/{chat}",
    operation_id = "update_chat",
    request_body = ref("#/components/schemas/UpdateChat"),
    responses((status = 200, description = "Changed", body = ref("#/components/schemas/ChatSeq")))
)]
pub(crate) async fn update_chat(
    State(app): State<App>,
    ChatPath(chat): ChatPath,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let fields = Fields::read(&body)?;
    if !fields.has("title") && !fields.has("metadata") {
        return Err(missing("title", "title, metadata, or both"));
    }
    let updated = fields.event(Kind::ChatUpdated, &["title", "metadata"])?;
    append_one(&app, &chat, updated, &key, &body).await
}

/// Marks a chat as seen
#[utoipa::path(
    post,
    path = "/v1/chats/{chat}/viewed",
    operation_id = "mark_viewed",
    request_body = ref("#/components/schemas/By"),
    responses((status = 200, description = "Noted", body = ref("#/components/schemas/ChatSeq")))
)]
pub(crate) async fn mark_viewed(
    State(app): State<App>,
    ChatPath(chat): ChatPath,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let viewed = Fields::read(&body)?.event(Kind::ChatViewed, &["by"])?;
    append_one(&app, &chat, viewed, &key, &body).await
}

async fn append_one(
    app: &App,
    chat: &ChatId,
    event: Event,
    key: &IdempotencyKey,
    body: &[u8],
) -> Result<Response<Body>, Problem> {
    let mut append = Append::new(chat.clone(), vec![NewEvent::of_chat(event)])?;
    append.idempotency = key.with(body, String::new());
    let appended = app.log().append(append).await?;
    Ok(chat_seq(chat, &appended))
}

/// The answer to a change of a chat: where in the log it stands.
pub(crate) fn chat_seq(chat: &ChatId, appended: &Appended) -> Response<Body> {
    let answer = json!({ "chat_id": chat.as_str(), "seq": appended.last_seq.get() });
    answer::json(StatusCode::OK, &answer)
}
