//! `inspect state`: the chats and their messages as they were at a seq.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use anyhow::bail;
use clap::Args;
use scrollback_projections::message::{Message, Messages, StreamStatus};
use scrollback_projections::{MessageKey, Projection, Touch};
use scrollback_schema::{ChatId, Kind, Recorded, Seq};
use serde_json::json;

use super::chats::{self, fold_chats};
use super::filter::find_chat;
use super::message::fold_message;
use super::{Stretch, opening_words, walk};
use crate::cli::exit::Exit;
use crate::cli::output::{Format, Out};
use crate::cli::preview::short_id;
use crate::log::Scope;
use crate::log::offline::OfflineLog;

/// Show the chats and their messages as they were at a seq
///
/// Everything is folded from the events up to that seq. Messages that have ended are kept as one
/// line, so memory grows with the number of messages and not with their length. With --json each
/// line is a chat with its messages.
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

/// A message on one line.
struct Summary {
    id: String,
    role: &'static str,
    status: &'static str,
    first_seq: Seq,
    last_seq: Seq,
    words: String,
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
    let stretch = Stretch { scope, after: Seq::ZERO, until: at };
    let rows = fold_chats(log, &stretch)?;
    let messages = fold_messages(log, &stretch)?;
    for (created, chat) in &rows {
        let of_chat = messages.get(created).map_or(&[][..], Vec::as_slice);
        match out.format {
            Format::Text => {
                out.line(&chats::line(chat, false))?;
                for message in of_chat {
                    out.line(&line(message))?;
                }
            }
            Format::Json => {
                let mut view = serde_json::to_value(chat.view())?;
                view["as_of_seq"] = at.get().into();
                view["messages"] = of_chat.iter().map(value).collect();
                out.json(&view)?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn line(message: &Summary) -> String {
    format!(
        "    {:<9} {:<11} {:<12} {}-{}  {}",
        message.role,
        message.status,
        short_id(&message.id),
        message.first_seq,
        message.last_seq,
        message.words
    )
}

fn value(message: &Summary) -> serde_json::Value {
    json!({
        "id": message.id,
        "role": message.role,
        "stream_status": message.status,
        "first_seq": message.first_seq.get(),
        "last_seq": message.last_seq.get(),
    })
}

fn summary(message: &Message) -> Summary {
    let head = message.head();
    Summary {
        id: head.id.to_string(),
        role: head.role.name(),
        status: head.status.name(),
        first_seq: head.first_seq,
        last_seq: head.last_seq,
        words: opening_words(message, 60),
    }
}

/// Messages by chat, in the order in which they began.
type ByChat = BTreeMap<Seq, Vec<Summary>>;

fn fold_messages(log: &mut OfflineLog, stretch: &Stretch) -> anyhow::Result<ByChat> {
    let mut fold = MessageFold { open: Vec::new(), ended: ByChat::new() };
    let _ = walk(log, stretch, |section, index| {
        if Kind::from_number(section.kind_at(index)).is_some() {
            fold.event(&section.recorded(index)?);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for (_, message) in std::mem::take(&mut fold.open) {
        fold.keep(&message);
    }
    for messages in fold.ended.values_mut() {
        messages.sort_by_key(|message| message.first_seq);
    }
    Ok(fold.ended)
}

struct MessageFold {
    /// Few at a time: a chat has one open turn.
    open: Vec<(MessageKey, Message)>,
    ended: ByChat,
}

impl MessageFold {
    fn event(&mut self, event: &Recorded) {
        let key = match Messages::touches(event) {
            Touch::Nothing => return,
            Touch::Chat => {
                self.ended.remove(&event.chat.created);
                self.open.retain(|(key, _)| key.chat != event.chat.created);
                return;
            }
            Touch::Row(key) => key,
        };
        let place = self.open.iter().position(|(open, _)| *open == key);
        let mut row = place.map(|place| self.open.swap_remove(place).1);
        fold_message(&mut row, event);
        let Some(message) = row else { return };
        if message.head().status == StreamStatus::InProgress {
            self.open.push((key, message));
        } else {
            self.keep(&message);
        }
    }

    fn keep(&mut self, message: &Message) {
        self.ended.entry(message.head().chat).or_default().push(summary(message));
    }
}
