//! Whether the server is alive, ready, and what it counts.

use std::path::Path;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::App;
use super::answer;
use super::error::Problem;
use super::gate::MaybeCaller;
use super::metrics::Sizes;
use crate::fault::{Cause, Fault};

/// Says whether the server is alive
///
/// 503 once the thread that writes the log or one that folds it has ended: only a restart helps.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    responses(
        (status = 200, description = "Alive", body = ref("#/components/schemas/Health")),
        (status = 503, description = "Dead", body = ref("#/components/schemas/Health")),
    )
)]
pub(crate) async fn healthz(State(app): State<App>, caller: MaybeCaller) -> Response<Body> {
    let mut faults = app.log().faults().raised();
    faults.retain(|fault| fault.cause == Cause::Ended);
    let mut reasons = Vec::new();
    if !app.log().is_writing() && faults.is_empty() {
        reasons.push("the log was closed; restart the server".to_owned());
    }
    answer_with(&caller, reasons, &faults)
}

/// Says whether the server takes calls
///
/// 503 with reasons while the disk refuses something, a thread has failed, or the server shuts
/// down. Reads are served all the same.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    responses(
        (status = 200, description = "Ready", body = ref("#/components/schemas/Health")),
        (status = 503, description = "Not ready", body = ref("#/components/schemas/Health")),
    )
)]
pub(crate) async fn readyz(State(app): State<App>, caller: MaybeCaller) -> Response<Body> {
    let mut reasons = Vec::new();
    if app.is_stopping() {
        reasons.push("the server is shutting down".to_owned());
    }
    answer_with(&caller, reasons, &app.log().faults().raised())
}

/// Reasons are for operators; anybody else learns whether, and not why.
fn answer_with(
    caller: &MaybeCaller,
    mut reasons: Vec<String>,
    mut faults: &[Fault],
) -> Response<Body> {
    reasons.extend(faults.iter().map(Fault::to_string));
    let (status, word) = match reasons.is_empty() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    if !caller.0.as_ref().is_some_and(|caller| caller.may_operate()) {
        (reasons, faults) = (Vec::new(), &[]);
    }
    let fault = |fault: &Fault| {
        json!({
            "subject": fault.subject.name(),
            "code": fault.cause.code(),
            "needs_restart": fault.needs_restart(),
        })
    };
    let faults: Vec<Value> = faults.iter().map(fault).collect();
    answer::json(status, &json!({ "status": word, "reasons": reasons, "faults": faults }))
}

/// Counts, as Prometheus reads them
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    responses((
        status = 200,
        description = "OpenMetrics text",
        body = String,
        content_type = "application/openmetrics-text"
    ))
)]
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response<Body>, Problem> {
    let dir = app.log().dir().to_owned();
    // A log that cannot be read just now is no reason to tell nothing else.
    let archive = app.log().archive_totals().await.unwrap_or_default();
    let sizes = tokio::task::spawn_blocking(move || Sizes {
        archive,
        log_bytes: size(&dir.join("log.db")),
        wal_bytes: size(&dir.join("log.db-wal")),
    })
    .await
    .unwrap_or_default();
    let faults = app.log().faults().counts();
    let text = app.metrics().render(app.log().head(), &app.projector().status(), &faults, sizes);
    let mut response = Response::new(Body::from(text));
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(open_metrics));
    Ok(response)
}

/// Bytes of a file; 0 if it is not there.
fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}
