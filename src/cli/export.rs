//! `export`: the whole log as lines of JSON.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use scrollback_schema::{Seq, wire};

use super::exit::Exit;
use super::output::{Out, count_text, progress, say};
use crate::log::PageLimits;
use crate::log::offline::OfflineLog;
use crate::log::verify::{ReadablePages, WholePages};

/// Write the whole log as NDJSON, one envelope a line
///
/// What is written is what `import` reads: it gives the same events under the same seqs and times,
/// those included whose payload was erased. Works beside a running server, up to the head that the
/// log has at the start.
///
/// Every checksum is compared on the way: nothing that is damaged is passed on. Where the log is
/// not whole, the events in front of the damage are written, and the command exits with 2.
///
/// With --readable it goes on behind the damage: every event that is whole is written, what is left
/// out is named on stderr, and the command exits with 1 if anything is. Such a file has holes, and
/// `import` refuses it: it is there to be looked into beside the last backup.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scrollback export > log.ndjson
  scrollback export --output log.ndjson
  scrollback export | gzip > log.ndjson.gz
  scrollback export --readable > saved.ndjson")]
pub(super) struct Export {
    /// Write to this new file instead of stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Leave out what is damaged, and go on behind it
    #[arg(long)]
    readable: bool,
}

/// Runs the command.
pub(super) fn run(data: &Path, args: &Export, out: &mut Out) -> anyhow::Result<Exit> {
    match &args.output {
        None => export(data, args, &mut |bytes| Ok(out.bytes(bytes)?)),
        Some(path) => {
            let file = File::create_new(path).with_context(|| {
                format!(
                    "cannot make {}; name a new file in a directory that exists",
                    path.display()
                )
            })?;
            let mut file = BufWriter::with_capacity(1 << 20, file);
            let failed = || {
                format!(
                    "cannot write {}; check the room on its disk, or name a file elsewhere",
                    path.display()
                )
            };
            let exit = export(data, args, &mut |bytes| file.write_all(bytes).with_context(failed))?;
            file.into_inner()
                .map_err(std::io::IntoInnerError::into_error)
                .and_then(|file| file.sync_all())
                .with_context(failed)?;
            Ok(exit)
        }
    }
}

type Sink<'w> = &'w mut dyn FnMut(&[u8]) -> anyhow::Result<()>;

fn export(data: &Path, args: &Export, write: Sink<'_>) -> anyhow::Result<Exit> {
    if args.readable {
        return readable(&mut OfflineLog::open_what_is_left(data)?, write);
    }
    let mut log = OfflineLog::open(data)?;
    let head = log.head()?;
    whole(&mut log, head, write)?;
    say(&format!("{} events exported, up to seq {head}", count_text(head.get())));
    Ok(Exit::Ok)
}

/// Writes what is whole and names what is not.
fn readable(log: &mut OfflineLog, write: Sink<'_>) -> anyhow::Result<Exit> {
    let (mut pages, mut lines) = (ReadablePages::new(log)?, Vec::new());
    let (mut n_written, mut is_whole) = (0u64, true);
    while let Some(passage) = pages.next(log, PageLimits::default())? {
        for section in &passage.sections {
            for index in 0..section.len() {
                match section.recorded(index) {
                    Ok(event) => {
                        wire::write_line(&mut lines, &event);
                        n_written += 1;
                    }
                    Err(error) => {
                        is_whole = false;
                        say(&format!("left out: {error}"));
                    }
                }
            }
        }
        write(&lines)?;
        lines.clear();
        for left_out in &passage.left_out {
            is_whole = false;
            say(&format!("left out: {left_out}"));
        }
    }
    let rest = if is_whole { "nothing was left out" } else { "what is left out is named above" };
    say(&format!("{} events exported; {rest}", count_text(n_written)));
    Ok(if is_whole { Exit::Ok } else { Exit::No })
}

fn whole(log: &mut OfflineLog, head: Seq, write: Sink<'_>) -> anyhow::Result<()> {
    let bar = progress(head.get(), "exporting");
    let (mut pages, mut lines) = (WholePages::default(), Vec::new());
    while pages.through() < head {
        let after = pages.through();
        let page = pages.next(log, head, PageLimits::default()).with_context(|| {
            format!(
                "only the events up to seq {after} were exported, the log is not whole behind; \
                 --readable goes on"
            )
        })?;
        for section in &page.sections {
            for index in section.events_in(after, page.through) {
                wire::write_line(&mut lines, &section.recorded(index)?);
            }
        }
        write(&lines)?;
        lines.clear();
        bar.set_position(page.through.get());
    }
    bar.finish_and_clear();
    Ok(())
}
