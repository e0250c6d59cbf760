//! How fast each caller may go: a bucket of tokens a caller, for requests and for events.
//!
//! A bucket fills with time and is emptied by what the caller does. What is left decides, not what
//! is asked for: a call larger than the bucket is let in when the bucket is not empty, and is paid
//! for afterwards. Who is a caller is `admission`'s to say; a caller that was forgotten begins with
//! a full bucket, so memory is bounded at the price of a little leniency.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use scrollback_schema::limits::RATED_CALLERS_MAX;

/// One rate, and how far each caller is within it.
#[derive(Debug)]
pub(crate) struct Rate<K: Hash + Eq> {
    tokens_per_s: f64,
    tokens_max: f64,
    buckets: Mutex<LruCache<K, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Below zero after a call that was larger than what was left.
    tokens: f64,
    /// When this was so.
    at: Instant,
}

impl<K: Hash + Eq> Rate<K> {
    /// A rate whose allowance of `burst` can be saved up.
    pub(crate) fn new(per_s: u64, burst: Duration) -> Rate<K> {
        let n_callers = NonZeroUsize::new(RATED_CALLERS_MAX).expect("the limit is not zero");
        let tokens_per_s = per_s as f64;
        Rate {
            tokens_per_s,
            tokens_max: (tokens_per_s * burst.as_secs_f64()).max(1.0),
            buckets: Mutex::new(LruCache::new(n_callers)),
        }
    }

    /// Takes `n` tokens of a caller; if there are none left, nothing is taken and the time is told
    /// after which there are.
    pub(crate) fn take(&self, caller: K, n: u64, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket =
            buckets.get_or_insert_mut(caller, || Bucket { tokens: self.tokens_max, at: now });
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * self.tokens_per_s).min(self.tokens_max);
        bucket.at = bucket.at.max(now);
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / self.tokens_per_s));
        }
        bucket.tokens -= n as f64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_is_emptied_and_fills_with_time() {
        let (rate, start) = (Rate::new(2, 2 * SECOND), monotonic());
        for _ in 0..4 {
            assert_eq!(rate.take("a", 1, start), Ok(()));
        }
        assert_eq!(rate.take("a", 1, start), Err(SECOND / 2));
        assert_eq!(rate.take("b", 1, start), Ok(()), "another caller has a bucket of its own");
        assert_eq!(rate.take("a", 1, start + SECOND / 2), Ok(()));
        assert!(rate.take("a", 1, start + SECOND / 2).is_err());
        for _ in 0..4 {
            assert_eq!(rate.take("a", 1, start + 100 * SECOND), Ok(()), "no more is saved up");
        }
        assert!(rate.take("a", 1, start + 100 * SECOND).is_err());
    }

    #[test]
    fn a_large_call_is_let_in_once_and_paid_for_afterwards() {
        let (rate, start) = (Rate::new(10, SECOND), monotonic());
        assert_eq!(rate.take("a", 30, start), Ok(()));
        let wait = rate.take("a", 1, start).unwrap_err();
        assert_eq!(wait, Duration::from_millis(2_100));
        assert_eq!(rate.take("a", 1, start + wait), Ok(()));
    }

    #[test]
    fn no_more_callers_are_remembered_than_the_limit_says() {
        let (rate, start) = (Rate::new(1, SECOND), monotonic());
        for caller in 0..RATED_CALLERS_MAX + 1_000 {
            assert_eq!(rate.take(caller, 1, start), Ok(()));
        }
        assert_eq!(rate.buckets.lock().unwrap().len(), RATED_CALLERS_MAX);
    }
}
