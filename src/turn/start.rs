//! Starting a turn: the user's message and the start are one append, then its task runs.

use std::sync::Arc;

use scrollback_schema::event::{
    Attachment, ChatUpdated, MessageQueued, Origin, Patch, QueueSendNow, StreamStarted, UserText,
};
use scrollback_schema::limits::TITLE_MADE_LEN_MAX;
use scrollback_schema::{ChatId, ChatRef, Event, NewEvent, QueuedMessageId, Seq};

use super::gate::Gate;
use super::runner::Job;
use super::{Shared, TurnIds, TurnsError};
use crate::log::turn_guard::Reason;
use crate::log::{Append, AppendError, Idempotency, Refusal};
use crate::provider::EXTERNAL;
use crate::read_model::ReadModelError;

/// A turn that somebody wants.
#[derive(Debug)]
pub struct StartTurn {
    /// The chat.
    pub chat: ChatId,
    /// Whether what the user says is new.
    pub asks: Asks,
    /// What the user says.
    pub text: String,
    /// Files that go with it.
    pub attachments: Vec<Attachment>,
    /// The provider to run it; the default one otherwise.
    pub provider: Option<String>,
    /// The model to ask for.
    pub model: Option<String>,
    /// Who asks for it.
    pub origin: Origin,
    /// What to do if a turn is open.
    pub if_busy: IfBusy,
    /// The turn's ids.
    pub ids: TurnIds,
    /// The id of the message in the queue, if it has to wait there.
    pub queued_message: QueuedMessageId,
    /// Further events of the chat that stand or fall with the start, for example that a schedule
    /// has fired; left out if the message is queued.
    pub also: Vec<Event>,
    /// The client's key; the receipt is filled in.
    pub idempotency: Option<Idempotency>,
}

/// Which message a turn answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asks {
    /// A new one.
    #[default]
    Anew,
    /// One that the chat has already, by its id; it is answered once more, as if nothing had been
    /// said after it. Only a turn that starts at once can do that.
    Again,
}

/// What to do with a message while a turn is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfBusy {
    /// Refuse it.
    #[default]
    Reject,
    /// Let it wait behind those that wait already.
    Queue,
    /// Interrupt the open turn and send it at once.
    SendNow,
}

/// What became of a message; the same call under the same key is told the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Its turn has started.
    Started {
        /// The turn's ids.
        ids: TurnIds,
        /// A reader that starts after this seq sees the whole turn, user message included.
        resume_after: Seq,
    },
    /// It waits.
    Queued {
        /// Its id in the queue.
        queued_message: QueuedMessageId,
        /// The last event of the append that put it there.
        seq: Seq,
    },
}

impl Accepted {
    /// What is kept with a client's key, to give the answer again.
    fn receipt(&self) -> String {
        match self {
            Accepted::Started { ids, .. } => ids.receipt(),
            Accepted::Queued { queued_message, .. } => format!("queued {queued_message}"),
        }
    }

    /// The first answer, read back.
    pub(super) fn again(receipt: &str, first_seq: Seq, last_seq: Seq) -> Option<Accepted> {
        if let Some(id) = receipt.strip_prefix("queued ") {
            let queued_message = QueuedMessageId::parse(id).ok()?;
            return Some(Accepted::Queued { queued_message, seq: last_seq });
        }
        let ids = TurnIds::from_receipt(receipt)?;
        Some(Accepted::Started { ids, resume_after: first_seq.prev() })
    }
}

impl Shared {
    /// Starts a turn, or queues its message if the chat is busy and the caller wants that.
    pub(super) async fn start(self: Arc<Self>, start: StartTurn) -> Result<Accepted, TurnsError> {
        if let Some(accepted) = self.accepted_before(start.idempotency.as_ref()).await? {
            return Ok(accepted);
        }
        let provider = self.choose(start.provider.as_deref())?;
        self.may_take_work()?;
        let gate = self.gates.enter(&start.chat).await;
        let chat = self.chat(&start.chat).await?;
        let title = self.title_for(&chat, &start.text).await?;
        let started = StreamStarted {
            provider: provider.clone(),
            model: start.model.clone(),
            user_message_id: Some(start.ids.user_message.clone()),
            origin: start.origin,
        };
        let mut events = Vec::new();
        if start.asks == Asks::Anew {
            let (text, attachments) = (start.text.clone(), start.attachments.clone());
            events.push(start.ids.user_event(UserText { text, attachments }));
        }
        events.push(start.ids.turn_event(Event::StreamStarted(started)));
        events.extend(title.map(title_event));
        events.extend(start.also.iter().cloned().map(NewEvent::of_chat));
        let mut append = Append::new(start.chat.clone(), events)?;
        append.idempotency = start
            .idempotency
            .clone()
            .map(|kept| Idempotency { receipt: start.ids.receipt(), ..kept });
        match self.log.append(append).await {
            Ok(appended) => match &appended.replayed {
                Some(receipt) => Accepted::again(receipt, appended.first_seq, appended.last_seq)
                    .ok_or(TurnsError::Unreadable),
                None => {
                    self.spawn_turn(Job {
                        chat,
                        turn: start.ids.turn.clone(),
                        message: start.ids.message.clone(),
                        user_message: start.ids.user_message.clone(),
                        provider,
                        model: start.model,
                        started_at: appended.at,
                    });
                    let resume_after = appended.first_seq.prev();
                    Ok(Accepted::Started { ids: start.ids, resume_after })
                }
            },
            Err(AppendError::Refused(Refusal { reason: Reason::TurnBusy { .. }, .. }))
                if start.if_busy != IfBusy::Reject && start.asks == Asks::Anew =>
            {
                self.queue_up(&gate, &chat, start).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What a message under this key was answered with before; asked first, so that nothing that
    /// has happened since makes the answer another one.
    pub(super) async fn accepted_before(
        &self,
        kept: Option<&Idempotency>,
    ) -> Result<Option<Accepted>, TurnsError> {
        let Some(before) = self.answered_before(kept).await? else { return Ok(None) };
        Accepted::again(&before.receipt, before.first_seq, before.last_seq)
            .map(Some)
            .ok_or(TurnsError::Unreadable)
    }

    /// Puts the message into the queue of a busy chat, and sends it at once if that is wanted.
    async fn queue_up(
        self: &Arc<Self>,
        gate: &Gate,
        chat: &ChatRef,
        start: StartTurn,
    ) -> Result<Accepted, TurnsError> {
        let id = start.queued_message.clone();
        let mut events = vec![Event::MessageQueued(MessageQueued {
            queued_message_id: id.clone(),
            content: start.text,
            attachments: start.attachments,
            provider: start.provider,
            model: start.model,
        })];
        if start.if_busy == IfBusy::SendNow {
            let now = QueueSendNow { queued_message_id: id.clone(), by: None };
            events.push(Event::QueueSendNow(now));
        }
        let accepted = self.enqueue(chat, id, events, start.idempotency).await?;
        match start.if_busy {
            IfBusy::SendNow => self.make_way(gate, chat).await?,
            _ => self.wait_for_way(gate, chat).await?,
        }
        Ok(accepted)
    }

    /// Appends events that put a message into the queue.
    pub(super) async fn enqueue(
        &self,
        chat: &ChatRef,
        queued_message: QueuedMessageId,
        events: Vec<Event>,
        idempotency: Option<Idempotency>,
    ) -> Result<Accepted, TurnsError> {
        let events = events.into_iter().map(NewEvent::of_chat).collect();
        let mut append = Append::new(chat.id.clone(), events)?;
        let accepted = |seq| Accepted::Queued { queued_message: queued_message.clone(), seq };
        append.idempotency =
            idempotency.map(|kept| Idempotency { receipt: accepted(Seq::ZERO).receipt(), ..kept });
        let appended = self.log.append(append).await?;
        match &appended.replayed {
            Some(receipt) => Accepted::again(receipt, appended.first_seq, appended.last_seq)
                .ok_or(TurnsError::Unreadable),
            None => Ok(accepted(appended.last_seq)),
        }
    }

    /// The provider of a turn, by its name or by default; one that this server can run.
    pub(super) fn choose(&self, named: Option<&str>) -> Result<String, TurnsError> {
        let name = match named.or(self.default_provider.as_deref()) {
            None => return Err(TurnsError::NoProvider),
            Some(EXTERNAL) => return Err(TurnsError::External),
            Some(name) => name,
        };
        match self.providers.get(name) {
            Some(_) => Ok(name.to_owned()),
            None => Err(TurnsError::ProviderUnknown { name: name.to_owned() }),
        }
    }

    /// The title that a chat without one gets with its first message.
    pub(super) async fn title_for(
        &self,
        chat: &ChatRef,
        text: &str,
    ) -> Result<Option<String>, ReadModelError> {
        let made = title(text);
        if made.is_empty() {
            return Ok(None);
        }
        let record = self.read_model.chat_record(chat).await?;
        let is_new = |record: scrollback_projections::chat::Chat| {
            record.title.is_none() && record.counts.messages == 0
        };
        Ok(record.is_some_and(is_new).then_some(made))
    }
}

/// The event that gives a chat its title.
pub(super) fn title_event(title: String) -> NewEvent {
    let updated = ChatUpdated { title: Patch::Set(title), metadata: Patch::Keep };
    NewEvent::of_chat(Event::ChatUpdated(updated))
}

/// A title made of a message: its first line that says something, cut at a word.
fn title(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let words: String = line.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= TITLE_MADE_LEN_MAX {
        return words;
    }
    let cut: String = words.chars().take(TITLE_MADE_LEN_MAX - 1).collect();
    // A language without spaces is cut between two characters.
    let at_word = cut.rsplit_once(' ').map_or(cut.as_str(), |(head, _)| head);
    format!("{}…", at_word.trim_end_matches([',', '.', ';', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_first_line_cut_at_a_word() {
        assert_eq!(title("\n  Hello   world \nmore"), "Hello world");
        assert_eq!(title(" \n"), "");
        let long = "Compare the second and the third quarter, and tell me what has changed since";
        assert_eq!(title(long), "Compare the second and the third quarter, and tell me what…");
        let han = "字".repeat(100);
        assert_eq!(title(&han).chars().count(), TITLE_MADE_LEN_MAX);
    }
}
