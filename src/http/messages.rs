//! Messages of a chat, as they are and as they were.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use scrollback_schema::limits::LIST_LIMIT_MAX;

use super::App;
use super::answer::{self, with_fields};
use super::chats::List;
use super::error::Problem;
use super::gate::Caller;
use super::request::{ChatPath, MessagePath, Params};
use crate::read_model::MessagesQuery;

/// Lists a chat's messages
///
/// Pages go back in time, each in ascending order; a stream that starts after `as_of_seq` goes on
/// without a gap.
#[utoipa::path(
    get,
    path = "/v1/chats/{chat}/messages",
    operation_id = "list_messages",
    params(
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 500,
            description = "Items in the page at most; 50 by default"),
        ("at_seq" = Option<i64>, Query, minimum = 0,
            description = "Show the state at this seq; the head by default"),
    ),
    responses((
        status = 200,
        description = "A page",
        body = ref("#/components/schemas/MessageList")
    ))
)]
pub(crate) async fn list_messages(
    State(app): State<App>,
    caller: Caller,
    ChatPath(chat): ChatPath,
    params: Params,
) -> Result<Response<Body>, Problem> {
    let query = MessagesQuery {
        cursor: params.cursor()?,
        limit: params.limit(LIST_LIMIT_MAX)?,
        at_seq: params.seq("at_seq")?,
    };
    let chat = app.chat(&caller, &chat).await?;
    let page = app.read_model().messages(&chat, query).await?;
    let list = List {
        items: page.items,
        next_cursor: page.next_cursor.map(|cursor| cursor.to_string()),
        as_of_seq: page.as_of_seq.get(),
    };
    Ok(answer::json(StatusCode::OK, &list))
}

/// Reads a message
#[utoipa::path(
    get,
    path = "/v1/chats/{chat}/messages/{message}",
    operation_id = "get_message",
    params((
        "at_seq" = Option<i64>, Query, minimum = 0,
        description = "Show the state at this seq; the head by default"
    )),
    responses((
        status = 200,
        description = "The message",
        body = ref("#/components/schemas/MessageState")
    ))
)]
pub(crate) async fn get_message(
    State(app): State<App>,
    caller: Caller,
    MessagePath(chat_id, message): MessagePath,
    params: Params,
) -> Result<Response<Body>, Problem> {
    let at_seq = params.seq("at_seq")?;
    let chat = app.chat(&caller, &chat_id).await?;
    let found = app.read_model().message(&chat, &message, at_seq).await?;
    let row = found.message.ok_or_else(|| Problem::message_not_found(&chat_id, &message))?;
    let row = with_fields(&row, &[("as_of_seq", found.as_of_seq.get().into())]);
    Ok(answer::json(StatusCode::OK, &row))
}
