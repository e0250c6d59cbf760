//! `POST /v1/tickets`: leave to open one stream without a header, for a minute.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use scrollback_schema::ChatId;
use serde_json::json;

use super::App;
use super::answer;
use super::body::Fields;
use super::error::Problem;
use super::gate::Caller;
use super::json_body::JsonBody;

/// Makes a ticket for a stream
///
/// For `EventSource`, which cannot send a token: `?ticket=` in the address of the stream of a chat,
/// or of all chats if no chat is named. It opens the stream for a minute; the stream then lives as
/// long as the token that the ticket was made with.
#[utoipa::path(
    post,
    path = "/v1/tickets",
    operation_id = "create_ticket",
    request_body = ref("#/components/schemas/CreateTicket"),
    responses((status = 201, description = "Made", body = ref("#/components/schemas/Ticket")))
)]
pub(crate) async fn create_ticket(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let chat = Fields::read(&body)?.id("chat_id", ChatId::parse)?;
    if let Some(chat) = &chat {
        app.chat(&caller, chat).await?;
    }
    let (ticket, until) = app.auth().issue_ticket(&caller, chat.as_ref(), app.clock().now());
    let answer = json!({ "ticket": ticket, "expires_at": until.to_string() });
    Ok(answer::json(StatusCode::CREATED, &answer))
}
