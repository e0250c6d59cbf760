//! A stream of a server, read over HTTP and resumed where it was cut: each event once and in order.
//!
//! What an event is printed as is left to the commands.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, bail};
use eventsource_stream::{Event, Eventsource};
use futures_util::{Stream, StreamExt};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use scrollback_schema::Seq;

use super::output::say;
use super::serve::secret;

/// First pause before a stream is opened again; it doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// Longest pause before a stream is opened again.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// After so long without a byte the connection is taken for dead: four missed heartbeats.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What is read.
pub(super) struct StreamOptions {
    /// The stream's address.
    pub(super) url: String,
    /// The last seq that is known already.
    pub(super) after: Seq,
    /// Whether it ends with the open turn.
    pub(super) is_until_idle: bool,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Heard {
    /// An event, as its envelope.
    Event(String),
    /// The server's log is another one than that which was read; what follows is that one's.
    OtherLog,
    /// Nothing more; it was said why.
    End,
}

type Frames = Pin<Box<dyn Stream<Item = Option<Event>> + Send>>;

/// Reads a stream, connection after connection.
pub(super) struct Reader {
    client: reqwest::Client,
    options: StreamOptions,
    log_id: Option<String>,
    has_connected: bool,
    pause: Duration,
    /// How long to wait before the next try, after a connection was cut.
    wait: Option<Duration>,
    frames: Option<Frames>,
    ready: VecDeque<Heard>,
}

/// The variable that holds the token for a server that has credentials.
const TOKEN_VARIABLE: &str = "SCROLLBACK_TOKEN";

/// A client that never asks a proxy, takes a silent stream for dead, and sends the token of the
/// environment, if there is one.
pub(super) fn client() -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().no_proxy().read_timeout(SILENCE_MAX);
    let mut headers = HeaderMap::new();
    if let Some(token) = secret(TOKEN_VARIABLE) {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| anyhow::anyhow!("{TOKEN_VARIABLE} holds no token; it has odd signs"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    builder.default_headers(headers).build().context("cannot start the client")
}

impl Reader {
    /// Connects with the first [`Reader::next`].
    pub(super) fn new(client: reqwest::Client, options: StreamOptions) -> Reader {
        Reader {
            client,
            options,
            log_id: None,
            has_connected: false,
            pause: BACKOFF_MIN,
            wait: None,
            frames: None,
            ready: VecDeque::new(),
        }
    }

    /// What comes next, however often the connection breaks before it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> anyhow::Result<Heard> {
        loop {
            if let Some(heard) = self.ready.pop_front() {
                return Ok(heard);
            }
            if let Some(wait) = self.wait {
                tokio::time::sleep(wait).await;
                self.wait = None;
            }
            let Some(frames) = &mut self.frames else {
                self.connect().await?;
                continue;
            };
            match frames.next().await {
                Some(Some(frame)) => self.frame(&frame)?,
                Some(None) => self.cut("the connection broke"),
                None if self.options.is_until_idle => return Ok(Heard::End),
                None => self.cut("the stream ended"),
            }
        }
    }

    /// Notes that the connection is gone and is to be opened again.
    fn cut(&mut self, why: &str) {
        self.frames = None;
        let ms = self.pause.as_millis();
        say(&format!("{why} after seq {}; again in {ms} ms", self.options.after));
        self.wait = Some(self.pause);
        self.pause = (self.pause * 2).min(BACKOFF_MAX);
    }

    /// Opens the stream once.
    async fn connect(&mut self) -> anyhow::Result<()> {
        let StreamOptions { url, after, is_until_idle } = &self.options;
        let mut request = self.client.get(url).header("accept", "text/event-stream");
        request = request.header("last-event-id", after.to_string());
        if let Some(log_id) = &self.log_id {
            request = request.query(&[("log_id", log_id)]);
        }
        if *is_until_idle {
            request = request.query(&[("until", "idle")]);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if self.has_connected => {
                self.cut(&format!("cannot connect ({})", root_cause(&error)));
                return Ok(());
            }
            Err(error) => bail!(cannot_connect(url, &error)),
        };
        let status = response.status();
        if status == StatusCode::GONE {
            say("the chat was deleted");
            self.ready.push_back(Heard::End);
            return Ok(());
        }
        if status.is_client_error() {
            let problem: serde_json::Value = response.json().await.unwrap_or_default();
            let detail = problem["detail"].as_str().or(problem["title"].as_str());
            bail!("{url} answers {status}: {}", detail.unwrap_or("no reason given"));
        }
        if !status.is_success() {
            self.cut(&format!("the server answers {status}"));
            return Ok(());
        }
        self.has_connected = true;
        let frames = response.bytes_stream().eventsource();
        self.frames = Some(Box::pin(frames.map(Result::ok)));
        Ok(())
    }

    fn frame(&mut self, frame: &Event) -> anyhow::Result<()> {
        let told = || serde_json::from_str::<serde_json::Value>(&frame.data).unwrap_or_default();
        match frame.event.as_str() {
            "stream" => {
                self.options.after = frame.id.parse::<Seq>().context("a frame without a seq")?;
                self.pause = BACKOFF_MIN;
                self.ready.push_back(Heard::Event(frame.data.clone()));
            }
            "caught_up" => {
                if let Ok(seq) = frame.id.parse::<Seq>() {
                    self.options.after = self.options.after.max(seq);
                }
            }
            "hello" => self.log_id = told()["log_id"].as_str().map(str::to_owned),
            "resync" => {
                let told = told();
                let reason = told["reason"].as_str().unwrap_or("unknown");
                say(&format!("the server's log is not the one that was read ({reason})"));
                self.options.after =
                    told["head_seq"].as_u64().and_then(Seq::new).unwrap_or_default();
                self.ready.push_back(Heard::OtherLog);
            }
            "bye" => {
                let told = told();
                match told["reason"].as_str().unwrap_or("unknown") {
                    "shutdown" => self.cut("the server shut down"),
                    reason => {
                        say(&format!("the stream ended: {reason}"));
                        self.ready.push_back(Heard::End);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The part of an address before its path.
pub(super) fn server_of(url: &str) -> &str {
    let path = url.find("://").and_then(|at| url[at + 3..].find('/').map(|path| at + 3 + path));
    path.map_or(url, |path| &url[..path])
}

/// An address with its scheme, and without a slash at its end.
pub(super) fn with_scheme(url: &str) -> String {
    let url = url.trim_end_matches('/');
    if url.contains("://") { url.to_owned() } else { format!("http://{url}") }
}

/// What is said when there is no server.
pub(super) fn cannot_connect(url: &str, error: &reqwest::Error) -> String {
    format!(
        "cannot connect to {url}: {}; start it with `scrollback serve`, or check the address",
        root_cause(error)
    )
}

/// The innermost reason of a failed request, which is the one that helps.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
