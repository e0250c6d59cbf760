//! Real model streams, in through HTTP and out again: cut after each event, the same bytes.

use scrollback_schema::Event;
use scrollback_test_support::client::{Client, ExternalTurn};
use scrollback_test_support::recording::{in_batches, recordings, text_of};
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::sse::{Collected, Resume, SseReader};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::within;

/// Reads from `cursor` until `n_max` data frames came or the turn has ended; whether it has.
async fn connection(url: &str, reader: &mut Collected, n_max: usize) -> bool {
    let client = reqwest::Client::new();
    let resume = match reader.cursor {
        0 => Resume::Beginning,
        seq => Resume::After(seq),
    };
    let mut stream = SseReader::open(&client, url, resume).await.unwrap();
    let mut n_left = n_max;
    while n_left > 0 {
        let Some(frame) = within("a frame", stream.frame()).await else { return true };
        if frame.event == "bye" {
            return true;
        }
        n_left -= usize::from(frame.is_data());
        reader.take(&frame);
    }
    false
}

/// Appends a recording as its producer would.
async fn record(client: &Client, chat: &str, events: &[Event]) -> ExternalTurn {
    client.create_chat(chat).await;
    let mut turn = client.start_external_turn(chat, "go").await;
    for batch in in_batches(events, 20) {
        client.append(&mut turn, batch).await;
    }
    turn
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_turn_cut_after_every_event_ends_with_the_same_bytes() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "recorded");
    let program = env!("CARGO_BIN_EXE_scrollback");
    let server = Server::start_well(&ServerOptions::new(program, dir.path()));
    let client = Client::new(server.base_url());
    for recording in recordings(env!("CARGO_MANIFEST_DIR")) {
        let turn = record(&client, &recording.name, &recording.events).await;
        let url = client.url(&format!("/v1/chats/{}/stream?until=idle", recording.name));
        let (mut whole, mut cut) = (Collected::default(), Collected::default());
        assert!(connection(&url, &mut whole, usize::MAX).await);
        // The chat's, the user's and the turn's first events come before those of the recording.
        assert_eq!(whole.frames.len(), recording.events.len() + 3, "{}", recording.name);
        // The longest ones are cut at every seventh event, or the test takes minutes.
        let step = if recording.events.len() > 200 { 7 } else { 1 };
        while !connection(&url, &mut cut, step).await {}
        assert!(cut.bytes() == whole.bytes(), "{}", recording.name);
        let path = format!("/v1/chats/{}/messages/{}", turn.chat, turn.message);
        let message = client.get(&path).await.expect(200);
        assert_eq!(message["content_text"], text_of(&recording.events), "{}", recording.name);
        assert_eq!(message["stream_status"], "completed");
    }
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
}
