//! The way around rows of log.db that SQLite cannot read: where the next one is that it can.

use scrollback_schema::Seq;

use super::finding::Span;
use crate::log::offline::{OfflineError, OfflineLog};
use crate::log::reader::{Flow, live_rows_after};

/// The seqs from `first` on, at most to `head`, that cannot be read; the last one is [`Seq::MAX`]
/// if nothing behind them can.
pub(crate) fn unreadable_from(
    log: &mut OfflineLog,
    first: Seq,
    head: Seq,
) -> Result<Span, OfflineError> {
    let (mut last, mut step) = (Seq::MAX, 1u64);
    // Where the head is not known either, it is the greatest seq: the steps end there.
    while first.plus(step) <= head && first.plus(step) < Seq::MAX {
        if let Some(found) = readable_after(log, first.plus(step))? {
            last = found.prev().max(first);
            break;
        }
        step *= 2;
    }
    // The readable row was found in steps that double: look closer in the last of them.
    let mut low = first.plus(step / 2);
    while last != Seq::MAX && low < last {
        let middle = Seq::new(low.get().midpoint(last.get())).unwrap_or(low);
        match readable_after(log, middle)? {
            Some(found) if found <= last => last = found.prev().max(low),
            _ => low = middle.next(),
        }
    }
    Ok(Span { first, last })
}

/// The first seq of the first row at or behind `seq` that can be read, if reading succeeds there.
fn readable_after(log: &mut OfflineLog, seq: Seq) -> Result<Option<Seq>, OfflineError> {
    let mut first = None;
    let read = log.read_once(|store| {
        live_rows_after::<rusqlite::Error>(store.db, seq.prev(), |row| {
            first = Some(row.head.first_seq);
            Ok(Flow::Stop)
        })
    })?;
    Ok(if read.is_ok() { first } else { None })
}

/// Whether SQLite only says that others are in the way.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, OutOfMemory};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked | OutOfMemory))
}
