//! A server without a socket: the router, and a fresh data directory under it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use scrollback::auth::Authenticator;
use scrollback::clock::Clock;
use scrollback::config::Config;
use scrollback::http::{App, AppParts, Metrics, router};
use scrollback::log::{Log, LogOptions};
use scrollback::projector::Projector;
use scrollback::provider::{Provider, Providers};
use scrollback_schema::Millis;
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::within;
use serde_json::{Value, json};
use tower::ServiceExt;

/// A server under test.
pub(crate) struct Api {
    pub(crate) dir: TempDir,
    pub(crate) app: App,
    pub(crate) clock: Clock,
    pub(crate) log: Log,
    router: Router,
}

/// What a call was answered with.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| {
            panic!("{e}: {}", String::from_utf8_lossy(&self.body));
        })
    }

    /// The JSON of an answer that has this status.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// `STATUS CODE` of a problem, its form checked.
    pub(crate) fn problem(&self) -> String {
        let content_type = self.headers.get("content-type").map(|v| v.to_str().unwrap());
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(content_type, Some("application/problem+json"), "{body}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        for member in ["type", "title", "detail", "code"] {
            assert!(!problem[member].as_str().unwrap().is_empty(), "{problem}");
        }
        assert!(problem["retryable"].is_boolean(), "{problem}");
        format!("{} {}", self.status, problem["code"].as_str().unwrap())
    }
}

impl Api {
    pub(crate) async fn new() -> Api {
        Api::with_config("").await
    }

    pub(crate) async fn with_config(config: &str) -> Api {
        Api::with_providers(config, &[]).await
    }

    /// The same, where the environment has these secrets.
    pub(crate) async fn with_secrets(config: &str, secrets: &[(&str, &str)]) -> Api {
        Api::with_all(config, &[], secrets).await
    }

    /// A server with providers of the test's own beside the configured ones.
    pub(crate) async fn with_providers(config: &str, others: &[(&str, Arc<dyn Provider>)]) -> Api {
        Api::with_all(config, others, &[]).await
    }

    async fn with_all(
        config: &str,
        others: &[(&str, Arc<dyn Provider>)],
        secrets: &[(&str, &str)],
    ) -> Api {
        let secret = |name: &str| {
            let found = secrets.iter().find(|(known, _)| *known == name);
            found.map(|(_, text)| (*text).to_owned())
        };
        let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "http");
        let clock = Clock::manual(Millis::parse("2026-11-22T20:52:00.123Z").unwrap());
        let config = Config::parse(config, dir.path()).unwrap();
        let metrics = Arc::new(Metrics::new());
        let options =
            LogOptions { observer: Some(Arc::clone(&metrics) as _), ..LogOptions::default() };
        let log = Log::open(dir.path(), options, &clock).unwrap();
        let projector = Projector::open(dir.path(), &log, &clock).unwrap();
        let mut providers = Providers::build(&config.providers, &|_| None).unwrap();
        let auth = Arc::new(Authenticator::build(&config.auth, &secret).unwrap());
        for (name, provider) in others {
            providers.insert(name, Arc::clone(provider));
        }
        let parts = AppParts {
            log: log.clone(),
            projector,
            config,
            providers,
            auth,
            clock: clock.clone(),
            metrics,
        };
        let app = App::new(parts);
        Api { dir, router: router(app.clone()), app, clock, log }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        within("the answer", self.router.clone().oneshot(request)).await.unwrap()
    }

    pub(crate) async fn answer(&self, request: Request<Body>) -> Answer {
        let (head, body) = self.send(request).await.into_parts();
        let body = within("the body", body.collect()).await.unwrap().to_bytes();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.answer(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.answer(request(method, path, body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    /// A call with a token.
    pub(crate) async fn call_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Answer {
        self.answer(with_token(request(method, path, body), token)).await
    }

    /// Gives a chat another title.
    pub(crate) async fn patch_title(&self, chat: &str, title: &str) {
        let path = format!("/v1/chats/{chat}");
        self.call(Method::PATCH, &path, &json!({ "title": title })).await.expect(200);
    }

    /// The same call twice with one key, and once with the key and another body.
    pub(crate) async fn thrice(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        other: &Value,
    ) -> [Answer; 3] {
        let keyed = |body: &Value| {
            let mut request = request(method.clone(), path, body);
            request.headers_mut().insert("idempotency-key", "k-1".parse().unwrap());
            request
        };
        [
            self.answer(keyed(body)).await,
            self.answer(keyed(body)).await,
            self.answer(keyed(other)).await,
        ]
    }

    /// Creates a chat and starts an external turn in it; returns the lease's token.
    pub(crate) async fn turn(&self, chat: &str, turn: &str) -> String {
        self.post("/v1/chats", &json!({ "chat_id": chat })).await;
        let body = json!({
            "provider": "external",
            "text": "go",
            "turn_id": turn,
            "user_message_id": format!("u-{turn}"),
            "message_id": format!("m-{turn}"),
        });
        let started = self.post(&format!("/v1/chats/{chat}/turns"), &body).await.expect(202);
        started["lease"]["token"].as_str().unwrap().to_owned()
    }

    /// Appends texts to a leased turn, the first of them as its event `number`.
    pub(crate) async fn say(&self, chat: &str, lease: &str, number: u64, texts: &[&str]) -> Value {
        let event = |text| json!({ "kind": "assistant_text", "payload": { "text": text } });
        let events: Vec<Value> = texts.iter().map(event).collect();
        self.append(chat, lease, number, &json!(events)).await.expect(200)
    }

    pub(crate) async fn append(
        &self,
        chat: &str,
        lease: &str,
        number: u64,
        events: &Value,
    ) -> Answer {
        let body = json!({ "lease": lease, "first_number": number, "events": events });
        self.post(&format!("/v1/chats/{chat}/events"), &body).await
    }

    /// Opens a stream.
    pub(crate) async fn stream(&self, path: &str) -> Stream {
        self.stream_with(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn stream_with(&self, request: Request<Body>) -> Stream {
        let (head, body) = self.send(request).await.into_parts();
        assert_eq!(head.status, 200, "a stream was granted");
        Stream { headers: head.headers, body, buffer: BytesMut::new() }
    }
}

/// The same call with a token.
pub(crate) fn with_token(mut request: Request<Body>, token: &str) -> Request<Body> {
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", value);
    request
}

/// A call with a JSON body; no content type without one.
pub(crate) fn request(method: Method, path: &str, body: &Value) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    match body {
        Value::Null => request.body(Body::empty()).unwrap(),
        body => request
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap(),
    }
}

/// An open stream.
pub(crate) struct Stream {
    pub(crate) headers: HeaderMap,
    body: Body,
    buffer: BytesMut,
}

impl Stream {
    /// The next frame, comments left out; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let frame = self.buffer.split_to(end + 2);
                let frame = String::from_utf8(frame.to_vec()).unwrap();
                if frame.starts_with(':') {
                    continue;
                }
                return Some(frame);
            }
            let frame = within("a frame", self.body.frame()).await?;
            if let Ok(data) = frame.unwrap().into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }

    /// A frame in one line: `ID EVENT`, and what of its data says most.
    pub(crate) async fn line(&mut self) -> Option<String> {
        Some(line(&self.next().await?))
    }

    /// As many lines.
    pub(crate) async fn lines(&mut self, n: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..n {
            lines.push(self.line().await.expect("the stream goes on"));
        }
        lines
    }

    /// Every line up to the end of the stream.
    pub(crate) async fn rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.line().await {
            lines.push(line);
        }
        lines
    }
}

fn line(frame: &str) -> String {
    let field = |name: &str| {
        let line = frame.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.strip_prefix(": ")).unwrap_or("-")
    };
    let data: Value = serde_json::from_str(field("data")).unwrap();
    let said = match field("event") {
        "stream" => {
            let text = data["payload"]["text"].as_str().unwrap_or_default();
            format!(
                "{} {} {text}",
                data["chatId"].as_str().unwrap(),
                data["kind"].as_str().unwrap()
            )
        }
        "bye" => data["reason"].as_str().unwrap().to_owned(),
        "resync" => format!("{} {}", data["reason"].as_str().unwrap(), data["head_seq"]),
        "snapshot" => format!("{}", data["as_of_seq"]),
        "hello" => format!("{}", data["head_seq"]),
        _ => data["seq"].to_string(),
    };
    format!("{} {} {said}", field("id"), field("event")).trim_end().to_owned()
}
