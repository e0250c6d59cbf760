//! `tail`: prints a stream of a server; `stream` reads it.

use clap::{Args, ValueEnum};
use scrollback_schema::wire::{Imported, parse_line};
use scrollback_schema::{ChatRef, MessageId, Recorded, Seq, TurnRef};

use super::exit::Exit;
use super::output::{Format, Out};
use super::preview::{Extent, Lines};
use super::stream::{self, Heard, Reader, StreamOptions, server_of, with_scheme};

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
        tokio::select! {
            ended = follow(args, out) => ended.map(|()| Exit::Ok),
            _ = tokio::signal::ctrl_c() => Ok(Exit::Ok),
        }
    })
}

async fn follow(args: &Tail, out: &mut Out) -> anyhow::Result<()> {
    let extent = if args.full { Extent::Full } else { Extent::Short };
    let mut lines = Lines::new(extent, Seq::MAX);
    let options = StreamOptions {
        url: stream_url(args),
        after: args.after,
        is_until_idle: args.until.is_some(),
    };
    let mut reader = Reader::new(stream::client()?, options);
    loop {
        match reader.next().await? {
            Heard::Event(envelope) => print(&envelope, &mut lines, out)?,
            Heard::OtherLog => {}
            Heard::End => return Ok(()),
        }
    }
}

/// The stream that is meant by an address that may name the server only.
fn stream_url(args: &Tail) -> String {
    let base = with_scheme(&args.url);
    match &args.chat {
        Some(chat) => format!("{}/v1/chats/{chat}/stream", server_of(&base)),
        None if base.contains("/v1/") => base,
        None => format!("{base}/v1/stream"),
    }
}

fn print(envelope: &str, lines: &mut Lines, out: &mut Out) -> anyhow::Result<()> {
    match out.format {
        Format::Json => out.line(envelope)?,
        Format::Text => match parse_line(envelope) {
            Ok(event) => out.line(&lines.event(&recorded(event)))?,
            // A newer server may say more than this program reads.
            Err(_) => out.line(envelope)?,
        },
    }
    Ok(out.flush()?)
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
