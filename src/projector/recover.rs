//! How a worker goes on after a failure: from what its file has, or with a file made anew.
//!
//! When it tries again is left to `worker`.

use super::file::ViewFile;
use super::view::Health;
use super::worker::{Live, WorkError, Worker, chain, expected};
use crate::fault::{Cause, Subject};

/// Why a chat is parked whose fold panics.
const PANICKED: &str = "the projection panicked; this is a fault of the program";

impl Worker {
    /// Goes back to what the file has; makes it anew if it is damaged.
    pub(super) fn recover(&mut self, error: &WorkError) {
        let projection = self.view.description().name;
        let recovered = match error.is_damage() {
            true => {
                // Found again in the next round, should there be no room for another one now.
                self.view.note_damage();
                let error = chain(error);
                tracing::warn!(projection, %error, "a view file is damaged; making it anew");
                self.heal()
            }
            false => self.go_back().and_then(|()| self.park_where_it_panicked(error)),
        };
        let position = self.live.position(self.view.position().purged);
        self.view.advance(position, Some(self.live.fold.parked()));
        let failed = match &recovered {
            Err(error) => error,
            Ok(()) if error.is_damage() && error.cause() != Cause::SyncFailed => return,
            Ok(()) => error,
        };
        self.is_failing = true;
        let subject = Subject::View(projection);
        self.context.log.faults().raise_as(subject, failed.cause(), failed);
        self.view.set_health(Health::Failing { cause: failed.to_string() });
    }

    /// Notes that a round succeeded.
    pub(super) fn works_again(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            self.context.log.faults().clear(Subject::View(self.view.description().name));
        }
    }

    fn go_back(&mut self) -> Result<(), WorkError> {
        self.live.fold.reset(self.live.file.parked()?);
        self.live.seen = self.live.file.checkpoint();
        self.live.unsaved_bytes = 0;
        Ok(())
    }

    /// Parks the chat of an event whose fold panics before that event: it would panic again.
    fn park_where_it_panicked(&mut self, error: &WorkError) -> Result<(), WorkError> {
        let Some((chat, seq)) = error.panicked_at() else { return Ok(()) };
        let view = std::sync::Arc::clone(&self.view);
        let (log, reads) = (&self.context.log, &self.reads);
        if self.live.fold_until(log, reads, &view, seq.prev(), |_, _| {})? {
            self.live.fold.park(chat, seq, PANICKED.to_owned());
        }
        Ok(())
    }

    /// Makes the file anew beside the damaged one, and puts it in its place.
    fn heal(&mut self) -> Result<(), WorkError> {
        let generation = self.live.generation + 1;
        let expected = expected(&self.context.log, self.view.description());
        let file = ViewFile::create(&self.names.live(generation), &expected)?;
        let live = Live::new(file, generation, (self.make_fold)())?;
        self.replace(live)
    }
}
