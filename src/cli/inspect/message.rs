//! `inspect message`: one message as it is read, folded from its events.

use std::ops::ControlFlow;

use anyhow::bail;
use clap::Args;
use scrollback_projections::message::{Message, Messages, Part, Role, StreamStatus};
use scrollback_projections::{Projection, Touch};
use scrollback_schema::{ChatId, Kind, MessageId, Recorded, Seq};

use super::filter::{Filter, find_chat};
use super::{fold, walk};
use crate::cli::exit::Exit;
use crate::cli::output::{Format, Out, say};
use crate::cli::range::SeqRange;
use crate::inspect::{duration_text, quoted};
use crate::log::offline::OfflineLog;
use crate::log::{PageLimits, Scope, Section};

/// Show a message as it is read: its text, thinking, tools, plan, and how it ended
///
/// The message is folded from its events, up to the head or up to --at; which one it is and how it
/// ended is told before. With --json it is the snapshot that clients get, with as_of_seq.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback inspect message 0192f3c4-8a53-7d10-b54c-2f6a7c3f9a1b
  scrollback inspect message m2 --chat c1 --at 4801
  scrollback inspect message m2 --chat c1 --json | jq .content_render")]
pub(crate) struct ShowMessage {
    /// The message
    pub(super) message: MessageId,
    /// The chat that it is in, where several chats have a message of this id
    #[arg(long, value_name = "CHAT")]
    pub(super) chat: Option<ChatId>,
    /// Show it as it was at this seq
    #[arg(long, value_name = "SEQ")]
    pub(super) at: Option<Seq>,
}

/// Runs the command.
pub(super) fn run(
    log: &mut OfflineLog,
    head: Seq,
    args: &ShowMessage,
    out: &mut Out,
) -> anyhow::Result<Exit> {
    let as_of = args.at.unwrap_or(head).min(head);
    let filter = Filter {
        chat: args.chat.clone(),
        message: Some(args.message.clone()),
        seq: Some(SeqRange { first: Seq::ZERO, last: as_of }),
        ..Filter::default()
    };
    let plan = filter.plan(log, head)?;
    let told = match out.format {
        Format::Text => status_before(log, args, as_of)?,
        Format::Json => None,
    };
    if let Some(status) = told {
        out.line(&title(&args.message, Role::Assistant, status))?;
        // What it says takes a walk from its first event to its last.
        out.flush()?;
    }
    let mut row: Option<Message> = None;
    let is_one_chat = matches!(plan.stretch.scope, Scope::Chat(_));
    let _ = walk(log, &plan.stretch, &mut |section: &Section, index| {
        if !plan.wants(section, index) {
            return Ok(ControlFlow::Continue(()));
        }
        let event = section.recorded(index)?;
        if row.as_ref().is_some_and(|row| row.head().chat != event.chat.created) {
            bail!("several chats have a message {}; name one with --chat", args.message);
        }
        fold_message(&mut row, &event);
        let is_over = row.as_ref().is_some_and(|row| row.head().role == Role::User);
        Ok(if is_over && is_one_chat { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let Some(message) = row else {
        bail!(
            "there is no message {} up to seq {as_of}; `scrollback inspect state` lists messages",
            args.message
        );
    };
    match out.format {
        Format::Json => {
            let mut view = serde_json::to_value(message.view())?;
            view["as_of_seq"] = as_of.get().into();
            out.json(&view)?;
        }
        Format::Text => {
            let head = message.head();
            if told != Some(head.status) {
                out.line(&title(&head.id, head.role, head.status))?;
            }
            print(&message, out)?;
        }
    }
    Ok(Exit::Ok)
}

/// Folds an event into the message that it belongs to; says what does not fit.
pub(super) fn fold_message(row: &mut Option<Message>, event: &Recorded) {
    if let Touch::Row(_) = Messages::touches(event)
        && let Some(cause) = fold::<Messages>(row, event)
    {
        say(&cause);
    }
}

/// How the message of a turn stands, told by the tables and the kind of the turn's last event;
/// nothing where they do not tell of exactly one.
fn status_before(
    log: &mut OfflineLog,
    args: &ShowMessage,
    as_of: Seq,
) -> anyhow::Result<Option<StreamStatus>> {
    let chat = match &args.chat {
        Some(id) => Some(find_chat(log, id)?),
        None => None,
    };
    let found = log.find_turns_of_message(&args.message, chat)?;
    let [found] = found.as_slice() else { return Ok(None) };
    let is_there = found.turn.started <= as_of
        && log.find_chat(&found.chat.id)?.is_some_and(|(_, deleted)| deleted.is_none());
    let ended = match found.ended {
        _ if !is_there => return Ok(None),
        Some(ended) if ended <= as_of => ended,
        _ => return Ok(Some(StreamStatus::InProgress)),
    };
    let scope = Scope::Chat(found.chat.created);
    let page = log.page(&scope, ended.prev(), ended, PageLimits::default())?;
    let kind = page.sections.first().and_then(|section| {
        let index = section.events_in(ended.prev(), ended).next()?;
        Kind::from_number(section.kind_at(index))
    });
    Ok(match kind {
        Some(Kind::Complete) => Some(StreamStatus::Completed),
        Some(Kind::Cancelled) => Some(StreamStatus::Interrupted),
        Some(Kind::Error) => Some(StreamStatus::Failed),
        _ => None,
    })
}

fn title(id: &MessageId, role: Role, status: StreamStatus) -> String {
    format!("message   {id} ({}, {})", role.name(), status.name())
}

/// Prints what stands under the title.
fn print(message: &Message, out: &mut Out) -> std::io::Result<()> {
    let head = message.head();
    out.line(&format!("chat      {}", head.chat_id))?;
    if let Some(turn) = &head.turn {
        let model = turn.model.as_ref().map_or(String::new(), |model| format!(" {model}"));
        let took = turn.duration_ms.map_or(String::new(), |ms| format!(", {}", duration_text(ms)));
        out.line(&format!("turn      {} ({}{model}{took})", turn.id, turn.provider))?;
    }
    out.line(&format!("seqs      {} to {}", head.first_seq, head.last_seq))?;
    out.line(&format!("created   {}", head.created_at))?;
    if let Some(usage) = &head.usage {
        let tokens = |n: Option<u64>| n.map_or("?".to_owned(), |n| n.to_string());
        let cost = usage.cost_usd.map_or(String::new(), |usd| format!(", ${usd:.4}"));
        let (input, output) = (tokens(usage.input_tokens), tokens(usage.output_tokens));
        out.line(&format!("usage     {input} tokens in, {output} out{cost}"))?;
    }
    for part in message.parts() {
        out.line("")?;
        print_part(part, out)?;
    }
    if let Some(turn) = &head.turn {
        if let Some(failure) = &turn.failure {
            let retry = if failure.retryable { "a retry can help" } else { "a retry cannot help" };
            let (code, phase) = (failure.code.name(), failure.phase.name());
            out.line("")?;
            out.line(&format!("failed    {code} ({phase}, {retry}): {}", failure.message))?;
        }
        if let Some(reason) = turn.interrupted {
            out.line("")?;
            out.line(&format!("interrupted  {}", reason.name()))?;
        }
    }
    Ok(())
}

/// Prints one part of a message, its sort in front.
fn print_part(part: &Part, out: &mut Out) -> std::io::Result<()> {
    match part {
        Part::Text(text) => {
            let text: String = text.pieces().collect();
            out.line(&text)
        }
        Part::Thinking(text) => {
            let text: String = text.pieces().collect();
            text.lines().try_for_each(|line| out.line(&format!("thinking  {line}")))
        }
        Part::Tool(tool) => {
            let title = tool.title().map_or(String::new(), |title| format!("  {title}"));
            out.line(&format!("tool      {} {}{title}", tool.name(), tool.status().name()))?;
            for (name, json) in [("input", tool.input()), ("result", tool.result())] {
                if let Some(json) = json {
                    out.line(&format!("  {name:<8}{}", json.as_str()))?;
                }
            }
            tool.error().map_or(Ok(()), |error| out.line(&format!("  error   {error}")))
        }
        Part::Plan(entries) => entries.iter().try_for_each(|entry| {
            out.line(&format!("plan      [{}] {}", entry.status, entry.content))
        }),
        Part::Attachments(files) => files.iter().try_for_each(|file| {
            out.line(&format!(
                "file      {} ({}, {} bytes)",
                file.name, file.media_type, file.size_bytes
            ))
        }),
        Part::Suggestions(suggestions) => suggestions
            .iter()
            .try_for_each(|words| out.line(&format!("suggests  {}", quoted(words, usize::MAX)))),
    }
}
