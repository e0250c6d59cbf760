//! A connection that breaks: it stands before a server and cuts each answer after some bytes, in
//! the middle of whatever is being said.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use scrollback_test_support::rng::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Bytes of an answer before it is cut: its head has some hundred, an event about as many.
const BYTES_MIN: usize = 1_000;
const BYTES_MAX: usize = 6_000;

/// A listener that passes on to a server; gone when it is dropped.
pub(super) struct Cutter {
    address: String,
    n_cuts: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Cutter {
    /// Stands before the server at `base_url`.
    pub(super) async fn start(base_url: &str) -> Cutter {
        let server = base_url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let n_cuts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&n_cuts);
        let accepting = tokio::spawn(async move {
            let mut rng = Rng::new(20_261_122);
            while let Ok((client, _)) = listener.accept().await {
                let n_bytes = rng.between(BYTES_MIN, BYTES_MAX);
                tokio::spawn(pass_on(client, server.clone(), n_bytes, Arc::clone(&counted)));
            }
        });
        Cutter { address, n_cuts, accepting }
    }

    /// The address of a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many connections were cut.
    pub(super) fn n_cuts(&self) -> usize {
        self.n_cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Passes both directions on, the answer up to `n_bytes`; then both connections are closed.
async fn pass_on(client: TcpStream, server: String, n_bytes: usize, n_cuts: Arc<AtomicUsize>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let request = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    });
    let (mut left, mut buffer) = (n_bytes, vec![0; 4_096]);
    while left > 0 {
        let n_max = left.min(buffer.len());
        match from_server.read(&mut buffer[..n_max]).await {
            Ok(n) if n > 0 && to_client.write_all(&buffer[..n]).await.is_ok() => left -= n,
            _ => break,
        }
    }
    if left == 0 {
        n_cuts.fetch_add(1, Ordering::SeqCst);
    }
    request.abort();
}
