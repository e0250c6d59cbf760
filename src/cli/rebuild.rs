//! `rebuild`: folds views anew from the log, or checks that they are what the log implies.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::exit::Exit;
use super::output::{Format, Out, count_text, progress, say};
use crate::log::PageLimits;
use crate::projector::rebuild::{self, Difference, Progress, RebuildOptions};

/// Fold the views anew from the log, or check them against it
///
/// Works with the server stopped or running: a running server takes a rebuilt view over between two
/// reads, so that nobody sees an empty or an older one. Killed at any point, the next rebuild goes
/// on where this one was. With --check nothing is replaced: the log is folded into a scratch file,
/// and the first row that differs is named; exits with 1 if there is one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback rebuild
  scrollback rebuild --projection messages --projection search
  scrollback rebuild --check")]
pub(super) struct Rebuild {
    /// Rebuild this projection only; may be given several times
    #[arg(long, value_name = "NAME")]
    projection: Vec<String>,
    /// Compare and replace nothing
    #[arg(long)]
    check: bool,
    /// Read so many events at a time; what comes out does not depend on it
    #[arg(long, value_name = "EVENTS", hide = true)]
    page: Option<usize>,
}

pub(super) fn run(data: &Path, args: &Rebuild, out: &mut Out) -> anyhow::Result<Exit> {
    let mut options =
        RebuildOptions { projections: args.projection.clone(), ..RebuildOptions::default() };
    if let Some(events) = args.page {
        options.page = PageLimits { events: events.max(1), ..options.page };
    }
    let bar = progress(0, if args.check { "checking" } else { "rebuilding" });
    let on_progress = |step: Progress| {
        bar.set_length(step.head.get());
        bar.set_position(step.through.get());
    };
    if args.check {
        let difference = rebuild::check(data, &options, &on_progress)?;
        bar.finish_and_clear();
        return Ok(conclude_check(difference.as_ref(), out)?);
    }
    let rebuilt = rebuild::rebuild(data, &options, &on_progress)?;
    bar.finish_and_clear();
    if rebuilt.resumed_after.get() > 0 {
        say(&format!("went on after seq {}, where a rebuild was killed", rebuilt.resumed_after));
    }
    match out.format {
        Format::Json => out.json(&json!({
            "projections": rebuilt.projections,
            "head_seq": rebuilt.head.get(),
            "resumed_after_seq": rebuilt.resumed_after.get(),
            "by_server": rebuilt.by_server,
        }))?,
        Format::Text => out.line(&format!(
            "rebuilt {} up to seq {}{}",
            rebuilt.projections.join(", "),
            count_text(rebuilt.head.get()),
            if rebuilt.by_server { "; the running server has taken over" } else { "" }
        ))?,
    }
    Ok(Exit::Ok)
}

fn conclude_check(difference: Option<&Difference>, out: &mut Out) -> std::io::Result<Exit> {
    let Some(difference) = difference else {
        match out.format {
            Format::Json => out.json(&json!({ "ok": true }))?,
            Format::Text => out.line("the views are what the log implies")?,
        }
        return Ok(Exit::Ok);
    };
    match out.format {
        Format::Json => out.json(&json!({
            "ok": false,
            "projection": difference.projection,
            "table": difference.table,
            "key": difference.key,
            "message": difference.to_string(),
        }))?,
        Format::Text => {
            out.line(&difference.to_string())?;
            out.line(&format!(
                "    run `scrollback rebuild --projection {}` to make it anew",
                difference.projection
            ))?;
        }
    }
    Ok(Exit::No)
}
