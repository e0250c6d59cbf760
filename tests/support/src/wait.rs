//! Waiting for a state, never for a duration; the only place of the tests that sleeps.

use std::future::Future;
use std::time::{Duration, Instant};

/// How long a test waits for anything: far above what a slow machine needs.
pub const DEADLINE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(2);

/// Asks again and again until there is an answer, and returns it.
///
/// # Panics
///
/// If [`DEADLINE`] passes first; `what` says what was waited for.
#[track_caller]
pub fn wait_until<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(started.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain for {what}");
        std::thread::sleep(POLL);
    }
}

/// As [`wait_until`], for an answer that is awaited.
///
/// # Panics
///
/// If [`DEADLINE`] passes first.
pub async fn eventually<T, F>(what: &str, mut answer: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let poll = async {
        loop {
            if let Some(answer) = answer().await {
                return answer;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    within(what, poll).await
}

/// Awaits a future that ends soon or never.
///
/// # Panics
///
/// If [`DEADLINE`] passes first.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited {DEADLINE:?} in vain for {what}"),
    }
}

/// Lets a process live for so long before the caller kills it: the moment is the subject of such a
/// test, and not something that it waits for.
pub async fn let_live(lifetime: Duration) {
    tokio::time::sleep(lifetime).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_the_wait() {
        let mut n_asked = 0;
        let answer = wait_until("a third question", || {
            n_asked += 1;
            (n_asked == 3).then_some("yes")
        });
        assert_eq!((answer, n_asked), ("yes", 3));
    }
}
