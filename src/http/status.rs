//! What a chat is doing: its status, its queue, its pending requests; and the turns that are open.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use scrollback_schema::Seq;
use scrollback_schema::limits::LIST_LIMIT_MAX;
use serde_json::{Value, json};

use super::App;
use super::answer::{self, with_fields};
use super::chats::List;
use super::error::{Code, Problem};
use super::gate::Caller;
use super::request::{ChatPath, Params};
use crate::read_model::{ChatFilter, Items};

/// Says whether a chat is busy
#[utoipa::path(
    get,
    path = "/v1/chats/{chat}/status",
    operation_id = "get_status",
    responses((status = 200, description = "Status", body = ref("#/components/schemas/Status")))
)]
pub(crate) async fn get_status(
    State(app): State<App>,
    caller: Caller,
    ChatPath(chat): ChatPath,
) -> Result<Response<Body>, Problem> {
    let chat = app.chat(&caller, &chat).await?;
    let status = app.read_model().status(&chat).await?;
    let open_turn = status.open_turn.map(|turn| {
        json!({
            "turn_id": turn.turn_id.as_str(),
            "message_id": turn.message_id.as_str(),
            "started_seq": turn.started_seq.get(),
        })
    });
    let parked: Vec<Value> = app
        .projector()
        .status()
        .iter()
        .flat_map(|projection| projection.parked.iter().map(|parked| (projection.name, parked)))
        .filter(|(_, parked)| parked.chat.created == chat.created)
        .map(|(projection, parked)| {
            json!({ "projection": projection, "seq": parked.seq.get(), "cause": parked.cause })
        })
        .collect();
    let answer = json!({
        "chat_id": chat.id.as_str(),
        "head_seq": status.head_seq.get(),
        "last_seq": status.last_seq.get(),
        "open_turn": open_turn,
        "queue_length": status.queue_length,
        "pending_requests": status.pending_requests,
        "parked": parked,
    });
    Ok(answer::json(StatusCode::OK, &answer))
}

/// Lists the messages that wait for their turn, the next one first
#[utoipa::path(
    get,
    path = "/v1/chats/{chat}/queue",
    operation_id = "list_queue",
    responses((status = 200, description = "All", body = ref("#/components/schemas/QueueList")))
)]
pub(crate) async fn list_queue(
    State(app): State<App>,
    caller: Caller,
    ChatPath(chat): ChatPath,
) -> Result<Response<Body>, Problem> {
    let chat = app.chat(&caller, &chat).await?;
    Ok(whole(app.read_model().queue(&chat).await?))
}

/// Lists the approvals and questions that wait for an answer, the oldest first
#[utoipa::path(
    get,
    path = "/v1/chats/{chat}/requests",
    operation_id = "list_requests",
    responses((status = 200, description = "All", body = ref("#/components/schemas/RequestList")))
)]
pub(crate) async fn list_requests(
    State(app): State<App>,
    caller: Caller,
    ChatPath(chat): ChatPath,
) -> Result<Response<Body>, Problem> {
    let chat = app.chat(&caller, &chat).await?;
    Ok(whole(app.read_model().requests(&chat).await?))
}

fn whole(list: Items) -> Response<Body> {
    let as_of_seq = list.as_of_seq.get();
    answer::json(StatusCode::OK, &List { items: list.items, next_cursor: None, as_of_seq })
}

/// Lists the turns that are open, the longest first
#[utoipa::path(
    get,
    path = "/v1/turns",
    operation_id = "list_turns",
    params(
        ("open" = Option<bool>, Query, description = "Can only be true, which is the default"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 500,
            description = "Items in the page at most; 50 by default"),
    ),
    responses((status = 200, description = "A page", body = ref("#/components/schemas/TurnList")))
)]
pub(crate) async fn list_turns(
    State(app): State<App>,
    caller: Caller,
    params: Params,
) -> Result<Response<Body>, Problem> {
    if params.text("open").is_some() && !params.flag("open")? {
        let detail = "parameter open can only be true: turns that ended are in their chats";
        return Err(Problem::new(Code::BadQuery, detail));
    }
    let after: Seq = params.cursor()?.unwrap_or_default();
    let limit = params.limit(LIST_LIMIT_MAX)?;
    let as_of_seq = app.log().head().get();
    let mut turns = app.read_model().open_turns(ChatFilter::of(&caller), after, limit + 1).await?;
    let has_more = turns.len() > limit;
    turns.truncate(limit);
    let next_cursor = turns.last().filter(|_| has_more).map(|turn| turn.started_seq.to_string());
    let items = turns
        .iter()
        .map(|entry| with_fields(&entry.turn, &[("chat_id", entry.chat_id.as_str().into())]))
        .collect();
    Ok(answer::json(StatusCode::OK, &List { items, next_cursor, as_of_seq }))
}
