//! Two hundred turns at once, some of them watched by readers that never read.

use scrollback_test_support::wait::eventually;
use serde_json::{Value, json};

use super::room::{Room, n_ends};

const N_TURNS: usize = 200;

/// Long enough that all turns speak at the same time.
const SPEAKS: &str = "pace_ms = 5\npiece_words = 1\n\
    [[step]]\n[step.repeat]\ntimes = 20\n[[step.repeat.step]]\nsay = 'word by word '\n\
    [[step]]\ntool_started = { id = 't', name = 'look' }\n\
    [[step]]\nsay = 'done'\n";

const FAILS: &str = "pace_ms = 5\npiece_words = 1\n\
    [[step]]\n[step.repeat]\ntimes = 20\n[[step.repeat.step]]\nsay = 'word by word '\n\
    [[step]]\ncut = true\n";

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_turns_at_once_all_end_right() {
    // Fewer slots than turns: a quarter of them waits first.
    let room = Room::new("running_max = 150", &[("ends", SPEAKS), ("fails", FAILS)]).await;
    let mut slow_readers = Vec::new();
    for n in 0..N_TURNS {
        let chat = format!("m{n}");
        room.api.post("/v1/chats", &json!({ "chat_id": chat })).await.expect(201);
        if n % 10 == 0 {
            let path = format!("/v1/chats/{chat}/stream");
            slow_readers.push(room.api.stream(&path).await);
        }
    }
    for n in 0..N_TURNS {
        let provider = if n % 4 == 0 { "fails" } else { "ends" };
        let body = json!({ "provider": provider, "text": "go", "message_id": format!("m-{n}") });
        room.api.post(&format!("/v1/chats/m{n}/turns"), &body).await.expect(202);
    }
    eventually("every turn to end", async || {
        let turns = room.api.get("/v1/turns").await.expect(200);
        turns["items"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    for n in 0..N_TURNS {
        let path = format!("/v1/chats/m{n}/messages/m-{n}");
        let message = room.api.get(&path).await.expect(200);
        let (status, text) = (&message["stream_status"], &message["content_text"]);
        let said = "word by word ".repeat(20);
        match n % 4 {
            0 => assert_eq!((status, text), (&json!("failed"), &json!(said))),
            _ => assert_eq!((status, text), (&json!("completed"), &json!(format!("{said}done")))),
        }
        let path = format!("/v1/chats/m{n}/events?limit=1000");
        let page = room.api.get(&path).await.expect(200);
        let kind = |event: &Value| event["kind"].as_str().unwrap().to_owned();
        let kinds: Vec<String> = page["items"].as_array().unwrap().iter().map(kind).collect();
        assert_eq!(n_ends(&kinds), 1, "{kinds:?}");
    }
    drop(slow_readers);
}
