//! When a turn has taken too long: four time-outs, all of them paused while a person is asked.
//!
//! Pure: instants are handed in.

use std::time::Duration;

use scrollback_schema::ErrorCode;
use scrollback_schema::event::Phase;
use tokio::time::Instant;

use crate::config::Timeouts;
use crate::provider::ProviderError;

/// Which time-out it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimedOut {
    /// The provider was not set up in time.
    Connect,
    /// It did not begin to speak in time.
    FirstToken,
    /// It fell silent.
    Idle,
    /// The turn as a whole took too long.
    Total,
}

impl TimedOut {
    /// The failure of the turn.
    pub(super) fn error(self, timeouts: &Timeouts) -> ProviderError {
        let (phase, what, limit) = match self {
            TimedOut::Connect => {
                (Phase::Setup, "the provider was not set up within", timeouts.connect)
            }
            TimedOut::FirstToken => {
                (Phase::Setup, "the provider did not begin to answer within", timeouts.first_token)
            }
            TimedOut::Idle => (Phase::Stream, "the provider said nothing for", timeouts.idle),
            TimedOut::Total => (Phase::Stream, "the turn took longer than", timeouts.total),
        };
        let message = format!("{what} {limit:?}");
        ProviderError::new(ErrorCode::ProviderTimeout, phase, message)
    }
}

/// The time-outs of one turn.
#[derive(Debug)]
pub(super) struct Timers {
    timeouts: Timeouts,
    total_at: Instant,
    waits_for: (TimedOut, Instant),
    paused_at: Option<Instant>,
}

impl Timers {
    /// The turn begins: its provider is being set up.
    pub(super) fn new(timeouts: Timeouts, now: Instant) -> Timers {
        Timers {
            timeouts,
            total_at: later(now, timeouts.total),
            waits_for: (TimedOut::Connect, later(now, timeouts.connect)),
            paused_at: None,
        }
    }

    /// The provider is set up.
    pub(super) fn connected(&mut self, now: Instant) {
        self.waits_for = (TimedOut::FirstToken, later(now, self.timeouts.first_token));
    }

    /// The provider said something; bookkeeping does not count as a beginning.
    pub(super) fn heard(&mut self, has_spoken: bool, now: Instant) {
        self.waits_for = match has_spoken {
            true => (TimedOut::Idle, later(now, self.timeouts.idle)),
            false => (TimedOut::FirstToken, later(now, self.timeouts.first_token)),
        };
    }

    /// A person is asked, or the provider is not listened to: time stands still.
    pub(super) fn pause(&mut self, now: Instant) {
        self.paused_at.get_or_insert(now);
    }

    /// Time goes on.
    pub(super) fn resume(&mut self, now: Instant) {
        if let Some(paused_at) = self.paused_at.take() {
            let pause = now.saturating_duration_since(paused_at);
            self.total_at = later(self.total_at, pause);
            self.waits_for.1 = later(self.waits_for.1, pause);
        }
    }

    /// What times out next, and when; nothing while time stands still.
    pub(super) fn next(&self) -> Option<(TimedOut, Instant)> {
        if self.paused_at.is_some() {
            return None;
        }
        let total = (TimedOut::Total, self.total_at);
        Some(if self.waits_for.1 <= total.1 { self.waits_for } else { total })
    }
}

/// A time-out of years is as good as none; an instant that far away does not exist.
fn later(at: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    at + by.min(FAR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ticks;

    const S: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn each_time_out_has_its_moment() {
        let timeouts = Timeouts { connect: S, first_token: 2 * S, idle: 3 * S, total: 20 * S };
        let start = ticks();
        let mut timers = Timers::new(timeouts, start);
        assert_eq!(timers.next(), Some((TimedOut::Connect, start + S)));
        timers.connected(start + S);
        assert_eq!(timers.next(), Some((TimedOut::FirstToken, start + 3 * S)));
        timers.heard(false, start + 2 * S);
        assert_eq!(timers.next(), Some((TimedOut::FirstToken, start + 4 * S)));
        timers.heard(true, start + 3 * S);
        assert_eq!(timers.next(), Some((TimedOut::Idle, start + 6 * S)));
        timers.heard(true, start + 18 * S);
        assert_eq!(timers.next(), Some((TimedOut::Total, start + 20 * S)));
    }

    #[tokio::test(start_paused = true)]
    async fn time_stands_still_while_a_person_is_asked() {
        let timeouts = Timeouts { connect: S, first_token: 2 * S, idle: 3 * S, total: 4 * S };
        let start = ticks();
        let mut timers = Timers::new(timeouts, start);
        timers.heard(true, start);
        timers.pause(start + S);
        timers.pause(start + 2 * S);
        assert_eq!(timers.next(), None);
        timers.resume(start + 100 * S);
        assert_eq!(timers.next(), Some((TimedOut::Idle, start + 102 * S)));
        timers.heard(true, start + 102 * S);
        assert_eq!(timers.next(), Some((TimedOut::Total, start + 103 * S)));
    }
}
