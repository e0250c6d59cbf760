//! A disk that loses its power: what is on it for sure, and what may be.
//!
//! What a file's last sync covered is there. Of what came after, any subset may be, each write as
//! whole or torn at the borders of sectors, each change of length or existence or not. This is the
//! weakest promise that a disk with working syncs gives.

use std::collections::BTreeMap;
use std::path::Path;

use scrollback_test_support::rng::Rng;

use super::recording::Op;

const SECTOR: u64 = 512;

/// The files that the record tells of.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    files: BTreeMap<String, FileState>,
}

#[derive(Debug, Clone, Default)]
struct FileState {
    /// Content as of the last sync; `None` if the file was not there.
    durable: Option<Vec<u8>>,
    /// What happened since.
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Truncate { length: u64 },
    Create,
    Unlink,
}

/// How much of what was not synced an image keeps.
#[derive(Debug, Clone, Copy)]
enum Keep {
    Nothing,
    Everything,
    /// Each change in one of two cases, and every second write torn.
    Some,
    /// All but one in eight.
    Most,
}

impl Disk {
    /// Takes the next operation.
    pub(super) fn apply(&mut self, op: &Op) {
        let (name, change) = match op {
            Op::Write { name, offset, bytes } => {
                (name, Change::Write { offset: *offset, bytes: bytes.clone() })
            }
            Op::Truncate { name, length } => (name, Change::Truncate { length: *length }),
            Op::Create { name } => (name, Change::Create),
            Op::Unlink { name } => (name, Change::Unlink),
            Op::Sync { name } if name == "." => {
                self.files.values_mut().for_each(FileState::sync_existence);
                return;
            }
            Op::Sync { name } => {
                let file = self.files.entry(name.clone()).or_default();
                let mut content = file.durable.take();
                for change in file.pending.drain(..) {
                    change.apply(&mut content);
                }
                file.durable = content;
                return;
            }
            Op::Mark(_) => return,
        };
        self.files.entry(name.clone()).or_default().pending.push(change);
    }

    /// How many changes are not synced.
    pub(super) fn n_pending(&self) -> usize {
        self.files.values().map(|file| file.pending.len()).sum()
    }

    /// Writes one of the images that a loss of power may leave into an empty directory.
    pub(super) fn write_image(&self, dir: &Path, rng: &mut Rng) {
        let keep = *rng.pick(&[Keep::Nothing, Keep::Everything, Keep::Some, Keep::Most]);
        for (name, file) in &self.files {
            let mut content = file.durable.clone();
            for change in &file.pending {
                let is_kept = match keep {
                    Keep::Nothing => false,
                    Keep::Everything => true,
                    Keep::Some => rng.one_in(2),
                    Keep::Most => !rng.one_in(8),
                };
                if !is_kept {
                    continue;
                }
                match change {
                    Change::Write { offset, bytes }
                        if matches!(keep, Keep::Some) && rng.one_in(2) =>
                    {
                        tear(&mut content, *offset, bytes, rng);
                    }
                    change => change.clone().apply(&mut content),
                }
            }
            if let Some(content) = content {
                std::fs::write(dir.join(name), content).unwrap();
            }
        }
    }
}

impl FileState {
    /// The directory was synced: that the file was made or removed is durable, its content is not.
    fn sync_existence(&mut self) {
        let is_unlink = |change: &Change| matches!(change, Change::Unlink);
        if let Some(at) = self.pending.iter().rposition(is_unlink) {
            self.durable = None;
            self.pending.drain(..=at);
        }
        let n_before = self.pending.len();
        self.pending.retain(|change| !matches!(change, Change::Create));
        if self.pending.len() < n_before {
            self.durable.get_or_insert_default();
        }
    }
}

impl Change {
    fn apply(self, content: &mut Option<Vec<u8>>) {
        match self {
            Change::Write { offset, bytes } => put(content, offset, &bytes),
            Change::Truncate { length } => {
                content.get_or_insert_default().resize(length as usize, 0);
            }
            Change::Create => drop(content.get_or_insert_default()),
            Change::Unlink => *content = None,
        }
    }
}

fn put(content: &mut Option<Vec<u8>>, offset: u64, bytes: &[u8]) {
    let content = content.get_or_insert_default();
    let (from, to) = (offset as usize, offset as usize + bytes.len());
    if content.len() < to {
        content.resize(to, 0);
    }
    content[from..to].copy_from_slice(bytes);
}

/// Puts only some of the sectors that a write touches.
fn tear(content: &mut Option<Vec<u8>>, offset: u64, bytes: &[u8], rng: &mut Rng) {
    let end = offset + bytes.len() as u64;
    let mut at = offset;
    while at < end {
        let next = (at / SECTOR * SECTOR + SECTOR).min(end);
        if rng.one_in(2) {
            put(content, at, &bytes[(at - offset) as usize..(next - offset) as usize]);
        }
        at = next;
    }
}
