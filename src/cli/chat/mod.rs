//! `chat`: sends a message and follows its turn to the end.
//!
//! The turn is the server's: it goes on if this program ends. `call` speaks with the server, `ask`
//! is how a request is answered, `screen` what is shown, `follow` the way of one message.

mod ask;
mod call;
mod follow;
mod screen;

use std::io::{BufRead, IsTerminal, Read};

use anyhow::{Context, bail};
use clap::Args;
use reqwest::Method;
use scrollback_schema::ChatId;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::exit::Exit;
use super::output::{Out, say};
use super::stream::{client, server_of, with_scheme};
use call::Calls;
use follow::{Ended, follow};

/// Lines of a person that wait to be read; who types more waits.
const LINES_WAITING: usize = 16;

/// Send a message, and read the answer along
///
/// Begins a chat, or goes on with one, and follows the turn to its end: also through a broken
/// connection and a restart of the server. The answer goes to stdout, all else to stderr; with
/// --json each event is a line. Approvals are asked for on the terminal. Without TEXT the message
/// is read from stdin; on a terminal, line by line until Ctrl-D.
///
/// Ctrl-C stops the turn; a second Ctrl-C leaves at once. Exit codes: 0 the turn was completed; 1
/// it failed or was interrupted; 2 it could not be run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback chat \"Compare the second and the third quarter\"
  scrollback chat --chat c1 --provider local \"And the fourth?\"
  git diff | scrollback chat > review.md
  scrollback chat --server http://127.0.0.1:8000 --json hello")]
pub(super) struct Chat {
    /// Say this; several words are one message
    text: Vec<String>,
    /// Speak with this server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7878")]
    server: String,
    /// Go on with this chat instead of beginning one
    #[arg(long, value_name = "CHAT")]
    chat: Option<ChatId>,
    /// Have this provider answer instead of the server's default
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Ask the provider for this model
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Wait in the queue if the chat is busy
    #[arg(long)]
    queue: bool,
}

pub(super) fn run(args: &Chat, out: &mut Out) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(converse(args, out))
}

/// What a conversation is held with.
struct Session<'a> {
    args: &'a Chat,
    calls: Calls,
    client: reqwest::Client,
    chat: ChatId,
    input: Input,
    interrupts: Signal,
}

async fn converse(args: &Chat, out: &mut Out) -> anyhow::Result<Exit> {
    let interrupts = signal(SignalKind::interrupt()).context("cannot listen to signals")?;
    let is_loop = args.text.is_empty() && std::io::stdin().is_terminal();
    let (first, input) = match (args.text.is_empty(), is_loop) {
        (false, _) => (Some(args.text.join(" ")), Input::unread()),
        (true, true) => (None, Input::unread()),
        (true, false) => (Some(whole_stdin()?), Input::at_its_end()),
    };
    if first.as_ref().is_some_and(|text| text.trim().is_empty()) {
        bail!("there is nothing to say; give TEXT, or a text on stdin");
    }
    let client = client()?;
    let server = with_scheme(&args.server);
    let mut calls = Calls::new(client.clone(), server_of(&server).to_owned());
    let chat = match &args.chat {
        Some(chat) => chat.clone(),
        None => begin(&mut calls).await?,
    };
    let mut session = Session { args, calls, client, chat, input, interrupts };
    if let Some(text) = first {
        return Ok(exit(follow(&mut session, &text, out).await?));
    }
    let mut last = Exit::Ok;
    loop {
        eprint!("> ");
        let line = tokio::select! {
            line = session.input.line() => line,
            _ = session.interrupts.recv() => None,
        };
        match line {
            None => {
                say("");
                return Ok(last);
            }
            Some(line) if line.trim().is_empty() => {}
            Some(line) => last = exit(follow(&mut session, &line, out).await?),
        }
    }
}

fn exit(ended: Ended) -> Exit {
    match ended {
        Ended::Completed => Exit::Ok,
        Ended::Failed | Ended::Interrupted => Exit::No,
    }
}

/// Begins a chat, and says how to go on with it.
async fn begin(calls: &mut Calls) -> anyhow::Result<ChatId> {
    let made = calls.call(Method::POST, "/v1/chats", &json!({})).await?;
    let chat = made["chat_id"].as_str().context("the server names no chat")?;
    say(&format!("chat {chat} (go on with --chat {chat})"));
    Ok(ChatId::parse(chat)?)
}

fn whole_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read stdin")?;
    Ok(text)
}

/// The lines of stdin; read only once one is wanted.
enum Input {
    Unread,
    Lines(mpsc::Receiver<String>),
    End,
}

impl Input {
    fn unread() -> Input {
        Input::Unread
    }

    fn at_its_end() -> Input {
        Input::End
    }

    /// The next line; `None` at the end, from then on.
    ///
    /// # Cancel safety
    ///
    /// No line is lost.
    async fn line(&mut self) -> Option<String> {
        if let Input::Unread = self {
            let (lines, receiver) = mpsc::channel(LINES_WAITING);
            // A thread of its own: nothing else can be asked to let go of a terminal.
            std::thread::spawn(move || {
                for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                    if lines.blocking_send(line).is_err() {
                        return;
                    }
                }
            });
            *self = Input::Lines(receiver);
        }
        let Input::Lines(receiver) = self else { return None };
        let line = receiver.recv().await;
        if line.is_none() {
            *self = Input::End;
        }
        line
    }
}
