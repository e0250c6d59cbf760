//! The calls of `useChat`: send, resume, stop, load.
//!
//! A message that is sent again is answered with what became of it the first time, so that a client
//! that does not know whether it came through can send it once more.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use scrollback_projections::message::{Message, StreamStatus};
use scrollback_schema::event::{ChatCreated, Origin};
use scrollback_schema::limits::LIST_LIMIT_MAX;
use scrollback_schema::{ChatId, ChatRef, Event, MessageId, NewEvent, QueuedMessageId, Seq};
use serde_json::json;

use super::sent::{Sent, Trigger};
use super::stream;
use super::ui_message::UiMessage;
use crate::http::App;
use crate::http::answer;
use crate::http::error::{Code, Problem};
use crate::http::gate::{Caller, forbidden};
use crate::http::json_body::JsonBody;
use crate::http::request::{ChatPath, Params};
use crate::http::turns::with_configured;
use crate::log::Append;
use crate::turn::{Accepted, Asks, IfBusy, StartTurn, StopTurn, TurnIds, TurnsError};

/// Where the page of earlier messages begins, if there is one: a list of UI messages has no room
/// for it.
const NEXT_CURSOR: HeaderName = HeaderName::from_static("x-scrollback-next-cursor");

/// Sends a message, as `useChat` does
///
/// The body is that of `DefaultChatTransport`; the last of `messages` is answered. A chat that is
/// not there is created. The answer is the turn as a UI message stream, protocol version 1; who
/// stops reading does not stop the turn. The same message again is answered with the turn that it
/// has started, never with a second one; `trigger: "regenerate-message"` starts another.
#[utoipa::path(
    post,
    path = "/api/chat",
    operation_id = "ai_sdk_send",
    request_body = ref("#/components/schemas/UiSend"),
    responses((
        status = 200,
        description = "The turn: `data:` lines, each a chunk, then `data: [DONE]`",
        body = String,
        content_type = "text/event-stream"
    ))
)]
pub(crate) async fn ai_sdk_send(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let sent = Sent::read(&body)?;
    let chat = found_or_created(&app, &caller, &sent.chat).await?;
    let answer = match wanted(&app, &chat, &sent).await? {
        Wanted::Told(answer) => answer,
        Wanted::Started(asks, user_message) => {
            match start(&app, &sent, asks, user_message.clone()).await {
                Ok(answer) => answer,
                // The same message may have been sent twice at once, and this one came second.
                Err(problem) if matches!(problem.code(), Code::IdTaken | Code::ChatBusy) => {
                    match wanted(&app, &chat, &sent).await? {
                        Wanted::Told(answer) => answer,
                        Wanted::Started(..) => return Err(problem),
                    }
                }
                Err(problem) => return Err(problem),
            }
        }
    };
    follow(&app, &caller, &chat, &answer).await
}

/// What a call comes to.
enum Wanted {
    /// The message was answered, or is being answered, in this one.
    Told(MessageId),
    /// A turn that answers this message.
    Started(Asks, MessageId),
}

async fn wanted(app: &App, chat: &ChatRef, sent: &Sent) -> Result<Wanted, Problem> {
    let id = sent.message.message_id();
    let Some(known) = message(app, chat, &id).await? else {
        return Ok(Wanted::Started(Asks::Anew, id));
    };
    if sent.trigger == Trigger::RegenerateMessage {
        return Ok(Wanted::Started(Asks::Again, id));
    }
    // A message that was edited is a new one: what was said stays.
    let (id, known) = match sent.message.is_said_by(&known) {
        true => (id, known),
        false => {
            let id = sent.message.edited_id();
            match message(app, chat, &id).await? {
                Some(known) => (id, known),
                None => return Ok(Wanted::Started(Asks::Anew, id)),
            }
        }
    };
    match answer_to(app, chat, &known).await? {
        Some(answer) => Ok(Wanted::Told(answer)),
        // It came in by another way, and nobody has answered it.
        None => Ok(Wanted::Started(Asks::Again, id)),
    }
}

async fn message(app: &App, chat: &ChatRef, id: &MessageId) -> Result<Option<Message>, Problem> {
    Ok(app.read_model().message_record(chat, id).await?.0)
}

/// The last answer to a user's message.
async fn answer_to(
    app: &App,
    chat: &ChatRef,
    user_message: &Message,
) -> Result<Option<MessageId>, Problem> {
    let mut cursor = None;
    loop {
        let page = app.read_model().message_records(chat, cursor, PAGE_MESSAGES).await?;
        let answers = |message: &&Message| {
            let turn = message.head().turn.as_ref();
            turn.and_then(|turn| turn.user_message_id.as_ref()) == Some(&user_message.head().id)
        };
        if let Some(answer) = page.items.iter().rev().find(answers) {
            return Ok(Some(answer.head().id.clone()));
        }
        match page.next_cursor {
            Some(next) if next > user_message.head().first_seq => cursor = Some(next),
            _ => return Ok(None),
        }
    }
}

/// Messages looked at together: a message that is sent again is one of the last few.
const PAGE_MESSAGES: usize = 8;

async fn found_or_created(app: &App, caller: &Caller, id: &ChatId) -> Result<ChatRef, Problem> {
    match app.chat(caller, id).await {
        Err(problem) if problem.code() == Code::ChatNotFound => {}
        found => return found,
    }
    if !caller.may_name(id) {
        return Err(forbidden("id: the token is limited to other chats"));
    }
    let owner = caller.owner().map(|owner| owner.as_str().to_owned());
    let created = Event::ChatCreated(ChatCreated { owner, ..ChatCreated::default() });
    let append = Append::new(id.clone(), vec![NewEvent::of_chat(created)])?;
    match app.log().append(append).await.map_err(Problem::from) {
        // Somebody else was faster, or it is somebody else's.
        Err(problem) if !matches!(problem.code(), Code::ChatExists | Code::ChatDeleted) => {
            Err(problem)
        }
        _ => app.chat(caller, id).await,
    }
}

/// Starts the turn; the message that it produces.
async fn start(
    app: &App,
    sent: &Sent,
    asks: Asks,
    user_message: MessageId,
) -> Result<MessageId, Problem> {
    let ids = TurnIds { user_message, ..TurnIds::fresh(app.clock()) };
    let unused = QueuedMessageId::parse(&app.clock().fresh_id()).expect("a UUID is an id");
    let start = StartTurn {
        chat: sent.chat.clone(),
        asks,
        text: sent.message.said.text.clone(),
        attachments: sent.message.said.attachments.clone(),
        provider: sent.provider.clone(),
        model: sent.model.clone(),
        origin: Origin::User,
        if_busy: IfBusy::Reject,
        ids,
        queued_message: unused,
        also: Vec::new(),
        idempotency: None,
    };
    match app.turns().start(start).await {
        Ok(Accepted::Started { ids, .. }) => Ok(ids.message),
        Ok(Accepted::Queued { .. }) => unreachable!("a busy chat refuses it"),
        Err(error @ (TurnsError::ProviderUnknown { .. } | TurnsError::NoProvider)) => {
            Err(with_configured(app, error.into()))
        }
        Err(error) => Err(error.into()),
    }
}

async fn follow(
    app: &App,
    caller: &Caller,
    chat: &ChatRef,
    id: &MessageId,
) -> Result<Response<Body>, Problem> {
    let (found, as_of) = app.read_model().message_record(chat, id).await?;
    let message = found.ok_or_else(|| Problem::message_not_found(&chat.id, id))?;
    stream::answer(app, caller, chat, &message, as_of).await
}

/// Resumes a turn, as `useChat({ resume: true })` does
///
/// The message from its beginning, in one chunk a part, then the turn as it goes on, to its end.
/// The answer is 204 if no turn is open, and in a chat that is not there yet; but if the last turn
/// failed, its message and its error are told once more, so that a page that was reloaded shows
/// what it showed before.
#[utoipa::path(
    get,
    path = "/api/chat/{chat}/stream",
    operation_id = "ai_sdk_resume",
    params(("ticket" = Option<String>, Query,
        description = "In place of a token, for clients that cannot send headers")),
    responses(
        (
            status = 200,
            description = "The turn: `data:` lines, each a chunk, then `data: [DONE]`",
            body = String,
            content_type = "text/event-stream"
        ),
        (status = 204, description = "There is nothing to resume"),
    )
)]
pub(crate) async fn ai_sdk_resume(
    State(app): State<App>,
    caller: Caller,
    ChatPath(chat): ChatPath,
) -> Result<Response<Body>, Problem> {
    let Some(chat) = known(&app, &caller, &chat).await? else { return Ok(no_content()) };
    let last = app.read_model().message_records(&chat, None, 1).await?;
    let as_of = last.as_of_seq;
    match last.items.first() {
        // The open turn's message is the last one of its chat.
        Some(message)
            if matches!(message.head().status, StreamStatus::InProgress | StreamStatus::Failed) =>
        {
            stream::answer(&app, &caller, &chat, message, as_of).await
        }
        _ => Ok(no_content()),
    }
}

/// The chat, unless there is none; a page asks before its first message is sent.
async fn known(app: &App, caller: &Caller, id: &ChatId) -> Result<Option<ChatRef>, Problem> {
    match app.chat(caller, id).await {
        Ok(chat) => Ok(Some(chat)),
        Err(problem) if problem.code() == Code::ChatNotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Stops the open turn
///
/// `stop()` of `useChat` ends its own reading alone; this ends the turn. A chat without an open
/// turn is left as it is, and `turn_id` is null.
#[utoipa::path(
    post,
    path = "/api/chat/{chat}/stop",
    operation_id = "ai_sdk_stop",
    responses((
        status = 202,
        description = "It ends, or there was none",
        body = ref("#/components/schemas/UiStopped")
    ))
)]
pub(crate) async fn ai_sdk_stop(
    State(app): State<App>,
    caller: Caller,
    ChatPath(id): ChatPath,
) -> Result<Response<Body>, Problem> {
    let chat = app.chat(&caller, &id).await?;
    let open = app.read_model().status(&chat).await?.open_turn;
    if let Some(turn) = &open {
        let turn = turn.turn_id.clone();
        app.turns().stop(StopTurn { chat: id.clone(), turn, by: None, idempotency: None }).await?;
    }
    let turn_id = open.as_ref().map(|turn| turn.turn_id.as_str());
    Ok(answer::json(StatusCode::ACCEPTED, &json!({ "chat_id": id.as_str(), "turn_id": turn_id })))
}

/// Loads a chat's messages in the form of the AI SDK
///
/// For `useChat({ messages })`: the last ones, ascending. Earlier ones are asked for with the
/// cursor that the header `x-scrollback-next-cursor` names. Of several answers to one message the
/// last is shown, and nothing that was said between. A chat that is not there yet has none.
#[utoipa::path(
    get,
    path = "/api/chat/{chat}/messages",
    operation_id = "ai_sdk_messages",
    params(
        ("cursor" = Option<String>, Query, description = "Where the page before ended"),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 500,
            description = "Messages at most; 50 by default"),
    ),
    responses((
        status = 200,
        description = "The messages",
        body = ref("#/components/schemas/UiMessages")
    ))
)]
pub(crate) async fn ai_sdk_messages(
    State(app): State<App>,
    caller: Caller,
    ChatPath(chat): ChatPath,
    params: Params,
) -> Result<Response<Body>, Problem> {
    let cursor: Option<Seq> = params.cursor()?;
    let limit = params.limit(LIST_LIMIT_MAX)?;
    let Some(chat) = known(&app, &caller, &chat).await? else {
        return Ok(answer::json(StatusCode::OK, &json!([])));
    };
    let page = app.read_model().message_records(&chat, cursor, limit).await?;
    let requests = app.read_model().pending_requests(&chat).await?;
    let shown: Vec<UiMessage> =
        in_force(&page.items).map(|message| UiMessage::of(message, &requests)).collect();
    let mut response = answer::json(StatusCode::OK, &shown);
    if let Some(next) = page.next_cursor {
        let next = HeaderValue::from_str(&next.to_string()).expect("digits are a header");
        response.headers_mut().insert(NEXT_CURSOR, next);
    }
    Ok(response)
}

/// The messages that no later answer has taken the place of: a message that is answered again
/// follows the one that it answers.
fn in_force(messages: &[Message]) -> impl Iterator<Item = &Message> {
    let mut shown: Vec<&Message> = Vec::with_capacity(messages.len());
    for message in messages {
        let turn = message.head().turn.as_ref();
        if let Some(answered) = turn.and_then(|turn| turn.user_message_id.as_ref())
            && let Some(at) = shown.iter().rposition(|shown| shown.head().id == *answered)
        {
            shown.truncate(at + 1);
        }
        shown.push(message);
    }
    shown.into_iter()
}
