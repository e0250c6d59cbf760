//! Scrollback: one append-only log for AI chats.

pub mod clock;
pub mod log;
pub mod projector;
pub mod read_model;
pub mod sqlite;
