//! `inspect events`: one event a line.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use clap::Args;
use scrollback_schema::{Recorded, Seq, wire};

use super::filter::{Filter, Plan};
use super::walk;
use crate::cli::exit::Exit;
use crate::cli::output::{Format, Out};
use crate::cli::preview::{Extent, Lines};
use crate::log::Section;
use crate::log::offline::OfflineLog;

/// Between two looks at the head of a log that is followed.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);

/// List events, one a line: seq, time, chat, turn or message, kind, text
///
/// With --json each line is the envelope that clients get. Times are UTC.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback inspect events --chat c1
  scrollback inspect events --seq 4790..4812 --full
  scrollback inspect events --kind tool_failed,error --since 1d
  scrollback inspect events --text \"disk full\" --json
  scrollback inspect events --follow")]
pub(crate) struct Events {
    #[command(flatten)]
    filter: Filter,
    /// Print ids and texts whole
    #[arg(long)]
    full: bool,
    /// Print at most this many events
    #[arg(long, value_name = "N", conflicts_with = "last")]
    limit: Option<u64>,
    /// Print the last events only
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// Go on with what is committed from now on, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
}

/// Runs the command.
pub(super) fn run(
    log: &mut OfflineLog,
    head: Seq,
    args: &Events,
    out: &mut Out,
) -> anyhow::Result<Exit> {
    let mut plan = args.filter.plan(log, head)?;
    let extent = if args.full { Extent::Full } else { Extent::Short };
    let mut printer = Printer {
        lines: Lines::new(extent, head),
        left: args.limit.unwrap_or(u64::MAX),
        kept: args.last.map(|n| (n, VecDeque::new())),
    };
    if let (Some(n), true) = (args.last, is_everything(&args.filter)) {
        let last = plan.stretch.until.get().saturating_sub(n as u64);
        plan.stretch.after = Seq::new(last).unwrap_or_default();
    }
    print_stretch(log, &plan, &mut printer, out)?;
    printer.print_kept(out)?;
    out.flush()?;
    let until = args.filter.seq.map_or(Seq::MAX, |range| range.last);
    while args.follow && printer.left > 0 && plan.stretch.until < until {
        std::thread::sleep(FOLLOW_EVERY);
        let head = log.head()?;
        if head > plan.stretch.until {
            plan.stretch.after = plan.stretch.after.max(plan.stretch.until);
            plan.stretch.until = head.min(until);
            print_stretch(log, &plan, &mut printer, out)?;
            out.flush()?;
        }
    }
    Ok(Exit::Ok)
}

/// Whether the last events of the log are the last ones that are wanted.
fn is_everything(filter: &Filter) -> bool {
    filter.chat.is_none()
        && filter.message.is_none()
        && filter.turn.is_none()
        && filter.kind.is_empty()
        && filter.text.is_none()
}

fn print_stretch(
    log: &mut OfflineLog,
    plan: &Plan,
    printer: &mut Printer,
    out: &mut Out,
) -> anyhow::Result<()> {
    let mut is_first = true;
    let _ = walk(log, &plan.stretch, |section: &Section, index| {
        if printer.left == 0 {
            return Ok(ControlFlow::Break(()));
        }
        if plan.wants(section, index) {
            let event = section.recorded(index)?;
            if plan.wants_text(&event) {
                printer.event(&event, out)?;
                if std::mem::take(&mut is_first) {
                    out.flush()?;
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(())
}

/// Prints events, all or the last ones.
struct Printer {
    lines: Lines,
    left: u64,
    /// How many of the last ones, and those so far.
    kept: Option<(usize, VecDeque<Recorded>)>,
}

impl Printer {
    fn event(&mut self, event: &Recorded, out: &mut Out) -> std::io::Result<()> {
        if let Some((n, kept)) = &mut self.kept {
            kept.push_back(event.clone());
            if kept.len() > *n {
                kept.pop_front();
            }
            return Ok(());
        }
        self.left -= 1;
        self.print(event, out)
    }

    fn print(&mut self, event: &Recorded, out: &mut Out) -> std::io::Result<()> {
        match out.format {
            Format::Text => out.line(&self.lines.event(event)),
            Format::Json => {
                let mut line = Vec::new();
                wire::write_line(&mut line, event);
                out.bytes(&line)
            }
        }
    }

    /// Prints what was kept; what follows is printed at once.
    fn print_kept(&mut self, out: &mut Out) -> std::io::Result<()> {
        let Some((_, kept)) = self.kept.take() else { return Ok(()) };
        kept.iter().try_for_each(|event| self.print(event, out))
    }
}
