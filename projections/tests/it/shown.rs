//! Folds a log in every way, checks that all ways agree, and shows the rows as JSON.

use std::collections::BTreeMap;
use std::io;

use scrollback_projections::chat::{Chat, Chats};
use scrollback_projections::chat_events::{ChatEvents, Chunk};
use scrollback_projections::message::Messages;
use scrollback_projections::queue::{Queue, QueueItemView, Queues};
use scrollback_projections::request::{PendingRequestView, PendingRequests, Requests};
use scrollback_projections::schedule::{ChatSchedules, ScheduleView, Schedules};
use scrollback_projections::search::{self, DocumentText, Search};
use scrollback_projections::{MessageKey, Projection};
use scrollback_schema::{Recorded, Seq};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::fold::{
    Blobs, Chunks, Documents, Failure, MessageTables, OfChat, Saving, Table, fold,
    ignores_what_it_does_not_read,
};

/// Every way in which a log is folded.
const WAYS: &[Saving] =
    &[Saving::Never, Saving::EveryEvent, Saving::Page(1), Saving::Page(2), Saving::Page(7)];

/// Folds in every way; all tables are the same, byte for byte.
pub(crate) fn fold_in_every_way<P: Projection, T: Table<P>>(
    events: &[Recorded],
) -> (T, Vec<Failure>)
where
    P::Key: OfChat,
{
    let expected = fold::<P, T>(events, WAYS[0]);
    for &way in &WAYS[1..] {
        assert!(fold::<P, T>(events, way) == expected, "{} differs when saved {way:?}", P::NAME);
    }
    assert!(events.iter().all(ignores_what_it_does_not_read::<P>), "{}", P::NAME);
    expected
}

/// Every projection of a log.
pub(crate) struct Shown {
    chat_ids: BTreeMap<Seq, String>,
    pub(crate) messages: MessageTables,
    chats: Blobs,
    queue: Blobs,
    requests: Blobs,
    schedules: Blobs,
    chat_events: Chunks,
    search: Documents,
    pub(crate) failures: Vec<Failure>,
}

type ByChat<T> = BTreeMap<String, T>;

impl Shown {
    pub(crate) fn of(events: &[Recorded]) -> Shown {
        let chat_ids = events.iter().map(|e| (e.chat.created, e.chat.id.to_string())).collect();
        let (messages, mut failures) = fold_in_every_way::<Messages, _>(events);
        let mut keep = |more: Vec<Failure>| failures.extend(more);
        let (chats, more) = fold_in_every_way::<Chats, _>(events);
        keep(more);
        let (queue, more) = fold_in_every_way::<Queues, _>(events);
        keep(more);
        let (requests, more) = fold_in_every_way::<Requests, _>(events);
        keep(more);
        let (schedules, more) = fold_in_every_way::<Schedules, _>(events);
        keep(more);
        let (chat_events, more) = fold_in_every_way::<ChatEvents, _>(events);
        keep(more);
        let (search, more) = fold_in_every_way::<Search, _>(events);
        keep(more);
        failures.sort_by_key(|failure| failure.seq);
        Shown {
            chat_ids,
            messages,
            chats,
            queue,
            requests,
            schedules,
            chat_events,
            search,
            failures,
        }
    }

    /// The rows of what is named, as JSON; what could not be applied is shown when there is any.
    pub(crate) fn json(&self, what: &[&str]) -> String {
        let mut out: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
        for &name in what {
            out.insert(name, self.rows(name));
        }
        if !self.failures.is_empty() {
            let failures = self.failures.iter().map(|f| (f.seq.get(), f.projection, &f.cause));
            out.insert("cannot_apply", raw(&failures.collect::<Vec<_>>()));
        }
        lines(&out)
    }

    fn rows(&self, name: &str) -> Box<RawValue> {
        match name {
            "messages" => self.of_messages(|message| raw(&message.view())),
            "content" => self.of_messages(|message| {
                raw(&Content {
                    id: message.head().id.as_str(),
                    stream_status: message.head().status.name(),
                    content_text: message.content_text().to_string(),
                    content_render: raw(&message.content_render()),
                })
            }),
            "tails" => self.of_messages(|message| {
                let view = serde_json::to_value(message.view()).unwrap();
                raw(&serde_json::json!({ "id": view["id"], "tail": view["tail"] }))
            }),
            "chats" => self.of_chats(&self.chats, |blob| raw(&Chat::decode(blob).unwrap().view())),
            "queue" => self.of_chats(&self.queue, |blob| {
                let items = Queue::decode(blob).unwrap().items;
                raw(&items.iter().map(QueueItemView).collect::<Vec<_>>())
            }),
            "requests" => self.of_chats(&self.requests, |blob| {
                let items = PendingRequests::decode(blob).unwrap().items;
                raw(&items.iter().map(PendingRequestView).collect::<Vec<_>>())
            }),
            "schedules" => self.of_chats(&self.schedules, |blob| {
                let items = ChatSchedules::decode(blob).unwrap().items;
                raw(&items.iter().map(ScheduleView).collect::<Vec<_>>())
            }),
            "chat_events" => raw(&self.runs()),
            "search" => raw(&self.documents()),
            _ => panic!("there is no projection {name}"),
        }
    }

    fn of_chats(&self, table: &Blobs, show: impl Fn(&[u8]) -> Box<RawValue>) -> Box<RawValue> {
        let rows = table.0.iter().map(|(chat, blob)| (self.chat_ids[chat].clone(), show(blob)));
        raw(&rows.collect::<ByChat<_>>())
    }

    fn of_messages(
        &self,
        show: impl Fn(&scrollback_projections::message::Message) -> Box<RawValue>,
    ) -> Box<RawValue> {
        let mut out: ByChat<Vec<_>> = BTreeMap::new();
        for message in self.messages.messages() {
            let chat = self.chat_ids[&message.head().chat].clone();
            out.entry(chat).or_default().push(show(&message));
        }
        raw(&out)
    }

    fn runs(&self) -> ByChat<Vec<(u64, u64)>> {
        let of_chunks = |chunks: &[(Seq, Vec<u8>)]| {
            let chunks = chunks.iter().map(|(_, blob)| Chunk::decode(blob).unwrap());
            let runs = chunks.flat_map(|chunk| chunk.runs().to_vec());
            runs.map(|run| (run.first.get(), run.n)).collect()
        };
        let chats = self.chat_events.0.iter();
        chats.map(|(chat, chunks)| (self.chat_ids[chat].clone(), of_chunks(chunks))).collect()
    }

    fn documents(&self) -> ByChat<Vec<DocumentShown>> {
        let mut out: ByChat<Vec<_>> = BTreeMap::new();
        for (key, document) in &self.search.0 {
            let text = match &document.text {
                DocumentText::Known(text) => text.clone(),
                DocumentText::OfMessage => self.document_text(key),
            };
            let shown = DocumentShown {
                first_seq: document.first_seq.get(),
                message_id: key.message.to_string(),
                role: document.role.name(),
                text,
            };
            out.entry(self.chat_ids[&key.chat].clone()).or_default().push(shown);
        }
        out.values_mut().for_each(|documents| documents.sort_by_key(|d| d.first_seq));
        out
    }

    fn document_text(&self, key: &MessageKey) -> String {
        search::document(&self.messages.whole(key))
    }
}

#[derive(Serialize)]
struct Content<'a> {
    id: &'a str,
    stream_status: &'static str,
    content_text: String,
    content_render: Box<RawValue>,
}

#[derive(Serialize)]
struct DocumentShown {
    first_seq: u64,
    message_id: String,
    role: &'static str,
    text: String,
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).unwrap()
}

/// JSON over several lines; what is small, and what is deep, is on one.
fn lines(value: &impl Serialize) -> String {
    let compact = serde_json::to_string(value).unwrap();
    let (mut out, mut rest) = (Vec::new(), compact.as_str());
    write_lines(&mut out, &mut rest, 0).unwrap();
    assert!(rest.is_empty());
    String::from_utf8(out).unwrap() + "\n"
}

/// Writes one value from compact JSON, broken into lines where it is longer than one.
fn write_lines(out: &mut Vec<u8>, rest: &mut &str, depth: usize) -> io::Result<()> {
    const COLUMNS: usize = 100;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
    let value = values.next().unwrap().unwrap().get();
    *rest = &rest[values.byte_offset()..];
    if value.len() + 2 * depth <= COLUMNS || !value.starts_with(['{', '[']) {
        return io::Write::write_all(out, value.as_bytes());
    }
    let (open, close) = (&value[..1], &value[value.len() - 1..]);
    let mut inner = &value[1..value.len() - 1];
    out.extend_from_slice(open.as_bytes());
    while !inner.is_empty() {
        out.extend_from_slice(b"\n");
        out.resize(out.len() + 2 * (depth + 1), b' ');
        write_lines(out, &mut inner, depth + 1)?;
        if let Some(of_key) = inner.strip_prefix(':') {
            out.extend_from_slice(b": ");
            inner = of_key;
            write_lines(out, &mut inner, depth + 1)?;
        }
        if let Some(next) = inner.strip_prefix(',') {
            out.extend_from_slice(b",");
            inner = next;
        }
    }
    out.extend_from_slice(b"\n");
    out.resize(out.len() + 2 * depth, b' ');
    out.extend_from_slice(close.as_bytes());
    Ok(())
}
