//! Appending for a turn: what a failed append means for it, and trying again where that helps.

use std::time::Duration;

use scrollback_schema::{ChatId, NewEvent};

use crate::clock::ticks;
use crate::log::turn_guard::Reason;
use crate::log::{Append, AppendError, Appended, Log, Refusal};

/// Pauses between two tries while the disk takes nothing: the first, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LONGEST: Duration = Duration::from_secs(2);

/// How long a turn waits for the disk before it gives its provider up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why events of a turn were not stored.
#[derive(Debug)]
pub(super) enum Undelivered {
    /// The turn has ended, its chat was deleted, or the log takes nothing more: there is nothing
    /// left to do for it.
    Gone,
    /// One event is not allowed; nothing of the append is stored.
    Refused {
        /// Which one.
        index: usize,
        /// Why.
        error: AppendError,
    },
    /// The disk takes nothing; the same append may succeed later.
    Storage,
}

impl From<AppendError> for Undelivered {
    fn from(error: AppendError) -> Undelivered {
        match error {
            AppendError::Refused(Refusal {
                reason:
                    Reason::NoOpenTurn
                    | Reason::NotTheOpenTurn { .. }
                    | Reason::NotTheTurnsMessage { .. },
                ..
            })
            | AppendError::ChatNotFound { .. }
            | AppendError::ChatDeleted { .. }
            | AppendError::Closing
            | AppendError::Poisoned
            | AppendError::Unknown { .. } => Undelivered::Gone,
            AppendError::Storage { .. } => Undelivered::Storage,
            AppendError::Refused(Refusal { index, .. }) | AppendError::TooLarge { index, .. } => {
                Undelivered::Refused { index, error }
            }
            _ => Undelivered::Refused { index: 0, error },
        }
    }
}

/// Appends events of a chat once.
pub(super) async fn append(
    log: &Log,
    chat: &ChatId,
    events: Vec<NewEvent>,
) -> Result<Appended, Undelivered> {
    let append = Append::new(chat.clone(), events)?;
    Ok(log.append(append).await?)
}

/// Appends events of a chat, again and again for a while if the disk takes nothing.
pub(super) async fn append_patiently(
    log: &Log,
    chat: &ChatId,
    events: &[NewEvent],
) -> Result<Appended, Undelivered> {
    let mut pauses = Pauses::default();
    let given_up = ticks() + PATIENCE;
    loop {
        match append(log, chat, events.to_vec()).await {
            Err(Undelivered::Storage) if ticks() < given_up => {
                pauses.pause().await;
            }
            done => return done,
        }
    }
}

/// Pauses that grow.
#[derive(Debug)]
pub(super) struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Pauses {
        Pauses(PAUSE_FIRST)
    }
}

impl Pauses {
    /// The next pause.
    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(PAUSE_LONGEST);
    }
}
