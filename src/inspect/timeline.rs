//! A turn as a time line: adjacent deltas are one run, and silences stand between the runs.

use scrollback_schema::{Kind, Millis, Recorded, Seq};
use serde_json::{Value, json};

use super::words::kind_name;

/// A silence that ends a run of deltas, in milliseconds.
pub(crate) const GAP_MS: u64 = 1_000;

/// Events of one kind after each other; all kinds but deltas stand alone.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) first: Recorded,
    pub(crate) last_seq: Seq,
    pub(crate) last_at: Millis,
    pub(crate) n_events: u64,
    /// Characters of the deltas; none if it is of another kind.
    pub(crate) n_chars: Option<u64>,
    /// Milliseconds from the start of the turn to its first event.
    pub(crate) after_ms: u64,
    /// Milliseconds of silence before it.
    pub(crate) gap_ms: u64,
}

impl Run {
    /// Milliseconds from its first to its last event.
    pub(crate) fn duration_ms(&self) -> u64 {
        self.last_at.since_ms(self.first.at)
    }

    /// The run as programs read it.
    pub(crate) fn json(&self) -> Value {
        json!({
            "kind": kind_name(self.first.body.kind_number()),
            "first_seq": self.first.seq.get(),
            "last_seq": self.last_seq.get(),
            "after_ms": self.after_ms,
            "duration_ms": self.duration_ms(),
            "gap_ms": self.gap_ms,
            "n_events": self.n_events,
        })
    }
}

/// The time line of a turn so far.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    started: Option<Millis>,
    last_at: Option<Millis>,
    run: Option<Run>,
}

impl Timeline {
    /// The rest of a time line: the turn started at `started`, and its last event that was shown is
    /// of `last_at`.
    pub(crate) const fn resume(started: Millis, last_at: Option<Millis>) -> Timeline {
        Timeline { started: Some(started), last_at, run: None }
    }

    /// The start of a turn that has no end yet.
    pub(crate) const fn open_since(&self) -> Option<Millis> {
        self.started
    }

    /// The instant of the last event.
    pub(crate) const fn last_at(&self) -> Option<Millis> {
        self.last_at
    }

    /// Adds an event of the turn; the runs that have ended with it.
    pub(crate) fn push(&mut self, event: Recorded) -> impl Iterator<Item = Run> + use<> {
        if event.kind() == Some(Kind::StreamStarted) {
            self.started = Some(event.at);
            self.last_at = None;
        }
        let n_chars = delta_chars(&event);
        if let (Some(run), Some(n_chars)) = (&mut self.run, n_chars)
            && run.first.body.kind_number() == event.body.kind_number()
            && event.at.since_ms(run.last_at) < GAP_MS
        {
            (run.last_seq, run.last_at) = (event.seq, event.at);
            run.n_events += 1;
            run.n_chars = run.n_chars.map(|n| n + n_chars);
            return [None, None].into_iter().flatten();
        }
        let before = self.end();
        let is_terminal = event.kind().is_some_and(Kind::is_terminal);
        self.run = Some(Run {
            last_seq: event.seq,
            last_at: event.at,
            n_events: 1,
            n_chars,
            after_ms: event.at.since_ms(self.started.unwrap_or_default()),
            gap_ms: self.last_at.map_or(0, |last| event.at.since_ms(last)),
            first: event,
        });
        let mut ended = None;
        if is_terminal {
            ended = self.end();
            self.started = None;
        }
        [before, ended].into_iter().flatten()
    }

    /// The run that was not ended by another one.
    pub(crate) fn end(&mut self) -> Option<Run> {
        let run = self.run.take()?;
        self.last_at = Some(run.last_at);
        Some(run)
    }
}

/// Characters of a delta; none for other events.
fn delta_chars(event: &Recorded) -> Option<u64> {
    use scrollback_schema::Event::{AssistantText, AssistantThinking};
    match event.event()? {
        AssistantText(delta) => Some(delta.text.chars().count() as u64),
        AssistantThinking(delta) => Some(delta.thinking.chars().count() as u64),
        _ => None,
    }
}
