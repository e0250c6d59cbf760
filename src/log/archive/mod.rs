//! The archive: the oldest part of the log, in compressed segment files beside log.db.
//!
//! Reading is here: open files and unpacked blocks are kept at hand, a few of each. What a file
//! holds byte by byte is in `format`, which files there are in `table`, making and replacing them
//! in `cut`. Readers of the log do not come here: `reader` does, where log.db has no row.

mod cut;
mod format;
mod plan;
mod table;

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use rusqlite::Connection;
use scrollback_schema::Seq;

pub(crate) use cut::{CutError, Segmented, cut, erase_in, remove_orphans};
use format::{Block, FormatError, HEAD_BYTES, TAIL_BYTES, Tail};
pub(crate) use plan::plan;
pub use plan::{ArchiveBounds, ArchivePlan};
pub use table::{ArchiveTotals, SegmentEntry};
pub(crate) use table::{all, archived_through, from, record, replace, totals};

use super::reader::{Flow, Row};

/// Files that are kept open.
const FILES_MAX: NonZeroUsize = NonZeroUsize::new(32).expect("not zero");

/// Unpacked blocks that are kept, some 128 KiB each: as many as readers read at once.
const BLOCKS_MAX: NonZeroUsize = NonZeroUsize::new(32).expect("not zero");

/// Where the segment files of a data directory are.
pub(crate) fn archive_dir(data: &Path) -> PathBuf {
    data.join("archive")
}

/// Why a segment cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// Its file is not there.
    #[error(
        "archive file {} with seq {first} to {last} is missing; put it back from a backup",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The first seq that is missing with it.
        first: Seq,
        /// The last one.
        last: Seq,
    },
    /// Its file is not what was written.
    #[error(
        "archive file {} is damaged at seq {first} to {last} ({what}); put it back from a backup",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first seq that cannot be read.
        first: Seq,
        /// The last one.
        last: Seq,
        /// What is wrong.
        what: String,
    },
    /// The operating system does not give it.
    #[error(
        "archive file {} with seq {first} to {last} cannot be read; check its permissions and \
         its disk",
        path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// The first seq that cannot be read.
        first: Seq,
        /// The last one.
        last: Seq,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
}

impl SegmentError {
    /// The seqs that cannot be read.
    pub const fn span(&self) -> (Seq, Seq) {
        match self {
            SegmentError::Missing { first, last, .. }
            | SegmentError::Damaged { first, last, .. }
            | SegmentError::Io { first, last, .. } => (*first, *last),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            SegmentError::Missing { path, .. }
            | SegmentError::Damaged { path, .. }
            | SegmentError::Io { path, .. } => path,
        }
    }

    /// What is wrong with the file, without its name.
    pub fn what(&self) -> String {
        match self {
            SegmentError::Missing { .. } => "it is missing".to_owned(),
            SegmentError::Damaged { what, .. } => what.clone(),
            SegmentError::Io { source, .. } => source.to_string(),
        }
    }
}

/// An open segment file.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: File,
    blocks: Vec<Block>,
}

/// A block: its file's name, and its first seq.
type BlockOf = (String, Seq);

/// The segment files of a data directory, as they are read.
pub(crate) struct Archive {
    dir: PathBuf,
    files: Mutex<LruCache<String, Arc<Segment>>>,
    unpacked: Mutex<LruCache<BlockOf, Arc<[Row]>>>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("dir", &self.dir).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Archive {
    /// The archive of a data directory, of which nothing is opened yet.
    pub(crate) fn new(data: &Path) -> Archive {
        Archive {
            dir: archive_dir(data),
            files: Mutex::new(LruCache::new(FILES_MAX)),
            unpacked: Mutex::new(LruCache::new(BLOCKS_MAX)),
        }
    }

    /// The directory of the files.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Forgets a file that was replaced, and what was unpacked of it.
    pub(crate) fn forget(&self, file: &str) {
        lock(&self.files).pop(file);
        let mut unpacked = lock(&self.unpacked);
        let of_file: Vec<_> =
            unpacked.iter().map(|(key, _)| key.clone()).filter(|key| key.0 == file).collect();
        for key in of_file {
            unpacked.pop(&key);
        }
    }

    /// Looks whether a file is there and is the one that was recorded; its blocks are not read.
    ///
    /// # Errors
    ///
    /// [`SegmentError`].
    pub(crate) fn check(&self, entry: &SegmentEntry) -> Result<(), SegmentError> {
        self.open(entry).map(|_| ())
    }

    fn open(&self, entry: &SegmentEntry) -> Result<Arc<Segment>, SegmentError> {
        if let Some(segment) = lock(&self.files).get(&entry.file) {
            return Ok(Arc::clone(segment));
        }
        let segment = Arc::new(open(self.dir.join(&entry.file), entry)?);
        lock(&self.files).put(entry.file.clone(), Arc::clone(&segment));
        Ok(segment)
    }

    fn rows(
        &self,
        entry: &SegmentEntry,
        segment: &Segment,
        block: &Block,
    ) -> Result<Arc<[Row]>, SegmentError> {
        let key = (entry.file.clone(), block.first_seq);
        if let Some(rows) = lock(&self.unpacked).get(&key) {
            return Ok(Arc::clone(rows));
        }
        let rows: Arc<[Row]> = read_block(segment, block)?.into();
        lock(&self.unpacked).put(key, Arc::clone(&rows));
        Ok(rows)
    }

    /// The rows of the segment from the block on that holds `from`, a block at a time, until `f`
    /// says stop; whether it did.
    fn walk<E: From<SegmentError>>(
        &self,
        entry: &SegmentEntry,
        from: Seq,
        f: &mut impl FnMut(&Row) -> Result<Flow, E>,
    ) -> Result<Flow, E> {
        let segment = self.open(entry)?;
        let start = segment.blocks.partition_point(|block| block.last_seq < from);
        for block in &segment.blocks[start..] {
            for row in self.rows(entry, &segment, block)?.iter() {
                if row.head.last_seq() >= from && f(row)? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
        }
        Ok(Flow::Go)
    }

    /// As [`Archive::walk`], from the row that holds `until` on backwards.
    fn walk_back<E: From<SegmentError>>(
        &self,
        entry: &SegmentEntry,
        until: Seq,
        f: &mut impl FnMut(&Row) -> Result<Flow, E>,
    ) -> Result<Flow, E> {
        let segment = self.open(entry)?;
        let end = segment.blocks.partition_point(|block| block.first_seq <= until);
        for block in segment.blocks[..end].iter().rev() {
            for row in self.rows(entry, &segment, block)?.iter().rev() {
                if row.head.first_seq <= until && f(row)? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
        }
        Ok(Flow::Go)
    }

    /// Calls `f` with each archived row that holds events from `from` on, in order, up to `until`
    /// or until it says stop.
    ///
    /// # Errors
    ///
    /// SQLite's, the archive's, or `f`'s.
    pub(crate) fn rows_from<E: From<rusqlite::Error> + From<SegmentError>>(
        &self,
        db: &Connection,
        mut from: Seq,
        f: &mut impl FnMut(&Row) -> Result<Flow, E>,
    ) -> Result<Flow, E> {
        while let Some(entry) = table::from(db, from)? {
            if self.walk(&entry, from, f)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
            from = entry.last_seq.next();
        }
        Ok(Flow::Go)
    }

    /// Calls `f` with each archived row from the one on that holds `until`, backwards, until it
    /// says stop.
    ///
    /// # Errors
    ///
    /// SQLite's, the archive's, or `f`'s.
    pub(crate) fn rows_back<E: From<rusqlite::Error> + From<SegmentError>>(
        &self,
        db: &Connection,
        mut until: Seq,
        f: &mut impl FnMut(&Row) -> Result<Flow, E>,
    ) -> Result<Flow, E> {
        while let Some(entry) = table::back_from(db, until)? {
            if self.walk_back(&entry, until, f)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
            until = entry.first_seq.prev();
        }
        Ok(Flow::Go)
    }
}

fn open(path: PathBuf, entry: &SegmentEntry) -> Result<Segment, SegmentError> {
    let (first, last) = (entry.first_seq, entry.last_seq);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SegmentError::Missing { path, first, last });
        }
        Err(source) => return Err(SegmentError::Io { path, first, last, source }),
    };
    match read_index(&file, entry) {
        Ok(Ok(blocks)) => Ok(Segment { path, file, blocks }),
        Ok(Err(error)) => Err(SegmentError::Damaged { path, first, last, what: error.to_string() }),
        Err(source) => Err(SegmentError::Io { path, first, last, source }),
    }
}

fn read_index(
    file: &File,
    entry: &SegmentEntry,
) -> Result<Result<Vec<Block>, FormatError>, io::Error> {
    let n_bytes = file.metadata()?.len();
    if n_bytes < (HEAD_BYTES + TAIL_BYTES) as u64 {
        return Ok(Err(FormatError::CutShort));
    }
    let (mut head, mut tail) = ([0; HEAD_BYTES], [0; TAIL_BYTES]);
    file.read_exact_at(&mut head, 0)?;
    file.read_exact_at(&mut tail, n_bytes - TAIL_BYTES as u64)?;
    let tail = match Tail::parse(&tail, n_bytes) {
        Ok(tail) => tail,
        Err(error) => return Ok(Err(error)),
    };
    let (at, len) = tail.index();
    let mut index = vec![0; len];
    file.read_exact_at(&mut index, at)?;
    Ok(tail.blocks(&head, &index).and_then(|blocks| {
        let is_recorded = tail.index_crc == entry.checksum
            && blocks.first().is_some_and(|block| block.first_seq == entry.first_seq)
            && blocks.last().is_some_and(|block| block.last_seq == entry.last_seq);
        if is_recorded { Ok(blocks) } else { Err(FormatError::Other) }
    }))
}

fn read_packed(segment: &Segment, block: &Block) -> Result<Vec<u8>, SegmentError> {
    let mut packed = vec![0; block.len as usize];
    let (first, last) = (block.first_seq, block.last_seq);
    segment.file.read_exact_at(&mut packed, block.at).map_err(|source| SegmentError::Io {
        path: segment.path.clone(),
        first,
        last,
        source,
    })?;
    Ok(packed)
}

fn read_block(segment: &Segment, block: &Block) -> Result<Vec<Row>, SegmentError> {
    let packed = read_packed(segment, block)?;
    format::unpack(block, &packed).map_err(|error| SegmentError::Damaged {
        path: segment.path.clone(),
        first: block.first_seq,
        last: block.last_seq,
        what: error.to_string(),
    })
}
