//! How a turn runs and how it fails: each cause becomes one terminal event, what was said stays.

use std::sync::{Arc, Mutex};

use axum::http::Method;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use scrollback::provider::{Past, Provider, ProviderError, Said, Saying, TurnRequest};
use scrollback_schema::event::{AssistantText, Phase, PromptSuggestions, Session};
use scrollback_schema::{ErrorCode, Event};
use scrollback_test_support::wait::{eventually, within};
use serde_json::{Value, json};

use super::room::{Room, n_ends};

const HELLO: &str = "pace_ms = 0\n[[step]]\nsay = 'Hello there'\n";

#[tokio::test]
async fn a_turn_is_its_user_message_its_deltas_and_one_end() {
    let room = Room::new("", &[("p", HELLO)]).await;
    let started = room.start("p").await;
    assert_eq!(started["resume_after_seq"], 1);
    assert_eq!(started["lease"], Value::Null);
    let message = room.ended(&started).await;
    assert_eq!(message["content_text"], "Hello there");
    assert_eq!(message["stream_status"], "completed");
    assert_eq!(message["provider"], "p");
    let expected = [
        "user_text go",
        "stream_started user",
        "chat_updated go",
        "assistant_text Hello there",
        "complete",
    ];
    assert_eq!(room.events().await, expected);
    assert_eq!(room.status().await["open_turn"], Value::Null);
}

#[tokio::test]
async fn only_the_first_message_of_a_chat_gives_it_its_title() {
    let room = Room::new("", &[("p", HELLO)]).await;
    room.api.patch_title("c1", "Mine").await;
    room.run("p").await;
    room.api.patch_title("c1", "").await;
    room.run("p").await;
    let titles = room.events().await;
    let titles: Vec<_> = titles.iter().filter(|e| e.starts_with("chat_updated")).collect();
    assert_eq!(titles, ["chat_updated Mine", "chat_updated "]);
}

#[tokio::test]
async fn a_pause_of_the_provider_leaves_no_text_in_memory() {
    let script = "pace_ms = 0\npiece_words = 1\n[[step]]\nsay = 'a b c'\n[[step]]\nhang = true\n";
    let room = Room::new("", &[("p", script)]).await;
    let started = room.start("p").await;
    room.message_when(&started, "all of the text", |m| m["content_text"] == "a b c").await;
    assert_eq!(room.stop(&started).await, 202);
    let message = room.ended(&started).await;
    assert_eq!(
        (&message["content_text"], &message["interrupt_reason"]),
        (&json!("a b c"), &json!("user"))
    );
}

/// A script, the lines of `[turns]`, and the failure that the message ends with.
struct Case {
    script: &'static str,
    turns: &'static str,
    code: &'static str,
    phase: &'static str,
    retryable: bool,
    text: &'static str,
}

const CASES: &[Case] = &[
    Case {
        script: "[[step]]\nfail = { code = 'provider_auth', message = 'no' }",
        turns: "",
        code: "provider_auth",
        phase: "setup",
        retryable: false,
        text: "",
    },
    Case {
        script: "[[step]]\nsay = 'half'\n[[step]]\ncut = true",
        turns: "",
        code: "provider_transport",
        phase: "stream",
        retryable: true,
        text: "half",
    },
    Case {
        script: "setup_ms = 600000",
        turns: "connect_timeout_ms = 30",
        code: "provider_timeout",
        phase: "setup",
        retryable: true,
        text: "",
    },
    Case {
        script: "[[step]]\nhang = true",
        turns: "first_token_timeout_ms = 30",
        code: "provider_timeout",
        phase: "setup",
        retryable: true,
        text: "",
    },
    Case {
        script: "pace_ms = 0\n[[step]]\nsay = 'half'\n[[step]]\nhang = true",
        turns: "idle_timeout_ms = 50",
        code: "provider_timeout",
        phase: "stream",
        retryable: true,
        text: "half",
    },
    Case {
        script: "pace_ms = 1\n[[step]]\n[step.repeat]\ntimes = 1000000\n[[step.repeat.step]]\n\
                 usage = { input_tokens = 1 }\n[[step.repeat.step]]\npause_ms = 1",
        turns: "total_timeout_ms = 60",
        code: "provider_timeout",
        phase: "stream",
        retryable: true,
        text: "",
    },
    Case {
        script: "",
        turns: "",
        code: "empty_response",
        phase: "stream",
        retryable: true,
        text: "",
    },
    Case {
        script: "[[step]]\nthink = 'only'",
        turns: "",
        code: "empty_response",
        phase: "stream",
        retryable: true,
        text: "",
    },
    Case {
        script: "piece_words = 100\n[[step]]\nsay = '0123456789'",
        turns: "output_bytes_max = 4",
        code: "output_too_long",
        phase: "stream",
        retryable: false,
        text: "0123",
    },
    Case {
        script: "[[step]]\nsay = 'half'\n[[step]]\npanic = 'as the test wants'",
        turns: "",
        code: "internal",
        phase: "stream",
        retryable: true,
        text: "half",
    },
];

#[tokio::test]
async fn every_failure_is_the_last_thing_in_the_message_and_keeps_what_was_said() {
    for case in CASES {
        let room = Room::new(case.turns, &[("p", case.script)]).await;
        let message = room.run("p").await;
        let failure = message["content_render"]["events"].as_array().unwrap().last().unwrap();
        let said = &failure["error"];
        assert_eq!(said["code"], case.code, "{}: {message}", case.script);
        assert_eq!(said["phase"], case.phase, "{}: {message}", case.script);
        assert_eq!(said["retryable"], case.retryable, "{}", case.script);
        assert_eq!(message["stream_status"], "failed");
        let text = message["content_text"].as_str().unwrap();
        match case.text {
            // Only without any text does the error stand in for it.
            "" => assert_eq!(text, said["message"].as_str().unwrap(), "{}", case.script),
            said => assert_eq!(text, said, "{}", case.script),
        }
        assert_eq!(n_ends(&room.events().await), 1, "{}", case.script);
        assert_eq!(room.status().await["open_turn"], Value::Null);
        // The next message works.
        room.start("p").await;
    }
}

#[tokio::test]
async fn an_unknown_model_fails_in_set_up() {
    let room = Room::new("", &[("p", HELLO)]).await;
    let started = room.start_with(json!({ "provider": "p", "model": "nobody" })).await;
    let message = room.ended(&started).await;
    assert_eq!(message["model"], "nobody");
    assert!(room.events().await.contains(&"error provider_setup".to_owned()));
}

#[tokio::test]
async fn calls_that_are_open_end_with_their_turn() {
    let script = "[[step]]\ntool_started = { id = 'a', name = 'read' }\n\
                  [[step]]\ntool_started = { id = 'b', name = 'read' }\n\
                  [[step]]\ntool_completed = { id = 'b', name = 'read' }\n";
    let failing = format!("{script}[[step]]\nfail = {{ code = 'tool_failed' }}");
    let room = Room::new("", &[("well", script), ("badly", &failing)]).await;
    let tools = |message: &Value| -> Vec<String> {
        let events = message["content_render"]["events"].as_array().unwrap().clone();
        let tools = events.iter().filter(|event| event["type"] == "tool");
        tools.map(|tool| tool["tool"]["status"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(tools(&room.run("well").await), ["completed", "completed"]);
    assert_eq!(tools(&room.run("badly").await), ["failed", "completed"]);
    let events = room.events().await;
    assert_eq!(events.iter().filter(|e| *e == "tool_failed").count(), 1, "{events:?}");
}

/// Notes what it is told, and ends its turn as its model says.
#[derive(Debug, Default)]
struct Listener(Mutex<Vec<TurnRequest>>);

impl Provider for Listener {
    fn start(&self, request: TurnRequest) -> BoxFuture<'_, Result<Saying, ProviderError>> {
        let model = request.model.clone().unwrap_or_default();
        self.0.lock().unwrap().push(request);
        let text = AssistantText { text: format!("answer {model}") };
        let offered = PromptSuggestions { suggestions: vec!["and?".to_owned()] };
        let session = Session { session_id: Some(format!("s-{model}")), ..Session::default() };
        let mut said = vec![
            Ok(Said::Event(Event::AssistantText(text))),
            Ok(Said::Event(Event::PromptSuggestions(offered))),
            Ok(Said::Event(Event::Session(session))),
        ];
        if model == "fails" {
            said.push(Err(ProviderError::new(ErrorCode::Internal, Phase::Stream, "a failure")));
        }
        Box::pin(std::future::ready(Ok(futures_util::stream::iter(said).boxed())))
    }

    fn check(&self) -> BoxFuture<'_, Result<String, ProviderError>> {
        Box::pin(std::future::ready(Ok(String::new())))
    }
}

#[tokio::test]
async fn a_model_is_told_what_was_said_and_not_what_failed_or_was_suggested() {
    let listener = Arc::new(Listener::default());
    let room = Room::with("", &[("p", HELLO)], &[("ear", listener.clone() as _)]).await;
    for model in ["one", "fails", "two"] {
        let body = json!({ "provider": "ear", "model": model, "text": format!("ask {model}") });
        let started = room.start_with(body).await;
        room.ended(&started).await;
    }
    room.run("p").await;
    let body = json!({ "provider": "ear", "text": "last" });
    let started = room.start_with(body).await;
    room.ended(&started).await;
    let requests = listener.0.lock().unwrap();
    let told = |request: &TurnRequest| -> Vec<String> {
        let line = |past: &Past| format!("{:?}: {}", past.role, past.text);
        request.history.iter().map(line).collect()
    };
    assert_eq!(told(&requests[0]), ["User: ask one"]);
    let expected = [
        "User: ask one",
        "Assistant: answer one",
        "User: ask fails",
        "Assistant: answer fails",
        "User: ask two",
    ];
    assert_eq!(told(&requests[2]), expected);
    let last = told(&requests[3]);
    assert_eq!(last[6..], ["User: go", "Assistant: Hello there", "User: last"]);
    let session = |n: usize| requests[n].session.clone().and_then(|s| s.session_id);
    assert_eq!((session(0), session(2)), (None, Some("s-fails".to_owned())));
}

#[tokio::test]
async fn a_turn_above_the_bound_waits_for_its_slot() {
    let slow = "[[step]]\nsay = 'a'\n[[step]]\nhang = true";
    let room = Room::new("running_max = 1", &[("slow", slow), ("fast", HELLO)]).await;
    let first = room.start("slow").await;
    room.message_when(&first, "the first word", |m| m["content_text"] == "a").await;
    room.api.post("/v1/chats", &json!({ "chat_id": "c2" })).await.expect(201);
    let body = json!({ "provider": "fast", "text": "x", "message_id": "m2" });
    room.api.post("/v1/chats/c2/turns", &body).await.expect(202);
    let metrics = eventually("a turn that waits", async || {
        let metrics = room.api.get("/metrics").await;
        let text = String::from_utf8(metrics.body.to_vec()).unwrap();
        text.contains("scrollback_turns_waiting 1").then_some(text)
    })
    .await;
    assert!(metrics.contains("scrollback_turns_running 1"), "{metrics}");
    room.stop(&first).await;
    eventually("the end of the second", async || {
        let message = room.api.get("/v1/chats/c2/messages/m2").await.expect(200);
        (message["stream_status"] == "completed").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_key_starts_one_turn_also_while_it_runs() {
    let room = Room::new("", &[("p", "[[step]]\nhang = true")]).await;
    let body = json!({ "provider": "p", "text": "go", "if_busy": "queue" });
    let other = json!({ "provider": "p", "text": "stop" });
    let [first, again, refused] =
        room.api.thrice(Method::POST, "/v1/chats/c1/turns", &body, &other).await;
    assert_eq!((again.status, again.json()), (202, first.json()));
    assert_eq!(refused.problem(), "409 idempotency_key_reused");
    let events = room.events().await;
    assert_eq!(events.iter().filter(|e| e.starts_with("stream_started")).count(), 1);
    assert!(!events.iter().any(|e| e.starts_with("message_queued")), "{events:?}");
}

#[tokio::test]
async fn who_starts_nothing_is_told_why() {
    let room = Room::new("", &[("p", HELLO)]).await;
    let post = async |body: Value| room.api.post("/v1/chats/c1/turns", &body).await;
    let unknown = post(json!({ "text": "x", "provider": "q" })).await;
    assert_eq!(unknown.problem(), "422 provider_unknown");
    assert_eq!(unknown.json()["configured"], json!(["p"]));
    assert_eq!(post(json!({ "text": "x" })).await.problem(), "422 bad_body");
    assert_eq!(post(json!({ "provider": "p" })).await.problem(), "422 bad_body");
    let body = json!({ "text": "x", "provider": "p" });
    let nowhere = room.api.post("/v1/chats/c9/turns", &body).await;
    assert_eq!(nowhere.problem(), "404 chat_not_found");
    assert_eq!(room.events().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_shutdown_gives_turns_their_grace_and_takes_no_more() {
    let ends = "[[step]]\nsay = 'a'\n[[step]]\npause_ms = 100\n[[step]]\nsay = ' b'";
    let hangs = "[[step]]\nsay = 'a'\n[[step]]\nhang = true";
    let room = Room::new("shutdown_grace_ms = 400", &[("ends", ends), ("hangs", hangs)]).await;
    room.api.post("/v1/chats", &json!({ "chat_id": "c2" })).await.expect(201);
    let first = room.start("ends").await;
    let body = json!({ "provider": "hangs", "text": "x", "message_id": "m2" });
    room.api.post("/v1/chats/c2/turns", &body).await.expect(202);
    let queued = json!({ "provider": "ends", "text": "later", "if_busy": "queue" });
    room.api.post("/v1/chats/c2/turns", &queued).await.expect(202);
    let close = async {
        let turns = room.api.app.turns().clone();
        within("the turns to end", turns.close()).await;
    };
    let refused = async {
        eventually("a refusal", async || {
            let body = json!({ "text": "x", "provider": "ends" });
            let answer = room.api.post("/v1/chats/c1/turns", &body).await;
            (answer.problem() == "503 shutting_down").then_some(())
        })
        .await;
    };
    tokio::join!(close, refused);
    assert_eq!(room.ended(&first).await["content_text"], "a b");
    let message = room.api.get("/v1/chats/c2/messages/m2").await.expect(200);
    assert_eq!(
        (&message["content_text"], &message["interrupt_reason"]),
        (&json!("a"), &json!("shutdown"))
    );
    // What waits is left for the next start.
    let status = room.api.get("/v1/chats/c2/status").await.expect(200);
    assert_eq!((&status["queue_length"], &status["open_turn"]), (&json!(1), &Value::Null));
}

#[tokio::test]
async fn a_deleted_chat_lets_its_provider_go() {
    let room = Room::new("", &[("p", "[[step]]\nsay = 'a'\n[[step]]\nhang = true")]).await;
    let started = room.start("p").await;
    room.message_when(&started, "the first word", |m| m["content_text"] == "a").await;
    room.api.call(Method::DELETE, "/v1/chats/c1", &Value::Null).await.expect(200);
    eventually("no turn to run", async || {
        let metrics = room.api.get("/metrics").await;
        let text = String::from_utf8(metrics.body.to_vec()).unwrap();
        text.contains("scrollback_turns_running 0").then_some(())
    })
    .await;
}
