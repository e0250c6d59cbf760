//! Read models as an operator sees and rebuilds them under a running server, and its providers.

use axum::http::Method;
use scrollback_test_support::wait::eventually;
use serde_json::{Value, json};

use super::api::Api;

/// A projection as the list tells it.
async fn projection(api: &Api, name: &str) -> Value {
    let list = api.get("/v1/projections").await.expect(200);
    let items = list["items"].as_array().unwrap();
    items.iter().find(|item| item["name"] == name).unwrap().clone()
}

async fn rebuild(api: &Api, name: &str, body: &Value) -> Value {
    api.post(&format!("/v1/projections/{name}/rebuild"), body).await.expect(202)
}

/// Waits for the end of a rebuild or a check.
async fn ended(api: &Api, name: &str) -> Value {
    eventually("the end of the rebuild", || async {
        let rebuild = projection(api, name).await["rebuild"].take();
        let is_over = !["running", "checking"].contains(&rebuild["state"].as_str().unwrap());
        is_over.then_some(rebuild)
    })
    .await
}

#[tokio::test]
async fn every_projection_says_how_far_it_is() {
    let api = Api::new().await;
    api.turn("c1", "t1").await;
    let caught_up = eventually("the projections", || async {
        let list = api.get("/v1/projections").await.expect(200);
        let items = list["items"].as_array().unwrap();
        items.iter().all(|item| item["behind_events"] == 0).then(|| list.clone())
    });
    let list = caught_up.await;
    let known: Vec<&str> = scrollback_projections::ALL.iter().map(|known| known.name).collect();
    let listed = list["items"].as_array().unwrap();
    let names: Vec<&str> = listed.iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, known);
    assert_eq!(list["head_seq"], json!(api.log.head().get()));
    for (item, known) in listed.iter().zip(scrollback_projections::ALL) {
        let expected = json!({
            "name": known.name,
            "version": known.version,
            "checkpoint_seq": api.log.head().get(),
            "behind_events": 0,
            "behind_seconds": 0.0,
            "health": "working",
            "cause": null,
            "parked": [],
            "rebuild": null,
        });
        assert_eq!(item, &expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_is_rebuilt_while_the_log_grows_and_is_read() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    let mut number = 0;
    for name in scrollback_projections::ALL.iter().map(|known| known.name) {
        let begun = rebuild(&api, name, &json!({})).await;
        assert_eq!(begun, json!({ "name": name, "state": "running" }));
        let refused = api.post("/v1/projections/chats/rebuild", &Value::Null).await;
        assert_eq!(refused.problem(), "409 rebuild_running");
        assert_eq!(refused.json()["projection"], name);
        let rebuilt = eventually("the end of the rebuild", || {
            number += 1;
            let n = number;
            let (api, lease) = (&api, &lease);
            async move {
                api.say("c1", lease, n, &["a"]).await;
                let message = api.get("/v1/chats/c1/messages/m-t1").await.expect(200);
                assert_eq!(message["content_text"], "a".repeat(n as usize), "{name}");
                api.get("/v1/chats").await.expect(200);
                let rebuild = projection(api, name).await["rebuild"].take();
                (rebuild["state"] != "running").then_some(rebuild)
            }
        });
        let rebuilt = rebuilt.await;
        assert_eq!((&rebuilt["state"], &rebuilt["cause"]), (&json!("done"), &Value::Null));
        assert!(rebuilt["checkpoint_seq"].as_u64().unwrap() > 0, "{rebuilt}");
        assert_eq!((&rebuilt["check"], &rebuilt["seconds_left"]), (&Value::Null, &Value::Null));
        let begun = rebuild(&api, name, &json!({ "check": true })).await;
        assert_eq!(begun["state"], "checking");
        let checked = ended(&api, name).await;
        assert_eq!((&checked["state"], &checked["check"]), (&json!("done"), &json!("equal")));
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "somebody changes a view behind our back")]
async fn a_check_names_the_first_difference() {
    let api = Api::new().await;
    api.turn("c1", "t1").await;
    let caught_up = eventually("the projection", || async {
        (projection(&api, "messages").await["behind_events"] == 0).then_some(())
    });
    caught_up.await;
    let db = rusqlite::Connection::open(api.dir.path().join("views/messages.db")).unwrap();
    let other = "UPDATE message SET message_id = 'other' WHERE message_id = 'u-t1'";
    let n_changed = db.execute(other, []).unwrap();
    assert_eq!(n_changed, 1);
    drop(db);
    rebuild(&api, "messages", &json!({ "check": true })).await;
    let checked = ended(&api, "messages").await;
    assert_eq!(checked["state"], "done");
    let difference = &checked["check"];
    assert_eq!(difference["table"], "message", "{checked}");
    assert_eq!(difference["at_seq"], json!(api.log.head().get()));
    assert!(difference["message"].as_str().unwrap().contains("differs"), "{checked}");
    rebuild(&api, "messages", &Value::Null).await;
    assert_eq!(ended(&api, "messages").await["state"], "done");
    rebuild(&api, "messages", &json!({ "check": true })).await;
    assert_eq!(ended(&api, "messages").await["check"], "equal", "the rebuild has mended it");
}

#[tokio::test]
async fn what_is_wrong_with_a_rebuild_has_its_code() {
    let api = Api::new().await;
    let cases = [
        ("/v1/projections/nothing/rebuild", json!({}), "404 projection_not_found"),
        ("/v1/projections/chats/rebuild", json!({ "check": 1 }), "422 bad_body"),
        ("/v1/projections/chats/rebuild", json!([]), "422 bad_body"),
    ];
    for (path, body, expected) in cases {
        assert_eq!(api.post(path, &body).await.problem(), expected, "{path} {body}");
    }
    let got = api.call(Method::GET, "/v1/projections/chats/rebuild", &Value::Null).await;
    assert_eq!(got.problem(), "405 method_not_allowed");
    // Another program's rebuild is not waited for, and told.
    let lock = std::fs::File::create(api.dir.path().join("rebuild.lock")).unwrap();
    lock.lock().unwrap();
    rebuild(&api, "chats", &json!({})).await;
    let failed = ended(&api, "chats").await;
    assert_eq!(failed["state"], "failed");
    assert!(failed["cause"].as_str().unwrap().contains("another rebuild"), "{failed}");
    api.app.stop();
    let refused = api.post("/v1/projections/chats/rebuild", &json!({})).await;
    assert_eq!(refused.problem(), "503 shutting_down");
}

#[tokio::test]
async fn providers_are_told_without_how_they_are_reached() {
    let config = "
        default_provider = 'local'
        [providers.local]
        kind = 'openai'
        base_url = 'http://127.0.0.1:9/v1'
        model = 'gemma'
        [providers.agent]
        kind = 'scripted'
        script = 'samples'
    ";
    let api = Api::with_config(config).await;
    let answer = api.get("/v1/providers").await.expect(200);
    let expected = json!({
        "items": [
            { "name": "agent", "kind": "scripted", "models": [], "is_default": false },
            { "name": "local", "kind": "openai", "models": ["gemma"], "is_default": true },
        ],
        "default": "local",
    });
    assert_eq!(answer, expected);
    let none = Api::new().await.get("/v1/providers").await.expect(200);
    assert_eq!(none, json!({ "items": [], "default": null }));
}
