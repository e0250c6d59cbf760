//! Readers of streams: they are cut, come back, and keep every byte that they got.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use bytes::BytesMut;
use http_body_util::BodyExt;
use scrollback_test_support::wait::within;
use serde_json::Value;

use super::names::Names;
use super::server::Server;
use super::world::World;

/// One reader, through all its connections.
pub(super) struct Reader {
    /// The chat that it reads; all of them if it names none.
    pub(super) chat: Option<String>,
    /// It reads only when it is told to.
    pub(super) is_lazy: bool,
    line: Option<Line>,
    /// Where it began.
    after: u64,
    /// The last id that it saw.
    last_id: u64,
    /// What it got, by seq.
    pub(super) frames: BTreeMap<u64, String>,
    /// Its chat was deleted.
    pub(super) is_over: bool,
}

struct Line {
    body: Body,
    buffer: BytesMut,
}

/// One frame of a stream.
struct Frame {
    text: String,
    id: Option<u64>,
    event: String,
    data: Value,
}

impl Line {
    /// The next frame, comments left out; `None` at the end.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let text = self.buffer.split_to(end + 2);
                let text = String::from_utf8(text.to_vec()).unwrap();
                if !text.starts_with(':') {
                    return Some(Frame::of(text));
                }
                continue;
            }
            let frame = within("a frame", self.body.frame()).await?;
            if let Ok(data) = frame.unwrap().into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}

impl Frame {
    fn of(text: String) -> Frame {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.strip_prefix(": "))
        };
        let (id, event) = (field("id").map(|id| id.parse().unwrap()), field("event").unwrap());
        let (event, data) = (event.to_owned(), serde_json::from_str(field("data").unwrap()));
        Frame { id, event, data: data.unwrap(), text }
    }
}

impl Reader {
    pub(super) fn new(chat: Option<String>, is_lazy: bool) -> Reader {
        Reader {
            chat,
            is_lazy,
            line: None,
            after: 0,
            last_id: 0,
            frames: BTreeMap::new(),
            is_over: false,
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.line.is_some()
    }

    pub(super) fn cut(&mut self) {
        self.line = None;
    }

    /// Connects, for the first time or again; the snapshot if it asked for one.
    pub(super) async fn connect(
        &mut self,
        server: &Server,
        names: &Names,
        has_snapshot: bool,
    ) -> Option<Value> {
        let path = match &self.chat {
            Some(chat) => format!("/v1/chats/{}/stream?snapshot={has_snapshot}", names.real(chat)),
            None => "/v1/stream".to_owned(),
        };
        let mut request = Request::get(path);
        if self.last_id > 0 {
            request = request.header("last-event-id", self.last_id.to_string());
        }
        let (head, body) = server.send(request.body(Body::empty()).unwrap()).await.into_parts();
        if head.status == 410 {
            self.is_over = true;
            return None;
        }
        assert_eq!(head.status, 200, "a stream was granted");
        let mut line = Line { body, buffer: BytesMut::new() };
        let hello = line.next().await.unwrap();
        assert_eq!(hello.event, "hello");
        assert_eq!(hello.data["head_seq"], server.log().head().get());
        assert_eq!(hello.data["log_id"], server.log().log_id());
        let mut snapshot = None;
        if has_snapshot && self.last_id == 0 && self.chat.is_some() {
            let frame = line.next().await.unwrap();
            assert_eq!(frame.event, "snapshot");
            self.last_id = frame.data["as_of_seq"].as_u64().unwrap();
            self.after = self.last_id;
            snapshot = Some(frame.data);
        }
        self.line = Some(line);
        snapshot
    }

    /// Events that it has to get before it has everything, in order.
    fn wanted(&self, world: &World) -> Vec<u64> {
        let shown = world.visible(self.chat.as_deref());
        shown.into_iter().filter(|seq| *seq > self.last_id).collect()
    }

    /// Takes at most so many events of those that are there.
    pub(super) async fn take(&mut self, world: &World, n_max: usize) {
        let is_deleted = self.chat.as_ref().is_some_and(|chat| world.chats[chat].is_deleted());
        let wanted = self.wanted(world);
        let Some(mut line) = self.line.take() else { return };
        let mut n_taken = 0;
        while n_taken < n_max.min(wanted.len()) || is_deleted && n_max > wanted.len() {
            let Some(frame) = line.next().await else {
                self.is_over = true;
                break;
            };
            n_taken += usize::from(frame.event == "stream");
            self.hear(world, frame, is_deleted);
            if self.wanted(world).is_empty() && !is_deleted {
                break;
            }
        }
        if !self.is_over {
            self.line = Some(line);
        }
    }

    fn hear(&mut self, world: &World, frame: Frame, is_deleted: bool) {
        let id = match frame.event.as_str() {
            "bye" => {
                assert!(is_deleted, "said without a reason: {}", frame.text);
                assert_eq!(frame.data["reason"], "chat_deleted");
                return;
            }
            "stream" | "caught_up" => frame.id.unwrap(),
            other => panic!("a frame of the kind {other} in the middle: {}", frame.text),
        };
        let mut missed: Vec<u64> = self.wanted(world);
        missed.retain(|seq| *seq < id || *seq == id && frame.event == "caught_up");
        assert_eq!(missed, [0; 0], "left out before {}", frame.text);
        if frame.event == "stream" {
            assert!(id > self.last_id, "came after {}: {}", self.last_id, frame.text);
            assert_eq!(frame.data["seq"], id);
            self.frames.insert(id, frame.text);
        }
        self.last_id = id;
    }

    /// Takes the next event, whatever it is.
    pub(super) async fn next(&mut self) -> Value {
        let line = self.line.as_mut().unwrap();
        loop {
            let frame = line.next().await.expect("the stream goes on");
            let Some(id) = frame.id else { panic!("a control frame: {}", frame.text) };
            assert!(id >= self.last_id, "came after {}: {}", self.last_id, frame.text);
            self.last_id = id;
            if frame.event == "stream" {
                self.frames.insert(id, frame.text);
                return frame.data;
            }
        }
    }

    /// Where it began: what came before it does not know.
    pub(super) fn after(&self) -> u64 {
        self.after
    }
}
