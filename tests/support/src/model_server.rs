//! A model's endpoint made of raw TCP: it sends what it is told, cuts, stalls and floods.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::wait::eventually;

/// One thing that a server does after it has read a request.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends bytes as they are.
    Send(Vec<u8>),
    /// Sends bytes in packets of so many, each on its own.
    Pieces(Vec<u8>, usize),
    /// Says nothing until the client closes the connection.
    Stall,
    /// Sends the bytes again and again until the client closes the connection.
    Flood(Vec<u8>),
    /// Cuts the connection with a reset.
    Reset,
    /// Waits for the next request on the same connection.
    KeepOpen,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Method and path, for example `POST /v1/models`.
    pub call: String,
    /// The lines of the head after the first, in lower case.
    pub headers: Vec<String>,
    /// The body; null if it is no JSON.
    pub body: Value,
}

#[derive(Debug, Default)]
struct State {
    seen: Vec<Seen>,
    n_open: usize,
    n_accepted: usize,
    n_sent: u64,
}

/// A listening server; it ends with its value.
#[derive(Debug)]
pub struct ModelServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

/// The head and body of an answer whose end is the connection's.
pub fn answer(status: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n{body}").into_bytes()
}

/// A stream of server-sent events, whole.
pub fn event_stream(body: &str) -> Vec<u8> {
    answer("200 OK", &["content-type: text/event-stream"], body)
}

/// The head of a chunked stream and one chunk of it: a connection that ends here was cut.
pub fn begun_stream(body: &str) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                transfer-encoding: chunked\r\n\r\n";
    format!("{head}{:x}\r\n{body}\r\n", body.len()).into_bytes()
}

impl ModelServer {
    /// Answers every request with the same steps.
    ///
    /// # Panics
    ///
    /// If there is no port to listen on.
    pub async fn start(steps: Vec<Step>) -> ModelServer {
        ModelServer::start_with(move |_| steps.clone()).await
    }

    /// Answers each request as `steps` says.
    ///
    /// # Panics
    ///
    /// If there is no port to listen on.
    pub async fn start_with(
        steps: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static,
    ) -> ModelServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let steps = Arc::new(steps);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (state, steps) = (Arc::clone(&shared), Arc::clone(&steps));
                connections.spawn(async move {
                    change(&state, |state| {
                        state.n_open += 1;
                        state.n_accepted += 1;
                    });
                    let _ = serve(stream, &*steps, &state).await;
                    change(&state, |state| state.n_open -= 1);
                });
            }
        });
        ModelServer { address, state, task }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address for a provider's table.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        change(&self.state, |state| state.seen.clone())
    }

    /// Connections so far.
    pub fn n_accepted(&self) -> usize {
        change(&self.state, |state| state.n_accepted)
    }

    /// Bytes that clients, or the sockets before them, have taken.
    pub fn n_sent(&self) -> u64 {
        change(&self.state, |state| state.n_sent)
    }

    /// Waits until no connection is open.
    ///
    /// # Panics
    ///
    /// If one stays open.
    pub async fn closed(&self) {
        let state = Arc::clone(&self.state);
        eventually("all connections to be closed", || {
            let n_open = change(&state, |state| state.n_open);
            async move { (n_open == 0).then_some(()) }
        })
        .await;
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn change<T>(state: &Mutex<State>, with: impl FnOnce(&mut State) -> T) -> T {
    with(&mut state.lock().unwrap_or_else(PoisonError::into_inner))
}

async fn serve(
    mut stream: TcpStream,
    steps: &(impl Fn(&Seen) -> Vec<Step> + ?Sized),
    state: &Mutex<State>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut to_do = VecDeque::from([Step::KeepOpen]);
    while let Some(step) = to_do.pop_front() {
        match step {
            Step::Send(bytes) => send(&mut stream, &bytes, state).await?,
            Step::Pieces(bytes, n) => {
                for piece in bytes.chunks(n) {
                    send(&mut stream, piece, state).await?;
                    tokio::task::yield_now().await;
                }
            }
            Step::Flood(bytes) => loop {
                send(&mut stream, &bytes, state).await?;
            },
            Step::Stall => while stream.read(&mut [0; 1024]).await? > 0 {},
            Step::Reset => return stream.set_zero_linger(),
            Step::KeepOpen => {
                let seen = read_request(&mut stream).await?;
                to_do.extend(steps(&seen));
                change(state, |state| state.seen.push(seen));
            }
        }
    }
    stream.shutdown().await
}

async fn send(stream: &mut TcpStream, bytes: &[u8], state: &Mutex<State>) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    change(state, |state| state.n_sent += bytes.len() as u64);
    Ok(())
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let call = lines.next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<String> = lines.map(str::to_lowercase).collect();
    let n_body: usize = headers
        .iter()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
        .unwrap_or(0);
    while bytes.len() < head_end + 4 + n_body {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let body = serde_json::from_slice(&bytes[head_end + 4..]).unwrap_or_default();
    Ok(Seen { call, headers, body })
}
