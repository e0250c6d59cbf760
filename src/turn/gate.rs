//! One at a time a chat: who starts a turn, ends one, or changes the queue passes the chat's gate.
//!
//! Without it, a message could be queued behind a turn that is ending at that moment, and wait for
//! ever. The log refuses what breaks its rules; the gate keeps what is legal in order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use scrollback_schema::ChatId;
use tokio::sync::OwnedMutexGuard;

type Gates = Arc<Mutex<HashMap<ChatId, Arc<tokio::sync::Mutex<()>>>>>;

/// The gates of all chats in which somebody passes or waits; a quiet chat has none.
#[derive(Debug, Default)]
pub(super) struct ChatGates(Gates);

/// The right to decide what happens next in one chat; given back when dropped.
#[derive(Debug)]
pub(super) struct Gate {
    gates: Gates,
    chat: ChatId,
    /// Held for its drop; none once it is being given back.
    passage: Option<OwnedMutexGuard<()>>,
}

impl ChatGates {
    /// Waits for the chat's gate, first come, first served.
    ///
    /// # Cancel safety
    ///
    /// A dropped future gives up its place and holds nothing.
    pub(super) async fn enter(&self, chat: &ChatId) -> Gate {
        let gate = {
            let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(gates.entry(chat.clone()).or_default())
        };
        let passage = Some(gate.lock_owned().await);
        Gate { gates: Arc::clone(&self.0), chat: chat.clone(), passage }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.passage.take());
        // Whoever else has it waits for it: the map is locked, so nobody can begin to.
        if gates.get(&self.chat).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            gates.remove(&self.chat);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_passes_at_a_time_and_nothing_is_left() {
        let gates = ChatGates::default();
        let (a, b) = (ChatId::parse("a").unwrap(), ChatId::parse("b").unwrap());
        let first = gates.enter(&a).await;
        let other = gates.enter(&b).await;
        let mut second = Box::pin(gates.enter(&a));
        assert!(tokio::time::timeout(Duration::ZERO, &mut second).await.is_err());
        drop(first);
        drop(other);
        drop(second.await);
        assert_eq!(gates.len(), 0);
    }
}
