//! How turns are run: how many at once, how long each may take, how much it may say.

use std::collections::BTreeMap;
use std::time::Duration;

use scrollback_schema::limits;
use serde::Deserialize;

/// The `[turns]` table, with its defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnConfig {
    /// Turns that run at once; more wait, in the order in which they were started.
    pub running_max: usize,
    /// Bytes of an answer, reasoning and tools included; what is longer ends as `output_too_long`.
    pub output_bytes_max: usize,
    /// How long a shutdown lets turns go on before it interrupts them.
    pub shutdown_grace: Duration,
    /// How long a provider that was told to stop may take before it is dropped.
    pub stop_grace: Duration,
    /// How late a scheduled run may start; one that is later is missed, which the log says.
    pub schedule_late: Duration,
    /// How long a turn may take, where its provider's table says nothing else.
    pub timeouts: Timeouts,
    /// What the providers' own tables say, by their names.
    pub of_provider: BTreeMap<String, Timeouts>,
}

impl Default for TurnConfig {
    fn default() -> TurnConfig {
        TurnConfig {
            running_max: limits::TURNS_RUNNING_DEFAULT,
            output_bytes_max: limits::OUTPUT_BYTES_DEFAULT,
            shutdown_grace: Duration::from_secs(10),
            stop_grace: Duration::from_secs(5),
            schedule_late: Duration::from_secs(60 * 60),
            timeouts: Timeouts::default(),
            of_provider: BTreeMap::new(),
        }
    }
}

impl TurnConfig {
    /// The time-outs of a provider's turns.
    pub fn timeouts_of(&self, provider: &str) -> Timeouts {
        self.of_provider.get(provider).copied().unwrap_or(self.timeouts)
    }
}

/// How long a turn may take; each is paused while a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the provider is set up.
    pub connect: Duration,
    /// From then on until its first word.
    pub first_token: Duration,
    /// From one word to the next.
    pub idle: Duration,
    /// From the moment at which it may run to its end.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(60),
            first_token: Duration::from_secs(120),
            idle: Duration::from_secs(120),
            total: Duration::from_secs(60 * 60),
        }
    }
}

/// The table as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TurnsTable {
    running_max: Option<u64>,
    output_bytes_max: Option<u64>,
    shutdown_grace_ms: Option<u64>,
    stop_grace_ms: Option<u64>,
    schedule_late_max_ms: Option<u64>,
    connect_timeout_ms: Option<u64>,
    first_token_timeout_ms: Option<u64>,
    idle_timeout_ms: Option<u64>,
    total_timeout_ms: Option<u64>,
}

/// A key whose value is outside its bounds: key, value, least, most.
pub(super) type OutOfBounds = (&'static str, u64, u64, u64);

/// Longest time-out in milliseconds: a week, for agents that work on their own.
const TIMEOUT_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1_000;

/// Longest grace in milliseconds: supervisors kill after a few minutes at most.
const GRACE_MS_MAX: u64 = 10 * 60 * 1_000;

/// The time-outs' keys, which a provider's table can have as well.
const TIMEOUT_KEYS: [&str; 4] =
    ["connect_timeout_ms", "first_token_timeout_ms", "idle_timeout_ms", "total_timeout_ms"];

impl TurnsTable {
    pub(super) fn checked(self) -> Result<TurnConfig, OutOfBounds> {
        let defaults = TurnConfig::default();
        let millis = |key, value, most, default| {
            bounded(key, value, 0, most).map(|value| value.map_or(default, Duration::from_millis))
        };
        let size = |key, value, most: usize, default: usize| {
            let value = bounded(key, value, 1, most as u64)?;
            Ok(value.map_or(default, |value| usize::try_from(value).unwrap_or(most)))
        };
        let timeouts = [
            self.connect_timeout_ms,
            self.first_token_timeout_ms,
            self.idle_timeout_ms,
            self.total_timeout_ms,
        ];
        Ok(TurnConfig {
            running_max: size(
                "turns.running_max",
                self.running_max,
                limits::TURNS_RUNNING_MAX,
                defaults.running_max,
            )?,
            output_bytes_max: size(
                "turns.output_bytes_max",
                self.output_bytes_max,
                limits::OUTPUT_BYTES_MAX,
                defaults.output_bytes_max,
            )?,
            shutdown_grace: millis(
                "turns.shutdown_grace_ms",
                self.shutdown_grace_ms,
                GRACE_MS_MAX,
                defaults.shutdown_grace,
            )?,
            stop_grace: millis(
                "turns.stop_grace_ms",
                self.stop_grace_ms,
                GRACE_MS_MAX,
                defaults.stop_grace,
            )?,
            schedule_late: millis(
                "turns.schedule_late_max_ms",
                self.schedule_late_max_ms,
                TIMEOUT_MS_MAX,
                defaults.schedule_late,
            )?,
            timeouts: set_timeouts(timeouts, defaults.timeouts)?,
            of_provider: BTreeMap::new(),
        })
    }
}

/// Takes the time-outs out of a provider's table, which is then the provider's alone.
pub(super) fn take_timeouts(
    table: &mut toml::Table,
    defaults: Timeouts,
) -> Result<Timeouts, OutOfBounds> {
    let mut values = [None; 4];
    for (value, key) in values.iter_mut().zip(TIMEOUT_KEYS) {
        let Some(found) = table.remove(key) else { continue };
        let ms = found.as_integer().and_then(|ms| u64::try_from(ms).ok());
        *value = Some(ms.ok_or((key, 0, 1, TIMEOUT_MS_MAX))?);
    }
    set_timeouts(values, defaults)
}

fn set_timeouts(values: [Option<u64>; 4], defaults: Timeouts) -> Result<Timeouts, OutOfBounds> {
    let Timeouts { connect, first_token, idle, total } = defaults;
    let mut set = [connect, first_token, idle, total];
    for ((set, value), key) in set.iter_mut().zip(values).zip(TIMEOUT_KEYS) {
        if let Some(ms) = bounded(key, value, 1, TIMEOUT_MS_MAX)? {
            *set = Duration::from_millis(ms);
        }
    }
    let [connect, first_token, idle, total] = set;
    Ok(Timeouts { connect, first_token, idle, total })
}

pub(super) fn bounded(
    key: &'static str,
    value: Option<u64>,
    least: u64,
    most: u64,
) -> Result<Option<u64>, OutOfBounds> {
    match value {
        Some(value) if !(least..=most).contains(&value) => Err((key, value, least, most)),
        value => Ok(value),
    }
}
