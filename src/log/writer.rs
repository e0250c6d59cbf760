//! The one thread that writes log.db: it gathers what waits, commits it as one, then answers.
//!
//! Order within a commit: rules, rows, COMMIT (synced), head witness, head, answers, wake-ups. The
//! head moves before the answers so that who was answered reads what it wrote; nobody is woken
//! before, so no reader delays a writer. What waits while one commit syncs is the next one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lru::LruCache;
use rusqlite::{Connection, ErrorCode, params};
use scrollback_schema::batch::{BatchBuilder, BatchId, RowHead};
use scrollback_schema::event::{CancelReason, Cancelled};
use scrollback_schema::limits::{
    BATCH_BYTES_SOFT, COMMIT_APPENDS_MAX, COMMIT_BYTES_MAX, IDEMPOTENCY_TTL_MS,
};
use scrollback_schema::{ChatId, ChatRef, Event, Millis, NewEvent, Seq, TurnId};
use tokio::sync::{mpsc, oneshot};
use tracing::{Span, debug, error, info, warn};

use super::admit::NotAdmitted;
use super::append::{Append, AppendError, Appended, Lease};
use super::chats::{ChatSlot, Tables};
use super::lease::{Claimed, LeaseKey};
use super::placed::push_section;
use super::recent::{Recent, Wakes};
use super::section::Section;
use super::witness::Witness;
use super::{EraseError, LogObserver, erase};
use crate::clock::{Clock, monotonic, random_bytes};
use crate::sqlite::{CheckpointMode, checkpoint};

const INSERT_BATCH: &str = include_str!("sql/insert_batch.sql");

/// What the writer is asked to do.
#[expect(clippy::large_enum_variant, reason = "almost every command is the large one")]
pub(crate) enum Command {
    /// Append events.
    Append(Job),
    /// Close the turns whose lease ran out, and forget old idempotency keys.
    Sweep,
    /// Give a turn's lease to another producer.
    TakeLease { chat: ChatId, turn: TurnId, reply: oneshot::Sender<Result<Lease, AppendError>> },
    /// Erase the payloads of a deleted chat in the rows that start at these seqs.
    Erase { chat: ChatRef, rows: Vec<Seq>, reply: oneshot::Sender<Result<u64, EraseError>> },
    /// Finish: everything before this is answered, then the thread ends.
    Close,
}

/// An append and who waits for it.
pub(crate) struct Job {
    pub(crate) append: Append,
    pub(crate) reply: oneshot::Sender<Result<Reply, AppendError>>,
    pub(crate) span: Span,
}

/// How an append ended well.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It is durable.
    Done(Appended),
    /// Its numbers were stored before, or its turn has ended: the answer is in the log.
    Stored(StoredBefore),
}

/// A repeated append, to be looked up outside the writer.
#[derive(Debug)]
pub(crate) struct StoredBefore {
    pub(crate) chat: ChatRef,
    pub(crate) turn: Seq,
    pub(crate) first_number: u64,
    pub(crate) n: u64,
    pub(crate) lease: Option<Lease>,
}

/// The writer's state; lives on its thread.
pub(crate) struct Writer {
    pub(crate) db: Connection,
    pub(crate) clock: Clock,
    pub(crate) key: LeaseKey,
    pub(crate) chats: LruCache<ChatId, ChatSlot>,
    /// Chats whose open turn is leased, with an instant before which it does not run out.
    pub(crate) leased: HashMap<ChatId, Millis>,
    pub(crate) head: Seq,
    pub(crate) last_at: Millis,
    pub(crate) last_checksum: u32,
    pub(crate) recent: Arc<Recent>,
    pub(crate) witness: Witness,
    pub(crate) observer: Option<Arc<dyn LogObserver>>,
    pub(crate) poisoned: Arc<AtomicBool>,
    /// Set by the checkpoint thread once the WAL is large.
    pub(crate) restart_wal: Arc<AtomicBool>,
}

/// Where the file ends: what a writer starts from.
pub(crate) struct End {
    pub(crate) head: Seq,
    pub(crate) at: Millis,
    pub(crate) checksum: u32,
}

/// A commit under construction.
pub(crate) struct Group {
    batch_id: BatchId,
    at: Millis,
    row: BatchBuilder,
    row_first: Seq,
    row_at: Millis,
    last_at: Millis,
    checksum: u32,
    sections: Vec<Arc<Section>>,
}

impl Group {
    fn new(writer: &Writer) -> Group {
        let at = writer.clock.now().max(writer.last_at);
        Group {
            batch_id: random_bytes(),
            at,
            row: BatchBuilder::new(),
            row_first: writer.head.next(),
            row_at: at,
            last_at: writer.last_at,
            checksum: writer.last_checksum,
            sections: Vec::new(),
        }
    }

    /// Seq of the next event.
    pub(crate) fn next_seq(&self) -> Seq {
        self.row_first.plus(self.row.n_events())
    }

    /// The instant of an append: an import names its own, which may not go back.
    pub(crate) fn at_for(&self, append: &Append) -> Result<Millis, AppendError> {
        match append.at {
            None => Ok(self.at.max(self.last_at)),
            Some(at) if at >= self.last_at => Ok(at),
            Some(_) => Err(AppendError::ImportOrder),
        }
    }

    /// Closes the row if the next events have another instant.
    pub(crate) fn set_at(&mut self, db: &Connection, at: Millis) -> Result<(), rusqlite::Error> {
        if at != self.row_at {
            self.close_row(db)?;
            self.row_at = at;
        }
        self.last_at = at;
        Ok(())
    }

    /// Adds a section, and closes the row once it is full.
    pub(crate) fn push(
        &mut self,
        db: &Connection,
        section: Section,
        defines: bool,
    ) -> Result<(), rusqlite::Error> {
        if !self.row.is_empty() && self.row.len() + section.n_bytes() > BATCH_BYTES_SOFT {
            self.close_row(db)?;
        }
        push_section(&mut self.row, &section, defines);
        self.sections.push(Arc::new(section));
        Ok(())
    }

    fn close_row(&mut self, db: &Connection) -> Result<(), rusqlite::Error> {
        if self.row.is_empty() {
            return Ok(());
        }
        let row = std::mem::take(&mut self.row);
        let head = RowHead {
            first_seq: self.row_first,
            n_events: row.n_events(),
            at: self.row_at,
            batch_id: self.batch_id,
        };
        let (records, checksum) = row.finish(&head, self.checksum);
        db.prepare_cached(INSERT_BATCH)?.execute(params![
            head.first_seq.as_i64(),
            i64::try_from(head.n_events).unwrap_or(i64::MAX),
            head.at.get(),
            head.batch_id,
            checksum,
            records,
        ])?;
        self.checksum = checksum;
        self.row_first = head.last_seq().next();
        Ok(())
    }
}

impl Writer {
    /// Takes commands until it is told to close, or nobody is left to give any.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut next = commands.blocking_recv();
        while let Some(command) = next.take() {
            match command {
                Command::Append(job) => {
                    let (jobs, after) = gather(job, &mut commands);
                    self.commit(jobs);
                    next = after;
                }
                Command::Sweep => self.sweep(),
                Command::TakeLease { chat, turn, reply } => {
                    let _ = reply.send(self.take_lease(&chat, &turn));
                }
                Command::Erase { chat, rows, reply } => {
                    let erased = erase::erase_rows(&mut self.db, &chat, &rows);
                    // Before the answer: who has it reads nothing of the chat any more.
                    self.recent.forget();
                    let _ = reply.send(erased);
                }
                Command::Close => break,
            }
            if next.is_none() {
                next = commands.blocking_recv();
            }
        }
        commands.close();
        self.finish();
    }

    /// Leaves the file at rest: everything in log.db, no WAL, the witness synced.
    fn finish(self) {
        if let Err(error) = self.witness.sync() {
            warn!(error = &error as &dyn std::error::Error, "head witness was not synced");
        }
        if let Err(error) = checkpoint(&self.db, CheckpointMode::Truncate) {
            warn!(error = &error as &dyn std::error::Error, "last checkpoint failed");
        }
        debug!(seq = self.head.get(), "log writer ends");
    }

    /// Commits what was gathered, then answers everybody.
    fn commit(&mut self, jobs: Vec<Job>) {
        let started = monotonic();
        if self.poisoned.load(Ordering::Acquire) {
            for job in jobs {
                let _ = job.reply.send(Err(AppendError::Poisoned));
            }
            return;
        }
        let mut group = Group::new(self);
        let mut waiting = Vec::with_capacity(jobs.len());
        match self.write(&mut group, jobs, &mut waiting) {
            Ok(()) => {
                let n_events = group.next_seq().get() - self.head.next().get();
                let recent = Arc::clone(&self.recent);
                let wakes = self.publish(group, &recent);
                let n_appends = waiting.len();
                // Counted before the answers: who was answered finds it in the metrics.
                if let Some(observer) = &self.observer
                    && n_events > 0
                {
                    observer.committed(n_appends, n_events, started.elapsed());
                }
                for (reply, answer) in waiting {
                    let _ = reply.send(answer);
                }
                wakes.wake();
                self.restart_wal_if_wanted();
            }
            Err(failure) => self.fail(failure, &group.batch_id, waiting),
        }
    }

    fn write(
        &mut self,
        group: &mut Group,
        jobs: Vec<Job>,
        waiting: &mut Vec<Waiting>,
    ) -> Result<(), CommitFailure> {
        let before = |error| CommitFailure { is_unknown: false, error };
        let mut jobs = jobs.into_iter();
        let mut result = self.db.execute_batch("BEGIN IMMEDIATE").map_err(before);
        for Job { append, reply, span } in jobs.by_ref() {
            if result.is_err() {
                waiting.push((reply, Err(AppendError::Closing)));
                continue;
            }
            let _entered = span.enter();
            match self.admit(group, append) {
                Ok(done) => waiting.push((reply, Ok(done))),
                Err(NotAdmitted::Refused(refused)) => waiting.push((reply, Err(refused))),
                Err(NotAdmitted::Db(error)) => {
                    waiting.push((reply, Err(AppendError::Closing)));
                    result = Err(before(error));
                }
            }
        }
        result?;
        if group.next_seq() == self.head.next() {
            return self.db.execute_batch("ROLLBACK").map_err(before);
        }
        group.close_row(&self.db).map_err(before)?;
        fail::fail_point!("log-full", |_| Err(before(crate::sqlite::full_disk())));
        fail::fail_point!("log-before-commit");
        self.db.execute_batch("COMMIT").map_err(|error| CommitFailure {
            // A full disk is found before the commit mark is written; a failed sync comes after.
            is_unknown: error.sqlite_error_code() != Some(ErrorCode::DiskFull),
            error,
        })?;
        fail::fail_point!("log-after-commit");
        Ok(())
    }

    fn publish<'r>(&mut self, group: Group, recent: &'r Recent) -> Wakes<'r> {
        self.head = group.next_seq().prev();
        self.last_at = group.last_at.max(self.last_at);
        self.last_checksum = group.checksum;
        self.witness.note(self.head, self.last_checksum);
        recent.publish(group.sections, self.head)
    }

    /// Rolls back, forgets what memory says of the chats, and tells who waits.
    fn fail(&mut self, failure: CommitFailure, batch_id: &BatchId, waiting: Vec<Waiting>) {
        let _ = self.db.execute_batch("ROLLBACK");
        self.chats.clear();
        let source = Arc::new(failure.error);
        error!(
            error = &*source as &dyn std::error::Error,
            is_unknown = failure.is_unknown,
            "commit failed"
        );
        if failure.is_unknown {
            self.poisoned.store(true, Ordering::Release);
        }
        for (reply, answer) in waiting {
            let _ = reply.send(match answer {
                Err(refused) if !matches!(refused, AppendError::Closing) => Err(refused),
                _ if failure.is_unknown => Err(AppendError::Unknown { batch_id: *batch_id }),
                _ => Err(AppendError::Storage { source: Arc::clone(&source) }),
            });
        }
    }

    fn restart_wal_if_wanted(&self) {
        if self.restart_wal.swap(false, Ordering::AcqRel)
            && let Err(error) = checkpoint(&self.db, CheckpointMode::Restart)
        {
            warn!(error = &error as &dyn std::error::Error, "WAL was not restarted");
        }
    }

    /// A chat's slot: from memory, else from the tables.
    pub(crate) fn slot(&mut self, id: &ChatId) -> Result<Option<ChatSlot>, rusqlite::Error> {
        if let Some(slot) = self.chats.get(id) {
            return Ok(Some(slot.clone()));
        }
        let Some(mut slot) = Tables(&self.db).load(id)? else { return Ok(None) };
        if let (Some(lease), Some(turn)) = (&mut slot.lease, &slot.turn) {
            let claimed = Claimed { turn: turn.started, epoch: lease.epoch };
            lease.token = self.key.token(slot.state.created, claimed);
        }
        self.remember(slot.clone());
        Ok(Some(slot))
    }

    /// Keeps a chat's slot, and when its lease runs out.
    pub(crate) fn remember(&mut self, slot: ChatSlot) {
        match &slot.lease {
            // A renewal moves the expiry on; the sweep finds that out when it comes to the old one.
            Some(lease) => {
                if !self.leased.contains_key(&slot.state.id) {
                    self.leased.insert(slot.state.id.clone(), lease.expires_at());
                }
            }
            None => {
                self.leased.remove(&slot.state.id);
            }
        }
        self.chats.put(slot.state.id.clone(), slot);
    }

    /// Closes every turn that no living producer has: at start, before any work is taken.
    pub(crate) fn recover(&mut self) -> Result<(), rusqlite::Error> {
        let mut orphans = Vec::new();
        for chat in Tables(&self.db).chats_with_open_turn()? {
            if let Some(slot) = self.slot(&chat)?
                && slot.lease.is_none()
            {
                orphans.extend(closing(&slot, CancelReason::Restart));
            }
        }
        if !orphans.is_empty() {
            info!(n_turns = orphans.len(), "closing turns of the process that ended");
            self.commit_own(orphans);
        }
        self.sweep();
        Ok(())
    }

    /// Closes the turns whose lease ran out.
    pub(crate) fn sweep(&mut self) {
        let now = self.clock.now();
        let expired: Vec<ChatId> = self
            .leased
            .iter()
            .filter(|(_, expires_at)| **expires_at <= now)
            .map(|(chat, _)| chat.clone())
            .collect();
        let mut appends = Vec::new();
        for chat in expired {
            match self.slot(&chat) {
                Ok(Some(ChatSlot { lease: Some(lease), .. })) if lease.expires_at() > now => {
                    self.leased.insert(chat, lease.expires_at());
                }
                Ok(Some(slot)) if slot.lease.is_some() => {
                    appends.extend(closing(&slot, CancelReason::LeaseExpired));
                }
                Ok(_) => {
                    self.leased.remove(&chat);
                }
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "chat was not loaded");
                }
            }
        }
        if !appends.is_empty() {
            info!(n_turns = appends.len(), "closing turns whose lease ran out");
            self.commit_own(appends);
        }
        let forgotten = Tables(&self.db).forget_answers(now.plus_ms(-IDEMPOTENCY_TTL_MS));
        if let Err(error) = forgotten {
            warn!(
                error = &error as &dyn std::error::Error,
                "old idempotency keys were not dropped"
            );
        }
    }

    fn commit_own(&mut self, appends: Vec<Append>) {
        let jobs = appends
            .into_iter()
            .map(|append| Job { append, reply: oneshot::channel().0, span: Span::none() })
            .collect();
        self.commit(jobs);
    }

    fn take_lease(&mut self, chat: &ChatId, turn: &TurnId) -> Result<Lease, AppendError> {
        let storage = |error| AppendError::Storage { source: Arc::new(error) };
        let mut slot = self
            .slot(chat)
            .map_err(storage)?
            .ok_or_else(|| AppendError::ChatNotFound { chat: chat.clone() })?;
        let now = self.clock.now().max(self.last_at);
        let created = slot.state.created;
        let (Some(open), Some(lease)) = (&slot.turn, &mut slot.lease) else {
            return Err(AppendError::TurnEnded);
        };
        if open.id != *turn {
            return Err(AppendError::TurnEnded);
        }
        Tables(&self.db).set_epoch(open.started, lease.epoch + 1).map_err(storage)?;
        lease.epoch += 1;
        lease.renewed_at = now;
        lease.token = self.key.token(created, Claimed { turn: open.started, epoch: lease.epoch });
        let answer = lease.answer();
        self.remember(slot);
        Ok(answer)
    }
}

type Waiting = (oneshot::Sender<Result<Reply, AppendError>>, Result<Reply, AppendError>);

struct CommitFailure {
    /// The commit mark may be in the file.
    is_unknown: bool,
    error: rusqlite::Error,
}

/// The append that closes a chat's open turn.
fn closing(slot: &ChatSlot, reason: CancelReason) -> Option<Append> {
    let turn = slot.turn.as_ref()?;
    let event = Event::Cancelled(Cancelled { reason, duration_ms: 0 });
    let event = NewEvent::of_turn(turn.id.clone(), turn.message.clone(), event);
    Append::new(slot.state.id.clone(), vec![event]).ok()
}

/// Takes what waits behind the first append, up to a bound; the command after it, if it is another.
fn gather(first: Job, commands: &mut mpsc::Receiver<Command>) -> (Vec<Job>, Option<Command>) {
    let mut n_bytes = first.append.payloads.len();
    let mut jobs = vec![first];
    while jobs.len() < COMMIT_APPENDS_MAX && n_bytes < COMMIT_BYTES_MAX {
        match commands.try_recv() {
            Ok(Command::Append(job)) => {
                n_bytes += job.append.payloads.len();
                jobs.push(job);
            }
            Ok(other) => return (jobs, Some(other)),
            Err(_) => break,
        }
    }
    (jobs, None)
}
