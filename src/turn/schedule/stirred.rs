//! Chats whose schedules have to be looked at now: the changed ones, and the idle ones of those in
//! which a run waits. Looking at them is left to `clockwork`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use scrollback_schema::{ChatRef, Seq};
use tokio::sync::Notify;

/// Those chats, and a bell; each chat is in it once at most.
#[derive(Debug, Default)]
pub(in crate::turn) struct Stirred {
    inner: Mutex<Inner>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    chats: BTreeMap<Seq, ChatRef>,
    /// Chats in which a run waits until no turn is open.
    awaited: BTreeSet<Seq>,
}

impl Stirred {
    /// Something about the schedules of a chat has changed.
    pub(super) fn change(&self, chat: ChatRef) {
        self.extend([chat]);
    }

    /// Likewise for several.
    pub(super) fn extend(&self, chats: impl IntoIterator<Item = ChatRef>) {
        self.lock().chats.extend(chats.into_iter().map(|chat| (chat.created, chat)));
        self.ring();
    }

    /// A run waits until the chat is idle. To be said before it is looked whether it is: an end in
    /// between is then not missed.
    pub(super) fn wait_for(&self, chat: Seq) {
        self.lock().awaited.insert(chat);
    }

    /// No run waits for the chat any more.
    pub(super) fn wait_no_more(&self, chat: Seq) {
        self.lock().awaited.remove(&chat);
    }

    /// A turn of the chat has ended, and no other one has begun.
    pub(in crate::turn) fn is_idle(&self, chat: &ChatRef) {
        let mut inner = self.lock();
        if inner.awaited.remove(&chat.created) {
            inner.chats.insert(chat.created, chat.clone());
            drop(inner);
            self.ring();
        }
    }

    /// Takes the chats to look at.
    pub(super) fn take(&self) -> BTreeMap<Seq, ChatRef> {
        std::mem::take(&mut self.lock().chats)
    }

    /// Wakes who looks, also for a clock that was set.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits for the bell; one that has rung before counts.
    ///
    /// # Cancel safety
    ///
    /// A dropped wait leaves the bell as it was.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
