//! What the tests and benches share: a server under test, event scripts, workloads.
//!
//! Nothing here is shipped. It reads the clock and the disk as it likes; what it generates depends
//! on a seed alone.
//!
//! - [`rng`], [`sample`], [`workload`], [`deltas`] and [`recording`] make events;
//! - [`server`], [`client`] and [`sse`] speak with a running server; [`model_server`] is what a
//!   provider speaks with, [`peer`] a server that we did not write;
//! - [`failure`] has everybody tell how a turn failed, [`inspect`] the files what is in them;
//! - [`interposer`] stands between a program and the system, and lets operations fail;
//! - [`left_out`] says loudly what could not be tested here;
//! - [`resources`] measures what a process uses;
//! - [`rounds`] says how long a test goes on that draws its cases;
//! - [`wait`] waits for a state, with a deadline; [`temp_dir`] is a directory on a real disk.

#![expect(
    clippy::disallowed_methods,
    reason = "tests look at the clock while they wait; what they generate depends on seeds alone"
)]

pub mod client;
pub mod deltas;
pub mod failure;
pub mod fuzz;
pub mod inspect;
pub mod interposer;
pub mod left_out;
pub mod model_server;
pub mod peer;
pub mod recording;
pub mod resources;
pub mod rng;
pub mod rounds;
pub mod sample;
pub mod script;
pub mod server;
pub mod sse;
pub mod temp_dir;
pub mod wait;
pub mod workload;
