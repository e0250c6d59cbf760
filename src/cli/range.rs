//! What a person may type where a range of seqs, an instant or a speed is asked for.

use std::str::FromStr;

use scrollback_schema::{Millis, Seq};

/// Seqs from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeqRange {
    pub(crate) first: Seq,
    pub(crate) last: Seq,
}

impl SeqRange {
    /// Every seq.
    pub(crate) const ALL: SeqRange = SeqRange { first: Seq::ZERO, last: Seq::MAX };
}

/// Why a text is no range of seqs.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("type a seq such as 42, or a range such as 42..99, 42.. or ..99 (both ends included)")]
pub(crate) struct SeqRangeError;

impl FromStr for SeqRange {
    type Err = SeqRangeError;
    fn from_str(text: &str) -> Result<SeqRange, SeqRangeError> {
        let seq = |text: &str| text.parse::<Seq>().map_err(|_| SeqRangeError);
        let Some((first, last)) = text.split_once("..") else {
            let only = seq(text)?;
            return Ok(SeqRange { first: only, last: only });
        };
        let range = SeqRange {
            first: if first.is_empty() { Seq::ZERO } else { seq(first)? },
            last: if last.is_empty() { Seq::MAX } else { seq(last)? },
        };
        if range.first > range.last { Err(SeqRangeError) } else { Ok(range) }
    }
}

/// An instant, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// On the clock of the log.
    At(Millis),
    /// So many milliseconds before now.
    Ago(i64),
}

impl When {
    /// The instant, given the present one.
    pub(crate) fn resolve(self, now: Millis) -> Millis {
        match self {
            When::At(at) => at,
            When::Ago(ms) => now.plus_ms(-ms),
        }
    }
}

/// Why a text is no instant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "type an instant such as 2026-11-22T20:52:00Z, a day such as 2026-11-22 (UTC), \
             or an age such as 90s, 15m, 2h or 3d"
)]
pub(crate) struct WhenError;

impl FromStr for When {
    type Err = WhenError;
    fn from_str(text: &str) -> Result<When, WhenError> {
        if let Ok(at) = Millis::parse(text) {
            return Ok(When::At(at));
        }
        if let Ok(at) = Millis::parse(&format!("{text}T00:00:00Z")) {
            return Ok(When::At(at));
        }
        let unit_ms = match text.as_bytes().last() {
            Some(b's') => 1_000,
            Some(b'm') => 60_000,
            Some(b'h') => 3_600_000,
            Some(b'd') => 86_400_000,
            _ => return Err(WhenError),
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(WhenError);
        }
        let n: i64 = digits.parse().map_err(|_| WhenError)?;
        n.checked_mul(unit_ms).map(When::Ago).ok_or(WhenError)
    }
}

/// How much faster than it happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Speed {
    /// So many times as fast.
    Times(f64),
    /// Without any wait.
    Max,
}

/// Why a text is no speed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("type a factor such as 1x, 4x or 0.5x, or max for no waits at all")]
pub(crate) struct SpeedError;

impl FromStr for Speed {
    type Err = SpeedError;
    fn from_str(text: &str) -> Result<Speed, SpeedError> {
        if text == "max" {
            return Ok(Speed::Max);
        }
        let factor: f64 = text.strip_suffix('x').unwrap_or(text).parse().map_err(|_| SpeedError)?;
        if factor.is_finite() && factor > 0.0 { Ok(Speed::Times(factor)) } else { Err(SpeedError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(n: u64) -> Seq {
        Seq::new(n).unwrap()
    }

    #[test]
    fn ranges_of_seqs() {
        let check = |text: &str, expected: Option<(Seq, Seq)>| {
            let found = text.parse::<SeqRange>().ok().map(|range| (range.first, range.last));
            assert_eq!(found, expected, "{text}");
        };
        check("42", Some((seq(42), seq(42))));
        check("42..99", Some((seq(42), seq(99))));
        check("42..", Some((seq(42), Seq::MAX)));
        check("..99", Some((Seq::ZERO, seq(99))));
        check("..", Some((Seq::ZERO, Seq::MAX)));
        for bad in ["", "x", "-1", "9..1", "1...2", "1..x", "9223372036854775808"] {
            check(bad, None);
        }
    }

    #[test]
    fn instants() {
        let check = |text: &str, expected: Option<When>| {
            assert_eq!(text.parse::<When>().ok(), expected, "{text}");
        };
        check("1970-01-01T00:00:01Z", Some(When::At(Millis::new(1_000))));
        check("1970-01-02", Some(When::At(Millis::new(86_400_000))));
        check("90s", Some(When::Ago(90_000)));
        check("3d", Some(When::Ago(259_200_000)));
        for bad in ["", "m", "-5m", "yesterday", "5 m", "99999999999999999d"] {
            check(bad, None);
        }
        assert_eq!(When::Ago(500).resolve(Millis::new(2_000)), Millis::new(1_500));
    }

    #[test]
    fn speeds() {
        let check = |text: &str, expected: Option<Speed>| {
            assert_eq!(text.parse::<Speed>().ok(), expected, "{text}");
        };
        check("4x", Some(Speed::Times(4.0)));
        check("0.5", Some(Speed::Times(0.5)));
        check("max", Some(Speed::Max));
        for bad in ["", "0x", "-1x", "fast", "NaN", "inf"] {
            check(bad, None);
        }
    }
}
