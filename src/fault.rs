//! What the machine refuses at the moment: told alike by `/readyz`, by the metrics and by the log.
//!
//! Who meets a refusal raises it here by its subject, and who succeeds again clears it. What
//! follows from it (an append that is refused, a view that waits) is left to whoever met it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::ffi;

use crate::clock::monotonic;

/// Between two lines about one subject: a fault that comes and goes does not fill the disk that it
/// may be about.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// What does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Appending to log.db.
    Log,
    /// Moving the WAL of log.db into the file.
    Checkpoint,
    /// Noting how far the log is.
    Witness,
    /// Writing the view of this projection.
    View(&'static str),
    /// Accepting connections.
    Sockets,
}

/// Why it does not work: a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// There is no room left.
    DiskFull,
    /// The file system takes no writes.
    ReadOnly,
    /// The disk fails.
    Io,
    /// SQLite refuses for a reason that is none of the above.
    Refused,
    /// A sync failed: what is on the disk is unknown, and another sync would not tell.
    SyncFailed,
    /// There are no file descriptors left.
    NoDescriptors,
    /// A thread panicked.
    Panicked,
    /// A thread panicked too often, and is gone.
    Ended,
}

/// Something that does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub subject: Subject,
    /// Why.
    pub cause: Cause,
}

/// How often something did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultCount {
    /// What, and why.
    pub fault: Fault,
    /// Whether it is so at the moment.
    pub is_raised: bool,
    /// How often it began.
    pub n_raised: u64,
}

/// The faults of a process; cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<BTreeMap<Subject, State>>>);

#[derive(Debug, Default)]
struct State {
    raised: Option<Cause>,
    n_raised: BTreeMap<Cause, u64>,
    /// When a line was last written, so that the next one is not too soon.
    told_at: Option<Instant>,
    /// Times that it began without a line.
    n_untold: u64,
}

impl Subject {
    /// A stable name.
    pub fn name(self) -> String {
        match self {
            Subject::Log => "log".to_owned(),
            Subject::Checkpoint => "checkpoint".to_owned(),
            Subject::Witness => "witness".to_owned(),
            Subject::View(projection) => format!("view_{projection}"),
            Subject::Sockets => "sockets".to_owned(),
        }
    }

    /// What follows while it does not work.
    const fn effect(self) -> &'static str {
        match self {
            Subject::Log => "appends are refused, reads go on",
            Subject::Checkpoint => "appends go on, and the WAL grows",
            Subject::Witness => "a tail of the log that is lost might not be noticed",
            Subject::View(_) => "reads go on, and fold what the view lacks",
            Subject::Sockets => "no connection is accepted, open ones go on",
        }
    }
}

impl Cause {
    /// A stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Cause::DiskFull => "disk_full",
            Cause::ReadOnly => "read_only",
            Cause::Io => "io_error",
            Cause::Refused => "refused",
            Cause::SyncFailed => "sync_failed",
            Cause::NoDescriptors => "no_descriptors",
            Cause::Panicked => "panicked",
            Cause::Ended => "thread_ended",
        }
    }

    /// What an error is about, by the first of its causes that the system or SQLite gave.
    pub fn of(error: &(dyn Error + 'static)) -> Cause {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Cause::of_system(error);
            }
            if let Some(rusqlite::Error::SqliteFailure(error, _)) = error.downcast_ref() {
                return Cause::of_sqlite(*error);
            }
            next = error.source();
        }
        Cause::Refused
    }

    fn of_system(error: &io::Error) -> Cause {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Cause::DiskFull,
            io::ErrorKind::ReadOnlyFilesystem => Cause::ReadOnly,
            // The process has too many files open, or the system has.
            _ if matches!(error.raw_os_error(), Some(24 | 23)) => Cause::NoDescriptors,
            _ => Cause::Io,
        }
    }

    fn of_sqlite(error: ffi::Error) -> Cause {
        match error.extended_code {
            ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => Cause::SyncFailed,
            // The index of a WAL grows by a write that nothing but a full disk refuses.
            ffi::SQLITE_FULL | ffi::SQLITE_IOERR_SHMSIZE => Cause::DiskFull,
            code => match code & 0xFF {
                ffi::SQLITE_READONLY => Cause::ReadOnly,
                ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN => Cause::Io,
                _ => Cause::Refused,
            },
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Cause::DiskFull => "the disk is full",
            Cause::ReadOnly => "the file system is read-only",
            Cause::Io => "the disk fails",
            Cause::Refused => "SQLite refuses",
            Cause::SyncFailed => "a sync failed, so what is on the disk is unknown",
            Cause::NoDescriptors => "there are no file descriptors left",
            Cause::Panicked => "a thread panicked and is started again",
            Cause::Ended => "a thread panicked and is not started again",
        }
    }

    const fn remedy(self) -> &'static str {
        match self {
            Cause::DiskFull => "make room on it",
            Cause::ReadOnly => "look for the reason in the system's log, then mount it writable",
            Cause::Io => "look for the reason in the system's log",
            Cause::Refused => "report it with the error beside it",
            Cause::SyncFailed => "look for the reason in the system's log, then restart the server",
            Cause::NoDescriptors => "close connections, or raise the limit of open files",
            Cause::Panicked => "report it with the lines before this one",
            Cause::Ended => "restart the server, and report it with the lines before this one",
        }
    }
}

impl Fault {
    /// Whether only a restart helps.
    pub const fn needs_restart(self) -> bool {
        matches!(
            (self.subject, self.cause),
            (_, Cause::Ended) | (Subject::Log | Subject::Checkpoint, Cause::SyncFailed)
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, cause) = (self.subject, self.cause);
        let (what, effect, remedy) = (cause.what(), subject.effect(), cause.remedy());
        write!(f, "{}: {what}; {effect}; {remedy}", subject.name())
    }
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Subject, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something does not work, and says so unless that was said a moment ago.
    ///
    /// A fault that only a restart helps against stays, whatever comes after it.
    pub fn raise(&self, subject: Subject, cause: Cause) {
        self.note(subject, cause, &"");
    }

    /// Notes the fault that an error is about, and says the error with it; the cause.
    pub fn raise_for(&self, subject: Subject, error: &(dyn Error + 'static)) -> Cause {
        let cause = Cause::of(error);
        self.raise_as(subject, cause, error);
        cause
    }

    /// As [`Faults::raise_for`], for who knows the cause better than the error says it.
    pub fn raise_as(&self, subject: Subject, cause: Cause, error: &(dyn Error + 'static)) {
        self.note(subject, cause, &Chain(error));
    }

    fn note(&self, subject: Subject, cause: Cause, error: &dyn fmt::Display) {
        let mut states = self.lock();
        let state = states.entry(subject).or_default();
        if state.raised.is_some_and(|cause| (Fault { subject, cause }).needs_restart()) {
            return;
        }
        if state.raised != Some(cause) {
            state.raised = Some(cause);
            *state.n_raised.entry(cause).or_default() += 1;
            state.n_untold += 1;
        }
        let fault = Fault { subject, cause };
        let is_soon = state.told_at.is_some_and(|at| at.elapsed() < LINE_INTERVAL);
        if state.n_untold == 0 || (is_soon && !fault.needs_restart()) {
            return;
        }
        state.told_at = Some(monotonic());
        let n_times = std::mem::take(&mut state.n_untold);
        drop(states);
        let (subject, code) = (subject.name(), cause.code());
        tracing::error!(subject, code, n_times, %error, "{fault}");
    }

    /// Notes that something works again; says so if it was said that it did not.
    pub fn clear(&self, subject: Subject) {
        let mut states = self.lock();
        let Some(state) = states.get_mut(&subject) else { return };
        let Some(cause) = state.raised else { return };
        if (Fault { subject, cause }).needs_restart() {
            return;
        }
        state.raised = None;
        if state.n_untold == 0 {
            let subject = subject.name();
            tracing::warn!(subject, code = cause.code(), "works again");
        }
    }

    /// Why something does not work at the moment, if it does not.
    pub fn cause_of(&self, subject: Subject) -> Option<Cause> {
        self.lock().get(&subject).and_then(|state| state.raised)
    }

    /// What does not work at the moment.
    pub fn raised(&self) -> Vec<Fault> {
        let states = self.lock();
        let raised = |(&subject, state): (&Subject, &State)| {
            state.raised.map(|cause| Fault { subject, cause })
        };
        states.iter().filter_map(raised).collect()
    }

    /// Everything that has not worked since the start.
    pub fn counts(&self) -> Vec<FaultCount> {
        let states = self.lock();
        let of = |(&subject, state): (&Subject, &State)| {
            let raised = state.raised;
            let counts = state.n_raised.iter().map(move |(&cause, &n_raised)| FaultCount {
                fault: Fault { subject, cause },
                is_raised: raised == Some(cause),
                n_raised,
            });
            counts.collect::<Vec<FaultCount>>()
        };
        states.iter().flat_map(of).collect()
    }
}

/// An error and its causes in one line.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_there_until_it_is_cleared_and_one_that_needs_a_restart_for_ever() {
        let faults = Faults::default();
        faults.raise(Subject::Log, Cause::DiskFull);
        faults.raise(Subject::Log, Cause::DiskFull);
        let full = Fault { subject: Subject::Log, cause: Cause::DiskFull };
        assert_eq!(faults.raised(), [full]);
        assert_eq!(
            full.to_string(),
            "log: the disk is full; appends are refused, reads go on; make room on it"
        );
        faults.clear(Subject::Log);
        assert_eq!(faults.raised(), []);
        assert_eq!(faults.counts(), [FaultCount { fault: full, is_raised: false, n_raised: 1 }]);

        faults.raise(Subject::Log, Cause::SyncFailed);
        faults.raise(Subject::Log, Cause::DiskFull);
        faults.clear(Subject::Log);
        assert_eq!(faults.cause_of(Subject::Log), Some(Cause::SyncFailed));
    }

    #[test]
    fn a_cause_is_found_behind_other_errors() {
        let sqlite = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        let cases = [
            (sqlite(ffi::SQLITE_FULL), Cause::DiskFull),
            (sqlite(ffi::SQLITE_IOERR_FSYNC), Cause::SyncFailed),
            (sqlite(ffi::SQLITE_READONLY_DBMOVED), Cause::ReadOnly),
            (sqlite(ffi::SQLITE_IOERR_WRITE), Cause::Io),
        ];
        for (error, cause) in cases {
            assert_eq!(Cause::of(&io::Error::other("x")), Cause::Io);
            assert_eq!(Cause::of(&crate::log::ReadError::from(error)), cause);
        }
        let no_descriptors = io::Error::from_raw_os_error(24);
        assert_eq!(Cause::of(&no_descriptors), Cause::NoDescriptors);
    }
}
