//! A segment file as bytes: rows of the log in compressed blocks, and an index behind them.
//!
//! Pure: which rows go into a file, and when, is left to `cut`; finding and opening files to the
//! modules beside this one.
//!
//! ```text
//! file  := head block* entry* tail
//! head  := magic first_seq:u64
//! block := one zstd frame of  row*
//! row   := first_seq:u64 n_events:u64 at_ms:i64 batch_id:16 checksum:u32 len:u32 records
//! entry := first_seq:u64 last_seq:u64 at:u64 len:u32 raw_len:u32 crc:u32
//! tail  := index_at:u64 n_blocks:u32 index_crc:u32 last_seq:u64 magic
//! magic := "SBSEGM\n" format:u8          numbers are little-endian
//! ```
//!
//! A row is what it was in log.db, its checksum included, so that the chain of checksums goes on
//! through the file. `crc` is that of the compressed block, and `index_crc` that of everything
//! else: no bit of the file is without a checksum of its own.

use bytes::Bytes;
use scrollback_schema::batch::RowHead;
use scrollback_schema::{Millis, Seq};

use crate::log::reader::Row;

/// What a file begins and ends with; the last byte is the format.
const MAGIC: [u8; 8] = *b"SBSEGM\n\x01";

/// Bytes of the head.
pub(crate) const HEAD_BYTES: usize = 16;
/// Bytes of the tail.
pub(crate) const TAIL_BYTES: usize = 32;
/// Bytes of an entry of the index.
const ENTRY_BYTES: usize = 36;
/// Bytes in front of a row's records.
const ROW_HEAD_BYTES: usize = 48;

/// Bytes of rows in a block: a random read unpacks so many, in some hundred microseconds.
const BLOCK_BYTES_SOFT: usize = 128 << 10;

/// Of zstd: its default, at which packing keeps up with a disk.
const LEVEL: i32 = 3;

/// Where a block is, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) first_seq: Seq,
    pub(crate) last_seq: Seq,
    /// Offset in the file.
    pub(crate) at: u64,
    /// Bytes in the file.
    pub(crate) len: u32,
    raw_len: u32,
    crc: u32,
}

/// Why bytes are no part of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("it does not begin and end as a segment file does")]
    Magic,
    #[error("its format is newer than this program")]
    TooNew,
    #[error("it is cut short")]
    CutShort,
    #[error("the checksum of its index does not fit")]
    Index,
    #[error("the checksum of a block does not fit")]
    Block,
    #[error("a block does not unpack to rows")]
    Rows,
    #[error("it is another file than the log recorded")]
    Other,
}

/// Builds a file.
pub(crate) struct Builder {
    bytes: Vec<u8>,
    rows: Vec<u8>,
    /// First and last seq of what is in `rows`.
    open: Option<(Seq, Seq)>,
    blocks: Vec<Block>,
}

/// A file, complete.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) bytes: Vec<u8>,
    pub(crate) first_seq: Seq,
    pub(crate) last_seq: Seq,
    pub(crate) checksum: u32,
}

impl Builder {
    /// A file whose first event has this seq.
    pub(crate) fn new(first_seq: Seq) -> Builder {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&first_seq.get().to_le_bytes());
        Builder { bytes, rows: Vec::new(), open: None, blocks: Vec::new() }
    }

    /// Adds the next row.
    ///
    /// # Errors
    ///
    /// zstd's, which has none but a lack of memory.
    pub(crate) fn push(&mut self, row: &Row) -> Result<(), std::io::Error> {
        let head = &row.head;
        let len = u32::try_from(row.records.len()).map_err(std::io::Error::other)?;
        if !self.rows.is_empty() && self.rows.len() + row.records.len() > BLOCK_BYTES_SOFT {
            self.close_block()?;
        }
        let out = &mut self.rows;
        out.extend_from_slice(&head.first_seq.get().to_le_bytes());
        out.extend_from_slice(&head.n_events.to_le_bytes());
        out.extend_from_slice(&head.at.get().to_le_bytes());
        out.extend_from_slice(&head.batch_id);
        out.extend_from_slice(&row.checksum.to_le_bytes());
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&row.records);
        let first = self.open.map_or(head.first_seq, |(first, _)| first);
        self.open = Some((first, head.last_seq()));
        Ok(())
    }

    /// Adds a block as it stands in another file.
    ///
    /// # Errors
    ///
    /// As [`Builder::push`].
    pub(crate) fn push_block(
        &mut self,
        block: &Block,
        packed: &[u8],
    ) -> Result<(), std::io::Error> {
        self.close_block()?;
        self.blocks.push(Block { at: self.bytes.len() as u64, ..*block });
        self.bytes.extend_from_slice(packed);
        Ok(())
    }

    fn close_block(&mut self) -> Result<(), std::io::Error> {
        let Some((first_seq, last_seq)) = self.open.take() else { return Ok(()) };
        let packed = zstd::bulk::compress(&self.rows, LEVEL)?;
        self.blocks.push(Block {
            first_seq,
            last_seq,
            at: self.bytes.len() as u64,
            len: u32::try_from(packed.len()).map_err(std::io::Error::other)?,
            raw_len: u32::try_from(self.rows.len()).map_err(std::io::Error::other)?,
            crc: crc32c::crc32c(&packed),
        });
        self.bytes.extend_from_slice(&packed);
        self.rows.clear();
        Ok(())
    }

    /// Ends the file; none if no row was added.
    ///
    /// # Errors
    ///
    /// As [`Builder::push`].
    pub(crate) fn finish(mut self) -> Result<Option<Built>, std::io::Error> {
        self.close_block()?;
        let (Some(first), Some(last)) = (self.blocks.first(), self.blocks.last()) else {
            return Ok(None);
        };
        let (first_seq, last_seq) = (first.first_seq, last.last_seq);
        let index_at = self.bytes.len();
        for block in &self.blocks {
            self.bytes.extend_from_slice(&block.first_seq.get().to_le_bytes());
            self.bytes.extend_from_slice(&block.last_seq.get().to_le_bytes());
            self.bytes.extend_from_slice(&block.at.to_le_bytes());
            self.bytes.extend_from_slice(&block.len.to_le_bytes());
            self.bytes.extend_from_slice(&block.raw_len.to_le_bytes());
            self.bytes.extend_from_slice(&block.crc.to_le_bytes());
        }
        let n_blocks = u32::try_from(self.blocks.len()).map_err(std::io::Error::other)?;
        let tail = Tail { index_at: index_at as u64, n_blocks, index_crc: 0, last_seq };
        let checksum = tail.checksum(&self.bytes[..HEAD_BYTES], &self.bytes[index_at..]);
        self.bytes.extend_from_slice(&tail.index_at.to_le_bytes());
        self.bytes.extend_from_slice(&tail.n_blocks.to_le_bytes());
        self.bytes.extend_from_slice(&checksum.to_le_bytes());
        self.bytes.extend_from_slice(&last_seq.get().to_le_bytes());
        self.bytes.extend_from_slice(&MAGIC);
        Ok(Some(Built { bytes: self.bytes, first_seq, last_seq, checksum }))
    }
}

/// The end of a file, from which the rest is found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail {
    index_at: u64,
    n_blocks: u32,
    pub(crate) index_crc: u32,
    last_seq: Seq,
}

impl Tail {
    /// Parses the last bytes of a file of so many.
    pub(crate) fn parse(bytes: &[u8; TAIL_BYTES], n_bytes: u64) -> Result<Tail, FormatError> {
        check_magic(&bytes[24..32])?;
        let tail = Tail {
            index_at: u64_at(bytes, 0),
            n_blocks: u32_at(bytes, 8),
            index_crc: u32_at(bytes, 12),
            last_seq: Seq::new(u64_at(bytes, 16)).ok_or(FormatError::Index)?,
        };
        let index_bytes = u64::from(tail.n_blocks) * ENTRY_BYTES as u64;
        let end = tail.index_at.checked_add(index_bytes + TAIL_BYTES as u64);
        if tail.n_blocks == 0 || tail.index_at < HEAD_BYTES as u64 || end != Some(n_bytes) {
            return Err(FormatError::CutShort);
        }
        Ok(tail)
    }

    /// Where the index is, and how long.
    pub(crate) fn index(&self) -> (u64, usize) {
        (self.index_at, self.n_blocks as usize * ENTRY_BYTES)
    }

    fn checksum(&self, head: &[u8], index: &[u8]) -> u32 {
        let mut crc = crc32c::crc32c(head);
        crc = crc32c::crc32c_append(crc, index);
        crc = crc32c::crc32c_append(crc, &self.index_at.to_le_bytes());
        crc = crc32c::crc32c_append(crc, &self.n_blocks.to_le_bytes());
        crc32c::crc32c_append(crc, &self.last_seq.get().to_le_bytes())
    }

    /// Parses the index, given the head and the index as they stand in the file.
    pub(crate) fn blocks(
        &self,
        head: &[u8; HEAD_BYTES],
        index: &[u8],
    ) -> Result<Vec<Block>, FormatError> {
        check_magic(&head[..8])?;
        if self.checksum(head, index) != self.index_crc {
            return Err(FormatError::Index);
        }
        index
            .chunks_exact(ENTRY_BYTES)
            .map(|entry| {
                let seq = |at| Seq::new(u64_at(entry, at)).ok_or(FormatError::Index);
                Ok(Block {
                    first_seq: seq(0)?,
                    last_seq: seq(8)?,
                    at: u64_at(entry, 16),
                    len: u32_at(entry, 24),
                    raw_len: u32_at(entry, 28),
                    crc: u32_at(entry, 32),
                })
            })
            .collect()
    }
}

fn check_magic(bytes: &[u8]) -> Result<(), FormatError> {
    if bytes == MAGIC {
        Ok(())
    } else if bytes[..7] == MAGIC[..7] && bytes[7] > MAGIC[7] {
        Err(FormatError::TooNew)
    } else {
        Err(FormatError::Magic)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | (u64::from(u32_at(bytes, at + 4)) << 32)
}

/// Unpacks a block.
///
/// # Errors
///
/// [`FormatError`] if it is not what was written.
pub(crate) fn unpack(block: &Block, packed: &[u8]) -> Result<Vec<Row>, FormatError> {
    if crc32c::crc32c(packed) != block.crc {
        return Err(FormatError::Block);
    }
    let raw =
        zstd::bulk::decompress(packed, block.raw_len as usize).map_err(|_| FormatError::Rows)?;
    let (raw, mut rows, mut at) = (Bytes::from(raw), Vec::new(), 0);
    while at < raw.len() {
        let start = at + ROW_HEAD_BYTES;
        let head = raw.get(at..start).ok_or(FormatError::Rows)?;
        at = start + u32_at(head, 44) as usize;
        if at > raw.len() {
            return Err(FormatError::Rows);
        }
        let mut batch_id = [0; 16];
        batch_id.copy_from_slice(&head[24..40]);
        rows.push(Row {
            head: RowHead {
                first_seq: Seq::new(u64_at(head, 0)).ok_or(FormatError::Rows)?,
                n_events: u64_at(head, 8),
                at: Millis::new(u64_at(head, 16).cast_signed()),
                batch_id,
            },
            checksum: u32_at(head, 40),
            records: raw.slice(start..at),
        });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(first: u64, n_bytes: usize) -> Row {
        Row {
            head: RowHead {
                first_seq: Seq::new(first).unwrap(),
                n_events: 3,
                at: Millis::new(1_000 + first as i64),
                batch_id: [first as u8; 16],
            },
            checksum: first as u32 * 7,
            records: (0..n_bytes).map(|n| (n / 3) as u8).collect::<Vec<_>>().into(),
        }
    }

    /// A file of so many rows, each longer than the one before by so many bytes.
    fn build(n_rows: u64, n_bytes: usize) -> Built {
        let mut builder = Builder::new(Seq::new(4).unwrap());
        for n in 0..n_rows {
            builder.push(&row(4 + n * 3, n_bytes * n as usize)).unwrap();
        }
        builder.finish().unwrap().unwrap()
    }

    /// All rows of a file, as their heads and records.
    fn parse(bytes: &[u8]) -> Result<Vec<(RowHead, u32, Bytes)>, FormatError> {
        let tail = bytes.last_chunk::<TAIL_BYTES>().ok_or(FormatError::CutShort)?;
        let tail = Tail::parse(tail, bytes.len() as u64)?;
        let (at, len) = tail.index();
        let head = bytes.first_chunk::<HEAD_BYTES>().ok_or(FormatError::CutShort)?;
        let mut rows = Vec::new();
        for block in tail.blocks(head, &bytes[at as usize..at as usize + len])? {
            let packed = &bytes[block.at as usize..block.at as usize + block.len as usize];
            rows.extend(unpack(&block, packed)?);
        }
        Ok(rows.into_iter().map(|row| (row.head, row.checksum, row.records)).collect())
    }

    #[test]
    fn rows_come_back_as_they_were_and_from_blocks_that_are_small() {
        let built = build(40, 500);
        assert_eq!((built.first_seq.get(), built.last_seq.get()), (4, 4 + 40 * 3 - 1));
        let expected: Vec<_> = (0..40)
            .map(|n| row(4 + n * 3, 500 * n as usize))
            .map(|row| (row.head, row.checksum, row.records))
            .collect();
        assert_eq!(parse(&built.bytes), Ok(expected));
        let n_raw: usize = (0..40).map(|n| 500 * n).sum();
        let n_blocks = u32_at(&built.bytes, built.bytes.len() - TAIL_BYTES + 8) as usize;
        assert!(n_blocks > n_raw / BLOCK_BYTES_SOFT, "{n_blocks} blocks");
        assert!(built.bytes.len() < n_raw / 2);
        assert!(Builder::new(Seq::ZERO).finish().unwrap().is_none());
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_found() {
        let whole = build(6, 100).bytes;
        let mut n_flips = 0;
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                assert!(parse(&bytes).is_err(), "bit {bit} of byte {at}");
                n_flips += 1;
            }
            assert!(parse(&whole[..at]).is_err(), "cut at {at}");
        }
        println!("{n_flips} bits flipped and {} truncations in a segment, all found", whole.len());
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut bytes = build(2, 10).bytes;
        let last = bytes.len() - 1;
        bytes[last] = 2;
        assert_eq!(parse(&bytes), Err(FormatError::TooNew));
    }
}
