//! The queue of a chat as people change it; what follows from a change is the turns' to do.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use scrollback_schema::event::{MessageQueued, QueueEdited, QueueRemoved, QueueSendNow};
use scrollback_schema::{ChatId, Event, Kind, QueuedMessageId, Seq};
use serde_json::json;

use super::App;
use super::answer;
use super::body::{Fields, bad, missing};
use super::error::Problem;
use super::json_body::JsonBody;
use super::request::{ChatPath, IdempotencyKey, QueuedPath};
use super::turns::accepted;

/// Queues a message
///
/// It starts when the turns before it have ended; at once if the chat is idle. The hand-off is one
/// append: the message is either in the queue or started, whatever happens.
#[utoipa::path(
    post,
    path = "/v1/chats/{chat}/queue",
    operation_id = "queue_message",
    request_body = ref("#/components/schemas/QueueMessage"),
    responses((
        status = 202,
        description = "Queued",
        body = ref("#/components/schemas/MessageAccepted")
    ))
)]
pub(crate) async fn queue_message(
    State(app): State<App>,
    ChatPath(chat): ChatPath,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let fields = Fields::read(&body)?;
    let message = message_queued(&app, &fields)?;
    let kept = key.with(&body, String::new());
    Ok(accepted(&chat, &app.turns().queue(chat.clone(), message, kept).await?))
}

fn message_queued(app: &App, fields: &Fields<'_>) -> Result<MessageQueued, Problem> {
    let id = queued_id(app, fields)?;
    let names = ["content", "attachments", "provider", "model"];
    let given = [("queued_message_id", id.as_str())];
    match fields.event_with(Kind::MessageQueued, &names, &given)? {
        Event::MessageQueued(queued)
            if queued.content.is_empty() && queued.attachments.is_empty() =>
        {
            Err(bad("content", "at least one character, or an attachment"))
        }
        Event::MessageQueued(queued) => Ok(queued),
        _ => unreachable!("a kind's payload is of that kind"),
    }
}

/// The id that the client chose for a queued message, a fresh one otherwise.
pub(crate) fn queued_id(app: &App, fields: &Fields<'_>) -> Result<QueuedMessageId, Problem> {
    let chosen = fields.id("queued_message_id", QueuedMessageId::parse)?;
    Ok(chosen.unwrap_or_else(|| {
        QueuedMessageId::parse(&app.clock().fresh_id()).expect("a UUID is an id")
    }))
}

/// Removes every queued message
///
/// The open turn goes on.
#[utoipa::path(
    delete,
    path = "/v1/chats/{chat}/queue",
    operation_id = "clear_queue",
    request_body = ref("#/components/schemas/By"),
    responses((
        status = 200,
        description = "The queue is empty",
        body = ref("#/components/schemas/QueueCleared")
    ))
)]
pub(crate) async fn clear_queue(
    State(app): State<App>,
    ChatPath(chat): ChatPath,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let by = Fields::read(&body)?.text("by")?;
    let kept = key.with(&body, String::new());
    let (n_removed, seq) = app.turns().clear_queue(chat.clone(), by, kept).await?;
    let answer = json!({ "chat_id": chat.as_str(), "seq": seq.get(), "n_removed": n_removed });
    Ok(answer::json(StatusCode::OK, &answer))
}

/// Edits a queued message
///
/// What is not named stays; `null` gives the provider or the model back to the default.
#[utoipa::path(
    patch,
    path = "/v1/chats/{chat}/queue/{queued}",
    operation_id = "edit_queued",
    request_body = ref("#/components/schemas/EditQueued"),
    responses((
        status = 200,
        description = "Edited",
        body = ref("#/components/schemas/QueuedMessageSeq")
    ))
)]
pub(crate) async fn edit_queued(
    State(app): State<App>,
    QueuedPath(chat, queued): QueuedPath,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let fields = Fields::read(&body)?;
    let names = ["content", "provider", "model"];
    if !names.iter().any(|name| fields.has(name)) {
        return Err(missing("content", "content, provider or model"));
    }
    let given = [("queued_message_id", queued.as_str())];
    let edited: QueueEdited = match fields.event_with(Kind::QueueEdited, &names, &given)? {
        Event::QueueEdited(edited) => edited,
        _ => unreachable!("a kind's payload is of that kind"),
    };
    let kept = key.with(&body, String::new());
    let seq = app.turns().edit_queued(chat.clone(), edited, kept).await?;
    Ok(queued_seq(StatusCode::OK, &chat, &queued, seq))
}

/// Removes a queued message
#[utoipa::path(
    delete,
    path = "/v1/chats/{chat}/queue/{queued}",
    operation_id = "remove_queued",
    request_body = ref("#/components/schemas/By"),
    responses((
        status = 200,
        description = "Removed",
        body = ref("#/components/schemas/QueuedMessageSeq")
    ))
)]
pub(crate) async fn remove_queued(
    State(app): State<App>,
    QueuedPath(chat, queued): QueuedPath,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let by = Fields::read(&body)?.text("by")?;
    let removed = QueueRemoved { queued_message_id: queued.clone(), by };
    let kept = key.with(&body, String::new());
    let seq = app.turns().remove_queued(chat.clone(), removed, kept).await?;
    Ok(queued_seq(StatusCode::OK, &chat, &queued, seq))
}

/// Sends a queued message now
///
/// It becomes the first of the queue. The open turn is interrupted (`cancelled`, reason
/// `send_now`), and the message starts in the same append; in an idle chat it starts at once.
#[utoipa::path(
    post,
    path = "/v1/chats/{chat}/queue/{queued}/send-now",
    operation_id = "send_queued_now",
    request_body = ref("#/components/schemas/By"),
    responses((
        status = 202,
        description = "On its way",
        body = ref("#/components/schemas/QueuedMessageSeq")
    ))
)]
pub(crate) async fn send_queued_now(
    State(app): State<App>,
    QueuedPath(chat, queued): QueuedPath,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let by = Fields::read(&body)?.text("by")?;
    let now = QueueSendNow { queued_message_id: queued.clone(), by };
    let kept = key.with(&body, String::new());
    let seq = app.turns().send_now(chat.clone(), now, kept).await?;
    Ok(queued_seq(StatusCode::ACCEPTED, &chat, &queued, seq))
}

fn queued_seq(
    status: StatusCode,
    chat: &ChatId,
    queued: &QueuedMessageId,
    seq: Seq,
) -> Response<Body> {
    let answer = json!({
        "chat_id": chat.as_str(),
        "queued_message_id": queued.as_str(),
        "seq": seq.get(),
    });
    answer::json(status, &answer)
}
