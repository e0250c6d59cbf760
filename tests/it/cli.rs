//! The program as a person at a terminal has it: what is printed, what is kept, how it ends.

mod damage;
mod full_disk;
mod help;
mod inspect;
mod moved;
pub(crate) mod program;
mod readers;
mod refusals;
