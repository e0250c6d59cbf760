//! Tests of the folds: scripts of events and the rows that follow from them, and what each costs.

#![expect(clippy::unwrap_used, reason = "what is shared here is used by tests alone")]

mod cannot_apply;
mod cases;
mod cost;
mod damage;
mod fold;
mod rebuilt;
mod shown;
mod tag;
mod wire_rows;
