//! Making segment files, replacing them when a chat is erased, and clearing away what is none.
//!
//! A file is written under a temporary name, synced, named, and its directory is synced; only then
//! does the writer record it. So a file that the log knows is whole, and one that it does not know
//! is what a crash left behind.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use scrollback_schema::batch::{self, BatchError};
use scrollback_schema::{ChatRef, Seq};

use super::format::{Builder, Built};
use super::table::{self, SegmentEntry};
use super::{Archive, SegmentError, read_packed};
use crate::log::reader::{Flow, Row, live_rows_after};

/// What a file's name ends with, and what it ends with until it is whole.
const SUFFIX: &str = ".seg";
const SUFFIX_TMP: &str = ".seg.tmp";

/// A segment file that is whole and not recorded yet.
#[derive(Debug)]
pub(crate) struct Segmented {
    pub(crate) entry: SegmentEntry,
    /// Rows of log.db that it holds.
    pub(crate) n_rows: usize,
    /// Bytes of their records.
    pub(crate) n_raw_bytes: u64,
}

/// Why no segment was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CutError {
    #[error("the log could not be read")]
    Storage(#[from] rusqlite::Error),
    #[error("cannot write {}; check the room on its disk", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("row at seq {seq} is damaged; run `scrollback verify`")]
    Damaged {
        seq: Seq,
        #[source]
        source: BatchError,
    },
}

/// Makes a file of the oldest rows of log.db, up to `through`, of `bytes` of records or the row
/// that passes them; none if there are none. With `is_whole`, none either if there are fewer bytes.
///
/// # Errors
///
/// [`CutError`]; what was written under a temporary name goes at the next opening.
pub(crate) fn cut(
    archive: &Archive,
    db: &Connection,
    through: Seq,
    bytes: u64,
    is_whole: bool,
) -> Result<Option<Segmented>, CutError> {
    let after = table::archived_through(db)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut n_raw_bytes = 0;
    live_rows_after::<rusqlite::Error>(db, after, |row| {
        if row.head.last_seq() > through {
            return Ok(Flow::Stop);
        }
        n_raw_bytes += row.records.len() as u64;
        rows.push(row);
        Ok(if n_raw_bytes >= bytes { Flow::Stop } else { Flow::Go })
    })?;
    let Some(first) = rows.first().filter(|_| !is_whole || n_raw_bytes >= bytes) else {
        return Ok(None);
    };
    let failed = |source| CutError::Io { path: archive.dir().to_owned(), source };
    let mut builder = Builder::new(first.head.first_seq);
    for row in &rows {
        builder.push(row).map_err(failed)?;
    }
    let Some(built) = builder.finish().map_err(failed)? else { return Ok(None) };
    let entry = write(archive.dir(), built, 1)?;
    Ok(Some(Segmented { entry, n_rows: rows.len(), n_raw_bytes }))
}

/// Makes a file that is as a segment's, but without the payloads of a chat; none if it has none of
/// them. Answers how many events were erased, too.
///
/// # Errors
///
/// [`CutError`]; the segment is then as before.
pub(crate) fn erase_in(
    archive: &Archive,
    entry: &SegmentEntry,
    chat: &ChatRef,
    tombstone: Seq,
) -> Result<(Option<SegmentEntry>, u64), CutError> {
    let failed = |source| CutError::Io { path: archive.dir().to_owned(), source };
    let segment = archive.open(entry)?;
    let (mut builder, mut n_erased) = (Builder::new(entry.first_seq), 0);
    for block in &segment.blocks {
        let mut rows = super::read_block(&segment, block)?;
        let mut n_in_block = 0;
        for row in &mut rows {
            let mut records = row.records.to_vec();
            let seq = row.head.first_seq;
            n_in_block += batch::erase(&mut records, seq, chat.created, &[tombstone])
                .map_err(|source| CutError::Damaged { seq, source })?;
            row.records = records.into();
        }
        if n_in_block == 0 {
            builder.push_block(block, &read_packed(&segment, block)?).map_err(failed)?;
            continue;
        }
        n_erased += n_in_block;
        for row in &rows {
            builder.push(row).map_err(failed)?;
        }
    }
    let Some(built) = builder.finish().map_err(failed)?.filter(|_| n_erased > 0) else {
        return Ok((None, 0));
    };
    let made = write(archive.dir(), built, revision_of(&entry.file) + 1)?;
    Ok((Some(made), n_erased))
}

/// Writes a file: it has its name only once it is whole and on disk.
fn write(dir: &Path, built: Built, revision: u64) -> Result<SegmentEntry, CutError> {
    let Built { bytes, first_seq, last_seq, checksum } = built;
    let file = format!("{:012}-{:012}.{revision}{SUFFIX}", first_seq.get(), last_seq.get());
    let path = dir.join(&file);
    let written = (|| {
        make_dir(dir)?;
        let tmp = dir.join(format!("{}{SUFFIX_TMP}", file.trim_end_matches(SUFFIX)));
        let mut new = File::create(&tmp)?;
        new.write_all(&bytes)?;
        new.sync_all()?;
        drop(new);
        fail::fail_point!("archive-before-rename");
        fs::rename(&tmp, &path)?;
        sync_dir(dir)
    })();
    written.map_err(|source| CutError::Io { path, source })?;
    fail::fail_point!("archive-before-record");
    Ok(SegmentEntry { first_seq, last_seq, file, n_bytes: bytes.len() as u64, checksum })
}

fn make_dir(dir: &Path) -> Result<(), io::Error> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    dir.parent().map_or(Ok(()), sync_dir)
}

/// Brings the names of a directory to disk.
fn sync_dir(dir: &Path) -> Result<(), io::Error> {
    File::open(dir)?.sync_all()
}

/// How often the segment was replaced, as its file's name says.
fn revision_of(file: &str) -> u64 {
    let stem = file.trim_end_matches(SUFFIX);
    stem.rsplit_once('.').and_then(|(_, revision)| revision.parse().ok()).unwrap_or(1)
}

/// Removes files of ours that the log does not know: what a crash left, and what was replaced. Not
/// to be called while somebody makes one.
///
/// # Errors
///
/// The operating system's.
pub(crate) fn remove_orphans(archive: &Archive, known: &[SegmentEntry]) -> Result<u64, io::Error> {
    let known: HashSet<&str> = known.iter().map(|entry| entry.file.as_str()).collect();
    let files = match fs::read_dir(archive.dir()) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut n_removed = 0;
    for file in files {
        let file = file?;
        let name = file.file_name();
        let Some(name) = name.to_str() else { continue };
        let is_ours = name.ends_with(SUFFIX) || name.ends_with(SUFFIX_TMP);
        if is_ours && !known.contains(name) {
            archive.forget(name);
            fs::remove_file(file.path())?;
            n_removed += 1;
        }
    }
    if n_removed > 0 {
        sync_dir(archive.dir())?;
    }
    Ok(n_removed)
}
