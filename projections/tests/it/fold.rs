//! Folds events as a projector does, with tables in memory in place of a database.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

use scrollback_projections::chat::{Chat, Chats};
use scrollback_projections::chat_events::{ChatEvents, ChatRuns, Chunk};
use scrollback_projections::message::{self, Change, Head, Message, Messages, PartKind};
use scrollback_projections::queue::{Queue, Queues};
use scrollback_projections::request::{PendingRequests, Requests};
use scrollback_projections::schedule::{ChatSchedules, Schedules};
use scrollback_projections::search::{Document, Search};
use scrollback_projections::{MessageKey, Projection, Reads, Touch};
use scrollback_schema::event::Kind;
use scrollback_schema::{Body, Recorded, Seq};

/// When rows go to the tables, and what stays in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saving {
    /// At the end.
    Never,
    /// After every event; each row is then read back for the next one.
    EveryEvent,
    /// After so many events; rows stay in memory, without what a fold does not need.
    Page(usize),
}

/// Where rows of a projection are kept.
pub(crate) trait Table<P: Projection>: Default + PartialEq + Debug {
    fn save(&mut self, key: &P::Key, row: Option<&mut P::Row>);
    fn load(&self, key: &P::Key) -> Option<P::Row>;
    fn drop_chat(&mut self, chat: Seq);
    /// What a projector that is short of memory lets go of.
    fn forget(_row: &mut P::Row) {}
}

/// An event that could not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) seq: Seq,
    pub(crate) projection: &'static str,
    pub(crate) cause: String,
}

/// Folds all events into a table.
pub(crate) fn fold<P: Projection, T: Table<P>>(
    events: &[Recorded],
    saving: Saving,
) -> (T, Vec<Failure>)
where
    P::Key: OfChat,
{
    let (mut table, mut failures) = (T::default(), Vec::new());
    let mut rows: HashMap<P::Key, Option<P::Row>> = HashMap::new();
    for (i, event) in events.iter().enumerate() {
        let Some(event) = as_read::<P>(event) else { continue };
        match P::touches(&event) {
            Touch::Nothing => {}
            Touch::Chat => {
                rows.retain(|key, _| key.chat() != event.chat.created);
                table.drop_chat(event.chat.created);
            }
            Touch::Row(key) => {
                let row = rows.entry(key.clone()).or_insert_with(|| table.load(&key));
                let before = row.clone();
                if let Err(error) = P::apply(row, &event) {
                    assert_eq!(*row, before, "an event that cannot be applied changes nothing");
                    let (seq, projection, cause) = (event.seq, P::NAME, error.cause);
                    failures.push(Failure { seq, projection, cause });
                }
            }
        }
        match saving {
            Saving::EveryEvent => {
                rows.drain().for_each(|(key, mut row)| table.save(&key, row.as_mut()));
            }
            Saving::Page(n) if i % n == n - 1 => {
                for (key, row) in &mut rows {
                    table.save(key, row.as_mut());
                    row.as_mut().into_iter().for_each(T::forget);
                }
            }
            _ => {}
        }
    }
    rows.into_iter().for_each(|(key, mut row)| table.save(&key, row.as_mut()));
    (table, failures)
}

/// The event as a reader gives it to the projection, if it does.
fn as_read<P: Projection>(event: &Recorded) -> Option<Recorded> {
    match event.kind().map_or(P::READS_UNKNOWN, P::reads) {
        Reads::Nothing => None,
        Reads::Head => {
            let body = Body::Unread { kind: event.body.kind_number() };
            Some(Recorded { body, ..event.clone() })
        }
        Reads::Body => Some(event.clone()),
    }
}

/// Whether every kind that the projection does not read changes nothing when it is shown to it.
pub(crate) fn ignores_what_it_does_not_read<P: Projection>(event: &Recorded) -> bool {
    let kind = event.kind().filter(|&kind| P::reads(kind) == Reads::Nothing);
    kind.is_none_or(|_: Kind| P::touches(event) == Touch::Nothing)
}

/// A key says which chat its row is about.
pub(crate) trait OfChat: Clone + Eq + Hash + Debug {
    fn chat(&self) -> Seq;
}

impl OfChat for Seq {
    fn chat(&self) -> Seq {
        *self
    }
}

impl OfChat for MessageKey {
    fn chat(&self) -> Seq {
        self.chat
    }
}

/// Rows of one blob each.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Blobs(pub(crate) HashMap<Seq, Vec<u8>>);

macro_rules! blobs {
    ($projection:ty, $row:ty) => {
        impl Table<$projection> for Blobs {
            fn save(&mut self, key: &Seq, row: Option<&mut $row>) {
                match row {
                    Some(row) => self.0.insert(*key, row.encode()),
                    None => self.0.remove(key),
                };
            }
            fn load(&self, key: &Seq) -> Option<$row> {
                self.0.get(key).map(|blob| <$row>::decode(blob).unwrap())
            }
            fn drop_chat(&mut self, chat: Seq) {
                self.0.remove(&chat);
            }
        }
    };
}

blobs!(Chats, Chat);
blobs!(Queues, Queue);
blobs!(Requests, PendingRequests);
blobs!(Schedules, ChatSchedules);

/// The table `chat_events`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Chunks(pub(crate) HashMap<Seq, Vec<(Seq, Vec<u8>)>>);

impl Table<ChatEvents> for Chunks {
    fn save(&mut self, key: &Seq, row: Option<&mut ChatRuns>) {
        let row = row.expect("no event takes a chat's runs away");
        let chunks = self.0.entry(*key).or_default();
        for chunk in row.unsaved() {
            chunks.retain(|(first_seq, _)| *first_seq != chunk.first_seq());
            chunks.push((chunk.first_seq(), chunk.encode()));
        }
        row.mark_saved();
    }
    fn load(&self, key: &Seq) -> Option<ChatRuns> {
        let (_, blob) = self.0.get(key)?.last()?;
        Some(ChatRuns::from_last(Chunk::decode(blob).unwrap()))
    }
    fn drop_chat(&mut self, _chat: Seq) {
        panic!("the runs of a chat are never dropped");
    }
}

/// The documents of `search`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Documents(pub(crate) HashMap<MessageKey, Document>);

impl Table<Search> for Documents {
    fn save(&mut self, key: &MessageKey, row: Option<&mut Document>) {
        row.and_then(|row| self.0.insert(key.clone(), row.clone()));
    }
    fn load(&self, key: &MessageKey) -> Option<Document> {
        self.0.get(key).cloned()
    }
    fn drop_chat(&mut self, chat: Seq) {
        self.0.retain(|key, _| key.chat != chat);
    }
}

/// A stored message: its head, and the kind and body of each chunk.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredMessage {
    pub(crate) head: Vec<u8>,
    pub(crate) chunks: std::collections::BTreeMap<(u32, u32), (u8, Vec<u8>)>,
}

/// The tables `message` and `message_chunk`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct MessageTables(pub(crate) HashMap<MessageKey, StoredMessage>);

impl MessageTables {
    /// The message with all that it holds.
    pub(crate) fn whole(&self, key: &MessageKey) -> Message {
        let stored = &self.0[key];
        let head = Head::decode(&stored.head).unwrap();
        Message::whole(head, stored.some(|_, _, _| true)).unwrap()
    }

    /// All messages in the order in which they began.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let mut messages: Vec<_> = self.0.keys().map(|key| self.whole(key)).collect();
        messages.sort_by_key(|message| message.head().first_seq);
        messages
    }
}

impl StoredMessage {
    fn some(&self, is_wanted: impl Fn(u32, u32, PartKind) -> bool) -> Vec<message::Chunk> {
        let chunks = self.chunks.iter().map(|(&(part, chunk), (kind, body))| {
            let kind = PartKind::from_number(*kind).unwrap();
            message::Chunk { part, chunk, kind, body: body.clone() }
        });
        chunks.filter(|chunk| is_wanted(chunk.part, chunk.chunk, chunk.kind)).collect()
    }

    /// What a fold needs, and not a chunk more.
    pub(crate) fn needed(&self, head: &Head) -> Vec<message::Chunk> {
        if head.status != message::StreamStatus::InProgress {
            return Vec::new();
        }
        let tail = head.tail_needed();
        self.some(|part, chunk, kind| {
            let in_tail = tail.is_some_and(|(tail, from)| tail == part && chunk >= from);
            in_tail || kind == PartKind::Tool && chunk == 0
        })
    }
}

impl Table<Messages> for MessageTables {
    fn save(&mut self, key: &MessageKey, row: Option<&mut Message>) {
        let Some(row) = row else { return };
        let stored = self.0.entry(key.clone()).or_default();
        stored.head = row.head().encode();
        for change in row.unsaved() {
            match change {
                Change::Drop { part, from } => {
                    stored.chunks.retain(|&(p, chunk), _| p != part || chunk < from);
                }
                Change::Put { part, chunk, kind, body } => {
                    stored.chunks.insert((part, chunk), (kind.number(), body.into_owned()));
                }
            }
        }
        row.mark_saved();
    }
    fn load(&self, key: &MessageKey) -> Option<Message> {
        let stored = self.0.get(key)?;
        let head = Head::decode(&stored.head).unwrap();
        let chunks = stored.needed(&head);
        Some(Message::to_fold(head, chunks).unwrap())
    }
    fn drop_chat(&mut self, chat: Seq) {
        self.0.retain(|key, _| key.chat != chat);
    }
    fn forget(row: &mut Message) {
        row.forget_saved();
    }
}
