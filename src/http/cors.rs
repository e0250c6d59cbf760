//! What pages of other origins hear: nothing, but for those that the configuration names.

use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::CorsConfig;

/// How long a browser may remember what it was told: Chromium remembers no longer.
const AGE_MAX: Duration = Duration::from_secs(2 * 60 * 60);

impl CorsConfig {
    /// What answers browsers that ask for other origins; none where no origin may call.
    pub(super) fn layer(&self) -> Option<CorsLayer> {
        if self.origins.is_empty() {
            return None;
        }
        let origins = self.origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
        let header = HeaderName::from_static;
        let layer = CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
            .allow_headers([
                AUTHORIZATION,
                CONTENT_TYPE,
                header("idempotency-key"),
                header("last-event-id"),
            ])
            .expose_headers([header("x-scrollback-next-cursor"), header("retry-after")])
            .max_age(AGE_MAX);
        Some(layer)
    }
}
