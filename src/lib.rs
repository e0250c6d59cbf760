//! Scrollback: one append-only log for AI chats.

pub mod clock;
pub mod log;
pub mod sqlite;
