//! Strangers and second persons: what they ask for, and that none of it is theirs.
//!
//! `people` is a server with an admin, two users and a secret; `routes` goes through every route
//! that the server documents, `second_person` through all that could tell one user of another,
//! `tokens` through tokens and tickets that are not what they have to be, and `outside` through
//! what only a process with a socket shows.

mod outside;
mod people;
mod routes;
mod second_person;
mod tokens;
