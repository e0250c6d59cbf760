//! A server under half load for a long time, killed again and again: what it uses stays flat, and
//! nothing that it acknowledged is lost. `tests/soak` runs it.
//!
//! `load` is what is asked of the server, `sample` what is measured every few seconds and what the
//! figures have to be, `plot` how they look. Here a server is started, killed, and verified. The
//! last quarter is not disturbed: what a restart would hide shows there.

#![expect(clippy::disallowed_methods, reason = "a soak looks at the clock and its environment")]

mod load;
mod plot;
mod sample;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use scrollback_test_support::client::Client;
use scrollback_test_support::rng::Rng;
use scrollback_test_support::rounds::rounds;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::wait::{eventually, let_live};

use load::{Load, Tally};
use sample::{Sampler, Samples};

/// Minutes unless `SCROLLBACK_SOAK_MINUTES` says otherwise.
const MINUTES: u64 = 60;

/// How long the server is driven as fast as it goes, to know what half of that is.
const CALIBRATION: Duration = Duration::from_secs(10);

/// Seconds that a server lives before it is killed.
const LIFE_S: (usize, usize) = (20, 150);

fn main() {
    let minutes = match std::env::var("SCROLLBACK_SOAK_MINUTES") {
        Ok(text) => text.parse().expect("SCROLLBACK_SOAK_MINUTES is a whole number"),
        Err(_) => MINUTES,
    };
    let dir =
        Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in target").join("soak");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("target can be written");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let is_well = runtime.block_on(soak(&dir, Duration::from_secs(60 * minutes)));
    std::process::exit(i32::from(!is_well));
}

async fn soak(dir: &Path, length: Duration) -> bool {
    let seed = rounds().seed();
    println!("soak: {} s, seed {seed}, figures go to {}", length.as_secs(), dir.display());
    let mut options = ServerOptions::new(env!("CARGO_BIN_EXE_scrollback"), &dir.join("data"));
    let server = Server::start_well(&options);
    // A server that comes back is where it was.
    options = options.listen(server.base_url().trim_start_matches("http://"));
    let began = Instant::now();
    let tally = Arc::new(Tally::new(began));
    let load = Load::start(server.base_url(), &tally, seed);
    let_live(CALIBRATION).await;
    let full = tally.take().n_events as f64 / CALIBRATION.as_secs_f64();
    load.slow_down();
    println!("soak: full load is {full:.0} events a second; it goes on with half of it");
    let sampler = Sampler::start(&tally, server.pid(), &dir.join("data"));
    let (server, n_kills) = kill_again_and_again(server, &options, &sampler, length, seed).await;
    // Undisturbed to the end.
    let_live(length.saturating_sub(began.elapsed())).await;
    let samples = sampler.stop().await;
    let n_sent = load.stop().await;
    let verdict = samples.verdict();
    write_down(dir, &samples);
    println!("soak: {n_sent} events acknowledged, {n_kills} kills; {}", samples.summary());
    is_whole(server, n_sent).await & verdict
}

/// Kills the server after random times and starts it again, for three quarters of the time.
async fn kill_again_and_again(
    mut server: Server,
    options: &ServerOptions,
    sampler: &Sampler,
    length: Duration,
    seed: u64,
) -> (Server, usize) {
    let (began, mut rng, mut n_kills) = (Instant::now(), Rng::new(seed), 0);
    loop {
        let life = Duration::from_secs(rng.between(LIFE_S.0, LIFE_S.1) as u64);
        if began.elapsed() + life > length * 3 / 4 {
            return (server, n_kills);
        }
        let_live(life).await;
        server.kill();
        let died = Instant::now();
        server = Server::start_well(options);
        n_kills += 1;
        sampler.restarted(server.pid(), died.elapsed());
    }
}

fn write_down(dir: &Path, samples: &Samples) {
    let write = |name: &str, text: String| -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, text).expect("target can be written");
        path
    };
    let csv = write("soak.csv", samples.csv());
    let svg = write("soak.svg", plot::svg(samples));
    println!("soak: {} and {}", csv.display(), svg.display());
}

/// Whether all that was acknowledged is there, and the views are what the log says.
async fn is_whole(server: Server, n_sent: u64) -> bool {
    let api = Client::new(server.base_url());
    let stored = eventually("the server's state", async || {
        let metrics = api.get("/v1/log").await;
        (metrics.status == 200).then(|| metrics.body["head_seq"].as_u64().expect("a seq"))
    })
    .await;
    let (program, data) = (server.program().to_owned(), server.data().to_owned());
    let (status, stderr) = server.stop();
    if !status.success() {
        eprintln!("soak: the server did not end well: {status}\n{stderr}");
    }
    let mut is_whole = stored >= n_sent && status.success();
    for args in [&["verify"][..], &["rebuild", "--check"]] {
        let run = std::process::Command::new(&program).args(args).arg("--data").arg(&data).output();
        let run = run.expect("the program can be started");
        println!("soak: {}: {}", args.join(" "), run.status);
        if !run.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&run.stderr));
            is_whole = false;
        }
    }
    is_whole
}
