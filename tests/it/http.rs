//! The routes as clients call them, without a socket: shapes, problems, streams.
//!
//! What needs a process, a network or a crash is tested beside this.

mod ai_sdk;
pub(crate) mod api;
mod chats;
mod look;
mod openapi;
mod pages;
mod problems;
mod projections;
mod queries;
mod short_way;
mod streams;
mod turns;
