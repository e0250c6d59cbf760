//! `POST …/events`: a producer outside appends to the turn that it leases.
//!
//! The hot path: one parse, one append, an answer written by hand. A request that came by a socket
//! is told by its path and goes around the router, but not around the gate; both ways end in the
//! same call. Whether the lease holds and the numbers fit is the log's to say.

use axum::BoxError;
use axum::body::{Body, HttpBody};
use axum::extract::{Extension, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, Request, Response, Uri};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use scrollback_schema::{ChatId, NewEvent, wire};

use super::App;
use super::admission::CallerKey;
use super::error::Problem;
use super::gate;
use super::json_body::JsonBody;
use super::request::{ChatPath, IdempotencyKey};
use crate::log::{Append, Appended, Claim};

/// Appends events to a leased turn
///
/// Durable when answered, and the lease is renewed. Numbers count the turn's own events from 1: a
/// repeated call is answered as before, a number left out is a 409 that says which one is expected.
#[utoipa::path(
    post,
    path = "/v1/chats/{chat}/events",
    operation_id = "append_events",
    request_body = ref("#/components/schemas/AppendRequest"),
    responses((status = 200, description = "Stored", body = ref("#/components/schemas/Appended")))
)]
pub(crate) async fn append_events(
    State(app): State<App>,
    ChatPath(chat): ChatPath,
    key: IdempotencyKey,
    caller: Option<Extension<CallerKey>>,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    append(&app, caller.map(|Extension(caller)| caller), chat, &key, body).await
}

/// The chat that a request appends to, if that is what it does: only a path that is spelt as it is
/// documented, anything else is the router's to judge.
pub(crate) fn target(method: &Method, uri: &Uri) -> Option<ChatId> {
    if method != Method::POST {
        return None;
    }
    let chat = uri.path().strip_prefix("/v1/chats/")?.strip_suffix("/events")?;
    ChatId::parse(chat).ok()
}

/// Answers a request whose [`target`] is this chat.
pub(crate) async fn append_directly<B>(
    app: App,
    chat: ChatId,
    request: Request<B>,
) -> Response<Body>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let (parts, body) = request.into_parts();
    let answered = async {
        let caller = gate::caller(&app, &parts.method, &parts.headers, None)?;
        app.admit_to(&caller, &chat).await?;
        let (method, uri, headers) = (&parts.method, &parts.uri, &parts.headers);
        let key = IdempotencyKey::of(method, uri, headers, Some(&caller))?;
        let JsonBody(body) = JsonBody::read(&parts.headers, body).await?;
        let caller = parts.extensions.get().copied();
        append(&app, caller, chat, &key, body).await
    };
    answered.await.unwrap_or_else(|problem| problem.into_response())
}

async fn append(
    app: &App,
    caller: Option<CallerKey>,
    chat: ChatId,
    key: &IdempotencyKey,
    body: Bytes,
) -> Result<Response<Body>, Problem> {
    let parsed = wire::parse_append(&body)?;
    let (token, first_number) = (parsed.lease.into_owned(), parsed.first_number);
    // The lease says which turn and message they belong to.
    let events = parsed.events.into_iter().map(NewEvent::of_chat).collect();
    let mut append = Append::new(chat, events)?;
    app.admission().events(caller, append.n_events() as u64)?;
    append.claim = Claim::Lease { token, first_number };
    append.idempotency = key.with(&body, String::new());
    drop(body);
    Ok(answer(&app.log().append(append).await?))
}

fn answer(appended: &Appended) -> Response<Body> {
    let mut number = itoa::Buffer::new();
    let mut json = String::with_capacity(96);
    json.push_str("{\"first_seq\":");
    json.push_str(number.format(appended.first_seq.get()));
    json.push_str(",\"last_seq\":");
    json.push_str(number.format(appended.last_seq.get()));
    match &appended.lease {
        Some(lease) => {
            json.push_str(",\"expires_at\":\"");
            json.push_str(&lease.expires_at.to_string());
            json.push_str("\"}");
        }
        // The turn has ended, and its lease with it.
        None => json.push_str(",\"expires_at\":null}"),
    }
    let mut response = Response::new(Body::from(json));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
