//! Whether the WAL of a database begins as one does.
//!
//! A reader that may write nothing tries for ten seconds to make sense of a WAL whose header does
//! not fit, before SQLite gives up; who opens a database for it asks here first.

use std::fs::File;
use std::io::Read;
use std::path::Path;

const HEADER_BYTES: usize = 32;

/// Tells the two byte orders of checksums apart by its last bit.
const MAGIC: u32 = 0x377f_0682;

/// Whether there is a WAL with more than a header, and the header is none.
pub(crate) fn is_headless(wal: &Path) -> bool {
    let read = || -> std::io::Result<Option<[u8; HEADER_BYTES]>> {
        let mut file = File::open(wal)?;
        if file.metadata()?.len() <= HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header)?;
        Ok(Some(header))
    };
    // A server begins its WAL anew with one write, which may be seen half done, once.
    (0..3).all(|_| matches!(read(), Ok(Some(header)) if !fits(&header)))
}

/// Whether the checksum of a header fits what stands before it.
fn fits(header: &[u8; HEADER_BYTES]) -> bool {
    let bytes = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
    let big = |at: usize| u32::from_be_bytes(bytes(at));
    let magic = big(0);
    if magic & !1 != MAGIC {
        return false;
    }
    let word = |at: usize| {
        if magic & 1 == 1 { big(at) } else { u32::from_le_bytes(bytes(at)) }
    };
    let (mut s0, mut s1) = (0u32, 0u32);
    for at in (0..24).step_by(8) {
        s0 = s0.wrapping_add(word(at)).wrapping_add(s1);
        s1 = s1.wrapping_add(word(at + 4)).wrapping_add(s0);
    }
    (s0, s1) == (big(24), big(28))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::open_view_writer;

    #[test]
    fn a_header_with_a_flipped_bit_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let db = open_view_writer(&dir.path().join("x.db")).unwrap();
        db.execute_batch("CREATE TABLE t (x)").unwrap();
        let wal = dir.path().join("x.db-wal");
        assert!(!is_headless(&wal));
        let whole = std::fs::read(&wal).unwrap();
        let copy = dir.path().join("copy");
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&copy, flipped).unwrap();
            assert!(is_headless(&copy), "bit {bit}");
        }
        std::fs::write(&copy, &whole[..HEADER_BYTES]).unwrap();
        assert!(!is_headless(&copy));
        assert!(!is_headless(&dir.path().join("missing")));
    }
}
