//! `verify`: proves that the log is whole, or names what is not.

use std::ops::ControlFlow;
use std::path::Path;

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::exit::Exit;
use super::output::{Format, Out, count_text, progress, say};
use crate::log::verify::{Finding, Progress, Report, verify};

/// Prove that the log is whole, or name by seq what is not; never writes
///
/// Checks that seqs are dense, that every checksum fits, that every payload decodes, that the rules
/// of turns hold, that the writer's tables and the head witness agree with the log, and asks SQLite
/// about its file. Works beside a running server. Exits with 1 if anything is wrong.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback verify
  scrollback --data /backups/monday verify
  scrollback verify --json | jq -r 'select(.type == \"finding\") | .first_seq'")]
pub(super) struct Verify {}

/// Runs the command.
pub(super) fn run(data: &Path, _args: &Verify, out: &mut Out) -> anyhow::Result<Exit> {
    let mut bar = ProgressBar::hidden();
    let mut printed = Ok(());
    let report = verify(data, &mut |step| {
        match step {
            Progress::Began { head } => {
                let path = data.join("log.db");
                say(&format!("verifying {} up to seq {head}", path.display()));
                bar = progress(head.get(), "verifying");
            }
            Progress::Reached { seq } => bar.set_position(seq.get()),
            Progress::CheckingFile => bar.set_message("checking the file"),
            Progress::Found(finding) => {
                printed = bar.suspend(|| print(finding, out));
            }
        }
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    bar.finish_and_clear();
    printed?;
    conclude(&report, out)?;
    Ok(if report.n_findings == 0 { Exit::Ok } else { Exit::No })
}

fn print(finding: &Finding, out: &mut Out) -> std::io::Result<()> {
    match out.format {
        Format::Text => {
            out.line(&finding.to_string())?;
            out.line(&format!("    {}", finding.advice()))?;
        }
        Format::Json => {
            let span = finding.span();
            out.json(&json!({
                "type": "finding",
                "code": finding.code(),
                "file": finding.file(),
                "first_seq": span.map(|span| span.first.get()),
                "last_seq": span.map(|span| span.last.get()),
                "message": finding.to_string(),
                "advice": finding.advice(),
            }))?;
        }
    }
    out.flush()
}

fn conclude(report: &Report, out: &mut Out) -> std::io::Result<()> {
    if out.format == Format::Json {
        return out.json(&json!({
            "type": "report",
            "ok": report.n_findings == 0,
            "head_seq": report.head.get(),
            "rows": report.n_rows,
            "events": report.n_events,
            "chats": report.n_chats,
            "turns": report.n_turns,
            "turns_open": report.n_open_turns,
            "erased": report.n_erased,
            "unknown": report.n_unknown,
            "findings": report.n_findings,
        }));
    }
    out.line(&format!(
        "{} events of {} chats and {} turns in {} rows: {}",
        count_text(report.n_events),
        count_text(report.n_chats),
        count_text(report.n_turns),
        count_text(report.n_rows),
        match report.n_findings {
            0 => "all is well".to_owned(),
            1 => "1 finding".to_owned(),
            n => format!("{} findings", count_text(n)),
        }
    ))?;
    if report.n_unknown > 0 {
        let n = count_text(report.n_unknown);
        out.line(&format!("{n} events are of a newer program: carried, not looked into"))?;
    }
    Ok(())
}
