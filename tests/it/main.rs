//! The one integration binary: what holds across modules, processes and versions.
//!
//! A file beside this one is a module of it; `tidy` finds a forgotten one. What a single module
//! promises is tested in that module.

#![expect(
    clippy::disallowed_methods,
    reason = "a test may open what a server wrote, and look at the clock while it waits"
)]

mod http;
mod tidy;
