//! What becomes of old events: archived or dropped, from which age or size on.

use std::time::Duration;

use serde::Deserialize;

/// The `[retention]` table; without it everything stays in log.db for good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retention {
    /// What becomes of what is too old or too much.
    pub action: RetentionAction,
    /// From which age on.
    pub age_max: Option<Duration>,
    /// From how many bytes on: of log.db for `archive`, of log.db and the archive for `drop`.
    pub bytes_max: Option<u64>,
    /// Between two looks.
    pub check_every: Duration,
    /// Bytes of events in a segment file, before they are packed.
    pub segment_bytes: u64,
}

/// What becomes of old events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetentionAction {
    /// They move into compressed segment files, and read as before.
    Archive,
    /// Chats that are finished are deleted; what is left of the old events is archived.
    Drop,
}

/// The table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetentionTable {
    action: RetentionAction,
    max_age_days: Option<f64>,
    max_log_mib: Option<u64>,
    check_every_s: Option<u64>,
    segment_kib: Option<u64>,
}

/// Bytes of a segment unless the file says otherwise: dropping its rows keeps appends waiting for
/// some dozens of milliseconds, and a year of a busy server is some thousand files.
pub const SEGMENT_BYTES_DEFAULT: u64 = 8 << 20;

/// Most days of an age: a hundred years.
const AGE_DAYS_MAX: f64 = 36_525.0;

impl RetentionTable {
    /// Checks the table.
    ///
    /// # Errors
    ///
    /// What is wrong and what to write instead.
    pub(super) fn checked(&self) -> Result<Retention, String> {
        let bounded = |key: &str, value: Option<u64>, least, most, default| match value {
            None => Ok(default),
            Some(value) if (least..=most).contains(&value) => Ok(value),
            Some(value) => Err(format!("{key} = {value}; use {least} to {most}")),
        };
        if self.max_age_days.is_none() && self.max_log_mib.is_none() {
            return Err("neither max_age_days nor max_log_mib; say one or both".to_owned());
        }
        let age_max = match self.max_age_days {
            None => None,
            Some(days) if days > 0.0 && days <= AGE_DAYS_MAX => {
                Some(Duration::from_secs_f64(days * 86_400.0))
            }
            Some(days) => {
                return Err(format!("max_age_days = {days}; use more than 0, up to 36525"));
            }
        };
        let mib = self.max_log_mib.map(|mib| bounded("max_log_mib", Some(mib), 1, 1 << 30, 0));
        let check_every = bounded("check_every_s", self.check_every_s, 1, 86_400, 60)?;
        let default = SEGMENT_BYTES_DEFAULT >> 10;
        let segment_kib = bounded("segment_kib", self.segment_kib, 16, 64 << 10, default)?;
        Ok(Retention {
            action: self.action,
            age_max,
            bytes_max: mib.transpose()?.map(|mib| mib << 20),
            check_every: Duration::from_secs(check_every),
            segment_bytes: segment_kib << 10,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Retention, String> {
        let table: RetentionTable = toml::from_str(text).map_err(|error| error.to_string())?;
        table.checked()
    }

    #[test]
    fn a_table_says_what_and_from_where_on() {
        let found = parse("action = 'archive'\nmax_age_days = 30").unwrap();
        let expected = Retention {
            action: RetentionAction::Archive,
            age_max: Some(Duration::from_secs(30 * 86_400)),
            bytes_max: None,
            check_every: Duration::from_secs(60),
            segment_bytes: 8 << 20,
        };
        assert_eq!(found, expected);
        let found = parse(
            "action = 'drop'\nmax_log_mib = 2\nmax_age_days = 0.5\ncheck_every_s = 5\n\
             segment_kib = 64",
        )
        .unwrap();
        assert_eq!((found.action, found.bytes_max), (RetentionAction::Drop, Some(2 << 20)));
        assert_eq!(found.age_max, Some(Duration::from_secs(43_200)));
        assert_eq!((found.check_every.as_secs(), found.segment_bytes), (5, 64 << 10));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |text: &str, part: &str| {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        refused("max_age_days = 3", "action");
        refused("action = 'archive'", "neither max_age_days nor max_log_mib");
        refused("action = 'drop'\nmax_age_days = 0", "use more than 0");
        refused("action = 'drop'\nmax_age_days = nan", "use more than 0");
        refused("action = 'burn'\nmax_age_days = 1", "burn");
        refused("action = 'archive'\nmax_log_mib = 0", "use 1 to");
        refused("action = 'archive'\nmax_log_mib = 9\nsegment_kib = 1", "segment_kib = 1");
    }
}
