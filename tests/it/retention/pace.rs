//! How long an append waits while the log is archived beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scrollback::clock::monotonic;
use scrollback::log::{ArchiveBounds, ArchiveStep, Fill, Log};
use scrollback_schema::Event;
use scrollback_schema::event::Origin;
use scrollback_test_support::rounds::rounds;
use scrollback_test_support::sample::{chat_id, complete, of_turn, started, text};
use scrollback_test_support::wait::let_live;
use scrollback_test_support::workload::Step;

use super::of_chat;
use crate::fixture::{Fixture, append, assert_whole};

/// Events of a turn that is archived, each of some hundred bytes, and how many such turns.
const TURN_EVENTS: usize = 200;
const N_TURNS: usize = 30;

/// Bytes of a segment; a server's default is 8 MiB, which a longer run has.
const SEGMENT_BYTES: u64 = 256 << 10;
const SEGMENT_BYTES_LONG: u64 = 8 << 20;

/// No append may wait so long: some steps of archiving, on a machine that does much else.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Appends one event after the other until it is over; how long each waited.
async fn appends(log: Log, is_over: Arc<AtomicBool>) -> Vec<Duration> {
    let mut waits = Vec::new();
    for n in 0.. {
        if is_over.load(Ordering::Acquire) {
            break;
        }
        let event = of_turn("beside", "beside-m", vec![text(&format!("word {n}"))]);
        let begun = monotonic();
        append(&log, Step { chat: chat_id("beside"), events: event }).await.unwrap();
        waits.push(begun.elapsed());
    }
    waits
}

/// The longest, and the one that one in a hundred is longer than.
fn longest(mut waits: Vec<Duration>) -> (Duration, Duration) {
    waits.sort_unstable();
    (*waits.last().unwrap(), waits[waits.len() - 1 - waits.len() / 100])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_does_not_wait_for_long_while_the_log_is_archived() {
    let fixture = Fixture::new("retention-pace");
    let log = &fixture.log;
    let created = || vec![of_chat(Event::ChatCreated(Default::default()))];
    append(log, Step { chat: chat_id("old"), events: created() }).await.unwrap();
    append(log, Step { chat: chat_id("beside"), events: created() }).await.unwrap();
    let n_turns = rounds().scale(N_TURNS);
    for n in 0..n_turns {
        let (turn, message) = (format!("t{n}"), format!("m{n}"));
        let words =
            |i: usize| text(&format!("{n} {i} {:x}", ((n * 7919 + i) as u128).pow(3)).repeat(8));
        let mut events = vec![started(&turn, &message, Origin::User)];
        let deltas = (0..TURN_EVENTS).map(words).chain([complete()]).collect();
        events.extend(of_turn(&turn, &message, deltas));
        append(log, Step { chat: chat_id("old"), events }).await.unwrap();
    }
    let through = log.head();
    let begin = vec![started("beside", "beside-m", Origin::User)];
    append(log, Step { chat: chat_id("beside"), events: begin }).await.unwrap();

    let is_over = Arc::new(AtomicBool::new(false));
    let alone = tokio::spawn(appends(log.clone(), Arc::clone(&is_over)));
    let_live(Duration::from_secs(1)).await;
    is_over.store(true, Ordering::Release);
    let (alone, alone_p99) = longest(alone.await.unwrap());

    let is_over = Arc::new(AtomicBool::new(false));
    let beside = tokio::spawn(appends(log.clone(), Arc::clone(&is_over)));
    let plan = log.archive_plan(ArchiveBounds::default()).await.unwrap();
    assert_eq!(plan.through, through, "the open turn stays");
    let bytes = if n_turns > N_TURNS { SEGMENT_BYTES_LONG } else { SEGMENT_BYTES };
    let step = ArchiveStep { through: plan.through, bytes, fill: Fill::Rest };
    let (mut n_segments, mut recording) = (0, Duration::ZERO);
    let begun = monotonic();
    while let Some(made) = log.archive_step(step).await.unwrap() {
        n_segments += 1;
        recording = recording.max(made.recording);
    }
    let took = begun.elapsed();
    is_over.store(true, Ordering::Release);
    let waits = beside.await.unwrap();
    let n_appends = waits.len();
    let (beside, beside_p99) = longest(waits);
    let ms = |duration: Duration| duration.as_millis();
    println!(
        "{} events into {n_segments} segments of {} KiB in {} ms, the writer busy for {} ms at \
         most: {n_appends} appends beside it, the longest {} ms, p99 {} ms; alone {} ms, p99 {} ms",
        through.get(),
        bytes >> 10,
        ms(took),
        ms(recording),
        ms(beside),
        ms(beside_p99),
        ms(alone),
        ms(alone_p99),
    );
    assert!(n_segments > 1 && log.archive_totals().await.unwrap().through == through);
    assert!(n_appends > n_segments && beside < WAIT_MAX, "{beside:?} of {n_appends}");
    let dir = fixture.close().await;
    assert_whole(dir.path());
}
