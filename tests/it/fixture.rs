//! A log in a directory of its own, and what many tests ask of it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use scrollback::clock::Clock;
use scrollback::log::verify::{Progress, verify};
use scrollback::log::{Append, AppendError, Appended, Log, LogOptions, PageLimits, Scope};
use scrollback::projector::Projector;
use scrollback_schema::{Recorded, Seq};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::workload::Step;

/// A directory on the disk that holds the build.
pub(crate) fn temp_dir(name: &str) -> TempDir {
    TempDir::new(env!("CARGO_TARGET_TMPDIR"), name)
}

/// A directory in memory where there is one, for what is only looked at: nothing of it is to last.
pub(crate) fn memory_dir(name: &str) -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { env!("CARGO_TARGET_TMPDIR").into() };
    TempDir::new(parent.to_str().unwrap(), name)
}

/// An open log; closed by [`Fixture::close`].
pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) log: Log,
}

impl Fixture {
    pub(crate) fn new(name: &str) -> Fixture {
        let dir = temp_dir(name);
        let log = open(dir.path());
        Fixture { dir, log }
    }

    /// Starts the workers of the views; to be closed before the log.
    pub(crate) fn project(&self) -> Projector {
        Projector::open(self.dir.path(), &self.log, &Clock::System).unwrap()
    }

    pub(crate) async fn append(&self, step: Step) -> Result<Appended, AppendError> {
        append(&self.log, step).await
    }

    /// Everything in the log.
    pub(crate) async fn all(&self) -> Vec<Recorded> {
        read(&self.log, &Scope::All, PageLimits::default()).await
    }

    pub(crate) async fn close(self) -> TempDir {
        self.log.close().await;
        self.dir
    }

    pub(crate) async fn reopen(self) -> Fixture {
        let dir = self.close().await;
        let log = open(dir.path());
        Fixture { dir, log }
    }
}

pub(crate) fn open(dir: &Path) -> Log {
    Log::open(dir, LogOptions::default(), &Clock::System).unwrap()
}

pub(crate) async fn append(log: &Log, step: Step) -> Result<Appended, AppendError> {
    log.append(Append::new(step.chat, step.events)?).await
}

/// Every event of `scope`, page by page.
pub(crate) async fn read(log: &Log, scope: &Scope, limits: PageLimits) -> Vec<Recorded> {
    let (mut events, mut after, until) = (Vec::new(), Seq::ZERO, log.head());
    while after < until {
        let page = log.read(scope, after, until, limits).await.unwrap();
        assert!(page.through > after, "a page moves on");
        for section in &page.sections {
            let range = section.events_in(after, page.through);
            events.extend(range.map(|i| section.recorded(i).unwrap()));
        }
        after = page.through;
    }
    events
}

/// Verifies a data directory; the findings as people read them.
pub(crate) fn findings(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut watch = |progress: Progress<'_>| {
        if let Progress::Found(finding) = progress {
            found.push(finding.to_string());
        }
        ControlFlow::Continue(())
    };
    verify(dir, &mut watch).unwrap();
    found
}

#[track_caller]
pub(crate) fn assert_whole(dir: &Path) {
    assert_eq!(findings(dir), Vec::<String>::new());
}
