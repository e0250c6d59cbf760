//! `/v1/projections`: how far each read model is, what stands still in it, and its rebuild.

use axum::body::Body;
use axum::extract::{RawPathParams, State};
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};

use super::App;
use super::answer;
use super::body::Fields;
use super::error::{Code, Problem};
use super::json_body::JsonBody;
use crate::projector::rebuild::{AskedRebuild, Stage, Task};
use crate::projector::{Health, ProjectionStatus};

/// Lists the read models: how far they are, which chats are parked, what becomes of a rebuild
#[utoipa::path(
    get,
    path = "/v1/projections",
    operation_id = "list_projections",
    responses((
        status = 200,
        description = "All",
        body = ref("#/components/schemas/ProjectionList")
    ))
)]
pub(crate) async fn list_projections(State(app): State<App>) -> Response<Body> {
    let statuses = app.projector().status();
    let items: Vec<Value> = statuses
        .iter()
        .map(|status| projection(status, app.rebuilds().of(status.name).as_ref()))
        .collect();
    let body = json!({ "items": items, "head_seq": app.log().head().get() });
    answer::json(StatusCode::OK, &body)
}

fn projection(status: &ProjectionStatus, rebuild: Option<&AskedRebuild>) -> Value {
    let (health, cause) = match &status.health {
        Health::Working => ("working", None),
        Health::Failing { cause } => ("failing", Some(cause.as_str())),
        Health::Poisoned => ("ended", Some("its thread has ended; restart the server")),
    };
    let parked: Vec<Value> = status
        .parked
        .iter()
        .map(|parked| {
            json!({
                "chat_id": parked.chat.id.as_str(),
                "seq": parked.seq.get(),
                "cause": parked.cause,
            })
        })
        .collect();
    json!({
        "name": status.name,
        "version": status.version,
        "checkpoint_seq": status.checkpoint.get(),
        "behind_events": status.lag_events,
        "behind_seconds": status.lag_ms as f64 / 1_000.0,
        "health": health,
        "cause": cause,
        "parked": parked,
        "rebuild": rebuild.map(rebuild_value),
    })
}

fn rebuild_value(rebuild: &AskedRebuild) -> Value {
    let (state, check, cause) = match &rebuild.stage {
        Stage::Running(task) => (word(*task), Value::Null, None),
        Stage::Rebuilt => ("done", Value::Null, None),
        Stage::Checked(None) => ("done", "equal".into(), None),
        Stage::Checked(Some(difference)) => {
            let check = json!({
                "table": difference.table,
                "key": difference.key,
                "at_seq": difference.at_seq.get(),
                "message": difference.to_string(),
            });
            ("done", check, None)
        }
        Stage::Failed { cause } => ("failed", Value::Null, Some(cause)),
    };
    json!({
        "state": state,
        "checkpoint_seq": rebuild.through.get(),
        "head_seq": rebuild.head.get(),
        "events_per_second": rebuild.events_per_second,
        "seconds_left": rebuild.seconds_left(),
        "check": check,
        "cause": cause,
    })
}

const fn word(task: Task) -> &'static str {
    match task {
        Task::Rebuild => "running",
        Task::Check => "checking",
    }
}

/// Folds a read model anew from the log, or checks it against the log
///
/// Readers go on meanwhile: the rebuilt one is taken over between two reads. A check compares row
/// by row and replaces nothing. One runs at a time; how far it is and what it found is told by the
/// list.
#[utoipa::path(
    post,
    path = "/v1/projections/{name}/rebuild",
    operation_id = "rebuild_projection",
    params(("name" = String, Path, description = "The projection")),
    request_body(content = ref("#/components/schemas/RebuildProjection")),
    responses((
        status = 202,
        description = "Begun",
        body = ref("#/components/schemas/RebuildBegun")
    ))
)]
pub(crate) async fn rebuild_projection(
    State(app): State<App>,
    path: RawPathParams,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let name = path.iter().find(|(name, _)| *name == "name").map_or("", |(_, text)| text);
    let task = match Fields::read(&body)?.flag("check")? {
        Some(true) => Task::Check,
        Some(false) | None => Task::Rebuild,
    };
    if app.is_stopping() {
        return Err(Problem::new(Code::ShuttingDown, "the server is shutting down"));
    }
    let ended = app.rebuilds().start(name, task)?;
    app.tasks().spawn(ended);
    let body = json!({ "name": name, "state": word(task) });
    Ok(answer::json(StatusCode::ACCEPTED, &body))
}
