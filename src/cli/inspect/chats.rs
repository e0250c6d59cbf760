//! `inspect chats`: every chat as it is now, folded from the log.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use clap::Args;
use scrollback_projections::chat::{Chat, Chats as ChatRows};
use scrollback_projections::{Projection, Reads, Touch};
use scrollback_schema::{Kind, Seq};

use super::{Stretch, fold, walk};
use crate::cli::exit::Exit;
use crate::cli::output::{Format, Out, progress, say};
use crate::cli::preview::{day_text, quoted, short_id};
use crate::log::Scope;
use crate::log::offline::OfflineLog;

/// List the chats: last activity, turns, messages, title; the latest last
///
/// The list is folded from the log, so it is right even where the views are not. With --json each
/// line is the chat as clients get it.
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
    let stretch = Stretch { scope: Scope::All, after: Seq::ZERO, until: head };
    let mut chats: Vec<Chat> = fold_chats(log, &stretch)?.into_values().collect();
    chats.retain(|chat| !args.open || chat.open_turn.is_some());
    chats.sort_by_key(|chat| (chat.last_activity_at, chat.created));
    if out.format == Format::Text {
        out.line(HEADS)?;
    }
    for chat in &chats {
        match out.format {
            Format::Json => out.json(&serde_json::to_value(chat.view())?)?,
            Format::Text => out.line(&line(chat, args.full))?,
        }
    }
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

/// Folds the chats of a stretch of the log, reading only what the fold reads.
pub(super) fn fold_chats(
    log: &mut OfflineLog,
    stretch: &Stretch,
) -> anyhow::Result<BTreeMap<Seq, Chat>> {
    let mut rows: BTreeMap<Seq, Chat> = BTreeMap::new();
    let bar = progress(stretch.until.get(), "folding chats");
    let _ = walk(log, stretch, |section, index| {
        let reads =
            Kind::from_number(section.kind_at(index)).map_or(Reads::Nothing, ChatRows::reads);
        if reads == Reads::Nothing {
            return Ok(ControlFlow::Continue(()));
        }
        let event = section.recorded(index)?;
        bar.set_position(event.seq.get());
        match ChatRows::touches(&event) {
            Touch::Nothing => {}
            Touch::Chat => {
                rows.remove(&event.chat.created);
            }
            Touch::Row(key) => {
                let mut row = rows.remove(&key);
                if let Some(cause) = fold::<ChatRows>(&mut row, &event) {
                    say(&cause);
                }
                rows.extend(row.map(|row| (key, row)));
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    bar.finish_and_clear();
    Ok(rows)
}
