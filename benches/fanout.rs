//! One producer, many live readers of one chat over real sockets: from the call that appends an
//! event until every reader has its frame. The whole program runs, on a real disk.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use scrollback_schema::Event;
use scrollback_schema::event::AssistantText;
use scrollback_test_support::client::{Client, ExternalTurn};
use scrollback_test_support::server::{Server, ServerOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// Stands in every delta once and nowhere else, so that frames can be counted in raw bytes.
const MARK: &[u8] = b"@@";

/// Counts what all readers together have received.
#[derive(Debug, Default)]
struct Received {
    n_marks: AtomicU64,
    n_bytes: AtomicU64,
    more: Notify,
}

impl Received {
    async fn wait_for(&self, n_marks: u64) {
        while self.n_marks.load(Ordering::Acquire) < n_marks {
            self.more.notified().await;
        }
    }
}

/// Reads until the server goes; says when it has read the first bytes.
async fn read(address: String, path: String, received: Arc<Received>, ready: Arc<Notify>) {
    let mut socket = TcpStream::connect(&address).await.expect("a connection");
    let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.expect("a request is sent");
    let (mut buffer, mut is_split, mut is_ready) = (vec![0; 16 << 10], false, false);
    while let Ok(n) = socket.read(&mut buffer).await
        && n > 0
    {
        let bytes = &buffer[..n];
        if !is_ready && bytes.windows(9).any(|nine| nine == b"caught_up") {
            is_ready = true;
            ready.notify_one();
        }
        let mut n_marks = bytes.windows(2).filter(|two| two == &MARK).count() as u64;
        // A mark that is cut by the end of a read.
        n_marks += u64::from(is_split && bytes[0] == MARK[1]);
        is_split = bytes[n - 1] == MARK[0] && (n < 2 || bytes[n - 2] != MARK[0]);
        received.n_bytes.fetch_add(n as u64, Ordering::Relaxed);
        if n_marks > 0 {
            received.n_marks.fetch_add(n_marks, Ordering::Release);
            received.more.notify_one();
        }
    }
}

struct Fan {
    client: Client,
    turn: ExternalTurn,
    received: Arc<Received>,
    n_readers: u64,
    n_sent: u64,
}

impl Fan {
    async fn open(server: &Server, n_readers: u64) -> Fan {
        let client = Client::new(server.base_url());
        let chat = format!("c{n_readers}");
        client.create_chat(&chat).await;
        let turn = client.start_external_turn(&chat, "go").await;
        let (received, ready) = (Arc::new(Received::default()), Arc::new(Notify::new()));
        let address = server.base_url().trim_start_matches("http://").to_owned();
        let path = format!("/v1/chats/{chat}/stream");
        for _ in 0..n_readers {
            let (received, was_ready) = (Arc::clone(&received), Arc::clone(&ready));
            tokio::spawn(read(address.clone(), path.clone(), received, was_ready));
            ready.notified().await;
        }
        Fan { client, turn, received, n_readers, n_sent: 0 }
    }

    /// Appends one event and waits until every reader has it.
    async fn send(&mut self) {
        let text = format!("@@{:0>88}", self.n_sent);
        let event = Event::AssistantText(AssistantText { text });
        self.client.append(&mut self.turn, &[event]).await;
        self.n_sent += 1;
        self.received.wait_for(self.n_sent * self.n_readers).await;
    }
}

fn fanout(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = tempfile::tempdir_in(target).expect("a directory on a real disk");
    let options = ServerOptions::new(env!("CARGO_BIN_EXE_scrollback"), &dir.path().join("data"));
    let server = Server::start_well(&options);
    let mut group = c.benchmark_group("fanout");
    group.sample_size(20).measurement_time(Duration::from_secs(5));
    for n_readers in [1, 100, 1_000] {
        let mut fan = runtime.block_on(Fan::open(&server, n_readers));
        group.throughput(Throughput::Elements(n_readers));
        group.bench_function(BenchmarkId::new("an event to all readers", n_readers), |b| {
            b.iter_custom(|n_events| {
                runtime.block_on(async {
                    let began = scrollback::clock::monotonic();
                    for _ in 0..n_events {
                        fan.send().await;
                    }
                    began.elapsed()
                })
            });
        });
        let received = &fan.received;
        assert_eq!(received.n_marks.load(Ordering::Acquire), fan.n_sent * n_readers);
        let n_bytes = received.n_bytes.load(Ordering::Relaxed) / (fan.n_sent * n_readers).max(1);
        eprintln!("{n_readers} readers: {n_bytes} bytes an event and reader");
    }
    group.finish();
}

criterion_group!(benches, fanout);
criterion_main!(benches);
