//! Instants as the log keeps them: milliseconds since 1970-01-01T00:00:00Z.
//!
//! Reading the clock is left to the root crate; here an instant is only a number and its text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(from = "i64", into = "i64")]
pub struct Millis(i64);

impl From<i64> for Millis {
    fn from(ms: i64) -> Millis {
        Millis::new(ms)
    }
}

impl From<Millis> for i64 {
    fn from(at: Millis) -> i64 {
        at.0
    }
}

/// The last instant that jiff can write in every time zone: 9999-12-30T21:59:59.999Z.
const MILLIS_MAX: i64 = 253_402_207_199_999;

impl Millis {
    /// Wraps an instant, held within the start of 1970 and the end of 9999, less two days.
    pub const fn new(ms: i64) -> Millis {
        if ms < 0 {
            Millis(0)
        } else if ms > MILLIS_MAX {
            Millis(MILLIS_MAX)
        } else {
            Millis(ms)
        }
    }

    /// Milliseconds since the epoch.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The instant `ms` milliseconds later.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Millis {
        Millis::new(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this instant, 0 if it is not earlier.
    pub const fn since_ms(self, earlier: Millis) -> u64 {
        if self.0 > earlier.0 { (self.0 - earlier.0) as u64 } else { 0 }
    }

    /// Parses an RFC 3339 instant, with any offset.
    ///
    /// # Errors
    ///
    /// [`TimeError`] if the text is no RFC 3339 instant.
    pub fn parse(text: &str) -> Result<Millis, TimeError> {
        let parsed: jiff::Timestamp = text.parse().map_err(|_| TimeError)?;
        Ok(Millis::new(parsed.as_millisecond()))
    }
}

impl fmt::Display for Millis {
    /// RFC 3339 in UTC with three decimals, for example `2026-11-22T20:52:00.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PRINTER: jiff::fmt::temporal::DateTimePrinter =
            jiff::fmt::temporal::DateTimePrinter::new().precision(Some(3));
        let timestamp = jiff::Timestamp::from_millisecond(self.0)
            .expect("an instant between 1970 and 9999 is within jiff's range");
        PRINTER.print_timestamp(&timestamp, jiff::fmt::StdFmtWrite(f)).map_err(|_| fmt::Error)
    }
}

/// The text is no RFC 3339 instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 instant such as 2026-11-22T20:52:00.123Z")]
pub struct TimeError;
