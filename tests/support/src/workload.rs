//! Random chats that keep the rules: what users, producers and the server append, from a seed.
//!
//! The generator has a model of its own of what may happen next, so that a log that takes all of it
//! agrees with the model. What may not happen is left to the tests of the turn rules.

use scrollback_schema::error_code::ErrorCode;
use scrollback_schema::event::{
    AssistantText, AssistantThinking, CancelReason, CancelRequested, Cancelled, ChatCreated,
    ChatDeleted, ChatUpdated, ChatViewed, Complete, Custom, ElicitationRequest,
    ElicitationResolved, JsonText, MessageQueued, Origin, Patch, PermissionRequest,
    PermissionResolved, Phase, Plan, PlanEntry, PromptSuggestions, QueueEdited, QueueProcessing,
    QueueRemoved, QueueSendNow, RequestOutcome, ScheduleCreated, ScheduleFired, ScheduleRemoved,
    ScheduleUpdated, Session, StreamStarted, Timing, ToolEvent, TurnError, Usage, UserText,
};
use scrollback_schema::{
    ChatId, Event, MessageId, Millis, NewEvent, QueuedMessageId, RequestId, ScheduleId, TurnId,
};

use crate::rng::Rng;

/// One append: events of one chat, all or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The chat.
    pub chat: ChatId,
    /// The events, at least one.
    pub events: Vec<NewEvent>,
}

/// A source of steps that never ends.
#[derive(Debug)]
pub struct Workload {
    rng: Rng,
    prefix: String,
    chats: Vec<Chat>,
    n_chats_made: u64,
}

#[derive(Debug)]
struct Chat {
    id: ChatId,
    is_created: bool,
    /// Counts every id that the chat has used.
    n_ids: u64,
    open: Option<OpenTurn>,
    queue: Vec<QueuedMessageId>,
    schedules: Vec<ScheduleId>,
}

#[derive(Debug, Clone)]
struct OpenTurn {
    turn: TurnId,
    message: MessageId,
    /// Pending requests, and whether each is an approval.
    pending: Vec<(RequestId, bool)>,
    tools: Vec<ToolEvent>,
}

/// Pieces of text that have hurt somebody: frames, tags, quotes, and half a surrogate pair's worth.
const WORDS: &[&str] = &[
    "the ",
    "log ",
    "keeps ",
    "\n",
    "\n\ndata: {}\n\n",
    "\r",
    "\"quoted\" ",
    "back\\slash ",
    "\u{2028}",
    "\u{0}",
    "\u{1f600}\u{1f3fd} ",
    "na\u{ef}ve ",
    "\u{4f60}\u{597d}",
    "<prompt_suggestions>",
    "[\"more\"]",
    "</prompt_suggestions>",
    "<b>",
    "```rust\n",
    "12345 ",
    "\u{202e}",
];

impl Workload {
    /// Steps over `n_chats` chats at a time, whose ids start with `prefix`.
    ///
    /// # Panics
    ///
    /// If there are no chats to choose from.
    pub fn new(seed: u64, prefix: &str, n_chats: usize) -> Workload {
        assert!(n_chats > 0, "a workload has chats");
        let mut workload = Workload {
            rng: Rng::new(seed),
            prefix: prefix.to_owned(),
            chats: Vec::new(),
            n_chats_made: 0,
        };
        for _ in 0..n_chats {
            let chat = workload.fresh_chat();
            workload.chats.push(chat);
        }
        workload
    }

    /// The next append.
    pub fn step(&mut self) -> Step {
        let at = self.rng.below(self.chats.len());
        if self.chats[at].may_be_deleted() && self.rng.one_in(150) {
            let fresh = self.fresh_chat();
            let old = std::mem::replace(&mut self.chats[at], fresh);
            let tombstone = Event::ChatDeleted(ChatDeleted { by: None });
            return Step { chat: old.id, events: vec![NewEvent::of_chat(tombstone)] };
        }
        let chat = &mut self.chats[at];
        let events = chat.next(&mut self.rng);
        Step { chat: chat.id.clone(), events }
    }

    /// Ends every open turn.
    pub fn close(&mut self) -> Vec<Step> {
        let open = self.chats.iter_mut().filter(|chat| chat.open.is_some());
        let end = |chat: &mut Chat| Step {
            chat: chat.id.clone(),
            events: chat.end_turn(Event::Complete(Complete { duration_ms: 5 })),
        };
        open.map(end).collect()
    }

    /// The chats that exist and are not deleted.
    pub fn chat_ids(&self) -> impl Iterator<Item = &ChatId> {
        self.chats.iter().filter(|chat| chat.is_created).map(|chat| &chat.id)
    }

    fn fresh_chat(&mut self) -> Chat {
        self.n_chats_made += 1;
        let id = format!("{}-{}", self.prefix, self.n_chats_made);
        Chat {
            id: ChatId::parse(&id).expect("the prefix is part of an id"),
            is_created: false,
            n_ids: 0,
            open: None,
            queue: Vec::new(),
            schedules: Vec::new(),
        }
    }
}

/// A few words.
pub fn words(rng: &mut Rng, n: usize) -> String {
    (0..n).map(|_| *rng.pick(WORDS)).collect()
}

impl Chat {
    const fn may_be_deleted(&self) -> bool {
        self.is_created && self.open.is_none()
    }

    fn fresh(&mut self, what: &str) -> String {
        self.n_ids += 1;
        format!("{what}{}", self.n_ids)
    }

    fn next(&mut self, rng: &mut Rng) -> Vec<NewEvent> {
        if !self.is_created {
            self.is_created = true;
            let title = Some(format!("chat {}", rng.below(1_000)));
            let created = ChatCreated { title, ..ChatCreated::default() };
            return vec![NewEvent::of_chat(Event::ChatCreated(created))];
        }
        match (rng.below(10), self.open.is_some()) {
            (0, _) => vec![NewEvent::of_chat(self.listed(rng))],
            (1..=6, false) => self.start_turn(rng, Origin::User),
            (_, false) => vec![NewEvent::of_chat(self.aside(rng))],
            (1, true) => self.end_of_turn(rng),
            (2, true) => self.request(rng),
            (_, true) => self.content(rng),
        }
    }

    /// An event of the chat that needs no turn.
    fn aside(&mut self, rng: &mut Rng) -> Event {
        match rng.below(6) {
            0 => Event::ChatViewed(ChatViewed { by: None }),
            1 => Event::ChatUpdated(ChatUpdated {
                title: Patch::Set(words(rng, 2)),
                metadata: Patch::Keep,
            }),
            2 => Event::Session(Session { cwd: Some("/srv".to_owned()), ..Session::default() }),
            3 | 4 => self.schedule(rng),
            _ => Event::Custom(Custom {
                name: "mark".to_owned(),
                data: Some(JsonText::parse("{\"n\":1}").expect("valid JSON")),
            }),
        }
    }

    /// The queue, whether a turn is open or not.
    fn listed(&mut self, rng: &mut Rng) -> Event {
        if self.queue.is_empty() || (self.queue.len() < 5 && rng.one_in(2)) {
            let id = QueuedMessageId::parse(&self.fresh("q")).expect("a queued message id");
            self.queue.push(id.clone());
            return Event::MessageQueued(MessageQueued {
                queued_message_id: id,
                content: words(rng, 3),
                attachments: Vec::new(),
                provider: None,
                model: None,
            });
        }
        let at = rng.below(self.queue.len());
        let queued_message_id = self.queue[at].clone();
        match rng.below(3) {
            0 => {
                self.queue.remove(at);
                Event::QueueRemoved(QueueRemoved { queued_message_id, by: None })
            }
            1 => {
                let item = self.queue.remove(at);
                self.queue.insert(0, item);
                Event::QueueSendNow(QueueSendNow { queued_message_id, by: None })
            }
            _ => Event::QueueEdited(QueueEdited {
                queued_message_id,
                content: Some(words(rng, 2)),
                provider: Patch::Keep,
                model: Patch::Set("m".to_owned()),
            }),
        }
    }

    fn schedule(&mut self, rng: &mut Rng) -> Event {
        if self.schedules.is_empty() || (self.schedules.len() < 3 && rng.one_in(3)) {
            let id = ScheduleId::parse(&self.fresh("s")).expect("a schedule id");
            self.schedules.push(id.clone());
            return Event::ScheduleCreated(ScheduleCreated {
                schedule_id: id,
                timing: Timing::Interval { every_ms: 60_000 },
                prompt: words(rng, 2),
                provider: None,
                model: None,
                paused: rng.one_in(2),
            });
        }
        let at = rng.below(self.schedules.len());
        let schedule_id = self.schedules[at].clone();
        match rng.below(3) {
            0 => {
                self.schedules.remove(at);
                Event::ScheduleRemoved(ScheduleRemoved { schedule_id, by: None })
            }
            1 => Event::ScheduleFired(ScheduleFired {
                schedule_id,
                due_at: Millis::new(1_795_000_000_000),
                turn_id: None,
                n_missed: rng.below(3) as u64,
                error: Some("no provider".to_owned()),
            }),
            _ => Event::ScheduleUpdated(ScheduleUpdated {
                schedule_id,
                timing: None,
                prompt: Some(words(rng, 1)),
                provider: Patch::Keep,
                model: Patch::Remove,
                paused: Some(rng.one_in(2)),
            }),
        }
    }

    fn start_turn(&mut self, rng: &mut Rng, origin: Origin) -> Vec<NewEvent> {
        let user = MessageId::parse(&self.fresh("u")).expect("a message id");
        let turn = TurnId::parse(&self.fresh("t")).expect("a turn id");
        let message = MessageId::parse(&self.fresh("a")).expect("a message id");
        let asked = UserText { text: words(rng, 4), attachments: Vec::new() };
        let started = StreamStarted {
            provider: "scripted".to_owned(),
            model: None,
            user_message_id: Some(user.clone()),
            origin,
        };
        self.open = Some(OpenTurn {
            turn: turn.clone(),
            message: message.clone(),
            pending: Vec::new(),
            tools: Vec::new(),
        });
        vec![
            NewEvent { message: Some(user), turn: None, event: Event::UserText(asked) },
            NewEvent::of_turn(turn, message, Event::StreamStarted(started)),
        ]
    }

    fn turn(&mut self) -> &mut OpenTurn {
        self.open.as_mut().expect("asked for while a turn is open")
    }

    fn of_turn(&mut self, event: Event) -> NewEvent {
        let open = self.turn();
        NewEvent::of_turn(open.turn.clone(), open.message.clone(), event)
    }

    fn content(&mut self, rng: &mut Rng) -> Vec<NewEvent> {
        let n_events = rng.between(1, 12);
        (0..n_events)
            .map(|_| {
                let event = self.content_event(rng);
                self.of_turn(event)
            })
            .collect()
    }

    fn content_event(&mut self, rng: &mut Rng) -> Event {
        let n_words = rng.between(1, 4);
        match rng.below(20) {
            0 => Event::Plan(Plan {
                entries: vec![PlanEntry {
                    content: words(rng, 2),
                    status: "pending".to_owned(),
                    priority: "low".to_owned(),
                }],
            }),
            1 => Event::Usage(Usage {
                input_tokens: Some(rng.bits() >> 40),
                output_tokens: Some(rng.bits() >> 50),
                ..Usage::default()
            }),
            2 => Event::PromptSuggestions(PromptSuggestions { suggestions: vec![words(rng, 2)] }),
            3 => Event::Session(Session { session_id: Some("s".to_owned()), ..Session::default() }),
            4..=6 => self.tool(rng),
            7..=10 => Event::AssistantThinking(AssistantThinking { thinking: words(rng, n_words) }),
            _ => Event::AssistantText(AssistantText { text: words(rng, n_words) }),
        }
    }

    fn tool(&mut self, rng: &mut Rng) -> Event {
        if self.turn().tools.is_empty() || rng.one_in(3) {
            let tool = ToolEvent {
                id: self.fresh("call"),
                name: "look_up".to_owned(),
                ..ToolEvent::default()
            };
            self.turn().tools.push(tool.clone());
            return Event::ToolStarted(tool);
        }
        let json = |text: String| JsonText::parse(&text).expect("valid JSON");
        let input = json(format!("{{\"n\":{}}}", rng.below(100)));
        let tools = &mut self.turn().tools;
        let at = rng.below(tools.len());
        tools[at].input = Some(input);
        match rng.below(3) {
            0 => Event::ToolStarted(tools[at].clone()),
            1 => {
                let result = Some(json("[1,2,3]".to_owned()));
                Event::ToolCompleted(ToolEvent { result, ..tools.remove(at) })
            }
            _ => {
                let error = Some("it broke".to_owned());
                Event::ToolFailed(ToolEvent { error, ..tools.remove(at) })
            }
        }
    }

    fn request(&mut self, rng: &mut Rng) -> Vec<NewEvent> {
        if let Some((request_id, is_approval)) = self.turn().pending.pop() {
            let by = Some("ada".to_owned());
            let outcome = *rng.pick(&[RequestOutcome::Denied, RequestOutcome::Dismissed]);
            return vec![NewEvent::of_chat(if is_approval {
                let resolved = PermissionResolved { request_id, outcome, option_id: None, by };
                Event::PermissionResolved(resolved)
            } else {
                let resolved = ElicitationResolved { request_id, outcome, content: None, by };
                Event::ElicitationResolved(resolved)
            })];
        }
        let request_id = RequestId::parse(&self.fresh("r")).expect("a request id");
        let is_approval = rng.one_in(2);
        self.turn().pending.push((request_id.clone(), is_approval));
        let event = if is_approval {
            let (tool, options, expires_at) = (None, Vec::new(), None);
            Event::PermissionRequest(PermissionRequest { request_id, tool, options, expires_at })
        } else {
            let message = words(rng, 2);
            Event::ElicitationRequest(ElicitationRequest { request_id, message, schema: None })
        };
        vec![self.of_turn(event)]
    }

    fn end_of_turn(&mut self, rng: &mut Rng) -> Vec<NewEvent> {
        let terminal = match rng.below(4) {
            0 => Event::Error(TurnError {
                code: *rng.pick(ErrorCode::ALL),
                message: words(rng, 3),
                phase: Phase::Stream,
                retryable: rng.one_in(2),
                duration_ms: 7,
            }),
            1 => {
                let reason = *rng.pick(&[CancelReason::User, CancelReason::Shutdown]);
                Event::Cancelled(Cancelled { reason, duration_ms: 3 })
            }
            _ => Event::Complete(Complete { duration_ms: 11 }),
        };
        let asks_first = matches!(terminal, Event::Cancelled(_));
        let turn_id = self.turn().turn.clone();
        let mut events = Vec::new();
        if asks_first {
            let stop = CancelRequested { turn_id, by: None };
            events.push(NewEvent::of_chat(Event::CancelRequested(stop)));
        }
        events.extend(self.end_turn(terminal));
        if !self.queue.is_empty() && rng.one_in(2) {
            events.extend(self.hand_off(rng));
        }
        events
    }

    fn end_turn(&mut self, terminal: Event) -> Vec<NewEvent> {
        let terminal = self.of_turn(terminal);
        self.open = None;
        vec![terminal]
    }

    fn hand_off(&mut self, rng: &mut Rng) -> Vec<NewEvent> {
        let queued_message_id = self.queue.remove(0);
        let mut started = self.start_turn(rng, Origin::Queue);
        let open = self.turn().clone();
        let processing = QueueProcessing {
            queued_message_id,
            user_message_id: started[0].message.clone().expect("a user's message has an id"),
            assistant_message_id: open.message,
            turn_id: open.turn,
            prior_turn_id: None,
            prior_duration_ms: None,
        };
        started.insert(0, NewEvent::of_chat(Event::QueueProcessing(processing)));
        started
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use scrollback_schema::Kind;

    use super::*;

    fn steps(seed: u64) -> Vec<Step> {
        let mut workload = Workload::new(seed, "w", 8);
        let mut steps: Vec<Step> = (0..3_000).map(|_| workload.step()).collect();
        steps.extend(workload.close());
        steps
    }

    #[test]
    fn a_seed_gives_the_same_steps_and_every_kind() {
        let first = steps(7);
        assert!(first == steps(7), "the same seed, the same steps");
        assert!(first != steps(8), "another seed, other steps");
        let seen: BTreeSet<Kind> =
            first.iter().flat_map(|step| &step.events).map(|new| new.event.kind()).collect();
        let missing: Vec<&Kind> = Kind::ALL.iter().filter(|kind| !seen.contains(kind)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_turn_ends_once() {
        let (mut n_started, mut n_ended) = (0, 0);
        for event in steps(3).iter().flat_map(|step| &step.events).map(|new| &new.event) {
            n_started += usize::from(event.kind() == Kind::StreamStarted);
            n_ended += usize::from(event.kind().is_terminal());
        }
        assert!(n_started > 100 && n_started == n_ended, "{n_started} started, {n_ended} ended");
    }
}
