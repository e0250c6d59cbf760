//! Stopping a turn: the agent is told, questions are put aside, and who does not go is killed.

use std::time::Duration;

use futures_util::StreamExt;
use scrollback::provider::Said;
use scrollback_schema::Event;
use scrollback_test_support::wait::{eventually, within};
use serde_json::json;

use super::super::turn::{QUESTION, asked};
use super::{Agent, gone, next_text};

#[tokio::test]
async fn a_stopped_agent_says_its_last_words_and_goes() {
    let end = json!({"result": {"stopReason": "cancelled"}});
    let script =
        json!({"session/prompt": [{"say": "half"}, {"cancelled": null}, {"say": "bye"}, end]});
    let agent = Agent::new(&script);
    let request = asked(QUESTION);
    let mut saying = agent.provider.start(request.clone()).await.unwrap();
    assert_eq!(next_text(&mut saying).await, "half");
    request.stop.cancel();
    assert_eq!(next_text(&mut saying).await, "bye");
    while let Some(said) = within("the end", saying.next()).await {
        assert!(matches!(said, Ok(Said::Event(Event::Session(_)))), "{said:?}");
    }
    assert_eq!(agent.params_of("session/cancel"), json!({"sessionId": "s1"}));
}

#[tokio::test]
async fn questions_of_a_stopped_turn_are_put_aside_once() {
    let ask = |n: usize| {
        let options = json!([{"optionId": "yes", "name": "Yes", "kind": "allow_once"}]);
        let call = json!({"toolCallId": n.to_string()});
        json!(["session/request_permission", {"toolCall": call, "options": options}])
    };
    let end = json!({"result": {"stopReason": "cancelled"}});
    let steps = json!([{"ask_all": [ask(1), ask(2)]}, {"ask": ask(3)}, end]);
    let agent = Agent::new(&json!({ "session/prompt": steps }));
    let request = asked(QUESTION);
    let mut saying = agent.provider.start(request.clone()).await.unwrap();
    let mut open = Vec::new();
    while open.len() < 2 {
        match within("a question", saying.next()).await {
            Some(Ok(Said::Ask(ask))) => open.push(ask),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    request.stop.cancel();
    let cancelled = r#"{"outcome":{"outcome":"cancelled"}}"#;
    for _ in 0..3 {
        assert_eq!(next_text(&mut saying).await, cancelled);
    }
    while within("the end", saying.next()).await.is_some() {}
    // An answer that comes too late reaches nobody.
    assert!(open.pop().unwrap().answer.send(super::dismissed()).is_err());
    let answers = agent.heard().iter().filter(|message| message.get("method").is_none()).count();
    assert_eq!(answers, 3);
}

#[tokio::test]
async fn an_agent_that_does_not_stop_is_killed_after_the_grace() {
    let script = json!({"session/prompt": [{"child": null}, {"hang": null}]});
    let agent = Agent::with(&script, "cancel_grace_ms = 50");
    let request = asked(QUESTION);
    let mut saying = agent.provider.start(request.clone()).await.unwrap();
    let child = next_text(&mut saying).await;
    request.stop.cancel();
    assert!(within("the end", saying.next()).await.is_none());
    gone(&child).await;
}

#[tokio::test]
async fn a_failure_after_a_stop_is_no_failure() {
    for last in [json!({"error": -32603}), json!({"exit": 1}), json!({"write": "rubbish"})] {
        let steps = json!([{"say": "half"}, {"cancelled": null}, last, {"exit": 1}]);
        let agent = Agent::new(&json!({ "session/prompt": steps }));
        let request = asked(QUESTION);
        let mut saying = agent.provider.start(request.clone()).await.unwrap();
        assert_eq!(next_text(&mut saying).await, "half");
        request.stop.cancel();
        assert!(within("the end", saying.next()).await.is_none(), "{last}");
    }
}

#[tokio::test]
async fn a_turn_that_is_stopped_in_set_up_ends_without_a_word() {
    let agent = Agent::new(&json!({"initialize": [{"hang": null}]}));
    let request = asked(QUESTION);
    let (started, ()) = tokio::join!(agent.provider.start(request.clone()), async {
        eventually("the agent to be greeted", async || {
            (agent.called() == "initialize").then_some(())
        })
        .await;
        request.stop.cancel();
    });
    let ended = tokio::time::timeout(Duration::from_secs(30), started.unwrap().next()).await;
    assert!(ended.unwrap().is_none());
    assert_eq!(agent.called(), "initialize");
}
