//! The one task that waits for the time of the next run, and looks at the chats whose time has
//! come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use scrollback_schema::{ChatRef, Millis, Seq};

use super::Shared;
use super::agenda::Agenda;

/// Chats that are looked at at once: their appends share commits.
const LOOKS_MAX: usize = 64;

/// Longest sleep: a machine that was suspended, or a clock that was set, is noticed after so long.
const SLEEP_MAX: Duration = Duration::from_secs(20);

/// What a look at a chat came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// It has to be looked at again then.
    At(Millis),
    /// Again after so long.
    After(Duration),
    /// It has no schedule that ever runs.
    Never,
}

struct Clockwork {
    shared: Arc<Shared>,
    agenda: Agenda,
    /// Chats that are being looked at; true if one has changed meanwhile.
    looked_at: HashMap<Seq, bool>,
    looks: FuturesUnordered<BoxFuture<'static, (ChatRef, Look)>>,
}

/// Fires what is due until the turns are closed.
pub(super) async fn run(shared: Arc<Shared>) {
    let closing = shared.turns.0.closing.clone();
    let clockwork = Clockwork {
        shared,
        agenda: Agenda::default(),
        looked_at: HashMap::new(),
        looks: FuturesUnordered::new(),
    };
    tokio::select! {
        biased;
        () = closing.cancelled() => {}
        () = clockwork.run() => {}
    }
}

impl Clockwork {
    async fn run(mut self) {
        loop {
            self.take_changed();
            self.look_at_due();
            let sleep = self.sleep();
            tokio::select! {
                Some((chat, look)) = self.looks.next() => self.looked(chat, look),
                () = self.shared.stirred().rung() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Chats in which something has changed are looked at now.
    fn take_changed(&mut self) {
        let changed = self.shared.stirred().take();
        let now = self.shared.turns.0.clock.now();
        for (created, chat) in changed {
            match self.looked_at.get_mut(&created) {
                Some(has_changed) => *has_changed = true,
                None => self.agenda.set(chat, now),
            }
        }
    }

    fn look_at_due(&mut self) {
        let now = self.shared.turns.0.clock.now();
        while self.looks.len() < LOOKS_MAX {
            let Some(chat) = self.agenda.take_due(now) else { return };
            self.looked_at.insert(chat.created, false);
            let shared = Arc::clone(&self.shared);
            self.looks.push(
                async move {
                    let look = shared.look(&chat).await;
                    (chat, look)
                }
                .boxed(),
            );
        }
    }

    fn looked(&mut self, chat: ChatRef, look: Look) {
        let now = self.shared.turns.0.clock.now();
        let has_changed = self.looked_at.remove(&chat.created).unwrap_or_default();
        match look {
            _ if has_changed => self.agenda.set(chat, now),
            Look::At(at) => self.agenda.set(chat, at),
            Look::After(pause) => {
                let ms = i64::try_from(pause.as_millis()).expect("a pause is short");
                self.agenda.set(chat, now.plus_ms(ms));
            }
            Look::Never => {}
        }
    }

    /// How long nothing is to be done; while all looks are taken, the next one to end wakes.
    fn sleep(&self) -> Duration {
        let now = self.shared.turns.0.clock.now();
        match self.agenda.next_at() {
            Some(at) if self.looks.len() < LOOKS_MAX => {
                Duration::from_millis(at.since_ms(now)).min(SLEEP_MAX)
            }
            _ => SLEEP_MAX,
        }
    }
}
