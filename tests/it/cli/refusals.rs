//! What a person types wrong, or asks for what is not there: one sentence, and the right code.

use reqwest::Method;
use scrollback_schema::limits::HTTP_BODY_BYTES_MAX;
use scrollback_test_support::client::Client;
use scrollback_test_support::server::{Server, ServerOptions};

use super::program::{FixedLog, PROGRAM, command, run};

#[test]
fn what_cannot_be_done_is_one_sentence_that_says_what_to_do() {
    let log = FixedLog::new("cli-refusals");
    let (missing, file) = (log.dir.join("missing"), log.dir.join("log.ndjson"));
    let broken = log.dir.join("broken.ndjson");
    let lines = log.lines();
    std::fs::write(&broken, lines.lines().nth(1).unwrap()).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (data, new, other) = (log.data(), log.dir.join("new"), log.dir.join("other"));
    let broken = broken.to_str().unwrap();
    let cases: [(&std::path::Path, &[&str]); 23] = [
        (&data, &["--bogus"]),
        (&data, &["serve", "--port", "1"]),
        (&data, &["serve", "--listen", "localhost:1"]),
        (&other, &["serve", "--listen", &address]),
        (&data, &["serve", "--config", "missing.toml"]),
        (&data, &["inspect", "evnts"]),
        (&data, &["inspect", "events", "--seq", "abc"]),
        (&data, &["inspect", "events", "--seq", "-1"]),
        (&data, &["inspect", "events", "--seq", "9223372036854775808"]),
        (&data, &["inspect", "events", "--chat", "nobody"]),
        (&data, &["inspect", "message", "nothing"]),
        (&data, &["inspect", "turn", "none"]),
        (&data, &["inspect", "state", "--at", "999"]),
        (&data, &["replay", "nobody"]),
        (&data, &["rebuild", "--projection", "unknown"]),
        (&data, &["import", broken]),
        (&new, &["import", broken]),
        (&new, &["import", "missing.ndjson"]),
        (&missing, &["inspect", "chats"]),
        (&missing, &["verify"]),
        (&missing, &["rebuild"]),
        (&file, &["inspect", "chats"]),
        (&file, &["serve", "--listen", "127.0.0.1:0"]),
    ];
    let mut said = String::new();
    for (data, args) in cases {
        let ended = run(data, args);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{args:?}: {}", ended.stderr);
        said += &format!("$ scrollback {}\n{}\n", args.join(" "), ended.stderr);
        if !ended.stderr.starts_with("error: ") {
            let sentences = ended.stderr.lines().filter(|line| line.starts_with("scrollback: "));
            assert_eq!(sentences.count(), 1, "{args:?}: {}", ended.stderr);
        }
    }
    assert!(!missing.exists(), "nothing was made where there was nothing");
    let said = log.stable(&said).replace(&address, "ADDRESS");
    insta::assert_snapshot!("refusals", said);
    assert_eq!(log.run(&["export"]).well(), lines, "nothing was lost");
}

#[test]
fn a_full_stdout_is_said() {
    let log = FixedLog::new("cli-dev-full");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = command(&log.data(), &["export"]).stdout(full).output().unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{stderr}");
    let expected = "scrollback: cannot write to stdout; check where it goes: \
                    No space left on device (os error 28)\n";
    assert!(stderr.ends_with(expected), "{stderr}");
}

#[test]
fn a_second_server_is_told_of_the_first() {
    let log = FixedLog::new("cli-second");
    let options = ServerOptions::new(PROGRAM, &log.data());
    let first = Server::start_well(&options);
    let refused = Server::start(&options).unwrap_err();
    assert_eq!(refused.status.code(), Some(2));
    let address = first.base_url();
    let (pid, data) = (first.pid(), log.data());
    let expected = format!(
        "scrollback: data directory {} is in use by another server (pid {pid}, {address}); stop \
         it or use another --data\n",
        data.display()
    );
    assert_eq!(refused.stderr, expected);
    let (status, stderr) = first.stop();
    assert!(status.success(), "{stderr}");
    let (status, _) = Server::start_well(&options).stop();
    assert!(status.success(), "the directory is free again");
}

#[tokio::test]
async fn a_call_that_cannot_be_answered_says_why_over_the_wire() {
    let log = FixedLog::new("cli-wire");
    let server = Server::start_well(&ServerOptions::new(PROGRAM, &log.data()));
    let client = Client::new(server.base_url());
    let turn = client.start_external_turn("garden", "go").await;
    let head = client.head("garden").await;
    let stream = |cursor: &str| {
        client.request(Method::GET, &format!("/v1/chats/garden/stream?after_seq={cursor}"))
    };
    let resumed =
        |cursor: &str| client.request(Method::GET, "/v1/stream").header("last-event-id", cursor);
    let post = |path: &str, body: String| {
        let request = client.request(Method::POST, path).body(body);
        request.header("content-type", "application/json")
    };
    let events = "/v1/chats/garden/events";
    let event = |kind: &str, payload: &str| {
        let lease = &turn.token;
        format!(
            r#"{{"lease":"{lease}","first_number":1,"events":[{{"kind":"{kind}","payload":{payload}}}]}}"#
        )
    };
    let calls = [
        ("a cursor of letters", stream("abc")),
        ("a negative cursor", stream("-1")),
        ("a cursor above 2^63-1", stream("9223372036854775808")),
        ("a Last-Event-ID of letters", resumed("abc")),
        ("a negative Last-Event-ID", resumed("-7")),
        ("a Last-Event-ID above 2^63-1", resumed("9223372036854775808")),
        ("a body over the limit", post(events, "x".repeat(HTTP_BODY_BYTES_MAX + 1))),
        ("no JSON", post(events, "{".to_owned())),
        ("an unknown kind", post(events, event("assistant_song", "{}"))),
        ("a payload of another shape", post(events, event("assistant_text", r#"{"text":7}"#))),
        ("a field too many", post(events, event("assistant_text", r#"{"text":"a","b":1}"#))),
        ("text/plain", client.request(Method::POST, events).body("hello")),
        ("another's lease", post(events, event("complete", "{}").replace(&turn.token, "mine"))),
    ];
    let mut said = String::new();
    for (what, request) in calls {
        let answer = Client::send(request).await;
        let (status, body) = (answer.status, answer.body.clone());
        let code = answer.problem(status);
        said += &format!("{what}: {status} {code}: {}\n", body["detail"].as_str().unwrap());
    }
    insta::assert_snapshot!("wire", said);
    assert_eq!(client.head("garden").await, head, "nothing was stored");
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    let n_greeting = 3;
    assert_eq!(stderr.lines().count(), n_greeting, "a client's mistake is not ours: {stderr}");
}
