//! How many files the system lets the program have open: asked for, and compared with the limits.
//!
//! A connection is a file. A server that runs out of them can open neither its log nor its views,
//! so its connections are kept below what is left.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files beside connections: the log, the views, their pools of readers, and what agents need.
const OTHER_FILES: u64 = 512;

/// Takes as many open files as the system allows; returns for how many connections they suffice.
pub(super) fn connections_allowed() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // What is not granted is not there; the number that is left says so.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // With very few files, half of them: the operator is to hear of it, not to be locked out.
    usize::try_from(files.saturating_sub(OTHER_FILES).max(files / 2)).unwrap_or(usize::MAX)
}
