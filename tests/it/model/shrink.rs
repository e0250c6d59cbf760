//! Runs sequences, and makes those that fail short.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use scrollback::clock::monotonic;

use super::draw::Draw;
use super::history::Known;
use super::op::{Op, ReaderOp, Step, Token};
use super::sequence::Sequence;
use super::world::{Sabotage, World};

/// How long a failure is made shorter, at most.
const SHRINK: Duration = Duration::from_secs(20);

/// A sequence that failed.
#[derive(Debug)]
pub(super) struct Failure {
    seed: u64,
    steps: Vec<Step>,
    said: String,
}

impl Failure {
    /// Says how it failed, after it was made as short as that goes in a while.
    pub(super) fn tell<T>(self) -> T {
        let (n_steps, short) = (self.steps.len(), self.shrunk());
        let shown: Vec<String> = short.steps.iter().map(|step| format!("  {step:?}")).collect();
        panic!(
            "seed {} failed at step {n_steps}: {}\nthe shortest sequence found that fails:\n{}\n{}",
            self.seed,
            self.said,
            shown.join("\n"),
            short.said,
        )
    }

    /// The same failure with steps left out, one after the other.
    fn shrunk(&self) -> Failure {
        let begun = monotonic();
        let mut short =
            Failure { seed: self.seed, steps: self.steps.clone(), said: self.said.clone() };
        let mut at = short.steps.len();
        while at > 0 && begun.elapsed() < SHRINK {
            at -= 1;
            let mut steps = short.steps.clone();
            steps.remove(at);
            let tried = quietly(|| run(self.seed, steps.len(), None, |n, _, _| steps[n].clone()));
            if let Err(failure) = tried {
                at = at.min(failure.steps.len());
                short = failure;
            }
        }
        short
    }
}

/// Runs the sequence of a seed; what happened.
pub(super) fn drawn(
    seed: u64,
    n_steps: usize,
    sabotage: Option<Sabotage>,
) -> Result<String, Failure> {
    let mut draw = Draw::new(seed);
    run(seed, n_steps, sabotage, |_, world, readers| draw.step(world, readers))
}

/// Runs as many sequences, one after the other.
pub(super) fn sequences(
    seed: u64,
    n: usize,
    n_steps: usize,
    sabotage: Option<Sabotage>,
) -> Result<String, Failure> {
    (0..n as u64).map(|n| drawn(seed.wrapping_add(n), n_steps, sabotage)).collect()
}

/// The thread whose panics are expected.
const QUIET: &str = "quiet";

/// Runs what may panic on a thread that says nothing about it.
fn quietly<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name() != Some(QUIET) {
                loud(panic);
            }
        }));
    });
    let thread = std::thread::Builder::new().name(QUIET.to_owned());
    std::thread::scope(|scope| thread.spawn_scoped(scope, run).unwrap().join().unwrap())
}

fn run(
    seed: u64,
    n_steps: usize,
    sabotage: Option<Sabotage>,
    mut next: impl FnMut(usize, &World, &[bool]) -> Step,
) -> Result<String, Failure> {
    let done = Arc::new(Mutex::new(Vec::new()));
    let trace = Arc::clone(&done);
    let work = async move {
        let mut sequence = Sequence::new(sabotage).await;
        for n in 0..n_steps {
            let step = next(n, sequence.world(), &sequence.connected());
            let is_told = sequence.knows(&step.op);
            if is_told && is_possible(&step.op, sequence.world(), &sequence.connected()) {
                trace.lock().unwrap().push(step.clone());
                sequence.step(&step).await;
            }
        }
        sequence.end().await
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
    runtime.shutdown_background();
    ran.map_err(|panic| {
        let said = match panic.downcast_ref::<String>() {
            Some(said) => said.clone(),
            None => panic.downcast_ref::<&str>().copied().unwrap_or("?").to_owned(),
        };
        let steps = std::mem::take(&mut *done.lock().unwrap_or_else(|e| e.into_inner()));
        Failure { seed, steps, said }
    })
}

/// Whether a step can be done: once others were left out, what it needs may be missing.
fn is_possible(op: &Op, world: &World, readers: &[bool]) -> bool {
    match op {
        Op::Again { kept, .. } => *kept < world.kept.len(),
        Op::Say { chat, said } => {
            let clashes = |id: &str| world.chats[chat].request(id) != Known::Never;
            let open = world.chats.get(chat).and_then(|room| room.open());
            open.is_some_and(|open| !open.is_external)
                && !said.iter().any(|(_, p)| p["request_id"].as_str().is_some_and(clashes))
        }
        Op::End { chat, .. } => {
            let open = world.chats.get(chat).and_then(|room| room.open());
            open.is_some_and(|open| !open.is_external)
        }
        Op::Append { chat, token: Token::Of { turn, .. }, .. } => {
            let is_gone = world.chats.get(chat).is_none_or(|room| room.is_deleted());
            is_gone || world.leases.contains_key(&(chat.clone(), turn.clone()))
        }
        Op::Reader(ReaderOp::Open { chat: Some(chat), .. }) => {
            world.chats.get(chat).is_some_and(|room| !room.is_deleted())
        }
        Op::Reader(ReaderOp::Cut { reader, .. }) => readers.get(*reader) == Some(&true),
        Op::Reader(ReaderOp::Resume { reader }) => readers.get(*reader) == Some(&false),
        _ => true,
    }
}
