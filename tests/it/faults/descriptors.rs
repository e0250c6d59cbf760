//! No file descriptors left: nobody new gets in, who is in goes on, and that is told.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use scrollback_test_support::client::Client;
use scrollback_test_support::wait::{eventually, let_live, within};

use super::trial::{Outcome, Trial};

/// Descriptors that the server may open beyond those that it has.
const SPARE: usize = 3;

/// Connections of the test's own that are open before.
const N_WARM: usize = 8;

/// Connections that nobody can accept.
const N_WAITING: usize = 40;

fn n_descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Lets a process have so many descriptors from now on.
fn limit(pid: u32, n: usize) {
    let limit = format!("--nofile={n}:");
    let limited = Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).status();
    assert!(limited.unwrap().success(), "prlimit sets a limit");
}

/// Processor time that a process has used, in hundredths of a second.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Makes connections to call on: a call that found none idle would make one, which nobody accepts.
async fn warm(trial: &Trial) {
    let calls = (0..N_WARM).map(|_| trial.client.get("/healthz"));
    futures_util::future::join_all(calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_nobody_new_gets_in_and_who_is_in_goes_on() {
    let mut trial = Trial::start("no descriptors", 1, &[]).await;
    let pid = trial.server.pid();
    warm(&trial).await;
    limit(pid, n_descriptors(pid) + SPARE);
    let address = trial.server.base_url().strip_prefix("http://").unwrap().to_owned();
    let waiting: Vec<TcpStream> =
        (0..N_WAITING).map(|_| TcpStream::connect(&address).unwrap()).collect();

    // On connections that were open before.
    trial.said_unwell("sockets", "no_descriptors").await;
    let (before, window) = (ticks(pid), Duration::from_millis(500));
    let_live(window).await;
    let used = ticks(pid) - before;
    assert!(used < 25, "the server does not spin: {used} of 50 hundredths of a second");
    for _ in 0..5 {
        assert_eq!(trial.speakers[0].say(&trial.client).await.0, Outcome::Stored);
    }

    // There are some again, the waiting ones leave, and somebody new gets in.
    limit(pid, 1_024);
    drop(waiting);
    let ready = async || (trial.client.get("/readyz").await.status == 200).then_some(());
    eventually("descriptors to be there again", ready).await;
    let newcomer = Client::new(trial.server.base_url());
    within("an answer to a newcomer", newcomer.get("/readyz")).await.expect(200);
    trial.assert_reads().await;
    trial.finish().await;
    println!("{N_WAITING} connections without a descriptor, lost: 0, silent: 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accept_that_fails_is_told_of_and_tried_again() {
    let errors = [("24", "no_descriptors"), ("23", "no_descriptors")];
    for (error, code) in errors {
        let mut trial = Trial::start(&format!("accept {error}"), 1, &[]).await;
        warm(&trial).await;
        trial.faults.set(&[&format!("accept socket {error}")]);
        let address = trial.server.base_url().strip_prefix("http://").unwrap().to_owned();
        let _waiting = TcpStream::connect(&address).unwrap();
        trial.said_unwell("sockets", code).await;
        assert_eq!(trial.speakers[0].say(&trial.client).await.0, Outcome::Stored);
        trial.assert_recovers().await;
        assert!(trial.finish().await > 0);
    }
    println!("{} kinds of accepts that fail, lost: 0, silent: 0", errors.len());
}
