//! The socket side: listens, runs a connection a task, and ends them in order at shutdown.
//!
//! Requests are read and answered by hyper; what they mean is the router's. A stream that was
//! granted leaves hyper for `takeover`, since hyper keeps 20 KiB and a second walk a reader.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::ORIGIN;
use axum::http::{Method, Request, Response};
use axum::routing::future::RouteFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use super::App;
use super::append;
use super::takeover::{Socket, Takeover};
use super::tls::Tls;
use crate::fault::Subject;

/// Connections that wait to be accepted: with 128, hundreds that connect at once wait a second.
const BACKLOG: i32 = 4_096;

/// How long a client may take to send the head of a request, or stay silent between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes that hyper buffers of one connection at most; bodies pass through in pieces.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Pause after a failed accept, for example when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// After how long without a word the kernel asks whether the peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Why an address could not be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("address {addr} is in use; stop the other server or choose another with --listen")]
    InUse {
        /// The address.
        addr: SocketAddr,
    },
    /// The system refuses.
    #[error("cannot listen on {addr}; choose another address with --listen")]
    Refused {
        /// The address.
        addr: SocketAddr,
        /// Its reason.
        #[source]
        source: io::Error,
    },
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
    addr: SocketAddr,
    tls: Option<Tls>,
}

impl Listener {
    /// The address, with the port that the system chose if it was asked to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The same, over TLS if there is some.
    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Listener {
        Listener { tls, ..self }
    }

    /// What its addresses begin with.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// Listens on an address.
///
/// # Errors
///
/// [`BindError`], every variant.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn bind(addr: SocketAddr) -> Result<Listener, BindError> {
    let listen = || -> io::Result<Listener> {
        let domain = socket2::Domain::for_address(addr);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // Accepted sockets inherit both on Linux, which saves two calls a connection.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(KEEPALIVE))?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        let inner = TcpListener::from_std(socket.into())?;
        let addr = inner.local_addr()?;
        Ok(Listener { inner, addr, tls: None })
    };
    listen().map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { addr },
        _ => BindError::Refused { addr, source },
    })
}

/// Serves until [`App::stop`] is called, then ends what is open: no new connection, a `bye` to each
/// stream, and `drain` for what was begun; after it, connections are cut. A deletion that was begun
/// is waited for.
///
/// # Cancel safety
///
/// A dropped future leaves its connections running until they end by themselves.
pub async fn serve(listener: Listener, app: App, drain: Duration) {
    let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
    let router = super::router(app.clone());
    let (mut stopping, mut is_refused) = (pin!(app.stopping()), false);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopping => break,
            accepted = listener.inner.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => {
                if std::mem::take(&mut is_refused) {
                    app.log().faults().clear(Subject::Sockets);
                }
                let tls = listener.tls.clone();
                tasks.spawn(connection(socket, tls, app.clone(), router.clone(), cut.clone()));
            }
            // A connection that broke before it was accepted is its client's business.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                is_refused = true;
                app.log().faults().raise_for(Subject::Sockets, &error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(drain, tasks.wait()).await.is_err() {
        tracing::warn!(n_connections = tasks.len(), "cutting connections that did not end");
        cut.cancel();
        tasks.wait().await;
    }
    app.tasks().close();
    app.tasks().wait().await;
}

/// Runs one connection to its end.
async fn connection(
    socket: TcpStream,
    tls: Option<Tls>,
    app: App,
    router: Router,
    cut: CancellationToken,
) {
    let _ = socket.set_nodelay(true);
    let run = async {
        if let Some(tls) = tls {
            encrypted(socket, &tls, &app, router).await;
        } else if let Some(stream) = requests(socket, &app, router).await {
            stream.run().await;
        }
    };
    tokio::select! {
        biased;
        () = cut.cancelled() => {}
        () = run => {}
    }
}

/// Answers requests over TLS until the client goes; streams too are answers there.
async fn encrypted(socket: TcpStream, tls: &Tls, app: &App, router: Router) {
    // Who does not greet in time, or not in TLS, is let go.
    let greeted = tokio::time::timeout(HEAD_TIMEOUT, tls.accept(socket)).await;
    let Ok(Ok(socket)) = greeted else { return };
    let service = Service { app: app.clone(), router, takeover: None };
    let mut conn = pin!(builder().serve_connection(TokioIo::new(socket), service));
    tokio::select! {
        biased;
        _ = conn.as_mut() => return,
        () = app.stopping() => conn.as_mut().graceful_shutdown(),
    }
    // A connection that breaks is the client's business.
    let _ = conn.await;
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX);
    builder
}

/// Answers requests until the client goes, or until one of them becomes a stream.
async fn requests(socket: TcpStream, app: &App, router: Router) -> Option<super::takeover::Stream> {
    let takeover = Takeover::default();
    let service = Service { app: app.clone(), router, takeover: Some(takeover.clone()) };
    let mut conn = builder().serve_connection(Socket::new(socket, takeover.clone()), service);
    let (mut stopping, mut is_told) = (pin!(app.stopping()), false);
    let is_over = std::future::poll_fn(|cx| {
        if !is_told && stopping.as_mut().poll(cx).is_ready() {
            is_told = true;
            Pin::new(&mut conn).graceful_shutdown();
        }
        let polled = conn.poll_without_shutdown(cx);
        if takeover.is_granted() {
            return Poll::Ready(false);
        }
        // A connection that breaks is the client's business.
        polled.map(|_| true)
    })
    .await;
    let socket = conn.into_parts().io;
    if is_over {
        socket.close().await;
        return None;
    }
    takeover.take(socket)
}

/// The router as hyper calls it, and the short way of an append around it.
struct Service {
    app: App,
    router: Router,
    /// Where streams are left, where a socket can be taken back.
    takeover: Option<Takeover>,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, mut request: Request<Incoming>) -> Answer {
        let version = request.version();
        if let Some(takeover) = &self.takeover
            && request.method() == Method::GET
        {
            request.extensions_mut().insert(takeover.clone());
        }
        // A page of another origin has to hear from the router that it may.
        let is_of_a_page = request.headers().contains_key(ORIGIN);
        let target = append::target(request.method(), request.uri());
        let inner = match target.filter(|_| !is_of_a_page) {
            Some(chat) => {
                Inner::Append(Box::pin(append::append_directly(self.app.clone(), chat, request)))
            }
            None => Inner::Routed(Box::new(self.router.clone().call(request))),
        };
        Answer { inner, version, takeover: self.takeover.clone() }
    }
}

/// An answer on its way; one that became a stream never arrives, so that hyper writes nothing.
struct Answer {
    inner: Inner,
    version: axum::http::Version,
    takeover: Option<Takeover>,
}

/// Who makes the answer.
enum Inner {
    Append(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
    Routed(Box<RouteFuture<Infallible>>),
}

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let response = match &mut this.inner {
            Inner::Append(append) => return append.as_mut().poll(cx).map(Ok),
            Inner::Routed(routed) => {
                let Ok(response) = ready!(Pin::new(routed).poll(cx));
                response
            }
        };
        let Some(takeover) = &this.takeover else { return Poll::Ready(Ok(response)) };
        match takeover.grant(response, this.version) {
            Some(response) => Poll::Ready(Ok(response)),
            None => Poll::Pending,
        }
    }
}
