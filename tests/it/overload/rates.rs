//! Rates of each caller: 429 and `retry-after` for whoever is too fast, and nothing done.

use scrollback_schema::Event;
use scrollback_schema::event::AssistantText;
use scrollback_test_support::client::Client;
use scrollback_test_support::wait::eventually;
use serde_json::json;

use super::room::Room;

#[tokio::test]
async fn a_caller_that_asks_too_fast_is_told_when_to_come_back() {
    let config = "[limits.rate]\nrequests_per_s = 2\nburst_s = 1";
    let room = Room::new("overload-requests-per-s", config);
    let mut raw = room.connect().await;
    let mut n_answered = 0;
    let came = loop {
        raw.send("GET", "/v1/chats", "").await;
        let came = raw.answer().await;
        if came.status != 200 {
            break came;
        }
        n_answered += 1;
        assert!(n_answered < 1_000, "two a second are allowed");
    };
    assert_eq!((came.status, came.retry_after()), (429, 1));
    assert_eq!(came.code(), "rate_limited");
    assert!(n_answered >= 2, "what is saved up can be used");
    assert_eq!(room.api.get("/healthz").await.status, 200);
    eventually("an answer, after a while", async || {
        (room.api.get("/v1/chats").await.status == 200).then_some(())
    })
    .await;
    assert!(room.metric("scrollback_refused_total{limit=\"rate\"}").await >= 1.0);
}

#[tokio::test]
async fn events_beyond_the_rate_are_not_stored_until_their_time_has_come() {
    let room = Room::new("overload-events-per-s", "[limits.rate]\nevents_per_s = 50\nburst_s = 1");
    room.api.create_chat("c").await;
    let mut turn = room.api.start_external_turn("c", "go").await;
    let event = || Event::AssistantText(AssistantText { text: "a".to_owned() });
    let many: Vec<Event> = (0..100).map(|_| event()).collect();
    // More than is saved up, and let in all the same: it is paid for afterwards.
    room.api.append(&mut turn, &many).await;
    let head = room.api.head("c").await;
    let request = room.api.append_request(&turn, turn.next_number, &[event()]);
    assert_eq!(Client::send(request).await.problem(429), "rate_limited");
    assert_eq!(room.api.head("c").await, head, "nothing was stored");
    let answer = eventually("the rate to allow it", async || {
        let request = room.api.append_request(&turn, turn.next_number, &[event()]);
        let answer = Client::send(request).await;
        (answer.status != 429).then_some(answer)
    })
    .await;
    assert_eq!(answer.expect(200)["first_seq"], json!(head + 1));
}
