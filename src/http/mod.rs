//! What clients call: the routes, what they answer, and the socket that they come in by.
//!
//! A handler parses, calls and translates, nothing more; one file a resource. What may happen is
//! the log's to say, what is shown the read model's. [`router`] can be called without a socket.
//!
//! Reading order: [`App`] is what handlers share; `gate` is who may call; `request`, `body` and
//! `answer` are how a call is read and answered, `error` and `refused` how it fails; then the
//! resources; `stream`, `replay`, `sse` and `takeover` are the way of an event to a reader;
//! `ai_sdk` is all of it for clients of the Vercel AI SDK; `log`, `look`, `timeline` and
//! `projections` let somebody look into all this; `pages` is what a browser loads; `serve` is the
//! socket, `admission`, `rate`, `intake` and `turn_away` are how much it takes at once.

mod admission;
mod ai_sdk;
mod answer;
mod append;
mod body;
mod chats;
mod cors;
mod delete;
mod error;
mod events;
mod expiry;
mod fork;
mod gate;
mod health;
mod intake;
mod json_body;
mod log;
mod look;
mod messages;
mod metrics;
mod openapi;
mod pages;
mod projections;
mod providers;
mod queue;
mod rate;
mod refused;
mod replay;
mod request;
mod respond;
mod schedules;
mod serve;
mod sse;
mod status;
mod stream;
mod takeover;
mod tickets;
mod timeline;
mod tls;
mod turn_away;
mod turns;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use delete::{DropError, drop_chat};
pub use error::{Code, Problem};
pub use metrics::Metrics;
pub use serve::{BindError, Listener, bind, serve};
pub use tls::{Tls, TlsError};

use crate::auth::Authenticator;
use crate::clock::Clock;
use crate::config::Config;
use crate::log::Log;
use crate::projector::Projector;
use crate::projector::rebuild::Rebuilds;
use crate::provider::Providers;
use crate::read_model::ReadModel;
use crate::turn::{Schedules, TurnParts, Turns};

/// What a server is made of.
#[derive(Debug, Clone)]
pub struct AppParts {
    /// Where events go in and out.
    pub log: Log,
    /// What folds them.
    pub projector: Projector,
    /// What the server was told.
    pub config: Config,
    /// Who runs turns.
    pub providers: Providers,
    /// What proves who calls.
    pub auth: Arc<Authenticator>,
    /// The time, and fresh ids.
    pub clock: Clock,
    /// What is counted; the log's observer as well.
    pub metrics: Arc<Metrics>,
}

/// What all handlers share; cloning shares it.
#[derive(Debug, Clone)]
pub struct App(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    parts: AppParts,
    read_model: ReadModel,
    turns: Turns,
    schedules: Schedules,
    looks: look::Looks,
    owners: gate::Owners,
    admission: admission::Admission,
    rebuilds: Rebuilds,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl App {
    /// Puts a server together; it serves nothing yet.
    pub fn new(parts: AppParts) -> App {
        let read_model = ReadModel::new(&parts.projector);
        let turns = Turns::new(TurnParts {
            log: parts.log.clone(),
            read_model: read_model.clone(),
            providers: parts.providers.clone(),
            default_provider: parts.config.default_provider.clone(),
            config: parts.config.turns.clone(),
            clock: parts.clock.clone(),
            observer: Arc::clone(&parts.metrics) as _,
        });
        let schedules = Schedules::new(turns.clone());
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let rebuilds = Rebuilds::new(parts.log.dir(), stop.clone());
        let (looks, owners) = (look::Looks::default(), gate::Owners::default());
        let (limits, metrics) = (parts.config.limits.clone(), Arc::clone(&parts.metrics));
        App(Arc::new(Shared {
            admission: admission::Admission::new(limits, metrics),
            parts,
            read_model,
            turns,
            schedules,
            looks,
            owners,
            rebuilds,
            stop,
            tasks,
        }))
    }

    /// The turns that this server runs; whoever serves resumes them before, and closes them after.
    pub fn turns(&self) -> &Turns {
        &self.0.turns
    }

    /// The schedules of all chats; whoever serves starts them once the turns were resumed.
    pub fn schedules(&self) -> &Schedules {
        &self.0.schedules
    }

    /// Begins the shutdown: streams say `bye`, and [`serve()`] ends.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    pub(crate) fn log(&self) -> &Log {
        &self.0.parts.log
    }

    pub(crate) fn projector(&self) -> &Projector {
        &self.0.parts.projector
    }

    pub(crate) fn read_model(&self) -> &ReadModel {
        &self.0.read_model
    }

    pub(crate) fn rebuilds(&self) -> &Rebuilds {
        &self.0.rebuilds
    }

    pub(crate) fn providers(&self) -> &Providers {
        &self.0.parts.providers
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.parts.config
    }

    pub(crate) fn auth(&self) -> &Authenticator {
        &self.0.parts.auth
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.parts.clock
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.0.parts.metrics
    }

    /// How much is taken at once.
    pub(crate) fn admission(&self) -> &admission::Admission {
        &self.0.admission
    }

    /// Work that outlives the call that began it; a shutdown waits for it.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    /// Resolves once the server is told to stop.
    pub fn stopping(&self) -> WaitForCancellationFutureOwned {
        self.0.stop.clone().cancelled_owned()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.0.stop.is_cancelled()
    }

    /// Milliseconds of a lease whose producer asks for no other.
    pub(crate) fn lease_ms(&self) -> u64 {
        u64::try_from(self.config().lease.as_millis()).expect("the configuration bounds it")
    }
}

/// All routes.
pub fn router(app: App) -> Router {
    let (router, api) = routes().split_for_parts();
    let openapi = openapi::text(&api);
    let router = router
        .route_layer(axum::middleware::from_fn_with_state(app.clone(), gate::gate))
        .route("/openapi.json", axum::routing::get(async move || openapi::answer(&openapi)))
        .merge(pages::routes())
        .fallback(async move |uri: Uri| no_route(&uri))
        .method_not_allowed_fallback(no_method);
    match app.config().cors.layer() {
        Some(cors) => router.layer(cors).with_state(app),
        None => router.with_state(app),
    }
}

/// The routes that the OpenAPI document lists, each with its description.
fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(append::append_events, events::list_events))
        .routes(routes!(chats::create_chat, chats::list_chats))
        .routes(routes!(chats::get_chat, chats::update_chat, delete::delete_chat))
        .routes(routes!(chats::mark_viewed))
        .routes(routes!(fork::fork_chat))
        .routes(routes!(messages::list_messages))
        .routes(routes!(messages::get_message))
        .routes(routes!(stream::stream_chat))
        .routes(routes!(stream::stream_all))
        .routes(routes!(tickets::create_ticket))
        .routes(routes!(status::get_status))
        .routes(routes!(status::list_queue, queue::queue_message, queue::clear_queue))
        .routes(routes!(queue::edit_queued, queue::remove_queued))
        .routes(routes!(queue::send_queued_now))
        .routes(routes!(status::list_requests))
        .routes(routes!(respond::respond))
        .routes(routes!(status::list_turns))
        .routes(routes!(turns::start_turn))
        .routes(routes!(turns::stop_turn))
        .routes(routes!(turns::take_lease))
        .routes(routes!(schedules::create_schedule, schedules::list_schedules))
        .routes(routes!(
            schedules::get_schedule,
            schedules::update_schedule,
            schedules::remove_schedule
        ))
        .routes(routes!(schedules::run_schedule))
        .routes(routes!(schedules::list_runs))
        .routes(routes!(ai_sdk::ai_sdk_send))
        .routes(routes!(ai_sdk::ai_sdk_resume))
        .routes(routes!(ai_sdk::ai_sdk_stop))
        .routes(routes!(ai_sdk::ai_sdk_messages))
        .routes(routes!(timeline::get_turn))
        .routes(routes!(log::get_log))
        .routes(routes!(log::list_log_events))
        .routes(routes!(log::get_log_event))
        .routes(routes!(projections::list_projections))
        .routes(routes!(projections::rebuild_projection))
        .routes(routes!(providers::list_providers))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
}

fn no_route(uri: &Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    let detail = format!("nothing is at {path}; /openapi.json lists the routes");
    Problem::new(Code::RouteNotFound, detail)
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    let detail = format!("{path} does not take {method}; the allow header says what it takes");
    Problem::new(Code::MethodNotAllowed, detail)
}
