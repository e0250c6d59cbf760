//! `tail`: reads a stream over HTTP and resumes it where it was cut.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use eventsource_stream::{Event, Eventsource};
use futures_util::StreamExt;
use reqwest::StatusCode;
use scrollback_schema::wire::{Imported, parse_line};
use scrollback_schema::{ChatRef, MessageId, Recorded, Seq, TurnRef};

use super::exit::Exit;
use super::output::{Format, Out, say};
use super::preview::{Extent, Lines};

/// First pause before a stream is opened again; it doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// Longest pause before a stream is opened again.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// After so long without a byte the connection is taken for dead: four missed heartbeats.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Follow a stream of a server, and resume it where it was cut
///
/// Prints each event once and in order, however often the connection breaks: the last seq is sent
/// as Last-Event-ID when the stream is opened again. With --json each line is an envelope.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback tail http://127.0.0.1:7878                    Follow every chat
  scrollback tail http://127.0.0.1:7878/v1/chats/c1/stream Follow one chat
  scrollback tail http://127.0.0.1:7878 --chat c1 --until idle --json")]
pub(super) struct Tail {
    /// The server, or one of its streams
    url: String,
    /// Follow this chat only
    #[arg(long, value_name = "CHAT")]
    chat: Option<scrollback_schema::ChatId>,
    /// Begin after this seq; 0 is the beginning
    #[arg(long, value_name = "SEQ", default_value = "0")]
    after: Seq,
    /// End by itself: idle is after the open turn, or at once if none is open
    #[arg(long, value_name = "WHEN")]
    until: Option<Until>,
    /// Print ids and texts whole
    #[arg(long)]
    full: bool,
}

/// When to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Until {
    /// After the terminal event of the open turn, or at once if there is none
    Idle,
}

/// Runs the command.
pub(super) fn run(args: &Tail, out: &mut Out) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let extent = if args.full { Extent::Full } else { Extent::Short };
        let mut reader = Reader {
            client: reqwest::Client::builder().no_proxy().read_timeout(SILENCE_MAX).build()?,
            url: stream_url(args),
            last: args.after,
            log_id: None,
            is_until_idle: args.until.is_some(),
            has_connected: false,
            lines: Lines::new(extent, Seq::MAX),
        };
        tokio::select! {
            ended = reader.follow(out) => ended.map(|()| Exit::Ok),
            _ = tokio::signal::ctrl_c() => Ok(Exit::Ok),
        }
    })
}

/// The stream that is meant by an address that may name the server only.
fn stream_url(args: &Tail) -> String {
    let base = args.url.trim_end_matches('/');
    let base = if base.contains("://") { base.to_owned() } else { format!("http://{base}") };
    match &args.chat {
        Some(chat) => format!("{}/v1/chats/{chat}/stream", server_of(&base)),
        None if base.contains("/v1/") => base,
        None => format!("{base}/v1/stream"),
    }
}

/// The part of an address before its path.
fn server_of(url: &str) -> &str {
    let path = url.find("://").and_then(|at| url[at + 3..].find('/').map(|path| at + 3 + path));
    path.map_or(url, |path| &url[..path])
}

struct Reader {
    client: reqwest::Client,
    url: String,
    /// The last seq that was printed, or told by the server.
    last: Seq,
    log_id: Option<String>,
    is_until_idle: bool,
    has_connected: bool,
    lines: Lines,
}

/// How a connection ended.
enum Ended {
    /// For good.
    Done,
    /// By accident, or since the server went: to be opened again.
    Cut(String),
}

impl Reader {
    async fn follow(&mut self, out: &mut Out) -> anyhow::Result<()> {
        let mut pause = BACKOFF_MIN;
        loop {
            let before = self.last;
            match self.connect(out).await? {
                Ended::Done => return Ok(()),
                Ended::Cut(why) => {
                    if self.last > before {
                        pause = BACKOFF_MIN;
                    }
                    let ms = pause.as_millis();
                    say(&format!("{why} after seq {}; again in {ms} ms", self.last));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    /// Opens the stream once and reads it to its end.
    async fn connect(&mut self, out: &mut Out) -> anyhow::Result<Ended> {
        let mut request = self.client.get(&self.url).header("accept", "text/event-stream");
        request = request.header("last-event-id", self.last.to_string());
        if let Some(log_id) = &self.log_id {
            request = request.query(&[("log_id", log_id)]);
        }
        if self.is_until_idle {
            request = request.query(&[("until", "idle")]);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if self.has_connected => {
                return Ok(Ended::Cut(format!("cannot connect ({})", root_cause(&error))));
            }
            Err(error) => bail!(
                "cannot connect to {}: {}; start it with `scrollback serve`, or check the address",
                self.url,
                root_cause(&error)
            ),
        };
        let status = response.status();
        if status == StatusCode::GONE {
            say("the chat was deleted");
            return Ok(Ended::Done);
        }
        if status.is_client_error() {
            let problem: serde_json::Value = response.json().await.unwrap_or_default();
            let detail = problem["detail"].as_str().or(problem["title"].as_str());
            bail!("{} answers {status}: {}", self.url, detail.unwrap_or("no reason given"));
        }
        if !status.is_success() {
            return Ok(Ended::Cut(format!("the server answers {status}")));
        }
        self.has_connected = true;
        let mut frames = response.bytes_stream().eventsource();
        while let Some(frame) = frames.next().await {
            match frame {
                Ok(frame) => {
                    if let Some(ended) = self.frame(&frame, out)? {
                        return Ok(ended);
                    }
                }
                Err(_) => return Ok(Ended::Cut("the connection broke".to_owned())),
            }
        }
        Ok(if self.is_until_idle { Ended::Done } else { Ended::Cut("the stream ended".to_owned()) })
    }

    fn frame(&mut self, frame: &Event, out: &mut Out) -> anyhow::Result<Option<Ended>> {
        let told = || serde_json::from_str::<serde_json::Value>(&frame.data).unwrap_or_default();
        match frame.event.as_str() {
            "stream" => {
                let seq = frame.id.parse::<Seq>().context("a frame without a seq")?;
                self.print(&frame.data, out)?;
                self.last = seq;
            }
            "caught_up" => {
                if let Ok(seq) = frame.id.parse::<Seq>() {
                    self.last = self.last.max(seq);
                }
            }
            "hello" => self.log_id = told()["log_id"].as_str().map(str::to_owned),
            "resync" => {
                let told = told();
                let reason = told["reason"].as_str().unwrap_or("unknown");
                say(&format!("the server's log is not the one that was read ({reason})"));
                self.last = told["head_seq"].as_u64().and_then(Seq::new).unwrap_or_default();
            }
            "bye" => {
                let told = told();
                let reason = told["reason"].as_str().unwrap_or("unknown");
                return Ok(Some(match reason {
                    "shutdown" => Ended::Cut("the server shut down".to_owned()),
                    _ => {
                        say(&format!("the stream ended: {reason}"));
                        Ended::Done
                    }
                }));
            }
            _ => {}
        }
        Ok(None)
    }

    fn print(&mut self, envelope: &str, out: &mut Out) -> anyhow::Result<()> {
        match out.format {
            Format::Json => out.line(envelope)?,
            Format::Text => match parse_line(envelope) {
                Ok(event) => out.line(&self.lines.event(&recorded(event)))?,
                // A newer server may say more than this program reads.
                Err(_) => out.line(envelope)?,
            },
        }
        Ok(out.flush()?)
    }
}

/// An event as lines are made of it; the numbers of chat and turn are not told on the wire.
fn recorded(event: Imported) -> Recorded {
    let message = event.message;
    let turn = event.turn.map(|id| TurnRef {
        id,
        message: message.clone().unwrap_or_else(no_message),
        started: Seq::ZERO,
    });
    Recorded {
        seq: event.seq,
        at: event.at,
        chat: ChatRef { id: event.chat, created: Seq::ZERO },
        message,
        turn,
        body: event.body,
    }
}

fn no_message() -> MessageId {
    MessageId::parse("-").expect("a hyphen is an id")
}

/// The innermost reason of a failed request, which is the one that helps.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, chat: Option<&str>, expected: &str) {
        let args = Tail {
            url: url.to_owned(),
            chat: chat.map(|chat| chat.parse().unwrap()),
            after: Seq::ZERO,
            until: None,
            full: false,
        };
        assert_eq!(stream_url(&args), expected);
    }

    #[test]
    fn an_address_means_a_stream() {
        check("http://h:1", None, "http://h:1/v1/stream");
        check("h:1/", None, "http://h:1/v1/stream");
        check("http://h:1/v1/chats/c/stream", None, "http://h:1/v1/chats/c/stream");
        check("http://h:1", Some("c"), "http://h:1/v1/chats/c/stream");
        check("http://h:1/v1/stream", Some("c"), "http://h:1/v1/chats/c/stream");
    }
}
