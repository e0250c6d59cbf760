//! Model providers against endpoints over real sockets: what they say, and how they fail.

mod acp;
mod anthropic;
mod bounds;
mod everybody;
mod failures;
mod interop;
mod recordings;
mod requests;
mod turn;
mod wire;
