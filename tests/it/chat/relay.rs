//! An address that stays while the server behind it comes and goes, and that can lose an answer.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Passes bytes on, both ways.
pub(super) struct Relay {
    pub(super) url: String,
    target: Arc<Mutex<String>>,
    /// Calls that start a turn whose answers get lost.
    n_losses: Arc<AtomicUsize>,
}

impl Relay {
    /// Listens; nobody is behind it yet.
    pub(super) async fn new() -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target = Arc::new(Mutex::new(String::new()));
        let n_losses = Arc::new(AtomicUsize::new(0));
        let (to, losses) = (Arc::clone(&target), Arc::clone(&n_losses));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let to = to.lock().unwrap().clone();
                tokio::spawn(pass(client, to, Arc::clone(&losses)));
            }
        });
        Relay { url, target, n_losses }
    }

    /// Leads to this server from now on.
    pub(super) fn lead_to(&self, url: &str) {
        *self.target.lock().unwrap() = url.trim_start_matches("http://").to_owned();
    }

    /// The next answer to a call that starts a turn does not arrive.
    pub(super) fn lose_one_answer(&self) {
        self.n_losses.store(1, Ordering::SeqCst);
    }
}

async fn pass(mut client: TcpStream, to: String, n_losses: Arc<AtomicUsize>) {
    let Ok(mut server) = TcpStream::connect(&to).await else { return };
    let (mut up, mut down) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut is_lost = false;
    loop {
        tokio::select! {
            n = client.read(&mut up) => match n {
                Ok(n) if n > 0 => {
                    let head = String::from_utf8_lossy(&up[..n]);
                    if head.contains("/turns HTTP/1.1") {
                        let take = |n: usize| n.checked_sub(1);
                        let (set, get) = (Ordering::SeqCst, Ordering::SeqCst);
                        is_lost = n_losses.fetch_update(set, get, take).is_ok();
                    }
                    if server.write_all(&up[..n]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
            n = server.read(&mut down) => match n {
                Ok(n) if n > 0 && !is_lost => {
                    if client.write_all(&down[..n]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}
