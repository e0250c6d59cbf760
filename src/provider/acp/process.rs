//! The agent's process: started in a process group of its own, and gone with its [`Process`].
//!
//! An agent starts programs itself. They share its group, so that none of them outlives the turn;
//! one that leaves the group on purpose (`setsid`) is on its own. What the agent writes to stderr
//! is dropped: it can hold text of the chat, and this program's log may not.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use scrollback_schema::ErrorCode;
use scrollback_schema::event::Phase;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::settings::Settings;
use crate::provider::ProviderError;

/// How long an agent may take to leave after its input ended, and again after it was asked to
/// terminate: enough to write a session to disk, too short to be felt as a pause.
const LEAVE: Duration = Duration::from_millis(500);

/// How long an agent that has closed its output may take to exit, for its exit status to be told.
const EXIT: Duration = Duration::from_millis(500);

/// A running agent; dropping it kills its process group.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// The group, until it was killed and its leader reaped: from then on, the number may be
    /// somebody else's.
    group: Option<Pid>,
}

impl Process {
    /// Starts the agent of a table.
    pub(super) fn start(
        settings: &Settings,
    ) -> Result<(Process, ChildStdin, ChildStdout), ProviderError> {
        if let Some(name) = settings.env_missing.first() {
            return Err(failure(format!("the variable {name} for the agent is not set")));
        }
        let mut command = Command::new(&settings.program);
        command
            .args(&settings.args)
            .current_dir(&settings.cwd)
            .env_clear()
            .envs(&settings.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| not_started(settings, &error))?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let stdin = child.stdin.take().expect("its input is a pipe");
        let stdout = child.stdout.take().expect("its output is a pipe");
        Ok((Process { child, group }, stdin, stdout))
    }

    /// Waits until the agent, which has closed its output, has exited; says how.
    pub(super) async fn ended(&mut self) -> String {
        match self.exited(EXIT).await {
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("ended with exit code {code}"),
                (None, Some(signal)) => format!("was ended by signal {signal}"),
                (None, None) => "ended".to_owned(),
            },
            None => "closed its output".to_owned(),
        }
    }

    /// Lets the agent go, whose input was closed: it is asked twice, then killed.
    pub(super) async fn leave(mut self) {
        if self.exited(LEAVE).await.is_none() {
            self.signal(Signal::TERM);
            self.exited(LEAVE).await;
        }
    }

    /// Waits until the agent has exited, and takes with it what it has left behind.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the next call resolves at once.
    pub(super) async fn gone(&mut self) -> Option<ExitStatus> {
        let status = self.child.wait().await.ok();
        self.signal(Signal::KILL);
        self.group = None;
        status
    }

    async fn exited(&mut self, within: Duration) -> Option<ExitStatus> {
        timeout(within, self.gone()).await.ok()?
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // A group that is empty already is as good.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// The system's reason, without the words of `Display`, which name a path.
fn not_started(settings: &Settings, error: &std::io::Error) -> ProviderError {
    let program = &settings.program;
    // The system says "not found" for both.
    if !settings.cwd.is_dir() {
        let cwd = settings.cwd.display();
        return failure(format!("the agent's directory {cwd} is not there; correct its cwd"));
    }
    failure(match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("the agent's command \"{program}\" was not found; install it or correct it")
        }
        std::io::ErrorKind::PermissionDenied => {
            format!("the agent's command \"{program}\" may not be executed")
        }
        kind => format!("the agent's command \"{program}\" could not be started: {kind}"),
    })
}

fn failure(message: String) -> ProviderError {
    ProviderError::new(ErrorCode::ProviderSetup, Phase::Setup, message)
}
