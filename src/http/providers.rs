//! `GET /v1/providers`: who can run a turn; nothing of how they are reached, and no secret.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};

use super::App;
use super::answer;

/// Lists the configured providers
#[utoipa::path(
    get,
    path = "/v1/providers",
    operation_id = "list_providers",
    responses((
        status = 200,
        description = "All",
        body = ref("#/components/schemas/ProviderList")
    ))
)]
pub(crate) async fn list_providers(State(app): State<App>) -> Response<Body> {
    let (tables, default) = (&app.config().providers, app.config().default_provider.as_deref());
    let item = |name: &str| {
        let text = |key: &str| tables.get(name)?.get(key)?.as_str();
        let models: Vec<&str> = text("model").into_iter().collect();
        let is_default = default == Some(name);
        json!({ "name": name, "kind": text("kind"), "models": models, "is_default": is_default })
    };
    let items: Vec<Value> = app.providers().names().map(item).collect();
    answer::json(StatusCode::OK, &json!({ "items": items, "default": default }))
}
