//! The log: one door in, [`Log::append`]; one loop out, [`Tail`].
//!
//! Everything that is SQLite's own stays in here and in `sqlite`. What the events mean is left to
//! `projections`, what clients see of them to `http`.

mod admit;
mod append;
mod archive;
mod chats;
mod checkpoint;
mod erase;
mod followed;
mod frames;
mod lease;
#[cfg(test)]
mod log_test;
pub mod offline;
mod open;
mod owner;
mod page;
mod placed;
mod preallocate;
mod reader;
mod recent;
mod retain;
mod section;
mod setback;
mod sweep;
mod tail;
pub mod turn_guard;
mod upkeep;
pub mod verify;
mod witness;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use scrollback_schema::{ChatId, ChatRef, Seq, TurnId};
use tokio::sync::{mpsc, oneshot, watch};

pub use append::{
    Answered, Append, AppendError, Appended, Claim, Idempotency, Lease, Refusal, StoredEvent,
};
pub use archive::{ArchiveBounds, ArchivePlan, ArchiveTotals, SegmentEntry, SegmentError};
pub use erase::EraseError;
pub use frames::Frames;
pub use open::{LogOptions, OpenError};
pub use owner::Owner;
pub use page::{ChatIndex, ChatRuns, Page, PageLimits, ReadError, Scope};
pub use retain::{ArchiveError, ArchiveStep, Archived, Fill};
pub use section::Section;
pub use tail::{Step, Subscription, Tail};
pub use witness::{Witnessed, read as read_witness};

use crate::fault::Faults;
use crate::sqlite::Pool;
use archive::Archive;
use chats::Tables;
use checkpoint::Checkpointer;
use reader::{Names, Store};
use recent::Recent;
use writer::{Command, Job, Reply, StoredBefore};

/// A chat that exists, or existed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatEntry {
    /// The chat.
    pub chat: ChatRef,
    /// Seq of its tombstone.
    pub deleted: Option<Seq>,
}

/// Is told of each commit, for metrics.
pub trait LogObserver: Send + Sync + std::fmt::Debug {
    /// A commit of `n_appends` appends with `n_events` events took `elapsed`, sync included.
    fn committed(&self, n_appends: usize, n_events: u64, elapsed: Duration);
}

/// The log of a data directory; cloning shares it.
#[derive(Debug, Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    log_id: String,
    commands: mpsc::Sender<Command>,
    recent: Arc<Recent>,
    readers: Pool,
    archive: Archive,
    /// Held while rows are erased or archived, so that no segment is made of rows that change.
    retaining: tokio::sync::Mutex<()>,
    index: OnceLock<Arc<dyn ChatIndex>>,
    /// Names that loaders have learnt, handed from read to read.
    names: Mutex<Vec<Names>>,
    poisoned: Arc<AtomicBool>,
    faults: Faults,
    threads: Mutex<Option<Threads>>,
    lock: std::fs::File,
}

struct Threads {
    writer: JoinHandle<()>,
    checkpointer: Checkpointer,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("dir", &self.dir).field("head", &self.recent.head()).finish()
    }
}

impl Log {
    /// Opens the log of a data directory, makes it if it is missing, and closes the turns that no
    /// living producer has.
    ///
    /// Blocks on the disk; it is the caller's to be on a thread that may.
    ///
    /// # Errors
    ///
    /// [`OpenError`], with what to do.
    pub fn open(
        dir: &Path,
        options: LogOptions,
        clock: &crate::clock::Clock,
    ) -> Result<Log, OpenError> {
        open::open(dir, options, clock)
    }

    /// Names this log; an exchanged or restored one has another.
    pub fn log_id(&self) -> &str {
        &self.shared.log_id
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// The last committed seq.
    pub fn head(&self) -> Seq {
        self.shared.recent.head()
    }

    /// The seq of the last tombstone of all chats; zero if there is none.
    pub fn last_deletion(&self) -> Seq {
        self.shared.recent.last_deletion()
    }

    /// A watch of the head: state, not edges.
    pub fn watch_head(&self) -> watch::Receiver<Seq> {
        self.shared.recent.watch_head()
    }

    /// Waits on this thread until the head is above `seq`, at most `timeout`; returns the head.
    pub fn wait_head_above(&self, seq: Seq, timeout: Duration) -> Seq {
        self.shared.recent.wait_head_above(seq, timeout)
    }

    /// Wakes the threads that wait for the head, so that they look whether to stop.
    pub fn wake_threads(&self) {
        self.shared.recent.wake_threads();
    }

    /// Whether the writer refuses work since a sync failed.
    pub fn is_poisoned(&self) -> bool {
        self.shared.poisoned.load(Ordering::Acquire)
    }

    /// What the disk refuses.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Whether the writer's thread is alive.
    pub fn is_writing(&self) -> bool {
        !self.shared.commands.is_closed()
    }

    pub(crate) fn recent(&self) -> &Recent {
        &self.shared.recent
    }

    /// Tells where the events of chats are; the first one given stays.
    pub fn set_chat_index(&self, index: Arc<dyn ChatIndex>) {
        let _ = self.shared.index.set(index);
    }

    /// Appends events: all or nothing, durable when this returns.
    ///
    /// # Errors
    ///
    /// [`AppendError`]; but for `Unknown`, nothing is stored then, and the head is where it was.
    ///
    /// # Cancel safety
    ///
    /// A future dropped before its first poll appends nothing; later, the events may or may not be
    /// appended, all or none, as for any caller that goes away before the answer.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let (reply, answer) = oneshot::channel();
        let job = Job { append, reply, span: tracing::Span::current() };
        let sent = self.shared.commands.send(Command::Append(job)).await;
        sent.map_err(|_| self.unanswered())?;
        match answer.await.map_err(|_| self.unanswered())?? {
            Reply::Done(appended) => Ok(appended),
            Reply::Stored(stored) => self.stored_before(stored).await,
        }
    }

    /// The first answer to a key, for a call that may have nothing to append this time; whether it
    /// was the same call is [`Answered::is_of_same_body`].
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the file cannot be read.
    pub async fn answered_before(&self, kept: &Idempotency) -> Result<Option<Answered>, ReadError> {
        let (log, kept) = (self.clone(), kept.clone());
        let find = move || {
            let db = log.shared.readers.get()?;
            Ok(Tables(&db).answer(&kept.key)?.map(|answer| answer.answered(&kept)))
        };
        tokio::task::spawn_blocking(find).await.map_err(|_| ReadError::Interrupted)?
    }

    /// Keeps the answer to a call that had nothing to append, so that its repetition has nothing to
    /// do either; durable when this returns. Was the key used before, that answer stays and is
    /// returned.
    ///
    /// # Errors
    ///
    /// [`AppendError`]; `IdempotencyMismatch` if the key was used for another request.
    ///
    /// # Cancel safety
    ///
    /// As [`Log::append`].
    pub async fn keep_answer(&self, kept: Idempotency) -> Result<Answered, AppendError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Keep { kept, reply };
        self.shared.commands.send(command).await.map_err(|_| AppendError::Closing)?;
        answer.await.map_err(|_| AppendError::Closing)?
    }

    /// Finds the first answer to an append whose numbers were stored before.
    async fn stored_before(&self, stored: StoredBefore) -> Result<Appended, AppendError> {
        let failed = |_| AppendError::TurnEnded;
        let scope = Scope::Chat(stored.chat.created);
        let (mut after, until) = (stored.turn.prev(), self.head());
        let (mut first_seq, last) = (None, stored.first_number + stored.n - 1);
        while after < until {
            let page =
                self.read(&scope, after, until, PageLimits::default()).await.map_err(failed)?;
            for section in &page.sections {
                let Some(number) = section.first_number() else { continue };
                if section.turn().map(|turn| turn.started) != Some(stored.turn) {
                    continue;
                }
                let seq_of = |n: u64| section.first_seq().plus(n - number);
                let end = number + section.len() as u64;
                if (number..end).contains(&stored.first_number) {
                    first_seq = Some(seq_of(stored.first_number));
                }
                if let Some(first_seq) = first_seq
                    && (number..end).contains(&last)
                {
                    return Ok(Appended {
                        first_seq,
                        last_seq: seq_of(last),
                        at: section.at(),
                        lease: stored.lease,
                        replayed: None,
                    });
                }
            }
            after = page.through;
        }
        Err(AppendError::TurnEnded)
    }

    /// Gives the lease of a turn to another producer: the epoch grows, older tokens are refused.
    ///
    /// # Errors
    ///
    /// [`AppendError`] if there is no such open, leased turn.
    pub async fn take_lease(&self, chat: &ChatId, turn: &TurnId) -> Result<Lease, AppendError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::TakeLease { chat: chat.clone(), turn: turn.clone(), reply };
        self.shared.commands.send(command).await.map_err(|_| self.unanswered())?;
        answer.await.map_err(|_| self.unanswered())?
    }

    /// Why the writer did not answer; an append that it had begun is always answered.
    fn unanswered(&self) -> AppendError {
        match self.is_poisoned() {
            true => AppendError::Poisoned,
            false => AppendError::Closing,
        }
    }

    /// Closes the turns whose lease ran out; to be called every fraction of a lease.
    pub async fn sweep_leases(&self) {
        let _ = self.shared.commands.send(Command::Sweep).await;
    }

    /// Looks a chat up on this thread.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the file cannot be read.
    pub fn find_chat_blocking(&self, id: &ChatId) -> Result<Option<ChatEntry>, ReadError> {
        let db = self.shared.readers.get()?;
        let found = Tables(&db).chat(id)?;
        Ok(found.map(|(created, deleted)| ChatEntry {
            chat: ChatRef { id: id.clone(), created },
            deleted,
        }))
    }

    /// Looks a chat up.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the file cannot be read.
    pub async fn find_chat(&self, id: &ChatId) -> Result<Option<ChatEntry>, ReadError> {
        let (log, id) = (self.clone(), id.clone());
        tokio::task::spawn_blocking(move || log.find_chat_blocking(&id))
            .await
            .map_err(|_| ReadError::Interrupted)?
    }

    /// Reads a page: what of `scope` is in (`after`, `until`], `until` at most the head.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn read(
        &self,
        scope: &Scope,
        after: Seq,
        until: Seq,
        limits: PageLimits,
    ) -> Result<Page, ReadError> {
        let until = until.min(self.head());
        if let Some(page) = self.read_recent(scope, after, until, limits) {
            return Ok(page);
        }
        let (log, scope) = (self.clone(), scope.clone());
        tokio::task::spawn_blocking(move || log.read_disk(&scope, after, until, limits))
            .await
            .map_err(|_| ReadError::Interrupted)?
    }

    /// Reads a page on this thread, which must not be one of the runtime's.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn read_blocking(
        &self,
        scope: &Scope,
        after: Seq,
        until: Seq,
        limits: PageLimits,
    ) -> Result<Page, ReadError> {
        let until = until.min(self.head());
        match self.read_recent(scope, after, until, limits) {
            Some(page) => Ok(page),
            None => self.read_disk(scope, after, until, limits),
        }
    }

    fn read_recent(
        &self,
        scope: &Scope,
        after: Seq,
        until: Seq,
        limits: PageLimits,
    ) -> Option<Page> {
        if after >= until {
            return Some(Page { sections: Vec::new(), through: until.max(after) });
        }
        self.shared.recent.page(scope, after, until, limits)
    }

    fn read_disk(
        &self,
        scope: &Scope,
        after: Seq,
        until: Seq,
        limits: PageLimits,
    ) -> Result<Page, ReadError> {
        let scope = match scope {
            // Asked after `until` was the head: every chat up to there is among them.
            Scope::Owner(owner) => &Scope::Chats(self.shared.recent.chats_of(owner)),
            scope => scope,
        };
        let lock = || self.shared.names.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut names = lock().pop().unwrap_or_default();
        let db = self.shared.readers.get()?;
        let index = self.shared.index.get().map(|index| &**index);
        let store = Store { db: &db, archive: &self.shared.archive };
        let mut read = || reader::page(store, &mut names, index, scope, after, until, limits);
        let page = match read() {
            // The segment was replaced since its name was read; it has another one now.
            Err(ReadError::Archive(SegmentError::Missing { .. })) => read(),
            page => page,
        };
        lock().push(names);
        page
    }

    /// Wake-ups for a reader of `scope`.
    pub fn subscribe(&self, scope: &Scope) -> Subscription {
        match scope {
            Scope::All => Subscription::to_head(self.watch_head()),
            Scope::Chat(chat) => Subscription::to_chats(self.clone(), Arc::new([*chat])),
            Scope::Chats(chats) => Subscription::to_chats(self.clone(), Arc::clone(chats)),
            Scope::Owner(owner) => Subscription::to_owner(self.clone(), owner.clone()),
        }
    }

    /// Whether all chats of an owner that is followed are known.
    pub fn knows_chats_of(&self, owner: &Owner) -> bool {
        self.shared.recent.knows_chats_of(owner)
    }

    /// Tells which chats an owner has, as of some moment since it is followed; those that are made
    /// after that moment are found by themselves.
    pub fn learn_chats_of(&self, owner: &Owner, chats: &[Seq]) {
        self.shared.recent.learn_chats_of(owner, chats);
    }

    /// Says in the lock file where the server listens, for who is refused by it.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn announce(&self, address: &str) -> Result<(), std::io::Error> {
        open::write_lock_note(&self.shared.lock, Some(address))
    }

    /// Answers what was asked, ends the threads, and leaves the files at rest.
    pub async fn close(&self) {
        let shared = Arc::clone(&self.shared);
        let _ = tokio::task::spawn_blocking(move || shared.close()).await;
    }
}

impl Shared {
    fn close(&self) {
        let threads = self.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(mut threads) = threads {
            // First whoever else makes checkpoints: nobody is in the way of the writer's last one.
            threads.checkpointer.stop();
            let _ = self.commands.blocking_send(Command::Close);
            let _ = threads.writer.join();
        }
        self.recent.wake_threads();
        // Who still holds a closed log does not keep others from opening it.
        let _ = self.lock.unlock();
    }
}
