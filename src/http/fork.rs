//! Forking a chat: a prefix of its events becomes a chat of its own.
//!
//! The fork has its own seqs, and its own ids of messages and turns; ids that name things within
//! payloads (tools, requests, queued messages, schedules) stay. What would go on by itself does not
//! go on twice: an open turn ends in the fork (`cancelled`, reason `user`), queued messages and
//! schedules are removed at its end.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use scrollback_schema::codec::{PAYLOAD_VERSION, encode_payload};
use scrollback_schema::event::{CancelReason, Cancelled, QueueRemoved, ScheduleRemoved};
use scrollback_schema::limits::{FORK_BYTES_MAX, FORK_EVENTS_MAX};
use scrollback_schema::{
    Body as EventBody, ChatId, ChatRef, Event, MessageId, Millis, QueuedMessageId, Recorded,
    ScheduleId, Seq, TurnId,
};
use serde_json::json;

use super::App;
use super::answer;
use super::body::Fields;
use super::chats::{chosen_or_fresh, taken};
use super::error::{Code, Problem};
use super::gate::Caller;
use super::json_body::JsonBody;
use super::request::{ChatPath, IdempotencyKey};
use crate::clock::Clock;
use crate::log::{Append, AppendError, PageLimits, ReadError, Scope, Section, StoredEvent};

/// Forks a chat
///
/// The new chat's replay is the source's up to `at_seq`, never its later events. What was open at
/// that position is closed in the fork.
#[utoipa::path(
    post,
    path = "/v1/chats/{chat}/fork",
    operation_id = "fork_chat",
    request_body = ref("#/components/schemas/ForkChat"),
    responses((status = 201, description = "Forked", body = ref("#/components/schemas/Forked")))
)]
pub(crate) async fn fork_chat(
    State(app): State<App>,
    caller: Caller,
    ChatPath(source): ChatPath,
    key: IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response<Body>, Problem> {
    let fields = Fields::read(&body)?;
    let chat = chosen_or_fresh(&app, &caller, &fields)?;
    let at_seq = fields.seq("at_seq")?;
    if let Some(kept) = key.with(&body, String::new())
        && let Some(before) = app.log().answered_before(&kept).await?
    {
        return match before.is_of_same_body {
            true => forked(&source, &before.receipt, before.first_seq, before.last_seq),
            false => Err(AppendError::IdempotencyMismatch.into()),
        };
    }
    let source = app.chat(&caller, &source).await?;
    let head = app.log().head();
    let at_seq = at_seq.unwrap_or(head);
    if at_seq > head {
        return Err(Problem::ahead("at_seq", at_seq, head));
    }
    if at_seq < source.created {
        let detail = format!("at_seq {at_seq} is before chat {} began", source.id);
        return Err(
            Problem::new(Code::ForkTooEarly, detail).with("created_seq", source.created.get())
        );
    }
    let sections = prefix(&app, &source, at_seq).await?;
    let (clock, parent, fork) = (app.clock().clone(), source.id.clone(), chat.clone());
    let copied = tokio::task::spawn_blocking(move || {
        let events = Copy::new(&clock, parent, at_seq).all(&sections)?;
        Append::of_fork(fork, events).map_err(Problem::from)
    });
    let mut append = copied
        .await
        .map_err(|error| Problem::fault(Code::Internal, "the copy broke off", &error))??;
    let receipt = format!("{chat} {at_seq}");
    append.idempotency = key.with(&body, receipt.clone());
    let appended = app.log().append(append).await;
    let appended = appended.map_err(|error| taken(&caller, &chat, error.into()))?;
    let receipt = appended.replayed.as_deref().unwrap_or(&receipt);
    forked(&source.id, receipt, appended.first_seq, appended.last_seq)
}

/// The answer; the receipt holds the fork's id and where it was forked, which is the head of that
/// time if the call named no position.
fn forked(
    source: &ChatId,
    receipt: &str,
    first: Seq,
    last: Seq,
) -> Result<Response<Body>, Problem> {
    let read = receipt.split_once(' ').and_then(|(id, at)| Some((id, at.parse::<Seq>().ok()?)));
    let (chat, at_seq) =
        read.ok_or_else(|| Problem::new(Code::Internal, "the first answer cannot be read back"))?;
    let answer = json!({
        "chat_id": chat,
        "seq": first.get(),
        "last_seq": last.get(),
        "parent_chat_id": source.as_str(),
        "forked_at_seq": at_seq.get(),
    });
    Ok(answer::json(StatusCode::CREATED, &answer))
}

/// The sections of a chat up to `at_seq`, the last one perhaps beyond it.
async fn prefix(app: &App, chat: &ChatRef, at_seq: Seq) -> Result<Vec<Arc<Section>>, Problem> {
    let scope = Scope::Chat(chat.created);
    let (mut after, mut n_events, mut n_bytes) = (chat.created.prev(), 0, 0);
    let mut sections = Vec::new();
    while after < at_seq {
        let page = app.log().read(&scope, after, at_seq, PageLimits::default()).await?;
        after = page.through;
        n_events += page.sections.iter().map(|section| section.len()).sum::<usize>();
        n_bytes += page.sections.iter().map(|section| section.n_bytes()).sum::<usize>();
        if n_events > FORK_EVENTS_MAX || n_bytes > FORK_BYTES_MAX {
            let detail = format!(
                "the prefix of chat {} has more than {FORK_EVENTS_MAX} events or \
                 {FORK_BYTES_MAX} bytes; fork at an earlier seq",
                chat.id
            );
            return Err(Problem::new(Code::ForkTooLarge, detail));
        }
        sections.extend(page.sections);
    }
    Ok(sections)
}

/// A copy in the making.
struct Copy<'a> {
    clock: &'a Clock,
    parent: ChatId,
    at_seq: Seq,
    messages: HashMap<MessageId, MessageId>,
    turns: HashMap<TurnId, TurnId>,
    /// The turn that is open so far, by its own id, and when it started.
    open: Option<(TurnId, MessageId, Millis)>,
    queued: BTreeSet<QueuedMessageId>,
    schedules: BTreeSet<ScheduleId>,
    events: Vec<StoredEvent>,
}

impl<'a> Copy<'a> {
    fn new(clock: &'a Clock, parent: ChatId, at_seq: Seq) -> Copy<'a> {
        Copy {
            clock,
            parent,
            at_seq,
            messages: HashMap::new(),
            turns: HashMap::new(),
            open: None,
            queued: BTreeSet::new(),
            schedules: BTreeSet::new(),
            events: Vec::new(),
        }
    }

    /// Copies the events up to `at_seq`, and closes what is open there.
    fn all(mut self, sections: &[Arc<Section>]) -> Result<Vec<StoredEvent>, ReadError> {
        let mut last_at = Millis::default();
        for section in sections {
            for index in section.events_in(Seq::ZERO, self.at_seq) {
                let recorded = section.recorded(index)?;
                last_at = recorded.at;
                self.copy(recorded, section.version_at(index), section.payload_at(index));
            }
        }
        self.close(last_at);
        Ok(self.events)
    }

    fn copy(&mut self, recorded: Recorded, version: u8, payload: &[u8]) {
        let kind = recorded.body.kind_number();
        let at = recorded.at;
        let message = recorded.message.as_ref().map(|id| self.message(id));
        let turn = recorded.turn.as_ref().map(|turn| self.turn(&turn.id));
        let EventBody::Event(event) = recorded.body else {
            // Of a newer version: carried as it is.
            let payload = payload.to_vec();
            self.events.push(StoredEvent { message, turn, kind, version, payload, event: None });
            return;
        };
        let (is_changed, event) = self.renamed(event);
        self.note(&event, turn.as_ref(), message.as_ref(), at);
        match is_changed {
            true => self.push(message, turn, event),
            false => self.events.push(StoredEvent {
                message,
                turn,
                kind,
                version,
                payload: payload.to_vec(),
                event: Some(event),
            }),
        }
    }

    /// The event with the fork's ids in its payload, and whether that changed it.
    fn renamed(&mut self, mut event: Event) -> (bool, Event) {
        match &mut event {
            Event::ChatCreated(created) => {
                created.parent_chat_id = Some(self.parent.clone());
                created.forked_at_seq = Some(self.at_seq);
            }
            Event::StreamStarted(started) => {
                started.user_message_id =
                    started.user_message_id.take().map(|id| self.message(&id));
            }
            Event::QueueProcessing(handed) => {
                handed.user_message_id = self.message(&handed.user_message_id);
                handed.assistant_message_id = self.message(&handed.assistant_message_id);
                handed.turn_id = self.turn(&handed.turn_id);
                handed.prior_turn_id = handed.prior_turn_id.take().map(|id| self.turn(&id));
            }
            Event::CancelRequested(asked) => asked.turn_id = self.turn(&asked.turn_id),
            Event::ScheduleFired(fired) => {
                fired.turn_id = fired.turn_id.take().map(|id| self.turn(&id));
            }
            _ => return (false, event),
        }
        (true, event)
    }

    /// Follows what is open.
    fn note(
        &mut self,
        event: &Event,
        turn: Option<&TurnId>,
        message: Option<&MessageId>,
        at: Millis,
    ) {
        match event {
            Event::StreamStarted(_) => {
                self.open = turn.cloned().zip(message.cloned()).map(|(t, m)| (t, m, at));
            }
            Event::MessageQueued(queued) => {
                self.queued.insert(queued.queued_message_id.clone());
            }
            Event::QueueRemoved(removed) => {
                self.queued.remove(&removed.queued_message_id);
            }
            Event::QueueProcessing(handed) => {
                self.queued.remove(&handed.queued_message_id);
            }
            Event::ScheduleCreated(created) => {
                self.schedules.insert(created.schedule_id.clone());
            }
            Event::ScheduleRemoved(removed) => {
                self.schedules.remove(&removed.schedule_id);
            }
            event if event.kind().is_terminal() => self.open = None,
            _ => {}
        }
    }

    fn close(&mut self, last_at: Millis) {
        if let Some((turn, message, started_at)) = self.open.take() {
            let duration_ms = last_at.since_ms(started_at);
            let reason = CancelReason::User;
            let cancelled = Event::Cancelled(Cancelled { reason, duration_ms });
            self.push(Some(message), Some(turn), cancelled);
        }
        for queued_message_id in std::mem::take(&mut self.queued) {
            let removed = QueueRemoved { queued_message_id, by: None };
            self.push(None, None, Event::QueueRemoved(removed));
        }
        for schedule_id in std::mem::take(&mut self.schedules) {
            let removed = ScheduleRemoved { schedule_id, by: None };
            self.push(None, None, Event::ScheduleRemoved(removed));
        }
    }

    fn push(&mut self, message: Option<MessageId>, turn: Option<TurnId>, event: Event) {
        let (kind, version, mut payload) = (event.kind().number(), PAYLOAD_VERSION, Vec::new());
        encode_payload(&event, &mut payload)
            .expect("ids of the same length at most leave a payload within its bound");
        self.events.push(StoredEvent { message, turn, kind, version, payload, event: Some(event) });
    }

    fn message(&mut self, id: &MessageId) -> MessageId {
        let fresh = |text: &str| MessageId::parse(text).expect("a UUID is an id");
        renamed(&mut self.messages, id, self.clock, fresh)
    }

    fn turn(&mut self, id: &TurnId) -> TurnId {
        let fresh = |text: &str| TurnId::parse(text).expect("a UUID is an id");
        renamed(&mut self.turns, id, self.clock, fresh)
    }
}

/// The fork's name for what the source calls `id`.
fn renamed<T: Clone + Eq + Hash>(
    names: &mut HashMap<T, T>,
    id: &T,
    clock: &Clock,
    fresh: impl FnOnce(&str) -> T,
) -> T {
    names.entry(id.clone()).or_insert_with(|| fresh(&clock.fresh_id())).clone()
}
