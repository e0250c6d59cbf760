//! What can be wrong with a log, each with its place and with what to do.
//!
//! Finding it is left to the modules beside this one; printing it to whoever asked.

use std::fmt;

use scrollback_schema::batch::BatchError;
use scrollback_schema::codec::CodecError;
use scrollback_schema::{Millis, Seq};

use crate::log::archive::SegmentError;

/// Seqs from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first seq.
    pub first: Seq,
    /// The last seq.
    pub last: Seq,
}

impl Span {
    /// A single seq.
    pub const fn at(seq: Seq) -> Span {
        Span { first: seq, last: seq }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "seq {}", self.first)
        } else {
            write!(f, "seq {} to {}", self.first, self.last)
        }
    }
}

/// One of the tables that the writer keeps beside the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Chats by number.
    Chat,
    /// Turns by number.
    Turn,
    /// Ids that a chat has used.
    Register,
    /// Answers by idempotency key.
    Idempotency,
}

impl Table {
    /// The table's name in log.db.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Chat => "chat",
            Table::Turn => "turn",
            Table::Register => "register",
            Table::Idempotency => "idempotency",
        }
    }
}

/// Something that is wrong with a log.
#[derive(Debug)]
pub enum Finding {
    /// The file is shorter than its own header says.
    Truncated {
        /// Bytes that the header promises.
        expected: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// SQLite cannot read some rows.
    Unreadable {
        /// The seqs that could not be read; the last is [`Seq::MAX`] if nothing after them could.
        span: Span,
        /// SQLite's words.
        cause: String,
    },
    /// Seqs that no row holds.
    Gap {
        /// The seqs that are missing.
        span: Span,
    },
    /// A row that starts before the one in front of it ends.
    Overlap {
        /// The seqs that are there twice.
        span: Span,
    },
    /// A row whose checksum does not fit its columns, its heads or the row before.
    Checksum {
        /// The row's seqs.
        span: Span,
    },
    /// A row whose records cannot be walked.
    Records {
        /// The row's seqs.
        span: Span,
        /// What is wrong with the bytes.
        cause: BatchError,
    },
    /// Payloads that are not what was written.
    Payload {
        /// The seqs that share the checksum.
        span: Span,
    },
    /// A payload that is no event of its kind.
    Undecodable {
        /// Its seq.
        seq: Seq,
        /// The stored number of its kind.
        kind: u16,
        /// What is wrong with the bytes.
        cause: CodecError,
    },
    /// Payloads erased in a chat that was never deleted.
    ErasedWithoutTombstone {
        /// The erased seqs.
        span: Span,
        /// Seq of the chat's `chat_created`.
        chat: Seq,
    },
    /// Payloads left of a chat whose erasing is said to be done.
    NotErased {
        /// The seqs that are left.
        span: Span,
        /// Seq of the chat's `chat_created`.
        chat: Seq,
    },
    /// A commit that is older than the one before it.
    TimeRunsBack {
        /// The row's seqs.
        span: Span,
        /// When it says that it was committed.
        at: Millis,
        /// When the row before was.
        before: Millis,
    },
    /// An event that breaks a rule which is enforced at append.
    Rule {
        /// Its seq.
        seq: Seq,
        /// The rule, without text of the chat.
        rule: String,
    },
    /// A row of one of the writer's tables that disagrees with the log.
    Table {
        /// The table.
        table: Table,
        /// The event that the row is about.
        seq: Seq,
        /// How it disagrees.
        what: String,
    },
    /// The witness of the head disagrees with the log.
    Witness {
        /// The head that the witness names.
        witness: Seq,
        /// The head of the log.
        head: Seq,
        /// How it disagrees.
        what: String,
    },
    /// A table, an index or a trigger that is not defined as its version defines it.
    Definition {
        /// Its type and its name.
        what: String,
    },
    /// A file of the archive that is missing or is not what was written.
    Segment {
        /// The seqs that it does not give.
        span: Span,
        /// The file, from the data directory on.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// SQLite's own check of the file found something.
    Sqlite {
        /// Its words, which name tree and page.
        detail: String,
    },
}

/// What follows from a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    Restore,
    Segment,
    Rebuild,
    Erase,
    Report,
    Witness,
}

impl Finding {
    /// What a file of the archive does not give.
    pub(crate) fn of_segment(span: Span, error: &SegmentError) -> Finding {
        let file = error.path().file_name().unwrap_or_default().to_string_lossy();
        Finding::Segment { span, file: format!("archive/{file}"), what: error.what() }
    }

    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Finding::Truncated { .. } => "truncated",
            Finding::Unreadable { .. } => "unreadable",
            Finding::Gap { .. } => "gap",
            Finding::Overlap { .. } => "overlap",
            Finding::Checksum { .. } => "checksum",
            Finding::Records { .. } => "records",
            Finding::Payload { .. } => "payload",
            Finding::Undecodable { .. } => "undecodable",
            Finding::ErasedWithoutTombstone { .. } => "erased_without_tombstone",
            Finding::NotErased { .. } => "not_erased",
            Finding::TimeRunsBack { .. } => "time_runs_back",
            Finding::Rule { .. } => "rule",
            Finding::Table { .. } => "table",
            Finding::Witness { .. } => "witness",
            Finding::Definition { .. } => "definition",
            Finding::Segment { .. } => "segment",
            Finding::Sqlite { .. } => "sqlite",
        }
    }

    /// The seqs that it is about; none where it is about the file as a whole.
    pub const fn span(&self) -> Option<Span> {
        match self {
            Finding::Truncated { .. } | Finding::Definition { .. } | Finding::Sqlite { .. } => None,
            Finding::Unreadable { span, .. }
            | Finding::Gap { span }
            | Finding::Overlap { span }
            | Finding::Checksum { span }
            | Finding::Records { span, .. }
            | Finding::Payload { span }
            | Finding::ErasedWithoutTombstone { span, .. }
            | Finding::NotErased { span, .. }
            | Finding::Segment { span, .. }
            | Finding::TimeRunsBack { span, .. } => Some(*span),
            Finding::Undecodable { seq, .. }
            | Finding::Rule { seq, .. }
            | Finding::Table { seq, .. } => Some(Span::at(*seq)),
            Finding::Witness { witness, .. } => Some(Span::at(*witness)),
        }
    }

    /// The file of the data directory that it is about.
    pub fn file(&self) -> &str {
        match self {
            Finding::Witness { .. } => "head",
            Finding::Segment { file, .. } => file,
            _ => "log.db",
        }
    }

    const fn remedy(&self) -> Remedy {
        match self {
            Finding::Truncated { .. }
            | Finding::Unreadable { .. }
            | Finding::Gap { .. }
            | Finding::Overlap { .. }
            | Finding::Checksum { .. }
            | Finding::Records { .. }
            | Finding::Payload { .. }
            | Finding::Undecodable { .. }
            | Finding::ErasedWithoutTombstone { .. }
            | Finding::Sqlite { .. } => Remedy::Restore,
            Finding::Segment { .. } => Remedy::Segment,
            Finding::Table { .. } | Finding::Definition { .. } => Remedy::Rebuild,
            Finding::NotErased { .. } => Remedy::Erase,
            Finding::TimeRunsBack { .. } | Finding::Rule { .. } => Remedy::Report,
            Finding::Witness { .. } => Remedy::Witness,
        }
    }

    /// What to do about it.
    pub const fn advice(&self) -> &'static str {
        match self.remedy() {
            Remedy::Restore => {
                "stop the server, keep a copy of the directory, and put back the last backup; \
                 `scrollback export --readable` saves every event that is whole"
            }
            Remedy::Segment => {
                "put this one file back from a backup: as long as no chat in it was deleted since, \
                 a file of the archive never changes"
            }
            Remedy::Rebuild => {
                "the log itself is not affected; `scrollback export` and `scrollback import` into \
                 an empty directory make the table anew"
            }
            Remedy::Erase => "start the server, or delete the chat again: it erases what is left",
            Remedy::Report => {
                "no append of this program makes such an event: find out what else wrote to the \
                 file, and report it"
            }
            Remedy::Witness => {
                "committed events are missing at the end of the log: put back the file that was \
                 here before, or the last backup"
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Truncated { expected, found } => {
                write!(f, "file: cut short: {found} bytes of {expected} are there")
            }
            Finding::Unreadable { span, cause } if span.last == Seq::MAX => {
                write!(f, "seq {} and after: unreadable: {cause}", span.first)
            }
            Finding::Unreadable { span, cause } => write!(f, "{span}: unreadable: {cause}"),
            Finding::Gap { span } => write!(f, "{span}: missing: no row holds them"),
            Finding::Overlap { span } => write!(f, "{span}: twice: two rows hold them"),
            Finding::Checksum { span } => {
                write!(f, "{span}: the row's checksum does not fit what it holds")
            }
            Finding::Records { span, cause } => write!(f, "{span}: {cause}"),
            Finding::Payload { span } => write!(f, "{span}: payloads are not what was written"),
            Finding::Undecodable { seq, kind, cause } => {
                write!(f, "seq {seq}: no event of kind {kind}: {cause}")
            }
            Finding::ErasedWithoutTombstone { span, chat } => {
                write!(f, "{span}: erased, but chat {chat} has no tombstone")
            }
            Finding::NotErased { span, chat } => {
                write!(f, "{span}: still there, though the erasing of chat {chat} is said done")
            }
            Finding::TimeRunsBack { span, at, before } => {
                write!(f, "{span}: committed at {at}, before the {before} of the row in front")
            }
            Finding::Rule { seq, rule } => write!(f, "seq {seq}: breaks a rule: {rule}"),
            Finding::Table { table, seq, what } => {
                write!(f, "seq {seq}: table {} disagrees with the log: {what}", table.name())
            }
            Finding::Witness { witness, head, what } => {
                write!(f, "seq {witness}: the witness names it, the log ends at {head}: {what}")
            }
            Finding::Definition { what } => {
                write!(f, "file: {what} is not as this program defines it")
            }
            Finding::Segment { span, file, what } => write!(f, "{span}: {file}: {what}"),
            Finding::Sqlite { detail } => write!(f, "file: {detail}"),
        }
    }
}
