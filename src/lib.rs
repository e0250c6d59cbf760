#![doc = include_str!("architecture.md")]

pub mod clock;
pub mod log;
pub mod projector;
pub mod read_model;
pub mod sqlite;
