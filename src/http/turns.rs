//! Turns: starting one here or for a producer outside, stopping it, handing its lease over.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use scrollback_schema::event::{Origin, StreamStarted, UserText};
use scrollback_schema::limits::{LEASE_MS_MAX, LEASE_MS_MIN};
use scrollback_schema::{ChatId, Event, Kind, MessageId, NewEvent, Seq, TurnId};
use serde_json::{Value, json};

use super::App;
use super::answer;
use super::body::{Fields, bad};
use super::error::{Code, Problem};
use super::gate::Caller;
use super::json_body::JsonBody;
use super::queue::queued_id;
use super::request::{ChatPath, IdempotencyKey, TurnPath};
use crate::log::{Append, Idempotency, Lease};
use crate::provider::EXTERNAL;
use crate::turn::{Accepted, Asks, IfBusy, StartTurn, StopTurn, TurnIds, TurnsError};

/// Starts a turn
///
/// The user's message and the turn's start are one append; who reads after `resume_after_seq` sees
/// both. A configured provider is driven by the server; with `provider: "external"` the answer
/// carries a lease, with which a producer outside appends. While a turn is open, `if_busy` says
/// what becomes of the message: it is refused, queued, or sent at once in place of that turn; what
/// is queued is answered with its id in the queue.
#[utoipa::path(
    post,
    path = "/v1/chats/{chat}/turns",
    operation_id = "start_turn",
    request_body = ref("#/components/schemas/StartTurn"),
    responses((
        status = 202,
        description = "Started, or queued",
        body = ref("#/components/schemas/MessageAccepted")
    ))
)]
pub(crate) async fn start_turn(
    State(app): State<App>,
    ChatPath(chat): ChatPath,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let fields = Fields::read(&body)?;
    let said = user_text(&fields)?;
    let if_busy = match fields.word("if_busy", &["reject", "queue", "send_now"])? {
        Some("queue") => IfBusy::Queue,
        Some("send_now") => IfBusy::SendNow,
        _ => IfBusy::Reject,
    };
    let provider = fields.text("provider")?;
    let (ids, queued_message) = (ids(&app, &fields)?, queued_id(&app, &fields)?);
    let model = fields.text("model")?;
    if provider.as_deref() == Some(EXTERNAL) {
        let lease_ms = fields.int("lease_ms", LEASE_MS_MIN..=LEASE_MS_MAX)?;
        let lease_ms = lease_ms.unwrap_or(app.lease_ms());
        let kept = key.with(&body, ids.receipt());
        return start_external(&app, &chat, said, model, ids, lease_ms, kept).await;
    }
    let start = StartTurn {
        chat: chat.clone(),
        asks: Asks::Anew,
        text: said.text,
        attachments: said.attachments,
        provider,
        model,
        origin: Origin::User,
        if_busy,
        ids,
        queued_message,
        also: Vec::new(),
        idempotency: key.with(&body, String::new()),
    };
    match app.turns().start(start).await {
        Ok(started) => Ok(accepted(&chat, &started)),
        Err(error @ (TurnsError::ProviderUnknown { .. } | TurnsError::NoProvider)) => {
            Err(with_configured(&app, error.into()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Starts a turn that a producer outside runs; a busy chat refuses it, since nobody else could
/// start it later.
async fn start_external(
    app: &App,
    chat: &ChatId,
    said: UserText,
    model: Option<String>,
    ids: TurnIds,
    lease_ms: u64,
    kept: Option<Idempotency>,
) -> Result<Response<Body>, Problem> {
    let started = StreamStarted {
        provider: EXTERNAL.to_owned(),
        model,
        user_message_id: Some(ids.user_message.clone()),
        origin: Origin::External,
    };
    let message = Some(ids.user_message.clone());
    let events = vec![
        NewEvent { message, turn: None, event: Event::UserText(said) },
        NewEvent::of_turn(ids.turn.clone(), ids.message.clone(), Event::StreamStarted(started)),
    ];
    let mut append = Append::new(chat.clone(), events)?;
    append.lease_ms = Some(lease_ms);
    append.idempotency = kept;
    let appended = app.log().append(append).await?;
    let ids = match &appended.replayed {
        Some(receipt) => TurnIds::from_receipt(receipt)
            .ok_or_else(|| Problem::new(Code::Internal, "the first answer cannot be read back"))?,
        None => ids,
    };
    Ok(started_json(chat, &ids, appended.first_seq.prev(), appended.lease.as_ref()))
}

/// The answer to a message that was taken.
pub(crate) fn accepted(chat: &ChatId, accepted: &Accepted) -> Response<Body> {
    match accepted {
        Accepted::Started { ids, resume_after } => started_json(chat, ids, *resume_after, None),
        Accepted::Queued { queued_message, seq } => {
            let answer = json!({
                "chat_id": chat.as_str(),
                "queued_message_id": queued_message.as_str(),
                "seq": seq.get(),
            });
            answer::json(StatusCode::ACCEPTED, &answer)
        }
    }
}

fn started_json(
    chat: &ChatId,
    ids: &TurnIds,
    resume_after: Seq,
    lease: Option<&Lease>,
) -> Response<Body> {
    let answer = json!({
        "chat_id": chat.as_str(),
        "user_message_id": ids.user_message.as_str(),
        "message_id": ids.message.as_str(),
        "turn_id": ids.turn.as_str(),
        "resume_after_seq": resume_after.get(),
        "lease": lease.map(lease_json),
    });
    answer::json(StatusCode::ACCEPTED, &answer)
}

fn user_text(fields: &Fields<'_>) -> Result<UserText, Problem> {
    match fields.event(Kind::UserText, &["text", "attachments"])? {
        Event::UserText(said) if said.text.is_empty() && said.attachments.is_empty() => {
            Err(bad("text", "at least one character, or an attachment"))
        }
        Event::UserText(said) => Ok(said),
        _ => unreachable!("a kind's payload is of that kind"),
    }
}

/// Names the providers that could be asked for.
pub(crate) fn with_configured(app: &App, problem: Problem) -> Problem {
    let names: Vec<&str> = app.turns().providers().names().collect();
    problem.with("configured", names)
}

/// The ids that the client chose, fresh ones otherwise.
fn ids(app: &App, fields: &Fields<'_>) -> Result<TurnIds, Problem> {
    let fresh = TurnIds::fresh(app.clock());
    Ok(TurnIds {
        user_message: fields.id("user_message_id", MessageId::parse)?.unwrap_or(fresh.user_message),
        message: fields.id("message_id", MessageId::parse)?.unwrap_or(fresh.message),
        turn: fields.id("turn_id", TurnId::parse)?.unwrap_or(fresh.turn),
    })
}

/// Stops a turn
///
/// The wish is in the log when this is answered, and the turn ends as `cancelled`, reason `user`;
/// what was said until then stays. A turn that has ended, or never was, is answered in the same way
/// and left alone, as is every other turn.
#[utoipa::path(
    post,
    path = "/v1/chats/{chat}/turns/{turn}/stop",
    operation_id = "stop_turn",
    request_body = ref("#/components/schemas/By"),
    responses((
        status = 202,
        description = "It ends, or has ended",
        body = ref("#/components/schemas/TurnStopped")
    ))
)]
pub(crate) async fn stop_turn(
    State(app): State<App>,
    TurnPath(chat, turn): TurnPath,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let by = Fields::read(&body)?.text("by")?;
    let answer = json!({ "chat_id": chat.as_str(), "turn_id": turn.as_str() });
    let idempotency = key.with(&body, String::new());
    app.turns().stop(StopTurn { chat, turn, by, idempotency }).await?;
    Ok(answer::json(StatusCode::ACCEPTED, &answer))
}

fn lease_json(lease: &Lease) -> Value {
    json!({
        "token": lease.token,
        "epoch": lease.epoch,
        "expires_at": lease.expires_at.to_string(),
    })
}

/// Takes over the lease of a turn
///
/// For a producer whose predecessor is gone: the epoch grows, and the older token is refused from
/// then on. `expires_at` is that of the turn, which only an append renews.
#[utoipa::path(
    post,
    path = "/v1/chats/{chat}/turns/{turn}/lease",
    operation_id = "take_lease",
    responses((
        status = 200,
        description = "Taken over",
        body = ref("#/components/schemas/LeaseTaken")
    ))
)]
pub(crate) async fn take_lease(
    State(app): State<App>,
    caller: Caller,
    TurnPath(chat, turn): TurnPath,
) -> Result<Response<Body>, Problem> {
    app.chat(&caller, &chat).await?;
    let lease = app.log().take_lease(&chat, &turn).await?;
    let answer = json!({
        "chat_id": chat.as_str(),
        "turn_id": turn.as_str(),
        "lease": lease_json(&lease),
    });
    Ok(answer::json(StatusCode::OK, &answer))
}
