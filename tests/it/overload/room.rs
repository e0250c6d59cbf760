//! A server with limits, and sockets of the test's own to break the rules with.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use scrollback_test_support::client::Client;
use scrollback_test_support::server::{Server, ServerOptions};
use scrollback_test_support::temp_dir::TempDir;
use scrollback_test_support::wait::within;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::fixture::temp_dir;

/// A server that runs as a process, as an operator starts it.
pub(super) struct Room {
    pub(super) server: Server,
    pub(super) api: Client,
    pub(super) dir: TempDir,
}

impl Room {
    /// Starts one with this configuration.
    pub(super) fn new(name: &str, config: &str) -> Room {
        take_open_files();
        let dir = temp_dir(name);
        let file = dir.path().join("scrollback.toml");
        std::fs::write(&file, config).unwrap();
        let options =
            ServerOptions::new(env!("CARGO_BIN_EXE_scrollback"), &dir.path().join("data"))
                .args(&["--config", file.to_str().unwrap()]);
        let server = Server::start_well(&options);
        Room { api: Client::new(server.base_url()), server, dir }
    }

    /// A connection to it.
    pub(super) async fn connect(&self) -> Raw {
        Raw::connect(self.address()).await
    }

    pub(super) fn address(&self) -> &str {
        self.server.base_url().trim_start_matches("http://")
    }

    /// The value of a line of `/metrics`, 0 if it is not there.
    pub(super) async fn metric(&self, name: &str) -> f64 {
        let metrics = self.api.get("/metrics").await;
        let text = metrics.body.as_str().unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(0.0, |value| value.trim().parse().unwrap())
    }
}

/// Takes as many open files as the system allows: a test has as many sockets as its server.
fn take_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// A connection that is written and read by hand.
pub(super) struct Raw(pub(super) TcpStream);

/// What came back: the status, the head as text, the body.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Came {
    /// The stable code of a refusal.
    #[track_caller]
    pub(super) fn code(&self) -> String {
        let problem: Value = serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {} {:?}", self.head, self.body));
        problem["code"].as_str().unwrap().to_owned()
    }

    /// `retry-after`, in seconds.
    #[track_caller]
    pub(super) fn retry_after(&self) -> u64 {
        let value = self.head.lines().find_map(|line| line.strip_prefix("retry-after: "));
        value.unwrap_or_else(|| panic!("no retry-after: {}", self.head)).parse().unwrap()
    }
}

impl Raw {
    pub(super) async fn connect(address: &str) -> Raw {
        Raw(within("a connection", TcpStream::connect(address)).await.unwrap())
    }

    /// One that takes in few bytes ahead: a client's buffers are no business of a server's machine,
    /// but here they are on it, and the system has memory for some thousand of large ones.
    pub(super) async fn connect_narrow(address: &str) -> Raw {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 << 10).unwrap();
        let connected = socket.connect(address.parse().unwrap());
        Raw(within("a connection", connected).await.unwrap())
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        within("room in the socket", self.0.write_all(bytes)).await.unwrap();
    }

    /// Sends the head of a request whose body has so many bytes.
    pub(super) async fn head(&mut self, method: &str, path: &str, body_bytes: u64) {
        self.head_with(method, path, body_bytes, "").await;
    }

    /// The same with more lines, each with its end.
    pub(super) async fn head_with(
        &mut self,
        method: &str,
        path: &str,
        body_bytes: u64,
        lines: &str,
    ) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {body_bytes}\r\n{lines}\r\n"
        );
        self.write(head.as_bytes()).await;
    }

    /// Sends a request whole.
    pub(super) async fn send(&mut self, method: &str, path: &str, body: &str) {
        self.head(method, path, body.len() as u64).await;
        self.write(body.as_bytes()).await;
    }

    /// Reads one answer.
    pub(super) async fn answer(&mut self) -> Came {
        within("an answer", self.try_answer()).await.expect("the server answers")
    }

    /// Reads one answer; `None` if the connection ends before it is whole.
    pub(super) async fn try_answer(&mut self) -> Option<Came> {
        let mut bytes = Vec::new();
        loop {
            if let Some(came) = whole(&bytes) {
                return Some(came);
            }
            if self.0.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Waits for the begin of an answer; the rest of it stays unread.
    pub(super) async fn status(&mut self) -> u16 {
        let mut start = *b"HTTP/1.1 200";
        within("the head of an answer", self.0.read_exact(&mut start)).await.unwrap();
        std::str::from_utf8(&start[9..]).unwrap().parse().unwrap()
    }

    /// Waits until the server has closed the connection.
    pub(super) async fn closed(&mut self) {
        let mut ignored = [0; 4 << 10];
        within("the end of the connection", async {
            while self.0.read(&mut ignored).await.is_ok_and(|n| n > 0) {}
        })
        .await;
    }
}

fn whole(bytes: &[u8]) -> Option<Came> {
    let text = String::from_utf8_lossy(bytes);
    let (head, _) = text.split_once("\r\n\r\n")?;
    let status = head.get(9..12)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    let body = bytes.get(head.len() + 4..head.len() + 4 + length)?;
    Some(Came { status, head: head.to_owned(), body: body.to_vec() })
}
