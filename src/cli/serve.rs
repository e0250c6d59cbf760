//! `serve`: opens a data directory, serves it until a signal, and leaves it at rest.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use super::exit::Exit;
use super::open_files::connections_allowed;
use super::output::say;
use super::provider_flags;
use crate::auth::Authenticator;
use crate::clock::Clock;
use crate::config::{Config, LimitConfig, Retention};
use crate::http::{self, App, AppParts, Listener, Metrics, Tls};
use crate::log::{Log, LogOptions};
use crate::projector::Projector;
use crate::provider::Providers;
use crate::read_model::ReadModelError;
use crate::sqlite::Durability;
use crate::turn::TurnsError;

/// Where the server listens unless it is told otherwise: this machine only.
pub(super) const LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7878);

/// How often turns are looked for whose producer has fallen silent.
const SWEEP: Duration = Duration::from_millis(250);

/// Between two looks whether a view has been built.
const VIEW_PAUSE: Duration = Duration::from_millis(100);

/// Serve the log over HTTP
///
/// Opens the data directory, makes it if it is missing, and serves it until Ctrl-C or SIGTERM. An
/// append is answered once it is on disk. One server may have a directory at a time. A browser
/// finds the chat page at / and the inspector at /inspector.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback serve
  scrollback serve --data /var/lib/chats --listen 127.0.0.1:8000
  scrollback serve --provider local.kind=openai --provider local.model=gemma \\
                   --provider local.base_url=http://127.0.0.1:11434/v1 --default-provider local
  curl -N 'http://127.0.0.1:7878/v1/stream?after_seq=0'")]
pub(super) struct Serve {
    /// Listen on this address [default: 127.0.0.1:7878]; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = parse_addr)]
    listen: Option<SocketAddr>,
    /// Read settings from this TOML file; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one key of a provider's table, such as local.kind=openai; may be given several times
    #[arg(long = "provider", value_name = "NAME.KEY=VALUE")]
    providers: Vec<String>,
    /// Let this provider run the turns that name none
    #[arg(long, value_name = "NAME")]
    default_provider: Option<String>,
    /// What an answered append survives [default: full]
    #[arg(long, value_enum)]
    durability: Option<Survives>,
    /// Open a log that ends before the last head that was acknowledged, and give up the rest
    #[arg(long)]
    accept_lost_tail: bool,
}

fn parse_addr(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "type an IP address and a port such as 127.0.0.1:7878 or [::1]:7878".to_owned()
    })
}

/// [`Durability`] as a flag.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Survives {
    /// A power loss: the log is synced before the answer
    Full,
    /// A crash of the program; a power loss may take the last moments
    Process,
}

pub(super) fn run(data: &Path, args: &Serve) -> anyhow::Result<Exit> {
    let mut config = match &args.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    let default_provider = args.default_provider.as_deref();
    provider_flags::apply(&mut config, &args.providers, default_provider)?;
    match args.durability {
        Some(Survives::Full) => config.durability = Durability::Full,
        Some(Survives::Process) => config.durability = Durability::Process,
        None => {}
    }
    let dir = match &config.data {
        Some(dir) if data == Path::new(super::DATA_DEFAULT) => dir.clone(),
        _ => data.to_owned(),
    };
    let addr = args.listen.or(config.listen).unwrap_or(LISTEN_DEFAULT);
    check_open(&config, addr)?;
    let tls = config.tls.as_ref().map(Tls::load).transpose()?;
    let options = LogOptions {
        durability: config.durability,
        accept_lost_tail: args.accept_lost_tail,
        ..LogOptions::default()
    };
    runtime()?.block_on(async {
        let server = Server::open(&dir, config, options).await?;
        let listener = http::bind(addr)?.with_tls(tls);
        server.announce(&listener)?;
        let (stop, stopped) = (server.app.clone(), stopped()?);
        let at = format!("{}://{}", listener.scheme(), listener.addr());
        say(&format!("listening on {at}"));
        say(&format!("chat page      {at}/\ninspector page {at}/inspector"));
        tokio::spawn(async move {
            stopped.await;
            stop.stop();
        });
        server.serve(listener).await;
        Ok(Exit::Ok)
    })
}

/// Without credentials everybody who reaches the server is its operator: nobody but this machine
/// may.
pub(super) fn check_open(config: &Config, addr: SocketAddr) -> anyhow::Result<()> {
    if config.auth.is_empty() && !addr.ip().is_loopback() {
        anyhow::bail!(
            "no credentials are configured, and {addr} can be reached from other machines; make a \
             key with `scrollback token` and put what it prints into --config FILE, or listen on \
             127.0.0.1"
        );
    }
    Ok(())
}

/// The runtime of a server: handlers and streams; whatever blocks has threads of its own.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("http")
        .enable_all()
        .build()
        .context("cannot start the threads of the server")
}

/// Resolves when a person or the system asks the program to end; they are listened to from the call
/// on, so that none is missed that comes after the server said where it listens.
pub(super) fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("cannot listen to signals");
    let (mut terminate, mut interrupt) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// An opened data directory and what serves it.
pub(super) struct Server {
    pub(super) app: App,
    pub(super) log: Log,
    projector: Projector,
    drain: Duration,
    retention: Option<Retention>,
}

impl Server {
    /// Opens the log and its views, finishes what a dead process began, and starts the workers.
    pub(super) async fn open(
        dir: &Path,
        mut config: Config,
        mut options: LogOptions,
    ) -> anyhow::Result<Server> {
        fit_open_files(&mut config.limits);
        let providers = Providers::build(&config.providers, &secret)?;
        let auth = Arc::new(Authenticator::build(&config.auth, &secret)?);
        let (clock, metrics, dir) = (Clock::System, Arc::new(Metrics::new()), dir.to_owned());
        options.observer = Some(Arc::clone(&metrics) as _);
        let (drain, retention) = (config.drain, config.retention);
        let opened = tokio::task::spawn_blocking({
            let clock = clock.clone();
            move || -> anyhow::Result<(Log, Projector)> {
                let log = Log::open(&dir, options, &clock)?;
                let projector = Projector::open(&dir, &log, &clock)?;
                Ok((log, projector))
            }
        });
        let (log, projector) =
            opened.await.context("the thread that opens the log has ended")??;
        let server = Server {
            app: App::new(AppParts {
                log: log.clone(),
                projector: projector.clone(),
                config,
                providers,
                auth,
                clock,
                metrics,
            }),
            log,
            projector,
            drain,
            retention,
        };
        server.finish_erasures().await?;
        Ok(server)
    }

    /// Erases what a process that died had begun to erase, before anybody reads.
    async fn finish_erasures(&self) -> anyhow::Result<()> {
        let log = self.log.clone();
        let unfinished = tokio::task::spawn_blocking(move || log.unfinished_erasures());
        for chat in unfinished.await.context("the thread that looks for deletions has ended")?? {
            self.log.erase(&chat).await?;
            self.projector.settle(self.log.head()).await?;
        }
        Ok(())
    }

    /// Tells who is refused by the lock where this server listens.
    pub(super) fn announce(&self, listener: &Listener) -> anyhow::Result<()> {
        self.log
            .announce(&format!("{}://{}", listener.scheme(), listener.addr()))
            .context("cannot write the lock file")
    }

    /// Serves until the app is stopped, then closes turns, the views and the log in order.
    pub(super) async fn serve(self, listener: Listener) {
        let sweeper = tokio::spawn(sweep(self.log.clone()));
        let going_on = tokio::spawn({
            let app = self.app.clone();
            async move {
                if let Err(error) = go_on(app).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "queues and schedules do not go on until a restart");
                }
            }
        });
        let (turns, stopping) = (self.app.turns().clone(), self.app.stopping());
        let retention = self
            .retention
            .map(|retention| tokio::spawn(crate::retention::run(self.app.clone(), retention)));
        let close_turns = async {
            stopping.await;
            turns.close().await;
        };
        tokio::join!(http::serve(listener, self.app, self.drain), close_turns);
        sweeper.abort();
        going_on.abort();
        if let Some(mut retention) = retention
            && tokio::time::timeout(self.drain, &mut retention).await.is_err()
        {
            // What it was at is done, or taken up again, at the next start.
            retention.abort();
        }
        self.projector.close().await;
        self.log.close().await;
    }
}

/// Takes no more connections than there may be open files, and says so.
fn fit_open_files(limits: &mut LimitConfig) {
    let (wanted, allowed) = (limits.connections_max, connections_allowed());
    if allowed < wanted {
        limits.connections_max = allowed;
        say(&format!(
            "the system allows too few open files for limits.connections_max = {wanted}; taking \
             {allowed} connections at once. Raise the limit (ulimit -Hn) or lower the setting"
        ));
    }
}

/// What a variable of the environment says: secrets go from there to their provider, and nowhere
/// else.
#[expect(clippy::disallowed_methods, reason = "the command line reads the environment")]
pub(super) fn secret(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Lets queues and schedules of the process before this one go on.
///
/// They are read from views, of which one may be built anew just now; that takes a while on a large
/// log, and nothing else waits for it.
async fn go_on(app: App) -> Result<(), TurnsError> {
    while let Err(error) = app.turns().resume().await {
        wait_for_views(error).await?;
    }
    while let Err(error) = app.schedules().start().await {
        wait_for_views(error).await?;
    }
    Ok(())
}

async fn wait_for_views(error: TurnsError) -> Result<(), TurnsError> {
    match error {
        TurnsError::ReadModel(ReadModelError::Behind { projection, lag_events }) => {
            tracing::warn!(projection, lag_events, "queues and schedules wait for a view");
            tokio::time::sleep(VIEW_PAUSE).await;
            Ok(())
        }
        other => Err(other),
    }
}

/// Closes the turns of producers that fell silent, for as long as the server lives.
async fn sweep(log: Log) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        log.sweep_leases().await;
    }
}
