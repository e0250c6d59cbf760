//! The OpenAPI document: the routes as they are registered, the shapes from `openapi_schemas.json`.
//!
//! Which problems a call can answer follows from what it has: a chat in its path, a body, a cursor,
//! the log behind it. That is written once, here, and not at every route.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use utoipa::openapi::OpenApi;

use super::answer;

pub(crate) fn base() -> OpenApi {
    OpenApi::default()
}

pub(crate) fn text(api: &OpenApi) -> Bytes {
    Bytes::from(api.to_json().expect("the document is JSON"))
}

pub(crate) fn answer(text: &Bytes) -> Response<Body> {
    answer::json_text(StatusCode::OK, text.clone())
}
