//! A clock that somebody sets, forth and back: the log's times never go back, no turn is lost to
//! it, and one whose producer is silent ends all the same.

use scrollback_test_support::wait::eventually;
use serde_json::json;

use super::trial::{Outcome, Trial};

const DAY_MS: i64 = 86_400_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_closes_no_turn_and_keeps_none_open() {
    let jumps = [DAY_MS, -DAY_MS, 365 * DAY_MS, 0, -DAY_MS / 24];
    let mut trial = Trial::start("clock", 2, &[]).await;
    for (n, jump) in jumps.into_iter().enumerate() {
        trial.faults.set(&[&format!("clock realtime {jump}")]);
        // A producer that falls silent at once.
        let chat = format!("silent{n}");
        trial.client.create_chat(&chat).await;
        let body = json!({ "text": "go", "provider": "external", "lease_ms": 1000 });
        let silent = trial.client.start_leased_turn(&chat, &body).await;
        trial.speak(5, usize::MAX).await;
        let path = format!("/v1/chats/{chat}/messages/{}", silent.message);
        let what = format!("the silent turn to be closed after a jump by {jump} ms");
        let closed = eventually(&what, async || {
            let message = trial.client.get(&path).await.expect(200);
            (message["stream_status"] != "in_progress").then_some(message)
        })
        .await;
        assert_eq!(closed["interrupt_reason"], "lease_expired");
        trial.speak(1, usize::MAX).await;
        trial.assert_reads().await;
    }
    for speaker in &mut trial.speakers {
        assert_eq!(speaker.say(&trial.client).await.0, Outcome::Stored);
    }
    let events = trial.client.get("/v1/chats/c0/events?limit=1000").await.expect(200);
    let times: Vec<&str> =
        events["items"].as_array().unwrap().iter().map(|e| e["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(times.last() > times.first(), "the clock was moved");
    assert_eq!(trial.client.get("/readyz").await.status, 200);
    trial.finish().await;
    println!("{} jumps of the clock, lost: 0, turns closed for nothing: 0", jumps.len());
}
