//! What a process did to its files, in order: read from what `io_recorder.c` wrote down.
//!
//! The test writes marks into the same file: each is one append, so that a mark stands after every
//! operation that the server had done when it answered.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    /// Bytes were written at an offset.
    Write { name: String, offset: u64, bytes: Vec<u8> },
    /// The file was cut, or grown with zeros.
    Truncate { name: String, length: u64 },
    /// Everything that had happened to the file is on disk, or what exists in the directory.
    Sync { name: String },
    /// The file was made.
    Create { name: String },
    /// The file was removed.
    Unlink { name: String },
    /// The file has another name from now on; what had that one is gone.
    Rename { from: String, to: String },
    /// The directory was made.
    MakeDir { name: String },
    /// The server had answered something by now.
    Mark(Mark),
}

/// What the server had promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// These events are there.
    Appended { first: u64, last: u64 },
    /// The chat whose tombstone has this seq has no text left.
    Erased { tombstone: u64 },
}

const MARK_APPENDED: u8 = 100;
const MARK_ERASED: u8 = 101;
const HEAD_BYTES: usize = 21;

/// Appends marks to a record that a server is writing.
#[derive(Debug)]
pub(super) struct Marker(File);

impl Marker {
    pub(super) fn new(record: &Path) -> Marker {
        Marker(OpenOptions::new().append(true).create(true).open(record).unwrap())
    }

    pub(super) fn mark(&self, mark: Mark) {
        let (op, a, b) = match mark {
            Mark::Appended { first, last } => (MARK_APPENDED, first, last),
            Mark::Erased { tombstone } => (MARK_ERASED, tombstone, 0),
        };
        let mut out = vec![op];
        out.extend(0_u32.to_le_bytes());
        out.extend(a.to_le_bytes());
        out.extend(8_u64.to_le_bytes());
        out.extend(b.to_le_bytes());
        assert_eq!((&self.0).write(&out).unwrap(), out.len());
    }
}

/// Reads a record; operations on files that `wanted` refuses are left out.
pub(super) fn read(record: &Path, wanted: impl Fn(&str) -> bool) -> Vec<Op> {
    let bytes = std::fs::read(record).unwrap();
    let (mut ops, mut at) = (Vec::new(), 0);
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    while at < bytes.len() {
        let op = bytes[at];
        let name_bytes = u32::from_le_bytes(bytes[at + 1..at + 5].try_into().unwrap()) as usize;
        let (offset, n) = (number(at + 5), number(at + 13) as usize);
        at += HEAD_BYTES;
        let name = std::str::from_utf8(&bytes[at..at + name_bytes]).unwrap().to_owned();
        at += name_bytes;
        let data = &bytes[at..at + n];
        at += n;
        let mark = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap());
        let op = match op {
            MARK_APPENDED => Op::Mark(Mark::Appended { first: offset, last: mark(data) }),
            MARK_ERASED => Op::Mark(Mark::Erased { tombstone: offset }),
            _ if !wanted(&name) => continue,
            1 => Op::Write { name, offset, bytes: data.to_vec() },
            2 => Op::Truncate { name, length: offset },
            3 => Op::Sync { name },
            4 => Op::Create { name },
            5 => Op::Unlink { name },
            6 => Op::Rename { from: name, to: std::str::from_utf8(data).unwrap().to_owned() },
            11 => Op::MakeDir { name },
            other => panic!("operation {other} on {name}: the log has no use for it"),
        };
        ops.push(op);
    }
    ops
}
