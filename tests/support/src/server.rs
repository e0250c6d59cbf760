//! A server under test: the program itself, started on a free port, killed or asked to stop.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::wait::{DEADLINE, wait_until};

/// What the server says on stderr when it answers, followed by its address.
const READY: &str = "listening on ";

/// How a server is started.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The program: a test passes `env!("CARGO_BIN_EXE_scrollback")`.
    pub program: PathBuf,
    /// Its data directory.
    pub data: PathBuf,
    /// Where it listens; a free port unless a test needs one again.
    pub listen: String,
    /// The command that serves: `serve`, unless it is `demo`.
    pub command: String,
    /// Further arguments of the command.
    pub args: Vec<String>,
    /// What the environment says, for example `FAILPOINTS`.
    pub env: Vec<(String, String)>,
}

impl ServerOptions {
    /// A server of `program` over `data`, with nothing set.
    pub fn new(program: &str, data: &Path) -> ServerOptions {
        ServerOptions {
            program: PathBuf::from(program),
            data: data.to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            command: "serve".to_owned(),
            args: Vec::new(),
            env: Vec::new(),
        }
    }

    /// Lets it listen at this address, for example where one before it did.
    #[must_use]
    pub fn listen(mut self, address: &str) -> ServerOptions {
        address.clone_into(&mut self.listen);
        self
    }

    /// Serves by another command.
    #[must_use]
    pub fn command(mut self, command: &str) -> ServerOptions {
        command.clone_into(&mut self.command);
        self
    }

    /// Adds arguments of the command.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> ServerOptions {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    /// Adds a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> ServerOptions {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A server that ended before it answered.
#[derive(Debug)]
pub struct StartFailure {
    /// How it ended.
    pub status: ExitStatus,
    /// All that it said on stderr.
    pub stderr: String,
}

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    program: PathBuf,
    data: PathBuf,
    address: String,
    stderr: Arc<Mutex<String>>,
}

impl Server {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`StartFailure`] if it ends instead.
    ///
    /// # Panics
    ///
    /// If the program cannot be started, or says nothing for too long.
    pub fn start(options: &ServerOptions) -> Result<Server, StartFailure> {
        let (mut child, stderr, addresses) = spawn(options);
        match addresses.recv_timeout(DEADLINE) {
            Ok(address) => Ok(Server::new(options, child, address, stderr)),
            Err(RecvTimeoutError::Disconnected) => {
                let status = child.wait().expect("a child can be waited for");
                Err(StartFailure { status, stderr: text_of(&stderr) })
            }
            Err(RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                panic!("the server did not say that it listens:\n{}", text_of(&stderr));
            }
        }
    }

    /// Starts a server, and kills it if it does not answer in time, for example since a failpoint
    /// holds it before it listens.
    ///
    /// # Panics
    ///
    /// If the program cannot be started, or ends by itself.
    pub fn start_or_kill(options: &ServerOptions, patience: Duration) -> Option<Server> {
        let (mut child, stderr, addresses) = spawn(options);
        match addresses.recv_timeout(patience) {
            Ok(address) => Some(Server::new(options, child, address, stderr)),
            Err(RecvTimeoutError::Disconnected) => panic!("the server ended: {}", text_of(&stderr)),
            Err(RecvTimeoutError::Timeout) => {
                child.kill().expect("an own child can be killed");
                child.wait().expect("a child can be waited for");
                None
            }
        }
    }

    fn new(
        options: &ServerOptions,
        child: Child,
        address: String,
        stderr: Arc<Mutex<String>>,
    ) -> Server {
        let (program, data) = (options.program.clone(), options.data.clone());
        Server { child, program, data, address, stderr }
    }

    /// Starts a server that is expected to answer.
    ///
    /// # Panics
    ///
    /// If it does not; its stderr is in the message.
    #[track_caller]
    pub fn start_well(options: &ServerOptions) -> Server {
        Server::start(options)
            .unwrap_or_else(|failure| panic!("{}: {}", failure.status, failure.stderr))
    }

    /// Its address with the scheme, for example `http://127.0.0.1:34567`.
    pub fn base_url(&self) -> &str {
        &self.address
    }

    /// The program that it is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it has said on stderr so far.
    pub fn stderr(&self) -> String {
        text_of(&self.stderr)
    }

    /// Kills it as a power switch would: no handler runs.
    ///
    /// # Panics
    ///
    /// If the system refuses to.
    pub fn kill(mut self) -> String {
        self.child.kill().expect("an own child can be killed");
        self.child.wait().expect("a child can be waited for");
        text_of(&self.stderr)
    }

    /// Waits until it has ended by itself, for example at a failpoint.
    ///
    /// # Panics
    ///
    /// If it goes on.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait_until("the server to end", || self.child.try_wait().expect("a child can be asked"))
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_some()
    }

    /// Asks it to stop, as an operator does, without waiting.
    ///
    /// # Panics
    ///
    /// If there is no `kill` program.
    pub fn ask_to_stop(&self) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(asked.expect("the system has a kill program").success(), "the server runs");
    }

    /// Asks it to stop and waits; what it said on stderr comes with its exit status.
    ///
    /// # Panics
    ///
    /// If it goes on.
    pub fn stop(mut self) -> (ExitStatus, String) {
        self.ask_to_stop();
        let status = self.wait_for_end();
        (status, text_of(&self.stderr))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server's stderr:\n{}", text_of(&self.stderr));
        }
    }
}

/// Starts the program; what it says is collected, and its address comes once it is said.
fn spawn(options: &ServerOptions) -> (Child, Arc<Mutex<String>>, Receiver<String>) {
    let mut child = Command::new(&options.program)
        .arg(&options.command)
        .arg("--data")
        .arg(&options.data)
        .args(["--listen", &options.listen])
        .args(&options.args)
        .envs(options.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start {}: {e}", options.program.display()));
    let (stderr, addresses) = follow_stderr(&mut child);
    (child, stderr, addresses)
}

/// Collects what the server says, and passes on the address once it is said.
fn follow_stderr(child: &mut Child) -> (Arc<Mutex<String>>, Receiver<String>) {
    let pipe = child.stderr.take().expect("stderr is piped");
    let stderr = Arc::new(Mutex::new(String::new()));
    let (addresses, receiver) = channel();
    let collected = Arc::clone(&stderr);
    std::thread::spawn(move || {
        let mut addresses = Some(addresses);
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let address = line.split_once(READY).map(|(_, address)| address.trim().to_owned());
            if let Some(address) = address.filter(|address| address.starts_with("http"))
                && let Some(addresses) = addresses.take()
            {
                let _ = addresses.send(address);
            }
            let mut collected = collected.lock().expect("no thread panics while it holds this");
            collected.push_str(&line);
            collected.push('\n');
        }
    });
    (stderr, receiver)
}

fn text_of(stderr: &Mutex<String>) -> String {
    stderr.lock().expect("no thread panics while it holds this").clone()
}
