//! What a process uses, as Linux tells it, and what figures are made of: percentiles.

use std::fmt;
use std::time::Duration;

/// What a process uses at the moment.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Open files, sockets among them.
    pub n_open_files: usize,
}

/// What a process uses; nothing if it has ended, whoever is still to be told.
pub fn usage(pid: u32) -> Option<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // One that has ended has no memory.
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    let n_open_files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    Some(Usage { memory_bytes: kib << 10, n_open_files })
}

/// Bytes of memory that a process has in use.
///
/// # Panics
///
/// If there is no such process.
pub fn memory_bytes(pid: u32) -> u64 {
    usage(pid).expect("it runs").memory_bytes
}

/// Times that were measured.
#[derive(Debug, Default, Clone)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds one.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Adds those of another.
    pub fn extend(&mut self, other: &Times) {
        self.0.extend_from_slice(&other.0);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The time within which `percent` of them lie; zero if there is none.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut times = self.0.clone();
        times.sort_unstable();
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).copied().unwrap_or_default()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |percent| self.percentile(percent).as_secs_f64() * 1_000.0;
        write!(f, "p50 {:.1} ms, p99 {:.1} ms", ms(50), ms(99))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let mut times = Times::default();
        assert_eq!(times.percentile(50), Duration::ZERO);
        (1..=100).rev().for_each(|ms| times.add(Duration::from_millis(ms)));
        assert_eq!(times.percentile(0), Duration::from_millis(1));
        assert_eq!(times.percentile(50), Duration::from_millis(51));
        assert_eq!(times.percentile(99), Duration::from_millis(100));
        assert_eq!(times.to_string(), "p50 51.0 ms, p99 100.0 ms");
    }

    #[test]
    fn a_process_uses_memory_and_files() {
        let used = usage(std::process::id()).unwrap();
        assert!(used.memory_bytes > 1 << 20 && used.n_open_files > 2, "{used:?}");
    }

    #[test]
    fn a_process_that_has_ended_uses_nothing() {
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        let pid = ended.id();
        // It is still known to the system until somebody asks what came of it.
        crate::wait::wait_until("its end", || usage(pid).is_none().then_some(()));
        ended.wait().unwrap();
        assert!(usage(pid).is_none());
    }
}
