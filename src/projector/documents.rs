//! The fold of `search`, and where the text of an assistant's message comes from.
//!
//! The event that ends a turn holds no text. A worker takes it from the view of the messages, once
//! that is past the event; a rebuild, and a worker whose neighbour does not get there, folds the
//! turn's own events. Both give the same text: a message does not change after its turn.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use scrollback_projections::message::{Message, Messages};
use scrollback_projections::search::{Document, DocumentText, Search, document};
use scrollback_projections::{Description, MessageKey, Projection, Reads, Touch};
use scrollback_schema::{ChatRef, Kind, Recorded, Seq};

use super::fold::{Fold, Parked, Told, ViewFold, apply, reads_of};
use super::source::{PAGE, Source, SourceError};
use super::store::{self, StoreError, Written};
use super::view::{Health, View, Wake};
use crate::log::{Scope, Section};

/// How long a worker waits for the messages to get past the end of a turn, at most: a rebuild of
/// theirs takes longer, and folding the turn again costs less than standing still.
const NEIGHBOUR_WAIT: Duration = Duration::from_secs(2);

/// Gives the text of finished messages.
pub(crate) trait Documents: Send {
    /// The text of the message whose turn this event ends; none if there is no such message.
    ///
    /// # Errors
    ///
    /// Why it cannot be told, without text of the chat.
    fn text_of(
        &mut self,
        key: &MessageKey,
        end: &Recorded,
    ) -> Result<Option<String>, DocumentError>;

    /// Is shown every event that the messages read, if it wants to be; as [`ViewFold::apply`] is.
    fn show(&mut self, _event: &Recorded, _first: Seq) -> Told {
        Told::Done
    }

    /// Whether it wants to be shown events.
    fn is_shown_all(&self) -> bool {
        false
    }
}

/// Why the text of a message cannot be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    /// The log could not be read; another try may succeed.
    #[error("the events of a turn could not be read")]
    Source(#[from] SourceError),
    /// The worker is to end.
    #[error("the worker is ending")]
    Stopping,
    /// An event of the turn cannot be applied to the message, so its text is not known.
    #[error("the message stands still before seq {seq}: {cause}")]
    StandsStill {
        /// The event.
        seq: Seq,
        /// Why it cannot be applied.
        cause: String,
    },
}

/// The fold of `search`.
pub(crate) struct SearchFold {
    fold: Fold<Search>,
    documents: Box<dyn Documents>,
}

impl SearchFold {
    /// A fold that takes texts from `documents`.
    pub(crate) fn new(documents: Box<dyn Documents>) -> SearchFold {
        SearchFold { fold: Fold::new(), documents }
    }

    fn put(
        &mut self,
        db: &Connection,
        event: &Recorded,
        key: MessageKey,
    ) -> Result<Told, StoreError> {
        let mut made: Option<Document> = None;
        if let Err(cannot) = Search::apply(&mut made, event) {
            self.fold.park(&event.chat, event.seq, cannot.cause);
            return Ok(Told::Done);
        }
        if let Some(made) = &mut made
            && made.text == DocumentText::OfMessage
        {
            match self.documents.text_of(&key, event) {
                Ok(Some(text)) => made.text = DocumentText::Known(text),
                Ok(None) => return Ok(Told::Done),
                // A part of the text would stay in the index for good.
                Err(error @ DocumentError::StandsStill { .. }) => {
                    self.fold.park(&event.chat, event.seq, error.to_string());
                    return Ok(Told::Done);
                }
                Err(error) => return Err(StoreError::Elsewhere(Box::new(error))),
            }
        }
        self.fold.apply_with(db, event, event.seq, key, |row, _| match row {
            Some(_) => Err("the message is a document already".to_owned()),
            None => {
                *row = made;
                Ok(())
            }
        })
    }
}

impl ViewFold for SearchFold {
    fn description(&self) -> Description {
        self.fold.description()
    }

    fn reads(&self, kind: u16) -> Reads {
        let reads = self.fold.reads(kind);
        if reads == Reads::Nothing && self.documents.is_shown_all() {
            return reads_of::<Messages>(kind);
        }
        reads
    }

    fn apply(&mut self, db: &Connection, event: &Recorded, first: Seq) -> Result<Told, StoreError> {
        if self.documents.show(event, first) == Told::NotAsOne {
            return Ok(Told::NotAsOne);
        }
        match Search::touches(event) {
            Touch::Row(key) if !self.fold.is_parked(event.chat.created) => self.put(db, event, key),
            Touch::Row(_) | Touch::Nothing => Ok(Told::Done),
            Touch::Chat => self.fold.apply(db, event, first),
        }
    }

    fn park(&mut self, chat: &ChatRef, seq: Seq, cause: String) {
        self.fold.park(chat, seq, cause);
    }

    fn unpark(&mut self, chat: Seq) {
        self.fold.unpark(chat);
    }

    fn parked(&self) -> Vec<Parked> {
        self.fold.parked()
    }

    fn n_unsaved(&self) -> usize {
        self.fold.n_unsaved()
    }

    fn save(&mut self, tx: &Connection) -> Result<Written, StoreError> {
        self.fold.save(tx)
    }

    fn reset(&mut self, parked: Vec<Parked>) {
        self.fold.reset(parked);
    }
}

/// Texts from the view of the messages.
pub(crate) struct FromView {
    messages: Arc<View>,
    /// The view of the search itself, whose worker this is called on.
    search: Arc<View>,
    fallback: FromLog,
}

impl FromView {
    /// Texts for the worker of `search`.
    pub(crate) fn new(messages: Arc<View>, search: Arc<View>, source: Arc<dyn Source>) -> FromView {
        FromView { messages, search, fallback: FromLog::new(source) }
    }

    /// Waits until the messages are past `seq`; whether they are.
    fn wait_for(&self, seq: Seq) -> Result<bool, DocumentError> {
        if self.messages.position().seen >= seq {
            return Ok(true);
        }
        if self.messages.health() != Health::Working {
            return Ok(false);
        }
        self.messages.ring();
        let is_past = self.messages.wait_past(seq, NEIGHBOUR_WAIT, &self.search);
        match is_past {
            Wake::Stop => Err(DocumentError::Stopping),
            Wake::Work => Ok(self.messages.position().seen >= seq),
        }
    }

    fn load(&self, key: &MessageKey) -> Option<Message> {
        let live = self.messages.live()?;
        let db = live.pool().get().ok()?;
        store::load_whole(&db, key).ok()?
    }
}

impl Documents for FromView {
    fn text_of(
        &mut self,
        key: &MessageKey,
        end: &Recorded,
    ) -> Result<Option<String>, DocumentError> {
        if self.wait_for(end.seq)?
            && let Some(message) = self.load(key)
            && message.head().last_seq >= end.seq
        {
            return Ok(Some(document(&message)));
        }
        // Parked, deleted, poisoned, or being made anew.
        self.fallback.text_of(key, end)
    }
}

/// Texts from the events of the turn itself.
pub(crate) struct FromLog {
    source: Arc<dyn Source>,
}

impl FromLog {
    /// Texts from a log.
    pub(crate) fn new(source: Arc<dyn Source>) -> FromLog {
        FromLog { source }
    }
}

impl Documents for FromLog {
    fn text_of(
        &mut self,
        key: &MessageKey,
        end: &Recorded,
    ) -> Result<Option<String>, DocumentError> {
        let Some(turn) = &end.turn else { return Ok(None) };
        let folded = fold_message(&*self.source, key, turn.started.prev(), end.seq)?;
        match folded.stands_before {
            Some((seq, cause)) => Err(DocumentError::StandsStill { seq, cause }),
            None => Ok(folded.message.as_ref().map(document)),
        }
    }
}

/// Texts from messages that are folded along, in memory, for a rebuild: each event is read once.
pub(crate) struct Shadow {
    /// Messages of open turns.
    open: HashMap<MessageKey, Message>,
    fallback: FromLog,
}

impl Shadow {
    /// Texts for a fold over the whole of a log, which may begin anywhere in it.
    pub(crate) fn new(source: Arc<dyn Source>) -> Shadow {
        Shadow { open: HashMap::new(), fallback: FromLog::new(source) }
    }
}

impl Documents for Shadow {
    fn text_of(
        &mut self,
        key: &MessageKey,
        end: &Recorded,
    ) -> Result<Option<String>, DocumentError> {
        match (self.open.remove(key), &end.turn) {
            (Some(message), Some(turn))
                if message.head().first_seq == turn.started
                    && message.head().last_seq == end.seq =>
            {
                Ok(Some(document(&message)))
            }
            // It began before the fold did, or an event did not fit.
            _ => self.fallback.text_of(key, end),
        }
    }

    fn show(&mut self, event: &Recorded, first: Seq) -> Told {
        let is_of_turn = event.turn.is_some();
        match Messages::touches(event) {
            Touch::Row(key) if is_of_turn => {
                let mut message = self.open.remove(&key);
                let is_start = event.kind() == Some(Kind::StreamStarted);
                let fits = (is_start || message.is_some())
                    && apply::<Messages>(&mut message, event).is_ok();
                if fits {
                    self.open.extend(message.map(|message| (key, message)));
                } else if message.is_some() && first < event.seq {
                    self.open.extend(message.map(|message| (key, message)));
                    return Told::NotAsOne;
                }
            }
            Touch::Chat => self.open.retain(|key, _| key.chat != event.chat.created),
            Touch::Row(_) | Touch::Nothing => {}
        }
        Told::Done
    }

    fn is_shown_all(&self) -> bool {
        true
    }
}

/// A message folded from its events.
pub(crate) struct FoldedMessage {
    /// What came of them; none if there were none.
    pub(crate) message: Option<Message>,
    /// The event before which it stands still, if one cannot be applied, and why.
    pub(crate) stands_before: Option<(Seq, String)>,
}

/// Folds one message from its events in (`after`, `until`].
///
/// Stops before an event that does not fit, as a parked row does.
///
/// # Errors
///
/// [`SourceError`] if the log cannot be read.
pub(crate) fn fold_message(
    source: &dyn Source,
    key: &MessageKey,
    after: Seq,
    until: Seq,
) -> Result<FoldedMessage, SourceError> {
    let (mut message, mut after, scope) = (None, after, Scope::Chat(key.chat));
    while after < until {
        let page = source.page(&scope, after, until, PAGE)?;
        for section in &page.sections {
            for index in section.events_in(after, until) {
                if let Err(cause) = fold_one(&mut message, key, section, index) {
                    let stands_before = Some((section.seq_at(index), cause));
                    return Ok(FoldedMessage { message, stands_before });
                }
            }
        }
        after = page.through.max(after.next());
    }
    Ok(FoldedMessage { message, stands_before: None })
}

/// Folds an event into the message, if it is one of its own; the cause if it cannot be applied.
fn fold_one(
    message: &mut Option<Message>,
    key: &MessageKey,
    section: &Section,
    index: usize,
) -> Result<(), String> {
    let event = section.recorded(index).map_err(|error| error.to_string())?;
    match Messages::touches(&event) {
        Touch::Row(touched) if touched == *key => apply::<Messages>(message, &event),
        Touch::Row(_) | Touch::Chat | Touch::Nothing => Ok(()),
    }
}
