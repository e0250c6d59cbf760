//! A flipped bit of a segment file, wherever it is: found and named, and never served.

use std::path::PathBuf;

use scrollback::clock::Clock;
use scrollback::log::offline::OfflineLog;
use scrollback::log::verify::ReadablePages;
use scrollback::log::{
    ArchiveBounds, Log, LogOptions, OpenError, PageLimits, ReadError, Scope, SegmentEntry,
};
use scrollback_schema::{Recorded, Seq};
use scrollback_test_support::client::Client;
use scrollback_test_support::rounds::rounds;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::sse::{Resume, SseReader};
use scrollback_test_support::temp_dir::TempDir;

use super::program::PROGRAM;
use super::{archive, finished};
use crate::fixture::{assert_whole, findings, memory_dir};

/// Of so many bytes of blocks one is flipped in a short run; of what is around them, each.
const FLIPPED_EACH: usize = 8;

/// Bytes in front of the blocks, and of what is behind them at least: a short index and the tail.
const HEAD_BYTES: usize = 16;
const END_BYTES: usize = 36 + 32;

/// Of so many flipped bytes one is also put before the server.
const SERVED_EACH: usize = 5;

/// A log with a few small segments: its directory, the segments, and every event.
async fn small(name: &str) -> (TempDir, Vec<SegmentEntry>, Vec<Recorded>) {
    let fixture = finished(memory_dir(name), 120).await;
    archive(&fixture.log, ArchiveBounds::default()).await;
    let segments = fixture.log.segments().await.unwrap();
    assert!(segments.len() > 1, "{segments:?}");
    let all = fixture.all().await;
    (fixture.close().await, segments, all)
}

/// Reads every event; the file that does not give one, if one does not.
async fn serve(dir: &TempDir, all: &[Recorded]) -> Result<(), PathBuf> {
    let log = match Log::open(dir.path(), LogOptions::default(), &Clock::System) {
        Ok(log) => log,
        Err(OpenError::Archive(error)) => return Err(error.path().to_owned()),
        Err(error) => panic!("{error}"),
    };
    let (mut after, until, mut n_read) = (Seq::ZERO, log.head(), 0);
    let mut refused = None;
    while after < until {
        let page = match log.read(&Scope::All, after, until, PageLimits::default()).await {
            Ok(page) => page,
            Err(ReadError::Archive(error)) => {
                refused = Some(error.path().to_owned());
                break;
            }
            Err(error) => panic!("{error}"),
        };
        for section in &page.sections {
            for index in section.events_in(after, page.through) {
                assert_eq!(section.recorded(index).unwrap(), all[n_read]);
                n_read += 1;
            }
        }
        after = page.through;
    }
    log.close().await;
    refused.map_or(Ok(()), Err)
}

/// What `export --readable` gives of a log: its seqs, and the spans that it leaves out.
fn readable(dir: &TempDir) -> (Vec<u64>, Vec<(u64, u64)>) {
    let mut log = OfflineLog::open_what_is_left(dir.path()).unwrap();
    let mut pages = ReadablePages::new(&mut log).unwrap();
    let (mut seqs, mut left_out) = (Vec::new(), Vec::new());
    while let Some(passage) = pages.next(&mut log, PageLimits::default()).unwrap() {
        for section in passage.sections {
            seqs.extend(section.first_seq().get()..=section.last_seq().get());
        }
        let spans = passage.left_out.iter().map(|out| (out.span.first.get(), out.span.last.get()));
        left_out.extend(spans);
    }
    (seqs, left_out)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_of_any_byte_of_a_segment_is_named_and_never_served() {
    let (dir, segments, all) = small("retention-bits").await;
    let victim = &segments[0];
    let path = dir.join("archive").join(&victim.file);
    let whole = std::fs::read(&path).unwrap();
    let place = format!("archive/{}: ", victim.file);
    let (mut n_flipped, mut n_served) = (0, 0);
    let each = FLIPPED_EACH.div_ceil(rounds().scale(1));
    let in_blocks = HEAD_BYTES..whole.len() - END_BYTES;
    for at in (0..whole.len()).filter(|at| !in_blocks.contains(at) || at % each == 0) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bytes).unwrap();
        let found = findings(dir.path());
        let [finding] = &found[..] else { panic!("byte {at}: {found:?}") };
        assert!(finding.starts_with("seq ") && finding.contains(&place), "byte {at}: {finding}");
        n_flipped += 1;
        if n_flipped % SERVED_EACH == 0 {
            let refused = serve(&dir, &all).await.expect_err("a damaged segment is not served");
            assert_eq!(refused, path, "byte {at}");
            n_served += 1;
            let (seqs, left_out) = readable(&dir);
            let [(first, last)] = left_out[..] else { panic!("byte {at}: {left_out:?}") };
            assert!(first >= victim.first_seq.get() && last <= victim.last_seq.get());
            let expected: Vec<u64> =
                (1..=all.len() as u64).filter(|seq| !(first..=last).contains(seq)).collect();
            assert_eq!(seqs, expected, "byte {at}: what is whole is saved");
        }
    }
    std::fs::write(&path, &whole).unwrap();
    assert_whole(dir.path());
    serve(&dir, &all).await.unwrap();
    println!("{n_flipped} of {} bytes of a segment flipped, {n_served} served", whole.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_gives_an_error_for_a_damaged_block_and_goes_on_with_the_rest() {
    let (dir, segments, _) = small("retention-block").await;
    let options = ServerOptions::new(PROGRAM, dir.path());
    // The views are folded, and what was deleted is erased.
    drop(Server::start_well(&options).stop());
    let victim = OfflineLog::open(dir.path()).unwrap().segments().unwrap()[0].clone();
    assert_eq!(victim.first_seq, segments[0].first_seq);
    let path = dir.join("archive").join(&victim.file);
    let whole = std::fs::read(&path).unwrap();
    let flip = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        std::fs::write(&path, &bytes).unwrap();
    };
    flip(40);
    let server = Server::start_well(&options);
    let client = Client::new(server.base_url());
    let events = client.get("/v1/log/events?limit=5").await;
    assert_eq!(events.problem(500), "log_damaged");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = client.url("/v1/stream");
    let mut stream = SseReader::open(&http, &url, Resume::Beginning).await.unwrap();
    let frames = stream.rest().await;
    let bye = frames.last().unwrap();
    assert_eq!((bye.event.as_str(), &bye.json()["reason"]), ("bye", &"log_damaged".into()));
    assert!(frames.iter().all(|frame| !frame.is_data()), "nothing of the block is shown");
    // What stands elsewhere is given: the rest of the log, and new events.
    let mut stream =
        SseReader::open(&http, &url, Resume::After(victim.last_seq.get())).await.unwrap();
    let next = stream.named("stream").await;
    assert!(next.id.unwrap() > victim.last_seq.get());
    let renamed = serde_json::json!({ "title": "still here" });
    client.create_chat("new").await;
    client.patch("/v1/chats/new", &renamed).await.expect(200);
    let stderr = server.kill();
    assert!(!stderr.contains("panicked"), "{stderr}");

    flip(whole.len() - 20);
    let refused = Server::start(&options).map(Server::kill).unwrap_err().stderr;
    assert!(refused.contains(&victim.file) && refused.contains("is damaged at seq"), "{refused}");
    std::fs::write(&path, &whole).unwrap();
    assert_whole(dir.path());
}
