//! Stopping a turn: the wish is in the log first, then the turn ends.

use std::sync::Arc;

use scrollback_schema::event::{CancelReason, CancelRequested};
use scrollback_schema::{ChatId, Event, NewEvent, TurnId};

use super::delivery::Undelivered;
use super::{Shared, TurnsError};
use crate::log::{Append, Idempotency};

/// Who wants which turn to stop.
#[derive(Debug)]
pub struct StopTurn {
    /// The chat.
    pub chat: ChatId,
    /// The turn; any other one goes on.
    pub turn: TurnId,
    /// Who asks for it.
    pub by: Option<String>,
    /// The client's key.
    pub idempotency: Option<Idempotency>,
}

impl StopTurn {
    fn event(&self) -> NewEvent {
        let asked = CancelRequested { turn_id: self.turn.clone(), by: self.by.clone() };
        NewEvent::of_chat(Event::CancelRequested(asked))
    }
}

impl Shared {
    /// Stops a turn if it is open. One that has ended, or never was, is left as it is.
    pub(super) async fn stop(self: Arc<Self>, stop: StopTurn) -> Result<(), TurnsError> {
        if self.answered_before(stop.idempotency.as_ref()).await?.is_some() {
            return Ok(());
        }
        Arc::clone(&self).stop_open(&stop).await?;
        // Kept also where there was nothing to append.
        if let Some(kept) = stop.idempotency {
            self.log.keep_answer(kept).await?;
        }
        Ok(())
    }

    async fn stop_open(self: Arc<Self>, stop: &StopTurn) -> Result<(), TurnsError> {
        if self.stop_running(stop).await? {
            return Ok(());
        }
        let chat = self.chat(&stop.chat).await?;
        let gate = self.gates.enter(&stop.chat).await;
        // It may have started between the look above and the gate.
        if self.stop_running(stop).await? {
            return Ok(());
        }
        let asked = Some((&stop.turn, stop.event()));
        self.end_outside(&gate, &chat, CancelReason::User, asked).await
    }

    /// Whether the turn runs here; it is then told, once its end was asked for in the log.
    async fn stop_running(&self, stop: &StopTurn) -> Result<bool, TurnsError> {
        let running = self.registry.of_chat(&stop.chat);
        let Some(running) = running.filter(|running| running.turn == stop.turn) else {
            return Ok(false);
        };
        let said = running.stop_said.get_or_try_init(|| async {
            let mut append = Append::new(stop.chat.clone(), vec![stop.event()])?;
            append.idempotency = stop.idempotency.clone();
            match self.log.append(append).await {
                Ok(_) => Ok(()),
                Err(error) => match Undelivered::from(error) {
                    // It ended by itself in between.
                    Undelivered::Gone => Ok(()),
                    Undelivered::Refused { error, .. } => Err(TurnsError::Append(error)),
                    Undelivered::Storage => Err(TurnsError::Storage),
                },
            }
        });
        said.await?;
        running.interrupt(CancelReason::User);
        Ok(true)
    }

    /// Lets go of the turn of a chat that was deleted; nothing of it can be stored any more.
    pub(super) fn abandon(&self, chat: &ChatId) {
        if let Some(running) = self.registry.of_chat(chat) {
            running.interrupt(CancelReason::User);
        }
    }
}
