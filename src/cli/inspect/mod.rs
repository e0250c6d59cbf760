//! `inspect`: looks into the log, offline or beside a running server, and never writes.
//!
//! Everything is read from log.db alone and folded here, so that it can be trusted when the views
//! cannot; only what a view says of itself, that a chat stands still in it, is read from the view.

mod chats;
mod events;
mod filter;
mod folded;
mod message;
mod state;
mod stats;
mod turn;

#[cfg(test)]
mod walk_test;

use std::ops::ControlFlow;
use std::path::Path;

use clap::Subcommand;
use scrollback_projections::message::Message;
use scrollback_schema::batch::SectionView;
use scrollback_schema::{Recorded, Seq};

use super::exit::Exit;
use super::output::{Out, say};
use crate::inspect::{Stretch, quoted};
use crate::log::offline::OfflineLog;
use crate::log::{PageLimits, Section};

/// Look into the log, offline or beside a running server; never writes
///
/// Reads log.db alone, whether a server runs on the directory or not, and says on stderr up to
/// which seq it saw the log. Nothing is written, neither to the files nor beside them.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  scrollback inspect chats                          List the chats
  scrollback inspect events --chat c1 --last 20     Show the last 20 events of a chat
  scrollback inspect events --kind error --since 2h Show what failed in the last two hours
  scrollback inspect message MESSAGE                Show a message as it is read, with its tools
  scrollback inspect turn TURN                      Show where the time of a turn went
  scrollback inspect state --at 4812                Show the chats as they were at a seq")]
pub(super) enum Inspect {
    Chats(chats::Chats),
    Events(Box<events::Events>),
    Message(message::ShowMessage),
    Turn(turn::ShowTurn),
    Stats(stats::Stats),
    State(state::State),
}

/// Runs one of the commands.
pub(super) fn run(data: &Path, args: &Inspect, out: &mut Out) -> anyhow::Result<Exit> {
    let mut log = OfflineLog::open(data)?;
    let head = log.head()?;
    say(&format!("head {head} of {} (log {})", data.join("log.db").display(), log.log_id()));
    match args {
        Inspect::Chats(args) => chats::run(&mut log, head, args, out),
        Inspect::Events(args) => events::run(&mut log, head, args, out),
        Inspect::Message(args) => message::run(&mut log, head, args, out),
        Inspect::Turn(args) => turn::run(&mut log, head, args, out),
        Inspect::Stats(args) => stats::run(&mut log, head, args, out),
        Inspect::State(args) => state::run(&mut log, head, args, out),
    }
}

/// Who is shown the events of a stretch.
pub(super) trait Visit {
    /// Is shown the place of an event.
    fn event(&mut self, section: &Section, index: usize) -> anyhow::Result<ControlFlow<()>>;

    /// Some more of the log was walked over: what was found so far should not wait.
    fn walked(&mut self, _through: Seq) -> anyhow::Result<()> {
        Ok(())
    }
}

impl<F: FnMut(&Section, usize) -> anyhow::Result<ControlFlow<()>>> Visit for F {
    fn event(&mut self, section: &Section, index: usize) -> anyhow::Result<ControlFlow<()>> {
        self(section, index)
    }
}

/// Shows each event, in order, until the visitor says stop; pages are read one by one.
pub(super) fn walk(
    log: &mut OfflineLog,
    stretch: &Stretch,
    visitor: &mut impl Visit,
) -> anyhow::Result<ControlFlow<()>> {
    let (mut after, until) = (stretch.after, stretch.until);
    // A small first page: the first line is there at once.
    let mut limits = PageLimits { events: 256, bytes: 64 << 10 };
    while after < until {
        let may_want = |section: &SectionView<'_>| stretch.may_want(section);
        let page = log.page_where(&stretch.scope, after, until, limits, &may_want)?;
        for section in &page.sections {
            for index in section.events_in(after, page.through) {
                if visitor.event(section, index)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        after = page.through;
        visitor.walked(after)?;
        limits = PageLimits::default();
    }
    Ok(ControlFlow::Continue(()))
}

/// Folds an event into a row; one that does not fit leaves the row as it is.
fn fold<P: scrollback_projections::Projection>(
    row: &mut Option<P::Row>,
    event: &Recorded,
) -> Option<String> {
    let failed = P::apply(row, event).err()?;
    Some(format!("seq {} cannot be applied to {}: {}", event.seq, P::NAME, failed.cause))
}

/// The beginning of a message's text on one line.
fn opening_words(message: &Message, n_chars: usize) -> String {
    let text = message.content_text().to_string();
    quoted(&text, n_chars)
}

/// Prints rows under their heads, columns aligned; the last column is as long as it is.
fn table(out: &mut Out, heads: &[&str], rows: &[Vec<String>]) -> std::io::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
    for row in std::iter::once(&heads).chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        out.line(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
