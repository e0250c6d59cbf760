//! A granted stream on its own socket: hyper reads the request, this writes the answer.
//!
//! hyper keeps 20 KiB a connection and costs as much again as the write itself when one event goes
//! to a thousand readers. So the handler leaves its [`Feed`] here, the connection's loop takes the
//! socket back from hyper, and what is written from then on is the head, the feed, and nothing
//! else. Called without a socket, the same feed is an ordinary body.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, Version, header};
use bytes::{Buf, Bytes};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::admission::Admitted;
use super::replay::Feed;
use super::sse::Chunk;

/// How long a reader may take nothing at all while something is to be written: a laptop that
/// sleeps keeps its connection for a while, a dead peer does not keep it for ever.
const STALL: Duration = Duration::from_secs(15 * 60);

/// Pieces passed to the system at once.
const SLICES_MAX: usize = 64;

/// Where a handler leaves the feed of a stream that it grants.
#[derive(Debug, Clone, Default)]
pub(crate) struct Takeover(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    slot: Mutex<Slot>,
    /// Whether hyper still has bytes that the system did not take: the answer to an earlier
    /// request of a client that did not wait for it.
    is_blocked: AtomicBool,
    held: Mutex<Held>,
}

/// What the request of the connection holds, and since when its answer waits to be taken.
#[derive(Debug, Default)]
struct Held {
    admitted: Option<Arc<Admitted>>,
    is_answered: bool,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Empty,
    /// The handler has granted a stream; its response is on its way.
    Left(Box<Feed>),
    /// The response has come: its head, and whether the body is chunked.
    Granted(Vec<u8>, bool, Box<Feed>),
}

impl Takeover {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what a request holds until the system has taken its answer.
    pub(crate) fn hold(&self, admitted: Option<Arc<Admitted>>) {
        *self.held() = Held { admitted, is_answered: false };
    }

    /// Says that the answer is made: the work is done, the request is let go of once the answer is
    /// written.
    pub(crate) fn answered(&self) {
        let mut held = self.held();
        held.is_answered = true;
        if let Some(admitted) = &held.admitted {
            admitted.done();
        }
    }

    /// Lets go of what the request holds.
    fn let_go(&self) {
        self.held().admitted = None;
    }

    /// Leaves a feed; the response that goes with it has an empty body.
    pub(crate) fn leave(&self, feed: Feed) {
        *self.slot() = Slot::Left(Box::new(feed));
    }

    /// Keeps the response of a granted stream; any other is given back.
    pub(crate) fn grant(
        &self,
        response: Response<Body>,
        version: Version,
    ) -> Option<Response<Body>> {
        let mut slot = self.slot();
        match std::mem::take(&mut *slot) {
            Slot::Left(feed) if response.status().is_success() => {
                let is_chunked = version >= Version::HTTP_11;
                *slot = Slot::Granted(head(&response, is_chunked), is_chunked, feed);
                drop(slot);
                // A stream is counted as one, and no longer as a request.
                self.let_go();
                None
            }
            _ => Some(response),
        }
    }

    /// Whether the socket can be taken back from hyper now.
    pub(crate) fn is_granted(&self) -> bool {
        !self.0.is_blocked.load(Ordering::Relaxed) && matches!(*self.slot(), Slot::Granted(..))
    }

    /// The stream that was granted, on its socket.
    pub(crate) fn take(&self, socket: Socket<TcpStream>) -> Option<Stream> {
        match std::mem::take(&mut *self.slot()) {
            Slot::Granted(head, is_chunked, feed) => {
                Some(Stream { socket: socket.io.into_inner(), head, is_chunked, feed })
            }
            _ => None,
        }
    }
}

/// The head of the answer. The stream is the connection's last: it ends with it.
fn head(response: &Response<Body>, is_chunked: bool) -> Vec<u8> {
    let mut head = Vec::with_capacity(256);
    let status = response.status();
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    let framing = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION];
    for (name, value) in response.headers() {
        if !framing.contains(name) {
            head.extend_from_slice(b"\r\n");
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
        }
    }
    if is_chunked {
        head.extend_from_slice(b"\r\ntransfer-encoding: chunked");
    }
    head.extend_from_slice(b"\r\nconnection: close\r\n\r\n");
    head
}

/// A stream that writes to its own socket.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: TcpStream,
    head: Vec<u8>,
    is_chunked: bool,
    feed: Box<Feed>,
}

impl Stream {
    /// Writes until the feed ends or the reader goes.
    pub(crate) async fn run(mut self) {
        let head = Chunk { pieces: vec![Bytes::from(std::mem::take(&mut self.head))] };
        if write(&self.socket, &head, false).await.is_err() {
            return;
        }
        loop {
            let chunk = {
                let mut next = pin!(self.feed.next());
                tokio::select! {
                    biased;
                    chunk = &mut next => chunk,
                    () = peer_gone(&self.socket) => return,
                }
            };
            let Some(chunk) = chunk else { break };
            if write(&self.socket, &chunk, self.is_chunked).await.is_err() {
                return;
            }
        }
        if self.is_chunked {
            let end = Chunk { pieces: vec![Bytes::from_static(b"0\r\n\r\n")] };
            let _ = write(&self.socket, &end, false).await;
        }
        let _ = self.socket.shutdown().await;
    }
}

/// Waits until the reader has closed its side; what it still sends is not for us.
async fn peer_gone(socket: &TcpStream) {
    let mut ignored = [0; 256];
    loop {
        if poll_fn(|cx| socket.poll_read_ready(cx)).await.is_err() {
            return;
        }
        match socket.try_read(&mut ignored) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// Writes all pieces, as one HTTP chunk if `is_chunked`.
async fn write(socket: &TcpStream, chunk: &Chunk, is_chunked: bool) -> io::Result<()> {
    if chunk.is_empty() {
        return Ok(());
    }
    let size;
    let mut pieces: Vec<&[u8]> = Vec::with_capacity(chunk.pieces.len() + 2);
    if is_chunked {
        size = format!("{:x}\r\n", chunk.len());
        pieces.push(size.as_bytes());
    }
    pieces.extend(chunk.pieces.iter().map(|piece| &piece[..]));
    if is_chunked {
        pieces.push(b"\r\n");
    }
    let mut next = 0;
    while next < pieces.len() {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let n_slices = (pieces.len() - next).min(SLICES_MAX);
        for (slice, piece) in slices.iter_mut().zip(&pieces[next..]) {
            *slice = IoSlice::new(piece);
        }
        let mut n = match socket.try_write_vectored(&slices[..n_slices]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let ready = poll_fn(|cx| socket.poll_write_ready(cx));
                tokio::time::timeout(STALL, ready).await??;
                continue;
            }
            Err(error) => return Err(error),
        };
        while next < pieces.len() && n >= pieces[next].len() {
            n -= pieces[next].len();
            next += 1;
        }
        if n > 0 {
            pieces[next].advance(n);
        }
    }
    Ok(())
}

/// The socket as hyper uses it, plain or encrypted; a plain one is taken back when a stream is
/// granted.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    io: TokioIo<S>,
    takeover: Takeover,
    /// How long a client may take nothing of an answer.
    answer_timeout: Duration,
    /// Runs while the client takes nothing.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// A socket for hyper.
    pub(crate) fn new(socket: S, takeover: Takeover, answer_timeout: Duration) -> Socket<S> {
        Socket { io: TokioIo::new(socket), takeover, answer_timeout, stall: None }
    }

    fn note<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.takeover.0.is_blocked.store(polled.is_pending(), Ordering::Relaxed);
        if polled.is_ready() {
            self.stall = None;
            return polled;
        }
        let stall = self.stall.get_or_insert_with(|| {
            // A stream that hyper writes has let go of its request, and is given more time.
            let is_answer = self.takeover.held().admitted.is_some();
            Box::pin(tokio::time::sleep(if is_answer { self.answer_timeout } else { STALL }))
        });
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Says that nothing more will be written.
    pub(crate) async fn close(self) {
        let _ = self.io.into_inner().shutdown().await;
    }
}

impl<S: AsyncRead + Unpin> Read for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.note(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes once all that it had was written; a socket that encrypts may still have it.
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        let polled = self.note(cx, polled);
        if polled.is_ready() {
            let mut held = self.takeover.held();
            if held.is_answered {
                held.admitted = None;
            }
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.note(cx, polled)
    }
}
