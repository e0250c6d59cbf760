//! The one loop out of the log: read pages after a seq until caught up, then wait for a greater
//! head.
//!
//! Replay and live are the same: a reader that comes late and one that never left run this loop,
//! and differ in how often it has to wait.

use std::sync::Arc;

use scrollback_schema::Seq;
use tokio::sync::{Notify, watch};

use super::{Log, Owner, Page, PageLimits, ReadError, Scope};

/// A reader's place in the log.
#[derive(Debug)]
pub struct Tail {
    log: Log,
    scope: Scope,
    after: Seq,
    limits: PageLimits,
    wakes: Subscription,
    is_caught_up: bool,
}

/// What the loop came to.
#[derive(Debug)]
pub enum Step {
    /// Events after the reader's place; the place is now the page's end.
    Page(Page),
    /// There is nothing more up to this seq; the next step waits.
    CaughtUp(Seq),
}

impl Tail {
    /// A reader of `scope` that has everything up to `after`.
    pub fn new(log: &Log, scope: Scope, after: Seq, limits: PageLimits) -> Tail {
        let wakes = log.subscribe(&scope);
        Tail { log: log.clone(), scope, after, limits, wakes, is_caught_up: false }
    }

    /// The seq up to which the reader has everything.
    pub fn after(&self) -> Seq {
        self.after
    }

    /// The next page, or that the head is reached; waits if it was reached before.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; the reader keeps its place and may try again.
    ///
    /// # Cancel safety
    ///
    /// A dropped future loses nothing: the place moves only with the page that is returned.
    pub async fn next(&mut self) -> Result<Step, ReadError> {
        loop {
            if self.is_caught_up {
                self.wakes.changed().await;
                self.is_caught_up = false;
            }
            // Asked first, so that a commit in between is found by the wake-up that it sends.
            let head = self.log.head();
            let was_behind = self.after < head;
            let page = self.log.read(&self.scope, self.after, head, self.limits).await?;
            self.after = page.through.max(self.after);
            if !page.sections.is_empty() {
                return Ok(Step::Page(page));
            }
            if self.after >= head || !was_behind {
                self.is_caught_up = true;
                return Ok(Step::CaughtUp(self.after.max(head)));
            }
        }
    }
}

/// Wake-ups for a reader: that there may be more, never what.
#[derive(Debug)]
pub struct Subscription(Wakes);

#[derive(Debug)]
enum Wakes {
    Head(watch::Receiver<Seq>),
    Chats { log: Log, reader: u64, chats: Arc<[Seq]>, notify: Arc<Notify> },
    Owner { log: Log, reader: u64, owner: Owner, notify: Arc<Notify> },
}

impl Subscription {
    pub(crate) fn to_head(head: watch::Receiver<Seq>) -> Subscription {
        Subscription(Wakes::Head(head))
    }

    pub(crate) fn to_chats(log: Log, chats: Arc<[Seq]>) -> Subscription {
        let (reader, notify) = log.recent().register(&chats);
        Subscription(Wakes::Chats { log, reader, chats, notify })
    }

    pub(crate) fn to_owner(log: Log, owner: Owner) -> Subscription {
        let (reader, notify) = log.recent().follow(&owner);
        Subscription(Wakes::Owner { log, reader, owner, notify })
    }

    /// Waits until something was committed in the scope since the last call, or the log closed.
    ///
    /// # Cancel safety
    ///
    /// A dropped future loses no wake-up: the next call returns at once if there was one.
    pub async fn changed(&mut self) {
        match &mut self.0 {
            Wakes::Head(head) => {
                if head.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            Wakes::Chats { notify, .. } | Wakes::Owner { notify, .. } => notify.notified().await,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        match &self.0 {
            Wakes::Head(_) => {}
            Wakes::Chats { log, reader, chats, .. } => log.recent().unregister(*reader, chats),
            Wakes::Owner { log, reader, owner, .. } => log.recent().unfollow(*reader, owner),
        }
    }
}
