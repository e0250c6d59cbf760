//! The messages of a chat that wait for their turn: first in, first out, but for "send now".

use scrollback_schema::codec::{CodecError, decode_row, encode_row};
use scrollback_schema::event::{Attachment, Event, Kind, MessageQueued};
use scrollback_schema::{Millis, QueuedMessageId, Recorded, Seq};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::chat::patch;
use crate::json::{AttachmentJson, List, entry_if_some};
use crate::{CannotApply, Projection, Reads, Touch, touches_chat};

/// The projection `queue`.
#[derive(Debug, Clone, Copy)]
pub struct Queues;

/// The queue of a chat, the next message first; a chat whose queue is empty has no row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// At least one, at most `QUEUE_LENGTH_MAX`: the writer refuses more.
    pub items: Vec<QueueItem>,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueItem {
    /// The item.
    pub id: QueuedMessageId,
    /// What the user wrote.
    pub content: String,
    /// Files that go with it.
    pub attachments: Vec<Attachment>,
    /// The provider to run it.
    pub provider: Option<String>,
    /// The model to ask for.
    pub model: Option<String>,
    /// Whether it jumped the queue.
    pub send_now: bool,
    /// The event that put it here.
    pub queued_seq: Seq,
    /// When that was.
    pub queued_at: Millis,
    /// When it was last edited.
    pub edited_at: Option<Millis>,
}

impl Queue {
    /// The row blob.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        encode_row(self, &mut out);
        out
    }

    /// Reads a row blob back.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the bytes are no queue.
    pub fn decode(blob: &[u8]) -> Result<Queue, CodecError> {
        decode_row(blob)
    }

    fn take(&mut self, place: usize) -> QueueItem {
        self.items.remove(place)
    }
}

impl Projection for Queues {
    const NAME: &'static str = "queue";
    const VERSION: u32 = 1;
    const SQL: &'static str = include_str!("../sql/queue.sql");

    type Key = Seq;
    type Row = Queue;

    fn reads(kind: Kind) -> Reads {
        match kind {
            Kind::ChatDeleted => Reads::Head,
            Kind::MessageQueued
            | Kind::QueueEdited
            | Kind::QueueRemoved
            | Kind::QueueSendNow
            | Kind::QueueProcessing => Reads::Body,
            _ => Reads::Nothing,
        }
    }

    fn touches(event: &Recorded) -> Touch<Seq> {
        touches_chat(event, Queues::reads)
    }

    fn apply(row: &mut Option<Queue>, event: &Recorded) -> Result<(), CannotApply> {
        let (id, said) = match event.event() {
            Some(said @ Event::MessageQueued(queued)) => (&queued.queued_message_id, said),
            Some(said @ Event::QueueEdited(edited)) => (&edited.queued_message_id, said),
            Some(said @ Event::QueueRemoved(removed)) => (&removed.queued_message_id, said),
            Some(said @ Event::QueueSendNow(now)) => (&now.queued_message_id, said),
            Some(said @ Event::QueueProcessing(taken)) => (&taken.queued_message_id, said),
            _ => return Ok(()),
        };
        let place = row.as_ref().and_then(|queue| queue.items.iter().position(|i| i.id == *id));
        if let Event::MessageQueued(queued) = said {
            if place.is_some() {
                return Err(CannotApply::because("the message is in the queue already"));
            }
            let queue = row.get_or_insert_with(|| Queue { items: Vec::new() });
            queue.items.push(new_item(event, queued));
            return Ok(());
        }
        let (Some(queue), Some(place)) = (row.as_mut(), place) else {
            return Err(CannotApply::because("the message is not in the queue"));
        };
        match said {
            Event::QueueEdited(edited) => {
                let item = &mut queue.items[place];
                if let Some(content) = &edited.content {
                    item.content.clone_from(content);
                }
                patch(&mut item.provider, &edited.provider);
                patch(&mut item.model, &edited.model);
                item.edited_at = Some(event.at);
            }
            Event::QueueSendNow(_) => {
                let mut item = queue.take(place);
                item.send_now = true;
                queue.items.insert(0, item);
            }
            _ => drop(queue.take(place)),
        }
        if queue.items.is_empty() {
            *row = None;
        }
        Ok(())
    }
}

fn new_item(event: &Recorded, queued: &MessageQueued) -> QueueItem {
    QueueItem {
        id: queued.queued_message_id.clone(),
        content: queued.content.clone(),
        attachments: queued.attachments.clone(),
        provider: queued.provider.clone(),
        model: queued.model.clone(),
        send_now: false,
        queued_seq: event.seq,
        queued_at: event.at,
        edited_at: None,
    }
}

/// A waiting message as clients see it: the item of `GET …/queue`.
#[derive(Debug, Clone, Copy)]
pub struct QueueItemView<'a>(pub &'a QueueItem);

impl Serialize for QueueItemView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let item = self.0;
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("queued_message_id", item.id.as_str())?;
        out.serialize_entry("content", &item.content)?;
        let attachments = List(&item.attachments, AttachmentJson);
        let attachments = (!item.attachments.is_empty()).then_some(attachments);
        entry_if_some(&mut out, "attachments", attachments)?;
        out.serialize_entry("provider", &item.provider)?;
        out.serialize_entry("model", &item.model)?;
        out.serialize_entry("send_now", &item.send_now)?;
        out.serialize_entry("queued_seq", &item.queued_seq.get())?;
        out.serialize_entry("queued_at", &item.queued_at.to_string())?;
        out.serialize_entry("edited_at", &item.edited_at.map(|at| at.to_string()))?;
        out.end()
    }
}
