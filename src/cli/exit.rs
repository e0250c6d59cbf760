//! How the program ends: one enum, three numbers.

use std::process::ExitCode;

/// What the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, and the answer is yes.
    Ok,
    /// Done, and the answer is no: damage was found, a difference was found.
    No,
    /// It could not be done; stderr says why and what to do.
    CouldNotRun,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Ok => 0,
            Exit::No => 1,
            Exit::CouldNotRun => 2,
        })
    }
}

/// How a command ends that failed: a reader that went away, as `head` does, is no failure.
pub(crate) fn of_error(error: &anyhow::Error) -> Exit {
    let is_broken_pipe = error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    });
    if is_broken_pipe { Exit::Ok } else { Exit::CouldNotRun }
}

/// An error and its causes in one line; a cause that says nothing new is left out.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        // SQLite's errors come twice: once as they are, and once with their number in front.
        let is_said = cause.rsplit(": ").next().is_some_and(|last| words.ends_with(last));
        if words.is_empty() {
            words = cause;
        } else if !is_said {
            words.push_str(": ");
            words.push_str(&cause);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_cause_is_said_once() {
        let failure = rusqlite::ffi::Error::new(11);
        let text = Some("database disk image is malformed".to_owned());
        let damaged = rusqlite::Error::SqliteFailure(failure, text);
        let error = Err::<(), _>(damaged).context("cannot open x; try y").unwrap_err();
        let expected = "cannot open x; try y: database disk image is malformed";
        assert_eq!(sentence(&error), expected);
        let none = std::io::Error::other("no space");
        let error = Err::<(), _>(none).context("line 3").context("cannot import").unwrap_err();
        assert_eq!(sentence(&error), "cannot import: line 3: no space");
    }

    #[test]
    fn a_broken_pipe_is_success_however_deep_it_lies() {
        let pipe = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let deep = Err::<(), _>(pipe).context("cannot write").context("cannot list").unwrap_err();
        assert_eq!(of_error(&deep), Exit::Ok);
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(of_error(&anyhow::Error::from(full)), Exit::CouldNotRun);
    }
}
