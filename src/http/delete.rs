//! Deleting a chat: tombstone, then not a byte of its text is left.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use bytes::Bytes;
use scrollback_schema::event::{CancelReason, Cancelled, ChatDeleted};
use scrollback_schema::{ChatId, ChatRef, Event, Kind, NewEvent, Seq};

use super::App;
use super::body::Fields;
use super::chats::chat_seq;
use super::error::{Code, Problem};
use super::json_body::JsonBody;
use super::request::{ChatPath, IdempotencyKey};
use crate::log::turn_guard::Reason;
use crate::log::{Append, AppendError, Appended, PageLimits, Refusal, Scope};

/// Times that a turn may begin or end between looking and appending before the chat is called busy.
const ATTEMPTS_MAX: usize = 16;

/// Pauses between two tries to erase what the disk did not let: the first, and the longest.
const ERASE_PAUSE_FIRST: Duration = Duration::from_millis(500);
const ERASE_PAUSE_LONGEST: Duration = Duration::from_secs(30);

/// Deletes a chat and erases its text
///
/// An open turn is closed first. Answered when no file of the data directory holds a byte of the
/// text; the chat's routes answer 410 from then on.
#[utoipa::path(
    delete,
    path = "/v1/chats/{chat}",
    operation_id = "delete_chat",
    request_body = ref("#/components/schemas/By"),
    responses((status = 200, description = "Deleted", body = ref("#/components/schemas/ChatSeq")))
)]
pub(crate) async fn delete_chat(
    State(app): State<App>,
    ChatPath(chat): ChatPath,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    // A task of its own: once the tombstone stands, the text goes even if the client does.
    let deletion = app.tasks().spawn(delete(app.clone(), chat, key, body));
    deletion
        .await
        .map_err(|error| Problem::fault(Code::Internal, "the deletion broke off", &error))?
}

async fn delete(
    app: App,
    id: ChatId,
    key: IdempotencyKey,
    body: Bytes,
) -> Result<Response<Body>, Problem> {
    let deleted = Fields::read(&body)?.event(Kind::ChatDeleted, &["by"])?;
    let entry = app.log().find_chat(&id).await?.ok_or_else(|| Problem::chat_not_found(&id))?;
    let appended = bury(&app, &entry.chat, &deleted, &key, &body).await?;
    finish(&app, &entry.chat, appended.last_seq).await?;
    Ok(chat_seq(&id, &appended))
}

/// Erases the text of a chat whose tombstone stands, from every file; what the disk does not let go
/// now goes later.
async fn finish(app: &App, chat: &ChatRef, tombstone: Seq) -> Result<(), Problem> {
    app.turns().abandon(&chat.id);
    if let Err(error) = erase(app, chat, tombstone).await {
        let detail = "the chat is deleted, but its text is not gone from every file yet; that is \
                      tried again until it is done";
        app.tasks().spawn(erase_on(app.clone(), chat.clone(), tombstone));
        return Err(Problem::fault(Code::EraseUnfinished, detail, &*error));
    }
    Ok(())
}

/// Why retention did not delete a chat.
#[derive(Debug)]
pub(crate) enum DropError {
    /// A turn of it is open, or it is deleted.
    InUse,
    /// It could not be done; the code of the problem.
    Failed { code: String },
}

/// Deletes a chat whose turn is not open, as the route does; the seq of its tombstone.
///
/// # Cancel safety
///
/// Once the tombstone stands, a task of its own does the rest.
pub(crate) async fn drop_chat(app: &App, chat: &ChatRef) -> Result<Seq, DropError> {
    let tombstone = Event::ChatDeleted(ChatDeleted { by: Some(BY_RETENTION.to_owned()) });
    let deletion = app.tasks().spawn({
        let (app, chat) = (app.clone(), chat.clone());
        async move {
            let append = Append::new(chat.id.clone(), vec![NewEvent::of_chat(tombstone)])
                .map_err(|_| DropError::InUse)?;
            let appended = match app.log().append(append).await {
                Ok(appended) => appended,
                Err(AppendError::Refused(_) | AppendError::ChatDeleted { .. }) => {
                    return Err(DropError::InUse);
                }
                Err(error) => return Err(failed(error.into())),
            };
            finish(&app, &chat, appended.last_seq).await.map_err(failed)?;
            Ok(appended.last_seq)
        }
    });
    let broken = |_| DropError::Failed { code: Code::Internal.name().to_owned() };
    deletion.await.map_err(broken)?
}

/// Who deletes a chat that is too old.
const BY_RETENTION: &str = "retention";

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn failed(problem: Problem) -> DropError {
    DropError::Failed { code: problem.code().name().to_owned() }
}

/// Leaves no byte of a chat's text in any file.
async fn erase(
    app: &App,
    chat: &ChatRef,
    tombstone: Seq,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    app.log().erase(chat).await?;
    app.projector().settle(tombstone).await?;
    Ok(())
}

/// Tries again to erase a chat until it is done, or until the server stops: a start finishes what
/// is left.
async fn erase_on(app: App, chat: ChatRef, tombstone: Seq) {
    let mut pause = ERASE_PAUSE_FIRST;
    loop {
        tokio::select! {
            biased;
            () = app.stopping() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(ERASE_PAUSE_LONGEST);
        match erase(&app, &chat, tombstone).await {
            Ok(()) => return tracing::warn!(chat_id = %chat.id, "a deleted chat is erased now"),
            Err(_) if app.log().is_poisoned() => return,
            Err(_) => {}
        }
    }
}

/// Appends the tombstone, and before it the end of the turn that is open.
async fn bury(
    app: &App,
    chat: &ChatRef,
    deleted: &Event,
    key: &IdempotencyKey,
    body: &[u8],
) -> Result<Appended, Problem> {
    for _ in 0..ATTEMPTS_MAX {
        let mut events = Vec::with_capacity(2);
        if let Some(turn) = app.read_model().status(chat).await?.open_turn {
            let started_at = instant_of(app, chat, turn.started_seq).await?;
            let duration_ms = app.clock().now().since_ms(started_at);
            let reason = CancelReason::User;
            let cancelled = Event::Cancelled(Cancelled { reason, duration_ms });
            events.push(NewEvent::of_turn(turn.turn_id, turn.message_id, cancelled));
        }
        events.push(NewEvent::of_chat(deleted.clone()));
        let mut append = Append::new(chat.id.clone(), events)?;
        append.idempotency = key.with(body, String::new());
        match app.log().append(append).await {
            Ok(appended) => return Ok(appended),
            // A turn began or ended in between: look again.
            Err(AppendError::Refused(Refusal { reason, .. })) if is_about_a_turn(&reason) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let detail = format!("turns of chat {} begin and end too fast to delete it", chat.id);
    Err(Problem::new(Code::ChatBusy, detail).with("chat_id", chat.id.as_str()))
}

fn is_about_a_turn(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::TurnStillOpen { .. }
            | Reason::NoOpenTurn
            | Reason::NotTheOpenTurn { .. }
            | Reason::NotTheTurnsMessage { .. }
    )
}

/// When the event with this seq was committed.
async fn instant_of(
    app: &App,
    chat: &ChatRef,
    seq: Seq,
) -> Result<scrollback_schema::Millis, Problem> {
    let scope = Scope::Chat(chat.created);
    let page = app.log().read(&scope, seq.prev(), seq, PageLimits::default()).await?;
    Ok(page.sections.first().map_or_else(|| app.clock().now(), |section| section.at()))
}
