//! `demo`: a server on a fresh directory, a sample chat that is played into it live, and one whose
//! turns a scripted agent answers.

mod play;
mod sample;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use scrollback_schema::event::ChatCreated;
use scrollback_schema::{ChatId, Event, NewEvent};

use super::DATA_DEFAULT;
use super::exit::Exit;
use super::output::say;
use super::serve::{LISTEN_DEFAULT, Server, check_open, runtime, stopped};
use crate::config::Config;
use crate::http::{self, BindError, Listener};
use crate::log::{Append, Log, LogOptions};
use crate::provider::scripted::samples_table;

/// Ports tried after the usual one, if that is taken.
const PORTS_TRIED: u16 = 20;

/// The chat that is played.
const CHAT: &str = "quarterly-numbers";

/// The chat that answers.
const LIVE_CHAT: &str = "ask-me";

/// The provider that answers in it.
const AGENT: &str = "agent";

/// How long a turn may go on after Ctrl-C: nobody waits for a script.
const GRACE: Duration = Duration::from_millis(500);

/// See it work: play a sample chat, live, into a fresh directory
///
/// Starts a server on this machine, plays a chat through the same door that every producer uses,
/// opens another one that a scripted agent answers in, and prints the address of the pages that
/// show them, and commands to try: follow, cut the connection, resume, ask, approve, stop, look
/// into the log.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback demo
  scrollback demo --speed 10
  scrollback demo --data ./my-demo --listen 127.0.0.1:9000")]
pub(super) struct Demo {
    /// Listen on this address [default: 127.0.0.1:7878, or the next free port]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Play so many times as fast as it was
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// End once the chat was played
    #[arg(long)]
    exit_after_play: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('x').parse::<f64>().ok();
    number
        .filter(|speed| (0.01..=10_000.0).contains(speed))
        .ok_or_else(|| "a number from 0.01 to 10000, such as 4 or 0.5".to_owned())
}

pub(super) fn run(data: &Path, args: &Demo) -> anyhow::Result<Exit> {
    let config = config(args.speed);
    check_open(&config, args.listen.unwrap_or(LISTEN_DEFAULT))?;
    let dir = directory(data)?;
    runtime()?.block_on(async {
        let server = Server::open(&dir, config, LogOptions::default()).await?;
        open_live_chat(&server.log).await?;
        let listener = listen(args.listen)?;
        server.announce(&listener)?;
        let (stopped_late, stopped_early) = (stopped()?, stopped()?);
        introduce(&dir, listener.addr());
        let (stop, log, speed) = (server.app.clone(), server.log.clone(), args.speed);
        let exit_after_play = args.exit_after_play;
        let player = tokio::spawn(async move {
            let chat = ChatId::parse(CHAT).expect("the sample's chat is well named");
            let played = play::play(&log, chat, speed).await;
            match &played {
                Ok(seq) => say(&format!("\nplayed up to seq {seq}; Ctrl-C ends the server")),
                Err(error) => say(&format!("\nthe sample could not be played: {error:#}")),
            }
            if !exit_after_play {
                stopped_late.await;
            }
            stop.stop();
            played
        });
        let early = server.app.clone();
        let signal = tokio::spawn(async move {
            stopped_early.await;
            early.stop();
        });
        server.serve(listener).await;
        signal.abort();
        if player.is_finished() {
            player.await.context("the player has ended")??;
        } else {
            player.abort();
        }
        Ok(Exit::Ok)
    })
}

/// A server with the scripted agent, which plays as fast as the rest.
fn config(speed: f64) -> Config {
    let mut config = Config { default_provider: Some(AGENT.to_owned()), ..Config::default() };
    config.providers.insert(AGENT.to_owned(), samples_table(speed));
    config.turns.shutdown_grace = GRACE;
    config
}

/// A chat without a title: its first message gives it one.
async fn open_live_chat(log: &Log) -> anyhow::Result<()> {
    let chat = ChatId::parse(LIVE_CHAT).expect("the demo's chat is well named");
    let created = NewEvent::of_chat(Event::ChatCreated(ChatCreated::default()));
    log.append(Append::new(chat, vec![created])?).await?;
    Ok(())
}

/// A directory that holds nothing yet: a new one beside the others of its kind, or the one given.
fn directory(data: &Path) -> anyhow::Result<PathBuf> {
    if data == Path::new(DATA_DEFAULT) {
        let dir = tempfile::Builder::new()
            .prefix("scrollback-demo-")
            .tempdir()
            .context("cannot make a directory for the demo; give one with --data")?;
        return Ok(dir.keep());
    }
    if data.join("log.db").exists() {
        anyhow::bail!(
            "{} holds a log already; give --data a directory that is new",
            data.display()
        );
    }
    Ok(data.to_owned())
}

fn listen(asked: Option<SocketAddr>) -> anyhow::Result<Listener> {
    if let Some(addr) = asked {
        return Ok(http::bind(addr)?);
    }
    let mut addr = LISTEN_DEFAULT;
    for _ in 0..PORTS_TRIED {
        match http::bind(addr) {
            Err(BindError::InUse { .. }) => addr.set_port(addr.port() + 1),
            bound => return Ok(bound?),
        }
    }
    addr.set_port(0);
    Ok(http::bind(addr)?)
}

fn introduce(dir: &Path, addr: SocketAddr) {
    let dir = dir.display();
    say(&format!(
        "
  http://{addr}/
      open it in a browser: a sample chat is being played, and another one answers
  http://{addr}/inspector
      the log behind both, event by event

listening on http://{addr}
"
    ));
    say(&format!(
        "Its log is in {dir}. Try, in another terminal:

  curl -N 'http://{addr}/v1/chats/{CHAT}/stream?after_seq=0'
      follow it from the beginning; cut it with Ctrl-C at any point
  curl -N -H 'Last-Event-ID: 40' 'http://{addr}/v1/chats/{CHAT}/stream'
      go on after seq 40, as a browser does that was cut there
  curl 'http://{addr}/v1/chats/{CHAT}/messages'
      the messages as a page shows them, errors and partial text included
  curl 'http://{addr}/v1/chats/{LIVE_CHAT}/turns' -H 'content-type: application/json' \\
       -d '{{\"text\":\"make a plan\"}}'
      ask the scripted agent; say report, tool, approval, plan or fail, or anything else for the
      next one in turn, and follow it at /v1/chats/{LIVE_CHAT}/stream?after_seq=0
  curl 'http://{addr}/v1/chats/{LIVE_CHAT}/requests'
      what it waits for after an approval; answer with POST .../requests/ID/respond
  scrollback --data {dir} inspect events --follow
      look into the log, whether the server runs or not
  scrollback --data {dir} verify
      prove that the log is whole"
    ));
}

/// Waits as the sample says, at the speed asked for.
fn at_speed(ms: u64, speed: f64) -> Duration {
    Duration::from_secs_f64(ms as f64 / 1_000.0 / speed)
}
