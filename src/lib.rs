#![doc = include_str!("architecture.md")]

pub mod clock;
pub mod log;
pub mod sqlite;
