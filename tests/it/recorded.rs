//! Real model streams, in through HTTP and out again: cut after each event, the same bytes.

use scrollback_schema::Event;
use scrollback_test_support::client::{Client, ExternalTurn};
use scrollback_test_support::recording::{Recording, in_batches, recordings, text_of};
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::sse::{Collected, Resume, SseReader};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::within;

/// Reads from `cursor` until `n_max` data frames came or the turn has ended; whether it has.
async fn connection(
    client: &reqwest::Client,
    url: &str,
    reader: &mut Collected,
    n_max: usize,
) -> bool {
    let resume = match reader.cursor {
        0 => Resume::Beginning,
        seq => Resume::After(seq),
    };
    let mut stream = SseReader::open(client, url, resume).await.unwrap();
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

/// Records one stream, reads it at once and again cut after every event.
async fn play(client: Client, recording: Recording) {
    let turn = record(&client, &recording.name, &recording.events).await;
    let url = client.url(&format!("/v1/chats/{}/stream?until=idle", recording.name));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let (mut whole, mut cut) = (Collected::default(), Collected::default());
    assert!(connection(&http, &url, &mut whole, usize::MAX).await);
    // The chat's, the user's and the turn's first events come before those of the recording.
    assert_eq!(whole.frames.len(), recording.events.len() + 3, "{}", recording.name);
    let mut n_cuts = 0;
    while !connection(&http, &url, &mut cut, 1).await {
        n_cuts += 1;
    }
    assert_eq!(n_cuts, whole.frames.len(), "{} is cut after each event", recording.name);
    assert!(cut.bytes() == whole.bytes(), "{}", recording.name);
    let path = format!("/v1/chats/{}/messages/{}", turn.chat, turn.message);
    let message = client.get(&path).await.expect(200);
    assert_eq!(message["content_text"], text_of(&recording.events), "{}", recording.name);
    assert_eq!(message["stream_status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_turn_cut_after_every_event_ends_with_the_same_bytes() {
    let dir = TempDir::new(env!("CARGO_TARGET_TMPDIR"), "recorded");
    let program = env!("CARGO_BIN_EXE_scrollback");
    let server = Server::start_well(&ServerOptions::new(program, dir.path()));
    let client = Client::new(server.base_url());
    let played: Vec<_> = recordings(env!("CARGO_MANIFEST_DIR"))
        .into_iter()
        .map(|recording| tokio::spawn(play(client.clone(), recording)))
        .collect();
    for played in played {
        played.await.unwrap();
    }
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
}
