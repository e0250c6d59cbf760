//! What is measured every few seconds, and what it has to be like at the end: flat.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scrollback_test_support::resources::usage;
use tokio::task::JoinHandle;

use super::load::Tally;

/// Between two samples.
const EVERY: Duration = Duration::from_secs(10);

/// Bytes that the WALs of the log and of all views together may have: each is started anew at
/// 128 MiB, and grows until its readers let it.
const WAL_BYTES_MAX: u64 = 512 << 20;

/// One sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) at_s: f64,
    pub(super) memory: u64,
    pub(super) n_files: usize,
    pub(super) wal: u64,
    pub(super) log: u64,
    pub(super) events_per_s: f64,
    pub(super) append_ms: [f64; 2],
    pub(super) delivery_ms: [f64; 2],
    pub(super) n_cuts: u64,
}

/// All samples of a run, and when the server was away.
#[derive(Debug, Default)]
pub(super) struct Samples {
    pub(super) samples: Vec<Sample>,
    /// When it was back, in seconds, and how long it was away.
    pub(super) restarts: Vec<(f64, Duration)>,
}

#[derive(Debug)]
struct State {
    pid: u32,
    samples: Samples,
}

/// Takes samples until it is stopped.
pub(super) struct Sampler {
    state: Arc<Mutex<State>>,
    tally: Arc<Tally>,
    task: JoinHandle<()>,
}

impl Sampler {
    pub(super) fn start(tally: &Arc<Tally>, pid: u32, data: &Path) -> Sampler {
        let state = Arc::new(Mutex::new(State { pid, samples: Samples::default() }));
        let task = tokio::spawn({
            let (state, tally, data) = (Arc::clone(&state), Arc::clone(tally), data.to_owned());
            async move {
                let mut ticks = tokio::time::interval(EVERY);
                ticks.tick().await;
                tally.take();
                loop {
                    ticks.tick().await;
                    let mut state = state.lock().expect("nobody panics while it holds this");
                    if let Some(sample) = sample(&tally, state.pid, &data) {
                        state.samples.samples.push(sample);
                    }
                }
            }
        });
        Sampler { state, tally: Arc::clone(tally), task }
    }

    /// Another process serves.
    pub(super) fn restarted(&self, pid: u32, away: Duration) {
        let mut state = self.state.lock().expect("nobody panics while it holds this");
        state.pid = pid;
        state.samples.restarts.push((self.tally.began.elapsed().as_secs_f64(), away));
    }

    pub(super) async fn stop(self) -> Samples {
        self.task.abort();
        let _ = self.task.await;
        let mut state = self.state.lock().expect("nobody panics while it holds this");
        std::mem::take(&mut state.samples)
    }
}

/// A sample of a process that runs; one that was just killed has none.
fn sample(tally: &Tally, pid: u32, data: &Path) -> Option<Sample> {
    let usage = usage(pid)?;
    let counted = tally.take();
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    let both = |times: &scrollback_test_support::resources::Times| {
        [ms(times.percentile(50)), ms(times.percentile(99))]
    };
    Some(Sample {
        at_s: tally.began.elapsed().as_secs_f64(),
        memory: usage.memory_bytes,
        n_files: usage.n_open_files,
        wal: bytes_of(data, "-wal"),
        log: bytes_of(data, "log.db"),
        events_per_s: counted.n_events as f64 / EVERY.as_secs_f64(),
        append_ms: both(&counted.appends),
        delivery_ms: both(&counted.deliveries),
        n_cuts: counted.n_cuts,
    })
}

/// Bytes of the files of a data directory whose name ends so.
fn bytes_of(data: &Path, end: &str) -> u64 {
    let dirs = [data.to_owned(), data.join("views")];
    let entries = dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    let matching = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(end));
    matching.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}

/// The middle one of numbers; 0 if there is none.
fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

/// How much a number grows a second, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let both: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let own: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if own == 0.0 { 0.0 } else { both / own }
}

impl Samples {
    /// Those of one quarter of the run, counted from 0.
    fn quarter(&self, n: usize) -> &[Sample] {
        let len = self.samples.len();
        &self.samples[len * n / 4..len * (n + 1) / 4]
    }

    /// Whether everything that has to be flat is; what is not is said.
    pub(super) fn verdict(&self) -> bool {
        let (second, last) = (self.quarter(1), self.quarter(3));
        if second.is_empty() || last.is_empty() {
            println!("soak: too short for a verdict");
            return true;
        }
        let of = |samples: &[Sample], get: fn(&Sample) -> f64| median(samples.iter().map(get));
        // Once caches are full, a quarter of the run may add a tenth and a little.
        let points: Vec<_> = last[last.len() / 3..]
            .iter()
            .map(|sample| (sample.at_s, sample.memory as f64))
            .collect();
        let growth = slope(&points) * points.last().map_or(0.0, |end| end.0 - points[0].0);
        let memory = of(last, |sample| sample.memory as f64);
        let files = |samples: &[Sample]| samples.iter().map(|s| s.n_files).max().unwrap_or(0);
        let wal = self.samples.iter().map(|sample| sample.wal).max().unwrap_or(0);
        let p99 = |get: fn(&Sample) -> f64| (of(second, get), of(last, get));
        let (append, delivery) = (p99(|s| s.append_ms[1]), p99(|s| s.delivery_ms[1]));
        let is_stable = |(before, after): (f64, f64)| after <= 2.0 * before + 50.0;
        let checks = [
            ("memory is flat", growth < memory / 10.0 + (16 << 20) as f64),
            ("open files are flat", files(last) <= files(second) + 16),
            ("WALs are bounded", wal <= WAL_BYTES_MAX),
            ("p99 of an append is stable", is_stable(append)),
            ("p99 of a delivery is stable", is_stable(delivery)),
        ];
        for (what, holds) in checks {
            println!("soak: {what}: {}", if holds { "yes" } else { "NO" });
        }
        checks.iter().all(|(_, holds)| *holds)
    }

    /// One line of figures.
    pub(super) fn summary(&self) -> String {
        let of = |get: fn(&Sample) -> f64| median(self.samples.iter().map(get));
        let most = |get: fn(&Sample) -> u64| self.samples.iter().map(get).max().unwrap_or(0);
        let away = median(self.restarts.iter().map(|(_, away)| away.as_secs_f64()));
        format!(
            "medians: {:.0} events a second, memory {:.0} MiB (most {}), {:.0} files, append p50 \
             {:.1} ms and p99 {:.1} ms, delivery p50 {:.1} ms and p99 {:.1} ms, away {away:.2} s \
             after a kill; WALs at most {} MiB, log {} MiB",
            of(|s| s.events_per_s),
            of(|s| s.memory as f64 / f64::from(1 << 20)),
            most(|s| s.memory) >> 20,
            of(|s| s.n_files as f64),
            of(|s| s.append_ms[0]),
            of(|s| s.append_ms[1]),
            of(|s| s.delivery_ms[0]),
            of(|s| s.delivery_ms[1]),
            most(|s| s.wal) >> 20,
            most(|s| s.log) >> 20,
        )
    }

    /// All samples, a line each.
    pub(super) fn csv(&self) -> String {
        let mut csv = String::from(
            "at_s,memory_bytes,open_files,wal_bytes,log_bytes,events_per_s,append_p50_ms,\
             append_p99_ms,delivery_p50_ms,delivery_p99_ms,n_cuts,n_restarts\n",
        );
        for s in &self.samples {
            let n_restarts = self.restarts.iter().filter(|(at_s, _)| *at_s <= s.at_s).count();
            let line = writeln!(
                csv,
                "{:.1},{},{},{},{},{:.0},{:.2},{:.2},{:.2},{:.2},{},{n_restarts}",
                s.at_s,
                s.memory,
                s.n_files,
                s.wal,
                s.log,
                s.events_per_s,
                s.append_ms[0],
                s.append_ms[1],
                s.delivery_ms[0],
                s.delivery_ms[1],
                s.n_cuts,
            );
            line.expect("text can be written");
        }
        csv
    }
}
