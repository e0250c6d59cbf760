//! The power goes at any instant: whatever the disk then holds, what was acknowledged is there.
//!
//! A real server works under a library that writes down each write, truncation and sync of its
//! log, the oldest part of which it archives meanwhile. From the record, images are built that a
//! disk may hold after a loss of power, and each is opened as after a start. A kill cannot test
//! this: the system's cache survives it.

mod disk;
mod recording;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use scrollback::clock::Clock;
use scrollback::log::{Log, LogOptions, OpenError, PageLimits, Scope};
use scrollback_schema::event::AssistantText;
use scrollback_schema::{Event, Recorded, Seq};
use scrollback_test_support::client::Client;
use scrollback_test_support::interposer;
use scrollback_test_support::rng::Rng;
use scrollback_test_support::rounds::rounds;
use scrollback_test_support::sample::complete;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::eventually;

use crate::fixture::{findings, memory_dir, open, read, temp_dir};
use disk::Disk;
use recording::{Mark, Marker, Op};

/// Images a test opens, unless it soaks.
const N_IMAGES: usize = 20_000;

/// Images opened at once: a log has threads of its own, which are waited for more than worked.
const N_PARTS: usize = 4;

/// Producers that append at once; each has a chat.
const N_PRODUCERS: usize = 4;

/// The chat that the second life deletes.
const DELETED: &str = "c0-0";

/// Appends of each in each life of the server.
const N_APPENDS: usize = 60;

/// Leases that outlive the test, so that no turn is closed while an image is looked at.
const LEASE: &str = "lease_ms = 3600000\n";

/// A server archives what is finished as soon as it can, so that it does in both lives.
const RETENTION: &str = "[retention]\naction = 'archive'\nmax_age_days = 0.000001\n\
                         check_every_s = 1\nsegment_kib = 16\n";

/// The files whose loss would be one; views are disposable, and `-shm` is made anew.
fn is_of_the_log(name: &str) -> bool {
    matches!(name, "." | "log.db" | "log.db-wal" | "log.db-journal" | "head")
        || is_of_the_archive(name)
}

fn is_of_the_archive(name: &str) -> bool {
    name == "archive" || name.starts_with("archive/")
}

/// What a server did, and what its log said.
struct Work {
    /// Keeps the record for a look if the test fails.
    _dir: TempDir,
    ops: Vec<Op>,
    /// Events by seq, as they were before a chat was deleted and as they are after.
    told: BTreeMap<u64, Vec<Recorded>>,
    /// Where appends end: no image ends within one.
    batches: Vec<(u64, u64)>,
    /// Seqs of the chat that was deleted, by the seq of the tombstone.
    erased: Option<(u64, BTreeSet<u64>)>,
}

/// Lets a server work through two lives, the second of which deletes a chat of the first.
async fn work(name: &str, config: &str) -> Work {
    let dir = temp_dir(name);
    let (data, record) = (dir.path().join("data"), dir.path().join("record"));
    std::fs::create_dir(&data).unwrap();
    let config_file = dir.path().join("scrollback.toml");
    std::fs::write(&config_file, format!("{LEASE}{config}{RETENTION}")).unwrap();
    let library = interposer::build(dir.path());
    let options = ServerOptions::new(env!("CARGO_BIN_EXE_scrollback"), &data)
        .args(&["--config", config_file.to_str().unwrap()])
        .env("LD_PRELOAD", library.to_str().unwrap())
        .env("IO_ROOT", data.to_str().unwrap())
        .env("IO_RECORD", record.to_str().unwrap());
    let marker = Marker::new(&record);
    let mut work =
        Work { _dir: dir, ops: vec![], told: BTreeMap::new(), batches: vec![], erased: None };
    for life in 0..2 {
        let server = Server::start_well(&options);
        let client = Client::new(server.base_url());
        let producers = (0..N_PRODUCERS).map(|n| produce(&client, &marker, format!("c{life}-{n}")));
        let appended = futures_util::future::join_all(producers).await;
        work.batches.extend(appended.into_iter().flatten());
        if life == 0 {
            // Is open when its chat is deleted.
            client.start_external_turn(DELETED, "go on").await;
        } else {
            archived(&data).await;
            delete(&client, &marker, &mut work).await;
            let after = produce(&client, &marker, "after".to_owned()).await;
            work.batches.extend(after);
        }
        let (status, stderr) = server.stop();
        assert!(status.success(), "{stderr}");
        for event in all_events(&data).await {
            work.told.entry(event.seq.get()).or_default().push(event);
        }
    }
    work.ops = recording::read(&record, is_of_the_log);
    work
}

/// A turn in a chat of its own, appended some events at a time; the seqs of each append.
async fn produce(client: &Client, marker: &Marker, chat: String) -> Vec<(u64, u64)> {
    let mut appended = Vec::new();
    client.create_chat(&chat).await;
    let mut turn = client.start_external_turn(&chat, "go").await;
    for n in 0..=N_APPENDS {
        let text = format!("{chat}.{n} {}", "x".repeat(n * 37 % 600));
        let events = match n < N_APPENDS {
            true => vec![Event::AssistantText(AssistantText { text }); 1 + n % 3],
            false => vec![complete()],
        };
        let (first, last) = client.append(&mut turn, &events).await;
        marker.mark(Mark::Appended { first, last });
        appended.push((first, last));
    }
    appended
}

/// Waits until the oldest events are in the archive, those of the chat to delete among them.
async fn archived(data: &Path) {
    let archive = data.join("archive");
    eventually("a segment", async || {
        let mut files = std::fs::read_dir(&archive).ok()?.map(|file| file.unwrap().file_name());
        files.any(|file| file.to_str().is_some_and(|name| name.ends_with(".seg"))).then_some(())
    })
    .await;
}

/// Deletes a chat of the first life, and notes that nothing of it may come back.
async fn delete(client: &Client, marker: &Marker, work: &mut Work) {
    let of_chat = |events: &Vec<Recorded>| events[0].chat.id.as_str() == DELETED;
    let seqs = work.told.iter().filter(|(_, events)| of_chat(events)).map(|(seq, _)| *seq);
    let seqs: BTreeSet<u64> = seqs.collect();
    let answer = client.delete(&format!("/v1/chats/{DELETED}")).await;
    let tombstone = answer.body["seq"].as_u64().expect("a deletion has a seq");
    marker.mark(Mark::Appended { first: tombstone, last: tombstone });
    marker.mark(Mark::Erased { tombstone });
    work.erased = Some((tombstone, seqs));
}

async fn all_events(data: &Path) -> Vec<Recorded> {
    let log = open(data);
    let events = read(&log, &Scope::All, PageLimits::default()).await;
    log.close().await;
    events
}

/// How many segment files got a name that ends so.
fn n_segments_named(ops: &[Op], end: &str) -> usize {
    ops.iter().filter(|op| matches!(op, Op::Rename { to, .. } if to.ends_with(end))).count()
}

/// What an image was made of.
#[derive(Debug, Default, Clone)]
struct Promised {
    /// The last seq that was acknowledged.
    acknowledged: u64,
    /// Whether the deletion was answered.
    is_erased: bool,
}

impl Promised {
    fn take(&mut self, op: &Op) {
        match op {
            Op::Mark(Mark::Appended { last, .. }) => {
                self.acknowledged = self.acknowledged.max(*last);
            }
            Op::Mark(Mark::Erased { .. }) => self.is_erased = true,
            _ => {}
        }
    }
}

/// Every event of a log; what is wrong if it cannot be read.
fn read_here(log: &Log) -> Result<Vec<Recorded>, String> {
    let (mut events, mut after, until) = (Vec::new(), Seq::ZERO, log.head());
    while after < until {
        let page = log.read_blocking(&Scope::All, after, until, PageLimits::default());
        let page = page.map_err(|error| format!("cannot be read after seq {after}: {error}"))?;
        assert!(page.through > after, "a page moves on");
        for section in &page.sections {
            let range = section.events_in(after, page.through);
            events.extend(range.map(|index| section.recorded(index).unwrap()));
        }
        after = page.through;
    }
    Ok(events)
}

/// Opens an image as a start would; what is wrong with it.
async fn look_at(
    dir: &Path,
    work: &Work,
    promised: &Promised,
    is_thorough: bool,
) -> Option<String> {
    let log = match Log::open(dir, LogOptions::default(), &Clock::System) {
        Ok(log) => log,
        Err(error @ OpenError::TailLost { .. }) => return Some(format!("noticed: {error}")),
        Err(error) => return Some(format!("{error}: {:?}", std::error::Error::source(&error))),
    };
    // On this thread: a page is read in less time than another thread takes to wake up.
    let events = read_here(&log);
    log.close().await;
    let events = match events {
        Ok(events) => events,
        Err(wrong) => return Some(wrong),
    };
    let head = events.last().map_or(0, |event| event.seq.get());
    if head < promised.acknowledged {
        return Some(format!("ends at {head}, {} was acknowledged", promised.acknowledged));
    }
    if let Some(half) = work.batches.iter().find(|(first, last)| *first <= head && head < *last) {
        return Some(format!("ends at {head} within the append {half:?}"));
    }
    for (n, event) in (1..).zip(&events) {
        // What the deletion itself appended was erased before it could be read.
        let is_of_the_deletion = work.erased.as_ref().is_some_and(|(tombstone, _)| {
            event.seq.get() < *tombstone
                && event.chat.id.as_str() == DELETED
                && matches!(event.event(), Some(Event::Cancelled(_)))
        });
        let told = is_of_the_deletion || work.told.get(&n).is_some_and(|told| told.contains(event));
        if event.seq.get() != n || !told {
            return Some(format!("seq {n} is not what was appended: {event:?}"));
        }
    }
    if let Some((_, seqs)) = work.erased.as_ref().filter(|_| promised.is_erased)
        && let Some(event) =
            events.iter().find(|e| seqs.contains(&e.seq.get()) && e.event().is_some())
    {
        return Some(format!("seq {} came back after its deletion", event.seq));
    }
    let found = if is_thorough { findings(dir) } else { vec![] };
    (!found.is_empty()).then(|| format!("verify: {found:?}"))
}

/// The images of a part of the moments, drawn from a seed; the first one that breaks a promise.
fn images(work: &Work, n_images: usize, seed: u64, name: &str) -> Result<usize, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut rng = Rng::new(seed);
    let mut moments: Vec<usize> = (0..n_images).map(|_| rng.below(work.ops.len() + 1)).collect();
    moments.sort_unstable();
    let (mut disk, mut promised, mut n_done, mut n_torn) =
        (Disk::default(), Promised::default(), 0, 0);
    for (n, moment) in moments.into_iter().enumerate() {
        for op in &work.ops[n_done..moment] {
            disk.apply(op);
            promised.take(op);
        }
        n_done = moment;
        n_torn += usize::from(disk.n_pending() > 0);
        let dir = memory_dir(name);
        disk.write_image(dir.path(), &mut rng);
        let wrong = runtime.block_on(look_at(dir.path(), work, &promised, n.is_multiple_of(10)));
        if let Some(wrong) = wrong {
            return Err(format!("seed {seed}, image {n} after operation {moment}: {wrong}"));
        }
    }
    assert!(n_torn > n_images / 4, "{n_torn} of {n_images} images had something to lose");
    Ok(n_images)
}

/// Opens images in parts, each on a thread.
async fn open_images(work: Work, n_images: usize, name: &'static str) -> Result<usize, String> {
    let seed = rounds().seed();
    eprintln!("{} operations, seed {seed}", work.ops.len());
    let work = std::sync::Arc::new(work);
    let parts = (0..N_PARTS).map(|part| {
        let work = std::sync::Arc::clone(&work);
        tokio::task::spawn_blocking(move || {
            images(&work, n_images / N_PARTS, seed + part as u64, name)
        })
    });
    let mut n = 0;
    for part in parts.collect::<Vec<_>>() {
        n += part.await.unwrap()?;
    }
    Ok(n)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_loss_of_power_takes_away_what_was_acknowledged() {
    let work = work("power_loss", "").await;
    assert!(work.erased.as_ref().is_some_and(|(_, seqs)| seqs.len() > N_APPENDS));
    assert!(n_segments_named(&work.ops, ".2.seg") > 0, "a segment was made without the chat");
    assert!(n_segments_named(&work.ops, ".1.seg") > 4, "events were archived in both lives");
    let n_images = rounds().scale(N_IMAGES);
    let n = open_images(work, n_images, "power_loss_image").await.unwrap_or_else(|e| panic!("{e}"));
    println!("{n} images of a lost power were opened, nothing was lost");
}

/// The proof that the test above can fail: without syncs, the same images lose what was answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_syncs_the_same_images_show_a_loss() {
    let work = work("power_loss_unsynced", "durability = 'process'\n").await;
    let wrong = open_images(work, 200, "power_loss_unsynced_image").await.unwrap_err();
    assert!(wrong.contains("was acknowledged"), "{wrong}");
}

/// The same for the archive: its events are in log.db no longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_syncs_of_the_archive_the_same_images_show_a_loss() {
    let mut work = work("power_loss_archive", "").await;
    work.ops.retain(|op| !matches!(op, Op::Sync { name } if is_of_the_archive(name)));
    let wrong = open_images(work, 200, "power_loss_archive_image").await.unwrap_err();
    assert!(wrong.contains("archive"), "{wrong}");
}
