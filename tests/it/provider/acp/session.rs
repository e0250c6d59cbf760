//! Set-up: what is said in which order, sessions that go on, models and modes.

use scrollback::provider::{Past, Role, TurnRequest};
use scrollback_schema::ErrorCode;
use scrollback_schema::event::{Attachment, JsonText, Session};
use serde_json::{Value, json};

use super::super::turn::{KEY, QUESTION, asked};
use super::{Agent, Outcome, assert_failed, dismissed, of_command};

const NOT_FOUND: &str = "refuse";

/// A script whose agent can load, resume, or both.
fn able(load: bool, resume: bool) -> Value {
    let sessions = if resume { json!({"resume": {}}) } else { json!({}) };
    let can = json!({"loadSession": load, "sessionCapabilities": sessions});
    json!([{"result": {"protocolVersion": 1, "agentCapabilities": can}}])
}

fn past(role: Role, text: &str) -> Past {
    Past { role, text: text.to_owned(), attachments: Vec::new() }
}

/// The second turn of a chat whose first one noted this session.
fn second_turn(session: Option<Session>) -> TurnRequest {
    let history = vec![past(Role::User, "one"), past(Role::Assistant, "two")];
    let mut request = asked(QUESTION);
    request.history.splice(0..0, history);
    request.session = session;
    request
}

async fn run(agent: &Agent, request: TurnRequest) -> Outcome {
    agent.run_with(request, |_| dismissed()).await
}

#[tokio::test]
async fn a_new_session_is_told_the_conversation_and_noted() {
    let agent = Agent::new(&json!({"session/prompt": [
        {"update": {"sessionUpdate": "session_info_update", "title": "A title"}},
        {"update": {"sessionUpdate": "current_mode_update", "currentModeId": "plan"}},
        {"result": {"stopReason": "end_turn"}},
    ]}));
    let mut request = second_turn(None);
    request.history[2].attachments.push(Attachment {
        id: "f".to_owned(),
        name: "a.txt".to_owned(),
        media_type: "text/plain".to_owned(),
        url: "file:///a.txt".to_owned(),
        size_bytes: 3,
    });
    let outcome = run(&agent, request).await;
    assert_eq!(outcome.words(), "");
    assert_eq!(agent.called(), "initialize session/new session/prompt");
    let cwd = agent.dir.path().to_str().unwrap();
    assert_eq!(agent.params_of("session/new"), json!({"cwd": cwd, "mcpServers": []}));
    let prompt = agent.params_of("session/prompt");
    assert_eq!(prompt["sessionId"], "s1");
    let before = prompt["prompt"][0]["text"].as_str().unwrap();
    assert!(before.contains("User: one") && before.contains("Assistant: two"), "{before}");
    assert_eq!(prompt["prompt"][1], json!({"type": "text", "text": QUESTION}));
    assert_eq!(prompt["prompt"][2]["uri"], "file:///a.txt");
    let noted: Vec<_> = outcome
        .sessions
        .iter()
        .map(|session| {
            assert_eq!(session.session_id.as_deref(), Some("s1"));
            assert_eq!(session.cwd.as_deref(), Some(cwd));
            session.data.as_ref().unwrap().as_str()
        })
        .collect();
    let last = r#"{"provider":"p","title":"A title","mode":"plan"}"#;
    assert_eq!(noted, [r#"{"provider":"p"}"#, last]);
}

#[tokio::test]
async fn a_noted_session_is_resumed_or_loaded_as_the_agent_can() {
    let replay = json!([
        {"say": "old words"},
        {"update": {"sessionUpdate": "usage_update", "used": 1, "size": 2,
            "cost": {"amount": 3.0, "currency": "USD"}}},
        {"result": {}},
    ]);
    let answer = json!([
        {"say": "new words"},
        {"update": {"sessionUpdate": "usage_update", "used": 1, "size": 2,
            "cost": {"amount": 3.5, "currency": "USD"}}},
        {"result": {"stopReason": "end_turn"}},
    ]);
    let cases = [
        (able(true, false), "session/load"),
        (able(false, true), "session/resume"),
        (able(true, true), "session/resume"),
    ];
    for (initialize, method) in cases {
        let script = json!({"initialize": initialize, method: replay, "session/prompt": answer});
        let agent = Agent::new(&script);
        let noted = run(&agent, asked(QUESTION)).await.sessions.pop();
        let outcome = run(&agent, second_turn(noted)).await;
        let usage = "usage:(None, None, Some(2)) Some(50.0) $Some(0.5)";
        assert_eq!(outcome.words(), format!("text:new words | {usage}"));
        assert!(agent.called().ends_with(&format!("initialize {method} session/prompt")));
        assert_eq!(agent.params_of(method)["sessionId"], "s1");
        let prompt = agent.params_of("session/prompt");
        assert_eq!(prompt["prompt"], json!([{"type": "text", "text": QUESTION}]));
    }
}

#[tokio::test]
async fn a_session_that_is_forgotten_or_anothers_is_opened_anew() {
    let forgetful = json!({"initialize": able(true, false), "session/load": [{"error": -32002}]});
    let agent = Agent::new(&forgetful);
    let noted = run(&agent, asked(QUESTION)).await.sessions.pop().unwrap();
    let outcome = run(&agent, second_turn(Some(noted.clone()))).await;
    assert_eq!(outcome.words(), "");
    assert!(agent.called().ends_with("initialize session/load session/new session/prompt"));
    assert_eq!(agent.params_of("session/prompt")["prompt"].as_array().unwrap().len(), 2);
    let others = [
        Session { cwd: Some("/elsewhere".to_owned()), ..noted.clone() },
        Session { data: None, ..noted.clone() },
        Session { data: JsonText::parse(r#"{"provider":"q"}"#).ok(), ..noted.clone() },
        Session { session_id: None, ..noted },
    ];
    for other in others {
        run(&agent, second_turn(Some(other))).await;
        assert!(agent.called().ends_with("initialize session/new session/prompt"));
    }
    let locked = json!({"initialize": able(true, false), "session/load": [{"error": -32000}]});
    let agent = Agent::new(&locked);
    let noted = run(&agent, asked(QUESTION)).await.sessions.pop();
    let outcome = run(&agent, second_turn(noted)).await;
    assert_failed(&outcome, ErrorCode::ProviderAuth, "log in");
}

fn session(more: &Value) -> Value {
    let mut result = json!({"sessionId": "s1"});
    result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([{ "result": result }])
}

/// The calls between `session/new` and `session/prompt`, with their parameters.
async fn switches(script: &Value, more: &str, model: Option<&str>) -> (String, Outcome) {
    let agent = Agent::with(script, more);
    let mut request = asked(QUESTION);
    request.model = model.map(str::to_owned);
    let outcome = run(&agent, request).await;
    let heard = agent.heard();
    let calls = heard.iter().filter_map(|message| {
        let method = message["method"].as_str()?.strip_prefix("session/set_")?;
        let mut params = message["params"].as_object()?.clone();
        assert_eq!(params.remove("sessionId").unwrap(), "s1");
        Some(format!("{method} {}", Value::Object(params)))
    });
    (calls.collect::<Vec<_>>().join(" | "), outcome)
}

#[tokio::test]
async fn the_model_and_the_mode_are_set_by_options_or_by_the_older_calls() {
    let done = json!([{"result": {}}]);
    let options = json!({"configOptions": [
        {"id": "m", "category": "model", "type": "select", "currentValue": "small"},
        {"id": "mode", "type": "select", "currentValue": "ask"},
    ]});
    let by_option = json!({"session/new": session(&options), "session/set_config_option": done});
    let older = json!({"models": {"currentModelId": "small"}, "modes": {"currentModeId": "ask"}});
    let by_older = json!({"session/new": session(&older),
        "session/set_model": done, "session/set_mode": done});
    let silent = json!({"session/set_model": done, "session/set_mode": done});
    let table = "model = 'big'\nmode = 'code'";
    let cases = [
        (
            &by_option,
            table,
            None,
            concat!(
                r#"config_option {"configId":"m","value":"big"}"#,
                r#" | config_option {"configId":"mode","value":"code"}"#
            ),
        ),
        (&by_option, "model = 'small'\nmode = 'ask'", None, ""),
        (
            &by_option,
            table,
            Some("huge"),
            concat!(
                r#"config_option {"configId":"m","value":"huge"}"#,
                r#" | config_option {"configId":"mode","value":"code"}"#
            ),
        ),
        (&by_older, table, None, r#"model {"modelId":"big"} | mode {"modeId":"code"}"#),
        (&by_older, "model = 'small'\nmode = 'ask'", None, ""),
        (
            &silent,
            "model = 'big'",
            None,
            r#"config_option {"configId":"model","value":"big"} | model {"modelId":"big"}"#,
        ),
        (&silent, "", None, ""),
    ];
    for (script, more, model, expected) in cases {
        let (called, outcome) = switches(script, more, model).await;
        assert_eq!((called.as_str(), outcome.words().as_str()), (expected, ""));
    }
}

#[tokio::test]
async fn a_refused_model_or_mode_fails_set_up() {
    let refused = json!({"session/set_config_option": [{"error": -32602}]});
    let unknown = json!({"session/set_config_option": NOT_FOUND});
    for (script, more) in [
        (&refused, "model = 'big'"),
        (&unknown, "model = 'big'"),
        (&refused, "mode = 'big'"),
        (&unknown, "mode = 'big'"),
    ] {
        let (_, outcome) = switches(script, more, None).await;
        assert_eq!(outcome.words(), "failed:provider_setup setup");
        let what = &more[..more.find(' ').unwrap()];
        let part = format!("does not switch to the {what} \"big\"");
        assert_failed(&outcome, ErrorCode::ProviderSetup, &part);
    }
}

#[tokio::test]
async fn an_agent_gets_its_variables_and_no_others() {
    let dir = crate::fixture::temp_dir("env");
    let table =
        format!("cwd = '{}'\nenv = {{ MINE = '1' }}\npass_env = ['THE_KEY']", dir.path().display());
    let command = "env | cut -d= -f1 >names; echo $THE_KEY >key";
    let provider = of_command(&["sh", "-c", command], &table);
    assert!(provider.start(asked(QUESTION)).await.is_err());
    let names = std::fs::read_to_string(dir.join("names")).unwrap();
    assert!(names.lines().any(|name| name == "MINE") && names.lines().any(|it| it == "PATH"));
    assert!(!names.lines().any(|name| name.starts_with("CARGO")), "{names}");
    assert_eq!(std::fs::read_to_string(dir.join("key")).unwrap().trim(), KEY);
}

#[tokio::test]
async fn a_check_says_who_is_there_and_leaves_no_session() {
    let info = json!({"name": "fault", "title": "Fault", "version": "0.1"});
    let can = json!({"loadSession": true});
    let said = json!([{"result":
        {"protocolVersion": 1, "agentInfo": info, "agentCapabilities": can}}]);
    let agent = Agent::new(&json!({ "initialize": said }));
    let found = agent.provider.check().await.unwrap();
    assert_eq!(found, "Fault 0.1 speaks ACP 1 and resumes its sessions");
    assert_eq!(agent.called(), "initialize");
    let agent = Agent::new(&json!({}));
    let found = agent.provider.check().await.unwrap();
    assert_eq!(found, "an agent speaks ACP 1 and opens a session a turn");
}
