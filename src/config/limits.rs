//! How much a server takes at once, from how many, and how fast from each of them.
//!
//! Whoever is beyond one of these is answered 503 or 429 before anything of the call is done; what
//! one call may carry is in `schema::limits`.

use std::time::Duration;

use scrollback_schema::limits;
use serde::Deserialize;

use super::turns::{OutOfBounds, bounded};

/// The `[limits]` table, with its defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitConfig {
    /// Connections at once; further ones are told to come back and closed.
    pub connections_max: usize,
    /// Requests at once, from their head until the system has taken their answer; streams are
    /// counted apart.
    pub requests_max: usize,
    /// Requests among them that may write.
    pub writes_max: usize,
    /// Streams at once.
    pub streams_max: usize,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Bytes of the bodies of all requests that are not answered yet.
    pub bodies_bytes_max: usize,
    /// How long the head of a request may take, and the silence between two requests.
    pub head_timeout: Duration,
    /// How long a body may take, beside what its bytes need at `body_bytes_per_s_min`.
    pub body_timeout: Duration,
    /// Bytes of a body that a second has to bring.
    pub body_bytes_per_s_min: u64,
    /// How long a client may take nothing of an answer that waits for it.
    pub answer_timeout: Duration,
    /// What each caller may do.
    pub rate: RateConfig,
}

impl Default for LimitConfig {
    fn default() -> LimitConfig {
        LimitConfig {
            connections_max: limits::CONNECTIONS_DEFAULT,
            requests_max: limits::REQUESTS_DEFAULT,
            writes_max: limits::WRITES_DEFAULT,
            streams_max: limits::STREAMS_DEFAULT,
            body_bytes_max: limits::HTTP_BODY_BYTES_MAX,
            bodies_bytes_max: limits::BODIES_BYTES_DEFAULT,
            head_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(10),
            body_bytes_per_s_min: 16 << 10,
            answer_timeout: Duration::from_secs(30),
            rate: RateConfig::default(),
        }
    }
}

/// The `[limits.rate]` table: what one caller may do; a number that is missing bounds nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateConfig {
    /// Requests a second.
    pub requests_per_s: Option<u64>,
    /// Events a second, appended by a producer outside.
    pub events_per_s: Option<u64>,
    /// Seconds whose allowance can be saved up and used at once.
    pub burst: Duration,
}

impl Default for RateConfig {
    fn default() -> RateConfig {
        RateConfig { requests_per_s: None, events_per_s: None, burst: Duration::from_secs(10) }
    }
}

/// The table as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsTable {
    connections_max: Option<u64>,
    requests_max: Option<u64>,
    writes_max: Option<u64>,
    streams_max: Option<u64>,
    body_bytes_max: Option<u64>,
    bodies_bytes_max: Option<u64>,
    head_timeout_ms: Option<u64>,
    body_timeout_ms: Option<u64>,
    body_bytes_per_s_min: Option<u64>,
    answer_timeout_ms: Option<u64>,
    rate: RateTable,
}

/// The table of rates as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RateTable {
    requests_per_s: Option<u64>,
    events_per_s: Option<u64>,
    burst_s: Option<u64>,
}

/// Longest time-out in milliseconds: nobody waits longer for bytes that are on their way.
const TIMEOUT_MS_MAX: u64 = 60 * 60 * 1_000;

/// Most that can be asked for of anything that is counted a second.
const PER_S_MAX: u64 = 1_000_000_000;

/// Longest time whose allowance can be saved up.
const BURST_S_MAX: u64 = 60 * 60;

/// Most bytes of bodies that a server can be told to hold.
const BODIES_BYTES_MAX: usize = 64 << 30;

impl LimitsTable {
    pub(super) fn checked(self) -> Result<LimitConfig, OutOfBounds> {
        let d = LimitConfig::default();
        let size =
            |key, value, least: usize, most: usize, default: usize| -> Result<usize, OutOfBounds> {
                let value = bounded(key, value, least as u64, most as u64)?;
                Ok(value.map_or(default, |value| usize::try_from(value).unwrap_or(most)))
            };
        let count = |key, value, default| size(key, value, 1, limits::CONNECTIONS_MAX, default);
        let millis = |key, value, default| -> Result<Duration, OutOfBounds> {
            let value = bounded(key, value, 1, TIMEOUT_MS_MAX)?;
            Ok(value.map_or(default, Duration::from_millis))
        };
        let body_max = limits::HTTP_BODY_BYTES_MAX;
        let body_bytes_max =
            size("limits.body_bytes_max", self.body_bytes_max, 1, body_max, d.body_bytes_max)?;
        let body_rate = self.body_bytes_per_s_min;
        let body_rate = bounded("limits.body_bytes_per_s_min", body_rate, 1, PER_S_MAX)?;
        Ok(LimitConfig {
            connections_max: count(
                "limits.connections_max",
                self.connections_max,
                d.connections_max,
            )?,
            requests_max: count("limits.requests_max", self.requests_max, d.requests_max)?,
            writes_max: size(
                "limits.writes_max",
                self.writes_max,
                1,
                limits::APPEND_QUEUE_MAX,
                d.writes_max,
            )?,
            streams_max: count("limits.streams_max", self.streams_max, d.streams_max)?,
            body_bytes_max,
            // One body of the largest size fits in any case.
            bodies_bytes_max: size(
                "limits.bodies_bytes_max",
                self.bodies_bytes_max,
                body_bytes_max,
                BODIES_BYTES_MAX,
                d.bodies_bytes_max,
            )?,
            head_timeout: millis("limits.head_timeout_ms", self.head_timeout_ms, d.head_timeout)?,
            body_timeout: millis("limits.body_timeout_ms", self.body_timeout_ms, d.body_timeout)?,
            body_bytes_per_s_min: body_rate.unwrap_or(d.body_bytes_per_s_min),
            answer_timeout: millis(
                "limits.answer_timeout_ms",
                self.answer_timeout_ms,
                d.answer_timeout,
            )?,
            rate: self.rate.checked()?,
        })
    }
}

impl RateTable {
    fn checked(self) -> Result<RateConfig, OutOfBounds> {
        let defaults = RateConfig::default();
        let per_s = |key, value| bounded(key, value, 1, PER_S_MAX);
        let burst = bounded("limits.rate.burst_s", self.burst_s, 1, BURST_S_MAX)?;
        Ok(RateConfig {
            requests_per_s: per_s("limits.rate.requests_per_s", self.requests_per_s)?,
            events_per_s: per_s("limits.rate.events_per_s", self.events_per_s)?,
            burst: burst.map_or(defaults.burst, Duration::from_secs),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<LimitConfig, OutOfBounds> {
        toml::from_str::<LimitsTable>(text).unwrap().checked()
    }

    #[test]
    fn what_is_not_said_is_as_by_default() {
        assert_eq!(checked(""), Ok(LimitConfig::default()));
    }

    #[test]
    fn every_key_is_read() {
        let limits = checked(
            "connections_max = 1\nrequests_max = 2\nwrites_max = 3\nstreams_max = 4\n\
             body_bytes_max = 5\nbodies_bytes_max = 6\nhead_timeout_ms = 7\n\
             body_timeout_ms = 8\nbody_bytes_per_s_min = 9\nanswer_timeout_ms = 10\n\
             [rate]\nrequests_per_s = 11\nevents_per_s = 12\nburst_s = 13\n",
        );
        let ms = Duration::from_millis;
        let rate = RateConfig {
            requests_per_s: Some(11),
            events_per_s: Some(12),
            burst: Duration::from_secs(13),
        };
        let expected = LimitConfig {
            connections_max: 1,
            requests_max: 2,
            writes_max: 3,
            streams_max: 4,
            body_bytes_max: 5,
            bodies_bytes_max: 6,
            head_timeout: ms(7),
            body_timeout: ms(8),
            body_bytes_per_s_min: 9,
            answer_timeout: ms(10),
            rate,
        };
        assert_eq!(limits, Ok(expected));
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let key = |text: &str| checked(text).unwrap_err().0;
        assert_eq!(key("connections_max = 0"), "limits.connections_max");
        assert_eq!(key("writes_max = 1000000"), "limits.writes_max");
        assert_eq!(key("bodies_bytes_max = 1"), "limits.bodies_bytes_max");
        assert_eq!(key("[rate]\nrequests_per_s = 0"), "limits.rate.requests_per_s");
    }
}
