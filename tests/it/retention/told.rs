//! Who is told that a chat was dropped, and that an archived chat is still nobody else's.

use reqwest::Method;
use scrollback::auth::ApiKey;
use scrollback_test_support::client::{Answer, Client};
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::sse::{Frame, Resume, SseReader};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::{eventually, within};
use serde_json::{Value, json};

use super::bytes_with;
use super::program::{PROGRAM, config, run};
use crate::fixture::{assert_whole, temp_dir};

/// What Ann says in the chat that stays, and in the one that is dropped.
const KEPT: &str = "the-dog-is-called-rex";
const SECRET: &str = "the-cat-is-called-mistigri";

/// Somebody with a key.
struct Person {
    client: Client,
    http: reqwest::Client,
    token: String,
}

impl Person {
    fn new(server: &Server, key: &ApiKey) -> Person {
        let token = key.reveal().to_owned();
        let mut bearer =
            reqwest::header::HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        bearer.set_sensitive(true);
        let headers = [(reqwest::header::AUTHORIZATION, bearer)].into_iter().collect();
        let http = reqwest::Client::builder().no_proxy().default_headers(headers).build().unwrap();
        Person { client: Client::new(server.base_url()), http, token }
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.client.request(method, path).bearer_auth(&self.token);
        Client::send(if body.is_null() { request } else { request.json(body) }).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &Value::Null).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    async fn stream(&self, path: &str, resume: Resume) -> SseReader {
        SseReader::open(&self.http, &self.client.url(path), resume).await.unwrap()
    }

    /// Makes a chat that a schedule keeps from being dropped.
    async fn make_kept(&self, chat: &str) {
        self.post("/v1/chats", &json!({ "chat_id": chat })).await.expect(201);
        let schedule = json!({ "chat_id": chat, "schedule_id": format!("s-{chat}"),
            "prompt": "go", "timing": { "every_ms": 86_400_000 } });
        self.post("/v1/schedules", &schedule).await.expect(201);
    }

    /// Begins a turn; its lease.
    async fn begin(&self, chat: &str) -> String {
        let turn = json!({ "text": "go", "provider": "external", "lease_ms": 600_000 });
        let begun = self.post(&format!("/v1/chats/{chat}/turns"), &turn).await.expect(202);
        begun["lease"]["token"].as_str().unwrap().to_owned()
    }

    async fn append(&self, chat: &str, lease: &str, first_number: u64, events: Value) -> Answer {
        let body = json!({ "lease": lease, "first_number": first_number, "events": events });
        self.post(&format!("/v1/chats/{chat}/events"), &body).await
    }
}

fn said(words: &str) -> Value {
    json!({ "kind": "assistant_text", "payload": { "text": words } })
}

fn complete() -> Value {
    json!({ "kind": "complete", "payload": { "status": "completed", "duration_ms": 1 } })
}

/// The operator, Ann and Bob, as a server knows them.
fn known(ops: &ApiKey, ann: &ApiKey, bob: &ApiKey) -> String {
    let key = |name: &str, key: &ApiKey, role: &str| {
        let hash = key.hash().hex();
        format!("[[auth.keys]]\nname = '{name}'\nhash = '{hash}'\n{role}\n")
    };
    let user = |name: &str| format!("role = 'user'\nowner = '{name}'");
    let keys = [
        key("ops", ops, "role = 'admin'"),
        key("ann", ann, &user("ann")),
        key("bob", bob, &user("bob")),
    ];
    let agent = "default_provider = 'agent'\n[providers.agent]\nkind = 'scripted'\n\
                 script = 'plan'\n";
    format!("{agent}{}", keys.concat())
}

/// A data directory with Ann's chats, one of them with an open turn, and Bob's; the lease of the
/// turn, and what Ann reads in the other.
async fn fill(dir: &TempDir, keys: [&ApiKey; 3]) -> (String, Value) {
    let [ops, ann, bob] = keys;
    let config = config(dir, &known(ops, ann, bob));
    let options = ServerOptions::new(PROGRAM, &dir.join("data")).args(&["--config", &config]);
    let server = Server::start_well(&options);
    let (ann, bob) = (Person::new(&server, ann), Person::new(&server, bob));
    ann.make_kept("kept").await;
    bob.make_kept("bobs").await;
    let lease = ann.begin("kept").await;
    for n in 0..30 {
        let words = format!("{KEPT} {n} {}", "and more ".repeat(150));
        ann.append("kept", &lease, n + 1, json!([said(&words)])).await.expect(200);
    }
    ann.append("kept", &lease, 31, json!([complete()])).await.expect(200);
    ann.post("/v1/chats", &json!({ "chat_id": "old" })).await.expect(201);
    let lease = ann.begin("old").await;
    ann.append("old", &lease, 1, json!([said(SECRET)])).await.expect(200);
    let events = ann.get("/v1/chats/kept/events?limit=1000").await.expect(200);
    (lease, events["items"].clone())
}

/// The frames of a stream up to the head.
async fn up_to_the_head(stream: &mut SseReader) -> Vec<Frame> {
    within("the head", async {
        let mut frames = Vec::new();
        loop {
            let frame = stream.frame().await.unwrap();
            if frame.event == "caught_up" {
                return frames;
            }
            frames.push(frame);
        }
    })
    .await
}

/// The frame of the tombstone, if these have it.
fn tombstone_in(frames: &[Frame]) -> Option<Value> {
    let is_it = |frame: &&Frame| frame.is_data() && frame.json()["kind"] == "chat_deleted";
    frames.iter().find(is_it).map(Frame::json)
}

/// Waits until a stream shows the tombstone.
async fn until_tombstone(stream: &mut SseReader) -> Value {
    within("the tombstone", async {
        loop {
            let frame = stream.frame().await.unwrap();
            if let Some(tombstone) = tombstone_in(std::slice::from_ref(&frame)) {
                return tombstone;
            }
        }
    })
    .await
}

/// Ann's archived chat is hers alone, by every way to it.
async fn assert_nobody_elses(ann: &Person, bob: &Person, before: &Value) {
    let events = ann.get("/v1/chats/kept/events?limit=1000").await.expect(200);
    assert_eq!(&events["items"], before, "she reads what she read before it was archived");
    for rest in ["", "/events", "/messages", "/messages?at_seq=20", "/status", "/stream"] {
        let (hers, none) = (format!("/v1/chats/kept{rest}"), format!("/v1/chats/none{rest}"));
        assert_eq!(bob.get(&hers).await.problem(404), "chat_not_found", "{hers}");
        assert_eq!(bob.get(&none).await.problem(404), "chat_not_found", "{none}");
    }
    let answer = bob.call(Method::DELETE, "/v1/chats/kept", &json!({})).await;
    assert_eq!(answer.problem(404), "chat_not_found");
    let fork = bob.post("/v1/chats/kept/fork", &json!({ "at_seq": 20 })).await;
    assert_eq!(fork.problem(404), "chat_not_found");
    let mut feed = bob.stream("/v1/stream", Resume::Beginning).await;
    for frame in up_to_the_head(&mut feed).await {
        let is_his = !frame.is_data() || frame.json()["chatId"] == "bobs";
        assert!(is_his && !frame.data.contains(KEPT), "{}", frame.data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_dropped_chat_are_told_and_nobody_else_learns_of_it() {
    let dir = temp_dir("retention-told");
    let [ops, ann, bob] = [ApiKey::fresh(), ApiKey::fresh(), ApiKey::fresh()];
    let (lease, before) = fill(&dir, [&ops, &ann, &bob]).await;
    let table = "[retention]\naction = 'drop'\nmax_age_days = 0.00001\ncheck_every_s = 1\n\
                 segment_kib = 16\n";
    let config = config(&dir, &format!("{}{table}", known(&ops, &ann, &bob)));
    let data = dir.join("data");
    let options = ServerOptions::new(PROGRAM, &data).args(&["--config", &config]);
    let server = Server::start_well(&options);
    let [ops, ann, bob] = [&ops, &ann, &bob].map(|key| Person::new(&server, key));
    eventually("something to be archived", async || {
        let stats = run(&data, &["inspect", "stats", "--json"]);
        let stats: Value = serde_json::from_str(&stats).unwrap();
        (stats["archive"]["segments"].as_u64() > Some(0)).then_some(())
    })
    .await;
    assert_nobody_elses(&ann, &bob, &before).await;

    // Everybody listens; then the chat's turn ends, and with it what keeps the chat.
    let mut of_chat = ann.stream("/v1/chats/old/stream", Resume::Beginning).await;
    let inside = up_to_the_head(&mut of_chat).await.iter().filter_map(|frame| frame.id).max();
    let inside = inside.unwrap();
    let mut feeds = Vec::new();
    for person in [&ops, &ann, &bob] {
        let mut feed = person.stream("/v1/stream", Resume::Beginning).await;
        up_to_the_head(&mut feed).await;
        feeds.push(feed);
    }
    ann.append("old", &lease, 2, json!([complete()])).await.expect(200);
    let frames = of_chat.rest().await;
    let tombstone = tombstone_in(&frames).expect("an open stream shows the tombstone");
    let by = json!({ "by": "retention" });
    assert_eq!((&tombstone["chatId"], &tombstone["payload"]), (&json!("old"), &by));
    let bye = frames.last().unwrap();
    assert_eq!((bye.event.as_str(), &bye.json()["reason"]), ("bye", &json!("chat_deleted")));
    assert_eq!(until_tombstone(&mut feeds[0]).await, tombstone);
    assert_eq!(until_tombstone(&mut feeds[1]).await, tombstone);
    let renamed = bob.call(Method::PATCH, "/v1/chats/bobs", &json!({ "title": "mine" })).await;
    renamed.expect(200);
    let next = within("Bob's next event", feeds[2].named("stream")).await;
    assert_eq!(next.json()["kind"], "chat_updated", "Bob hears nothing of it");

    eventually("the text to be gone from every file", async || {
        bytes_with(&data, SECRET).is_empty().then_some(())
    })
    .await;
    for rest in ["", "/events", "/stream"] {
        let path = format!("/v1/chats/old{rest}?after_seq={inside}");
        let path = if rest.is_empty() { "/v1/chats/old" } else { &path };
        assert_eq!(ann.get(path).await.problem(410), "chat_deleted", "{path}");
        assert_eq!(bob.get(path).await.problem(404), "chat_not_found", "{path}");
    }
    assert_cursors_are_told(&ops, &ann, inside, &tombstone).await;
    assert_nobody_elses(&ann, &bob, &before).await;
    drop(server);
    assert_whole(&data);
}

/// Whoever comes back to all chats with a cursor inside of what was dropped is told: by the
/// tombstone who sees all of them, and by a `resync` with the chats that are left who does not.
async fn assert_cursors_are_told(ops: &Person, ann: &Person, inside: u64, tombstone: &Value) {
    let mut feed = ops.stream("/v1/stream", Resume::After(inside)).await;
    let frames = up_to_the_head(&mut feed).await;
    assert_eq!(tombstone_in(&frames).as_ref(), Some(tombstone));
    assert!(frames.iter().all(|frame| !frame.data.contains(SECRET)));
    let mut feed = ann.stream("/v1/stream", Resume::After(inside)).await;
    let resync = within("the resync", feed.named("resync")).await.json();
    assert_eq!(resync["reason"], "chats_deleted");
    assert!(resync["head_seq"].as_u64() > tombstone["seq"].as_u64(), "{resync}");
    let snapshot = within("the snapshot", feed.named("snapshot")).await.json();
    let left: Vec<&Value> =
        snapshot["chats"].as_array().unwrap().iter().map(|chat| &chat["id"]).collect();
    assert_eq!(left, ["kept"], "{snapshot}");
}
