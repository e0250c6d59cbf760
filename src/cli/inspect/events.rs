//! `inspect events`: one event a line.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use clap::Args;
use scrollback_schema::{Recorded, Seq, wire};

use super::filter::{Filter, Plan};
use super::{Stretch, Visit, walk};
use crate::cli::exit::Exit;
use crate::cli::output::{Format, Out};
use crate::cli::preview::{Extent, Lines};
use crate::log::Section;
use crate::log::offline::OfflineLog;

/// Between two looks at the head of a log that is followed.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);

/// Seqs of the first window on the way back from the end of the log.
pub(super) const WINDOW_MIN: u64 = 4_096;

/// Seqs of the largest window: what is found in it is a fraction of a second's walk.
const WINDOW_MAX: u64 = 1 << 20;

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

/// The last `n` events that are wanted, found from the end of the log backwards.
pub(super) fn last_events(
    log: &mut OfflineLog,
    plan: &Plan,
    n: usize,
) -> anyhow::Result<VecDeque<Recorded>> {
    let (mut found, mut until) = (VecDeque::new(), plan.stretch.until);
    // What was written last is likely near: the windows double on the way back.
    let mut n_seqs = WINDOW_MIN;
    while until > plan.stretch.after && found.len() < n {
        let after = Seq::new(until.get().saturating_sub(n_seqs)).unwrap_or_default();
        let after = after.max(plan.stretch.after);
        let mut window = Kept { plan, n: n - found.len(), events: VecDeque::new() };
        let stretch = Stretch { after, until, ..plan.stretch.clone() };
        let _ = walk(log, &stretch, &mut window)?;
        window.events.append(&mut found);
        (found, until) = (window.events, after);
        n_seqs = (n_seqs * 2).min(WINDOW_MAX);
    }
    Ok(found)
}

/// Keeps the last events that are wanted.
struct Kept<'a> {
    plan: &'a Plan,
    n: usize,
    events: VecDeque<Recorded>,
}

impl Visit for Kept<'_> {
    fn event(&mut self, section: &Section, index: usize) -> anyhow::Result<ControlFlow<()>> {
        if let Some(event) = self.plan.wanted(section, index)? {
            if self.events.len() == self.n {
                self.events.pop_front();
            }
            self.events.push_back(event);
        }
        Ok(ControlFlow::Continue(()))
    }
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
