#![doc = include_str!("architecture.md")]

pub mod clock;
pub mod sqlite;
pub mod log;
