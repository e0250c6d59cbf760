//! What a server makes of a flipped bit that leaves a text which decodes as well: the text that
//! nobody wrote is shown to nobody, it is said where the damage is, and everything else goes on.

use scrollback_test_support::client::Client;
use scrollback_test_support::sample::CHAT;
use scrollback_test_support::server::{Server, ServerOptions};
use serde_json::{Value, json};

use super::image::{Image, images};
use crate::fixture::temp_dir;

const WRITTEN: &str = "so ferns";
const FLIPPED: &str = "So ferns";

fn flip(image: &mut Image) {
    let (_, bytes) = image.files.iter_mut().find(|(name, _)| *name == "log.db").unwrap();
    // Shrinking the pages can leave a copy where nothing stands any more, in front of the row.
    let at = bytes.windows(WRITTEN.len()).rposition(|found| found == WRITTEN.as_bytes()).unwrap();
    bytes[at] ^= 0x20;
}

#[tokio::test]
async fn a_flipped_letter_is_shown_to_nobody_and_the_rest_goes_on() {
    let mut image = images(1).await.stopped;
    flip(&mut image);
    let dir = temp_dir("damage-served");
    image.write_to(dir.path());
    let server =
        Server::start_well(&ServerOptions::new(env!("CARGO_BIN_EXE_scrollback"), dir.path()));
    let client = Client::new(server.base_url());
    let of_chat = |rest: &str| format!("/v1/chats/{CHAT}{rest}");
    let refused = client.get(&of_chat("/events?after_seq=0&limit=1000")).await;
    assert_eq!(refused.problem(500), "log_damaged");
    let stream = client.get(&of_chat("/stream?after_seq=0&until=idle")).await;
    let Value::String(stream) = stream.expect(200) else { panic!("a stream is no JSON") };
    assert!(stream.contains(r#""reason":"log_damaged""#), "{stream}");
    assert!(stream.contains("in the shade"), "what stands in front of it is shown: {stream}");
    let messages = client.get(&of_chat("/messages?limit=100")).await;
    let shown = [stream, messages.body.to_string(), client.get("/v1/chats").await.body.to_string()];
    for shown in shown {
        assert!(!shown.contains(FLIPPED) && !shown.contains("o ferns"), "{shown}");
    }
    let other = client.get("/v1/chats/open/messages").await.expect(200);
    assert!(other.to_string().contains("180 cm"), "{other}");
    client.create_chat("new").await;
    let asked = json!({ "text": "go on", "provider": "external" });
    client.post("/v1/chats/new/turns", &asked).await.expect(202);
    let parked = client.get("/v1/projections").await.expect(200).to_string();
    assert!(parked.contains("stored payload is not what was written"), "{parked}");
}
