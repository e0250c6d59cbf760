//! Answering approvals and questions, from any device.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use scrollback_schema::Kind;
use scrollback_schema::event::{Event, JsonText, RequestOutcome};
use serde_json::json;

use super::App;
use super::answer;
use super::body::{Fields, missing};
use super::error::Problem;
use super::json_body::JsonBody;
use super::request::{IdempotencyKey, RequestPath};
use crate::turn::Respond;

/// How a person can end a request; it expires by itself.
const OUTCOMES: &[&str] = &["selected", "denied", "dismissed"];

/// Answers an approval or a question
///
/// One answer is let through, whoever gives it and from where; a second one is a 409. The turn that
/// waits goes on with it. An approval is answered with one of its options, a question with content
/// of its schema, which is not checked here; either can be denied or dismissed.
#[utoipa::path(
    post,
    path = "/v1/chats/{chat}/requests/{request}/respond",
    operation_id = "respond",
    request_body = ref("#/components/schemas/Respond"),
    responses((
        status = 200,
        description = "Answered",
        body = ref("#/components/schemas/Responded")
    ))
)]
pub(crate) async fn respond(
    State(app): State<App>,
    RequestPath(chat, request): RequestPath,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let fields = Fields::read(&body)?;
    let (option_id, content) = (fields.text("option_id")?, content(&fields)?);
    let outcome = match fields.word("outcome", OUTCOMES)? {
        Some(name) => RequestOutcome::from_name(name).expect("the words are outcomes"),
        None if option_id.is_some() || content.is_some() => RequestOutcome::Selected,
        None => return Err(missing("outcome", "outcome, option_id or content")),
    };
    let respond = Respond {
        chat: chat.clone(),
        request: request.clone(),
        outcome,
        option_id,
        content,
        by: fields.text("by")?,
        idempotency: key.with(&body, String::new()),
    };
    let seq = app.turns().respond(respond).await?;
    let answer = json!({
        "chat_id": chat.as_str(),
        "request_id": request.as_str(),
        "outcome": outcome.name(),
        "seq": seq.get(),
    });
    Ok(answer::json(StatusCode::OK, &answer))
}

/// Any JSON, held to the bounds of a payload.
fn content(fields: &Fields<'_>) -> Result<Option<JsonText>, Problem> {
    let given = [("request_id", "r"), ("outcome", "selected")];
    match fields.event_with(Kind::ElicitationResolved, &["content"], &given)? {
        Event::ElicitationResolved(resolved) => Ok(resolved.content),
        _ => unreachable!("a kind's payload is of that kind"),
    }
}
