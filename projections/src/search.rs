//! Full text over `content_text`: which messages are documents, and what their text is.
//!
//! A user's message is a document at once. An assistant's becomes one when its turn ends; until
//! then it is not found, and no delta is read. Its text is not in the terminal event, so that the
//! fold only says *that* there is a document; whoever stores it takes the text from the finished
//! message by [`document`]. The index itself is left to the store.

use scrollback_schema::event::{Event, Kind};
use scrollback_schema::{Millis, Recorded, Seq};

use crate::message::{Message, Role, touches_message};
use crate::{CannotApply, MessageKey, Projection, Reads, Touch};

/// The projection `search`.
#[derive(Debug, Clone, Copy)]
pub struct Search;

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The message.
    pub key: MessageKey,
    /// The seq of the message's first event: the document's number.
    pub first_seq: Seq,
    /// Who speaks.
    pub role: Role,
    /// When the message was all there.
    pub at: Millis,
    /// What is searched.
    pub text: DocumentText,
}

/// What is searched of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentText {
    /// This.
    Known(String),
    /// What [`document`] says of the finished message.
    OfMessage,
}

/// The text that is searched of a finished message: its `content_text`.
///
/// # Panics
///
/// If the message [is not whole](Message::is_whole).
pub fn document(message: &Message) -> String {
    message.content_text().to_string()
}

impl Projection for Search {
    const NAME: &'static str = "search";
    const VERSION: u32 = 3;
    const SQL: &'static str = include_str!("../sql/search.sql");

    type Key = MessageKey;
    type Row = Document;

    fn reads(kind: Kind) -> Reads {
        match kind {
            Kind::ChatDeleted => Reads::Head,
            Kind::UserText | Kind::Complete | Kind::Cancelled | Kind::Error => Reads::Body,
            _ => Reads::Nothing,
        }
    }

    fn touches(event: &Recorded) -> Touch<MessageKey> {
        touches_message(event, Search::reads)
    }

    fn apply(row: &mut Option<Document>, event: &Recorded) -> Result<(), CannotApply> {
        let Some(said) = event.event() else { return Ok(()) };
        let Touch::Row(key) = Search::touches(event) else { return Ok(()) };
        if row.is_some() {
            return Err(CannotApply::because("the message is a document already"));
        }
        *row = match (said, &event.turn) {
            (Event::UserText(user_text), _) => Some(Document {
                key,
                first_seq: event.seq,
                role: Role::User,
                at: event.at,
                text: DocumentText::Known(user_text.text.clone()),
            }),
            (_, Some(turn)) => Some(Document {
                key,
                first_seq: turn.started,
                role: Role::Assistant,
                at: event.at,
                text: DocumentText::OfMessage,
            }),
            (_, None) => return Err(CannotApply::because("the end of a turn names no turn")),
        };
        Ok(())
    }
}
