//! An event as it stands in the file: its bytes, and the record batch that holds it.

use scrollback_schema::Seq;
use scrollback_schema::batch::{PayloadState, RowHead, sections};

use super::{OfflineError, OfflineLog};
use crate::log::ReadError;
use crate::log::reader::{self, Flow};

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredForm {
    /// Number of its kind.
    pub kind: u16,
    /// Version of its payload's shape.
    pub version: u8,
    /// Its payload, format byte included.
    pub payload: Vec<u8>,
    /// How the payloads of its section agree with their checksum.
    pub state: PayloadState,
    /// The row that holds it.
    pub batch: Batch,
}

/// A row of the log, without its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Its seqs, its instant and its commit.
    pub head: RowHead,
    /// Bytes of its records.
    pub n_bytes: usize,
    /// Continues that of the row before.
    pub checksum: u32,
}

impl OfflineLog {
    /// The event at `seq` as it is stored; none if the log does not reach so far.
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if it cannot be read.
    pub fn stored(&mut self, seq: Seq) -> Result<Option<StoredForm>, OfflineError> {
        self.read(|store, _| {
            let mut found = None;
            reader::rows_after::<ReadError>(store, seq.prev(), |row| {
                found = find(&row, seq)?;
                Ok(Flow::Stop)
            })?;
            Ok(found)
        })
    }
}

fn find(row: &reader::Row, seq: Seq) -> Result<Option<StoredForm>, ReadError> {
    let mut first_seq = row.head.first_seq;
    for section in sections(&row.records) {
        let section = section.map_err(|source| ReadError::Damaged { seq: first_seq, source })?;
        let end = first_seq.plus(section.n_events);
        if (first_seq..end).contains(&seq) {
            let index = (seq.get() - first_seq.get()) as usize;
            return Ok(section.events().nth(index).map(|(head, payload)| StoredForm {
                kind: head.kind,
                version: head.version,
                payload: payload.to_vec(),
                state: section.payload_state(),
                batch: Batch { head: row.head, n_bytes: row.records.len(), checksum: row.checksum },
            }));
        }
        first_seq = end;
    }
    Ok(None)
}
