//! Schedules: made, shown, changed, paused, removed and run at once; firing them is `turn`'s.
//!
//! A schedule's id is its own within its chat. Calls that write name the chat in their body, so
//! that an idempotency key covers it; calls that read name it in their query.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use scrollback_projections::schedule::{RunView, Schedule, ScheduleView};
use scrollback_schema::event::{ScheduleCreated, ScheduleRemoved, ScheduleUpdated};
use scrollback_schema::limits::LIST_LIMIT_MAX;
use scrollback_schema::{ChatId, ChatRef, Event, Kind, ScheduleId, Seq};
use serde_json::json;
use serde_json::value::RawValue;

use super::App;
use super::answer::{self, with_fields};
use super::body::{Fields, bad, missing};
use super::chats::List;
use super::error::{Code, Problem};
use super::gate::Caller;
use super::json_body::JsonBody;
use super::request::{IdempotencyKey, Params, SchedulePath};
use super::turns::{accepted, with_configured};
use crate::read_model;
use crate::turn::{ScheduleError, TurnIds, TurnsError, next_run};

const NAMES: [&str; 5] = ["timing", "prompt", "provider", "model", "paused"];

/// Makes a schedule of a chat
///
/// `timing` is a cron expression of five fields with a time zone of the IANA database, or an
/// interval. When it is due, `prompt` is sent as a turn of the chat, with `origin: "schedule"`; a
/// busy chat is waited for. The chat has to be there: none is made on the way.
#[utoipa::path(
    post,
    path = "/v1/schedules",
    operation_id = "create_schedule",
    request_body = ref("#/components/schemas/CreateSchedule"),
    responses((
        status = 201,
        description = "Made",
        body = ref("#/components/schemas/ScheduleSeq")
    ))
)]
pub(crate) async fn create_schedule(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let fields = Fields::read(&body)?;
    let chat = chat_of(&app, &caller, &fields).await?;
    let chosen = fields.id("schedule_id", ScheduleId::parse)?;
    let id = chosen
        .unwrap_or_else(|| ScheduleId::parse(&app.clock().fresh_id()).expect("a UUID is an id"));
    let given = [("schedule_id", id.as_str())];
    let created: ScheduleCreated = match fields.event_with(Kind::ScheduleCreated, &NAMES, &given)? {
        Event::ScheduleCreated(created) => created,
        _ => unreachable!("a kind's payload is of that kind"),
    };
    check_prompt(Some(&created.prompt))?;
    let kept = key.with(&body, id.to_string());
    let made = app.schedules().create(chat.clone(), created, kept).await;
    let (id, seq) = made.map_err(|error| problem(&app, error))?;
    Ok(schedule_seq(StatusCode::CREATED, &chat, &id, seq))
}

/// Lists schedules
///
/// Those of one chat, the oldest first; without `chat_id` those of all chats, chat by chat. A page
/// ends where a chat ends, and can so be a little longer than asked.
#[utoipa::path(
    get,
    path = "/v1/schedules",
    operation_id = "list_schedules",
    params(
        ("chat_id" = Option<String>, Query, description = "Only this chat's, all in one page"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 500,
            description = "Items after which the page ends; 50 by default"),
    ),
    responses((
        status = 200,
        description = "A page",
        body = ref("#/components/schemas/ScheduleList")
    ))
)]
pub(crate) async fn list_schedules(
    State(app): State<App>,
    caller: Caller,
    params: Params,
) -> Result<Response<Body>, Problem> {
    let after: Seq = params.cursor()?.unwrap_or_default();
    let limit = params.limit(LIST_LIMIT_MAX)?;
    let as_of_seq = app.log().head().get();
    let mut chats = match params.text("chat_id") {
        Some(_) => {
            let chat = chat_in(&app, &caller, &params).await?;
            vec![app.chat(&caller, &chat).await?]
        }
        None => visible(&app, &caller, app.read_model().chats_with_schedules().await?).await?,
    };
    chats.retain(|chat| chat.created > after);
    let (mut items, mut next_cursor) = (Vec::new(), None);
    let last = chats.last().map(|chat| chat.created);
    for chat in chats {
        let (found, _) = app.read_model().schedule_items(&chat).await?;
        items.extend(found.iter().map(|schedule| shown(&app, &chat.id, schedule)));
        if items.len() >= limit && Some(chat.created) != last {
            next_cursor = Some(chat.created.to_string());
            break;
        }
    }
    Ok(answer::json(StatusCode::OK, &List { items, next_cursor, as_of_seq }))
}

/// Shows a schedule
#[utoipa::path(
    get,
    path = "/v1/schedules/{schedule}",
    operation_id = "get_schedule",
    params(("chat_id" = String, Query, description = "Its chat")),
    responses((
        status = 200,
        description = "As it is",
        body = ref("#/components/schemas/Schedule")
    ))
)]
pub(crate) async fn get_schedule(
    State(app): State<App>,
    caller: Caller,
    SchedulePath(id): SchedulePath,
    params: Params,
) -> Result<Response<Body>, Problem> {
    let chat = chat_in(&app, &caller, &params).await?;
    let schedule = find(&app, &chat, &id).await?;
    Ok(answer::json(StatusCode::OK, &shown(&app, &chat, &schedule)))
}

/// Changes, pauses or resumes a schedule
///
/// What is not named stays; `null` gives the provider or the model back to the default. While it is
/// paused nothing is due, so nothing is missed. A new timing, and going on after a pause, count
/// from then on.
#[utoipa::path(
    patch,
    path = "/v1/schedules/{schedule}",
    operation_id = "update_schedule",
    request_body = ref("#/components/schemas/UpdateSchedule"),
    responses((
        status = 200,
        description = "Changed",
        body = ref("#/components/schemas/ScheduleSeq")
    ))
)]
pub(crate) async fn update_schedule(
    State(app): State<App>,
    caller: Caller,
    SchedulePath(id): SchedulePath,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let fields = Fields::read(&body)?;
    let chat = chat_of(&app, &caller, &fields).await?;
    if !NAMES.iter().any(|name| fields.has(name)) {
        return Err(missing("timing", "timing, prompt, provider, model or paused"));
    }
    let given = [("schedule_id", id.as_str())];
    let updated: ScheduleUpdated = match fields.event_with(Kind::ScheduleUpdated, &NAMES, &given)? {
        Event::ScheduleUpdated(updated) => updated,
        _ => unreachable!("a kind's payload is of that kind"),
    };
    check_prompt(updated.prompt.as_deref())?;
    let kept = key.with(&body, String::new());
    let seq = app.schedules().update(chat.clone(), updated, kept).await;
    let seq = seq.map_err(|error| problem(&app, error))?;
    Ok(schedule_seq(StatusCode::OK, &chat, &id, seq))
}

/// Removes a schedule
///
/// A run of it that has started goes on.
#[utoipa::path(
    delete,
    path = "/v1/schedules/{schedule}",
    operation_id = "remove_schedule",
    request_body = ref("#/components/schemas/OfChat"),
    responses((
        status = 200,
        description = "Removed",
        body = ref("#/components/schemas/ScheduleSeq")
    ))
)]
pub(crate) async fn remove_schedule(
    State(app): State<App>,
    caller: Caller,
    SchedulePath(id): SchedulePath,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let fields = Fields::read(&body)?;
    let chat = chat_of(&app, &caller, &fields).await?;
    let removed = ScheduleRemoved { schedule_id: id.clone(), by: fields.text("by")? };
    let kept = key.with(&body, String::new());
    let seq = app.schedules().remove(chat.clone(), removed, kept).await;
    let seq = seq.map_err(|error| problem(&app, error))?;
    Ok(schedule_seq(StatusCode::OK, &chat, &id, seq))
}

/// Runs a schedule now
///
/// Also one that is paused. If a run is due and waits, it is that one; otherwise the run is one
/// more, and an interval counts from it. A busy chat refuses it.
#[utoipa::path(
    post,
    path = "/v1/schedules/{schedule}/run",
    operation_id = "run_schedule",
    request_body = ref("#/components/schemas/OfChat"),
    responses((
        status = 202,
        description = "Started",
        body = ref("#/components/schemas/TurnStarted")
    ))
)]
pub(crate) async fn run_schedule(
    State(app): State<App>,
    caller: Caller,
    SchedulePath(id): SchedulePath,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let chat = chat_of(&app, &caller, &Fields::read(&body)?).await?;
    let kept = key.with(&body, String::new());
    let ids = TurnIds::fresh(app.clock());
    let started = app.schedules().run_now(chat.clone(), id, ids, kept).await;
    Ok(accepted(&chat, &started.map_err(|error| problem(&app, error))?))
}

/// Lists what a schedule did, the last run first
///
/// The last twenty; the chat's events have all, as `schedule_fired`.
#[utoipa::path(
    get,
    path = "/v1/schedules/{schedule}/runs",
    operation_id = "list_runs",
    params(("chat_id" = String, Query, description = "Its chat")),
    responses((status = 200, description = "All", body = ref("#/components/schemas/RunList")))
)]
pub(crate) async fn list_runs(
    State(app): State<App>,
    caller: Caller,
    SchedulePath(id): SchedulePath,
    params: Params,
) -> Result<Response<Body>, Problem> {
    let chat = chat_in(&app, &caller, &params).await?;
    let as_of_seq = app.log().head().get();
    let schedule = find(&app, &chat, &id).await?;
    let items = schedule.runs.iter().rev().map(|run| read_model::json(&RunView(run))).collect();
    Ok(answer::json(StatusCode::OK, &List { items, next_cursor: None, as_of_seq }))
}

async fn find(app: &App, chat: &ChatId, id: &ScheduleId) -> Result<Schedule, Problem> {
    app.schedules().find(chat, id).await.map_err(|error| problem(app, error))
}

/// A schedule as it is shown: with its chat, and when it runs next.
fn shown(app: &App, chat: &ChatId, schedule: &Schedule) -> Box<RawValue> {
    let next = next_run(schedule, app.clock().now()).map(|due| due.at.to_string());
    let fields = [("chat_id", chat.as_str().into()), ("next_run_at", next.into())];
    with_fields(&read_model::json(&ScheduleView(schedule)), &fields)
}

/// Those of the chats that the caller may see.
async fn visible(app: &App, caller: &Caller, chats: Vec<ChatRef>) -> Result<Vec<ChatRef>, Problem> {
    let mut seen = Vec::with_capacity(chats.len());
    for chat in chats {
        if app.may_see(caller, &chat.id).await? {
            seen.push(chat);
        }
    }
    Ok(seen)
}

/// The chat that a body names, if the caller may see it.
async fn chat_of(app: &App, caller: &Caller, fields: &Fields<'_>) -> Result<ChatId, Problem> {
    let chat = fields.id("chat_id", ChatId::parse)?;
    let chat = chat.ok_or_else(|| missing("chat_id", "the schedule's chat"))?;
    app.admit_to(caller, &chat).await?;
    Ok(chat)
}

/// The chat that a query names, if the caller may see it.
async fn chat_in(app: &App, caller: &Caller, params: &Params) -> Result<ChatId, Problem> {
    let Some(text) = params.text("chat_id") else {
        let detail = "parameter chat_id is missing: a schedule is found by its chat";
        return Err(Problem::new(Code::BadQuery, detail));
    };
    let chat = ChatId::parse(text)
        .map_err(|error| Problem::new(Code::BadId, format!("chat_id: {error}")))?;
    app.admit_to(caller, &chat).await?;
    Ok(chat)
}

fn check_prompt(prompt: Option<&str>) -> Result<(), Problem> {
    match prompt {
        Some("") => Err(bad("prompt", "at least one character")),
        _ => Ok(()),
    }
}

fn problem(app: &App, error: ScheduleError) -> Problem {
    match error {
        ScheduleError::Turns(
            error @ (TurnsError::ProviderUnknown { .. } | TurnsError::NoProvider),
        ) => with_configured(app, error.into()),
        error => error.into(),
    }
}

fn schedule_seq(status: StatusCode, chat: &ChatId, id: &ScheduleId, seq: Seq) -> Response<Body> {
    let answer = json!({
        "chat_id": chat.as_str(),
        "schedule_id": id.as_str(),
        "seq": seq.get(),
    });
    answer::json(status, &answer)
}
