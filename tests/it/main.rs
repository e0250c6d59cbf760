//! The one integration binary: what holds across modules, processes and versions.
//!
//! A file beside this one is a module of it; `tidy` finds a forgotten one. What a single module
//! promises is tested in that module.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod append;
mod chat;
mod cli;
mod compat;
mod crash;
mod damage;
mod failures;
mod faults;
mod fixture;
mod fuzz_smoke;
mod handoff;
mod http;
mod interop;
mod model;
mod overload;
mod parked;
mod power_loss;
mod provider;
mod recorded;
mod replay;
mod retention;
mod schedule_crash;
mod strangers;
mod tidy;
mod turns;
