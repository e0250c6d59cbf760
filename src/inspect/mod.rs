//! Looking into the log: which events are wanted, what they say, where the time of a turn went.
//!
//! The command line and the inspector page ask the same questions, and are answered here, from
//! log.db alone. How answers are printed or sent is left to `cli::inspect` and `http`.
//!
//! Reading order: `plan` is what of the log has to be read, `sieve` what need not be decoded,
//! `search` reads as much as one call may; `timeline` and `words` are what is made of the events.

mod plan;
mod search;
mod sieve;
#[cfg(test)]
mod sieve_test;
mod timeline;
mod words;

pub(crate) use plan::{Plan, PlanError, Stretch, Wanted, find_chat};
pub(crate) use search::{Found, Search, last_events};
pub(crate) use timeline::{GAP_MS, Run, Timeline};
pub(crate) use words::{duration_text, kind_name, quoted, text_of};
