//! Tests of the folds: scripts of events and the rows that follow from them, and what each costs.

mod cannot_apply;
mod cases;
mod cost;
mod fold;
mod rebuilt;
mod shown;
mod tag;
