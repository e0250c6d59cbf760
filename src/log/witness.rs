//! The head witness: a small file that says how far the log had come.
//!
//! SQLite recovers a WAL up to its first bad frame and says nothing. The witness is written after
//! each commit and synced by the checkpoint thread; a log that ends before it has lost its tail.
//! Two slots are written in turn, so a torn write leaves the other one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use scrollback_schema::Seq;

const MAGIC: [u8; 4] = *b"SBH1";
const SLOT_BYTES: usize = 32;
/// Each slot has a disk sector of its own, so that one torn write cannot reach the other.
const SLOT_DISTANCE: u64 = 4096;

/// What the witness saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witnessed {
    /// The last committed seq that it noted.
    pub head: Seq,
    /// The checksum of the row that held it.
    pub checksum: u32,
}

/// The open file; the checkpoint thread has a handle of its own to sync it.
#[derive(Debug)]
pub(crate) struct Witness {
    file: Arc<File>,
    turn: u64,
    /// Notes that were written, for who syncs them.
    n_notes: Arc<AtomicU64>,
}

/// The witness as the one who syncs it has it.
#[derive(Debug)]
pub(crate) struct WitnessSync {
    file: Arc<File>,
    n_notes: Arc<AtomicU64>,
    /// How many notes there were when a sync failed, until one succeeds.
    failed_at: Option<u64>,
}

impl WitnessSync {
    /// Whether the last sync failed.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failed_at.is_some()
    }

    /// Brings what was noted to disk; whether that was done. After a failure it is tried again once
    /// there is a new note: the system has forgotten the old one, and would claim success.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub(crate) fn sync(&mut self) -> Result<bool, io::Error> {
        let n_notes = self.n_notes.load(Ordering::Acquire);
        if self.failed_at == Some(n_notes) {
            return Ok(false);
        }
        match self.file.sync_data() {
            Ok(()) => {
                self.failed_at = None;
                Ok(true)
            }
            Err(error) => {
                self.failed_at = Some(n_notes);
                Err(error)
            }
        }
    }
}

impl Witness {
    /// Opens the file, makes it if it is missing, and reads what it saw.
    pub(crate) fn open(path: &Path) -> Result<(Witness, Option<Witnessed>), io::Error> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let (witnessed, turn) = read_slots(&file)?;
        let (file, n_notes) = (Arc::new(file), Arc::new(AtomicU64::new(0)));
        Ok((Witness { file, turn: turn + 1, n_notes }, witnessed))
    }

    /// What syncs the file.
    pub(crate) fn handle(&self) -> WitnessSync {
        let (file, n_notes) = (Arc::clone(&self.file), Arc::clone(&self.n_notes));
        WitnessSync { file, n_notes, failed_at: None }
    }

    /// Notes a head; in the page cache on return, on disk after the next sync.
    ///
    /// # Errors
    ///
    /// The operating system's. It is no failure of the log: the witness lags, and notices less.
    pub(crate) fn note(&mut self, head: Seq, checksum: u32) -> Result<(), io::Error> {
        let mut slot = [0u8; SLOT_BYTES];
        slot[0..4].copy_from_slice(&MAGIC);
        slot[4..12].copy_from_slice(&self.turn.to_le_bytes());
        slot[12..20].copy_from_slice(&head.get().to_le_bytes());
        slot[20..24].copy_from_slice(&checksum.to_le_bytes());
        let crc = crc32c::crc32c(&slot[..24]);
        slot[24..28].copy_from_slice(&crc.to_le_bytes());
        self.file.write_all_at(&slot, (self.turn % 2) * SLOT_DISTANCE)?;
        self.turn += 1;
        self.n_notes.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Brings what was noted to disk.
    pub(crate) fn sync(&self) -> Result<(), io::Error> {
        self.file.sync_data()
    }
}

/// Reads a witness without changing it; `None` if it never saw anything.
///
/// # Errors
///
/// The operating system's; a missing file is `None`.
pub fn read(path: &Path) -> Result<Option<Witnessed>, io::Error> {
    match File::open(path) {
        Ok(file) => Ok(read_slots(&file)?.0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_slots(file: &File) -> Result<(Option<Witnessed>, u64), io::Error> {
    let mut best: (Option<Witnessed>, u64) = (None, 0);
    for place in [0, SLOT_DISTANCE] {
        let mut slot = [0u8; SLOT_BYTES];
        match file.read_exact_at(&mut slot, place) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            Err(error) => return Err(error),
        }
        let u32_at =
            |at: usize| u32::from_le_bytes([slot[at], slot[at + 1], slot[at + 2], slot[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | (u64::from(u32_at(at + 4)) << 32);
        if slot[0..4] != MAGIC || u32_at(24) != crc32c::crc32c(&slot[..24]) {
            continue;
        }
        let (turn, head) = (u64_at(4), Seq::new(u64_at(12)));
        if let Some(head) = head
            && (best.0.is_none() || turn > best.1)
        {
            best = (Some(Witnessed { head, checksum: u32_at(20) }), turn);
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_whole_note_wins_and_a_torn_one_falls_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("head");
        assert_eq!(read(&path).unwrap(), None);
        let (mut witness, seen) = Witness::open(&path).unwrap();
        assert_eq!(seen, None);
        for n in 1..=3 {
            witness.note(Seq::new(n).unwrap(), n as u32 * 10).unwrap();
        }
        let three = Witnessed { head: Seq::new(3).unwrap(), checksum: 30 };
        assert_eq!(read(&path).unwrap(), Some(three));
        let (mut again, seen) = Witness::open(&path).unwrap();
        assert_eq!(seen, Some(three));
        let torn = (again.turn % 2) * SLOT_DISTANCE;
        again.note(Seq::new(4).unwrap(), 40).unwrap();
        again.file.write_all_at(b"xx", torn + 13).unwrap();
        assert_eq!(read(&path).unwrap(), Some(three));
    }
}
