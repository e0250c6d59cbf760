//! What an agent says becomes events, and what it asks a question.

use scrollback::provider::{Answer, Question};
use scrollback_schema::event::{JsonText, RequestOutcome};
use scrollback_schema::limits::PENDING_REQUESTS_MAX;
use serde_json::{Value, json};

use super::super::turn::{QUESTION, asked};
use super::{Agent, Outcome, dismissed};

/// The words of a turn in which the agent says these updates.
async fn said(updates: &[Value]) -> Outcome {
    let mut steps: Vec<Value> = updates.iter().map(|it| json!({ "update": it })).collect();
    steps.push(json!({"result": {"stopReason": "end_turn"}}));
    Agent::new(&json!({ "session/prompt": steps })).run().await
}

fn text(text: &str) -> Value {
    json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}})
}

#[tokio::test]
async fn texts_thoughts_and_plans_are_told_in_order() {
    let thought = json!({"type": "text", "text": "hm"});
    let link = json!({"type": "resource_link", "name": "a", "uri": "file:///a"});
    let image = json!({"type": "image", "data": "AAAA", "mimeType": "image/png"});
    let entries = json!([
        {"content": "one", "status": "completed", "priority": "high"},
        {"content": "two", "status": "pending", "priority": "low"},
        {"content": 3},
    ]);
    let outcome = said(&[
        json!({"sessionUpdate": "agent_thought_chunk", "content": thought}),
        text("Hel"),
        text(""),
        json!({"sessionUpdate": "user_message_chunk", "content": thought}),
        json!({"sessionUpdate": "available_commands_update", "availableCommands": []}),
        json!({"sessionUpdate": "of_a_later_version", "content": thought}),
        json!({"sessionUpdate": "agent_message_chunk", "content": image}),
        json!({"sessionUpdate": "agent_message_chunk"}),
        json!({}),
        text("lo "),
        json!({"sessionUpdate": "agent_message_chunk", "content": link}),
        json!({"sessionUpdate": "plan", "entries": entries}),
    ])
    .await;
    assert_eq!(
        outcome.words(),
        "thinking:hm | text:Hello [a](file:///a) | plan:one/completed/high, two/pending/low"
    );
}

#[tokio::test]
async fn a_tool_keeps_its_name_and_its_json_to_the_letter() {
    // Written as text: a parser on the way would sort the keys and round the number.
    let call = r#"{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s1","update":
        {"sessionUpdate":"tool_call","toolCallId":"a","title":"Read x","kind":"read",
        "status":"pending","rawInput":{"z":1.0,"a":12345678901234567890123}}}}"#
        .replace('\n', " ");
    let shown = json!([{"content": {"type": "text", "text": "it broke"}}]);
    let update = |fields: Value| {
        let mut update = json!({"sessionUpdate": "tool_call_update"});
        update.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({ "update": update })
    };
    let steps = json!([
        {"write": call},
        update(json!({"toolCallId": "a", "status": "in_progress", "title": "Reading x"})),
        update(json!({"toolCallId": "a", "status": "completed", "rawOutput": "done"})),
        update(json!({"toolCallId": "b", "name": "Bash", "status": "failed", "content": shown})),
        update(json!({"toolCallId": "c", "status": "failed", "rawOutput": {"error": "no"}})),
        update(json!({"toolCallId": "d", "status": "failed"})),
        update(json!({"toolCallId": "e", "status": "completed", "rawOutput": 1, "content": [{}]})),
        update(json!({"status": "completed"})),
        {"result": {"stopReason": "end_turn"}},
    ]);
    let outcome = Agent::new(&json!({ "session/prompt": steps })).run().await;
    let lines: Vec<String> = outcome.words().split(" | ").map(str::to_owned).collect();
    assert_eq!(
        lines,
        [
            r#"tool:a read Read x {"z":1.0,"a":12345678901234567890123} - -"#,
            "tool:a read Reading x - - -",
            r#"done:a read - - "done" -"#,
            r#"broken:b Bash - - [{"content":{"text":"it broke","type":"text"}}] it broke"#,
            r#"broken:c tool - - {"error":"no"} no"#,
            "broken:d tool - - - the tool failed",
            r#"done:e tool - - {"output":1,"content":[{}]} -"#,
        ]
    );
}

#[tokio::test]
async fn usage_is_the_turns_part_of_what_the_session_costs() {
    let cost = |usd: f64| json!({"amount": usd, "currency": "USD"});
    let usage = |used: u64, cost: Value| {
        let name = "usage_update";
        json!({"update": {"sessionUpdate": name, "used": used, "size": 200, "cost": cost}})
    };
    let prompt = json!([
        usage(50, Value::Null),
        usage(100, cost(1.5)),
        usage(100, json!({"amount": 9, "currency": "EUR"})),
        usage(150, cost(2.0)),
        {"result": {"stopReason": "end_turn", "usage": {"inputTokens": 7, "outputTokens": 8}}},
    ]);
    let agent = Agent::new(&json!({ "session/prompt": prompt }));
    let words = agent.run().await;
    assert_eq!(
        words.words(),
        "usage:(None, None, Some(200)) Some(25.0) $None | \
         usage:(None, None, Some(200)) Some(50.0) $Some(1.5) | \
         usage:(None, None, Some(200)) Some(50.0) $None | \
         usage:(None, None, Some(200)) Some(75.0) $Some(0.5) | \
         usage:(Some(7), Some(8), None) None $None"
    );
    let kept = words.sessions.last().unwrap().data.as_ref().unwrap().as_str().to_owned();
    assert_eq!(kept, r#"{"provider":"p","cost_usd":2.0}"#);
}

#[tokio::test]
async fn another_session_of_the_agents_is_not_heard() {
    let steps = json!([
        {"of": ["s2", text("not ours")]},
        {"say": "ours"},
        {"result": {"stopReason": "end_turn"}},
    ]);
    let outcome = Agent::new(&json!({ "session/prompt": steps })).run().await;
    assert_eq!(outcome.words(), "text:ours");
}

fn permission(n: usize) -> Value {
    let options = json!([
        {"optionId": "yes", "name": "Yes", "kind": "allow_once"},
        {"optionId": "never", "name": "Never", "kind": "reject_always"},
        {"optionId": "no", "name": "No", "kind": "reject_once"},
        {"name": "without an id"},
    ]);
    let call = json!({"toolCallId": format!("t{n}"), "title": "Write", "kind": "edit"});
    json!(["session/request_permission", {"sessionId": "s1", "toolCall": call, "options": options}])
}

fn answer(outcome: RequestOutcome, option: Option<&str>) -> Answer {
    Answer { outcome, option_id: option.map(str::to_owned), content: None }
}

#[tokio::test]
async fn a_permission_is_asked_and_its_answer_heard_once() {
    let steps = json!([{"ask": permission(1)}, {"result": {"stopReason": "end_turn"}}]);
    let agent = Agent::new(&json!({ "session/prompt": steps }));
    let selected =
        |id: &str| format!(r#"{{"outcome":{{"optionId":"{id}","outcome":"selected"}}}}"#);
    let cancelled = r#"{"outcome":{"outcome":"cancelled"}}"#.to_owned();
    let cases = [
        (answer(RequestOutcome::Selected, Some("yes")), selected("yes")),
        (answer(RequestOutcome::Selected, Some("never")), selected("never")),
        (answer(RequestOutcome::Selected, Some("unknown")), cancelled.clone()),
        (answer(RequestOutcome::Denied, None), selected("no")),
        (answer(RequestOutcome::Denied, Some("never")), selected("never")),
        // Who denies by the wrong button has still denied.
        (answer(RequestOutcome::Denied, Some("yes")), selected("no")),
        (dismissed(), cancelled.clone()),
        (answer(RequestOutcome::Expired, None), cancelled),
    ];
    for (answered, told) in cases {
        let outcome = agent.run_with(asked(QUESTION), |_| answered.clone()).await;
        let expected = format!("ask:t1:1 yes/never/no t1 edit Write - - - | text:{told}");
        assert_eq!(outcome.words(), expected, "{answered:?}");
    }
}

#[tokio::test]
async fn a_form_is_asked_and_an_address_is_not() {
    let form = json!(["elicitation/create", {"sessionId": "s1", "mode": "form", "message": "which?",
        "requestedSchema": {"type": "object"}}]);
    let address = json!(["elicitation/create", {"sessionId": "s1", "mode": "url", "message": "go",
        "url": "https://h", "elicitationId": "e"}]);
    let steps = json!([{"ask": form}, {"ask": address}, {"result": {"stopReason": "end_turn"}}]);
    let agent = Agent::new(&json!({ "session/prompt": steps }));
    let content = JsonText::parse(r#"{"city":"Lisbon"}"#).unwrap();
    let given =
        Answer { outcome: RequestOutcome::Selected, option_id: None, content: Some(content) };
    let cases = [
        (given, r#"{"action":"accept","content":{"city":"Lisbon"}}"#),
        (answer(RequestOutcome::Denied, None), r#"{"action":"decline"}"#),
        (dismissed(), r#"{"action":"cancel"}"#),
    ];
    for (answered, told) in cases {
        let outcome = agent.run_with(asked(QUESTION), |question| {
            assert!(matches!(question, Question::Elicitation(_)));
            answered.clone()
        });
        assert_eq!(
            outcome.await.words(),
            format!(r#"ask:t1:1 which? {{"type":"object"}} | text:{told}{{"action":"cancel"}}"#)
        );
    }
}

#[tokio::test]
async fn files_terminals_and_the_unknown_are_refused() {
    let steps = json!([
        {"ask": ["fs/read_text_file", {"path": "/etc/passwd"}]},
        {"ask": ["session/request_permission", {"options": []}]},
        {"result": {"stopReason": "end_turn"}},
    ]);
    let agent = Agent::new(&json!({ "session/prompt": steps }));
    let refused = r#"{"code":-32601,"message":"method not found: fs/read_text_file"}"#;
    let cancelled = r#"{"outcome":{"outcome":"cancelled"}}"#;
    assert_eq!(agent.run().await.words(), format!("text:{refused}{cancelled}"));
    let can = &agent.params_of("initialize")["clientCapabilities"];
    assert_eq!(can["fs"], json!({"readTextFile": false, "writeTextFile": false}));
    assert_eq!(can["terminal"], false);
}

#[tokio::test]
async fn more_questions_than_may_be_open_are_put_aside() {
    let all: Vec<Value> = (0..=PENDING_REQUESTS_MAX).map(permission).collect();
    let steps = json!([{"ask_all": all}, {"result": {"stopReason": "end_turn"}}]);
    let agent = Agent::new(&json!({ "session/prompt": steps }));
    let outcome = super::hear_late(&agent, |_| answer(RequestOutcome::Selected, Some("yes"))).await;
    let words = outcome.words();
    assert_eq!(words.matches("ask:").count(), PENDING_REQUESTS_MAX);
    assert_eq!(words.matches("\"selected\"").count(), PENDING_REQUESTS_MAX);
    assert_eq!(words.matches("\"cancelled\"").count(), 1);
}
