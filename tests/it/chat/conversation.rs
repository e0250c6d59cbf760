//! Messages that are sent and followed: to a good end, a failure, a stop; through a dead server and
//! a lost answer; with approvals.

use scrollback_test_support::client::Client;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::eventually;
use serde_json::{Value, json};

use super::person::Person;
use super::relay::Relay;

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

const FULL: &str = "pace_ms = 1\npiece_words = 1\n[[step]]\nthink = 'Let me see.'\n\
    [[step]]\ntool_started = { id = 'a', name = 'read', title = \"Read a\\u001b.txt\" }\n\
    [[step]]\ntool_completed = { id = 'a', name = 'read', title = 'Read a.txt', result = 1 }\n\
    [[step]]\nplan.entries = [{ content = 'Look', status = 'completed', priority = 'high' }]\n\
    [[step]]\nsay = 'You said {prompt}.'\n";
const FAILS: &str = "pace_ms = 0\n[[step]]\nsay = 'Half an '\n\
    [[step]]\nfail = { code = 'provider_auth', message = 'the key is refused' }\n";
const HANGS: &str = "pace_ms = 0\n[[step]]\nsay = 'a word '\n[[step]]\nhang = true";
const ASKS: &str = "pace_ms = 0\n[[step]]\nsay = 'May I? '\n[[step]]\n[step.permission]\nid = 'p'\n\
    tool = { id = 't', name = 'send', title = 'Send it' }\n\
    options = [{ option_id = 'yes', name = 'Yes', kind = 'allow_once' },\n\
               { option_id = 'no', name = 'No', kind = 'reject_once' }]\n\
    [[step.permission.on.yes]]\nsay = 'Sent.'\n[[step.permission.on.else]]\nsay = 'Kept.'\n";

struct House {
    _dir: TempDir,
    options: ServerOptions,
}

impl House {
    fn new() -> House {
        let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "chat");
        let mut config = "default_provider = 'full'\n[turns]\nshutdown_grace_ms = 100\n".to_owned();
        for (name, script) in [("full", FULL), ("fails", FAILS), ("hangs", HANGS), ("asks", ASKS)] {
            let path = dir.path().join(format!("{name}.toml"));
            std::fs::write(&path, script).unwrap();
            let path = path.display();
            config.push_str(&format!("[providers.{name}]\nkind = 'scripted'\nscript = '{path}'\n"));
        }
        let path = dir.path().join("config.toml");
        std::fs::write(&path, config).unwrap();
        let options = ServerOptions::new(PROGRAM, &dir.path().join("data"));
        let options = options.args(&["--config", path.to_str().unwrap()]);
        House { _dir: dir, options }
    }

    fn serve(&self) -> Server {
        Server::start_well(&self.options)
    }
}

async fn messages(client: &Client, chat: &str) -> Vec<Value> {
    let list = client.get(&format!("/v1/chats/{chat}/messages")).await.expect(200);
    list["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_followed_to_its_end() {
    let house = House::new();
    let server = house.serve();
    let mut person = Person::chat(server.base_url(), &["hello", "there"]);
    person.ends_input();
    let left = person.leaves();
    assert_eq!((left.code, left.stdout.as_str()), (0, "You said hello there.\n"));
    let stderr = left.stderr;
    let (first, rest) = stderr.split_once('\n').unwrap();
    assert!(first.starts_with("chat ") && first.contains("--chat "), "{first}");
    let expected = "Let me see.\n… Read a.txt\n✓ Read a.txt\n  [x] Look\ncompleted in ";
    assert!(rest.starts_with(expected), "{rest:?}");
    assert!(!stderr.contains('\u{1b}'), "no colours in a file: {stderr:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_the_events_and_a_chat_is_gone_on_with() {
    let house = House::new();
    let server = house.serve();
    let client = Client::new(server.base_url());
    client.create_chat("c1").await;
    let mut person = Person::chat(server.base_url(), &["--chat", "c1", "--json"]);
    person.types("from");
    person.types("stdin");
    person.ends_input();
    let left = person.leaves();
    assert_eq!((left.code, left.stderr.as_str()), (0, ""));
    let events: Vec<Value> =
        left.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["kind"], "user_text");
    assert_eq!(events[0]["payload"]["text"], "from\nstdin\n");
    assert_eq!(events.last().unwrap()["kind"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_said_with_what_to_do_and_keeps_what_came() {
    let house = House::new();
    let server = house.serve();
    let left = Person::chat(server.base_url(), &["--provider", "fails", "go"]).leaves();
    assert_eq!((left.code, left.stdout.as_str()), (1, "Half an \n"));
    assert!(left.stderr.contains("failed: the key is refused (provider_auth, "), "{}", left.stderr);
    assert!(left.stderr.contains("scrollback providers check"), "{}", left.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_says_what_to_do() {
    let house = House::new();
    let server = house.serve();
    let refused = |server: &str, args: &[&str], part: &str| {
        let mut person = Person::chat(server, args);
        person.ends_input();
        let left = person.leaves();
        assert_eq!((left.code, left.stdout.as_str()), (2, ""), "{}", left.stderr);
        assert!(left.stderr.contains(part), "{}", left.stderr);
    };
    let url = server.base_url();
    refused(url, &["--provider", "nobody", "go"], "configured are: asks, fails, full, hangs");
    refused(url, &["--chat", "nowhere", "go"], "leave --chat out");
    refused(url, &[], "nothing to say");
    Client::new(url).create_chat("c1").await;
    let busy = Person::chat(url, &["--chat", "c1", "--provider", "hangs", "go"]);
    busy.reads("a word");
    refused(url, &["--chat", "c1", "go"], "or send with --queue");
    let queued = Person::chat(url, &["--chat", "c1", "--queue", "later"]);
    queued.is_told("waits in its queue");
    busy.interrupts();
    let (busy, queued) = (busy.leaves(), queued.leaves());
    assert_eq!((busy.code, queued.code, queued.stdout.as_str()), (1, 0, "You said later.\n"));
    let gone = url.to_owned();
    server.kill();
    refused(&gone, &["go"], "scrollback serve");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_the_turn_and_a_second_one_leaves() {
    let house = House::new();
    let server = house.serve();
    let client = Client::new(server.base_url());
    client.create_chat("c1").await;
    let args = ["--chat", "c1", "--provider", "hangs", "go"];
    let person = Person::chat(server.base_url(), &args);
    person.reads("a word");
    person.interrupts();
    let left = person.leaves();
    assert_eq!((left.code, left.stdout.as_str()), (1, "a word \n"));
    assert!(left.stderr.contains("interrupted: user"), "{}", left.stderr);
    let message = messages(&client, "c1").await.pop().unwrap();
    assert_eq!(message["stream_status"], "interrupted");
    assert_eq!(message["content_text"], "a word ");

    let person = Person::chat(server.base_url(), &args);
    person.reads("a word");
    server.kill();
    person.is_told("again in");
    person.interrupts();
    person.is_told("Ctrl-C again leaves");
    person.interrupts();
    let left = person.leaves();
    assert_eq!(left.code, 1);
    assert!(left.stderr.contains("may go on"), "{}", left.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_is_waited_for_and_its_turn_ends_with_the_reason() {
    let house = House::new();
    let relay = Relay::new().await;
    let server = house.serve();
    relay.lead_to(server.base_url());
    Client::new(server.base_url()).create_chat("c1").await;
    let args = ["--chat", "c1", "--provider", "hangs", "go"];
    let person = Person::chat(&relay.url, &args);
    person.reads("a word");
    server.kill();
    person.is_told("again in");
    let server = house.serve();
    relay.lead_to(server.base_url());
    let left = person.leaves();
    assert_eq!((left.code, left.stdout.as_str()), (1, "a word \n"), "{}", left.stderr);
    assert!(left.stderr.contains("interrupted: restart"), "{}", left.stderr);
    let left = Person::chat(&relay.url, &["--chat", "c1", "again"]).leaves();
    assert_eq!((left.code, left.stdout.as_str()), (0, "You said again.\n"), "{}", left.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_sends_nothing_twice() {
    let house = House::new();
    let relay = Relay::new().await;
    let server = house.serve();
    relay.lead_to(server.base_url());
    let client = Client::new(server.base_url());
    client.create_chat("c1").await;
    // The answer is lost after one that has come: the server is known to be there.
    Person::chat(&relay.url, &["--chat", "c1", "first"]).leaves();
    relay.lose_one_answer();
    let left = Person::chat(&relay.url, &["--chat", "c1", "once"]).leaves();
    assert_eq!((left.code, left.stdout.as_str()), (0, "You said once.\n"), "{}", left.stderr);
    assert!(left.stderr.contains("again in"), "an answer was lost: {}", left.stderr);
    let said = messages(&client, "c1").await;
    let once = said.iter().filter(|message| message["content_text"] == "once");
    assert_eq!(once.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_are_answered_here_or_elsewhere() {
    let house = House::new();
    let server = house.serve();
    let url = server.base_url();
    let mut person = Person::chat(url, &["--provider", "asks", "go"]);
    person.is_told("Allow: Send it?\n  1 Yes\n  2 No\n1 to 2, or n to deny:");
    person.types("what?");
    person.types("1");
    let left = person.leaves();
    assert_eq!((left.code, left.stdout.as_str()), (0, "May I? Sent.\n"), "{}", left.stderr);

    let mut person = Person::chat(url, &["--provider", "asks", "go"]);
    person.is_told("or n to deny:");
    person.types("n");
    assert_eq!(person.leaves().stdout, "May I? Kept.\n");

    let client = Client::new(url);
    client.create_chat("c1").await;
    let mut person = Person::chat(url, &["--chat", "c1", "--provider", "asks", "go"]);
    person.ends_input();
    person.is_told("nobody can answer here");
    let request = eventually("the request", async || {
        let list = client.get("/v1/chats/c1/requests").await.expect(200);
        list["items"][0]["request_id"].as_str().map(str::to_owned)
    })
    .await;
    let path = format!("/v1/chats/c1/requests/{request}/respond");
    client.post(&path, &json!({ "option_id": "yes" })).await.expect(200);
    assert_eq!(person.leaves().stdout, "May I? Sent.\n");
}
