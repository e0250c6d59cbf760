//! `replay`: plays a chat again with the pauses that it had.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use scrollback_schema::event::{Event, ToolEvent};
use scrollback_schema::{Body, ChatId, Millis, Recorded, wire};

use super::exit::Exit;
use super::output::{Format, Out, say};
use super::range::{SeqRange, Speed};
use crate::inspect::duration_text;
use crate::log::offline::OfflineLog;
use crate::log::{PageLimits, Scope};

/// Play a chat again with the pauses that it had
///
/// Text is written as it came, word by word; tools, plans and ends are lines of their own. Longer
/// pauses than --max-pause are cut short and said. With --json the envelopes are written at the
/// pace at which they were committed. Reads like `inspect`, and never writes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback replay c1
  scrollback replay c1 --speed 4x
  scrollback replay c1 --speed max --seq 4790.. --json")]
pub(super) struct Replay {
    /// The chat
    chat: ChatId,
    /// Play this many times as fast: 0.5x, 4x, or max for no pauses
    #[arg(long, value_name = "FACTOR", default_value = "1x")]
    speed: Speed,
    /// Play these seqs only: 42..99, 42.. or ..99
    #[arg(long, value_name = "RANGE")]
    seq: Option<SeqRange>,
    /// Cut pauses that are longer than this, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    max_pause: u64,
}

/// Runs the command.
pub(super) fn run(data: &Path, args: &Replay, out: &mut Out) -> anyhow::Result<Exit> {
    let mut log = OfflineLog::open(data)?;
    let head = log.head()?;
    let (chat, deleted) = log.find_chat(&args.chat)?.with_context(|| {
        format!("there is no chat {}; `scrollback inspect chats` lists them", args.chat)
    })?;
    if let Some(deleted) = deleted {
        say(&format!("chat {} was deleted at seq {deleted}; what it said is gone", args.chat));
    }
    let range = args.seq.unwrap_or(SeqRange::ALL);
    let (mut after, until) = (range.first.prev(), range.last.min(head));
    let mut player = Player { args, last_at: None, is_within_text: false };
    while after < until {
        let scope = Scope::Chat(chat.created);
        let page = log.page(&scope, after, until, PageLimits::default())?;
        for section in &page.sections {
            for index in section.events_in(after, page.through) {
                player.play(&section.recorded(index)?, out)?;
            }
        }
        after = page.through;
    }
    player.end_text(out)?;
    Ok(Exit::Ok)
}

struct Player<'a> {
    args: &'a Replay,
    last_at: Option<Millis>,
    is_within_text: bool,
}

impl Player<'_> {
    fn play(&mut self, event: &Recorded, out: &mut Out) -> std::io::Result<()> {
        self.pause(event.at, out)?;
        match out.format {
            Format::Json => {
                let mut line = Vec::new();
                wire::write_line(&mut line, event);
                out.bytes(&line)?;
            }
            Format::Text => self.show(event, out)?,
        }
        out.flush()
    }

    fn pause(&mut self, at: Millis, out: &mut Out) -> std::io::Result<()> {
        let pause_ms = self.last_at.map_or(0, |last| at.since_ms(last));
        self.last_at = Some(at);
        let Speed::Times(times) = self.args.speed else { return Ok(()) };
        let max_ms = self.args.max_pause.saturating_mul(1_000);
        if pause_ms > max_ms && out.format == Format::Text {
            self.end_text(out)?;
            out.line(&format!("… {} later …", duration_text(pause_ms)))?;
            out.flush()?;
        }
        let pause = Duration::from_millis(pause_ms.min(max_ms)).div_f64(times);
        std::thread::sleep(pause);
        Ok(())
    }

    fn end_text(&mut self, out: &mut Out) -> std::io::Result<()> {
        if std::mem::take(&mut self.is_within_text) { out.line("") } else { Ok(()) }
    }

    fn show(&mut self, event: &Recorded, out: &mut Out) -> std::io::Result<()> {
        let Body::Event(said) = &event.body else { return Ok(()) };
        if let Event::AssistantText(delta) = said {
            self.is_within_text = true;
            return out.bytes(printable(&delta.text).as_bytes());
        }
        if let Event::AssistantThinking(delta) = said {
            self.is_within_text = true;
            return out.bytes(printable(&delta.thinking).as_bytes());
        }
        if let Some(line) = line_of(said) {
            self.end_text(out)?;
            out.line(&line)?;
        }
        Ok(())
    }
}

/// A text that cannot steer the terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// The line of an event that is not a delta; none where a person would not miss it.
fn line_of(event: &Event) -> Option<String> {
    let tool = |mark: &str, tool: &ToolEvent| {
        let words = [tool.title.as_deref(), tool.error.as_deref()];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        format!("  {mark} {} {}", tool.name, words.join(": ")).trim_end().to_owned()
    };
    Some(match event {
        Event::UserText(p) => format!("\nyou ▸ {}\n", printable(&p.text)),
        Event::ToolStarted(p) => tool("▸", p),
        Event::ToolCompleted(p) => tool("✓", p),
        Event::ToolFailed(p) => tool("✗", p),
        Event::Plan(p) => {
            let marks = p.entries.iter().map(|entry| match entry.status.as_str() {
                "completed" => format!("  ☑ {}", entry.content),
                _ => format!("  ☐ {}", entry.content),
            });
            marks.collect::<Vec<_>>().join("\n")
        }
        Event::PromptSuggestions(p) => format!("  ask next: {}", p.suggestions.join(" · ")),
        Event::Complete(p) => format!("  — done in {}", duration_text(p.duration_ms)),
        Event::Cancelled(p) => format!("  — interrupted ({})", p.reason.name()),
        Event::Error(p) => format!("  — failed ({}): {}", p.code.name(), p.message),
        Event::PermissionRequest(_) => "  ? waits for an approval".to_owned(),
        Event::PermissionResolved(p) => format!("  ? answered: {}", p.outcome.name()),
        Event::ElicitationRequest(p) => format!("  ? asks: {}", p.message),
        Event::ElicitationResolved(p) => format!("  ? answered: {}", p.outcome.name()),
        Event::MessageQueued(p) => format!("  queued: {}", p.content),
        _ => return None,
    })
}
