//! `inspect turn`: where the time of a turn went.

use std::ops::ControlFlow;

use clap::Args;
use scrollback_schema::{ChatId, Kind, Millis, Recorded, Seq, TurnId};
use serde_json::json;

use super::filter::{Filter, Plan};
use super::{Visit, walk};
use crate::cli::exit::Exit;
use crate::cli::output::{Format, Out, duration_text};
use crate::cli::preview::{kind_name, text_of};
use crate::log::Section;
use crate::log::offline::OfflineLog;

/// A silence that is worth a line, in milliseconds.
const GAP_MS: u64 = 1_000;

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

/// Events of one kind after each other; all kinds but deltas stand alone.
struct Run {
    first: Recorded,
    last_seq: Seq,
    last_at: Millis,
    n_events: u64,
    n_chars: u64,
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
    let lane = Lane { started: None, last_at: None, run: None };
    let mut shown = ShownLane { plan: &plan, lane, out };
    let _ = walk(log, &plan.stretch, &mut shown)?;
    let ShownLane { mut lane, out, .. } = shown;
    lane.end_run(out)?;
    if let (Some(at), Format::Text, false) = (lane.last_at, out.format, lane.has_ended()) {
        out.line(&format!("open since {}; its last event is of {at}", lane.start()))?;
    }
    Ok(Exit::Ok)
}

/// A time line and where it is shown, while it is walked along.
struct ShownLane<'a> {
    plan: &'a Plan,
    lane: Lane,
    out: &'a mut Out,
}

impl Visit for ShownLane<'_> {
    fn event(&mut self, section: &Section, index: usize) -> anyhow::Result<ControlFlow<()>> {
        if self.plan.wants(section, index) {
            self.lane.event(section.recorded(index)?, self.out)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn walked(&mut self, _through: Seq) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }
}

/// The time line so far.
struct Lane {
    started: Option<Millis>,
    last_at: Option<Millis>,
    run: Option<Run>,
}

impl Lane {
    fn start(&self) -> Millis {
        self.started.unwrap_or_default()
    }

    fn has_ended(&self) -> bool {
        self.started.is_none()
    }

    fn event(&mut self, event: Recorded, out: &mut Out) -> std::io::Result<()> {
        if event.kind() == Some(Kind::StreamStarted) {
            if out.format == Format::Text {
                out.line(&format!("chat {}  turn {}", event.chat.id, turn_of(&event)))?;
            }
            self.started = Some(event.at);
            self.last_at = None;
        }
        let kind = event.body.kind_number();
        let n_chars = delta_chars(&event);
        if let (Some(run), Some(n_chars)) = (&mut self.run, n_chars)
            && run.first.body.kind_number() == kind
            && event.at.since_ms(run.last_at) < GAP_MS
        {
            (run.last_seq, run.last_at) = (event.seq, event.at);
            run.n_events += 1;
            run.n_chars += n_chars;
            return Ok(());
        }
        self.end_run(out)?;
        let is_terminal = event.kind().is_some_and(Kind::is_terminal);
        self.run = Some(Run {
            last_seq: event.seq,
            last_at: event.at,
            n_events: 1,
            n_chars: n_chars.unwrap_or(0),
            first: event,
        });
        if is_terminal {
            self.end_run(out)?;
            self.started = None;
        }
        Ok(())
    }

    fn end_run(&mut self, out: &mut Out) -> std::io::Result<()> {
        let Some(run) = self.run.take() else { return Ok(()) };
        let gap_ms = self.last_at.map_or(0, |last| run.first.at.since_ms(last));
        self.last_at = Some(run.last_at);
        let after_ms = run.first.at.since_ms(self.start());
        let took_ms = run.last_at.since_ms(run.first.at);
        let kind = kind_name(run.first.body.kind_number());
        if out.format == Format::Json {
            return out.json(&json!({
                "kind": kind,
                "first_seq": run.first.seq.get(),
                "last_seq": run.last_seq.get(),
                "after_ms": after_ms,
                "duration_ms": took_ms,
                "gap_ms": gap_ms,
                "n_events": run.n_events,
            }));
        }
        if gap_ms >= GAP_MS {
            out.line(&format!("           … gap {} …", duration_text(gap_ms)))?;
        }
        let seqs = if run.first.seq == run.last_seq {
            run.first.seq.to_string()
        } else {
            format!("{}-{}", run.first.seq, run.last_seq)
        };
        let text = if delta_chars(&run.first).is_some() {
            let (n_events, n_chars) = (run.n_events, run.n_chars);
            format!("{n_events} deltas, {n_chars} characters in {}", duration_text(took_ms))
        } else {
            text_of(&run.first, 60)
        };
        let seconds = format!("+{}.{:03} s", after_ms / 1_000, after_ms % 1_000);
        out.line(format!("{seconds:>10} {seqs:<15} {kind:<18} {text}").trim_end())
    }
}

fn turn_of(event: &Recorded) -> String {
    event.turn.as_ref().map_or_else(String::new, |turn| turn.id.to_string())
}

/// Characters of a delta; none for other events.
fn delta_chars(event: &Recorded) -> Option<u64> {
    use scrollback_schema::Event::{AssistantText, AssistantThinking};
    match event.event()? {
        AssistantText(delta) => Some(delta.text.chars().count() as u64),
        AssistantThinking(delta) => Some(delta.thinking.chars().count() as u64),
        _ => None,
    }
}
