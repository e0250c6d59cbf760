//! `inspect turn`: where the time of a turn went.

use std::ops::ControlFlow;

use clap::Args;
use scrollback_schema::{ChatId, Kind, Seq, TurnId};

use super::filter::Filter;
use super::{Visit, walk};
use crate::cli::exit::Exit;
use crate::cli::output::{Format, Out};
use crate::inspect::{GAP_MS, Plan, Run, Timeline, duration_text, kind_name, text_of};
use crate::log::Section;
use crate::log::offline::OfflineLog;

/// Show a turn as a time line: first word, tools, gaps, end
///
/// Adjacent deltas are one line. With --json each line is one such run of events.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback inspect turn t1
  scrollback inspect turn t1 --chat c1 --json")]
pub(crate) struct ShowTurn {
    /// The turn
    turn: TurnId,
    /// The chat that it is in, where several chats have a turn of this id
    #[arg(long, value_name = "CHAT")]
    chat: Option<ChatId>,
}

/// Runs the command.
pub(super) fn run(
    log: &mut OfflineLog,
    head: Seq,
    args: &ShowTurn,
    out: &mut Out,
) -> anyhow::Result<Exit> {
    let filter =
        Filter { chat: args.chat.clone(), turn: Some(args.turn.clone()), ..Filter::default() };
    let plan = filter.plan(log, head)?;
    let mut shown = ShownLane { plan: &plan, timeline: Timeline::default(), out };
    let _ = walk(log, &plan.stretch, &mut shown)?;
    let ShownLane { mut timeline, out, .. } = shown;
    timeline.end().map_or(Ok(()), |run| print(&run, out))?;
    if let (Some(since), Some(at), Format::Text) =
        (timeline.open_since(), timeline.last_at(), out.format)
    {
        out.line(&format!("open since {since}; its last event is of {at}"))?;
    }
    Ok(Exit::Ok)
}

/// A time line and where it is shown, while it is walked along.
struct ShownLane<'a> {
    plan: &'a Plan,
    timeline: Timeline,
    out: &'a mut Out,
}

impl Visit for ShownLane<'_> {
    fn event(&mut self, section: &Section, index: usize) -> anyhow::Result<ControlFlow<()>> {
        if self.plan.wants(section, index) {
            let event = section.recorded(index)?;
            if event.kind() == Some(Kind::StreamStarted) && self.out.format == Format::Text {
                let turn = event.turn.as_ref().map_or("", |turn| turn.id.as_str());
                self.out.line(&format!("chat {}  turn {turn}", event.chat.id))?;
            }
            self.timeline.push(event).try_for_each(|run| print(&run, self.out))?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn walked(&mut self, _through: Seq) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }
}

fn print(run: &Run, out: &mut Out) -> std::io::Result<()> {
    if out.format == Format::Json {
        return out.json(&run.json());
    }
    if run.gap_ms >= GAP_MS {
        out.line(&format!("           … gap {} …", duration_text(run.gap_ms)))?;
    }
    let seqs = if run.first.seq == run.last_seq {
        run.first.seq.to_string()
    } else {
        format!("{}-{}", run.first.seq, run.last_seq)
    };
    let text = match run.n_chars {
        Some(n_chars) => {
            let (n_events, took) = (run.n_events, duration_text(run.duration_ms()));
            format!("{n_events} deltas, {n_chars} characters in {took}")
        }
        None => text_of(&run.first, 60),
    };
    let kind = kind_name(run.first.body.kind_number());
    let seconds = format!("+{}.{:03} s", run.after_ms / 1_000, run.after_ms % 1_000);
    out.line(format!("{seconds:>10} {seqs:<15} {kind:<18} {text}").trim_end())
}
