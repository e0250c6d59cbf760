//! `inspect state`: the chats and their messages as they were at a seq.

use std::collections::HashMap;
use std::ops::ControlFlow;

use anyhow::bail;
use clap::Args;
use indicatif::ProgressBar;
use scrollback_projections::chat::Chat;
use scrollback_projections::message::{Message, Messages, StreamStatus};
use scrollback_projections::{MessageKey, Projection, Touch};
use scrollback_schema::{ChatId, Kind, Recorded, Seq};
use serde_json::json;

use super::chats::{self, HEADS};
use super::filter::find_chat;
use super::folded::{self, Folded, Order};
use super::message::fold_message;
use super::{Visit, opening_words, walk};
use crate::cli::exit::Exit;
use crate::cli::output::{Format, Out, progress};
use crate::cli::preview::short_id;
use crate::inspect::Stretch;
use crate::log::offline::OfflineLog;
use crate::log::{Scope, Section};

/// Show the chats and their messages as they were at a seq
///
/// Everything is folded from the events up to that seq. Messages that have ended are kept as one
/// line, and outside of memory but for a few megabytes. What stays in memory is bounded, except for
/// the text of the turns that are open at the same time. With --json each line is a chat with its
/// messages.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback inspect state                     The state at the head
  scrollback inspect state --at 4812           The state after event 4812
  scrollback inspect state --at 4812 --chat c1 One chat only")]
pub(crate) struct State {
    /// The seq; the head unless given
    #[arg(long, value_name = "SEQ")]
    at: Option<Seq>,
    /// Show this chat only
    #[arg(long, value_name = "CHAT")]
    chat: Option<ChatId>,
}

/// Runs the command.
pub(super) fn run(
    log: &mut OfflineLog,
    head: Seq,
    args: &State,
    out: &mut Out,
) -> anyhow::Result<Exit> {
    let at = args.at.unwrap_or(head);
    if at > head {
        bail!("seq {at} is not written yet; the log ends at {head}");
    }
    let scope = match &args.chat {
        Some(id) => Scope::Chat(find_chat(log, id)?),
        None => Scope::All,
    };
    if out.format == Format::Text {
        out.line(HEADS)?;
        // What the heads stand over takes a walk over the log up to there.
        out.flush()?;
    }
    let after = match scope {
        Scope::Chat(chat) => chat.prev(),
        Scope::All | Scope::Chats(_) | Scope::Owner(_) => Seq::ZERO,
    };
    let stretch = Stretch { scope, kinds: Vec::new(), sieve: None, after, until: at };
    let mut fold = StateFold::new(out.format, at)?;
    let _ = walk(log, &stretch, &mut fold)?;
    fold.end()?.chats(Order::Created, |folded, chat| print(folded, chat, at, out))?;
    Ok(Exit::Ok)
}

fn print(folded: &Folded, chat: &Chat, at: Seq, out: &mut Out) -> anyhow::Result<()> {
    match out.format {
        Format::Text => {
            out.line(&chats::line(chat, false))?;
            folded.messages(chat.created, |message| Ok(out.line(message)?))
        }
        Format::Json => {
            let mut view = serde_json::to_value(chat.view())?;
            view["as_of_seq"] = at.get().into();
            let mut messages: Vec<serde_json::Value> = Vec::new();
            folded.messages(chat.created, |message| {
                messages.push(serde_json::from_str(message)?);
                Ok(())
            })?;
            view["messages"] = messages.into();
            Ok(out.json(&view)?)
        }
    }
}

fn line(message: &Message) -> String {
    let head = message.head();
    format!(
        "    {:<9} {:<11} {:<12} {}-{}  {}",
        head.role.name(),
        head.status.name(),
        short_id(head.id.as_str()),
        head.first_seq,
        head.last_seq,
        opening_words(message, 60)
    )
}

fn value(message: &Message) -> serde_json::Value {
    let head = message.head();
    json!({
        "id": head.id,
        "role": head.role.name(),
        "stream_status": head.status.name(),
        "first_seq": head.first_seq.get(),
        "last_seq": head.last_seq.get(),
    })
}

/// Folds chats and messages in one walk; a message that has ended is kept as it will be shown.
struct StateFold {
    format: Format,
    folded: Folded,
    /// Few at a time: a chat has one open turn.
    open: HashMap<MessageKey, Message>,
    bar: ProgressBar,
}

impl StateFold {
    fn new(format: Format, at: Seq) -> anyhow::Result<StateFold> {
        let bar = progress(at.get(), "folding messages");
        Ok(StateFold { format, folded: Folded::new()?, open: HashMap::new(), bar })
    }

    fn message_event(&mut self, event: &Recorded) -> anyhow::Result<()> {
        let key = match Messages::touches(event) {
            Touch::Nothing => return Ok(()),
            Touch::Chat => {
                self.folded.drop_messages(event.chat.created)?;
                self.open.retain(|key, _| key.chat != event.chat.created);
                return Ok(());
            }
            Touch::Row(key) => key,
        };
        let mut row = self.open.remove(&key);
        fold_message(&mut row, event);
        let Some(message) = row else { return Ok(()) };
        if message.head().status == StreamStatus::InProgress {
            self.open.insert(key, message);
            Ok(())
        } else {
            self.keep(&message)
        }
    }

    fn keep(&mut self, message: &Message) -> anyhow::Result<()> {
        let head = message.head();
        let shown = match self.format {
            Format::Text => line(message),
            Format::Json => value(message).to_string(),
        };
        Ok(self.folded.put_message(head.chat, head.first_seq, &shown)?)
    }

    /// The rows, those of messages that go on included.
    fn end(mut self) -> anyhow::Result<Folded> {
        for (_, message) in std::mem::take(&mut self.open) {
            self.keep(&message)?;
        }
        self.bar.finish_and_clear();
        Ok(self.folded)
    }
}

impl Visit for StateFold {
    fn event(&mut self, section: &Section, index: usize) -> anyhow::Result<ControlFlow<()>> {
        let kind = section.kind_at(index);
        if Kind::from_number(kind).is_some() {
            let event = section.recorded(index)?;
            self.message_event(&event)?;
            if folded::reads(kind) {
                self.folded.chat_event(&event)?;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn walked(&mut self, through: Seq) -> anyhow::Result<()> {
        self.bar.set_position(through.get());
        Ok(())
    }
}
