//! `inspect stats`: how much is in the log, and of what.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use clap::Args;
use scrollback_schema::{Kind, Millis, Seq};
use serde_json::json;

use super::{table, walk};
use crate::cli::exit::Exit;
use crate::cli::output::{Format, Out, bytes_text, count_text, progress, say};
use crate::inspect::Stretch;
use crate::inspect::kind_name;
use crate::log::offline::OfflineLog;
use crate::log::{Scope, Section, SegmentEntry};
use crate::projector::{Parked, parked_offline};

/// Count what is in the log: events and bytes by kind, chats, turns, files
///
/// Everything is counted from log.db and its archive, but for the chats that stand still in a read
/// model before an event that it cannot apply: the views say that.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback inspect stats
  scrollback inspect stats --json | jq .kinds")]
pub(crate) struct Stats {}

/// How much of something there is.
#[derive(Debug, Default, Clone, Copy)]
struct Amount {
    n_events: u64,
    n_bytes: u64,
}

/// What was counted.
#[derive(Debug, Default)]
struct Counted {
    kinds: BTreeMap<u16, Amount>,
    total: Amount,
    first_at: Option<Millis>,
    last_at: Option<Millis>,
}

impl Counted {
    fn of(&self, kind: Kind) -> u64 {
        self.kinds.get(&kind.number()).map_or(0, |amount| amount.n_events)
    }
}

/// Runs the command.
pub(super) fn run(
    log: &mut OfflineLog,
    head: Seq,
    _args: &Stats,
    out: &mut Out,
) -> anyhow::Result<Exit> {
    let (files, segments) = (files(log)?, log.segments()?);
    if out.format == Format::Text {
        out.line(&format!("log id    {}", log.log_id()))?;
        out.line(&format!("head      {}", count_text(head.get())))?;
        let sizes: Vec<String> =
            files.iter().map(|(name, size)| format!("{name} {}", bytes_text(*size))).collect();
        out.line(&format!("files     {}", sizes.join(", ")))?;
        print_archive(&segments, out)?;
        out.flush()?;
    }
    let counted = count(log, head)?;
    let parked = parked(log.dir());
    let ended = [Kind::Complete, Kind::Cancelled, Kind::Error].map(|kind| counted.of(kind));
    let n_turns = counted.of(Kind::StreamStarted);
    let n_open = n_turns.saturating_sub(ended.iter().sum());
    if out.format == Format::Json {
        let kinds: serde_json::Map<String, serde_json::Value> = counted
            .kinds
            .iter()
            .map(|(kind, n)| {
                let amount = json!({"events": n.n_events, "payload_bytes": n.n_bytes});
                (kind_name(*kind).into_owned(), amount)
            })
            .collect();
        out.json(&json!({
            "log_id": log.log_id(),
            "head_seq": head.get(),
            "files": files.iter().cloned().collect::<BTreeMap<_, _>>(),
            "archive": archive_value(&segments),
            "first_at": counted.first_at.map(|at| at.to_string()),
            "last_at": counted.last_at.map(|at| at.to_string()),
            "chats": counted.of(Kind::ChatCreated),
            "chats_deleted": counted.of(Kind::ChatDeleted),
            "turns": n_turns,
            "turns_open": n_open,
            "payload_bytes": counted.total.n_bytes,
            "kinds": kinds,
            "parked": parked.iter().map(parked_value).collect::<Vec<_>>(),
        }))?;
        return Ok(Exit::Ok);
    }
    if let (Some(first), Some(last)) = (counted.first_at, counted.last_at) {
        out.line(&format!("from      {first}"))?;
        out.line(&format!("to        {last}"))?;
    }
    let deleted = counted.of(Kind::ChatDeleted);
    out.line(&format!(
        "chats     {}, {deleted} deleted",
        count_text(counted.of(Kind::ChatCreated))
    ))?;
    let [completed, interrupted, failed] = ended.map(count_text);
    out.line(&format!(
        "turns     {}: {completed} completed, {interrupted} interrupted, {failed} failed, \
             {n_open} open",
        count_text(n_turns),
    ))?;
    for (projection, Parked { chat, seq, cause }) in &parked {
        out.line(&format!("parked    chat {} in {projection} before seq {seq}: {cause}", chat.id))?;
    }
    out.line("")?;
    print_kinds(&counted, out)?;
    Ok(Exit::Ok)
}

fn bytes_of(segments: &[SegmentEntry]) -> u64 {
    segments.iter().map(|segment| segment.n_bytes).sum()
}

fn print_archive(segments: &[SegmentEntry], out: &mut Out) -> std::io::Result<()> {
    let Some(last) = segments.last() else { return Ok(()) };
    let (n_bytes, n) = (bytes_text(bytes_of(segments)), segments.len());
    out.line(&format!("archive   up to seq {}, {n_bytes} in {n} files", last.last_seq))
}

fn archive_value(segments: &[SegmentEntry]) -> serde_json::Value {
    json!({
        "through_seq": segments.last().map_or(0, |last| last.last_seq.get()),
        "segments": segments.len(),
        "bytes": bytes_of(segments),
    })
}

/// The chats that stand still in a view; says which view could not be asked.
fn parked(dir: &Path) -> Vec<(&'static str, Parked)> {
    let mut found = Vec::new();
    for (projection, parked) in parked_offline(dir) {
        match parked {
            Ok(parked) => found.extend(parked.into_iter().map(|parked| (projection, parked))),
            Err(error) => say(&format!("cannot tell who is parked in {projection}: {error}")),
        }
    }
    found
}

fn parked_value((projection, parked): &(&'static str, Parked)) -> serde_json::Value {
    json!({
        "projection": projection,
        "chat_id": parked.chat.id.as_str(),
        "seq": parked.seq.get(),
        "cause": parked.cause,
    })
}

fn print_kinds(counted: &Counted, out: &mut Out) -> std::io::Result<()> {
    let row = |name: &str, amount: &Amount| {
        let each = amount.n_bytes / amount.n_events.max(1);
        let n_events = format!("{:>13}", count_text(amount.n_events));
        vec![
            name.to_owned(),
            n_events,
            format!("{:>10}", bytes_text(amount.n_bytes)),
            each.to_string(),
        ]
    };
    let mut rows: Vec<_> =
        counted.kinds.iter().map(|(kind, amount)| row(&kind_name(*kind), amount)).collect();
    rows.push(row("all", &counted.total));
    table(out, &["kind", "       events", "   payload", "bytes each"], &rows)
}

fn count(log: &mut OfflineLog, head: Seq) -> anyhow::Result<Counted> {
    let mut counted = Counted::default();
    let stretch =
        Stretch { scope: Scope::All, kinds: vec![], sieve: None, after: Seq::ZERO, until: head };
    let bar = progress(head.get(), "counting");
    let _ = walk(log, &stretch, &mut |section: &Section, index| {
        let n_bytes = section.payload_at(index).len() as u64;
        for amount in [counted.kinds.entry(section.kind_at(index)).or_default(), &mut counted.total]
        {
            amount.n_events += 1;
            amount.n_bytes += n_bytes;
        }
        if index == 0 {
            bar.set_position(section.first_seq().get());
            counted.first_at.get_or_insert(section.at());
            counted.last_at = Some(section.at());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    bar.finish_and_clear();
    Ok(counted)
}

/// The files of the log and their sizes, views last.
fn files(log: &OfflineLog) -> anyhow::Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    for name in ["log.db", "log.db-wal"] {
        if let Ok(file) = std::fs::metadata(log.dir().join(name)) {
            files.push((name.to_owned(), file.len()));
        }
    }
    let mut n_bytes = 0;
    if let Ok(views) = std::fs::read_dir(log.dir().join("views")) {
        for entry in views {
            n_bytes += entry?.metadata()?.len();
        }
        files.push(("views".to_owned(), n_bytes));
    }
    Ok(files)
}
