//! `archive`: moves the oldest part of the log into segment files, with no server running.

use std::path::Path;
use std::str::FromStr;

use anyhow::Context;
use clap::Args;
use scrollback_schema::Seq;
use serde_json::json;

use super::exit::Exit;
use super::output::{Format, Out, bytes_text, count_text, progress, say};
use super::range::{When, WhenError};
use crate::clock::Clock;
use crate::config::SEGMENT_BYTES_DEFAULT;
use crate::log::offline::OfflineLog;
use crate::log::{ArchiveBounds, ArchivePlan, ArchiveStep, Fill, Log, LogOptions};

/// Move the oldest events into compressed files, from which they read as before
///
/// Goes as far as nothing is unfinished: an open turn, a pending request or a queued message keeps
/// itself and what came after it in log.db, and so does the last commit. Every command and every
/// reader finds archived events where they were. No server may run on the directory; a running one
/// does it by itself if its configuration has [retention].
///
/// The file log.db does not shrink: the room within it is used again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback archive --dry-run
  scrollback archive --before 90d
  scrollback archive --before 2026-01-01
  scrollback archive --before 100000")]
pub(super) struct Archive {
    /// Only events before this seq, this instant or this age, such as 90d
    #[arg(long, value_name = "SEQ|WHEN")]
    before: Option<Before>,
    /// Pack about so many KiB of events into one file
    #[arg(long, value_name = "KIB", default_value_t = SEGMENT_BYTES_DEFAULT >> 10,
          value_parser = clap::value_parser!(u64).range(16..=65_536))]
    segment_kib: u64,
    /// Say what would move, and move nothing
    #[arg(long)]
    dry_run: bool,
}

/// A place in the log, by its seq or by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Seq(Seq),
    When(When),
}

impl FromStr for Before {
    type Err = WhenError;

    fn from_str(text: &str) -> Result<Before, WhenError> {
        match text.parse() {
            Ok(seq) => Ok(Before::Seq(seq)),
            Err(_) => text.parse().map(Before::When),
        }
    }
}

/// Runs the command.
pub(super) fn run(data: &Path, args: &Archive, out: &mut Out) -> anyhow::Result<Exit> {
    let bounds = match args.before {
        None => ArchiveBounds::default(),
        Some(Before::Seq(seq)) => ArchiveBounds { before: Some(seq), older_than: None },
        Some(Before::When(when)) => {
            ArchiveBounds { before: None, older_than: Some(when.resolve(Clock::System.now())) }
        }
    };
    // Asked before the log is opened to be written, which ends its open turns.
    let plan = OfflineLog::open(data)?.archive_plan(bounds)?;
    if args.dry_run {
        return dry_run(&plan, out);
    }
    let log = Log::open(data, LogOptions::default(), &Clock::System)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let done = runtime.block_on(archive(&log, bounds, args.segment_kib << 10));
    runtime.block_on(log.close());
    let done = done.context("what was archived until then stays archived, nothing is lost")?;
    if out.format == Format::Json {
        out.json(&json!({
            "archived_through_seq": done.plan.archived_through.max(done.through).get(),
            "segments": done.n_segments,
            "events": done.n_events,
            "raw_bytes": done.n_raw_bytes,
            "bytes": done.n_bytes,
        }))?;
    }
    say(&format!(
        "{} events archived in {} files: {} became {}",
        count_text(done.n_events),
        done.n_segments,
        bytes_text(done.n_raw_bytes),
        bytes_text(done.n_bytes),
    ));
    say_held(&done.plan);
    Ok(Exit::Ok)
}

fn dry_run(plan: &ArchivePlan, out: &mut Out) -> anyhow::Result<Exit> {
    if out.format == Format::Json {
        out.json(&json!({
            "archived_through_seq": plan.archived_through.get(),
            "through_seq": plan.through.max(plan.archived_through).get(),
            "events": plan.n_events(),
            "held_at_seq": plan.held_at.map(Seq::get),
        }))?;
    } else {
        let words = match plan.n_events() {
            0 => "nothing would be archived".to_owned(),
            n => format!(
                "{} events would be archived, seq {} to {}",
                count_text(n),
                plan.archived_through.next(),
                plan.through
            ),
        };
        out.line(&words)?;
    }
    say_held(plan);
    Ok(Exit::Ok)
}

fn say_held(plan: &ArchivePlan) {
    if let Some(seq) = plan.held_at {
        say(&format!(
            "something unfinished begins at seq {seq} and stays with all that came after it; \
             `scrollback inspect events --seq {seq}` shows it"
        ));
    }
}

/// What was done.
struct Done {
    plan: ArchivePlan,
    through: Seq,
    n_segments: u64,
    n_events: u64,
    n_raw_bytes: u64,
    n_bytes: u64,
}

async fn archive(log: &Log, bounds: ArchiveBounds, bytes: u64) -> anyhow::Result<Done> {
    let plan = log.archive_plan(bounds).await?;
    let mut done =
        Done { plan, through: Seq::ZERO, n_segments: 0, n_events: 0, n_raw_bytes: 0, n_bytes: 0 };
    let bar = progress(plan.n_events(), "archiving");
    let step = ArchiveStep { through: plan.through, bytes, fill: Fill::Rest };
    while let Some(archived) = log.archive_step(step).await? {
        let segment = archived.segment;
        let n_events = segment.last_seq.get() - segment.first_seq.prev().get();
        bar.inc(n_events);
        done.through = segment.last_seq;
        done.n_segments += 1;
        done.n_events += n_events;
        done.n_raw_bytes += archived.n_raw_bytes;
        done.n_bytes += segment.n_bytes;
    }
    bar.finish_and_clear();
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_seq_and_anything_else_a_time() {
        assert_eq!("42".parse(), Ok(Before::Seq(Seq::new(42).unwrap())));
        assert_eq!("2d".parse(), Ok(Before::When(When::Ago(2 * 86_400_000))));
        assert!("soon".parse::<Before>().is_err());
    }
}
