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
    /// The directories within, and whether they are there for sure.
    dirs: BTreeMap<String, bool>,
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
    Write {
        offset: u64,
        bytes: Vec<u8>,
    },
    Truncate {
        length: u64,
    },
    Create,
    Unlink,
    /// Another file got the name, which had this content and may still lose some of it.
    Replace(FileState),
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
            Op::Rename { from, to } => {
                let file = self.files.get(from).cloned().unwrap_or_default();
                self.files.entry(from.clone()).or_default().pending.push(Change::Unlink);
                (to, Change::Replace(file))
            }
            Op::MakeDir { name } => {
                self.dirs.insert(name.clone(), false);
                return;
            }
            Op::Sync { name } => return self.sync(name),
            Op::Mark(_) => return,
        };
        self.files.entry(name.clone()).or_default().pending.push(change);
    }

    fn sync(&mut self, name: &str) {
        if name != "." && !self.dirs.contains_key(name) {
            let file = self.files.entry(name.to_owned()).or_default();
            file.durable = std::mem::take(file).content();
            return;
        }
        let files = self.files.iter_mut().filter(|(file, _)| dir_of(file) == name);
        files.for_each(|(_, file)| file.sync_existence());
        let dirs = self.dirs.iter_mut().filter(|(dir, _)| dir_of(dir) == name);
        dirs.for_each(|(_, is_durable)| *is_durable = true);
    }

    /// How many changes are not synced.
    pub(super) fn n_pending(&self) -> usize {
        self.files.values().map(|file| file.pending.len()).sum()
    }

    /// Writes one of the images that a loss of power may leave into an empty directory.
    pub(super) fn write_image(&self, dir: &Path, rng: &mut Rng) {
        let keep = *rng.pick(&[Keep::Nothing, Keep::Everything, Keep::Some, Keep::Most]);
        let mut made = vec!["."];
        for (name, is_durable) in &self.dirs {
            if *is_durable || keep.keeps(rng) {
                std::fs::create_dir(dir.join(name)).unwrap();
                made.push(name);
            }
        }
        for (name, file) in &self.files {
            if let Some(content) = file.drawn(keep, rng)
                && made.contains(&dir_of(name))
            {
                std::fs::write(dir.join(name), content).unwrap();
            }
        }
    }
}

/// The directory that a file is in.
fn dir_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(".", |(dir, _)| dir)
}

impl Keep {
    fn keeps(self, rng: &mut Rng) -> bool {
        match self {
            Keep::Nothing => false,
            Keep::Everything => true,
            Keep::Some => rng.one_in(2),
            Keep::Most => !rng.one_in(8),
        }
    }
}

impl FileState {
    /// The content with everything that happened.
    fn content(self) -> Option<Vec<u8>> {
        self.pending.into_iter().fold(self.durable, |content, change| change.done_to(content))
    }

    /// A content that may be left of it.
    fn drawn(&self, keep: Keep, rng: &mut Rng) -> Option<Vec<u8>> {
        let mut content = self.durable.clone();
        for change in &self.pending {
            if !keep.keeps(rng) {
                continue;
            }
            match change {
                Change::Write { offset, bytes } if matches!(keep, Keep::Some) && rng.one_in(2) => {
                    tear(&mut content, *offset, bytes, rng);
                }
                // It has the name, whatever is left of it.
                Change::Replace(file) => content = file.drawn(keep, rng).or(Some(vec![])),
                change => content = change.clone().done_to(content),
            }
        }
        content
    }

    /// The directory was synced: that the file was made, removed or renamed is durable, its content
    /// is not.
    fn sync_existence(&mut self) {
        let is_end = |change: &Change| matches!(change, Change::Unlink | Change::Replace(_));
        if let Some(at) = self.pending.iter().rposition(is_end) {
            let mut since = self.pending.split_off(at);
            *self = match since.remove(0) {
                Change::Replace(file) => {
                    FileState { durable: Some(file.durable.unwrap_or_default()), ..file }
                }
                _ => FileState::default(),
            };
            self.pending.append(&mut since);
        }
        let n_before = self.pending.len();
        self.pending.retain(|change| !matches!(change, Change::Create));
        if self.pending.len() < n_before {
            self.durable.get_or_insert_default();
        }
    }
}

impl Change {
    fn done_to(self, mut content: Option<Vec<u8>>) -> Option<Vec<u8>> {
        match self {
            Change::Write { offset, bytes } => put(&mut content, offset, &bytes),
            Change::Truncate { length } => {
                content.get_or_insert_default().resize(length as usize, 0);
            }
            Change::Create => drop(content.get_or_insert_default()),
            Change::Unlink => return None,
            Change::Replace(file) => return file.content(),
        }
        content
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
