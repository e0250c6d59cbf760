//! How much of the log may be archived: the longest beginning in which nothing is unfinished.
//!
//! An open turn, a pending request and a queued message keep everything from their own beginning on
//! in log.db. A chat that is finished now and goes on later does not: whoever reads it reads over
//! the border without noticing. The last row stays in any case, so that log.db alone knows the
//! head.

use rusqlite::Connection;
use scrollback_schema::{Millis, Seq};

use super::table;
use crate::log::ReadError;
use crate::log::reader::{Store, last_row, seq_before};
use crate::log::turn_guard::Space;

/// What is asked to be archived; each bound narrows it, and without any it is all that may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArchiveBounds {
    /// Nothing from this seq on.
    pub before: Option<Seq>,
    /// Nothing that was committed at this instant or later.
    pub older_than: Option<Millis>,
}

/// What may be archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivePlan {
    /// The last seq that is in the archive.
    pub archived_through: Seq,
    /// The last seq that may go there; not behind `archived_through` if nothing may.
    pub through: Seq,
    /// The first seq of something unfinished, if it keeps events in log.db that were asked for.
    pub held_at: Option<Seq>,
}

impl ArchivePlan {
    /// Events that may go.
    pub const fn n_events(&self) -> u64 {
        self.through.get().saturating_sub(self.archived_through.get())
    }
}

/// Says what may be archived, as one transaction sees it.
///
/// # Errors
///
/// [`ReadError`] if the log cannot be read.
pub(crate) fn plan(store: Store<'_>, bounds: &ArchiveBounds) -> Result<ArchivePlan, ReadError> {
    let db = store.db;
    let archived_through = table::archived_through(db)?;
    let mut through = last_row(db)?.unwrap_or_default().prev();
    if let Some(before) = bounds.before {
        through = through.min(before.prev());
    }
    if let Some(at) = bounds.older_than {
        through = through.min(seq_before(store, at)?);
    }
    let held_at = first_unfinished(db)?.filter(|first| *first <= through);
    if let Some(first) = held_at {
        through = first.prev();
    }
    Ok(ArchivePlan { archived_through, through, held_at })
}

/// Where the oldest open turn, pending request or queued message began.
fn first_unfinished(db: &Connection) -> Result<Option<Seq>, rusqlite::Error> {
    let turns = "SELECT min(started_seq) FROM turn WHERE ended_seq IS NULL".to_owned();
    let ids = [Space::Request, Space::Queued].map(|space| {
        format!(
            "SELECT min(seq) FROM register WHERE is_open = 1 AND space = {}
             AND chat NOT IN (SELECT created_seq FROM chat WHERE deleted_seq IS NOT NULL)",
            space as u8
        )
    });
    let mut first = None;
    for sql in ids.iter().chain([&turns]) {
        let found: Option<i64> = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        let found = found.and_then(Seq::from_i64);
        first = match (first, found) {
            (Some(one), Some(other)) => Some(std::cmp::min::<Seq>(one, other)),
            (one, other) => one.or(other),
        };
    }
    Ok(first)
}
