//! What an endpoint is asked, with which key, and what a check finds.

use scrollback::provider::{Past, Role};
use scrollback_schema::event::Attachment;
use scrollback_test_support::model_server::{ModelServer, Step, answer, event_stream};
use scrollback_test_support::temp_dir::TempDir;
use serde_json::json;

use super::turn::{KEY, asked, build, frames, hear, provider_at, run};

fn hello() -> Vec<Step> {
    let body = frames(r#"{"choices":[{"delta":{"content":"hello"},"finish_reason":"stop"}]}"#);
    vec![Step::Send(event_stream(&body))]
}

fn past(role: Role, text: &str) -> Past {
    Past { role, text: text.to_owned(), attachments: Vec::new() }
}

#[tokio::test]
async fn the_conversation_is_sent_and_a_turn_may_name_its_model() {
    let server = ModelServer::start(hello()).await;
    let base_url = format!("{}/?api-version=7", server.base_url());
    let more = "system_prompt = 'be kind'\nsend_images = true\n\
                request = { temperature = 0.5, stop = ['x'] }\nheaders = { X-Title = 'chat' }";
    let provider = provider_at("openai", &base_url, more);
    let mut request = asked("and this?");
    request.model = Some("m2".to_owned());
    request.history.insert(0, past(Role::User, "one"));
    request.history.insert(1, past(Role::Assistant, "two"));
    request.history[2].attachments.push(Attachment {
        id: "f1".to_owned(),
        name: "a.png".to_owned(),
        media_type: "image/png".to_owned(),
        url: "data:image/png;base64,AA".to_owned(),
        size_bytes: 1,
    });
    assert_eq!(hear(provider.start(request).await.unwrap()).await.words(), "text:hello");
    let seen = &server.seen()[0];
    assert_eq!(seen.call, "POST /v1/chat/completions?api-version=7");
    for header in [format!("authorization: bearer {KEY}"), "x-title: chat".to_owned()] {
        assert!(seen.headers.contains(&header), "{:?}", seen.headers);
    }
    assert_eq!(
        seen.body,
        json!({
            "model": "m2", "stream": true, "stream_options": { "include_usage": true },
            "temperature": 0.5, "stop": ["x"],
            "messages": [
                { "role": "system", "content": "be kind" },
                { "role": "user", "content": "one" },
                { "role": "assistant", "content": "two" },
                { "role": "user", "content": [
                    { "type": "text", "text": "and this?" },
                    { "type": "image_url", "image_url": { "url": "data:image/png;base64,AA" } },
                ] },
            ],
        })
    );
}

#[tokio::test]
async fn a_key_comes_from_a_variable_or_a_file_and_is_shown_nowhere() {
    let server = ModelServer::start(hello()).await;
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "provider-key");
    let file = dir.join("key");
    let table = |more: &str| {
        build(&format!("kind = 'openai'\nbase_url = '{}'\n{more}", server.base_url())).unwrap()
    };
    let with_model = |more: &str| table(&format!("model = 'm1'\n{more}"));

    let provider = with_model("api_key_env = 'NOT_SET'");
    let error = run(&*provider).await.failure.unwrap();
    assert_eq!(
        (error.code.name(), error.message.as_str(), error.retryable),
        ("provider_auth", "no key: set the environment variable NOT_SET", false)
    );
    let provider = with_model(&format!("api_key_file = '{}'", file.display()));
    let error = run(&*provider).await.failure.unwrap();
    assert!(error.message.contains("cannot be read"), "{error}");
    std::fs::write(&file, "\n").unwrap();
    assert!(run(&*provider).await.failure.unwrap().message.contains("is empty"));
    // A rotated key serves the next turn.
    for key in ["first", "second"] {
        std::fs::write(&file, format!("{key}\n")).unwrap();
        assert_eq!(run(&*provider).await.words(), "text:hello");
        let seen = server.seen().pop().unwrap();
        assert!(seen.headers.contains(&format!("authorization: bearer {key}")));
    }
    let provider = with_model("api_key_env = 'THE_KEY'\napi_key_header = 'api-key'");
    assert_eq!(run(&*provider).await.words(), "text:hello");
    let seen = server.seen().pop().unwrap();
    assert!(seen.headers.contains(&format!("api-key: {KEY}")), "{:?}", seen.headers);
    assert!(!format!("{provider:?}").contains("hush"));

    let error = run(&*table("api_key_env = 'THE_KEY'")).await.failure.unwrap();
    assert_eq!(error.code.name(), "provider_setup");
    assert!(error.message.starts_with("no model: "), "{error}");
}

#[tokio::test]
async fn a_check_says_what_it_found() {
    let list = r#"{"object":"list","data":[{"id":"m1"},{"id":"m2"}]}"#;
    let json = ["content-type: application/json"];
    let listing = ModelServer::start(vec![Step::Send(answer("200 OK", &json, list))]).await;
    for kind in ["openai", "anthropic"] {
        let found = provider_at(kind, &listing.base_url(), "").check().await.unwrap();
        let place = listing.address();
        let expected =
            format!("http://{place} answers and offers the model \"m1\"; models on offer: m1, m2");
        assert_eq!(found, expected);
    }
    let calls: Vec<String> = listing.seen().into_iter().map(|seen| seen.call).collect();
    assert_eq!(calls, ["GET /v1/models", "GET /v1/models"]);

    let unlisting = ModelServer::start_with(|seen| match seen.call.starts_with("GET") {
        true => vec![Step::Send(answer("404 Not Found", &[], ""))],
        false => hello(),
    })
    .await;
    let found = provider_at("openai", &unlisting.base_url(), "").check().await.unwrap();
    assert!(found.ends_with("answers as \"m1\" and lists no models"), "{found}");
    assert_eq!(unlisting.seen()[1].body["max_tokens"], 1);

    let refusing = ModelServer::start(vec![Step::Send(answer("401 No", &[], KEY))]).await;
    let error = provider_at("openai", &refusing.base_url(), "").check().await.unwrap_err();
    assert_eq!(error.code.name(), "provider_auth");
    assert!(!error.message.contains("hush"), "{error}");
    let page = answer("200 OK", &["content-type: text/html"], "<html>");
    let page = ModelServer::start(vec![Step::Send(page)]).await;
    let error = provider_at("openai", &page.base_url(), "").check().await.unwrap_err();
    assert_eq!(error.code.name(), "provider_protocol");
}

#[tokio::test]
async fn a_table_that_is_wrong_is_refused_with_a_sentence() {
    let refused = |table: &str, part: &str| {
        let problem = build(table).unwrap_err();
        assert!(problem.starts_with("provider \"p\": ") && problem.contains(part), "{problem}");
    };
    refused("", "has no kind; known are: ");
    refused("kind = 'telepathy'", "kind \"telepathy\" is unknown; known are: ");
    refused("kind = 'openai'", "has no base_url");
    refused("kind = 'anthropic'\nmodle = 'x'", "unknown field `modle`");
    build("kind = 'anthropic'\nmodel = 'claude'").unwrap();
}
