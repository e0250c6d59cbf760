//! When a schedule runs next, and what it has missed: pure, the time is handed in.
//!
//! Cron expressions have five fields and a time zone of the IANA database, which the program brings
//! along. Where clocks go forward, a run at a fixed time that does not exist comes right after the
//! gap; where they go back, it comes once. An expression that names every hour runs by the clock on
//! the wall, in both of the hours that are the same.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use scrollback_projections::schedule::Schedule;
use scrollback_schema::Millis;
use scrollback_schema::event::Timing;
use scrollback_schema::limits::{
    SCHEDULE_EVERY_MS_MAX, SCHEDULE_EVERY_MS_MIN, SCHEDULE_MISSED_MAX,
};

/// Why a schedule would never run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// The expression is none.
    #[error("cron expression is not understood: {reason}")]
    Expression {
        /// What its parser says.
        reason: String,
    },
    /// The time zone is unknown.
    #[error("time zone {name:?} is not in the IANA database; use a name such as Europe/Lisbon")]
    TimeZone {
        /// Its name.
        name: String,
    },
    /// No day is like that.
    #[error("cron expression names no time that ever comes")]
    Never,
    /// The interval is too short or too long.
    #[error("every_ms is {every_ms}; use {SCHEDULE_EVERY_MS_MIN} to {SCHEDULE_EVERY_MS_MAX}")]
    Interval {
        /// What it is.
        every_ms: u64,
    },
}

/// A timing that was understood.
#[derive(Debug, Clone)]
pub(super) enum Rhythm {
    /// By the calendar of a zone.
    Cron(Box<Cron>, TimeZone),
    /// Again and again after so many milliseconds.
    Every(u64),
}

/// A run that is due, or will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When.
    pub at: Millis,
    /// Runs before it that were due after the last one, and did not come.
    pub n_missed: u64,
}

impl Rhythm {
    /// Understands a timing.
    ///
    /// # Errors
    ///
    /// [`TimingError`], but for `Never`: whether a time ever comes depends on when that is asked.
    pub(super) fn of(timing: &Timing) -> Result<Rhythm, TimingError> {
        match timing {
            Timing::Interval { every_ms } => {
                let bounds = SCHEDULE_EVERY_MS_MIN..=SCHEDULE_EVERY_MS_MAX;
                match bounds.contains(every_ms) {
                    true => Ok(Rhythm::Every(*every_ms)),
                    false => Err(TimingError::Interval { every_ms: *every_ms }),
                }
            }
            Timing::Cron { expression, time_zone } => {
                let parser = CronParser::builder()
                    .seconds(Seconds::Disallowed)
                    .year(Year::Disallowed)
                    .build();
                let cron = parser
                    .parse(expression)
                    .map_err(|error| TimingError::Expression { reason: error.to_string() })?;
                let zone = TimeZone::get(time_zone)
                    .map_err(|_| TimingError::TimeZone { name: time_zone.clone() })?;
                Ok(Rhythm::Cron(Box::new(cron), zone))
            }
        }
    }

    /// The first time after this one; `None` if there is none.
    pub(super) fn next_after(&self, after: Millis) -> Option<Millis> {
        match self {
            Rhythm::Every(every_ms) => {
                let next = after.get().checked_add(i64::try_from(*every_ms).ok()?)?;
                Some(Millis::new(next))
            }
            Rhythm::Cron(cron, zone) => {
                let next = cron.find_next_occurrence(&zoned(after, zone)?, false).ok()?;
                Some(Millis::new(next.timestamp().as_millisecond()))
            }
        }
    }

    /// The run that comes first after `after`; of several that are due by now, the last one.
    pub(super) fn due(&self, after: Millis, now: Millis) -> Option<Due> {
        let first = self.next_after(after)?;
        if first > now {
            return Some(Due { at: first, n_missed: 0 });
        }
        match self {
            Rhythm::Every(every_ms) => {
                let n_missed = now.since_ms(first) / every_ms;
                let at = first.get() + i64::try_from(n_missed * every_ms).ok()?;
                Some(Due { at: Millis::new(at), n_missed })
            }
            Rhythm::Cron(cron, zone) => {
                let last = cron.find_previous_occurrence(&zoned(now, zone)?, true).ok()?;
                let last = Millis::new(last.timestamp().as_millisecond()).max(first);
                let (mut at, mut n_missed) = (first, 0);
                while at < last && n_missed < SCHEDULE_MISSED_MAX {
                    at = self.next_after(at)?;
                    n_missed += 1;
                }
                Some(Due { at: last, n_missed })
            }
        }
    }
}

/// When a schedule runs next, or ought to have; `None` while it is paused, or if no time ever
/// comes.
pub fn next_run(schedule: &Schedule, now: Millis) -> Option<Due> {
    if schedule.paused {
        return None;
    }
    Rhythm::of(&schedule.timing).ok()?.due(schedule.runs_after, now)
}

/// Whether a timing can be kept.
///
/// # Errors
///
/// [`TimingError`].
pub(super) fn check(timing: &Timing, now: Millis) -> Result<(), TimingError> {
    Rhythm::of(timing)?.next_after(now).map(|_| ()).ok_or(TimingError::Never)
}

fn zoned(at: Millis, zone: &TimeZone) -> Option<Zoned> {
    Some(Timestamp::from_millisecond(at.get()).ok()?.to_zoned(zone.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        Millis::new(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn cron(expression: &str, time_zone: &str) -> Timing {
        Timing::Cron { expression: expression.to_owned(), time_zone: time_zone.to_owned() }
    }

    /// The times after one, in UTC to the minute, `|` between them.
    fn check_times(timing: &Timing, after: &str, expected: &str) {
        let rhythm = Rhythm::of(timing).unwrap();
        let n = expected.split(" | ").count();
        let mut after = at(after);
        let mut found = Vec::new();
        for _ in 0..n {
            after = rhythm.next_after(after).unwrap();
            let text = after.to_string();
            found.push(text.strip_suffix(":00.000Z").unwrap_or(&text).to_owned());
        }
        assert_eq!(found.join(" | "), expected, "{timing:?}");
    }

    #[test]
    fn times_come_by_the_calendar_of_their_zone() {
        check_times(
            &cron("0 9 * * 1-5", "Europe/Lisbon"),
            "2026-11-26T09:00:00Z",
            "2026-11-27T09:00 | 2026-11-30T09:00 | 2026-12-01T09:00",
        );
        check_times(
            &cron("30 6 1 * *", "Asia/Kolkata"),
            "2026-11-26T00:00:00Z",
            "2026-12-01T01:00 | 2027-01-01T01:00",
        );
        check_times(&cron("0 0 29 2 *", "UTC"), "2026-01-01T00:00:00Z", "2028-02-29T00:00");
        check_times(&cron("@daily", "UTC"), "2026-01-01T00:00:00Z", "2026-01-02T00:00");
        check_times(
            &cron("59 23 L * *", "America/New_York"),
            "2026-02-01T12:00:00Z",
            "2026-03-01T04:59 | 2026-04-01T03:59",
        );
    }

    #[test]
    fn a_time_in_the_gap_comes_right_after_it() {
        // Berlin goes from 02:00 to 03:00 on 2026-03-29, at 01:00 UTC.
        check_times(
            &cron("30 2 * * *", "Europe/Berlin"),
            "2026-03-27T12:00:00Z",
            "2026-03-28T01:30 | 2026-03-29T01:00 | 2026-03-30T00:30",
        );
        check_times(
            &cron("*/30 * * * *", "Europe/Berlin"),
            "2026-03-29T00:00:00Z",
            "2026-03-29T00:30 | 2026-03-29T01:00 | 2026-03-29T01:30",
        );
        // Lord Howe Island goes forward by half an hour only, at 15:30 UTC.
        check_times(
            &cron("15 2 * * *", "Australia/Lord_Howe"),
            "2026-10-02T15:45:00Z",
            "2026-10-03T15:30 | 2026-10-04T15:15",
        );
    }

    #[test]
    fn a_time_that_comes_twice_runs_once() {
        // Berlin goes from 03:00 back to 02:00 on 2026-10-25, at 01:00 UTC.
        check_times(
            &cron("30 2 * * *", "Europe/Berlin"),
            "2026-10-24T12:00:00Z",
            "2026-10-25T00:30 | 2026-10-26T01:30",
        );
        check_times(
            &cron("*/30 * * * *", "Europe/Berlin"),
            "2026-10-25T00:00:00Z",
            "2026-10-25T00:30 | 2026-10-25T01:00 | 2026-10-25T01:30 | 2026-10-25T02:00",
        );
        check_times(
            &cron("0 3 * * *", "Europe/Berlin"),
            "2026-10-24T12:00:00Z",
            "2026-10-25T02:00 | 2026-10-26T02:00",
        );
    }

    #[test]
    fn of_several_that_are_due_the_last_one_counts() {
        let every = Rhythm::of(&Timing::Interval { every_ms: 60_000 }).unwrap();
        let due = |rhythm: &Rhythm, after: &str, now: &str| {
            let due = rhythm.due(at(after), at(now)).unwrap();
            (due.at, due.n_missed)
        };
        let (noon, later) = ("2026-11-26T12:00:00Z", "2026-11-26T12:05:30Z");
        assert_eq!(due(&every, noon, noon), (at("2026-11-26T12:01:00Z"), 0));
        assert_eq!(due(&every, noon, "2026-11-26T12:01:00Z"), (at("2026-11-26T12:01:00Z"), 0));
        assert_eq!(due(&every, noon, later), (at("2026-11-26T12:05:00Z"), 4));
        let cron = Rhythm::of(&cron("*/2 * * * *", "UTC")).unwrap();
        assert_eq!(due(&cron, noon, noon), (at("2026-11-26T12:02:00Z"), 0));
        assert_eq!(due(&cron, noon, later), (at("2026-11-26T12:04:00Z"), 1));
        // Over the hour that comes twice.
        let daily = Rhythm::of(&self::cron("30 2 * * *", "Europe/Berlin")).unwrap();
        let (before, after) = ("2026-10-23T12:00:00Z", "2026-10-25T12:00:00Z");
        assert_eq!(due(&daily, before, after), (at("2026-10-25T00:30:00Z"), 1));
        let gap = ("2026-03-27T12:00:00Z", "2026-03-29T12:00:00Z");
        assert_eq!(due(&daily, gap.0, gap.1), (at("2026-03-29T01:00:00Z"), 1));
    }

    #[test]
    fn a_year_of_minutes_is_counted_up_to_the_bound() {
        let minutely = Rhythm::of(&cron("* * * * *", "UTC")).unwrap();
        let due = minutely.due(at("2025-01-01T00:00:00Z"), at("2026-01-01T00:00:30Z")).unwrap();
        assert_eq!(due, Due { at: at("2026-01-01T00:00:00Z"), n_missed: SCHEDULE_MISSED_MAX });
    }

    #[test]
    fn what_is_no_timing_is_said() {
        let refused = |timing: &Timing, part: &str| {
            let error = check(timing, at("2026-01-01T00:00:00Z")).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        refused(&cron("61 * * * *", "UTC"), "not understood");
        refused(&cron("* * * *", "UTC"), "not understood");
        refused(&cron("0 * * * * *", "UTC"), "not understood");
        refused(&cron("* * * * *", "Mars/Olympus"), "Mars/Olympus");
        refused(&cron("0 0 30 2 *", "UTC"), "ever comes");
        refused(&Timing::Interval { every_ms: 999 }, "use 1000 to");
        refused(&Timing::Interval { every_ms: u64::MAX }, "use 1000 to");
    }
}
