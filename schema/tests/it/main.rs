//! Tests of the stored and the wire forms, through the crate's public face.

#![expect(clippy::unwrap_used, reason = "outside of a #[test] function it is still a test")]

mod append_body;
mod batch;
mod codec;
mod golden;
mod lines;
mod migrations;
mod names;
mod refusals;
mod second_decoder;
