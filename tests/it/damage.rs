//! Every single bit of a small log flipped, and every length that it can be cut to: found by
//! `verify`, or provably harmless. Never a panic, and never a loss in silence.
//!
//! What the program says of each kind of damage is `cli::damage`; what a loss of power can leave is
//! `power_loss`.

mod image;
mod look;
mod served;
mod views;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use scrollback::log::read_witness;
use scrollback_test_support::rounds::rounds;

use crate::fixture::memory_dir;
use image::{Image, images};
use look::{Said, look};

/// One damage of so many is looked at closely: what can be saved around it is read as well.
const CLOSE_LOOK_EVERY: usize = 8;

/// Broken promises that a thread names before it gives up.
const BROKEN_MAX: usize = 100;

/// Threads that flip bits, each in a directory of its own.
const N_THREADS: usize = 2;

/// What became of many damages.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    n: usize,
    n_found: usize,
    n_refused: usize,
    n_harmless: usize,
    /// Damages that were found, and looked at closely.
    n_close: usize,
    /// Events that could not be saved, over all of these.
    n_left_out: usize,
}

impl Tally {
    fn count(&mut self, said: Said) {
        self.n += 1;
        match said {
            Said::Found { n_left_out } => {
                self.n_found += 1;
                self.n_close += usize::from(n_left_out.is_some());
                self.n_left_out += n_left_out.unwrap_or_default();
            }
            Said::Refused => self.n_refused += 1,
            Said::Harmless => self.n_harmless += 1,
        }
    }

    fn add(&mut self, other: Tally) {
        self.n += other.n;
        self.n_found += other.n_found;
        self.n_refused += other.n_refused;
        self.n_harmless += other.n_harmless;
        self.n_close += other.n_close;
        self.n_left_out += other.n_left_out;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { n, n_found, n_refused, n_harmless, .. } = self;
        write!(f, "{n} (found: {n_found}, refused: {n_refused}, harmless: {n_harmless})")
    }
}

/// One thing done to one file, and undone.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Bit(usize),
    Length(usize),
}

impl Damage {
    fn be_done(self, file: &File, bytes: &[u8]) {
        match self {
            Damage::Bit(bit) => {
                let at = bit / 8;
                file.write_all_at(&[bytes[at] ^ (1 << (bit % 8))], at as u64).unwrap();
            }
            Damage::Length(length) => file.set_len(length as u64).unwrap(),
        }
    }

    fn be_undone(self, file: &File, bytes: &[u8]) {
        match self {
            Damage::Bit(bit) => {
                file.write_all_at(&bytes[bit / 8..=bit / 8], bit as u64 / 8).unwrap();
            }
            Damage::Length(length) => file.write_all_at(&bytes[length..], length as u64).unwrap(),
        }
    }
}

/// Looks at one damage; an error says which it was.
fn look_at(dir: &Path, image: &Image, name: &str, damage: Damage) -> Result<Said, String> {
    let file = File::options().write(true).open(dir.join(name)).unwrap();
    damage.be_done(&file, image.file(name));
    let is_close = match damage {
        Damage::Bit(n) | Damage::Length(n) => (n / N_THREADS).is_multiple_of(CLOSE_LOOK_EVERY),
    };
    let said = catch_unwind(AssertUnwindSafe(|| say(dir, image, name, is_close)))
        .unwrap_or_else(|_| Err("it panicked".to_owned()));
    damage.be_undone(&file, image.file(name));
    said.map_err(|wrong| format!("{name}, {damage:?}: {wrong}"))
}

/// What is said of a directory. The witness is read at one place: what it says is all of it.
fn say(dir: &Path, image: &Image, name: &str, is_close: bool) -> Result<Said, String> {
    if name == "head" && read_witness(&dir.join(name)).ok() == Some(image.witnessed) {
        return Ok(Said::Harmless);
    }
    look(dir, image, is_close)
}

/// Does every damage to a file, on every thread its share; the first promise that breaks.
fn every(image: &Arc<Image>, name: &'static str, damages: &Arc<[Damage]>) -> Tally {
    let share = |n: usize| {
        let (image, damages) = (Arc::clone(image), Arc::clone(damages));
        std::thread::spawn(move || {
            let dir = memory_dir("damage");
            image.write_to(dir.path());
            let (mut tally, mut broken) = (Tally::default(), Vec::new());
            for damage in damages.iter().skip(n).step_by(N_THREADS) {
                match look_at(dir.path(), &image, name, *damage) {
                    Ok(said) => tally.count(said),
                    Err(wrong) => broken.push(wrong),
                }
                assert!(broken.len() < BROKEN_MAX, "{}", broken.join("\n"));
            }
            assert!(broken.is_empty(), "{}", broken.join("\n"));
            tally
        })
    };
    let mut tally = Tally::default();
    for thread in (0..N_THREADS).map(share).collect::<Vec<_>>() {
        tally.add(thread.join().unwrap_or_else(|_| panic!("a promise is broken, see above")));
    }
    tally
}

fn bits(image: &Image, name: &str) -> Arc<[Damage]> {
    (0..image.file(name).len() * 8).map(Damage::Bit).collect()
}

fn lengths(image: &Image, name: &str) -> Arc<[Damage]> {
    (0..image.file(name).len()).map(Damage::Length).collect()
}

async fn small_images() -> (Arc<Image>, Arc<Image>) {
    let images = images(rounds().scale(1)).await;
    let sizes = |image: &Image| {
        let sizes = image.files.iter().map(|(name, bytes)| format!("{name} {}", bytes.len()));
        sizes.collect::<Vec<_>>().join(", ")
    };
    println!("killed: {}; stopped: {}", sizes(&images.killed), sizes(&images.stopped));
    (Arc::new(images.killed), Arc::new(images.stopped))
}

#[tokio::test]
async fn every_flipped_bit_is_found_or_harmless() {
    let (killed, stopped) = small_images().await;
    let mut all = Tally::default();
    let mut files = vec![(&killed, "log.db-wal"), (&killed, "head"), (&killed, "log.db")];
    if rounds().scale(1) > 1 {
        // The same pages, without a WAL in front of some of them.
        files.push((&stopped, "log.db"));
    }
    for (image, name) in files {
        let tally = every(image, name, &bits(image, name));
        println!("bits of {name} flipped: {tally}");
        all.add(tally);
    }
    println!("bits flipped: {all}");
    let Tally { n_close, n_left_out, .. } = all;
    println!("around {n_close} of them was saved what is whole; not so {n_left_out} events in all");
}

#[tokio::test]
async fn every_truncation_is_found_or_harmless() {
    let (killed, stopped) = small_images().await;
    let mut all = Tally::default();
    let files =
        [(&killed, "log.db-wal"), (&killed, "head"), (&killed, "log.db"), (&stopped, "log.db")];
    for (image, name) in files {
        let tally = every(image, name, &lengths(image, name));
        println!("{name} cut to every length: {tally}");
        all.add(tally);
    }
    println!("truncations: {all}");
}
