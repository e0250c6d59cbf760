//! Compares what the server shows with what the model thinks: reads, lists, searches, streams.

use serde_json::{Value, json};

use super::content::WORDS;
use super::history::{Chat, Ev};
use super::messages::{content_text, messages};
use super::names::Names;
use super::readers::Reader;
use super::server::Server;
use super::views;
use super::world::World;

/// Compares a value that was shown.
#[track_caller]
pub(super) fn assert_shown(names: &mut Names, what: &str, expected: &Value, came: &Value) {
    if let Err(difference) = names.learn(expected, came) {
        panic!("{what}{difference}");
    }
}

impl World {
    /// Events that a reader of a chat, or of all of them, can see.
    pub(super) fn visible(&self, chat: Option<&str>) -> Vec<u64> {
        let is_wanted = |id: &str| chat.is_none_or(|wanted| wanted == id);
        let mut seqs: Vec<u64> = Vec::new();
        for (_, room) in self.chats.iter().filter(|(id, _)| is_wanted(id)) {
            let is_seen = |event: &&Ev| !room.is_deleted() || event.kind() == "chat_deleted";
            seqs.extend(room.events.iter().filter(is_seen).map(|event| event.seq));
        }
        seqs.sort_unstable();
        seqs
    }

    fn alive(&self) -> impl Iterator<Item = (&String, &Chat)> {
        self.chats.iter().filter(|(_, chat)| !chat.is_deleted())
    }
}

/// Compares everything that is shown of one chat.
pub(super) async fn chat(server: &Server, names: &mut Names, world: &World, id: &str) {
    let path = names.path(&format!("/v1/chats/{id}"));
    let room = &world.chats[id];
    if room.is_deleted() {
        for what in ["", "/messages", "/queue", "/requests", "/status", "/events", "/stream"] {
            let (status, body) = server.answer(get(&format!("{path}{what}"))).await;
            assert_eq!((status, &body["code"]), (410, &json!("chat_deleted")), "{path}{what}");
        }
        return;
    }
    let mut shown = views::chat(room);
    shown["as_of_seq"] = json!(world.head);
    let came = server.get(&path).await;
    assert_shown(names, &path, &shown, &came);
    let lists = [
        ("messages?limit=500", messages(room)),
        ("queue", views::queue(room)),
        ("requests", views::requests(room)),
    ];
    for (what, items) in lists {
        let list = json!({ "items": items, "next_cursor": null, "as_of_seq": world.head });
        let came = server.get(&format!("{path}/{what}")).await;
        assert_shown(names, &format!("{path}/{what}"), &list, &came);
    }
    let came = server.get(&format!("{path}/status")).await;
    assert_shown(names, &format!("{path}/status"), &views::status(room, world.head), &came);
    let came = server.get(&format!("{path}/events?limit=1000")).await;
    let items: Vec<Value> = room.events.iter().map(views::envelope).collect();
    let page = json!({ "items": items, "next_after_seq": world.head, "head_seq": world.head });
    assert_shown(names, &format!("{path}/events"), &page, &came);
}

/// Compares the messages of a chat as they were.
pub(super) async fn chat_at(
    server: &Server,
    names: &mut Names,
    world: &World,
    id: &str,
    at_seq: u64,
) {
    let room = world.chats[id].at_seq(at_seq);
    let path = names.path(&format!("/v1/chats/{id}/messages?limit=500&at_seq={at_seq}"));
    let came = server.get(&path).await;
    let list = json!({ "items": messages(&room), "next_cursor": null, "as_of_seq": at_seq });
    assert_shown(names, &path, &list, &came);
}

/// Compares the list of chats, and that of the open turns.
pub(super) async fn lists(server: &Server, names: &mut Names, world: &World) {
    let mut chats: Vec<Value> = world.alive().map(|(_, chat)| views::chat(chat)).collect();
    let place = |chat: &Value| {
        let activity = chat["last_activity_at"].as_str().unwrap().to_owned();
        let created = world.chats[chat["id"].as_str().unwrap()].created();
        std::cmp::Reverse((activity, created))
    };
    chats.sort_by_key(place);
    let list = json!({ "items": chats, "next_cursor": null, "as_of_seq": world.head });
    let came = server.get("/v1/chats?limit=500").await;
    assert_shown(names, "/v1/chats", &list, &came);
    let mut open: Vec<(u64, String)> =
        world.alive().filter_map(|(id, chat)| Some((chat.open()?.seq, id.clone()))).collect();
    open.sort();
    let came = server.get("/v1/turns?limit=500").await;
    let came: Vec<&Value> =
        came["items"].as_array().unwrap().iter().map(|turn| &turn["chat_id"]).collect();
    let open: Vec<Value> = open.iter().map(|(_, id)| json!(id)).collect();
    assert_shown(names, "/v1/turns", &json!(open), &json!(came));
}

/// Compares what is found of a word.
pub(super) async fn search(server: &Server, names: &mut Names, world: &World, n: usize) {
    let word = WORDS[n % WORDS.len()];
    let came = server.get(&format!("/v1/chats?limit=500&q=%22{word}%22")).await;
    let has_word = |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|w| w == word);
    let mut hits: Vec<(u64, String, Value)> = Vec::new();
    for (id, room) in world.alive() {
        for message in messages(room) {
            let is_done = message["stream_status"] != "in_progress";
            if is_done && has_word(content_text(&message)) {
                hits.push((message["first_seq"].as_u64().unwrap(), id.clone(), message));
            }
        }
    }
    hits.sort_by_key(|(seq, ..)| std::cmp::Reverse(*seq));
    let mut expected: Vec<(String, Vec<Value>)> = Vec::new();
    for (seq, chat, message) in hits {
        let hit = json!([message["id"], seq, message["role"]]);
        match expected.iter_mut().find(|(id, _)| *id == chat) {
            Some((_, hits)) => hits.push(hit),
            None => expected.push((chat, vec![hit])),
        }
    }
    let hit = |hit: &Value| json!([hit["message_id"], hit["first_seq"], hit["role"]]);
    let hits =
        |chat: &Value| -> Value { chat["hits"].as_array().unwrap().iter().map(hit).collect() };
    let found: Vec<Value> = came["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|chat| json!([chat["id"], hits(chat)]))
        .collect();
    let expected: Vec<Value> = expected.iter().map(|(id, hits)| json!([id, hits])).collect();
    assert_shown(names, &format!("a search for {word}"), &json!(expected), &json!(found));
}

/// Compares a snapshot that a stream began with.
pub(super) fn snapshot(names: &mut Names, world: &World, id: &str, came: &Value) {
    let room = &world.chats[id];
    let all = messages(room);
    let shown = &all[all.len().saturating_sub(50)..];
    let first = shown.first().filter(|_| shown.len() < all.len());
    let expected = json!({
        "as_of_seq": world.head,
        "chat": views::chat(room),
        "messages": shown,
        "next_cursor": first.map(|message| message["first_seq"].to_string()),
    });
    assert_shown(names, &format!("the snapshot of {id}"), &expected, came);
}

/// Compares the bytes that a reader got with those of the one that was there all the time.
pub(super) fn bytes(reader: &Reader, recorder: &Reader) {
    for (seq, frame) in &reader.frames {
        if let Some(recorded) = recorder.frames.get(seq) {
            assert_eq!(frame, recorded, "the bytes of {seq} depend on who reads them");
        }
    }
}

/// Compares what a reader has by now with what there was to be had since it began.
pub(super) fn whole(reader: &Reader, world: &World) {
    let shown = world.visible(reader.chat.as_deref());
    let wanted = shown.into_iter().filter(|seq| *seq > reader.after());
    let missed: Vec<u64> = wanted.filter(|seq| !reader.frames.contains_key(seq)).collect();
    assert_eq!(missed, [0; 0], "a reader of {:?} never got these", reader.chat);
}

pub(super) fn get(path: &str) -> axum::http::Request<axum::body::Body> {
    axum::http::Request::get(path).body(axum::body::Body::empty()).unwrap()
}
