//! The one place that reads the clock and makes fresh ids.
//!
//! Everything else is handed a [`Clock`]; tests hand over one that they move themselves.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use scrollback_schema::Millis;

/// Tells the time and makes ids; cloning shares it.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until it is moved; milliseconds since the epoch.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still at `at` until [`Clock::advance_ms`] moves it.
    pub fn manual(at: Millis) -> Clock {
        Clock::Manual(Arc::new(AtomicI64::new(at.get())))
    }

    /// The present instant; it can go back, as clocks do.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Millis {
        match self {
            Clock::System => {
                let since_epoch = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap_or_default();
                Millis::new(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
            }
            Clock::Manual(ms) => Millis::new(ms.load(Ordering::SeqCst)),
        }
    }

    /// Milliseconds since some instant of this process: they go on evenly whatever is done to the
    /// machine's clock, so that a span of time is measured by them. Never stored.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn steady(&self) -> Millis {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        match self {
            Clock::System => {
                let elapsed = Instant::now().saturating_duration_since(*BEGAN);
                Millis::new(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
            }
            Clock::Manual(_) => self.now(),
        }
    }

    /// Moves a manual clock, forward or back; the machine's clock is left alone.
    pub fn advance_ms(&self, ms: i64) {
        if let Clock::Manual(now) = self {
            now.fetch_add(ms, Ordering::SeqCst);
        }
    }

    /// A UUIDv7 as text: sorts by the time at which it was made.
    pub fn fresh_id(&self) -> String {
        let now = self.now().get().unsigned_abs();
        let timestamp = uuid::Timestamp::from_unix(
            uuid::NoContext,
            now / 1_000,
            (now % 1_000) as u32 * 1_000_000,
        );
        uuid::Uuid::new_v7(timestamp).to_string()
    }
}

/// A monotonic instant, for measuring how long something took; never stored.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// The runtime's instant, against which its timers run; it stands still where a test pauses time.
pub fn ticks() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// Random bytes from the operating system.
///
/// # Panics
///
/// If the operating system has none to give: nothing safe can be done then.
#[expect(clippy::disallowed_methods, reason = "this is the one source of randomness")]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
