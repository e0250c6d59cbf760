//! `import`: fills an empty log from the lines of an export, through the one door of the log.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use indicatif::ProgressBar;
use scrollback_schema::codec::{PAYLOAD_VERSION, encode_payload};
use scrollback_schema::limits::{APPEND_EVENTS_MAX, COMMIT_BYTES_MAX};
use scrollback_schema::wire::{Imported, parse_line};
use scrollback_schema::{Body, ChatId, Millis, Seq};

use super::exit::Exit;
use super::output::{Out, count_text, progress, say};
use crate::clock::Clock;
use crate::log::offline::{OfflineError, OfflineLog};
use crate::log::{Append, Log, LogOptions, StoredEvent};
use crate::sqlite::Durability;

/// Fill an empty log from an export
///
/// Reads NDJSON as `export` writes it. Every event gets the seq and the time that it had, so that a
/// reader of the new log gets the same bytes; a file with a hole in it is refused. The data
/// directory has to be new or empty, and no server may run on it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback --data ./copy import log.ndjson
  gunzip -c log.ndjson.gz | scrollback --data ./copy import -")]
pub(super) struct Import {
    /// The file to read; - for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs the command.
pub(super) fn run(data: &Path, args: &Import, out: &mut Out) -> anyhow::Result<Exit> {
    let (reader, n_bytes): (Box<dyn BufRead>, u64) = if args.file.as_os_str() == "-" {
        (Box::new(std::io::stdin().lock()), 0)
    } else {
        let name = args.file.display();
        let file = File::open(&args.file)
            .with_context(|| format!("cannot open {name}; name a file that `export` wrote"))?;
        let n_bytes = file.metadata().map_or(0, |file| file.len());
        (Box::new(BufReader::with_capacity(1 << 20, file)), n_bytes)
    };
    // Asked before the log is opened to be written, which would end its open turns.
    let head = match OfflineLog::open(data) {
        Ok(mut log) => log.head()?,
        Err(OfflineError::Missing { .. } | OfflineError::Foreign { .. }) => Seq::ZERO,
        Err(error) => return Err(error.into()),
    };
    ensure!(
        head == Seq::ZERO,
        "the log in {} has {head} events already; import into an empty directory",
        data.display(),
    );
    // Nothing of an import is acknowledged before all of it is there, and a torn one is thrown
    // away.
    let options = LogOptions { durability: Durability::Process, ..LogOptions::default() };
    let log = Log::open(data, options, &Clock::System)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let bar = progress(n_bytes, "importing");
    let imported = runtime.block_on(lines(&log, reader, &bar));
    bar.finish_and_clear();
    let head = log.head();
    runtime.block_on(log.close());
    imported.with_context(|| {
        format!(
            "{head} events were imported into {}; remove it before the next try",
            data.display()
        )
    })?;
    say(&format!("{} events imported into {}", count_text(head.get()), data.display()));
    let _ = out;
    Ok(Exit::Ok)
}

async fn lines(log: &Log, mut reader: Box<dyn BufRead>, bar: &ProgressBar) -> anyhow::Result<()> {
    let (mut group, mut line, mut number) = (Group::default(), String::new(), 0u64);
    loop {
        line.clear();
        number += 1;
        let n_bytes = reader.read_line(&mut line).with_context(|| format!("line {number}"))?;
        if n_bytes == 0 {
            break;
        }
        bar.inc(n_bytes as u64);
        if line.trim().is_empty() {
            continue;
        }
        let event = parse_line(&line).with_context(|| format!("line {number}"))?;
        let due = log.head().plus(group.events.len() as u64).next();
        if event.seq != due {
            bail!("line {number}: seq {} where {due} is due: not a whole export", event.seq);
        }
        if !group.takes(&event) {
            group.append(log).await.with_context(|| format!("before line {number}"))?;
        }
        group.push(event);
    }
    group.append(log).await.context("at the end of the file")
}

/// Events of one chat that were committed at the same instant: one append.
#[derive(Default)]
struct Group {
    of: Option<(ChatId, Millis)>,
    events: Vec<StoredEvent>,
    n_bytes: usize,
}

impl Group {
    fn takes(&self, event: &Imported) -> bool {
        let is_of = |(chat, at): &(ChatId, Millis)| *chat == event.chat && *at == event.at;
        self.of.as_ref().is_none_or(is_of)
            && self.events.len() < APPEND_EVENTS_MAX
            && self.n_bytes < COMMIT_BYTES_MAX
    }

    fn push(&mut self, event: Imported) {
        let (kind, mut version, mut payload) =
            (event.body.kind_number(), PAYLOAD_VERSION, Vec::new());
        let known = match event.body {
            Body::Event(known) => {
                // A line longer than the largest payload is refused by the append.
                let _ = encode_payload(&known, &mut payload);
                Some(known)
            }
            Body::Unknown { version: stored, payload: bytes, .. } => {
                (version, payload) = (stored, bytes);
                None
            }
            // What was erased is a run of zeroes; how long it was is nobody's business.
            Body::Erased { .. } | Body::Unread { .. } => {
                payload.push(0);
                None
            }
        };
        self.of.get_or_insert((event.chat, event.at));
        self.n_bytes += payload.len();
        let (message, turn) = (event.message, event.turn);
        self.events.push(StoredEvent { message, turn, kind, version, payload, event: known });
    }

    async fn append(&mut self, log: &Log) -> anyhow::Result<()> {
        let Some((chat, at)) = self.of.take() else { return Ok(()) };
        self.n_bytes = 0;
        let mut append = Append::from_stored(chat, std::mem::take(&mut self.events))?;
        append.at = Some(at);
        log.append(append).await?;
        Ok(())
    }
}
