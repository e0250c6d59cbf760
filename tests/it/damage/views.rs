//! Flipped bits of view files: a start heals what SQLite sees of them, `rebuild --check` finds the
//! rest, and a rebuild makes all of it good. Views are disposable, so a sample of bits is enough.

use std::path::{Path, PathBuf};

use scrollback::clock::Clock;
use scrollback::log::{Log, LogOptions};
use scrollback::projector::Projector;
use scrollback::projector::rebuild::{RebuildOptions, check, rebuild};
use scrollback_test_support::rng::Rng;
use scrollback_test_support::rounds::rounds;
use scrollback_test_support::temp_dir::copy_dir;

use super::image::images;
use crate::fixture::memory_dir;

/// Flipped bits, unless the test soaks.
const N_BITS: usize = 160;

/// What a start makes of the views of a directory.
async fn start_once(dir: &Path) {
    let log = Log::open(dir, LogOptions::default(), &Clock::System).unwrap();
    let projector = Projector::open(dir, &log, &Clock::System).unwrap();
    projector.settle(log.head()).await.unwrap();
    projector.close().await;
    log.close().await;
}

async fn is_as_implied(dir: &Path) -> bool {
    let dir = dir.to_owned();
    let checked = move || check(&dir, &RebuildOptions::default(), &|_| {}).unwrap();
    tokio::task::spawn_blocking(checked).await.unwrap().is_none()
}

fn view_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("views")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "db"));
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_of_a_view_is_healed_or_found() {
    let base = memory_dir("damage-views");
    images(1).await.stopped.write_to(base.path());
    start_once(base.path()).await;
    assert!(is_as_implied(base.path()).await);
    let files = view_files(base.path());
    let (seed, n_bits) = (rounds().seed(), rounds().scale(N_BITS));
    let (mut rng, mut n_found) = (Rng::new(seed), 0);
    for n in 0..n_bits {
        let dir = memory_dir("damage-view");
        copy_dir(base.path(), dir.path());
        let file = &files[n % files.len()];
        let mut bytes = std::fs::read(file).unwrap();
        // Most of a file is free; what is flipped is where something stands.
        let bit = std::iter::repeat_with(|| rng.below(bytes.len() * 8));
        let bit = bit.into_iter().find(|bit| bytes[bit / 8] != 0).unwrap();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(dir.join("views").join(file.file_name().unwrap()), bytes).unwrap();
        start_once(dir.path()).await;
        if is_as_implied(dir.path()).await {
            continue;
        }
        n_found += 1;
        let path = dir.path().to_owned();
        let rebuilt = move || rebuild(&path, &RebuildOptions::default(), &|_| {}).map(drop);
        tokio::task::spawn_blocking(rebuilt).await.unwrap().unwrap();
        let what = format!("seed {seed}, {n}: bit {bit} of {}", file.display());
        assert!(is_as_implied(dir.path()).await, "{what}");
    }
    println!("bits of views flipped: {n_bits} (found by a check: {n_found}, the rest healed)");
}
