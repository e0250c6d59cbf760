//! Pages of an offline log, from a seq on forwards and backwards, bounded by count and by bytes.
//!
//! There is no index: a walk goes over every row, and names and holds only what is wanted.

use std::sync::Arc;

use scrollback_schema::Seq;
use scrollback_schema::batch::SectionView;

use super::{OfflineError, OfflineLog};
use crate::log::reader::{self, Flow};
use crate::log::{Page, PageLimits, ReadError, Scope, Section};

/// Bytes of rows that one read transaction walks over at most: some milliseconds.
const SCAN_BYTES_MAX: usize = 4 << 20;

/// A piece of the log that was read from its end on backwards.
#[derive(Debug)]
pub struct PageBack {
    /// The last one first; each holds its events in order, and can reach beyond the bounds.
    pub sections: Vec<Arc<Section>>,
    /// The seq after which the page is complete.
    pub after: Seq,
}

impl OfflineLog {
    /// Reads a page: everything of the scope in (`after`, `page.through`].
    ///
    /// A page also ends after a few megabytes of rows that hold nothing of the scope.
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if it cannot be read.
    pub fn page(
        &mut self,
        scope: &Scope,
        after: Seq,
        until: Seq,
        limits: PageLimits,
    ) -> Result<Page, OfflineError> {
        self.page_where(scope, after, until, limits, &|_| true)
    }

    /// Reads a page of those sections that are asked for. The others cost their walk, and are
    /// neither named nor held.
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if it cannot be read.
    pub fn page_where(
        &mut self,
        scope: &Scope,
        after: Seq,
        until: Seq,
        limits: PageLimits,
        is_asked_for: &dyn Fn(&SectionView<'_>) -> bool,
    ) -> Result<Page, OfflineError> {
        let is_wanted = wanted(scope, after, until, is_asked_for);
        // No event of a chat stands before its chat_created.
        let begin = match scope {
            // Nobody follows an owner offline.
            Scope::All | Scope::Owner(_) => after,
            Scope::Chat(chat) => after.max(chat.prev()),
            Scope::Chats(chats) => after.max(chats.iter().min().map_or(after, |chat| chat.prev())),
        };
        self.read(|store, names| {
            let mut page = Page { sections: Vec::new(), through: until };
            let (mut filled, mut n_bytes) = (limits.start(), 0);
            reader::rows_after::<ReadError>(store, begin, |row| {
                if row.head.first_seq > until {
                    return Ok(Flow::Stop);
                }
                if filled.is_full() || n_bytes >= SCAN_BYTES_MAX {
                    page.through = row.head.first_seq.prev();
                    return Ok(Flow::Stop);
                }
                n_bytes += row.records.len();
                names.sections_of(store.db, &row, &is_wanted, |section| {
                    filled.add(&section);
                    page.sections.push(section);
                })?;
                Ok(Flow::Go)
            })?;
            Ok(page)
        })
    }

    /// Reads a page from its end on backwards, likewise: everything of the scope that is wanted in
    /// (`page.after`, `until`].
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if it cannot be read.
    pub fn page_back_where(
        &mut self,
        scope: &Scope,
        after: Seq,
        until: Seq,
        limits: PageLimits,
        is_asked_for: &dyn Fn(&SectionView<'_>) -> bool,
    ) -> Result<PageBack, OfflineError> {
        let is_wanted = wanted(scope, after, until, is_asked_for);
        self.read(|store, names| {
            let mut page = PageBack { sections: Vec::new(), after };
            let (mut filled, mut n_bytes) = (limits.start(), 0);
            reader::rows_back::<ReadError>(store, until, |row| {
                if row.head.last_seq() <= after {
                    return Ok(Flow::Stop);
                }
                if filled.is_full() || n_bytes >= SCAN_BYTES_MAX {
                    page.after = row.head.last_seq();
                    return Ok(Flow::Stop);
                }
                n_bytes += row.records.len();
                let mut sections = Vec::new();
                names.sections_of(store.db, &row, &is_wanted, |section| {
                    filled.add(&section);
                    sections.push(section);
                })?;
                page.sections.extend(sections.into_iter().rev());
                Ok(Flow::Go)
            })?;
            Ok(page)
        })
    }
}

/// Whether a section, from its first to its last seq, has anything of a scope in (`after`, `until`]
/// and is asked for.
fn wanted<'a>(
    scope: &'a Scope,
    after: Seq,
    until: Seq,
    is_asked_for: &'a dyn Fn(&SectionView<'_>) -> bool,
) -> impl Fn(&SectionView<'_>, Seq, Seq) -> bool + use<'a> {
    move |section, first, last| {
        let chat = section.head.chat;
        let is_in_scope = match scope {
            Scope::All => true,
            Scope::Chat(only) => *only == chat,
            Scope::Chats(chats) => chats.contains(&chat),
            Scope::Owner(_) => false,
        };
        is_in_scope && last > after && first <= until && is_asked_for(section)
    }
}
