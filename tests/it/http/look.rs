//! Looking into the log over HTTP: what `inspect` prints, in pages, within bounds.

use std::path::Path;

use axum::http::Method;
use scrollback_test_support::inspect::inspect;
use serde_json::{Value, json};

use super::api::Api;

/// Two chats with a turn each, of which one has a tool and has ended; a third one is deleted.
async fn recorded() -> Api {
    let api = Api::new().await;
    let first = api.turn("c1", "t1").await;
    let second = api.turn("c2", "t2").await;
    api.post("/v1/chats", &json!({ "chat_id": "gone" })).await.expect(201);
    api.say("c1", &first, 1, &["The disk", " is full", " of Cats"]).await;
    api.say("c2", &second, 1, &["Dogs"]).await;
    api.clock.advance_ms(400);
    let tool = json!({ "id": "x", "name": "read_csv" });
    let events = json!([
        { "kind": "tool_started", "payload": { "tool": tool } },
        { "kind": "tool_completed", "payload": { "tool": tool } },
    ]);
    api.append("c1", &first, 4, &events).await.expect(200);
    api.clock.advance_ms(2_500);
    api.say("c1", &first, 6, &["So much", " for cats"]).await;
    let end = json!([{ "kind": "complete", "payload": {} }]);
    api.append("c1", &first, 8, &end).await.expect(200);
    api.call(Method::DELETE, "/v1/chats/gone", &Value::Null).await.expect(200);
    api
}

/// What `inspect` prints as JSON lines, the server running.
fn inspected(api: &Api, args: &[&str]) -> Vec<Value> {
    let program = Path::new(env!("CARGO_BIN_EXE_scrollback"));
    let args = [args, &["--json"]].concat();
    let lines = inspect(program, api.dir.path(), &args).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every page from the beginning on, or backwards from the end, put together.
async fn pages(api: &Api, query: &str, limit: usize, is_backwards: bool) -> Vec<Value> {
    let mut all = Vec::new();
    let mut place = if is_backwards { String::new() } else { "&after_seq=0".to_owned() };
    for _ in 0..100 {
        let path = format!("/v1/log/events?limit={limit}{query}{place}");
        let page = api.get(&path).await.expect(200);
        let mut items = page["items"].as_array().unwrap().clone();
        assert!(items.len() <= limit, "{page}");
        let ends = [items.first(), items.last()].map(|item| item.map(|item| item["seq"].clone()));
        let told = [&page["first_seq"], &page["last_seq"]].map(|seq| Some(seq.clone()));
        assert_eq!(ends.map(|seq| Some(seq.unwrap_or(Value::Null))), told, "{page}");
        if is_backwards {
            items.append(&mut all);
            all = items;
            match &page["next_before_seq"] {
                Value::Null => return all,
                next => place = format!("&before_seq={next}"),
            }
        } else {
            all.append(&mut items);
            if page["next_after_seq"] == page["head_seq"] {
                return all;
            }
            place = format!("&after_seq={}", page["next_after_seq"]);
        }
    }
    panic!("the pages do not end");
}

#[tokio::test]
async fn every_filter_finds_what_inspect_finds_in_pages_of_any_size() {
    let api = recorded().await;
    let cases: [(&str, &[&str]); 9] = [
        ("", &[]),
        ("&chat=c1", &["--chat", "c1"]),
        ("&chat=gone", &["--chat", "gone"]),
        ("&turn=t1", &["--turn", "t1"]),
        ("&message=m-t1", &["--message", "m-t1"]),
        ("&message=u-t2", &["--message", "u-t2"]),
        ("&kind=tool_started,complete", &["--kind", "tool_started,complete"]),
        ("&text=cats", &["--text", "cats"]),
        ("&chat=c1&kind=assistant_text&text=disk", &["--text", "disk", "--kind", "assistant_text"]),
    ];
    for (query, args) in cases {
        let expected = inspected(&api, &[&["events"], args].concat());
        assert!(!expected.is_empty(), "{query}");
        for limit in [1, 2, 500] {
            assert_eq!(pages(&api, query, limit, false).await, expected, "{query} from the start");
            assert_eq!(pages(&api, query, limit, true).await, expected, "{query} from the end");
        }
    }
    assert_eq!(pages(&api, "&text=hippopotamus", 1, true).await, Vec::<Value>::new());
    assert_eq!(pages(&api, "&message=nobody", 1, false).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_page_says_how_to_go_on_in_both_directions() {
    let api = recorded().await;
    let head = api.log.head().get();
    let newest = api.get("/v1/log/events?limit=2").await.expect(200);
    assert_eq!(newest["items"].as_array().unwrap().len(), 2);
    assert_eq!((&newest["next_after_seq"], &newest["last_seq"]), (&json!(head), &json!(head)));
    assert_eq!(newest["next_before_seq"], json!(head - 1));
    assert_eq!(newest["scanned_through"], json!(head - 1));
    let middle = api.get("/v1/log/events?limit=2&after_seq=3").await.expect(200);
    let place = |page: &Value| {
        ["first_seq", "last_seq", "next_after_seq", "next_before_seq", "scanned_through"]
            .map(|name| page[name].as_u64())
    };
    assert_eq!(place(&middle), [4, 5, 5, 4, 5].map(Some));
    let before = api.get("/v1/log/events?limit=2&before_seq=4").await.expect(200);
    assert_eq!(place(&before), [2, 3, 3, 2, 2].map(Some));
    let first = api.get("/v1/log/events?limit=2&before_seq=2").await.expect(200);
    assert_eq!(place(&first), [Some(1), Some(1), Some(1), None, Some(1)]);
    let ended = api.get("/v1/log/events?turn=t1&after_seq=0").await.expect(200);
    assert_eq!(ended["next_after_seq"], json!(head), "nothing of it can come");
}

#[tokio::test]
async fn an_erased_event_keeps_its_place() {
    let api = recorded().await;
    let page = api.get("/v1/log/events?chat=gone").await.expect(200);
    let created = &page["items"][0];
    assert_eq!((&created["erased"], &created["payload"]), (&json!(true), &Value::Null));
    assert_eq!(created["kind"], "chat_created");
    let seq = &created["seq"];
    let event = api.get(&format!("/v1/log/events/{seq}")).await.expect(200);
    assert_eq!(&event["envelope"], created);
    let stored = &event["stored"];
    assert_eq!((&stored["erased"], &stored["payload_state"]), (&json!(true), &json!("erased")));
    let n_bytes = stored["payload_bytes"].as_u64().unwrap();
    assert_eq!(stored["payload_hex"], "00".repeat(n_bytes as usize));
}

#[tokio::test]
async fn an_event_is_shown_as_it_is_stored() {
    let api = recorded().await;
    let found = api.get("/v1/log/events?text=is%20full").await.expect(200);
    let envelope = &found["items"][0];
    let event = api.get(&format!("/v1/log/events/{}", envelope["seq"])).await.expect(200);
    assert_eq!((&event["envelope"], &event["unreadable"]), (envelope, &Value::Null));
    let stored = &event["stored"];
    let kind = scrollback_schema::Kind::AssistantText.number();
    assert_eq!((&stored["kind_number"], &stored["version"]), (&json!(kind), &json!(1)));
    let hex = stored["payload_hex"].as_str().unwrap();
    assert_eq!(stored["payload_bytes"], json!(hex.len() / 2));
    let format_byte = format!("{:02x}", stored["format_byte"].as_u64().unwrap());
    let text: String = " is full".bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(hex.starts_with(&format_byte) && hex.contains(&text), "{hex}");
    assert_eq!((&stored["payload_state"], &stored["erased"]), (&json!("intact"), &json!(false)));
    let batch = &stored["batch"];
    assert_eq!((&batch["n_events"], &batch["at"]), (&json!(3), &envelope["at"]));
    assert_eq!(batch["first_seq"], json!(envelope["seq"].as_u64().unwrap() - 1));
    assert_eq!(batch["batch_id"].as_str().unwrap().len(), 32);
    assert_eq!(batch["checksum"].as_str().unwrap().len(), 8);
}

#[tokio::test]
async fn a_long_payload_is_shown_in_part() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    api.say("c1", &lease, 1, &[&"x".repeat(20_000)]).await;
    let event = api.get(&format!("/v1/log/events/{}", api.log.head())).await.expect(200);
    let stored = &event["stored"];
    assert_eq!(stored["is_payload_cut"], json!(true));
    assert_eq!(stored["payload_hex"].as_str().unwrap().len(), 2 * 16_384);
    assert!(stored["payload_bytes"].as_u64().unwrap() > 20_000);
    let text = event["envelope"]["payload"]["text"].as_str().unwrap();
    assert_eq!(text.len(), 20_000, "the envelope is whole");
}

#[tokio::test]
async fn a_page_ends_after_so_many_bytes() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    let text = "x".repeat(900_000);
    for number in 1..=8 {
        api.say("c1", &lease, number, &[&text]).await;
    }
    for place in ["", "&after_seq=0"] {
        let page = api.get(&format!("/v1/log/events?limit=500{place}")).await.expect(200);
        let n_items = page["items"].as_array().unwrap().len();
        assert!((5..=8).contains(&n_items), "{n_items} of 11 events");
    }
    assert_eq!(pages(&api, "", 500, true).await.len(), 11);
}

#[tokio::test]
async fn the_log_says_how_it_is() {
    let api = recorded().await;
    let _reader = api.stream("/v1/stream").await;
    let log = api.get("/v1/log").await.expect(200);
    let head = api.log.head().get();
    assert_eq!((&log["head_seq"], &log["log_id"]), (&json!(head), &json!(api.log.log_id())));
    let newest = api.get("/v1/log/events?limit=1").await.expect(200);
    assert_eq!(log["head_at"], newest["items"][0]["at"]);
    assert_eq!((&log["readers"], &log["appended_total"]), (&json!(1), &json!(head)));
    for name in ["log_bytes", "views_bytes"] {
        assert!(log[name].as_u64().unwrap() > 0, "{log}");
    }
    assert!(log["wal_bytes"].is_u64() && log["format_version"] == 2, "{log}");
    assert!(log["sqlite_version"].as_str().unwrap().starts_with("3."), "{log}");
    let empty = Api::new().await.get("/v1/log").await.expect(200);
    assert_eq!((&empty["head_seq"], &empty["head_at"]), (&json!(0), &Value::Null));
}

#[tokio::test]
async fn a_turn_is_the_time_line_that_inspect_prints() {
    let api = recorded().await;
    for turn in [("c1", "t1"), ("c2", "t2")] {
        let (chat, id) = turn;
        let expected = inspected(&api, &["turn", id, "--chat", chat]);
        let shown = api.get(&format!("/v1/chats/{chat}/turns/{id}")).await.expect(200);
        assert_eq!(shown["items"].as_array().unwrap(), &expected, "{id}");
        assert_eq!(shown["message_id"], json!(format!("m-{id}")));
        assert_eq!((&shown["turn_id"], &shown["next_after_seq"]), (&json!(id), &Value::Null));
        assert_eq!(shown["started_seq"], expected[0]["first_seq"]);
    }
    let ended = api.get("/v1/chats/c1/turns/t1").await.expect(200);
    let kinds: Vec<&str> =
        ended["items"].as_array().unwrap().iter().map(|i| i["kind"].as_str().unwrap()).collect();
    let text = "assistant_text";
    assert_eq!(kinds, ["stream_started", text, "tool_started", "tool_completed", text, "complete"]);
    assert_eq!((&ended["first_token_ms"], &ended["items"][4]["gap_ms"]), (&json!(0), &json!(2500)));
    assert_eq!(ended["ended_seq"], ended["items"][5]["last_seq"]);
    let open = api.get("/v1/chats/c2/turns/t2").await.expect(200);
    assert_eq!(open["ended_seq"], Value::Null);
    let from = ended["items"][3]["last_seq"].as_u64().unwrap();
    let rest = api.get(&format!("/v1/chats/c1/turns/t1?after_seq={from}")).await.expect(200);
    let whole = ended["items"].as_array().unwrap();
    assert_eq!(rest["items"].as_array().unwrap(), &whole[4..], "gaps and all");
}

#[tokio::test]
async fn a_long_time_line_comes_in_pages() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    let mut number = 1;
    for _ in 0..12 {
        let event = |n: u64| match n % 2 {
            0 => json!({ "kind": "assistant_text", "payload": { "text": "a" } }),
            _ => json!({ "kind": "assistant_thinking", "payload": { "thinking": "b" } }),
        };
        let events: Vec<Value> = (0..100).map(event).collect();
        api.append("c1", &lease, number, &json!(events)).await.expect(200);
        number += 100;
        api.clock.advance_ms(10);
    }
    let expected = inspected(&api, &["turn", "t1"]);
    let (mut items, mut place) = (Vec::new(), String::new());
    for n_items in [1_000, 201] {
        let page = api.get(&format!("/v1/chats/c1/turns/t1{place}")).await.expect(200);
        let more = page["items"].as_array().unwrap();
        assert_eq!(more.len(), n_items);
        items.extend_from_slice(more);
        place = format!("?after_seq={}", page["next_after_seq"]);
    }
    assert_eq!((items, place.as_str()), (expected, "?after_seq=null"));
}

#[tokio::test]
async fn what_is_wrong_with_a_look_has_its_code() {
    let api = recorded().await;
    let ahead = api.log.head().get() + 1;
    let cases = [
        ("/v1/log/events?limit=501", "400 bad_query"),
        ("/v1/log/events?limit=0", "400 bad_query"),
        ("/v1/log/events?kind=nothing", "400 bad_query"),
        ("/v1/log/events?kind=error,", "400 bad_query"),
        ("/v1/log/events?after_seq=1&before_seq=2", "400 bad_query"),
        ("/v1/log/events?after_seq=x", "400 bad_cursor"),
        ("/v1/log/events?before_seq=-1", "400 bad_cursor"),
        ("/v1/log/events?chat=a%20b", "400 bad_id"),
        ("/v1/log/events?turn=a/b", "400 bad_id"),
        ("/v1/log/events?message=%C3%A9", "400 bad_id"),
        ("/v1/log/events?chat=nobody", "404 chat_not_found"),
        ("/v1/log/events?turn=nobody", "404 turn_not_found"),
        ("/v1/log/events?chat=c2&turn=t1", "404 turn_not_found"),
        (&format!("/v1/log/events?after_seq={ahead}"), "416 position_ahead"),
        (&format!("/v1/log/events?before_seq={}", ahead + 1), "416 position_ahead"),
        (&format!("/v1/log/events/{ahead}"), "416 position_ahead"),
        ("/v1/log/events/0", "400 bad_cursor"),
        ("/v1/log/events/x", "400 bad_cursor"),
        ("/v1/chats/c1/turns/nobody", "404 turn_not_found"),
        ("/v1/chats/c2/turns/t1", "404 turn_not_found"),
        ("/v1/chats/nobody/turns/t1", "404 chat_not_found"),
        ("/v1/chats/gone/turns/t1", "410 chat_deleted"),
        ("/v1/chats/c1/turns/a%20b", "400 bad_id"),
        ("/v1/chats/c1/turns/t1?after_seq=x", "400 bad_cursor"),
        (&format!("/v1/chats/c1/turns/t1?after_seq={ahead}"), "416 position_ahead"),
    ];
    for (path, expected) in cases {
        assert_eq!(api.get(path).await.problem(), expected, "{path}");
    }
    for path in [format!("/v1/log/events?before_seq={ahead}"), "/v1/log/events?kind=999".into()] {
        api.get(&path).await.expect(200);
    }
}
