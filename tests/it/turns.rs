//! Turns that the server runs, seen over its routes: how they run, fail, stop, ask, queue and go
//! on. `disk` and `restart` start the program, all others
//! do without a socket.

mod ask;
#[cfg(feature = "failpoints")]
mod disk;
mod keys;
mod many;
mod queue;
mod restart;
pub(crate) mod room;
mod run;
mod schedule;
mod stop;
