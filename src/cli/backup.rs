//! `backup`: a copy of the log that can be served as it is, made beside a running server.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::json;

use super::exit::Exit;
use super::output::{Format, Out, bytes_text, count_text, progress, say};
use crate::log::offline::OfflineLog;
use crate::log::verify::{Progress, verify};

/// Copy the log to a new directory while it is in use, and verify the copy
///
/// The copy is of one moment, and has the archive as well. It is a data directory of its own: give
/// it to --data to serve or to inspect it; the views are rebuilt there at the first start. It
/// appears under its name only after it was verified.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback backup /backups/monday
  scrollback --data /backups/monday inspect stats")]
pub(super) struct Backup {
    /// The directory to make
    #[arg(value_name = "DIR")]
    to: PathBuf,
}

/// Runs the command.
pub(super) fn run(data: &Path, args: &Backup, out: &mut Out) -> anyhow::Result<Exit> {
    let (to, name) = (&args.to, args.to.display());
    ensure!(!to.exists(), "{name} exists already; name a directory that is to be made");
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let mut log = OfflineLog::open(data)?;
    std::fs::create_dir_all(&partial).with_context(|| {
        format!("cannot make {}; name a directory that can be made", partial.display())
    })?;
    let bar = progress(0, "copying");
    let copied = log.copy_to(&partial, &mut |n_done, n_pages| {
        bar.set_length(n_pages);
        bar.set_position(n_done);
    });
    bar.finish_and_clear();
    copied.with_context(|| {
        format!(
            "cannot copy to {}; check the room on its disk, or name a directory elsewhere",
            partial.display()
        )
    })?;
    let mut findings = Vec::new();
    let report = verify(&partial, &mut |step| {
        if let Progress::Found(finding) = step {
            findings.push(finding.to_string());
        }
        ControlFlow::Continue(())
    })?;
    if let Some(first) = findings.first() {
        bail!(
            "the copy in {} is not sound, and neither is the log: {first}; run `scrollback verify`",
            partial.display()
        );
    }
    std::fs::rename(&partial, to).with_context(|| format!("cannot name the copy {name}"))?;
    let archived: u64 = OfflineLog::open(to)?.segments()?.iter().map(|s| s.n_bytes).sum();
    let n_bytes = std::fs::metadata(to.join("log.db")).map_or(0, |file| file.len()) + archived;
    if out.format == Format::Json {
        out.json(&json!({
            "directory": to.to_string_lossy(),
            "head_seq": report.head.get(),
            "bytes": n_bytes,
        }))?;
    }
    let n_events = count_text(report.n_events);
    say(&format!("{n_events} events copied to {name} ({}) and verified", bytes_text(n_bytes)));
    Ok(Exit::Ok)
}
