//! A delta of a long message costs as little on disk as one of a short message: counted in rows,
//! in bytes of rows, and in what SQLite writes for them, never in time.

use scrollback_projections::describe;
use scrollback_projections::message::Messages;
use scrollback_schema::{Body, Event, Recorded, Seq, event};
use scrollback_test_support::script;

use super::super::file::{Expected, Purpose, ViewFile};
use super::super::fold::{Fold, Told, ViewFold};
use super::Written;

const DELTA: &str = "Some twenty letters é ";
const N_DELTAS: usize = 100_000;
const N_MEASURED: usize = 1_000;

/// Deltas between two commits where nothing is measured.
const N_UNMEASURED_BATCH: usize = 500;

/// A message that is folded into a file, as its worker does.
struct Folding {
    file: ViewFile,
    fold: Fold<Messages>,
    event: Recorded,
    dir: tempfile::TempDir,
}

/// What some deltas cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Rows and bytes that the store says it wrote.
    written: Written,
    /// Rows that SQLite says it changed.
    n_changes: u64,
    /// Bytes that came to the WAL: whole pages, those of the index too.
    wal_bytes: u64,
}

impl Folding {
    fn new() -> Folding {
        let dir = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap();
        let description = describe::<Messages>();
        let expected = Expected { description, log_id: "a log", head: Seq::MAX };
        let file = ViewFile::create(&dir.path().join("messages.db"), &expected).unwrap();
        let events = script::parse("chat c1\nstart t1 m1 openai/gpt").unwrap().recorded();
        let mut fold = Fold::<Messages>::new();
        for event in &events {
            assert_eq!(fold.apply(file.db(), event, event.seq).unwrap(), Told::Done);
        }
        Folding { file, fold, event: events.last().unwrap().clone(), dir }
    }

    fn delta(&mut self) {
        self.event.seq = self.event.seq.next();
        let text = DELTA.to_owned();
        self.event.body = Body::Event(Event::AssistantText(event::AssistantText { text }));
        let told = self.fold.apply(self.file.db(), &self.event, self.event.seq).unwrap();
        assert_eq!(told, Told::Done);
    }

    fn commit(&mut self) -> Written {
        let Folding { file, fold, event, .. } = self;
        file.commit(event.seq, Purpose::Live, |tx| fold.save(tx)).unwrap()
    }

    /// Folds and commits delta by delta, which is the most that they can cost.
    fn measure(&mut self) -> Cost {
        assert!(self.file.purge_wal().unwrap(), "nobody reads the file");
        let before = self.file.db().total_changes();
        let (mut written, mut wal_bytes, mut size) = (Written::default(), 0, self.wal_size());
        for _ in 0..N_MEASURED {
            self.delta();
            written += self.commit();
            let size_before = std::mem::replace(&mut size, self.wal_size());
            // Now and then a commit is followed by a cut: what that one wrote is not seen.
            wal_bytes += size.saturating_sub(size_before);
        }
        Cost { written, n_changes: self.file.db().total_changes() - before, wal_bytes }
    }

    fn wal_size(&self) -> u64 {
        std::fs::metadata(self.dir.path().join("messages.db-wal")).unwrap().len()
    }
}

#[track_caller]
fn assert_no_more(what: &str, last: u64, first: u64) {
    assert!(first > 0 && last * 5 <= first * 6, "{what}: {last}, at first {first}");
}

#[test]
fn the_last_deltas_of_a_long_message_write_no_more_than_the_first() {
    let mut folding = Folding::new();
    let first = folding.measure();
    for n in N_MEASURED..N_DELTAS - N_MEASURED {
        folding.delta();
        if n % N_UNMEASURED_BATCH == 0 {
            folding.commit();
        }
    }
    folding.commit();
    let last = folding.measure();
    assert_no_more("rows", last.written.rows as u64, first.written.rows as u64);
    assert_no_more("bytes of rows", last.written.bytes as u64, first.written.bytes as u64);
    assert_no_more("rows that SQLite changed", last.n_changes, first.n_changes);
    assert_no_more("bytes of the WAL", last.wal_bytes, first.wal_bytes);
    // A delta is two rows, its message's head and its last chunk, and the checkpoint's.
    assert!(last.n_changes <= N_MEASURED as u64 * 3 + 50, "{last:?}");
}
