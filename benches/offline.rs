//! `inspect` and `verify` over a large log: when the first line comes, how long all of it takes and
//! how much memory; at rest, then beside a running server, with the same answers.
//!
//! No criterion: each command is run once, as a person would. `cargo bench --bench offline` takes
//! 10 million events, `cargo bench --bench offline -- 200000` another number.

#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use scrollback::clock::Clock;
use scrollback::log::{Append, Log, LogOptions};
use scrollback::sqlite::Durability;
use scrollback_test_support::deltas::Deltas;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::workload::Step;

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");
const N_EVENTS: u64 = 10_000_000;
const N_CHATS: usize = 5_000;
const N_SPEAKING: usize = 64;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let n_events = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(N_EVENTS);
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "offline");
    let commands = commands(&fill(dir.path(), n_events));
    let before = files(dir.path());
    println!("{:<34} {:>9} {:>9} {:>10}  lines", "at rest", "first ms", "all ms", "most KiB");
    let at_rest: Vec<Ran> = commands.iter().map(|command| run(dir.path(), command)).collect();
    assert_eq!(files(dir.path()), before, "not a byte was written, to the files or beside them");
    println!("beside a server");
    let server = Server::start_well(&ServerOptions::new(PROGRAM, dir.path()));
    for (command, at_rest) in commands.iter().zip(at_rest) {
        let beside = run(dir.path(), command);
        assert_eq!(beside.answer, at_rest.answer, "{command:?} answers the same beside a server");
    }
    server.stop();
}

/// Ids that the commands ask for.
struct Names {
    head: u64,
    chat: String,
    turn: String,
    message: String,
}

fn fill(dir: &Path, n_events: u64) -> Names {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let options = LogOptions { durability: Durability::Process, ..LogOptions::default() };
    let log = Log::open(dir, options, &Clock::System).expect("a new log");
    let mut deltas = Deltas::new(42, N_CHATS, N_SPEAKING);
    let began = Instant::now();
    while log.head().get() < n_events {
        runtime.block_on(append(&log, deltas.round()));
    }
    runtime.block_on(append(&log, deltas.close()));
    let head = log.head().get();
    runtime.block_on(log.close());
    let n_bytes = std::fs::metadata(dir.join("log.db")).expect("a log").len();
    println!(
        "{head} events in {:.1} s, log.db {:.1} MB, {:.1} bytes an event",
        began.elapsed().as_secs_f64(),
        n_bytes as f64 / 1e6,
        n_bytes as f64 / head as f64
    );
    let (chat, turn, message) = deltas.longest();
    Names { head, chat, turn, message }
}

async fn append(log: &Log, steps: Vec<Step>) {
    let mut waiting = Vec::new();
    for step in steps {
        let (log, append) = (log.clone(), Append::new(step.chat, step.events).expect("small"));
        waiting.push(tokio::spawn(async move { log.append(append).await }));
    }
    for append in waiting {
        append.await.expect("a task ends well").expect("the rules hold");
    }
}

fn commands(names: &Names) -> Vec<Vec<String>> {
    let Names { head, chat, turn, message } = names;
    let (middle, early) = (head / 2, head / 50);
    let text = format!(
        "inspect chats
         inspect chats --json
         inspect stats
         inspect events
         inspect events --seq {middle}..
         inspect events --seq ..{early}
         inspect events --since 1d
         inspect events --until 1970-01-02
         inspect events --chat chat-7
         inspect events --chat {chat} --last 20
         inspect events --last 20
         inspect events --kind chat_created
         inspect events --kind error
         inspect events --kind error --last 20
         inspect events --text quarter
         inspect events --text nowhere-to-be-found
         inspect events --turn {turn} --chat {chat}
         inspect events --follow --last 1
         inspect message {message} --chat {chat}
         inspect message a1 --chat chat-7
         inspect message u1 --chat chat-7
         inspect turn {turn} --chat {chat}
         inspect turn t1 --chat chat-7
         inspect state --at {middle}
         inspect state --chat chat-7
         verify"
    );
    text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

/// Every file below a directory, with its size and the time of its last change.
fn files(dir: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let entries = std::fs::read_dir(dir).expect("the directory can be listed");
    entries
        .map(|entry| {
            let entry = entry.expect("the directory can be listed");
            let file = entry.metadata().expect("the file can be looked at");
            (entry.path(), (file.len(), file.modified().expect("a time")))
        })
        .collect()
}

/// What a command printed, for a comparison.
struct Ran {
    answer: (u32, u64),
}

fn run(dir: &Path, args: &[String]) -> Ran {
    let began = Instant::now();
    let mut child = Command::new(PROGRAM)
        .args(args)
        .arg("--data")
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let talk = child.stderr.take().expect("stderr is piped");
    let memory = Memory::watch(&child);
    let said = std::thread::spawn(move || {
        let mut line = String::new();
        let mut talk = BufReader::new(talk);
        let _ = talk.read_line(&mut line);
        let after = began.elapsed();
        let _ = talk.read_to_string(&mut line);
        after
    });
    let follows = args.iter().any(|arg| arg == "--follow");
    let (first, answer) = read(&mut child, began, follows);
    let all = began.elapsed();
    let most = memory.most();
    if follows {
        child.kill().expect("an own child can be killed");
    }
    let status = child.wait().expect("a child can be waited for");
    assert!(follows || status.success(), "{args:?} ends well");
    // What is proved or shown at the end is announced on stderr at once.
    let said = said.join().expect("the thread ends well");
    let ms = |elapsed: Duration| format!("{:.1}", elapsed.as_secs_f64() * 1_000.0);
    println!(
        "{:<34} {:>9} {:>9} {most:>10}  {} (stderr after {} ms)",
        args.join(" "),
        ms(first),
        ms(all),
        answer.1,
        ms(said)
    );
    Ran { answer }
}

/// Reads stdout: when its first line came, and a checksum and the number of its lines. Sizes of
/// files are left out: they differ beside a server.
fn read(child: &mut Child, began: Instant, only_one: bool) -> (Duration, (u32, u64)) {
    let mut stdout = BufReader::with_capacity(1 << 16, child.stdout.take().expect("it is piped"));
    let (mut first, mut checksum, mut n_lines) = (None, 0, 0);
    let mut line = Vec::new();
    while stdout.read_until(b'\n', &mut line).expect("a pipe can be read") > 0 {
        first.get_or_insert_with(|| began.elapsed());
        if !line.starts_with(b"files ") {
            checksum = crc32c::crc32c_append(checksum, &line);
        }
        n_lines += 1;
        // The first line is that of the day.
        if only_one && n_lines == 2 {
            break;
        }
        line.clear();
    }
    (first.unwrap_or_else(|| began.elapsed()), (checksum, n_lines))
}

/// Looks at the memory of a process again and again.
struct Memory {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Memory {
    fn watch(child: &Child) -> Memory {
        let is_over = Arc::new(AtomicBool::new(false));
        let (seen, path) = (Arc::clone(&is_over), format!("/proc/{}/status", child.id()));
        let thread = std::thread::spawn(move || {
            let mut most = 0;
            while !seen.load(Ordering::Relaxed) {
                most = high_water(&path).unwrap_or(most);
                std::thread::park_timeout(Duration::from_millis(2));
            }
            most
        });
        Memory { is_over, thread }
    }

    /// The most that was resident, in KiB.
    fn most(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().expect("the thread ends well")
    }
}

fn high_water(path: &str) -> Option<u64> {
    let status = std::fs::read_to_string(path).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
