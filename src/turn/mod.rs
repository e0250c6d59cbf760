//! Turns that the server runs itself: it drives a provider, and what that says becomes events
//! through the same door as everybody's.
//!
//! Whatever goes wrong, from set-up to the last byte, becomes the turn's terminal event; what was
//! said before it stays. [`Turns`] owns every task: it cancels and joins them at shutdown.
//!
//! Reading order: `start` is how a turn begins, `runner` drives it, `state` and `timers` decide
//! (pure), `ending` and `handoff` end it and go on; `stop`, `answer` and `queue` are what people do
//! meanwhile; `gate` and `running` keep order; `recover` goes on after a restart; `schedule` starts
//! turns by the clock.

mod answer;
mod delivery;
mod ending;
mod farewell;
mod faults;
mod gate;
mod handoff;
mod history;
mod queue;
mod recover;
mod runner;
mod running;
mod schedule;
mod start;
mod state;
mod stop;
mod timers;

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use scrollback_schema::event::{MessageQueued, QueueEdited, QueueRemoved, QueueSendNow, Session};
use scrollback_schema::limits::TURNS_WAITING_MAX;
use scrollback_schema::{ChatId, ChatRef, Event, MessageId, Millis, NewEvent, Seq, TurnId};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

pub use answer::Respond;
pub use schedule::{Due, ScheduleError, Schedules, TimingError, next_run};
pub use start::{Accepted, Asks, IfBusy, StartTurn};
pub use stop::StopTurn;

use crate::clock::Clock;
use crate::config::TurnConfig;
use crate::log::{Answered, AppendError, Idempotency, Log, ReadError};
use crate::provider::Providers;
use crate::read_model::{ReadModel, ReadModelError};
use gate::ChatGates;
use runner::Job;
use running::{Registry, Running};
use schedule::Stirred;

/// Agent sessions remembered: more chats than a server has active at a time.
const SESSIONS_KEPT: usize = 4_096;

/// Is told what turns do, for metrics.
pub trait TurnObserver: Send + Sync + fmt::Debug {
    /// So many more, or fewer, turns wait for their slot.
    fn waiting(&self, change: i64);
    /// So many more, or fewer, turns run.
    fn running(&self, change: i64);
    /// A provider said its first word so long after it was asked.
    fn first_word(&self, after: Duration);
    /// A turn ended: `completed`, `failed`, `interrupted`, or `superseded` by whoever ended it.
    fn ended(&self, outcome: &'static str);
}

/// What turns are run with.
#[derive(Debug, Clone)]
pub struct TurnParts {
    /// Where events go.
    pub log: Log,
    /// Where the conversation and the queue come from.
    pub read_model: ReadModel,
    /// Who runs turns.
    pub providers: Providers,
    /// The provider of a turn that names none.
    pub default_provider: Option<String>,
    /// Bounds and time-outs.
    pub config: TurnConfig,
    /// The time, and fresh ids.
    pub clock: Clock,
    /// Who counts.
    pub observer: Arc<dyn TurnObserver>,
}

/// Why a call about turns was refused.
#[derive(Debug, thiserror::Error)]
pub enum TurnsError {
    /// The log refuses it, or could not store it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The disk took nothing; nothing was stored.
    #[error("the log could not be written")]
    Storage,
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A read model could not be read.
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    /// No provider was named, and there is no default one.
    #[error("no provider is named, and no default_provider is configured")]
    NoProvider,
    /// The provider is not configured.
    #[error("the provider is not configured")]
    ProviderUnknown {
        /// Its name.
        name: String,
    },
    /// A producer outside can be asked for nothing: it leases its turns.
    #[error("provider \"external\" runs its own turns and cannot be handed a queued message")]
    External,
    /// As many turns wait as may.
    #[error("{max} turns wait already, which is the limit")]
    Full {
        /// The bound.
        max: usize,
    },
    /// The server is shutting down.
    #[error("the server is shutting down")]
    Closing,
    /// An approval needs one of its options.
    #[error("an approval is answered with one of its options")]
    OptionMissing,
    /// The request does not offer this option.
    #[error("the request offers no such option")]
    OptionUnknown,
    /// A question has no options.
    #[error("a question is answered with content, not with an option")]
    OptionNotAsked,
    /// The first answer to this key cannot be read back.
    #[error("the first answer cannot be read back")]
    Unreadable,
    /// The task that did it has ended.
    #[error("the call broke off")]
    Interrupted,
}

/// The ids of a turn, of the message that it answers, and of the one that it produces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnIds {
    /// The user's message.
    pub user_message: MessageId,
    /// The assistant's message.
    pub message: MessageId,
    /// The turn.
    pub turn: TurnId,
}

impl TurnIds {
    /// Ids that nothing else has.
    pub fn fresh(clock: &Clock) -> TurnIds {
        let message = || MessageId::parse(&clock.fresh_id()).expect("a UUID is an id");
        let turn = TurnId::parse(&clock.fresh_id()).expect("a UUID is an id");
        TurnIds { user_message: message(), message: message(), turn }
    }

    /// All three as one line, to be kept with a client's key.
    pub fn receipt(&self) -> String {
        format!("{} {} {}", self.user_message, self.message, self.turn)
    }

    /// Reads the line back.
    pub fn from_receipt(receipt: &str) -> Option<TurnIds> {
        let mut parts = receipt.split(' ');
        let user_message = MessageId::parse(parts.next()?).ok()?;
        let message = MessageId::parse(parts.next()?).ok()?;
        let turn = TurnId::parse(parts.next()?).ok()?;
        Some(TurnIds { user_message, message, turn })
    }

    fn user_event(&self, said: scrollback_schema::event::UserText) -> NewEvent {
        let message = Some(self.user_message.clone());
        NewEvent { message, turn: None, event: Event::UserText(said) }
    }

    fn turn_event(&self, event: Event) -> NewEvent {
        NewEvent::of_turn(self.turn.clone(), self.message.clone(), event)
    }
}

/// Runs turns; cloning shares it.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Shared>);

struct Shared {
    log: Log,
    read_model: ReadModel,
    providers: Providers,
    default_provider: Option<String>,
    config: TurnConfig,
    /// What was due before was due while no server ran.
    started_at: Millis,
    clock: Clock,
    observer: Arc<dyn TurnObserver>,
    gates: ChatGates,
    registry: Registry,
    /// One a turn that runs; who waits for one is served in order.
    slots: Arc<Semaphore>,
    n_waiting: AtomicUsize,
    /// The sessions of agents, by chat and provider, as they were noted last.
    sessions: Mutex<LruCache<(Seq, String), Option<Session>>>,
    /// Chats whose queue a task follows.
    watched: Mutex<HashSet<Seq>>,
    /// Chats whose schedules are to be looked at.
    stirred: Stirred,
    tasks: TaskTracker,
    /// No new work is taken.
    closing: CancellationToken,
    /// Every turn is interrupted.
    cut: CancellationToken,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("providers", &self.providers).finish_non_exhaustive()
    }
}

impl Turns {
    /// Runs nothing yet.
    pub fn new(parts: TurnParts) -> Turns {
        let kept = NonZeroUsize::new(SESSIONS_KEPT).expect("the number above is not zero");
        Turns(Arc::new(Shared {
            slots: Arc::new(Semaphore::new(parts.config.running_max)),
            log: parts.log,
            read_model: parts.read_model,
            providers: parts.providers,
            default_provider: parts.default_provider,
            config: parts.config,
            started_at: parts.clock.now(),
            clock: parts.clock,
            observer: parts.observer,
            gates: ChatGates::default(),
            registry: Registry::default(),
            n_waiting: AtomicUsize::new(0),
            sessions: Mutex::new(LruCache::new(kept)),
            watched: Mutex::default(),
            stirred: Stirred::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            cut: CancellationToken::new(),
        }))
    }

    /// Who can run turns.
    pub fn providers(&self) -> &Providers {
        &self.0.providers
    }

    /// Starts a turn: durable when this returns, and its task runs.
    ///
    /// # Errors
    ///
    /// [`TurnsError`]; but for an append whose outcome is unknown, nothing has started then.
    ///
    /// # Cancel safety
    ///
    /// Here and in every other call: once polled, a dropped future does not keep the work from
    /// being done, whole.
    pub async fn start(&self, start: StartTurn) -> Result<Accepted, TurnsError> {
        self.whole(Arc::clone(&self.0).start(start)).await
    }

    /// Stops a turn if it is open. One that has ended, or never was, is left alone, and so is every
    /// other turn. Asked for durably when this returns; the end follows at once.
    ///
    /// # Errors
    ///
    /// [`TurnsError`], if the chat is not there or the log could not be written.
    pub async fn stop(&self, stop: StopTurn) -> Result<(), TurnsError> {
        self.whole(Arc::clone(&self.0).stop(stop)).await
    }

    /// Answers an approval or a question; the turn that waits hears it once. Returns its seq.
    ///
    /// # Errors
    ///
    /// [`TurnsError`]; the log refuses a request that is unknown, or was answered before.
    pub async fn respond(&self, respond: Respond) -> Result<Seq, TurnsError> {
        self.whole(Arc::clone(&self.0).respond(respond)).await
    }

    /// Queues a message; in an idle chat it starts at once.
    ///
    /// # Errors
    ///
    /// [`TurnsError`].
    pub async fn queue(
        &self,
        chat: ChatId,
        message: MessageQueued,
        idempotency: Option<Idempotency>,
    ) -> Result<Accepted, TurnsError> {
        self.whole(Arc::clone(&self.0).queue(chat, message, idempotency)).await
    }

    /// Edits a queued message; returns the seq of the edit.
    ///
    /// # Errors
    ///
    /// [`TurnsError`]; the log refuses a message that is not in the queue.
    pub async fn edit_queued(
        &self,
        chat: ChatId,
        edited: QueueEdited,
        idempotency: Option<Idempotency>,
    ) -> Result<Seq, TurnsError> {
        self.whole(Arc::clone(&self.0).edit(chat, edited, idempotency)).await
    }

    /// Removes a queued message; returns the seq of the removal.
    ///
    /// # Errors
    ///
    /// [`TurnsError`]; the log refuses a message that is not in the queue.
    pub async fn remove_queued(
        &self,
        chat: ChatId,
        removed: QueueRemoved,
        idempotency: Option<Idempotency>,
    ) -> Result<Seq, TurnsError> {
        self.whole(Arc::clone(&self.0).remove(chat, removed, idempotency)).await
    }

    /// Removes every queued message; returns how many, and the seq after which there are none.
    ///
    /// # Errors
    ///
    /// [`TurnsError`].
    pub async fn clear_queue(
        &self,
        chat: ChatId,
        by: Option<String>,
        idempotency: Option<Idempotency>,
    ) -> Result<(usize, Seq), TurnsError> {
        self.whole(Arc::clone(&self.0).clear(chat, by, idempotency)).await
    }

    /// Sends a queued message now: the open turn makes way for it. Returns the seq of the wish.
    ///
    /// # Errors
    ///
    /// [`TurnsError`]; the log refuses a message that is not in the queue.
    pub async fn send_now(
        &self,
        chat: ChatId,
        now: QueueSendNow,
        idempotency: Option<Idempotency>,
    ) -> Result<Seq, TurnsError> {
        self.whole(Arc::clone(&self.0).send_now(chat, now, idempotency)).await
    }

    /// Lets go of the turn of a chat that was deleted.
    pub fn abandon(&self, chat: &ChatId) {
        self.0.abandon(chat);
    }

    /// Lets queues go on that a process before this one left; to be called once, before calls are
    /// taken.
    ///
    /// # Errors
    ///
    /// [`TurnsError`], if the queues cannot be read.
    pub async fn resume(&self) -> Result<(), TurnsError> {
        self.whole(Arc::clone(&self.0).resume()).await
    }

    /// Takes no new work, gives turns the configured grace, and interrupts those that are left;
    /// their ends are in the log when this returns. Queued messages stay for the next start.
    pub async fn close(&self) {
        let shared = &self.0;
        shared.closing.cancel();
        shared.tasks.close();
        let grace = shared.config.shutdown_grace;
        if tokio::time::timeout(grace, shared.tasks.wait()).await.is_err() {
            shared.cut.cancel();
            shared.tasks.wait().await;
        }
    }

    /// Does all of the work even if the caller goes away in between.
    async fn whole<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, TurnsError>> + Send + 'static,
    ) -> Result<T, TurnsError> {
        let span = tracing::Span::current();
        self.0.tasks.spawn(work.instrument(span)).await.map_err(|_| TurnsError::Interrupted)?
    }
}

impl Shared {
    /// Runs a turn that is in the log, in a task of its own.
    fn spawn_turn(self: &Arc<Self>, job: Job) {
        let span = tracing::info_span!("turn.run", chat_id = %job.chat.id, turn_id = %job.turn);
        let (running, inbox) = Running::new(job.turn.clone(), self.cut.clone());
        self.registry.insert(&job.chat.id, running);
        self.tasks.spawn(runner::run(Arc::clone(self), job, inbox).instrument(span));
    }

    /// The chat of this id, unless it is not there or was deleted.
    async fn chat(&self, id: &ChatId) -> Result<ChatRef, TurnsError> {
        match self.log.find_chat(id).await? {
            None => Err(AppendError::ChatNotFound { chat: id.clone() }.into()),
            Some(entry) if entry.deleted.is_some() => {
                Err(AppendError::ChatDeleted { chat: id.clone() }.into())
            }
            Some(entry) => Ok(entry.chat),
        }
    }

    /// What was answered to a client's key before, for calls that may have nothing to append.
    async fn answered_before(
        &self,
        kept: Option<&Idempotency>,
    ) -> Result<Option<Answered>, TurnsError> {
        let Some(kept) = kept else { return Ok(None) };
        match self.log.answered_before(kept).await? {
            Some(answered) if !answered.is_of_same_body => {
                Err(AppendError::IdempotencyMismatch.into())
            }
            answered => Ok(answered),
        }
    }

    fn may_take_work(&self) -> Result<(), TurnsError> {
        if self.closing.is_cancelled() {
            return Err(TurnsError::Closing);
        }
        match self.n_waiting.load(Ordering::Relaxed) {
            n if n >= TURNS_WAITING_MAX => Err(TurnsError::Full { max: TURNS_WAITING_MAX }),
            _ => Ok(()),
        }
    }

    /// Counts a turn that waits, for as long as the guard lives.
    fn count_waiting(self: &Arc<Self>) -> Waits {
        self.n_waiting.fetch_add(1, Ordering::Relaxed);
        self.observer.waiting(1);
        Waits(Arc::clone(self))
    }

    fn sessions(&self) -> MutexGuard<'_, LruCache<(Seq, String), Option<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watched(&self) -> MutexGuard<'_, HashSet<Seq>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn that waits for its slot.
struct Waits(Arc<Shared>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.n_waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.observer.waiting(-1);
    }
}
