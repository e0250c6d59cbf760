//! More than a server can take: who is refused, what it costs, and that the others do not notice.
//!
//! Each test drives the program itself over sockets of its own, prints its figures, and grows with
//! `SCROLLBACK_ROUNDS`: 25 rounds are ten thousand idle readers, a thousand that never read, a
//! hundred thousand chats and a chat of a million events.

mod admission;
mod large;
mod rates;
mod readers;
mod room;
mod slow;
