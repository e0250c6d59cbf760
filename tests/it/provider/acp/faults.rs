//! Everything that can go wrong with an agent's process: a typed failure, and no process left.

use futures_util::StreamExt;
use scrollback_schema::ErrorCode;
use scrollback_test_support::wait::within;
use serde_json::{Value, json};

use super::super::turn::{QUESTION, asked};
use super::{Agent, assert_failed, gone, next_text, of_command, runs};

/// Runs a turn whose agent plays this, and checks how it failed.
async fn fails(script: Value, words: &str, code: ErrorCode, part: &str) {
    let outcome = Agent::with(&script, "setup_timeout_ms = 20000").run().await;
    assert_eq!(outcome.words(), words, "{:?}", outcome.failure);
    assert_failed(&outcome, code, part);
}

#[tokio::test]
async fn an_agent_that_cannot_be_started_says_so() {
    let cases = [
        (vec!["no-such-agent"], "", "\"no-such-agent\" was not found; install it"),
        (vec!["/dev/null"], "", "\"/dev/null\" may not be executed"),
        (vec!["true"], "cwd = '/no/such/place'", "directory /no/such/place is not there"),
        (vec!["true"], "pass_env = ['NOT_SET_ANYWHERE']", "NOT_SET_ANYWHERE for the agent is not"),
    ];
    for (command, more, part) in cases {
        let provider = of_command(&command, more);
        let Err(error) = provider.start(asked(QUESTION)).await else { panic!("{part}") };
        assert_eq!((error.code.name(), error.phase.name()), ("provider_setup", "setup"));
        assert!(error.message.contains(part), "{error}");
        assert_eq!(provider.check().await.unwrap_err().message, error.message);
    }
}

#[tokio::test]
async fn an_agent_that_exits_says_how() {
    let crashed = ErrorCode::ProviderCrashed;
    let exit = json!([{"stderr": "hush: a secret"}, {"exit": 3}]);
    let script = |method: &str, steps: &Value| json!({ method: steps });
    for method in ["initialize", "session/new", "session/prompt"] {
        let words = "failed:provider_crashed setup";
        fails(script(method, &exit), words, crashed, "ended with exit code 3").await;
    }
    let late = json!([{"say": "half"}, {"exit": 0}]);
    let words = "text:half | failed:provider_crashed stream";
    fails(script("session/prompt", &late), words, crashed, "ended with exit code 0").await;
    for (program, part) in [("true", "exit code 0"), ("false", "exit code 1")] {
        let provider = of_command(&[program], "");
        let Err(error) = provider.start(asked(QUESTION)).await else { panic!("{program}") };
        assert_eq!((error.code, error.phase.name()), (crashed, "setup"));
        assert!(error.message.contains(part), "{error}");
    }
}

#[tokio::test]
async fn an_agent_that_is_killed_says_by_what() {
    let agent = of_command(&["sh", "-c", "kill -9 $$"], "");
    let Err(error) = agent.start(asked(QUESTION)).await else { panic!("it was killed") };
    assert!(error.message.contains("was ended by signal 9"), "{error}");
}

#[tokio::test]
async fn an_agent_that_hangs_in_set_up_is_given_up_and_killed() {
    for method in ["initialize", "session/new"] {
        let script = json!({ method: [{"hang": null}] });
        let agent = Agent::with(&script, "setup_timeout_ms = 1500");
        let outcome = agent.run().await;
        assert_eq!(outcome.words(), "failed:provider_timeout setup");
        assert_failed(&outcome, ErrorCode::ProviderTimeout, "not set up within 1.5s");
    }
}

#[tokio::test]
async fn rubbish_is_a_breach_of_protocol_before_and_after_the_first_word() {
    let protocol = ErrorCode::ProviderProtocol;
    let rubbish =
        ["hush, I am a log line", "{}", "[]", "{\"id\": 1, \"result\": hush}", "1", "\u{7}"];
    for line in rubbish {
        let script = json!({"session/prompt": [{"say": "half"}, {"write": line}, {"hang": null}]});
        let words = "text:half | failed:provider_protocol stream";
        fails(script, words, protocol, "what is no message").await;
    }
    let script = json!({"initialize": [{"write": "hush"}, {"hang": null}]});
    fails(script, "failed:provider_protocol setup", protocol, "what is no message").await;
}

#[tokio::test]
async fn answers_without_what_they_have_to_hold_are_a_breach_of_protocol() {
    let protocol = ErrorCode::ProviderProtocol;
    for method in ["initialize", "session/new", "session/prompt"] {
        for answer in [json!({}), Value::Null, json!("hush"), json!({"stopReason": 1})] {
            let script = json!({ method: [{ "result": answer }] });
            fails(script, "failed:provider_protocol setup", protocol, method).await;
        }
    }
    let script = json!({"initialize": [{"result": {"protocolVersion": 7}}]});
    let (words, setup) = ("failed:provider_setup setup", ErrorCode::ProviderSetup);
    fails(script, words, setup, "speaks version 7 of its protocol, and not 1").await;
}

#[tokio::test]
async fn a_line_without_an_end_and_an_agent_that_reads_nothing_are_bounded() {
    let protocol = ErrorCode::ProviderProtocol;
    let script = json!({"session/prompt": [{"flood": 17 << 20}, {"hang": null}]});
    fails(script, "failed:provider_protocol setup", protocol, "a longer line than is taken").await;
    let script = json!({"session/prompt": [{"deaf": 2000}]});
    fails(script, "failed:provider_protocol setup", protocol, "does not read the answers").await;
}

#[tokio::test]
async fn errors_of_the_agent_are_typed_and_not_repeated() {
    let cases = [
        (-32000, "provider_auth", ErrorCode::ProviderAuth, "log in"),
        (-32602, "provider_protocol", ErrorCode::ProviderProtocol, "error -32602"),
        (-32603, "provider_unavailable", ErrorCode::ProviderUnavailable, "error -32603"),
        (-1, "provider_unavailable", ErrorCode::ProviderUnavailable, "error -1"),
    ];
    for (number, name, code, part) in cases {
        let script = json!({"session/prompt": [{ "error": number }]});
        fails(script, &format!("failed:{name} setup"), code, part).await;
        let script = json!({"session/prompt": [{"say": "half"}, { "error": number }]});
        fails(script, &format!("text:half | failed:{name} stream"), code, part).await;
    }
    for method in ["initialize", "session/new"] {
        let (words, setup) = ("failed:provider_setup setup", ErrorCode::ProviderSetup);
        fails(json!({ method: [{"error": -32603}] }), words, setup, "error -32603").await;
        let (words, auth) = ("failed:provider_auth setup", ErrorCode::ProviderAuth);
        fails(json!({ method: [{"error": -32000}] }), words, auth, "log in").await;
    }
}

#[tokio::test]
async fn a_turn_that_stops_short_says_why() {
    let cases = [
        ("refusal", "provider_refused", ErrorCode::ProviderRefused, "refused"),
        ("max_tokens", "output_too_long", ErrorCode::OutputTooLong, "limit of tokens"),
        ("max_turn_requests", "output_too_long", ErrorCode::OutputTooLong, "limit of requests"),
        ("of_a_later_version", "provider_protocol", ErrorCode::ProviderProtocol, "not known here"),
    ];
    for (reason, name, code, part) in cases {
        let end = json!({"result": { "stopReason": reason }});
        let script = json!({"session/prompt": [{"say": "half"}, end]});
        fails(script, &format!("text:half | failed:{name} stream"), code, part).await;
    }
}

#[tokio::test]
async fn what_an_agent_leaves_behind_does_not_hold_its_turn_open() {
    // The child has the agent's output open: the pipe alone would never end.
    let script = json!({"session/prompt": [{"child": null}, {"exit": 1}]});
    let outcome = Agent::new(&script).run().await;
    assert_failed(&outcome, ErrorCode::ProviderCrashed, "exit code 1");
    gone(&outcome.said[0].1).await;
}

#[tokio::test]
async fn a_dropped_stream_leaves_no_process_behind() {
    let script = json!({"session/prompt": [{"child": null}, {"hang": null}]});
    let agent = Agent::new(&script);
    let mut saying = agent.provider.start(asked(QUESTION)).await.unwrap();
    let child = next_text(&mut saying).await;
    let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap();
    // The child's group is the agent's.
    let leader = stat.rsplit(')').next().unwrap().split_whitespace().nth(2).unwrap();
    assert!(runs(&child) && runs(leader), "{stat}");
    drop(saying);
    gone(&child).await;
    gone(leader).await;
}

#[tokio::test]
async fn a_finished_turn_leaves_no_process_behind() {
    let end = json!({"result": {"stopReason": "end_turn"}});
    // Neither the end of its input nor a request to terminate makes this one go.
    let script = json!({"session/prompt": [{"child": null}, end, {"hang": "hard"}]});
    let agent = Agent::new(&script);
    let mut saying = agent.provider.start(asked(QUESTION)).await.unwrap();
    let child = next_text(&mut saying).await;
    while within("the end", saying.next()).await.is_some() {}
    gone(&child).await;
}
