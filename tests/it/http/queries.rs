//! Cursors, limits and flags as strangers send them: each is taken or refused by name, and nothing
//! else happens. The bodies of calls are the fuzz targets' (`fuzz_smoke`).

use axum::body::Body;
use axum::http::{HeaderValue, Request};
use http_body_util::BodyExt;
use scrollback_test_support::rng::Rng;
use scrollback_test_support::rounds::rounds;
use scrollback_test_support::wait::within;

use super::api::{Answer, Api};

/// Calls, unless the test soaks.
const N_CALLS: usize = 3_000;

const PATHS: &[&str] = &[
    "/v1/chats",
    "/v1/chats/c1",
    "/v1/chats/c1/messages",
    "/v1/chats/c1/messages/m-t1",
    "/v1/chats/c1/events",
    "/v1/chats/c1/stream",
    "/v1/chats/c1/queue",
    "/v1/chats/c%31/status",
    "/v1/stream",
    "/v1/turns",
    "/v1/schedules",
    "/v1/log/events",
];

const NAMES: &[&str] = &[
    "after_seq",
    "at_seq",
    "chats",
    "cursor",
    "kind",
    "limit",
    "log_id",
    "open",
    "q",
    "snapshot",
    "until",
    "before_seq",
    "text",
    "chat",
    "turn",
];

const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "3",
    "-1",
    "+1",
    "01",
    "1.0",
    "1e3",
    "%31",
    "%00",
    "%ff",
    "%",
    "true",
    "idle",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "0-1",
    "1-0",
    "-",
    "c1",
    "c1,c1",
    "c1,,c2",
    "..",
    "%20",
    "assistant_text",
    "unknown",
    "complete,error",
    "%22",
    "*",
    "\u{662}",
    "null",
    "NaN",
    "a%20OR%20b",
    "%28",
    "2026-11-22T20:52:00Z",
];

/// A value, sometimes with something wrong in the middle of it.
fn value(rng: &mut Rng) -> String {
    let mut value = (*rng.pick(VALUES)).to_owned();
    if rng.one_in(3) {
        value += *rng.pick::<&str>(VALUES);
    }
    value
}

fn call(rng: &mut Rng) -> Option<Request<Body>> {
    let mut uri = (*rng.pick(PATHS)).to_owned();
    for n in 0..rng.below(4) {
        uri.push(if n == 0 { '?' } else { '&' });
        uri += *rng.pick::<&str>(NAMES);
        uri.push('=');
        uri.push_str(&value(rng));
    }
    // What is no address at all is refused before it comes to us.
    let mut request = Request::get(uri).body(Body::empty()).ok()?;
    if rng.one_in(4) {
        let value = HeaderValue::from_bytes(value(rng).as_bytes()).ok()?;
        request.headers_mut().insert("last-event-id", value);
    }
    Some(request)
}

#[tokio::test]
async fn no_query_is_answered_by_anything_but_an_answer() {
    let api = Api::new().await;
    let lease = api.turn("c1", "t1").await;
    api.say("c1", &lease, 1, &["a", "b"]).await;
    let (seed, n_calls) = (rounds().seed(), rounds().scale(N_CALLS));
    let (mut rng, mut n_refused) = (Rng::new(seed), 0);
    for n in 0..n_calls {
        let Some(request) = call(&mut rng) else { continue };
        let what = format!("seed {seed}, call {n}: {request:?}");
        let (head, body) = api.send(request).await.into_parts();
        if head.status == 200 {
            // A stream may go on for ever; what it begins with is all that a query decides.
            continue;
        }
        let bytes = within("the body", body.collect()).await.unwrap().to_bytes();
        let answer = Answer { status: head.status.as_u16(), headers: head.headers, body: bytes };
        assert!(matches!(answer.status, 400 | 404 | 416), "{what}: {}", answer.status);
        answer.problem();
        n_refused += 1;
    }
    assert!(n_refused > n_calls / 10 && n_refused < n_calls, "{n_refused} of {n_calls}");
    println!("{n_calls} queries, {n_refused} of them refused, seed {seed}");
}
