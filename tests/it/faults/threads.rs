//! Threads that panic: the writer of the log, and those that fold it.

use scrollback_test_support::client::Client;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::wait::eventually;
use serde_json::json;

use super::trial::{Outcome, Trial};
use crate::fixture::temp_dir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_scrollback");

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_panics_starts_over_and_answers_by_what_the_file_says() {
    // The commit at which it panics, and whether its appends are stored then.
    let panics = [("log-before-commit", Outcome::Refused), ("log-after-commit", Outcome::Stored)];
    for (point, outcome) in panics {
        for n_passes in [15, 40] {
            let name = format!("{point} panics after {n_passes}");
            let fault = format!("{point}={n_passes}*off->1*panic->off");
            let mut trial = Trial::start(&name, 3, &[("FAILPOINTS", &fault)]).await;
            trial.speak(30, usize::MAX).await;
            trial.counted("log", "panicked").await;
            let n_refused: usize = trial.speakers.iter().map(|s| s.n_of(Outcome::Refused)).sum();
            assert_eq!(n_refused > 0, outcome == Outcome::Refused, "{name}");
            trial.assert_recovers().await;
            trial.finish().await;
            println!("{name}: {n_refused} appends refused");
        }
    }
    println!("4 panics of the log's writer, lost: 0, silent: 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_panics_again_and_again_ends_and_reads_go_on() {
    let fault = "log-before-commit=20*off->panic";
    let mut trial = Trial::start("a writer that ends", 3, &[("FAILPOINTS", fault)]).await;
    for _ in 0..20 {
        trial.speak(10, 2).await;
    }
    let fault = trial.said_unwell("log", "thread_ended").await;
    assert_eq!(fault["needs_restart"], true);
    assert_eq!(trial.client.get("/healthz").await.status, 503);
    trial.assert_stays_stopped().await;
    trial.finish().await;
    println!("a writer of the log that ends, lost: 0, silent: 0");
}

/// Panics in the middle of a row: nothing half done is kept.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_fold_panics_parks_its_chat_and_the_others_go_on() {
    for projection in ["messages", "chat_events"] {
        // Seqs: two chats of four events each, so 12 is one of the deltas of c1.
        let fault = format!("fold-panic=return({projection} c1 12)");
        let name = format!("a fold of {projection} that panics");
        let mut trial = Trial::start(&name, 2, &[("FAILPOINTS", &fault)]).await;
        trial.speak(10, usize::MAX).await;
        let subject = format!("view_{projection}");
        trial.counted(&subject, "panicked").await;
        let what = format!("{name}: the chat to be parked, and no more");
        let parked = format!("projection_parked_chats{{projection=\"{projection}\"}} 1");
        eventually(&what, async || {
            let is_ready = trial.client.get("/readyz").await.status == 200;
            (is_ready && trial.metrics().await.contains(&parked)).then_some(())
        })
        .await;
        // The log is read as ever, and the other chat in every way.
        trial.speak(3, usize::MAX).await;
        let c1 = trial.speakers.remove(1);
        trial.assert_reads().await;
        trial.speakers.push(c1);
        trial.finish().await;
        println!("{name}: parked");
    }
    println!("2 folds that panic, lost: 0, silent: 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_panic_while_they_write_go_on() {
    let fault = "projector-before-commit=6*panic->off";
    let mut trial = Trial::start("workers that panic", 2, &[("FAILPOINTS", fault)]).await;
    trial.speak(60, usize::MAX).await;
    let said = async || trial.metrics().await.contains("code=\"panicked\"").then_some(());
    eventually("a worker to panic", said).await;
    trial.assert_reads().await;
    trial.assert_recovers().await;
    trial.finish().await;
    println!("6 panics of workers, lost: 0, silent: 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_panic_again_and_again_end_and_reads_go_on() {
    let fault = "projector-before-commit=panic";
    let mut trial = Trial::start("workers that end", 2, &[("FAILPOINTS", fault)]).await;
    trial.speak(30, usize::MAX).await;
    trial.said_unwell("view_messages", "thread_ended").await;
    assert_eq!(trial.client.get("/healthz").await.status, 503);
    // What the views lack is folded from the log for each reader.
    trial.speak(10, usize::MAX).await;
    trial.assert_reads().await;
    trial.finish().await;
    println!("workers that end, lost: 0, silent: 0");
}

/// A turn of the process before is closed before anything new, however long the disk is full.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_a_full_disk_keeps_open_at_the_start_is_closed_before_the_first_append() {
    let dir = temp_dir("faults-orphans");
    let (script, config) = (dir.join("p.toml"), dir.join("config.toml"));
    std::fs::write(&script, "[[step]]\nsay = 'begun'\n[[step]]\nhang = true\n").unwrap();
    let table = format!("kind = 'scripted'\nscript = '{}'", script.display());
    std::fs::write(&config, format!("[providers.p]\n{table}\n")).unwrap();
    let options = ServerOptions::new(PROGRAM, &dir.join("data"))
        .args(&["--config", config.to_str().unwrap()]);
    let server = Server::start_well(&options);
    let client = Client::new(server.base_url());
    client.create_chat("c1").await;
    let body = json!({ "text": "go", "provider": "p" });
    let turn = client.post("/v1/chats/c1/turns", &body).await.expect(202);
    let path = format!("/v1/chats/c1/messages/{}", turn["message_id"].as_str().unwrap());
    eventually("the turn to speak", async || {
        (client.get(&path).await.body["content_text"] == "begun").then_some(())
    })
    .await;
    server.kill();

    let server = Server::start_well(&options.env("FAILPOINTS", "log-full=2*return->off"));
    let client = Client::new(server.base_url());
    eventually("the disk to have room", async || {
        let created = client.post("/v1/chats", &json!({ "chat_id": "c2" })).await;
        (created.status != 507).then(|| created.expect(201))
    })
    .await;
    let message = client.get(&path).await.expect(200);
    assert_eq!(message["stream_status"], "interrupted", "{message}");
    let events = client.get("/v1/chats/c1/events?limit=100").await.expect(200);
    let end = events["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&end["kind"], &end["payload"]["reason"]), (&json!("cancelled"), &json!("restart")));
    let created = client.get("/v1/chats/c2/events").await.expect(200)["items"][0]["seq"].clone();
    assert!(end["seq"].as_u64() < created.as_u64(), "{end} before {created}");
    let stderr = server.kill();
    assert!(stderr.contains("code=\"disk_full\""), "{stderr}");
    println!("a full disk at the start of a server with an open turn, lost: 0, silent: 0");
}
