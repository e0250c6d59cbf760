//! What a browser loads: every file of `web/` that it may, with the headers that hold it in check.

use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::Value;

use super::api::{Answer, Api};

/// What a page may do, whole: a change is meant, or a hole.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Files of the four directories that are served, with the path that they have in `web/`.
fn served() -> Vec<(String, Vec<u8>)> {
    fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, files) } else { files.push(path) }
        }
    }
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let mut files = Vec::new();
    for dir in ["chat", "client", "inspector", "page"] {
        walk(&web.join(dir), &mut files);
    }
    let named = |path: PathBuf| {
        let name = path.strip_prefix(&web).unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read(path).unwrap())
    };
    files.into_iter().map(named).collect()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap() {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        other => panic!("{path}: a page cannot load .{other}; teach build.rs and http::pages"),
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

async fn call(api: &Api, method: Method, path: &str, tags: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).header("if-none-match", tags);
    api.answer(request.body(Body::empty()).unwrap()).await
}

fn assert_guarded(answer: &Answer, path: &str) {
    assert_eq!(header(answer, "content-security-policy"), POLICY, "{path}");
    assert_eq!(header(answer, "x-content-type-options"), "nosniff", "{path}");
    assert_eq!(header(answer, "referrer-policy"), "no-referrer", "{path}");
    assert_eq!(header(answer, "cache-control"), "no-cache", "{path}");
}

#[tokio::test]
async fn every_file_of_the_pages_is_served_as_it_is_written() {
    let api = Api::new().await;
    let files = served();
    assert!(!files.is_empty(), "the tree was found");
    for (path, bytes) in files {
        let answer = api.get(&format!("/web/{path}")).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &bytes[..]), "{path}");
        assert_eq!(header(&answer, "content-type"), content_type(&path), "{path}");
        assert_guarded(&answer, &path);
        let tag = header(&answer, "etag");
        assert!(tag.starts_with('"') && tag.len() == 34, "{path}: {tag}");
    }
}

#[tokio::test]
async fn a_browser_that_has_a_file_is_not_sent_it_again() {
    let api = Api::new().await;
    let path = "/web/page/base.css";
    let first = api.get(path).await;
    let tag = header(&first, "etag");
    for tags in [tag, &format!("\"other\", {tag}"), &format!("W/{tag}"), "*"] {
        let again = call(&api, Method::GET, path, tags).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{tags}");
        assert_eq!(header(&again, "etag"), tag);
        assert_guarded(&again, tags);
    }
    for tags in ["\"other\"", "", tag.trim_matches('"')] {
        assert_eq!(call(&api, Method::GET, path, tags).await.status, 200, "{tags}");
    }
}

#[tokio::test]
async fn head_answers_the_same_without_the_file() {
    let api = Api::new().await;
    let path = "/web/page/base.css";
    let (get, head) = (api.get(path).await, call(&api, Method::HEAD, path, "\"other\"").await);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(header(&head, "content-length"), get.body.len().to_string());
    for name in ["etag", "content-type", "content-security-policy"] {
        assert_eq!(header(&head, name), header(&get, name), "{name}");
    }
}

#[tokio::test]
async fn nothing_else_of_the_tree_can_be_had() {
    let api = Api::new().await;
    let paths = [
        "/web",
        "/web/",
        "/web/page",
        "/web/page/",
        "/web/page/nothing.js",
        "/web/package.json",
        "/web/tsconfig.json",
        "/web/tests/unit/sse.test.js",
        "/web/node_modules/react/index.js",
        "/web/../Cargo.toml",
        "/web/page/../page/base.css",
        "/web/page/%2e%2e/page/base.css",
        "/web/%ff",
        "/web//page/base.css",
        "/page/base.css",
        "/inspector/",
    ];
    for path in paths {
        assert_eq!(api.get(path).await.problem(), "404 route_not_found", "{path}");
    }
    let posted = api.post("/", &Value::Null).await;
    assert_eq!(posted.problem(), "405 method_not_allowed");
    let document = api.get("/openapi.json").await.expect(200);
    let is_page = |path: &String| path.starts_with("/web") || path.starts_with("/inspector");
    assert!(!document["paths"].as_object().unwrap().keys().any(is_page));
    assert!(document["paths"].get("/").is_none());
}
