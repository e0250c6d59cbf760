//! Random sequences of everything that can happen, against a model that only remembers.
//!
//! A server without a socket and a model in memory take the same steps, drawn from a seed: appends,
//! refused ones, retries, leases, stops, queues, deletions, forks, rebuilds, restarts and crashes,
//! with readers that are cut and come back. After each step every answer, every event, what is
//! shown and the bytes of the streams have to be what the model says. A failure prints the seed and
//! a sequence that is as short as it could be made; `SCROLLBACK_SEED` draws the same one again.

mod compare;
mod content;
mod draw;
mod fork;
mod history;
mod messages;
mod names;
mod op;
mod provider;
mod readers;
mod sequence;
mod server;
mod shrink;
mod turns;
mod views;
mod world;

use std::sync::atomic::{AtomicUsize, Ordering};

use scrollback_test_support::rounds::rounds;

use shrink::{Failure, drawn, sequences};
use world::Sabotage;

/// Sequences of a short run, and steps of each.
const N_SEQUENCES: usize = 100;
const N_STEPS: usize = 60;

/// Sequences that run at once: what they wait for is mostly the disk.
const N_AT_ONCE: usize = 4;

#[test]
fn random_sequences_agree_with_the_model() {
    let (n, seed) = (rounds().scale(N_SEQUENCES), rounds().seed());
    println!("seed: {seed} (SCROLLBACK_SEED)");
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..N_AT_ONCE {
            scope.spawn(|| {
                while let i = next.fetch_add(1, Ordering::Relaxed)
                    && i < n
                {
                    drawn(seed.wrapping_add(i as u64), N_STEPS, None).unwrap_or_else(Failure::tell);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let n_done = done.into_inner();
    println!("sequences: {n_done}, steps: {}", n_done * N_STEPS);
    assert_eq!(n_done, n);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let runs = [0; 2].map(|_| sequences(rounds().seed(), 3, N_STEPS, None));
    let [first, second] = runs.map(|run| run.unwrap_or_else(Failure::tell));
    assert!(first == second, "{first}\n\nand then\n\n{second}");
    let other = sequences(rounds().seed() + 1, 3, N_STEPS, None).unwrap_or_else(Failure::tell);
    assert!(first != other, "another seed gives another run");
}

#[test]
fn a_model_that_forgets_is_noticed() {
    for sabotage in [Sabotage::Event, Sabotage::Key, Sabotage::Edit] {
        let noticed = sequences(rounds().seed(), 20, N_STEPS, Some(sabotage));
        assert!(noticed.is_err(), "nobody noticed that the model forgets: {sabotage:?}");
    }
}
