//! What the server counts, as Prometheus reads it.
//!
//! Counters move where the things happen; gauges of state (head, lag, file sizes) are set when
//! somebody asks. Nothing here names a chat: labels have few values.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use scrollback_schema::Seq;
use tokio::sync::OwnedSemaphorePermit;

use crate::fault::FaultCount;
use crate::log::{ArchiveTotals, LogObserver};
use crate::projector::ProjectionStatus;
use crate::turn::TurnObserver;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Projection {
    projection: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabel {
    subject: String,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limit {
    limit: &'static str,
}

type Count = Gauge<u64, AtomicU64>;
type Seconds = Gauge<f64, AtomicU64>;

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    appends: Counter,
    events: Counter,
    commit_seconds: Histogram,
    commit_events: Histogram,
    readers: Gauge,
    refused: Family<Limit, Counter>,
    sse_bytes: Counter,
    sse_frames: Counter,
    head: Count,
    lag_events: Family<Projection, Count>,
    lag_seconds: Family<Projection, Seconds>,
    parked: Family<Projection, Count>,
    log_bytes: Count,
    wal_bytes: Count,
    archived_seq: Count,
    archive_segments: Count,
    archive_bytes: Count,
    turns_running: Gauge,
    turns_waiting: Gauge,
    turns_ended: Family<Outcome, Counter>,
    first_word_seconds: Histogram,
    faults: Family<FaultLabel, Count>,
    faults_raised: Family<FaultLabel, Counter>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// Counts from zero.
    pub fn new() -> Metrics {
        // From 62 µs to 2 s, and from 1 event to 16,384, each twice the one before.
        let seconds = || Histogram::new(exponential_buckets(1.0 / 16_384.0, 2.0, 16));
        let batch = || Histogram::new(exponential_buckets(1.0, 2.0, 15));
        let mut metrics = Metrics {
            registry: Registry::with_prefix("scrollback"),
            appends: Counter::default(),
            events: Counter::default(),
            commit_seconds: seconds(),
            commit_events: batch(),
            readers: Gauge::default(),
            refused: Family::default(),
            sse_bytes: Counter::default(),
            sse_frames: Counter::default(),
            head: Count::default(),
            lag_events: Family::default(),
            lag_seconds: Family::default(),
            parked: Family::default(),
            log_bytes: Count::default(),
            wal_bytes: Count::default(),
            archived_seq: Count::default(),
            archive_segments: Count::default(),
            archive_bytes: Count::default(),
            turns_running: Gauge::default(),
            turns_waiting: Gauge::default(),
            turns_ended: Family::default(),
            // From 4 ms to 65 s, each twice the one before.
            first_word_seconds: Histogram::new(exponential_buckets(1.0 / 256.0, 2.0, 15)),
            faults: Family::default(),
            faults_raised: Family::default(),
        };
        metrics.register();
        metrics.register_archive();
        metrics.register_turns();
        metrics.register_faults();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("appends", "Appends that were committed", self.appends.clone());
        r.register("events", "Events that were committed", self.events.clone());
        r.register_with_unit(
            "commit",
            "Time of a commit, from the first statement to the end of the sync",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        r.register("commit_events", "Events in a commit", self.commit_events.clone());
        r.register("readers", "Streams that are open", self.readers.clone());
        r.register(
            "refused",
            "Connections and calls that were refused since there was no room, by what was full",
            self.refused.clone(),
        );
        r.register("sse_bytes", "Bytes handed to streams", self.sse_bytes.clone());
        r.register("sse_frames", "Data frames handed to streams", self.sse_frames.clone());
        r.register("head_seq", "Seq of the last committed event", self.head.clone());
        r.register(
            "projection_lag_events",
            "Events that a projection has not saved yet",
            self.lag_events.clone(),
        );
        r.register_with_unit(
            "projection_lag",
            "Age of the oldest event that a projection has not saved yet",
            Unit::Seconds,
            self.lag_seconds.clone(),
        );
        r.register(
            "projection_parked_chats",
            "Chats that stand still in a projection before an event that it cannot apply",
            self.parked.clone(),
        );
        r.register_with_unit("log", "Size of log.db", Unit::Bytes, self.log_bytes.clone());
        r.register_with_unit("wal", "Size of log.db-wal", Unit::Bytes, self.wal_bytes.clone());
    }

    fn register_archive(&mut self) {
        let r = &mut self.registry;
        r.register("archived_seq", "Seq of the last archived event", self.archived_seq.clone());
        r.register("archive_segments", "Files of the archive", self.archive_segments.clone());
        let help = "Size of the files of the archive";
        r.register_with_unit("archive", help, Unit::Bytes, self.archive_bytes.clone());
    }

    fn register_turns(&mut self) {
        let r = &mut self.registry;
        r.register("turns_running", "Turns that this server runs", self.turns_running.clone());
        r.register(
            "turns_waiting",
            "Turns that are open and wait for one of those to end",
            self.turns_waiting.clone(),
        );
        r.register(
            "turns_ended",
            "Turns that this server ran to their end, by how they ended",
            self.turns_ended.clone(),
        );
        r.register_with_unit(
            "turn_first_word",
            "Time from the call of a provider to the first thing that it said",
            Unit::Seconds,
            self.first_word_seconds.clone(),
        );
    }

    fn register_faults(&mut self) {
        let r = &mut self.registry;
        r.register("fault", "1 while this does not work", self.faults.clone());
        let raised = "How often this began not to work";
        r.register("faults_raised", raised, self.faults_raised.clone());
    }

    /// Everything as text, the state of this moment included.
    pub(crate) fn render(
        &self,
        head: Seq,
        projections: &[ProjectionStatus],
        faults: &[FaultCount],
        sizes: Sizes,
    ) -> String {
        self.head.set(head.get());
        self.log_bytes.set(sizes.log_bytes);
        self.wal_bytes.set(sizes.wal_bytes);
        self.archived_seq.set(sizes.archive.through.get());
        self.archive_segments.set(sizes.archive.n_segments);
        self.archive_bytes.set(sizes.archive.n_bytes);
        for status in projections {
            let label = Projection { projection: status.name };
            self.lag_events.get_or_create(&label).set(status.lag_events);
            self.lag_seconds.get_or_create(&label).set(status.lag_ms as f64 / 1_000.0);
            self.parked.get_or_create(&label).set(status.parked.len() as u64);
        }
        for count in faults {
            let (subject, code) = (count.fault.subject.name(), count.fault.cause.code());
            let label = FaultLabel { subject, code };
            self.faults.get_or_create(&label).set(count.is_raised.into());
            let raised = self.faults_raised.get_or_create(&label);
            raised.inner().store(count.n_raised, Ordering::Relaxed);
        }
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("a String takes every text");
        text
    }

    /// Streams that are open.
    pub(crate) fn n_readers(&self) -> i64 {
        self.readers.get()
    }

    /// Events that were committed since the server started.
    pub(crate) fn n_events(&self) -> u64 {
        self.events.get()
    }

    /// Counts a stream for as long as the guard lives; `permit` is its right to be open.
    pub(crate) fn reader(self: &Arc<Metrics>, permit: OwnedSemaphorePermit) -> Reader {
        self.readers.inc();
        Reader { metrics: Arc::clone(self), _permit: permit }
    }

    /// Counts somebody for whom there was no room.
    pub(crate) fn refused(&self, limit: &'static str) {
        self.refused.get_or_create(&Limit { limit }).inc();
    }
}

impl LogObserver for Metrics {
    fn committed(&self, n_appends: usize, n_events: u64, elapsed: Duration) {
        self.appends.inc_by(n_appends as u64);
        self.events.inc_by(n_events);
        self.commit_seconds.observe(elapsed.as_secs_f64());
        self.commit_events.observe(n_events as f64);
    }
}

impl TurnObserver for Metrics {
    fn waiting(&self, change: i64) {
        self.turns_waiting.inc_by(change);
    }

    fn running(&self, change: i64) {
        self.turns_running.inc_by(change);
    }

    fn first_word(&self, after: Duration) {
        self.first_word_seconds.observe(after.as_secs_f64());
    }

    fn ended(&self, outcome: &'static str) {
        self.turns_ended.get_or_create(&Outcome { outcome }).inc();
    }
}

/// Sizes of the log's files in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sizes {
    pub(crate) log_bytes: u64,
    pub(crate) wal_bytes: u64,
    pub(crate) archive: ArchiveTotals,
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct Reader {
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    /// Bytes that were handed over.
    pub(crate) fn sent(&self, n_bytes: usize) {
        self.metrics.sse_bytes.inc_by(n_bytes as u64);
    }

    /// Data frames that were handed over.
    pub(crate) fn frames(&self, n_frames: usize) {
        self.metrics.sse_frames.inc_by(n_frames as u64);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.metrics.readers.dec();
    }
}
