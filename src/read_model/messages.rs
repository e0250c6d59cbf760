//! Messages of a chat, as they are or as they were at any seq.

use std::collections::HashMap;

use scrollback_projections::MessageKey;
use scrollback_projections::message::{Message, Messages};
use scrollback_schema::limits::LIST_LIMIT_DEFAULT;
use scrollback_schema::{ChatRef, MessageId, Seq};
use serde_json::value::RawValue;

use super::open::OpenView;
use super::{ReadModel, ReadModelError, blocking, json};
use crate::log::Scope;
use crate::projector::{Fold, MessagePlace, fold_message, load_whole, messages_before};

/// Which messages are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessagesQuery {
    /// Only messages that began before this seq: where the page before ended.
    pub cursor: Option<Seq>,
    /// Items at most.
    pub limit: usize,
    /// The state at this seq; else at the head.
    pub at_seq: Option<Seq>,
}

/// A page of messages, back in time from page to page, ascending within one.
#[derive(Debug)]
pub struct MessagesPage {
    /// The messages as clients see them.
    pub items: Vec<Box<RawValue>>,
    /// Where the next page, of earlier messages, begins, if there is one.
    pub next_cursor: Option<Seq>,
    /// The seq that the page reflects.
    pub as_of_seq: Seq,
}

/// A page of messages as they are kept, ascending.
#[derive(Debug)]
pub struct MessageRecords {
    /// The messages, all of each.
    pub items: Vec<Message>,
    /// Where the page of earlier messages begins, if there is one.
    pub next_cursor: Option<Seq>,
    /// The seq that the page reflects.
    pub as_of_seq: Seq,
}

/// One message.
#[derive(Debug)]
pub struct MessageAnswer {
    /// The message as clients see it; none if there is none.
    pub message: Option<Box<RawValue>>,
    /// The seq that the answer reflects.
    pub as_of_seq: Seq,
}

/// A chat and the last page of its messages, all as of one seq.
#[derive(Debug)]
pub struct Snapshot {
    /// The seq from which a reader goes on.
    pub as_of_seq: Seq,
    /// The chat as clients see it; none if it was deleted.
    pub chat: Option<Box<RawValue>>,
    /// Its last messages, ascending.
    pub messages: Vec<Box<RawValue>>,
    /// Where the page of earlier messages begins, if there is one.
    pub next_cursor: Option<Seq>,
}

/// The messages of one chat as of a seq.
pub(super) struct MessagesAt<'a> {
    model: &'a ReadModel,
    open: &'a OpenView,
    chat: Seq,
    at: Seq,
    /// Whether the chat was deleted after the rows, up to `at`.
    is_gone: bool,
    /// Messages that changed after the rows, up to `at`.
    newer: HashMap<MessageId, Option<Message>>,
}

impl<'a> MessagesAt<'a> {
    /// As of `at`, or of where the chat stands still before it.
    pub(super) fn new(
        model: &'a ReadModel,
        open: &'a OpenView,
        chat: Seq,
        at: Seq,
    ) -> Result<MessagesAt<'a>, ReadModelError> {
        let fold = Fold::<Messages>::reading(load_whole);
        let newer = open.fold_on_top(&model.log, &Scope::Chat(chat), at, fold)?;
        let at = newer.stands_before(chat).map_or(at, Seq::prev).min(at);
        let is_gone = newer.is_dropped(chat);
        let newer = newer.into_rows().map(|(key, row)| (key.message, row)).collect();
        Ok(MessagesAt { model, open, chat, at, is_gone, newer })
    }

    /// The message at this place, as it was.
    fn at_place(&self, place: &MessagePlace) -> Result<Option<Message>, ReadModelError> {
        let key = MessageKey { chat: self.chat, message: place.message.clone() };
        if place.last_seq <= self.at {
            // Nothing that came after changed it: a row says when it last did.
            return load_whole(self.open.db(), &key).map_err(|error| self.open.failed(error));
        }
        Ok(fold_message(&self.model.log, &key, place.first_seq.prev(), self.at)?.message)
    }

    /// The messages that began before `before`, the latest `limit`, ascending, and whether there
    /// are more.
    pub(super) fn page(
        &self,
        before: Seq,
        limit: usize,
    ) -> Result<(Vec<Message>, bool), ReadModelError> {
        if self.is_gone {
            return Ok((Vec::new(), false));
        }
        let before = before.min(self.at.next());
        let mut places = Vec::new();
        messages_before(self.open.db(), self.chat, before, |place| {
            if !self.newer.contains_key(&place.message) {
                places.push(place);
            }
            places.len() <= limit
        })
        .map_err(|error| self.open.failed(error))?;
        let newer = self.newer.values().flatten().filter(|m| m.head().first_seq < before);
        let mut found: Vec<(Seq, Result<&Message, &MessagePlace>)> =
            newer.map(|message| (message.head().first_seq, Ok(message))).collect();
        found.extend(places.iter().map(|place| (place.first_seq, Err(place))));
        found.sort_by_key(|&(first_seq, _)| std::cmp::Reverse(first_seq));
        let has_more = found.len() > limit;
        found.truncate(limit);
        let mut messages = Vec::with_capacity(found.len());
        for (_, found) in found.into_iter().rev() {
            match found {
                Ok(message) => messages.push(message.clone()),
                Err(place) => messages.extend(self.at_place(place)?),
            }
        }
        Ok((messages, has_more))
    }

    fn one(&self, id: &MessageId) -> Result<Option<Message>, ReadModelError> {
        if self.is_gone || self.newer.contains_key(id) {
            return Ok(self.newer.get(id).cloned().flatten());
        }
        let key = MessageKey { chat: self.chat, message: id.clone() };
        let failed = |error| self.open.failed(error);
        let Some(message) = load_whole(self.open.db(), &key).map_err(failed)? else {
            return Ok(None);
        };
        let (first_seq, last_seq) = (message.head().first_seq, message.head().last_seq);
        if last_seq <= self.at {
            return Ok(Some(message));
        }
        if first_seq > self.at {
            return Ok(None);
        }
        self.at_place(&MessagePlace { first_seq, last_seq, message: id.clone() })
    }
}

fn shown((messages, has_more): (Vec<Message>, bool)) -> (Vec<Box<RawValue>>, Option<Seq>) {
    let first = messages.first().filter(|_| has_more);
    let next_cursor = first.map(|message| message.head().first_seq);
    (messages.iter().map(|message| json(&message.view())).collect(), next_cursor)
}

impl ReadModel {
    /// A page of a chat's messages.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn messages(
        &self,
        chat: &ChatRef,
        query: MessagesQuery,
    ) -> Result<MessagesPage, ReadModelError> {
        let head = self.position_asked(query.at_seq)?;
        self.ready(&[&self.views.messages], head).await?;
        let (this, chat) = (self.clone(), chat.created);
        blocking(move || {
            let open = OpenView::new(&this.views.messages)?;
            let at = query.at_seq.unwrap_or(head.max(open.from));
            let at = MessagesAt::new(&this, &open, chat, at)?;
            let page = at.page(query.cursor.unwrap_or(Seq::MAX), query.limit)?;
            let (items, next_cursor) = shown(page);
            Ok(MessagesPage { items, next_cursor, as_of_seq: at.at })
        })
        .await
    }

    /// One message.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn message(
        &self,
        chat: &ChatRef,
        message: &MessageId,
        at_seq: Option<Seq>,
    ) -> Result<MessageAnswer, ReadModelError> {
        let head = self.position_asked(at_seq)?;
        self.ready(&[&self.views.messages], head).await?;
        let (this, chat, message) = (self.clone(), chat.created, message.clone());
        blocking(move || {
            let open = OpenView::new(&this.views.messages)?;
            let at = at_seq.unwrap_or(head.max(open.from));
            let at = MessagesAt::new(&this, &open, chat, at)?;
            let message = at.one(&message)?.map(|message| json(&message.view()));
            Ok(MessageAnswer { message, as_of_seq: at.at })
        })
        .await
    }

    /// A page of a chat's messages as they are kept.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn message_records(
        &self,
        chat: &ChatRef,
        cursor: Option<Seq>,
        limit: usize,
    ) -> Result<MessageRecords, ReadModelError> {
        let head = self.log.head();
        self.ready(&[&self.views.messages], head).await?;
        let (this, chat) = (self.clone(), chat.created);
        blocking(move || {
            let open = OpenView::new(&this.views.messages)?;
            let at = MessagesAt::new(&this, &open, chat, head.max(open.from))?;
            let (items, has_more) = at.page(cursor.unwrap_or(Seq::MAX), limit)?;
            let first = items.first().filter(|_| has_more);
            let next_cursor = first.map(|message| message.head().first_seq);
            Ok(MessageRecords { items, next_cursor, as_of_seq: at.at })
        })
        .await
    }

    /// One message as it is kept, and the seq that it reflects.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn message_record(
        &self,
        chat: &ChatRef,
        message: &MessageId,
    ) -> Result<(Option<Message>, Seq), ReadModelError> {
        let head = self.log.head();
        self.ready(&[&self.views.messages], head).await?;
        let (this, chat, message) = (self.clone(), chat.created, message.clone());
        blocking(move || {
            let open = OpenView::new(&this.views.messages)?;
            let at = MessagesAt::new(&this, &open, chat, head.max(open.from))?;
            Ok((at.one(&message)?, at.at))
        })
        .await
    }

    /// A chat and the last page of its messages, from which a stream goes on.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn snapshot(&self, chat: &ChatRef) -> Result<Snapshot, ReadModelError> {
        let head = self.log.head();
        self.ready(&[&self.views.messages, &self.views.chats], head).await?;
        let (this, chat) = (self.clone(), chat.created);
        blocking(move || {
            let (messages, chats) =
                (OpenView::new(&this.views.messages)?, OpenView::new(&this.views.chats)?);
            // Both transactions have begun, so that both can be folded up to the same seq.
            let at = head.max(messages.from).max(chats.from);
            let messages_at = MessagesAt::new(&this, &messages, chat, at)?;
            let (items, next_cursor) = shown(messages_at.page(Seq::MAX, LIST_LIMIT_DEFAULT)?);
            let (row, _) = this.chat_row(&chats, chat, at)?;
            Ok(Snapshot {
                as_of_seq: messages_at.at,
                chat: row.map(|chat| json(&chat.view())),
                messages: items,
                next_cursor,
            })
        })
        .await
    }

    /// The head, unless what is asked for is beyond it.
    fn position_asked(&self, at_seq: Option<Seq>) -> Result<Seq, ReadModelError> {
        let head = self.log.head();
        match at_seq {
            Some(at_seq) if at_seq > head => Err(ReadModelError::NotYet { at_seq, head }),
            _ => Ok(head),
        }
    }
}
