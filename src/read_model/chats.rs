//! Chats: one, all by last activity, and those whose turn is open.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use scrollback_projections::chat::{Chat, Chats, OpenTurnView};
use scrollback_schema::{ChatId, ChatRef, Millis, Seq};
use serde_json::value::RawValue;

use super::open::OpenView;
use super::{ReadModel, ReadModelError, blocking, json};
use crate::auth::Principal;
use crate::log::Scope;
use crate::projector::{
    ChatPlace, Fold, Store, chats_before, chats_idle_at, chats_of, open_chats_after,
};

/// Which chats a caller may see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChatFilter {
    /// Only chats of this owner; else all.
    pub owner: Option<String>,
    /// Only these chats, if they are given.
    pub only: Option<Arc<BTreeSet<ChatId>>>,
}

impl ChatFilter {
    /// What a principal may see.
    pub fn of(principal: &Principal) -> ChatFilter {
        let owner = principal.owner().map(|owner| owner.as_str().to_owned());
        ChatFilter { owner, only: principal.chats().cloned() }
    }

    /// Whether it lets every chat through.
    pub(super) fn is_all(&self) -> bool {
        self.owner.is_none() && self.only.is_none()
    }

    /// Whether it lets a chat through.
    pub(super) fn admits(&self, chat: &Chat) -> bool {
        (self.owner.is_none() || self.owner == chat.owner)
            && self.only.as_ref().is_none_or(|only| only.contains(&chat.id))
    }
}

/// What of the list of chats is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatsQuery {
    /// Which chats.
    pub filter: ChatFilter,
    /// Where the page before ended.
    pub cursor: Option<ChatCursor>,
    /// Items at most.
    pub limit: usize,
}

/// A page of chats, the last active first.
#[derive(Debug)]
pub struct ChatsPage {
    /// The chats as clients see them.
    pub items: Vec<Box<RawValue>>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<ChatCursor>,
    /// The seq that the page reflects.
    pub as_of_seq: Seq,
}

/// One chat.
#[derive(Debug)]
pub struct ChatAnswer {
    /// The chat as clients see it; none if it was deleted.
    pub chat: Option<Box<RawValue>>,
    /// Its owner, if it has one.
    pub owner: Option<String>,
    /// The seq that the answer reflects.
    pub as_of_seq: Seq,
}

/// A chat whose turn is open.
#[derive(Debug)]
pub struct OpenTurnEntry {
    /// The chat.
    pub chat_id: ChatId,
    /// The chat's owner, if it has one.
    pub owner: Option<String>,
    /// The turn as clients see it.
    pub turn: Box<RawValue>,
    /// The seq of the turn's first event: the cursor of the next page.
    pub started_seq: Seq,
}

/// A place in the list of chats: `MILLISECONDS-SEQ` of the last chat that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatCursor(ChatPlace);

impl fmt::Display for ChatCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.last_activity_at.get(), self.0.created)
    }
}

/// The text is no place in the list of chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one that this list gave; leave it out to begin anew")]
pub struct CursorError;

impl FromStr for ChatCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<ChatCursor, CursorError> {
        let (ms, created) = text.split_once('-').ok_or(CursorError)?;
        let ms: u64 = ms.parse().map_err(|_| CursorError)?;
        let ms = i64::try_from(ms).map_err(|_| CursorError)?;
        let created = created.parse().map_err(|_| CursorError)?;
        Ok(ChatCursor(ChatPlace { last_activity_at: Millis::new(ms), created }))
    }
}

impl ReadModel {
    /// A page of the chats, the last active first.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn chats(&self, query: ChatsQuery) -> Result<ChatsPage, ReadModelError> {
        let as_of = self.log.head();
        self.ready(&[&self.views.chats], as_of).await?;
        let this = self.clone();
        blocking(move || this.chats_blocking(&query, as_of)).await
    }

    fn chats_blocking(&self, query: &ChatsQuery, as_of: Seq) -> Result<ChatsPage, ReadModelError> {
        let open = OpenView::new(&self.views.chats)?;
        let as_of = as_of.max(open.from);
        let newer = open.fold_on_top(&self.log, &Scope::All, as_of, Fold::<Chats>::new())?;
        let before = query.cursor.map(|cursor| cursor.0);
        let fits = |chat: &Chat| {
            query.filter.admits(chat) && before.is_none_or(|before| ChatPlace::of(chat) < before)
        };
        let mut chats: Vec<Chat> = Vec::with_capacity(query.limit + 1);
        let owner = query.filter.owner.as_deref();
        chats_before(open.db(), owner, before, |chat| {
            if !newer.has_touched(&chat.created) && query.filter.admits(&chat) {
                chats.push(chat);
            }
            chats.len() <= query.limit
        })
        .map_err(|error| open.failed(error))?;
        chats.extend(newer.into_rows().filter_map(|(_, row)| row).filter(fits));
        chats.sort_by_key(|chat| std::cmp::Reverse(ChatPlace::of(chat)));
        let has_more = chats.len() > query.limit;
        chats.truncate(query.limit);
        let last = chats.last().filter(|_| has_more);
        Ok(ChatsPage {
            items: chats.iter().map(|chat| json(&chat.view())).collect(),
            next_cursor: last.map(|chat| ChatCursor(ChatPlace::of(chat))),
            as_of_seq: as_of,
        })
    }

    /// The chats that a filter admits, by their first seqs, in ascending order.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn chats_of(&self, filter: ChatFilter) -> Result<Vec<Seq>, ReadModelError> {
        let as_of = self.log.head();
        self.ready(&[&self.views.chats], as_of).await?;
        let this = self.clone();
        blocking(move || {
            let open = OpenView::new(&this.views.chats)?;
            this.admitted(&open, &filter, as_of)
        })
        .await
    }

    /// The chats that a filter admits; it is one that does not admit all.
    pub(super) fn admitted(
        &self,
        open: &OpenView,
        filter: &ChatFilter,
        as_of: Seq,
    ) -> Result<Vec<Seq>, ReadModelError> {
        let ids = filter.only.as_ref().map(|only| {
            let ids: Vec<&str> = only.iter().map(ChatId::as_str).collect();
            json(&ids).get().to_owned()
        });
        let found = chats_of(open.db(), filter.owner.as_deref(), ids.as_deref());
        let mut seqs = found.map_err(|error| open.failed(error))?;
        let newer = open.fold_on_top(&self.log, &Scope::All, as_of, Fold::<Chats>::new())?;
        let newer = newer.into_rows().filter_map(|(_, row)| row);
        seqs.extend(newer.filter(|chat| filter.admits(chat)).map(|chat| chat.created));
        seqs.sort_unstable();
        seqs.dedup();
        Ok(seqs)
    }

    /// One chat.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn chat(&self, chat: &ChatRef) -> Result<ChatAnswer, ReadModelError> {
        let as_of = self.log.head();
        self.ready(&[&self.views.chats], as_of).await?;
        let (this, chat) = (self.clone(), chat.created);
        blocking(move || {
            let open = OpenView::new(&this.views.chats)?;
            let as_of = as_of.max(open.from);
            let (chat, as_of_seq) = this.chat_row(&open, chat, as_of)?;
            let owner = chat.as_ref().and_then(|chat| chat.owner.clone());
            Ok(ChatAnswer { chat: chat.map(|chat| json(&chat.view())), owner, as_of_seq })
        })
        .await
    }

    /// One chat as it is kept; none if it was deleted.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn chat_record(&self, chat: &ChatRef) -> Result<Option<Chat>, ReadModelError> {
        let as_of = self.log.head();
        self.ready(&[&self.views.chats], as_of).await?;
        let (this, chat) = (self.clone(), chat.created);
        blocking(move || {
            let open = OpenView::new(&this.views.chats)?;
            let as_of = as_of.max(open.from);
            Ok(this.chat_row(&open, chat, as_of)?.0)
        })
        .await
    }

    /// Chats in which nothing happened from `at` on, the longest idle first, behind the one that
    /// the page before ended with.
    ///
    /// As far as the view is on disk: what is about to be done to one of them has to look again.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub(crate) async fn idle_chats(
        &self,
        at: Millis,
        after: Option<ChatPlace>,
        limit: usize,
    ) -> Result<Vec<(ChatPlace, ChatRef)>, ReadModelError> {
        self.ready(&[&self.views.chats], self.log.head()).await?;
        let this = self.clone();
        blocking(move || {
            let open = OpenView::new(&this.views.chats)?;
            let mut chats = Vec::new();
            chats_idle_at(open.db(), at, after, |chat| {
                let place = ChatPlace::of(&chat);
                chats.push((place, ChatRef { id: chat.id, created: chat.created }));
                chats.len() < limit
            })
            .map_err(|error| open.failed(error))?;
            Ok(chats)
        })
        .await
    }

    /// A chat's row as of `as_of`, or as of where it stands still.
    pub(super) fn chat_row(
        &self,
        open: &OpenView,
        chat: Seq,
        as_of: Seq,
    ) -> Result<(Option<Chat>, Seq), ReadModelError> {
        open.row_of_chat::<Chats>(&self.log, chat, as_of)
    }

    /// Of the chats that a filter admits those whose turn is open, the longest first, after the
    /// turn that started at `after`.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn open_turns(
        &self,
        filter: ChatFilter,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<OpenTurnEntry>, ReadModelError> {
        let as_of = self.log.head();
        self.ready(&[&self.views.chats], as_of).await?;
        let this = self.clone();
        blocking(move || this.open_turns_blocking(&filter, after, limit, as_of)).await
    }

    fn open_turns_blocking(
        &self,
        filter: &ChatFilter,
        after: Seq,
        limit: usize,
        as_of: Seq,
    ) -> Result<Vec<OpenTurnEntry>, ReadModelError> {
        let open = OpenView::new(&self.views.chats)?;
        let newer = open.fold_on_top(&self.log, &Scope::All, as_of, Fold::<Chats>::new())?;
        let mut chats: Vec<Chat> = Vec::new();
        open_chats_after(open.db(), after, |chat| {
            if !newer.has_touched(&chat.created) && filter.admits(&chat) {
                chats.push(chat);
            }
            chats.len() < limit
        })
        .map_err(|error| open.failed(error))?;
        let newer = newer.into_rows().filter_map(|(_, row)| row);
        chats.extend(newer.filter(|chat| filter.admits(chat)));
        let entries = chats.into_iter().filter_map(|chat| {
            let turn = chat.open_turn.as_ref().filter(|turn| turn.started_seq > after)?;
            let (started_seq, turn) = (turn.started_seq, json(&OpenTurnView(turn)));
            Some(OpenTurnEntry { chat_id: chat.id, owner: chat.owner, turn, started_seq })
        });
        let mut entries: Vec<OpenTurnEntry> = entries.collect();
        entries.sort_by_key(|entry| entry.started_seq);
        entries.truncate(limit);
        Ok(entries)
    }
}

impl OpenView {
    /// The row of a chat as of `as_of`, or as of where the chat stands still.
    pub(super) fn row_of_chat<P: Store<Key = Seq>>(
        &self,
        log: &crate::log::Log,
        chat: Seq,
        as_of: Seq,
    ) -> Result<(Option<P::Row>, Seq), ReadModelError> {
        let newer = self.fold_on_top(log, &Scope::Chat(chat), as_of, Fold::<P>::new())?;
        let as_of = newer.stands_before(chat).map_or(as_of, Seq::prev).min(as_of);
        let row = match newer.has_touched(&chat) {
            true => newer.into_rows().find(|(key, _)| *key == chat).and_then(|(_, row)| row),
            false => P::load(self.db(), &chat).map_err(|error| self.failed(error))?,
        };
        Ok((row, as_of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_anything_else_is_refused() {
        let text = "1790000000123-42";
        assert_eq!(text.parse::<ChatCursor>().unwrap().to_string(), text);
        for text in ["", "abc", "1", "1-", "-1", "-1-2", "1--2", "1-2-3", "99999999999999999999-1"]
        {
            assert_eq!(text.parse::<ChatCursor>(), Err(CursorError), "{text}");
        }
    }
}
