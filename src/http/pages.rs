//! The pages for a browser: the chat at `/`, the inspector at `/inspector`, what they load under
//! `/web/`.
//!
//! They are compiled in (`build.rs` lists them) and sent as they are written; they ask the API for
//! everything else, and are no part of it. What a page may load and run is said here, once.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, Uri};
use axum::routing::get;
use sha2::{Digest as _, Sha256};

use super::App;
use super::error::Problem;

/// The files, by their path in `web/`.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/web_files.rs"));

/// The chat page's file.
const CHAT: &str = "chat/chat.html";

/// The inspector page's file.
const INSPECTOR: &str = "inspector/inspector.html";

/// What an ending is served as; `ENDINGS` of `build.rs` has the same.
const CONTENT_TYPES: [(&str, &str); 5] = [
    ("css", "text/css; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
];

/// All that a page may do: its own files and this server's API, nothing inline, nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Bytes of a file's digest that name its version.
const TAG_BYTES: usize = 16;

/// A file as it is sent.
#[derive(Debug)]
struct Page {
    bytes: &'static [u8],
    content_type: HeaderValue,
    /// Names these bytes for ever.
    tag: HeaderValue,
}

static PAGES: LazyLock<HashMap<&'static str, Page>> =
    LazyLock::new(|| FILES.iter().map(|&(path, bytes)| (path, Page::new(path, bytes))).collect());

impl Page {
    fn new(path: &str, bytes: &'static [u8]) -> Page {
        let ending = path.rsplit('.').next().expect("a split has a last part");
        let content_type = CONTENT_TYPES.iter().find(|(known, _)| *known == ending);
        let (_, content_type) = content_type.expect("only these endings are compiled in");
        let mut tag = String::from("\"");
        for byte in &Sha256::digest(bytes)[..TAG_BYTES] {
            write!(tag, "{byte:02x}").expect("text can be written");
        }
        tag.push('"');
        let tag = HeaderValue::try_from(tag).expect("hexadecimal digits are legal");
        Page { bytes, content_type: HeaderValue::from_static(content_type), tag }
    }

    /// The file, or 304 if the client has it.
    fn answer(&self, request: &HeaderMap) -> Response<Body> {
        let is_known = request.get_all(IF_NONE_MATCH).iter().any(|tags| self.is_named(tags));
        let mut response = match is_known {
            true => Response::new(Body::empty()),
            false => Response::new(Body::from(self.bytes)),
        };
        let headers = response.headers_mut();
        headers.insert(ETAG, self.tag.clone());
        // A new program may bring new pages: a browser asks each time, and mostly hears 304.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // The address of a page names chats and messages.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            headers.insert(CONTENT_TYPE, self.content_type.clone());
        }
        response
    }

    /// Whether a list of tags names this version; a weak tag does, as RFC 9110 has it for GET.
    fn is_named(&self, tags: &HeaderValue) -> bool {
        let Ok(tags) = tags.to_str() else { return false };
        tags.split(',').map(str::trim).any(|tag| {
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.tag.as_bytes()
        })
    }
}

/// The routes; the OpenAPI document does not list them.
pub(crate) fn routes() -> Router<App> {
    let page = |path: &'static str| {
        get(async move |uri: Uri, headers: HeaderMap| answer(path, &uri, &headers))
    };
    Router::new()
        .route("/", page(CHAT))
        .route("/inspector", page(INSPECTOR))
        .route("/web/{*path}", get(file))
}

/// A file by its path, which is not decoded: no name of ours has a sign that needs it.
async fn file(uri: Uri, headers: HeaderMap) -> Result<Response<Body>, Problem> {
    answer(uri.path().trim_start_matches("/web/"), &uri, &headers)
}

fn answer(path: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response<Body>, Problem> {
    let page = PAGES.get(path).ok_or_else(|| super::no_route(uri))?;
    Ok(page.answer(headers))
}
