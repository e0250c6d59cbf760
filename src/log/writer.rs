//! The one thread that writes log.db: it gathers what waits, commits it as one, then answers.
//!
//! Order within a commit: rules, rows, COMMIT (synced), head witness, head, answers, wake-ups. The
//! head moves before the answers so that who was answered reads what it wrote; nobody is woken
//! before, so no reader delays a writer. What waits while one commit syncs is the next one. What
//! happens when the disk or this thread fails is in `setback`, what it does by itself in `sweep`.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lru::LruCache;
use rusqlite::{Connection, params};
use scrollback_schema::batch::{BatchBuilder, BatchId, RowHead};
use scrollback_schema::limits::{BATCH_BYTES_SOFT, COMMIT_APPENDS_MAX, COMMIT_BYTES_MAX};
use scrollback_schema::{ChatId, ChatRef, Millis, Seq, TurnId};
use tokio::sync::{mpsc, oneshot};
use tracing::Span;

use super::LogObserver;
use super::admit::NotAdmitted;
use super::append::{Answered, Append, AppendError, Appended, Idempotency, Lease};
use super::chats::{ChatSlot, Tables};
use super::lease::{Claimed, LeaseKey};
use super::placed::push_section;
use super::preallocate::Preallocation;
use super::recent::{Recent, Wakes};
use super::section::Section;
use super::setback::{CommitFailure, Setbacks};
use super::upkeep::Upkeep;
use super::witness::Witness;
use crate::clock::{Clock, monotonic, random_bytes};
use crate::sqlite::{CheckpointMode, checkpoint};

const INSERT_BATCH: &str = include_str!("sql/insert_batch.sql");

/// What the writer is asked to do.
pub(crate) enum Command {
    /// Append events.
    Append(Job),
    /// Close the turns whose lease ran out, and forget old idempotency keys.
    Sweep,
    /// Give a turn's lease to another producer.
    TakeLease { chat: ChatId, turn: TurnId, reply: oneshot::Sender<Result<Lease, AppendError>> },
    /// Keep the answer to a call that had nothing to append.
    Keep { kept: Idempotency, reply: oneshot::Sender<Result<Answered, AppendError>> },
    /// Change rows that were committed.
    Upkeep(Upkeep),
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
    /// Chats whose open turn is leased, and when it runs out on the clock that does not jump.
    pub(crate) leased: HashMap<ChatId, Millis>,
    /// Whether turns of the process before this one are open still, since the disk took nothing.
    pub(crate) has_orphans: bool,
    pub(crate) head: Seq,
    pub(crate) last_at: Millis,
    pub(crate) last_checksum: u32,
    pub(crate) recent: Arc<Recent>,
    pub(crate) witness: Witness,
    pub(crate) observer: Option<Arc<dyn LogObserver>>,
    pub(crate) poisoned: Arc<AtomicBool>,
    /// Set by the checkpoint thread once the WAL is large.
    pub(crate) restart_wal: Arc<AtomicBool>,
    pub(crate) wal_ahead: Preallocation,
    /// Who waits for the commit under construction, and what each is to be answered; kept here so
    /// that a panic leaves nobody without an answer.
    pub(crate) waiting: Vec<Waiting>,
    /// The id of the last commit that was begun.
    pub(crate) batch_id: BatchId,
    pub(crate) setbacks: Setbacks,
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
    ///
    /// A panic leaves the log as it was: the writer starts over from the file, unless it panics
    /// again and again.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while catch_unwind(AssertUnwindSafe(|| self.work(&mut commands))).is_err() {
            if !self.start_over() {
                return;
            }
        }
        commands.close();
        self.finish();
    }

    fn work(&mut self, commands: &mut mpsc::Receiver<Command>) {
        let mut next = commands.blocking_recv();
        while let Some(command) = next.take() {
            match command {
                Command::Append(job) => {
                    let (jobs, after) = gather(job, commands);
                    self.commit(jobs);
                    next = after;
                }
                Command::Sweep => self.sweep(),
                Command::TakeLease { chat, turn, reply } => {
                    let _ = reply.send(self.take_lease(&chat, &turn));
                }
                Command::Keep { kept, reply } => {
                    let _ = reply.send(self.keep(&kept));
                }
                Command::Upkeep(work) => self.upkeep(work),
                Command::Close => break,
            }
            if next.is_none() {
                next = commands.blocking_recv();
            }
        }
    }

    /// Commits what was gathered, then answers everybody; whether it is stored.
    pub(super) fn commit(&mut self, jobs: Vec<Job>) -> bool {
        let started = monotonic();
        if let Err(refused) = self.may_commit() {
            for job in jobs {
                let _ = job.reply.send(Err(refused.to_error()));
            }
            return false;
        }
        let mut group = Group::new(self);
        self.batch_id = group.batch_id;
        if let Err(failure) = self.write(&mut group, jobs) {
            self.fail(failure);
            return false;
        }
        let (n_appends, n_events) =
            (self.waiting.len(), group.next_seq().get() - self.head.get() - 1);
        let recent = Arc::clone(&self.recent);
        let wakes = self.publish(group, &recent);
        // Counted before the answers: who was answered finds it in the metrics.
        if n_events > 0 {
            if let Some(observer) = &self.observer {
                observer.committed(n_appends, n_events, started.elapsed());
            }
            self.wrote();
        }
        self.answer();
        wakes.wake();
        if let Err(error) = self.wal_ahead.after_commit() {
            tracing::debug!(%error, "the WAL is not preallocated");
        }
        self.restart_wal_if_wanted();
        true
    }

    /// Tells everybody who waits what came of it.
    pub(super) fn answer(&mut self) {
        for (reply, answer) in self.waiting.drain(..) {
            let _ = reply.send(answer);
        }
    }

    fn write(&mut self, group: &mut Group, jobs: Vec<Job>) -> Result<(), CommitFailure> {
        let mut appends = Vec::with_capacity(jobs.len());
        for Job { append, reply, span } in jobs {
            self.waiting.push((reply, Err(AppendError::Closing)));
            appends.push((append, span));
        }
        self.db.execute_batch("BEGIN IMMEDIATE").map_err(CommitFailure::before)?;
        for (index, (append, span)) in appends.into_iter().enumerate() {
            let _entered = span.enter();
            self.waiting[index].1 = match self.admit(group, append) {
                Ok(done) => Ok(done),
                Err(NotAdmitted::Refused(refused)) => Err(refused),
                Err(NotAdmitted::Db(error)) => return Err(CommitFailure::before(error)),
            };
        }
        if group.next_seq() == self.head.next() {
            return self.db.execute_batch("ROLLBACK").map_err(CommitFailure::before);
        }
        group.close_row(&self.db).map_err(CommitFailure::before)?;
        fail::fail_point!("log-full", |_| Err(CommitFailure::before(crate::sqlite::full_disk())));
        fail::fail_point!("log-before-commit");
        self.db.execute_batch("COMMIT").map_err(CommitFailure::at_commit)?;
        fail::fail_point!("log-after-commit");
        Ok(())
    }

    fn publish<'r>(&mut self, group: Group, recent: &'r Recent) -> Wakes<'r> {
        self.head = group.next_seq().prev();
        self.last_at = group.last_at.max(self.last_at);
        self.last_checksum = group.checksum;
        self.note_head();
        recent.publish(group.sections, self.head)
    }

    fn restart_wal_if_wanted(&mut self) {
        if self.restart_wal.swap(false, Ordering::AcqRel)
            && let Err(error) = checkpoint(&self.db, CheckpointMode::Restart)
        {
            self.meet_at_checkpoint(&error);
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
            match self.leased.get(id) {
                Some(&runs_out) => lease.runs_out = runs_out,
                None => lease.resume(self.clock.now(), self.clock.steady()),
            }
        }
        self.remember(slot.clone());
        Ok(Some(slot))
    }

    /// Keeps a chat's slot, and when its lease runs out.
    pub(crate) fn remember(&mut self, slot: ChatSlot) {
        match (&slot.lease, self.leased.get_mut(&slot.state.id)) {
            (Some(lease), Some(runs_out)) => *runs_out = lease.runs_out,
            (Some(lease), None) => {
                self.leased.insert(slot.state.id.clone(), lease.runs_out);
            }
            (None, _) => {
                self.leased.remove(&slot.state.id);
            }
        }
        self.chats.put(slot.state.id.clone(), slot);
    }
}

/// Who waits for an append, and the answer as far as it is known.
pub(crate) type Waiting = (oneshot::Sender<Result<Reply, AppendError>>, Result<Reply, AppendError>);

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
