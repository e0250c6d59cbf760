//! `inspect chats`: every chat as it is now, folded from the log.

use std::ops::ControlFlow;

use clap::Args;
use indicatif::ProgressBar;
use scrollback_projections::chat::Chat;
use scrollback_schema::Seq;

use super::folded::{self, Folded, Order, kinds_of_chats};
use super::{Visit, walk};
use crate::cli::exit::Exit;
use crate::cli::output::{Format, Out, progress};
use crate::cli::preview::{day_text, short_id};
use crate::inspect::Stretch;
use crate::inspect::quoted;
use crate::log::offline::OfflineLog;
use crate::log::{Scope, Section};

/// List the chats: last activity, turns, messages, title; the latest last
///
/// The list is folded from the log, so it is right even where the views are not. What a chat's line
/// says can change with the last event, so no line is there before the whole log was walked over:
/// one or two seconds for ten million events. With --json each line is the chat as clients get it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback inspect chats
  scrollback inspect chats --open
  scrollback inspect chats --json | jq -r .id")]
pub(crate) struct Chats {
    /// List only chats in which a turn is open
    #[arg(long)]
    open: bool,
    /// Print ids and titles whole
    #[arg(long)]
    full: bool,
}

/// Runs the command.
pub(super) fn run(
    log: &mut OfflineLog,
    head: Seq,
    args: &Chats,
    out: &mut Out,
) -> anyhow::Result<Exit> {
    if out.format == Format::Text {
        out.line(HEADS)?;
        // What the heads stand over takes a walk over the whole log.
        out.flush()?;
    }
    let stretch = Stretch {
        scope: Scope::All,
        kinds: kinds_of_chats(),
        sieve: None,
        after: Seq::ZERO,
        until: head,
    };
    let mut folded = Folded::new()?;
    let _ = walk(log, &stretch, &mut ChatWalk::new(&mut folded, head))?;
    folded.chats(Order::Activity, |_, chat| {
        if args.open && chat.open_turn.is_none() {
            return Ok(());
        }
        match out.format {
            Format::Json => out.json(&serde_json::to_value(chat.view())?)?,
            Format::Text => out.line(&line(chat, args.full))?,
        }
        Ok(())
    })?;
    Ok(Exit::Ok)
}

/// What stands over the columns of [`line`].
pub(super) const HEADS: &str =
    "last activity (UTC)  chat          turns failed messages  state    title";

/// A chat on one line.
pub(super) fn line(chat: &Chat, is_full: bool) -> String {
    let id = chat.id.as_str();
    let (id, n_chars) = if is_full { (id.into(), usize::MAX) } else { (short_id(id), 40) };
    let state = match (&chat.open_turn, chat.unread) {
        (Some(_), _) => "running",
        (None, true) => "unread",
        (None, false) => "",
    };
    let title = chat.title.as_deref().map_or_else(String::new, |title| quoted(title, n_chars));
    let line = format!(
        "{}  {id:<12} {:>6} {:>6} {:>8}  {state:<8} {title}",
        day_text(chat.last_activity_at),
        chat.counts.turns,
        chat.counts.failed_turns,
        chat.counts.messages,
    );
    line.trim_end().to_owned()
}

/// Folds the chats, reading only what the fold reads.
struct ChatWalk<'f> {
    folded: &'f mut Folded,
    bar: ProgressBar,
}

impl ChatWalk<'_> {
    fn new(folded: &mut Folded, head: Seq) -> ChatWalk<'_> {
        ChatWalk { folded, bar: progress(head.get(), "folding chats") }
    }
}

impl Visit for ChatWalk<'_> {
    fn event(&mut self, section: &Section, index: usize) -> anyhow::Result<ControlFlow<()>> {
        if folded::reads(section.kind_at(index)) {
            self.folded.chat_event(&section.recorded(index)?)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn walked(&mut self, through: Seq) -> anyhow::Result<()> {
        self.bar.set_position(through.get());
        Ok(())
    }
}

impl Drop for ChatWalk<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
