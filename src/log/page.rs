//! What a reader asks for and gets: a scope, the bounds of a page, the page, and why there is none.

use std::sync::Arc;

use scrollback_schema::Seq;
use scrollback_schema::batch::BatchError;
use scrollback_schema::codec::CodecError;

use super::Owner;
use super::section::Section;

/// What a reader wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every chat.
    All,
    /// One chat, by the seq of its `chat_created`.
    Chat(Seq),
    /// Several chats, likewise, in ascending order.
    Chats(Arc<[Seq]>),
    /// Every chat of an owner, those that are still to come as well; for as long as somebody
    /// [follows](super::Log::subscribe) it.
    Owner(Owner),
}

/// The bounds of a page; a page is never cut within a section, so it can pass them by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimits {
    /// Events.
    pub events: usize,
    /// Payload bytes.
    pub bytes: usize,
}

impl Default for PageLimits {
    fn default() -> Self {
        use scrollback_schema::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
        PageLimits { events: PAGE_EVENTS_MAX, bytes: PAGE_BYTES_MAX }
    }
}

impl PageLimits {
    pub(crate) fn start(self) -> Filled {
        Filled { limits: self, n_events: 0, n_bytes: 0 }
    }
}

/// How full a page is.
pub(crate) struct Filled {
    limits: PageLimits,
    n_events: usize,
    n_bytes: usize,
}

impl Filled {
    pub(crate) fn is_full(&self) -> bool {
        self.n_events >= self.limits.events || self.n_bytes >= self.limits.bytes
    }

    pub(crate) fn add(&mut self, section: &Section) {
        self.n_events += section.len();
        self.n_bytes += section.n_bytes();
    }
}

/// A piece of the log: all of the scope in (`after`, `through`].
#[derive(Debug)]
pub struct Page {
    /// In order of their seqs; the first and the last can reach beyond the bounds that were asked
    /// for, see [`Section::events_in`].
    pub sections: Vec<Arc<Section>>,
    /// The seq up to which the page is complete.
    pub through: Seq,
}

impl Page {
    /// Joins the pages of several chats into one in order, complete as far as all of them are.
    pub(crate) fn merge(pages: impl Iterator<Item = Page>, until: Seq, limits: PageLimits) -> Page {
        let (mut sections, mut through) = (Vec::new(), until);
        for page in pages {
            through = through.min(page.through);
            sections.extend(page.sections);
        }
        sections.sort_unstable_by_key(|section| section.first_seq());
        sections.retain(|section| section.first_seq() <= through);
        let mut filled = limits.start();
        let fits = sections.iter().take_while(|section| {
            let fits = !filled.is_full();
            filled.add(section);
            fits
        });
        let n_fit = fits.count();
        if n_fit < sections.len() {
            through = sections[n_fit].first_seq().prev();
            sections.truncate(n_fit);
        }
        Page { sections, through }
    }
}

/// Where the events of a chat are: a projection, built behind the log.
pub trait ChatIndex: Send + Sync + std::fmt::Debug {
    /// Runs of a chat's events that end after `after`, in order, at most `limit`.
    ///
    /// # Errors
    ///
    /// The index's own; the read that asked fails.
    fn runs(
        &self,
        chat: Seq,
        after: Seq,
        limit: usize,
    ) -> Result<ChatRuns, Box<dyn std::error::Error + Send + Sync>>;
}

/// An index's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRuns {
    /// First seq and length of each run.
    pub runs: Vec<(Seq, u64)>,
    /// The seq up to which the index knows the log.
    pub indexed_through: Seq,
}

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A row's records cannot be walked.
    #[error("log is damaged at seq {seq}; run `scrollback verify`")]
    Damaged {
        /// The first seq that cannot be read.
        seq: Seq,
        /// What is wrong.
        #[source]
        source: BatchError,
    },
    /// A payload does not decode.
    #[error("payload of seq {seq} does not decode; run `scrollback verify`")]
    Undecodable {
        /// The event.
        seq: Seq,
        /// What is wrong.
        #[source]
        source: CodecError,
    },
    /// A number stands for no chat or turn.
    #[error("{what} of seq {seq} has no name; run `scrollback verify`")]
    Nameless {
        /// `chat`, `turn` or `message`.
        what: &'static str,
        /// Its number.
        seq: Seq,
    },
    /// A seq that should be there is not.
    #[error("log has no event at seq {seq}; run `scrollback verify`")]
    Gap {
        /// The missing one.
        seq: Seq,
    },
    /// A file of the archive is missing or damaged.
    #[error(transparent)]
    Archive(#[from] super::SegmentError),
    /// The projection that finds a chat's events failed.
    #[error("the events of the chat could not be looked up")]
    Index {
        /// Its reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// SQLite failed.
    #[error("the log could not be read")]
    Storage(#[from] rusqlite::Error),
    /// No connection was free in time.
    #[error("no connection to the log was free in time")]
    Busy(#[from] r2d2::Error),
    /// The thread that read has ended.
    #[error("a read of the log was interrupted")]
    Interrupted,
}
