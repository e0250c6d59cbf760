//! Turns: starting one for a producer outside, handing its lease over, listing those that are open.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use scrollback_schema::event::{Origin, StreamStarted};
use scrollback_schema::limits::{LEASE_MS_MAX, LEASE_MS_MIN};
use scrollback_schema::{Event, Kind, MessageId, NewEvent, TurnId};
use serde_json::{Value, json};

use super::App;
use super::answer;
use super::body::{Fields, bad, missing};
use super::error::{Code, Problem};
use super::request::{ChatPath, IdempotencyKey, JsonBody, TurnPath};
use crate::log::{Append, Lease};

/// The provider that is a program outside the server.
const EXTERNAL: &str = "external";

/// Starts a turn
///
/// The user's message and the turn's start are one append; who reads after `resume_after_seq` sees
/// both. Only `provider: "external"` is run by this version: the answer then carries a lease, with
/// which a producer outside appends.
#[utoipa::path(
    post,
    path = "/v1/chats/{chat}/turns",
    operation_id = "start_turn",
    request_body = ref("#/components/schemas/StartTurn"),
    responses((
        status = 202,
        description = "Started",
        body = ref("#/components/schemas/TurnStarted")
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
    let lease_ms = fields.int("lease_ms", LEASE_MS_MIN..=LEASE_MS_MAX)?;
    // A busy chat is refused by the log itself; queueing is not offered by this version.
    fields.word("if_busy", &["reject", "queue", "send_now"])?;
    check_provider(&app, fields.text("provider")?)?;
    let ids = Ids::of(&app, &fields)?;
    let started = StreamStarted {
        provider: EXTERNAL.to_owned(),
        model: fields.text("model")?,
        user_message_id: Some(ids.user_message.clone()),
        origin: Origin::External,
    };
    let events = vec![
        NewEvent { message: Some(ids.user_message.clone()), turn: None, event: said },
        NewEvent::of_turn(ids.turn.clone(), ids.message.clone(), Event::StreamStarted(started)),
    ];
    let mut append = Append::new(chat.clone(), events)?;
    append.lease_ms = Some(lease_ms.unwrap_or(app.lease_ms()));
    append.idempotency = key.with(&body, ids.receipt());
    let appended = app.log().append(append).await?;
    let ids = match &appended.replayed {
        Some(receipt) => Ids::from_receipt(receipt)?,
        None => ids,
    };
    let answer = json!({
        "chat_id": chat.as_str(),
        "user_message_id": ids.user_message.as_str(),
        "message_id": ids.message.as_str(),
        "turn_id": ids.turn.as_str(),
        "resume_after_seq": appended.first_seq.prev().get(),
        "lease": appended.lease.as_ref().map(lease_json),
    });
    Ok(answer::json(StatusCode::ACCEPTED, &answer))
}

fn user_text(fields: &Fields<'_>) -> Result<Event, Problem> {
    match fields.event(Kind::UserText, &["text", "attachments"])? {
        Event::UserText(said) if said.text.is_empty() && said.attachments.is_empty() => {
            Err(bad("text", "at least one character, or an attachment"))
        }
        event => Ok(event),
    }
}

/// Only a producer outside can run a turn so far; anything else is said, not queued for nobody.
fn check_provider(app: &App, named: Option<String>) -> Result<(), Problem> {
    let config = app.config();
    let Some(name) = named.or_else(|| config.default_provider.clone()) else {
        return Err(missing("provider", "\"external\", since no default_provider is configured"));
    };
    if name == EXTERNAL {
        return Ok(());
    }
    let configured = config.provider_names();
    let detail = match config.providers.contains_key(&name) {
        true => format!(
            "this version runs no provider, so the configured ones ({configured}) cannot take a \
             turn; use provider \"external\" and append its events"
        ),
        false => format!(
            "the provider is not configured; configured are: {configured}; \"external\" needs no \
             configuration"
        ),
    };
    let names: Vec<&str> = config.providers.keys().map(String::as_str).collect();
    Err(Problem::new(Code::ProviderUnknown, detail).with("configured", names))
}

/// The ids of a turn's start.
struct Ids {
    user_message: MessageId,
    message: MessageId,
    turn: TurnId,
}

impl Ids {
    /// Those that the client chose, fresh ones otherwise.
    fn of(app: &App, fields: &Fields<'_>) -> Result<Ids, Problem> {
        let message = |name| -> Result<MessageId, Problem> {
            Ok(fields.id(name, MessageId::parse)?.unwrap_or_else(|| {
                MessageId::parse(&app.clock().fresh_id()).expect("a UUID is an id")
            }))
        };
        let turn = fields.id("turn_id", TurnId::parse)?;
        Ok(Ids {
            user_message: message("user_message_id")?,
            message: message("message_id")?,
            turn: turn.unwrap_or_else(|| {
                TurnId::parse(&app.clock().fresh_id()).expect("a UUID is an id")
            }),
        })
    }

    fn receipt(&self) -> String {
        format!("{} {} {}", self.user_message, self.message, self.turn)
    }

    fn from_receipt(receipt: &str) -> Result<Ids, Problem> {
        let parse = || {
            let mut parts = receipt.split(' ');
            let user_message = MessageId::parse(parts.next()?).ok()?;
            let message = MessageId::parse(parts.next()?).ok()?;
            let turn = TurnId::parse(parts.next()?).ok()?;
            Some(Ids { user_message, message, turn })
        };
        parse().ok_or_else(|| Problem::new(Code::Internal, "the first answer cannot be read back"))
    }
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
    TurnPath(chat, turn): TurnPath,
) -> Result<Response<Body>, Problem> {
    app.chat(&chat).await?;
    let lease = app.log().take_lease(&chat, &turn).await?;
    let answer = json!({
        "chat_id": chat.as_str(),
        "turn_id": turn.as_str(),
        "lease": lease_json(&lease),
    });
    Ok(answer::json(StatusCode::OK, &answer))
}
