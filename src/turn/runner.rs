//! One task a turn: waits for its slot, drives the provider, appends what it says, ends the turn.
//!
//! What a provider says is appended as it comes, one append on its way at a time; what comes
//! meanwhile goes together into the next one, and once that is full the provider waits. A pause of
//! the provider never leaves text in memory. The task ends with exactly one terminal event, or with
//! none if somebody else has ended the turn.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::StreamExt;
use scrollback_schema::event::{Phase, RequestOutcome};
use scrollback_schema::limits::{SAID_BYTES_MAX, SAID_EVENTS_MAX};
use scrollback_schema::{
    ChatRef, ErrorCode, Event, MessageId, Millis, NewEvent, RequestId, TurnId,
};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::Asked;
use super::delivery::{Undelivered, append, append_patiently};
use super::ending::{Last, Slot, finish};
use super::farewell::{Leaving, farewell};
use super::faults::{broke_off, not_configured, panicked, protocol, refused, too_long};
use super::running::{Inbox, Word};
use super::state::{End, Heard, SaidSoFar, n_bytes};
use super::timers::{TimedOut, Timers};
use super::{Shared, history};
use crate::clock::ticks;
use crate::provider::{Answer, Ask, Provider, ProviderError, Question, Said, Saying, TurnRequest};

/// A turn that is in the log and that this server is to run.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) chat: ChatRef,
    pub(super) turn: TurnId,
    pub(super) message: MessageId,
    pub(super) user_message: MessageId,
    pub(super) provider: String,
    pub(super) model: Option<String>,
    pub(super) started_at: Millis,
}

impl Job {
    /// An event of this turn.
    pub(super) fn event(&self, event: Event) -> NewEvent {
        NewEvent::of_turn(self.turn.clone(), self.message.clone(), event)
    }
}

/// Runs a turn to its end.
pub(super) async fn run(shared: Arc<Shared>, job: Job, inbox: Inbox) {
    let job = Arc::new(job);
    let runner = Runner::new(Arc::clone(&shared), Arc::clone(&job), inbox);
    let last = match AssertUnwindSafe(runner.run()).catch_unwind().await {
        Ok(last) => last,
        Err(_) => Last::bare(Some(End::Failed(broke_off()))),
    };
    finish(&shared, &job, last).await;
}

/// A question that waits for its answer.
struct Waiting {
    answer: oneshot::Sender<Answer>,
    kind: Asked,
    expires: Option<Instant>,
}

/// An append on its way; what could not be stored comes back.
type InFlight = BoxFuture<'static, Result<(), (Undelivered, Vec<Event>)>>;

/// What the loop wakes up for.
enum Wake {
    Word(Word),
    Stored(Result<(), (Undelivered, Vec<Event>)>),
    Said(Option<Result<Said, ProviderError>>),
    TimedOut(TimedOut),
    Expired,
}

struct Runner {
    shared: Arc<Shared>,
    job: Arc<Job>,
    inbox: Inbox,
    stop: CancellationToken,
    said: SaidSoFar,
    timers: Timers,
    began: Instant,
    /// Said, and not handed to the log yet.
    unsaid: Vec<Event>,
    n_unsaid_bytes: usize,
    waiting: BTreeMap<RequestId, Waiting>,
    slot: Option<Slot>,
}

impl Runner {
    fn new(shared: Arc<Shared>, job: Arc<Job>, inbox: Inbox) -> Runner {
        let now = ticks();
        let timeouts = shared.config.timeouts_of(&job.provider);
        Runner {
            inbox,
            stop: CancellationToken::new(),
            said: SaidSoFar::new(shared.config.output_bytes_max),
            timers: Timers::new(timeouts, now),
            began: now,
            unsaid: Vec::new(),
            n_unsaid_bytes: 0,
            waiting: BTreeMap::new(),
            slot: None,
            shared,
            job,
        }
    }

    async fn run(mut self) -> Last {
        let end = match self.set_up().await {
            Ok(saying) => self.listen(saying).await,
            Err(end) => Some(end),
        };
        let asked = self.waiting.iter().map(|(id, waiting)| (id.clone(), waiting.kind)).collect();
        Last { said: self.said, unsaid: self.unsaid, asked, end, slot: self.slot }
    }

    /// Waits for a slot and for the former provider to be gone, then starts the provider.
    async fn set_up(&mut self) -> Result<Saying, End> {
        let waits = self.shared.count_waiting();
        let slot = async {
            let slots = Arc::clone(&self.shared.slots);
            let permit = slots.acquire_owned().await.expect("nobody closes the slots");
            self.shared.registry.no_one_leaves(&self.job.chat.id).await;
            Slot::new(&self.shared, permit)
        };
        tokio::select! {
            biased;
            reason = self.inbox.interrupted() => return Err(End::Interrupted(reason)),
            slot = slot => self.slot = Some(slot),
        }
        drop(waits);
        self.began = ticks();
        let timeouts = self.shared.config.timeouts_of(&self.job.provider);
        self.timers = Timers::new(timeouts, self.began);
        let Some(provider) = self.shared.providers.get(&self.job.provider).cloned() else {
            return Err(End::Failed(not_configured(&self.job.provider)));
        };
        let mut starting = self.starting(provider);
        let timed_out = self.timers.next();
        let end = tokio::select! {
            biased;
            reason = self.inbox.interrupted() => End::Interrupted(reason),
            started = &mut starting => match started {
                Ok(saying) => {
                    self.timers.connected(ticks());
                    return Ok(saying);
                }
                Err(error) => return Err(End::Failed(error)),
            },
            which = sleep_until(timed_out) => End::Failed(which.error(&timeouts)),
        };
        self.stop.cancel();
        farewell(&self.shared, &self.job, Leaving::Starting(starting));
        Err(end)
    }

    /// Reads the conversation and starts the provider; its panics are its failures.
    fn starting(
        &self,
        provider: Arc<dyn Provider>,
    ) -> BoxFuture<'static, Result<Saying, ProviderError>> {
        let (shared, job, stop) =
            (Arc::clone(&self.shared), Arc::clone(&self.job), self.stop.clone());
        let start = async move {
            let unread = |error: String| {
                tracing::error!(error, "a conversation could not be read");
                let message = "the conversation could not be read";
                ProviderError::new(ErrorCode::Internal, Phase::Setup, message)
            };
            let request = TurnRequest {
                chat: job.chat.id.clone(),
                turn: job.turn.clone(),
                model: job.model.clone(),
                history: history::conversation(&shared, &job.chat, &job.user_message)
                    .await
                    .map_err(|error| unread(error.to_string()))?,
                session: history::session(&shared, &job.chat, &job.provider)
                    .await
                    .map_err(|error| unread(error.to_string()))?,
                stop,
            };
            provider.start(request).await
        };
        AssertUnwindSafe(start)
            .catch_unwind()
            .map(|started| started.unwrap_or_else(|_| Err(panicked(Phase::Setup))))
            .boxed()
    }

    /// Hears the provider to its end and appends what it says; `None` if the turn is over already.
    async fn listen(&mut self, saying: Saying) -> Option<End> {
        let mut saying = AssertUnwindSafe(saying)
            .catch_unwind()
            .map(|said| said.unwrap_or_else(|_| Err(panicked(Phase::Stream))))
            .boxed();
        let (mut in_flight, mut is_over) = (None, false);
        let end = loop {
            if in_flight.is_none() && !self.unsaid.is_empty() {
                in_flight = Some(self.append_unsaid());
            }
            match self.wake(&mut saying, &mut in_flight).await {
                Wake::Word(Word::Interrupt(reason)) => break Some(End::Interrupted(reason)),
                Wake::Word(Word::Answer(request, answer)) => self.answered(&request, answer),
                Wake::Stored(stored) => {
                    in_flight = None;
                    if let Err(unstored) = stored {
                        break self.unstored(unstored);
                    }
                }
                Wake::Said(Some(Ok(said))) => {
                    if let Err(end) = self.hear(said) {
                        break Some(end);
                    }
                }
                Wake::Said(Some(Err(error))) => {
                    is_over = true;
                    break Some(End::Failed(error));
                }
                Wake::Said(None) => {
                    is_over = true;
                    break Some(End::Complete);
                }
                Wake::TimedOut(which) => {
                    let timeouts = self.shared.config.timeouts_of(&self.job.provider);
                    break Some(End::Failed(which.error(&timeouts)));
                }
                Wake::Expired => self.expire().await,
            }
        };
        if !is_over {
            self.stop.cancel();
            farewell(&self.shared, &self.job, Leaving::Saying(saying));
        }
        match in_flight {
            Some(in_flight) => self.last_append(in_flight.await, end),
            None => end,
        }
    }

    /// Waits for whatever comes first; the provider only if there is room for what it says.
    async fn wake(&mut self, saying: &mut Saying, in_flight: &mut Option<InFlight>) -> Wake {
        let has_room = self.unsaid.len() < SAID_EVENTS_MAX && self.n_unsaid_bytes < SAID_BYTES_MAX;
        if has_room && self.waiting.is_empty() {
            self.timers.resume(ticks());
        } else {
            self.timers.pause(ticks());
        }
        let timed_out = self.timers.next();
        let expires = self.waiting.values().filter_map(|waiting| waiting.expires).min();
        let (is_stored, is_quiet) = (in_flight.is_some(), in_flight.is_none());
        let stored = async {
            match in_flight {
                Some(in_flight) => in_flight.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            word = self.inbox.next() => Wake::Word(word),
            stored = stored, if is_stored => Wake::Stored(stored),
            said = saying.next(), if has_room => Wake::Said(said),
            which = sleep_until(timed_out) => Wake::TimedOut(which),
            // A question is in the log before it can expire there.
            () = sleep_until_some(expires), if is_quiet => Wake::Expired,
        }
    }

    /// Takes one thing that the provider says.
    fn hear(&mut self, said: Said) -> Result<(), End> {
        let had_spoken = self.said.has_spoken();
        match said {
            Said::Event(event) => match self.said.hear(event) {
                Heard::Append(Event::Session(session)) => {
                    let key = (self.job.chat.created, self.job.provider.clone());
                    self.shared.sessions().put(key, Some(session.clone()));
                    self.push(Event::Session(session));
                }
                Heard::Append(event) if is_request(&event) => {
                    return Err(End::Failed(protocol("asked a question without waiting for it")));
                }
                Heard::Append(event) => self.push(event),
                Heard::Nothing => {}
                Heard::TooLong(rest) => {
                    rest.into_iter().for_each(|event| self.push(event));
                    return Err(End::Failed(too_long(self.shared.config.output_bytes_max)));
                }
                Heard::NotAllowed(kind) => {
                    return Err(End::Failed(protocol(&format!("said {kind}"))));
                }
            },
            Said::Ask(ask) => self.ask(ask)?,
        }
        if !had_spoken && self.said.has_spoken() {
            self.shared.observer.first_word(self.began.elapsed());
        }
        self.timers.heard(self.said.has_spoken(), ticks());
        Ok(())
    }

    fn push(&mut self, event: Event) {
        self.n_unsaid_bytes += n_bytes(&event);
        self.unsaid.push(event);
    }

    fn ask(&mut self, Ask { question, answer }: Ask) -> Result<(), End> {
        let (id, kind, expires_at, event) = match question {
            Question::Permission(asked) => {
                let (id, expires_at) = (asked.request_id.clone(), asked.expires_at);
                (id, Asked::Permission, expires_at, Event::PermissionRequest(asked))
            }
            Question::Elicitation(asked) => (
                asked.request_id.clone(),
                Asked::Elicitation,
                None,
                Event::ElicitationRequest(asked),
            ),
        };
        if self.waiting.contains_key(&id) {
            return Err(End::Failed(protocol("asked two questions under one id")));
        }
        let expires = expires_at.map(|at| {
            let left = at.since_ms(self.shared.clock.now());
            ticks() + std::time::Duration::from_millis(left)
        });
        match self.said.hear(event) {
            Heard::Append(event) => self.push(event),
            _ => return Err(End::Failed(protocol("asked a question that is none"))),
        }
        self.waiting.insert(id, Waiting { answer, kind, expires });
        Ok(())
    }

    /// Passes an answer on; the log has let it through once.
    fn answered(&mut self, request: &RequestId, answer: Answer) {
        if let Some(waiting) = self.waiting.remove(request) {
            let _ = waiting.answer.send(answer);
        }
        if self.waiting.is_empty() {
            self.timers.resume(ticks());
        }
        self.timers.heard(self.said.has_spoken(), ticks());
    }

    /// Ends the questions whose time is over, unless somebody answers at this moment.
    async fn expire(&mut self) {
        let now = ticks();
        let is_due = |waiting: &Waiting| waiting.expires.is_some_and(|at| at <= now);
        let due = self.waiting.iter().find(|(_, waiting)| is_due(waiting));
        let Some((id, kind)) = due.map(|(id, waiting)| (id.clone(), waiting.kind)) else { return };
        let expired = self.job.event(kind.ended(id.clone(), RequestOutcome::Expired));
        match append_patiently(&self.shared.log, &self.job.chat.id, &[expired]).await {
            Ok(_) => {
                let outcome = RequestOutcome::Expired;
                self.answered(&id, Answer { outcome, option_id: None, content: None });
            }
            // It was answered just before: the answer is on its way. Or the turn is over.
            Err(_) => {
                if let Some(waiting) = self.waiting.get_mut(&id) {
                    waiting.expires = None;
                }
            }
        }
    }

    /// Sends what was said to the log.
    fn append_unsaid(&mut self) -> InFlight {
        let events = std::mem::take(&mut self.unsaid);
        self.n_unsaid_bytes = 0;
        let (shared, job) = (Arc::clone(&self.shared), Arc::clone(&self.job));
        let appending = async move {
            let new: Vec<NewEvent> = events.iter().map(|event| job.event(event.clone())).collect();
            let done = match append(&shared.log, &job.chat.id, new.clone()).await {
                Err(Undelivered::Storage) => {
                    append_patiently(&shared.log, &job.chat.id, &new).await
                }
                done => done,
            };
            done.map(|_| ()).map_err(|why| (why, events))
        };
        appending.boxed()
    }

    /// What an append that failed means for the turn; what can still be stored is kept.
    fn unstored(&mut self, (why, mut events): (Undelivered, Vec<Event>)) -> Option<End> {
        let end = match why {
            Undelivered::Gone => return None,
            Undelivered::Refused { index, error } => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a provider is refused");
                events.truncate(index);
                self.unsaid.clear();
                End::Failed(refused(&error))
            }
            Undelivered::Storage => {
                let message = "the log could not be written";
                End::Failed(ProviderError::new(ErrorCode::Storage, Phase::Storage, message))
            }
        };
        events.append(&mut self.unsaid);
        self.unsaid = events;
        Some(end)
    }

    /// The last append that was on its way as the turn ended.
    fn last_append(
        &mut self,
        stored: Result<(), (Undelivered, Vec<Event>)>,
        end: Option<End>,
    ) -> Option<End> {
        match (stored, end) {
            (Ok(()), end) => end,
            (Err(unstored), end) => {
                let failed = self.unstored(unstored)?;
                // Who stopped it hears that it was stopped.
                match end {
                    Some(End::Interrupted(reason)) => Some(End::Interrupted(reason)),
                    _ => Some(failed),
                }
            }
        }
    }
}

fn is_request(event: &Event) -> bool {
    matches!(event, Event::PermissionRequest(_) | Event::ElicitationRequest(_))
}

async fn sleep_until(timed_out: Option<(TimedOut, Instant)>) -> TimedOut {
    match timed_out {
        Some((which, at)) => {
            tokio::time::sleep_until(at).await;
            which
        }
        None => std::future::pending().await,
    }
}

async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
