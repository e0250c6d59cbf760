//! How a turn ends in the log: what it still owes, its terminal event, and what waits behind it.

use std::sync::Arc;

use scrollback_schema::Event;
use scrollback_schema::event::RequestOutcome;
use scrollback_schema::{NewEvent, RequestId};
use tokio::sync::OwnedSemaphorePermit;

use super::Shared;
use super::answer::Asked;
use super::delivery::{Pauses, Undelivered};
use super::faults::refused;
use super::handoff::Prior;
use super::runner::Job;
use super::state::{End, SaidSoFar};

/// What is left of a turn when its provider has spoken.
#[derive(Debug)]
pub(super) struct Last {
    pub(super) said: SaidSoFar,
    /// Said, and not stored yet.
    pub(super) unsaid: Vec<Event>,
    /// Questions that nobody has answered.
    pub(super) asked: Vec<(RequestId, Asked)>,
    /// How it ends; `None` if somebody else has ended it.
    pub(super) end: Option<End>,
    /// Given back once the end is stored.
    pub(super) slot: Option<Slot>,
}

/// One of the turns that may run at once.
#[derive(Debug)]
pub(super) struct Slot {
    /// Held for its drop.
    _permit: OwnedSemaphorePermit,
    shared: Arc<Shared>,
}

impl Slot {
    /// The turn that has this permit runs.
    pub(super) fn new(shared: &Arc<Shared>, permit: OwnedSemaphorePermit) -> Slot {
        shared.observer.running(1);
        Slot { _permit: permit, shared: Arc::clone(shared) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.observer.running(-1);
    }
}

impl Last {
    /// Nothing was said.
    pub(super) fn bare(end: Option<End>) -> Last {
        Last { said: SaidSoFar::new(0), unsaid: Vec::new(), asked: Vec::new(), end, slot: None }
    }

    /// The events of the end, in order.
    fn events(&self, end: &End, job: &Job) -> Vec<NewEvent> {
        let dismissed =
            |(id, asked): &(RequestId, Asked)| asked.ended(id.clone(), RequestOutcome::Dismissed);
        self.unsaid
            .iter()
            .cloned()
            .chain(self.asked.iter().map(dismissed))
            .chain(self.said.closing(end))
            .chain([end.event()])
            .map(|event| job.event(event))
            .collect()
    }
}

/// Ends a turn: one append with what it still has to say, its terminal event, and the start of the
/// next turn if a message waits. Tries again for as long as the disk takes nothing.
pub(super) async fn finish(shared: &Arc<Shared>, job: &Arc<Job>, mut last: Last) {
    let _slot = last.slot.take();
    let mut end = last.end.take().map(|end| last.said.judge(end));
    let prior = Prior { turn: job.turn.clone(), started_at: job.started_at };
    let mut pauses = Pauses::default();
    let outcome = loop {
        let gate = shared.gates.enter(&job.chat.id).await;
        let stored = match &end {
            None => Err(Undelivered::Gone),
            Some(end) => shared.go_on(&gate, &job.chat, last.events(end, job), Some(&prior)).await,
        };
        let is_disk = matches!(stored, Err(Undelivered::Storage));
        let outcome = match stored {
            Ok(()) => end.as_ref().map(End::name),
            Err(undelivered) => after(undelivered, &mut last, &mut end),
        };
        let is_given_up = shared.cut.is_cancelled();
        if outcome.is_some() || is_given_up {
            // Under the gate: who comes next must not rely on a task that has ended.
            shared.registry.remove(&job.chat.id, &job.turn);
            if outcome == Some(SUPERSEDED) {
                shared.watch(&gate, &job.chat);
            }
            break outcome.unwrap_or(SUPERSEDED);
        }
        drop(gate);
        if is_disk {
            pauses.pause().await;
        }
    };
    shared.observer.ended(outcome);
}

/// Somebody else has ended the turn, or the next start of the server will.
const SUPERSEDED: &str = "superseded";

/// What is done about an end that was not stored: the outcome if that is all, else another try.
fn after(undelivered: Undelivered, last: &mut Last, end: &mut Option<End>) -> Option<&'static str> {
    let n_said = last.unsaid.len();
    match undelivered {
        Undelivered::Gone => return Some(SUPERSEDED),
        // What the provider said last is not allowed: what came before it stays.
        Undelivered::Refused { index, error } if index < n_said => {
            last.unsaid.truncate(index);
            if !matches!(end, Some(End::Interrupted(_))) {
                *end = Some(End::Failed(refused(&error)));
            }
        }
        // A question was answered at this moment.
        Undelivered::Refused { index, .. } if index < n_said + last.asked.len() => {
            last.asked.remove(index - n_said);
        }
        Undelivered::Refused { error, .. } => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the end of a turn is refused");
            return Some("refused");
        }
        Undelivered::Storage => {}
    }
    None
}
