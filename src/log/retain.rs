//! What becomes of old events: archived, or erased with their chat, in steps that each are small.
//!
//! Erasing a chat goes over its rows in log.db, then over the segments that hold some of it, each
//! of which is replaced by one without its payloads. The files that were replaced go last, once
//! nothing can bring log.db back to a moment at which it named them. Archiving makes the file of a
//! segment beside the writer, and has the writer do no more than record it and drop its rows.
//!
//! Either holds `Shared::retaining` from its first read on: rows do not change while a segment is
//! made of them, and do not move while they are erased.

use std::collections::BTreeMap;

use scrollback_schema::{ChatId, ChatRef, Seq};
use tokio::sync::oneshot;

use super::archive::{self, ArchiveBounds, ArchivePlan, ArchiveTotals, CutError, SegmentEntry};
use super::erase::{self, EraseError};
use super::reader::Store;
use super::upkeep::{Upkeep, UpkeepError};
use super::writer::Command;
use super::{Log, PageLimits, ReadError, Scope};
use crate::clock::monotonic;

/// Why nothing was archived.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The segment could not be made.
    #[error("no segment could be made")]
    Cut(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The log could not be written.
    #[error("the segment could not be recorded")]
    Record(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The log is closing.
    #[error("the log is closing")]
    Closing,
}

impl From<CutError> for ArchiveError {
    fn from(error: CutError) -> ArchiveError {
        ArchiveError::Cut(error.into())
    }
}

impl From<UpkeepError> for ArchiveError {
    fn from(error: UpkeepError) -> ArchiveError {
        ArchiveError::Record(error.into())
    }
}

/// Whether a segment may be small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Only segments of the size that was asked for.
    Whole,
    /// A last one that is smaller too.
    Rest,
}

/// One segment to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveStep {
    /// The last seq that it may hold.
    pub through: Seq,
    /// Bytes of records that it is to hold, about.
    pub bytes: u64,
    /// Whether it may hold fewer.
    pub fill: Fill,
}

/// A segment that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// The segment.
    pub segment: SegmentEntry,
    /// Bytes that its records had in log.db.
    pub n_raw_bytes: u64,
    /// How long the writer was busy with it, or waited for: appends waited as long at most.
    pub recording: std::time::Duration,
}

impl Log {
    /// Says what may be archived.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn archive_plan(&self, bounds: ArchiveBounds) -> Result<ArchivePlan, ReadError> {
        self.on_store(move |store| archive::plan(store, &bounds)).await
    }

    /// Moves the oldest rows into a segment; none if there is nothing to move. The segment is on
    /// disk and the rows are out of log.db when this returns.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]; nothing has changed then, and a file that was made goes at the next start.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the log as before, or with the segment recorded.
    pub async fn archive_step(&self, step: ArchiveStep) -> Result<Option<Archived>, ArchiveError> {
        let _retaining = self.shared.retaining.lock().await;
        let made = self
            .on_store(move |Store { db, archive }| -> Result<_, ArchiveError> {
                let is_whole = step.fill == Fill::Whole;
                Ok(archive::cut(archive, db, step.through, step.bytes, is_whole)?)
            })
            .await?;
        let Some(made) = made else { return Ok(None) };
        let (segment, n_raw_bytes, begun) = (made.entry.clone(), made.n_raw_bytes, monotonic());
        self.upkeep(|reply| Upkeep::Archive { made, reply }, || ArchiveError::Closing).await??;
        Ok(Some(Archived { segment, n_raw_bytes, recording: begun.elapsed() }))
    }

    /// The segment files that hold the oldest part of the log, the oldest first.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn segments(&self) -> Result<Vec<SegmentEntry>, ReadError> {
        self.on_store(|store| Ok(archive::all(store.db)?)).await
    }

    /// How much is archived.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn archive_totals(&self) -> Result<ArchiveTotals, ReadError> {
        self.on_store(|store| Ok(archive::totals(store.db)?)).await
    }

    /// Bytes of erased payloads that stand in log.db as zeroes; read from all its rows, a few
    /// megabytes in each transaction.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn erased_bytes(&self) -> Result<u64, ReadError> {
        let (mut after, mut n_erased) = (Seq::ZERO, 0);
        loop {
            let (n, through) =
                self.on_store(move |store| erase::erased_bytes_after(store.db, after)).await?;
            n_erased += n;
            match through {
                Some(through) => after = through,
                None => return Ok(n_erased),
            }
        }
    }

    /// Bytes of log.db that hold something: pages that were freed are left out.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn used_bytes(&self) -> Result<u64, ReadError> {
        self.on_store(|Store { db, .. }| {
            let pragma = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let n_pages = pragma("page_count")? - pragma("freelist_count")?;
            Ok::<_, ReadError>((n_pages * pragma("page_size")?).unsigned_abs())
        })
        .await
    }

    /// Erases the payloads of a deleted chat and cuts the WAL: no byte of them is left in log.db,
    /// beside it or in the archive when this returns. Returns how many events were erased.
    ///
    /// # Errors
    ///
    /// [`EraseError`]; the erasure is then taken up again at the next start.
    pub async fn erase(&self, chat: &ChatRef) -> Result<u64, EraseError> {
        let _retaining = self.shared.retaining.lock().await;
        let (scope, until) = (Scope::Chat(chat.created), self.head());
        let archived =
            self.on_store(|store| Ok::<_, ReadError>(archive::archived_through(store.db)?)).await?;
        let (mut after, mut n_erased) = (chat.created.prev(), 0);
        let mut segments = BTreeMap::new();
        while after < until {
            let page = self.read(&scope, after, until, PageLimits::default()).await?;
            let mut rows: Vec<Seq> = page.sections.iter().map(|s| s.first_seq()).collect();
            rows.dedup();
            let (old, live): (Vec<Seq>, Vec<Seq>) =
                rows.into_iter().partition(|seq| *seq <= archived);
            self.note_segments(&mut segments, old).await?;
            for step in live.chunks(erase::ROWS_A_STEP) {
                n_erased += self.erase_step(chat, step.to_vec()).await?;
            }
            after = page.through;
        }
        for entry in segments.into_values() {
            n_erased += self.erase_segment(chat, entry).await?;
        }
        self.erase_step(chat, Vec::new()).await?;
        // Also those that an attempt before this one replaced and did not come to remove.
        self.on_store(|Store { db, archive }| {
            fail::fail_point!("archive-before-remove");
            archive::remove_orphans(archive, &archive::all(db)?)
                .map_err(|error| EraseError::Archive(error.into()))
        })
        .await?;
        Ok(n_erased)
    }

    /// Notes the segments that hold these seqs, by their first seq.
    async fn note_segments(
        &self,
        segments: &mut BTreeMap<Seq, SegmentEntry>,
        seqs: Vec<Seq>,
    ) -> Result<(), ReadError> {
        let is_known = |segments: &BTreeMap<Seq, SegmentEntry>, seq: Seq| {
            let before = segments.range(..=seq).next_back();
            before.is_some_and(|(_, entry)| entry.last_seq >= seq)
        };
        for seq in seqs {
            if is_known(segments, seq) {
                continue;
            }
            let found =
                self.on_store(move |s| Ok::<_, ReadError>(archive::from(s.db, seq)?)).await?;
            segments.extend(found.map(|entry| (entry.first_seq, entry)));
        }
        Ok(())
    }

    /// Has a segment without the chat's payloads take the place of this one, whose file is then an
    /// orphan.
    async fn erase_segment(&self, chat: &ChatRef, entry: SegmentEntry) -> Result<u64, EraseError> {
        let of = chat.clone();
        let (made, n_erased) = self
            .on_store(move |Store { db, archive }| -> Result<_, EraseError> {
                let tombstone = erase::tombstone_of(db, &of)?;
                Ok(archive::erase_in(archive, &entry, &of, tombstone)?)
            })
            .await?;
        let Some(made) = made else { return Ok(0) };
        let chat = chat.clone();
        let command = |reply| Upkeep::Replace { chat, made, reply };
        self.upkeep(command, || EraseError::Closing).await??;
        Ok(n_erased)
    }

    async fn erase_step(&self, chat: &ChatRef, rows: Vec<Seq>) -> Result<u64, EraseError> {
        let chat = chat.clone();
        self.upkeep(|reply| Upkeep::Erase { chat, rows, reply }, || EraseError::Closing).await?
    }

    /// Has the writer do something, and waits for it.
    async fn upkeep<T, E>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Upkeep,
        closing: impl Fn() -> E,
    ) -> Result<T, E> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Upkeep(command(reply));
        self.shared.commands.send(command).await.map_err(|_| closing())?;
        answer.await.map_err(|_| closing())
    }

    /// Runs `f` over log.db and the archive, on a thread that may block.
    async fn on_store<T, E>(
        &self,
        f: impl FnOnce(Store<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<ReadError> + Send + 'static,
    {
        let log = self.clone();
        let run = move || {
            let db = log.shared.readers.get().map_err(ReadError::from)?;
            f(Store { db: &db, archive: &log.shared.archive })
        };
        tokio::task::spawn_blocking(run).await.map_err(|_| E::from(ReadError::Interrupted))?
    }

    /// Chats whose erasure was begun by a process that ended; to be erased again after start.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the file cannot be read.
    pub fn unfinished_erasures(&self) -> Result<Vec<ChatRef>, ReadError> {
        let db = self.shared.readers.get()?;
        let found = erase::unfinished(&db)?;
        Ok(found
            .into_iter()
            .filter_map(|(created, id)| Some(ChatRef { id: ChatId::parse(&id).ok()?, created }))
            .collect())
    }
}
