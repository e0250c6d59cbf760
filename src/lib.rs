//! Scrollback: one append-only log for AI chats.
//!
#![doc = include_str!("architecture.md")]

pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod fault;
pub mod http;
mod inspect;
pub mod log;
pub mod projector;
pub mod provider;
pub mod read_model;
mod retention;
pub mod sqlite;
pub mod turn;
