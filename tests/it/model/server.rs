//! The server under test: the router without a socket, its data directory, its ends and starts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response};
use http_body_util::BodyExt;
use scrollback::auth::Authenticator;
use scrollback::clock::Clock;
use scrollback::config::Config;
use scrollback::http::{App, AppParts, Metrics, router};
use scrollback::log::{Log, LogOptions};
use scrollback::projector::Projector;
use scrollback::provider::Providers;
use scrollback_test_support::temp_dir::{TempDir, copy_dir};
use scrollback_test_support::wait::{eventually, within};
use serde_json::Value;
use tower::ServiceExt;

use super::op::Restart;
use super::provider::Held;
use super::turns::PROVIDER;

/// A provider that is held says nothing for as long as the test likes.
const CONFIG: &str = "[turns]\nshutdown_grace_ms = 1\nconnect_timeout_ms = 3600000\n\
                      first_token_timeout_ms = 3600000\nidle_timeout_ms = 3600000\n";

/// A server, and the directory with the data of all its lives.
pub(super) struct Server {
    dir: TempDir,
    n_lives: usize,
    clock: Clock,
    held: Held,
    life: Life,
    /// Whether an older copy of the views is there.
    has_old_views: bool,
}

/// One life: from opening the files to their end.
struct Life {
    app: App,
    router: Router,
    log: Log,
    projector: Projector,
}

impl Server {
    pub(super) async fn new(clock: Clock, held: Held) -> Server {
        let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "model");
        let life = Life::open(&dir.join("life0"), &clock, &held).await;
        Server { dir, n_lives: 1, clock, held, life, has_old_views: false }
    }

    pub(super) fn log(&self) -> &Log {
        &self.life.log
    }

    /// The data directory of this life.
    fn data(&self) -> PathBuf {
        self.dir.join(&format!("life{}", self.n_lives - 1))
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Response<Body> {
        within("the answer", self.life.router.clone().oneshot(request)).await.unwrap()
    }

    /// Status and JSON of an answer.
    pub(super) async fn answer(&self, request: Request<Body>) -> (u16, Value) {
        let (head, body) = self.send(request).await.into_parts();
        let body = within("the body", body.collect()).await.unwrap().to_bytes();
        (head.status.as_u16(), serde_json::from_slice(&body).unwrap())
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (status, body) = self.answer(request).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = Request::builder().method(Method::POST).uri(path);
        let request = request.header("content-type", "application/json");
        self.answer(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Waits until every view has folded everything.
    pub(super) async fn settle(&self) {
        eventually("views that are up to date", async || {
            let status = self.life.projector.status();
            status.iter().all(|projection| projection.lag_events == 0).then_some(())
        })
        .await;
    }

    /// Keeps a copy of the views as they are, for a later start.
    pub(super) async fn keep_views(&mut self) {
        self.settle().await;
        let kept = self.dir.join("views");
        let _ = std::fs::remove_dir_all(&kept);
        copy_dir(&self.data().join("views"), &kept);
        self.has_old_views = true;
    }

    /// Forgets it: no view of before a deletion may come back.
    pub(super) fn forget_views(&mut self) {
        self.has_old_views = false;
    }

    /// Ends this life and begins the next one.
    pub(super) async fn restart(&mut self, how: Restart) {
        let (from, to) = (self.data(), self.dir.join(&format!("life{}", self.n_lives)));
        if how == Restart::Clean {
            self.life.close().await;
            std::fs::rename(&from, &to).unwrap();
        } else {
            // Nothing writes now, so that the copy is what a crash at this moment leaves.
            self.settle().await;
            copy_dir(&from, &to);
            self.life.close().await;
            std::fs::remove_dir_all(&from).unwrap();
        }
        let views = to.join("views");
        match how {
            Restart::CrashWithOldViews if self.has_old_views => {
                std::fs::remove_dir_all(&views).unwrap();
                copy_dir(&self.dir.join("views"), &views);
            }
            Restart::CrashWithoutViews => std::fs::remove_dir_all(&views).unwrap(),
            _ => {}
        }
        self.n_lives += 1;
        self.life = Life::open(&to, &self.clock, &self.held).await;
    }

    /// Lets queues go on that the life before left.
    pub(super) async fn resume(&self) {
        within("the queues", self.life.app.turns().resume()).await.unwrap();
    }

    pub(super) async fn close(self) {
        self.life.close().await;
    }
}

impl Life {
    async fn open(dir: &Path, clock: &Clock, held: &Held) -> Life {
        let (dir, opened_by) = (dir.to_owned(), clock.clone());
        let metrics = Arc::new(Metrics::new());
        let observer = Some(Arc::clone(&metrics) as _);
        let opened = tokio::task::spawn_blocking(move || {
            let options = LogOptions { observer, ..LogOptions::default() };
            let log = Log::open(&dir, options, &opened_by).unwrap();
            let projector = Projector::open(&dir, &log, &opened_by).unwrap();
            (log, projector)
        });
        let (log, projector) = opened.await.unwrap();
        let mut config = Config::parse(CONFIG, Path::new(".")).unwrap();
        config.default_provider = Some(PROVIDER.to_owned());
        let mut providers = Providers::default();
        providers.insert(PROVIDER, Arc::new(held.clone()));
        let auth = Arc::new(Authenticator::build(&config.auth, &|_| None).unwrap());
        let parts = AppParts {
            log: log.clone(),
            projector: projector.clone(),
            config,
            providers,
            auth,
            clock: clock.clone(),
            metrics,
        };
        let app = App::new(parts);
        Life { router: router(app.clone()), app, log, projector }
    }

    async fn close(&self) {
        self.app.stop();
        within("the end of the turns", self.app.turns().close()).await;
        within("the end of the views", self.projector.close()).await;
        within("the end of the log", self.log.close()).await;
    }
}
