//! Who runs where: the turn of each chat that this server drives, and how to reach its task.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use scrollback_schema::event::CancelReason;
use scrollback_schema::limits::PENDING_REQUESTS_MAX;
use scrollback_schema::{ChatId, RequestId, TurnId};
use tokio::sync::{OnceCell, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::provider::Answer;

/// A turn that this server drives, seen from outside of its task.
#[derive(Debug)]
pub(super) struct Running {
    /// The turn.
    pub(super) turn: TurnId,
    /// Set once `cancel_requested` is in the log; a second stop finds it so.
    pub(super) stop_said: OnceCell<()>,
    interrupt: watch::Sender<Option<CancelReason>>,
    answers: mpsc::Sender<(RequestId, Answer)>,
}

impl Running {
    /// A turn, and what its task hears.
    pub(super) fn new(turn: TurnId, cut: CancellationToken) -> (Running, Inbox) {
        let (interrupt, interrupted) = watch::channel(None);
        // The log lets no more requests be pending, and each is answered once.
        let (answers, answered) = mpsc::channel(PENDING_REQUESTS_MAX);
        let running = Running { turn, stop_said: OnceCell::new(), interrupt, answers };
        (running, Inbox { interrupted, answers: answered, cut })
    }

    /// Interrupts the turn; the first reason is the one that counts.
    pub(super) fn interrupt(&self, reason: CancelReason) {
        self.interrupt.send_if_modified(|asked| {
            let is_first = asked.is_none();
            asked.get_or_insert(reason);
            is_first
        });
    }

    /// Hands over an answer that is in the log.
    pub(super) fn answer(&self, request: RequestId, answer: Answer) {
        // A turn that has ended in between hears nothing more.
        let _ = self.answers.try_send((request, answer));
    }
}

/// What a turn's task hears from outside.
#[derive(Debug)]
pub(super) struct Inbox {
    interrupted: watch::Receiver<Option<CancelReason>>,
    answers: mpsc::Receiver<(RequestId, Answer)>,
    cut: CancellationToken,
}

impl Inbox {
    /// Resolves once the turn is to be interrupted, with the reason.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the next call resolves at once.
    pub(super) async fn interrupted(&mut self) -> CancelReason {
        tokio::select! {
            biased;
            reason = asked(&mut self.interrupted) => reason,
            () = self.cut.cancelled() => CancelReason::Shutdown,
        }
    }

    /// Resolves with whichever comes first.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Word {
        let Inbox { interrupted, answers, cut } = self;
        tokio::select! {
            biased;
            reason = asked(interrupted) => Word::Interrupt(reason),
            () = cut.cancelled() => Word::Interrupt(CancelReason::Shutdown),
            answered = answers.recv() => match answered {
                Some((request, answer)) => Word::Answer(request, answer),
                None => std::future::pending().await,
            },
        }
    }
}

async fn asked(interrupted: &mut watch::Receiver<Option<CancelReason>>) -> CancelReason {
    let asked = interrupted.wait_for(Option::is_some).await.ok().and_then(|asked| *asked);
    match asked {
        Some(reason) => reason,
        // Nobody is left who could ask.
        None => std::future::pending().await,
    }
}

/// What is said to a turn from outside.
#[derive(Debug)]
pub(super) enum Word {
    /// It is to end.
    Interrupt(CancelReason),
    /// A request of it was answered.
    Answer(RequestId, Answer),
}

/// The turns that run, by chat, and the providers that are still leaving.
#[derive(Debug, Default)]
pub(super) struct Registry {
    running: Mutex<HashMap<ChatId, Arc<Running>>>,
    leaving: Mutex<HashMap<ChatId, CancellationToken>>,
}

impl Registry {
    /// The turn that runs in a chat.
    pub(super) fn of_chat(&self, chat: &ChatId) -> Option<Arc<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).get(chat).cloned()
    }

    /// Notes that a turn runs; in place of the one that has just ended, if any.
    pub(super) fn insert(&self, chat: &ChatId, running: Running) {
        let mut all = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(chat.clone(), Arc::new(running));
    }

    /// Notes that a turn has ended; one that came after it stays.
    pub(super) fn remove(&self, chat: &ChatId, turn: &TurnId) {
        let mut all = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(chat).is_some_and(|running| running.turn == *turn) {
            all.remove(chat);
        }
    }

    /// Notes that a provider was told to stop and has not yet; cancelled once it is gone.
    pub(super) fn leave(&self, chat: &ChatId) -> CancellationToken {
        let gone = CancellationToken::new();
        let mut all = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(chat.clone(), gone.clone());
        gone
    }

    /// Notes that it is gone.
    pub(super) fn left(&self, chat: &ChatId, gone: &CancellationToken) {
        gone.cancel();
        let mut all = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(chat).is_some_and(CancellationToken::is_cancelled) {
            all.remove(chat);
        }
    }

    /// Waits until no provider of a former turn of the chat is left.
    pub(super) async fn no_one_leaves(&self, chat: &ChatId) {
        loop {
            let leaving = {
                let all = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
                all.get(chat).cloned()
            };
            match leaving {
                Some(gone) if !gone.is_cancelled() => gone.cancelled().await,
                _ => return,
            }
        }
    }
}
