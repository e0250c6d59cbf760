//! Named points at which a test holds the process or makes a step fail; in no release.
//!
//! `FAILPOINTS` is read by the crate `fail`. What it lacks is an announcement: a test that kills at
//! a point has to know that the point was reached.

use std::sync::atomic::{AtomicU64, Ordering};

use super::output::say;

/// Sets up the points that the environment names, for as long as the answer lives.
///
/// `FAILPOINTS_HOLD=NAME=N` lets the point NAME be passed N times. The thread that comes to it next
/// says so on stderr and goes no further.
///
/// # Panics
///
/// If the environment names a point in a way that nobody understands.
pub fn set_up() -> fail::FailScenario<'static> {
    let scenario = fail::FailScenario::setup();
    #[expect(clippy::disallowed_methods, reason = "src/cli reads the environment")]
    let hold = std::env::var("FAILPOINTS_HOLD");
    if let Ok(hold) = hold {
        let (name, n_passes) = hold.split_once('=').expect("FAILPOINTS_HOLD is NAME=N");
        let n_passes: u64 = n_passes.parse().expect("FAILPOINTS_HOLD is NAME=N");
        let (point, n_passed) = (name.to_owned(), AtomicU64::new(0));
        let pass = move || {
            if n_passed.fetch_add(1, Ordering::Relaxed) >= n_passes {
                say(&format!("held at {point}"));
                loop {
                    std::thread::park();
                }
            }
        };
        fail::cfg_callback(name, pass).expect("a point takes a callback");
    }
    scenario
}
