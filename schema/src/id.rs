//! Identities and the one position: ids are text that a client may choose, a [`Seq`] is a place in
//! the log.
//!
//! Making a fresh id needs randomness and is left to the caller.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::ID_LEN_MAX;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text has no characters.
    #[error("{what} is empty; use 1 to {ID_LEN_MAX} characters of A-Z a-z 0-9 . _ : -")]
    Empty {
        /// Which id it should have been, for example `chat id`.
        what: &'static str,
    },
    /// The text has more than [`ID_LEN_MAX`] characters.
    #[error("{what} has {len} characters; at most {ID_LEN_MAX} are allowed")]
    TooLong {
        /// Which id it should have been.
        what: &'static str,
        /// Length of the refused text in bytes.
        len: usize,
    },
    /// A character outside `A-Z a-z 0-9 . _ : -`.
    #[error("{what} has a character at byte {at} that is not one of A-Z a-z 0-9 . _ : -")]
    Character {
        /// Which id it should have been.
        what: &'static str,
        /// Byte offset of the first refused character.
        at: usize,
    },
}

fn check(what: &'static str, text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { what });
    }
    if text.len() > ID_LEN_MAX {
        return Err(IdError::TooLong { what, len: text.len() });
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    match text.bytes().position(|b| !allowed(b)) {
        Some(at) => Err(IdError::Character { what, at }),
        None => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        ///
        /// 1 to 128 characters of `A-Z a-z 0-9 . _ : -`; cloning shares the text.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses an id.
            ///
            /// # Errors
            ///
            /// [`IdError`] if the text is empty, too long or has a character that is not allowed.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check($what, text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                check($what, &text)?;
                Ok(Self(Arc::from(text)))
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

id!(
    /// Names a chat.
    ChatId, "chat id"
);
id!(
    /// Names a message within its chat.
    MessageId, "message id"
);
id!(
    /// Names a turn within its chat; `streamId` on the wire.
    TurnId, "turn id"
);
id!(
    /// Names an approval or a question within its chat.
    RequestId, "request id"
);
id!(
    /// Names an item of a chat's queue.
    QueuedMessageId, "queued message id"
);
id!(
    /// Names a schedule within its chat.
    ScheduleId, "schedule id"
);

/// A position in the log: 1, 2, 3 … dense over all chats; 0 is before the first event.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(try_from = "u64", into = "u64")]
pub struct Seq(u64);

impl TryFrom<u64> for Seq {
    type Error = SeqError;
    fn try_from(seq: u64) -> Result<Seq, SeqError> {
        Seq::new(seq).ok_or(SeqError::TooLarge)
    }
}

impl From<Seq> for u64 {
    fn from(seq: Seq) -> u64 {
        seq.0
    }
}

impl Seq {
    /// Before the first event.
    pub const ZERO: Seq = Seq(0);
    /// The greatest position: 2^63-1, since SQLite's integers are signed.
    pub const MAX: Seq = Seq(i64::MAX as u64);

    /// Wraps a position; a value above [`Seq::MAX`] is `None`.
    pub const fn new(seq: u64) -> Option<Seq> {
        if seq <= Seq::MAX.0 { Some(Seq(seq)) } else { None }
    }

    /// Reads a position as SQLite stores it; a negative value is `None`.
    pub const fn from_i64(seq: i64) -> Option<Seq> {
        if seq >= 0 { Some(Seq(seq as u64)) } else { None }
    }

    /// The bare number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The bare number as SQLite stores it.
    pub const fn as_i64(self) -> i64 {
        self.0 as i64
    }

    /// The position `n` further on, at most [`Seq::MAX`].
    #[must_use]
    pub const fn plus(self, n: u64) -> Seq {
        let sum = self.0.saturating_add(n);
        if sum > Seq::MAX.0 { Seq::MAX } else { Seq(sum) }
    }

    /// The next position.
    #[must_use]
    pub const fn next(self) -> Seq {
        self.plus(1)
    }

    /// The position before this one; that of zero is zero.
    #[must_use]
    pub const fn prev(self) -> Seq {
        Seq(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for Seq {
    type Err = SeqError;
    /// Takes decimal digits only: no sign, no space, no exponent.
    fn from_str(text: &str) -> Result<Seq, SeqError> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(SeqError::NotANumber);
        }
        text.parse().ok().and_then(Seq::new).ok_or(SeqError::TooLarge)
    }
}

/// Why a text is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SeqError {
    /// Something other than decimal digits.
    #[error("a seq is a whole number of 0 or more, in decimal digits")]
    NotANumber,
    /// Above [`Seq::MAX`].
    #[error("a seq is at most 9223372036854775807")]
    TooLarge,
}
