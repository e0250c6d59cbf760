//! `chat` and `providers` as a person has them: the real program beside a real server.

mod conversation;
mod person;
mod providers;
mod relay;
