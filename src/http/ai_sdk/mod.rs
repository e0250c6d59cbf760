//! The Vercel AI SDK in front of the log: an unchanged `useChat({ resume: true })` talks to these
//! routes, and what it is told is what the native routes tell.
//!
//! What a client sends is read in `sent`; `ui_message` is a message as a whole, `turn_chunks` the
//! same message in pieces, both pure; `stream` follows a turn, `routes` are the calls. The majors
//! 5, 6 and 7 of the SDK read all of it: only chunks, and only fields, that all three know are
//! used. How turns run and what is stored is left to `turn` and `log`.

mod chunk;
mod routes;
mod sent;
mod stream;
mod turn_chunks;
#[cfg(test)]
mod turn_chunks_test;
mod ui_message;

pub(crate) use routes::*;
