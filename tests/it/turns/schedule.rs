//! Schedules over their routes: what is due starts once, what cannot is said, what was missed is
//! counted; paused, changed, removed, run at once. The clock is the test's.

use axum::http::Method;
use scrollback_test_support::wait::eventually;
use serde_json::{Value, json};

use super::room::{Room, n_ends};

const ECHO: &str = "pace_ms = 0\npiece_words = 100\n[[step]]\nsay = '<{prompt}>'";
const HANGS: &str = "pace_ms = 0\n[[step]]\nsay = 'a'\n[[step]]\nhang = true";
const FAILS: &str = "[[step]]\nfail = { code = 'provider_auth', message = 'the key is refused' }\n";

const SCRIPTS: &[(&str, &str)] = &[("echo", ECHO), ("hangs", HANGS), ("fails", FAILS)];

const MINUTE_MS: i64 = 60_000;

/// A room in which the scheduler runs.
async fn room(turns: &str) -> Room {
    let room = Room::new(turns, SCRIPTS).await;
    room.api.app.schedules().start().await.unwrap();
    room
}

fn minutely(provider: &str) -> Value {
    json!({
        "chat_id": "c1", "schedule_id": "s1", "timing": { "every_ms": MINUTE_MS },
        "prompt": "Report", "provider": provider,
    })
}

impl Room {
    async fn schedule(&self, body: &Value) -> Value {
        self.api.post("/v1/schedules", body).await.expect(201)
    }

    async fn change(&self, body: &Value) -> Value {
        let mut body = body.clone();
        body["chat_id"] = json!("c1");
        self.api.call(Method::PATCH, "/v1/schedules/s1", &body).await.expect(200)
    }

    async fn shown(&self) -> Value {
        self.api.get("/v1/schedules/s1?chat_id=c1").await.expect(200)
    }

    /// What `s1` did, the last run first.
    async fn runs(&self) -> Vec<Value> {
        let runs = self.api.get("/v1/schedules/s1/runs?chat_id=c1").await.expect(200);
        runs["items"].as_array().unwrap().clone()
    }

    async fn runs_when(&self, what: &str, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        eventually(what, async || {
            let runs = self.runs().await;
            is_so(&runs).then_some(runs)
        })
        .await
    }

    /// The same while time goes on, second by second: a busy chat is looked at now and then.
    async fn runs_in_time(&self, what: &str, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        eventually(what, async || {
            self.later(1_000);
            let runs = self.runs().await;
            is_so(&runs).then_some(runs)
        })
        .await
    }

    fn later(&self, ms: i64) {
        self.api.clock.advance_ms(ms);
        self.api.app.schedules().wake();
    }
}

fn is_done(runs: &[Value], n: usize) -> bool {
    runs.len() == n && runs.iter().all(|run| run["status"] == "completed")
}

#[tokio::test]
async fn what_is_due_starts_as_a_turn_in_one_append() {
    let room = room("").await;
    let made = room.schedule(&minutely("echo")).await;
    assert_eq!((&made["chat_id"], &made["schedule_id"]), (&json!("c1"), &json!("s1")));
    assert_eq!(room.shown().await["next_run_at"], "2026-11-22T20:53:00.123Z");
    room.later(MINUTE_MS - 1);
    room.later(1);
    let runs = room.runs_when("the run", |runs| is_done(runs, 1)).await;
    assert_eq!(runs[0]["due_at"], "2026-11-22T20:53:00.123Z");
    assert_eq!((&runs[0]["n_missed"], &runs[0]["error"]), (&json!(0), &Value::Null));
    let events = room.events().await;
    let expected = [
        "schedule_created",
        "user_text Report",
        "stream_started schedule",
        "chat_updated Report",
        "schedule_fired",
        "assistant_text <Report>",
        "complete",
    ];
    assert_eq!(events, expected);
    let page = room.api.get("/v1/chats/c1/events?kind=schedule_fired").await.expect(200);
    assert_eq!(page["items"][0]["payload"]["turn_id"], runs[0]["turn_id"]);
    let path = format!("/v1/chats/c1/messages/{}", runs[0]["message_id"].as_str().unwrap());
    assert_eq!(room.api.get(&path).await.expect(200)["content_text"], "<Report>");
    let shown = room.shown().await;
    assert_eq!((&shown["n_started"], &shown["last_run"]), (&json!(1), &runs[0]));
    assert_eq!(shown["next_run_at"], "2026-11-22T20:54:00.123Z");
}

#[tokio::test]
async fn what_was_missed_is_counted_and_not_made_up_for() {
    let room = room("").await;
    room.schedule(&minutely("echo")).await;
    room.later(5 * MINUTE_MS + 30_000);
    let runs = room.runs_when("one run", |runs| is_done(runs, 1)).await;
    assert_eq!(runs[0]["due_at"], "2026-11-22T20:57:00.123Z");
    assert_eq!(runs[0]["n_missed"], 4);
    room.later(MINUTE_MS);
    let runs = room.runs_when("another run", |runs| is_done(runs, 2)).await;
    assert_eq!(runs[0]["n_missed"], 0);
    let shown = room.shown().await;
    assert_eq!((&shown["n_started"], &shown["n_missed"]), (&json!(2), &json!(4)));
}

#[tokio::test]
async fn what_is_too_late_is_said_and_does_not_start() {
    let room = room("schedule_late_max_ms = 10000").await;
    room.schedule(&minutely("echo")).await;
    room.later(2 * MINUTE_MS + 11_000);
    let runs = room.runs_when("a report", |runs| runs.len() == 1).await;
    assert_eq!(runs[0]["status"], "not_started");
    assert_eq!(runs[0]["error"], "missed: it could not start in time");
    assert_eq!(runs[0]["n_missed"], 1);
    room.later(MINUTE_MS - 5_000);
    let runs = room.runs_when("the next run", |runs| runs.len() == 2).await;
    assert_eq!((&runs[0]["error"], &runs[0]["n_missed"]), (&Value::Null, &json!(0)));
    let events = room.events_when("its end", |events| n_ends(events) == 1).await;
    assert_eq!(events.iter().filter(|e| *e == "stream_started schedule").count(), 1);
}

#[tokio::test]
async fn a_busy_chat_is_waited_for_and_runs_do_not_pile_up() {
    let room = room("").await;
    room.schedule(&minutely("echo")).await;
    let busy = room.start("hangs").await;
    room.message_when(&busy, "its word", |m| m["content_text"] == "a").await;
    let body = json!({ "content": "queued", "provider": "echo" });
    room.api.post("/v1/chats/c1/queue", &body).await.expect(202);
    room.later(3 * MINUTE_MS + 1_000);
    room.later(2_000);
    assert_eq!(room.runs().await, Vec::<Value>::new());
    assert_eq!(room.shown().await["next_run_at"], "2026-11-22T20:55:00.123Z");
    room.stop(&busy).await;
    let runs = room.runs_in_time("the run", |runs| is_done(runs, 1)).await;
    assert_eq!((&runs[0]["n_missed"], &runs[0]["error"]), (&json!(2), &Value::Null));
    let events = room.events().await;
    let said: Vec<&str> =
        events.iter().filter_map(|event| event.strip_prefix("assistant_text ")).collect();
    assert_eq!(said, ["a", "<queued>", "<Report>"], "people go first");
}

#[tokio::test]
async fn what_waits_starts_when_the_turn_ends_and_not_a_while_later() {
    let room = room("").await;
    room.schedule(&minutely("echo")).await;
    let busy = room.start("hangs").await;
    room.message_when(&busy, "its word", |m| m["content_text"] == "a").await;
    let mut other = minutely("echo");
    (other["schedule_id"], other["prompt"]) = (json!("s2"), json!("Other"));
    room.schedule(&other).await;
    room.later(MINUTE_MS);
    // The clock stands still from here on: no look is due by it.
    room.stop(&busy).await;
    let events = room.events_when("both runs", |events| n_ends(events) == 3).await;
    let said = events.iter().filter(|event| event.starts_with("assistant_text <"));
    assert_eq!(said.count(), 2, "{events:?}");
}

#[tokio::test]
async fn a_run_is_answered_again_when_its_schedule_is_gone() {
    let room = room("").await;
    room.schedule(&minutely("echo")).await;
    let path = "/v1/schedules/s1/run";
    let (this, other) = (json!({ "chat_id": "c1" }), json!({ "chat_id": "c1", "by": "x" }));
    let [first, ..] = room.api.thrice(Method::POST, path, &this, &other).await;
    assert_eq!(first.status, 202);
    room.runs_when("the run", |runs| is_done(runs, 1)).await;
    room.api.call(Method::DELETE, "/v1/schedules/s1", &this).await.expect(200);
    let n_events = room.events().await.len();
    let [again, _, reused] = room.api.thrice(Method::POST, path, &this, &other).await;
    assert_eq!((again.status, again.json()), (202, first.json()));
    assert_eq!(reused.problem(), "409 idempotency_key_reused");
    assert_eq!(room.api.post(path, &this).await.problem(), "404 schedule_not_found");
    assert_eq!(room.events().await.len(), n_events);
}

#[tokio::test]
async fn two_that_are_due_in_one_chat_run_one_after_the_other() {
    let room = room("").await;
    room.schedule(&minutely("echo")).await;
    let mut other = minutely("echo");
    (other["schedule_id"], other["prompt"]) = (json!("s2"), json!("Other"));
    room.schedule(&other).await;
    room.later(MINUTE_MS);
    room.runs_in_time("the first", |runs| is_done(runs, 1)).await;
    let events = eventually("both", async || {
        room.later(1_000);
        let events = room.events().await;
        (n_ends(&events) == 2).then_some(events)
    });
    let events = events.await;
    assert!(events.contains(&"assistant_text <Report>".to_owned()), "{events:?}");
    assert!(events.contains(&"assistant_text <Other>".to_owned()), "{events:?}");
}

#[tokio::test]
async fn a_paused_schedule_misses_nothing_and_goes_on_from_its_resumption() {
    let room = room("").await;
    room.schedule(&minutely("echo")).await;
    room.change(&json!({ "paused": true })).await;
    let shown = room.shown().await;
    assert_eq!((&shown["paused"], &shown["next_run_at"]), (&json!(true), &Value::Null));
    room.later(10 * MINUTE_MS);
    room.change(&json!({ "paused": false, "prompt": "Later" })).await;
    room.later(MINUTE_MS);
    let runs = room.runs_when("the run", |runs| is_done(runs, 1)).await;
    assert_eq!(runs[0]["due_at"], "2026-11-22T21:03:00.123Z");
    assert_eq!(runs[0]["n_missed"], 0);
    assert!(room.events().await.contains(&"user_text Later".to_owned()));
}

#[tokio::test]
async fn another_timing_counts_from_now_and_another_prompt_delays_nothing() {
    let room = room("").await;
    room.schedule(&minutely("echo")).await;
    room.later(30_000);
    room.change(&json!({ "prompt": "Other" })).await;
    assert_eq!(room.shown().await["next_run_at"], "2026-11-22T20:53:00.123Z");
    room.change(&json!({ "timing": { "every_ms": 120_000 } })).await;
    assert_eq!(room.shown().await["next_run_at"], "2026-11-22T20:54:30.123Z");
    let cron = json!({ "timing": { "cron": "0 7 * * *", "time_zone": "Asia/Tokyo" } });
    room.change(&cron).await;
    assert_eq!(room.shown().await["next_run_at"], "2026-11-22T22:00:00.000Z");
    room.later(90 * MINUTE_MS);
    let runs = room.runs_when("the run", |runs| is_done(runs, 1)).await;
    assert_eq!(runs[0]["due_at"], "2026-11-22T22:00:00.000Z");
}

#[tokio::test]
async fn a_run_can_be_had_at_once() {
    let room = room("").await;
    let mut body = minutely("echo");
    body["paused"] = json!(true);
    room.schedule(&body).await;
    let path = "/v1/schedules/s1/run";
    let (this, other) = (json!({ "chat_id": "c1" }), json!({ "chat_id": "c1", "by": "x" }));
    let [started, again, refused] = room.api.thrice(Method::POST, path, &this, &other).await;
    assert_eq!((started.status, again.json()), (202, started.json()));
    assert_eq!(refused.problem(), "409 idempotency_key_reused");
    let runs = room.runs_when("the run", |runs| is_done(runs, 1)).await;
    assert_eq!(runs[0]["turn_id"], started.json()["turn_id"]);
    assert_eq!(runs[0]["due_at"], "2026-11-22T20:52:00.123Z");
    room.start("hangs").await;
    assert_eq!(room.api.post(path, &this).await.problem(), "409 chat_busy");
    assert_eq!(room.runs().await.len(), 1);
}

#[tokio::test]
async fn a_failure_of_the_provider_is_in_the_history() {
    let room = room("").await;
    room.schedule(&minutely("fails")).await;
    room.later(MINUTE_MS);
    let runs = room
        .runs_when("the failure", |runs| runs.first().is_some_and(|run| run["status"] == "failed"));
    let failure = &runs.await[0]["failure"];
    assert_eq!(failure["code"], "provider_auth");
    assert_eq!(failure["message"], "the key is refused");
    room.later(MINUTE_MS);
    room.runs_when("the next try", |runs| {
        runs.len() == 2 && runs.iter().all(|run| run["status"] == "failed")
    })
    .await;
    assert_eq!(room.shown().await["n_started"], 2, "a failed turn did start");
}

#[tokio::test]
async fn what_was_removed_runs_no_more() {
    let room = room("").await;
    room.schedule(&minutely("echo")).await;
    let body = json!({ "chat_id": "c1", "by": "ada" });
    room.api.call(Method::DELETE, "/v1/schedules/s1", &body).await.expect(200);
    room.api.post("/v1/chats", &json!({ "chat_id": "c2" })).await.expect(201);
    let mut other = minutely("echo");
    other["chat_id"] = json!("c2");
    room.schedule(&other).await;
    room.api.call(Method::DELETE, "/v1/chats/c2", &Value::Null).await;
    room.api.post("/v1/chats", &json!({ "chat_id": "c3" })).await.expect(201);
    other["chat_id"] = json!("c3");
    room.schedule(&other).await;
    room.later(MINUTE_MS);
    eventually("the one that is left", async || {
        let shown = room.api.get("/v1/schedules/s1?chat_id=c3").await.expect(200);
        (shown["n_started"] == 1).then_some(())
    })
    .await;
    assert_eq!(room.events().await, ["schedule_created", "schedule_removed"]);
    for path in ["/v1/schedules/s1?chat_id=c1", "/v1/schedules/s1/runs?chat_id=c1"] {
        assert_eq!(room.api.get(path).await.problem(), "404 schedule_not_found");
    }
    assert_eq!(room.api.get("/v1/schedules/s1?chat_id=c2").await.problem(), "410 chat_deleted");
    let all = room.api.get("/v1/schedules").await.expect(200);
    assert_eq!(all["items"].as_array().unwrap().len(), 1, "{all}");
}

#[tokio::test]
async fn what_can_never_run_is_refused() {
    let room = room("").await;
    let refused = async |name: &str, value: Value| {
        let mut body = minutely("echo");
        body[name] = value;
        room.api.post("/v1/schedules", &body).await.problem()
    };
    let cron = |expression: &str, zone: &str| json!({ "cron": expression, "time_zone": zone });
    for timing in [
        cron("61 * * * *", "UTC"),
        cron("* * * * * *", "UTC"),
        cron("0 0 30 2 *", "UTC"),
        cron("* * * * *", "Mars/Olympus"),
        json!({ "every_ms": 999 }),
        json!({ "every_ms": 60_000, "cron": "* * * * *" }),
        json!("daily"),
    ] {
        assert_eq!(refused("timing", timing.clone()).await, "422 bad_body", "{timing}");
    }
    assert_eq!(refused("prompt", json!("")).await, "422 bad_body");
    assert_eq!(refused("provider", json!("nobody")).await, "422 provider_unknown");
    assert_eq!(refused("provider", Value::Null).await, "422 bad_body", "there is no default");
    assert_eq!(refused("provider", json!("external")).await, "422 provider_external");
    assert_eq!(refused("chat_id", json!("nowhere")).await, "404 chat_not_found");
    assert_eq!(refused("chat_id", Value::Null).await, "422 bad_body");
    assert_eq!(room.api.get("/v1/schedules/s1").await.problem(), "400 bad_query");
    let patch = json!({ "chat_id": "c1", "paused": true });
    let patched = room.api.call(Method::PATCH, "/v1/schedules/s9", &patch).await;
    assert_eq!(patched.problem(), "404 schedule_not_found");
    assert_eq!(room.events().await, Vec::<String>::new());
    let (body, mut other) = (minutely("echo"), minutely("echo"));
    other["prompt"] = json!("Other");
    let [made, again, reused] = room.api.thrice(Method::POST, "/v1/schedules", &body, &other).await;
    assert_eq!((made.status, again.json()), (201, made.json()));
    assert_eq!(reused.problem(), "409 idempotency_key_reused");
    assert_eq!(room.api.post("/v1/schedules", &body).await.problem(), "409 id_taken");
}

#[tokio::test]
async fn a_hundred_chats_run_theirs_at_the_same_time() {
    const N: usize = 100;
    let room = room("").await;
    for n in 0..N {
        let chat = format!("many{n}");
        room.api.post("/v1/chats", &json!({ "chat_id": chat })).await.expect(201);
        let mut body = minutely("echo");
        (body["chat_id"], body["schedule_id"]) = (json!(chat), Value::Null);
        room.schedule(&body).await;
    }
    room.later(MINUTE_MS);
    let list = async |cursor: &str| {
        let path = format!("/v1/schedules?limit=60{cursor}");
        room.api.get(&path).await.expect(200)
    };
    eventually("all of them", async || {
        let first = list("").await;
        let rest = list(&format!("&cursor={}", first["next_cursor"].as_str()?)).await;
        assert_eq!(rest["next_cursor"], Value::Null);
        let items = [&first, &rest].map(|page| page["items"].as_array().unwrap().clone()).concat();
        assert_eq!(items.len(), N);
        let is_done =
            |item: &Value| item["n_started"] == 1 && item["last_run"]["status"] == "completed";
        items.iter().all(is_done).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_chat_has_a_hundred_schedules_at_most() {
    let room = room("").await;
    let mut body = minutely("echo");
    body["schedule_id"] = Value::Null;
    for _ in 0..100 {
        room.schedule(&body).await;
    }
    assert_eq!(room.api.post("/v1/schedules", &body).await.problem(), "409 too_many_schedules");
}
