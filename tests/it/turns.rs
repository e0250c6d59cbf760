//! Turns that the server runs, seen over its routes without a socket: how they run, fail, stop,
//! ask, queue and go on.

mod ask;
mod many;
mod queue;
mod room;
mod run;
mod stop;
