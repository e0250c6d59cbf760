//! Answering a question: the log lets one answer through, and the turn that waits hears it once.

use std::sync::Arc;

use scrollback_projections::request::{Ask, PendingRequest};
use scrollback_schema::event::{ElicitationResolved, JsonText, PermissionResolved, RequestOutcome};
use scrollback_schema::{ChatId, Event, NewEvent, RequestId, Seq};

use super::{Shared, TurnsError};
use crate::log::{Append, Idempotency};
use crate::provider::Answer;

/// An answer to an approval or a question.
#[derive(Debug)]
pub struct Respond {
    /// The chat.
    pub chat: ChatId,
    /// The request.
    pub request: RequestId,
    /// How it ends.
    pub outcome: RequestOutcome,
    /// The option that was chosen; needed to approve.
    pub option_id: Option<String>,
    /// What was answered to a question.
    pub content: Option<JsonText>,
    /// Who answers.
    pub by: Option<String>,
    /// The client's key.
    pub idempotency: Option<Idempotency>,
}

/// What sort of question it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Permission,
    Elicitation,
}

impl Asked {
    /// The sort of a pending request.
    pub(super) const fn of(ask: &Ask) -> Asked {
        match ask {
            Ask::Permission { .. } => Asked::Permission,
            Ask::Elicitation { .. } => Asked::Elicitation,
        }
    }

    /// The event that ends the question without an answer.
    pub(super) fn ended(self, request_id: RequestId, outcome: RequestOutcome) -> Event {
        match self {
            Asked::Permission => Event::PermissionResolved(PermissionResolved {
                request_id,
                outcome,
                option_id: None,
                by: None,
            }),
            Asked::Elicitation => Event::ElicitationResolved(ElicitationResolved {
                request_id,
                outcome,
                content: None,
                by: None,
            }),
        }
    }
}

impl Respond {
    fn check(&self, pending: &PendingRequest) -> Result<(), TurnsError> {
        let Ask::Permission { options, .. } = &pending.ask else {
            return match self.option_id {
                Some(_) => Err(TurnsError::OptionNotAsked),
                None => Ok(()),
            };
        };
        match (&self.option_id, self.outcome) {
            (None, RequestOutcome::Selected) => Err(TurnsError::OptionMissing),
            (Some(id), RequestOutcome::Selected)
                if !options.iter().any(|option| option.option_id == *id) =>
            {
                Err(TurnsError::OptionUnknown)
            }
            _ => Ok(()),
        }
    }

    fn event(&self, asked: Asked) -> Event {
        let (request_id, outcome, by) = (self.request.clone(), self.outcome, self.by.clone());
        match asked {
            Asked::Permission => {
                let option_id =
                    self.option_id.clone().filter(|_| outcome == RequestOutcome::Selected);
                Event::PermissionResolved(PermissionResolved { request_id, outcome, option_id, by })
            }
            Asked::Elicitation => Event::ElicitationResolved(ElicitationResolved {
                request_id,
                outcome,
                content: self.content.clone(),
                by,
            }),
        }
    }
}

impl Shared {
    /// Stores an answer and hands it to the turn that waits; returns its seq.
    pub(super) async fn respond(self: Arc<Self>, respond: Respond) -> Result<Seq, TurnsError> {
        if let Some(before) = self.answered_before(respond.idempotency.as_ref()).await? {
            return Ok(before.last_seq);
        }
        let chat = self.chat(&respond.chat).await?;
        let pending = self.read_model.pending_requests(&chat).await?;
        let pending = pending.into_iter().find(|pending| pending.id == respond.request);
        let event = match &pending {
            Some(pending) => {
                respond.check(pending)?;
                let event = respond.event(Asked::of(&pending.ask));
                NewEvent::of_turn(pending.turn_id.clone(), pending.message_id.clone(), event)
            }
            // The log knows whether it was answered, never was, or is answered again.
            None => NewEvent::of_chat(respond.event(Asked::Permission)),
        };
        let mut append = Append::new(respond.chat.clone(), vec![event])?;
        append.idempotency = respond.idempotency;
        let appended = self.log.append(append).await?;
        if appended.replayed.is_none()
            && let Some(pending) = pending
            && let Some(running) = self.registry.of_chat(&respond.chat)
            && running.turn == pending.turn_id
        {
            let answer = Answer {
                outcome: respond.outcome,
                option_id: respond.option_id,
                content: respond.content,
            };
            running.answer(respond.request, answer);
        }
        Ok(appended.last_seq)
    }
}
