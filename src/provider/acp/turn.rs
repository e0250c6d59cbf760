//! One turn of an agent: from its prompt to its last word.
//!
//! No task of its own: whoever polls the stream drives the pipes, so that a slow listener holds
//! the agent back instead of filling memory, and a dropped stream leaves nothing behind.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, stream};
use scrollback_schema::event::{Phase, Usage};
use scrollback_schema::limits::PENDING_REQUESTS_MAX;
use scrollback_schema::{Event, Kind, RequestId, TurnId};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::failure;
use super::prompt;
use super::question::{self, Wanted};
use super::session::{Agent, Session, UpdateParams, dismissal};
use super::settings::Settings;
use super::update::{Heard, Updates, usage_of_prompt};
use super::wire::{Broken, Message};
use crate::clock::{Clock, ticks};
use crate::provider::{Answer, Ask, ProviderError, Said, Saying, TurnRequest};

/// Prompts the agent; what it says comes as a stream.
pub(super) fn begin(
    settings: &Arc<Settings>,
    mut agent: Agent,
    session: Session,
    request: &TurnRequest,
) -> Saying {
    let blocks = prompt::blocks(&request.history, session.memory);
    let prompt = json!({"sessionId": session.id, "prompt": blocks});
    let prompted = agent.wire.request("session/prompt", &prompt);
    let turn = Turn {
        settings: Arc::clone(settings),
        agent,
        prompted,
        turn: request.turn.clone(),
        stop: request.stop.clone(),
        kill_at: None,
        says: VecDeque::from([Event::Session(session.event()).into()]),
        usd_told: session.usd_before,
        session,
        updates: Updates::default(),
        spoke: false,
        n_asked: 0,
        asked: HashMap::new(),
        answers: FuturesUnordered::new(),
        over: None,
    };
    stream::unfold(Some(turn), |turn| async {
        match turn?.next().await {
            (Some(Ok(said)), turn) => Some((Ok(said), turn)),
            (Some(Err(error)), _) => Some((Err(error), None)),
            (None, _) => None,
        }
    })
    .boxed()
}

impl From<Event> for Said {
    fn from(event: Event) -> Said {
        Said::Event(event)
    }
}

/// A question that waits for its answer.
#[derive(Debug)]
struct Asked {
    /// The agent's number of its request.
    id: Value,
    /// How the answer is written.
    wanted: Wanted,
}

/// The number of a question, and its answer.
type Answered = BoxFuture<'static, (u64, Result<Answer, oneshot::error::RecvError>)>;

struct Turn {
    settings: Arc<Settings>,
    agent: Agent,
    /// The number of the prompt: its answer ends the turn.
    prompted: u64,
    turn: TurnId,
    stop: CancellationToken,
    /// When the agent is killed that was told to cancel; none before.
    kill_at: Option<Instant>,
    /// What was heard and not yet said.
    says: VecDeque<Said>,
    session: Session,
    /// What the session had cost when the last usage was said, in US dollars, if that is known.
    usd_told: Option<f64>,
    updates: Updates,
    /// Whether there was content: a failure before it is one of set-up.
    spoke: bool,
    n_asked: u64,
    asked: HashMap<u64, Asked>,
    answers: FuturesUnordered<Answered>,
    /// How the turn ended, once the prompt was answered.
    over: Option<Result<(), ProviderError>>,
}

impl Turn {
    /// What is said next, and the turn unless it is over.
    async fn next(mut self) -> (Option<Result<Said, ProviderError>>, Option<Turn>) {
        loop {
            if let Some(said) = self.says.pop_front() {
                return (Some(Ok(said)), Some(self));
            }
            if let Some(over) = self.over.take() {
                self.agent.leave().await;
                return (over.err().map(Err), None);
            }
            let kill_at = self.kill_at;
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if kill_at.is_none() => self.cancel(),
                () = tokio::time::sleep_until(kill_at.unwrap_or_else(ticks)),
                    if kill_at.is_some() => return (None, None),
                Some((n, answer)) = self.answers.next() => self.answer(n, answer.ok().as_ref()),
                message = self.agent.receive() => match message {
                    Ok(message) => self.hear(message),
                    Err(broken) => return (self.broken(broken).await.map(Err), None),
                },
            }
        }
    }

    /// Tells the agent to stop; who waits for an answer gets none.
    fn cancel(&mut self) {
        self.kill_at = Some(ticks() + self.settings.cancel_grace);
        self.agent.wire.notify("session/cancel", &json!({"sessionId": self.session.id}));
        let asked: Vec<u64> = self.asked.keys().copied().collect();
        for n in asked {
            self.answer(n, None);
        }
        self.answers.clear();
    }

    fn answer(&mut self, n: u64, answer: Option<&Answer>) {
        if let Some(asked) = self.asked.remove(&n) {
            self.agent.wire.answer(&asked.id, &asked.wanted.answer(answer));
        }
    }

    /// Why nothing more comes; nothing to be said of it once the turn was cancelled.
    async fn broken(&mut self, broken: Broken) -> Option<ProviderError> {
        if self.kill_at.is_some() {
            return None;
        }
        Some(self.agent.lost(broken, self.phase()).await)
    }

    const fn phase(&self) -> Phase {
        if self.spoke { Phase::Stream } else { Phase::Setup }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Response { id, result } if id == self.prompted => {
                let ended = match result {
                    Ok(answer) => self.ended(&answer),
                    Err(error) => Err(failure::of_prompt(error, self.phase())),
                };
                // A turn that was cancelled ends in that, whatever the agent makes of it.
                self.over = Some(if self.kill_at.is_some() { Ok(()) } else { ended });
            }
            Message::Response { .. } => {}
            Message::Request { id, method, params } => self.asks(id, &method, &params),
            Message::Notification { method, params } => {
                if method == "session/update" {
                    self.update(&params);
                }
            }
        }
    }

    /// The answer to the prompt: how the turn ended, its tokens, and what is kept of the session.
    fn ended(&mut self, answer: &RawValue) -> Result<(), ProviderError> {
        let answer: Value = serde_json::from_str(answer.get()).unwrap_or_default();
        if let Some(usage) = usage_of_prompt(&answer["usage"]) {
            self.says.push_back(Event::Usage(usage).into());
        }
        let kept = Event::Session(self.session.event());
        self.says.push_back(kept.into());
        match answer["stopReason"].as_str() {
            Some(reason) => failure::of_stop_reason(reason).map_or(Ok(()), Err),
            None => Err(failure::shapeless("session/prompt", self.phase())),
        }
    }

    fn update(&mut self, params: &RawValue) {
        let Ok(params) = serde_json::from_str::<UpdateParams<'_>>(params.get()) else { return };
        // A session that the agent opened beside this one is its own business.
        if params.session_id != self.session.id {
            return;
        }
        match self.updates.read(params.update) {
            Heard::Event(event) => self.say(event),
            Heard::Title(title) => self.session.noted.title = title,
            Heard::Mode(mode) => self.session.noted.mode = Some(mode),
            Heard::Usage { usage, session_usd } => self.usage(usage, session_usd),
            Heard::Nothing => {}
        }
    }

    /// The agent tells what the session has cost since its beginning; a turn tells its own part.
    fn usage(&mut self, mut usage: Usage, session_usd: Option<f64>) {
        let before = self.usd_told;
        usage.cost_usd = session_usd.zip(before).map(|(now, before)| (now - before).max(0.0));
        if session_usd.is_some() {
            self.usd_told = session_usd;
            self.session.noted.cost_usd = session_usd;
        }
        self.say(Event::Usage(usage));
    }

    fn say(&mut self, event: Event) {
        self.spoke |= event.kind() != Kind::Usage;
        self.says.push_back(event.into());
    }

    fn asks(&mut self, id: Value, method: &str, params: &RawValue) {
        let can_ask = self.kill_at.is_none() && self.asked.len() < PENDING_REQUESTS_MAX;
        let request = self.request_id();
        let question = question::of_request(method, params, request, &mut self.updates);
        match question.filter(|_| can_ask) {
            Some((question, wanted)) => {
                let (says, hears) = oneshot::channel();
                let n = self.n_asked;
                self.asked.insert(n, Asked { id, wanted });
                self.answers.push(hears.map(move |answer| (n, answer)).boxed());
                self.spoke = true;
                self.says.push_back(Said::Ask(Ask { question, answer: says }));
            }
            None => match dismissal(method) {
                Some(dismissal) => self.agent.wire.answer(&id, &dismissal),
                None => self.agent.wire.refuse(&id, method),
            },
        }
    }

    /// An id that no other turn of the chat has, and no other question of this one.
    fn request_id(&mut self) -> RequestId {
        self.n_asked += 1;
        RequestId::parse(&format!("{}:{}", self.turn, self.n_asked)).unwrap_or_else(|_| {
            RequestId::parse(&Clock::System.fresh_id()).expect("a UUID is an id")
        })
    }
}
