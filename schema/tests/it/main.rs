//! Tests of the stored and the wire forms, through the crate's public face.

mod batch;
mod codec;
mod golden;

mod migrations;
mod names;
