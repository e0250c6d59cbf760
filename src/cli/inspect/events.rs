//! `inspect events`: one event a line.

use std::ops::ControlFlow;
use std::time::Duration;

use clap::Args;
use scrollback_schema::{Recorded, Seq, wire};

use super::filter::Filter;
use super::{Visit, walk};
use crate::cli::exit::Exit;
use crate::cli::output::{Format, Out};
use crate::cli::preview::{Extent, Lines};
use crate::inspect::{Plan, last_events};
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
        format: out.format,
    };
    match args.last {
        Some(n) => {
            for event in last_events(log, &plan, n)? {
                printer.print(&event, out)?;
            }
        }
        None => print_stretch(log, &plan, &mut printer, out)?,
    }
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

pub(super) fn print_stretch(
    log: &mut OfflineLog,
    plan: &Plan,
    printer: &mut Printer,
    out: &mut Out,
) -> anyhow::Result<()> {
    let mut shown = Shown { plan, printer, out, is_first: true };
    let _ = walk(log, &plan.stretch, &mut shown)?;
    Ok(())
}

/// Prints what is wanted; the first line, and then those of each page, do not wait for more.
struct Shown<'a> {
    plan: &'a Plan,
    printer: &'a mut Printer,
    out: &'a mut Out,
    is_first: bool,
}

impl Visit for Shown<'_> {
    fn event(&mut self, section: &Section, index: usize) -> anyhow::Result<ControlFlow<()>> {
        if self.printer.left == 0 {
            return Ok(ControlFlow::Break(()));
        }
        if let Some(event) = self.plan.wanted(section, index)? {
            self.printer.left -= 1;
            self.printer.print(&event, self.out)?;
            if std::mem::take(&mut self.is_first) {
                self.out.flush()?;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn walked(&mut self, _through: Seq) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }
}

/// Prints events.
pub(super) struct Printer {
    pub(super) lines: Lines,
    /// How many more are wanted.
    pub(super) left: u64,
    pub(super) format: Format,
}

impl Printer {
    fn print(&mut self, event: &Recorded, out: &mut Out) -> std::io::Result<()> {
        match self.format {
            Format::Text => out.line(&self.lines.event(event)),
            Format::Json => {
                let mut line = Vec::new();
                wire::write_line(&mut line, event);
                out.bytes(&line)
            }
        }
    }
}
