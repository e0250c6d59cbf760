//! The socket side: listens, runs a connection a task, and ends them in order at shutdown.
//!
//! Requests are read and answered by hyper; what they mean is the router's. A stream that was
//! granted leaves hyper for `takeover`, since hyper keeps 20 KiB and a second walk a reader.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{EXPECT, ORIGIN};
use axum::http::{Method, Request, Response};
use axum::response::IntoResponse as _;
use axum::routing::future::RouteFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use super::App;
use super::append;
use super::error::Problem;
use super::gate::caller_key;
use super::intake::Intake;
use super::json_body::pour_away;
use super::takeover::{Socket, Takeover};
use super::tls::Tls;
use super::turn_away::turn_away;
use crate::fault::Subject;

/// Connections that wait to be accepted: with 128, hundreds that connect at once wait a second.
const BACKLOG: i32 = 4_096;

/// Bytes that hyper buffers of one connection at most; bodies pass through in pieces.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Bytes that the system holds for a reader that takes nothing, about; left to itself it holds four
/// megabytes, and has nothing left for anybody once some six hundred readers do not read.
const SEND_BUFFER_BYTES: usize = 256 << 10;

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
        // Accepted sockets inherit all of it on Linux, which saves calls a connection.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(KEEPALIVE))?;
        socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
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
            Ok((socket, peer)) => {
                if std::mem::take(&mut is_refused) {
                    app.log().faults().clear(Subject::Sockets);
                }
                let Some(permit) = app.admission().connection() else {
                    refuse(socket, &app, &tasks);
                    continue;
                };
                let (tls, app) = (listener.tls.clone(), app.clone());
                let served = connection(socket, tls, peer.ip(), app, router.clone(), cut.clone());
                tasks.spawn(async move {
                    served.await;
                    drop(permit);
                });
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

/// Closes a connection for which there is no room, and says so to as many as can be told.
fn refuse(socket: TcpStream, app: &App, tasks: &TaskTracker) {
    let problem = app.admission().full("connections");
    if let Some(permit) = app.admission().turned_away() {
        tasks.spawn(async move {
            turn_away(socket, problem).await;
            drop(permit);
        });
    }
}

/// Runs one connection to its end.
async fn connection(
    socket: TcpStream,
    tls: Option<Tls>,
    peer: IpAddr,
    app: App,
    router: Router,
    cut: CancellationToken,
) {
    let _ = socket.set_nodelay(true);
    let run = async {
        if let Some(tls) = tls {
            encrypted(socket, &tls, peer, &app, router).await;
        } else if let Some(stream) = requests(socket, peer, &app, router).await {
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
async fn encrypted(socket: TcpStream, tls: &Tls, peer: IpAddr, app: &App, router: Router) {
    // Who does not greet in time, or not in TLS, is let go.
    let limit = app.admission().limits().head_timeout;
    let Ok(Ok(socket)) = tokio::time::timeout(limit, tls.accept(socket)).await else { return };
    let takeover = Takeover::default();
    let held = takeover.clone();
    let service = Service { app: app.clone(), router, peer, takeover: held, is_plain: false };
    let socket = Socket::new(socket, takeover, app.admission().limits().answer_timeout);
    let mut conn = pin!(builder(app).serve_connection(socket, service));
    tokio::select! {
        biased;
        _ = conn.as_mut() => return,
        () = app.stopping() => conn.as_mut().graceful_shutdown(),
    }
    // A connection that breaks is the client's business.
    let _ = conn.await;
}

fn builder(app: &App) -> http1::Builder {
    let limits = app.admission().limits();
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(BUFFER_BYTES_MAX);
    builder
}

/// Answers requests until the client goes, or until one of them becomes a stream.
async fn requests(
    socket: TcpStream,
    peer: IpAddr,
    app: &App,
    router: Router,
) -> Option<super::takeover::Stream> {
    let takeover = Takeover::default();
    let held = takeover.clone();
    let service = Service { app: app.clone(), router, peer, takeover: held, is_plain: true };
    let limits = app.admission().limits();
    let socket = Socket::new(socket, takeover.clone(), limits.answer_timeout);
    let mut conn = builder(app).serve_connection(socket, service);
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
    peer: IpAddr,
    takeover: Takeover,
    /// Whether the socket can be taken back, to write a stream to it.
    is_plain: bool,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let (version, admission) = (request.version(), self.app.admission());
        let has_rates = admission.has_rates();
        let caller = has_rates.then(|| caller_key(&self.app, request.headers(), self.peer));
        let admitted = match admission.request(request.method(), request.uri(), caller) {
            Ok(admitted) => admitted,
            Err(problem) => return self.answer(Inner::Made(refused(request, problem)), version),
        };
        self.takeover.hold(admitted.clone());
        let mut request = request.map(|body| Intake::new(body, admitted, admission));
        if let Some(caller) = caller {
            request.extensions_mut().insert(caller);
        }
        if self.is_plain && request.method() == Method::GET {
            request.extensions_mut().insert(self.takeover.clone());
        }
        // A page of another origin has to hear from the router that it may.
        let is_of_a_page = request.headers().contains_key(ORIGIN);
        let target = append::target(request.method(), request.uri());
        let inner = match target.filter(|_| !is_of_a_page) {
            Some(chat) => {
                Inner::Made(Box::pin(append::append_directly(self.app.clone(), chat, request)))
            }
            None => Inner::Routed(Box::new(self.router.clone().call(request))),
        };
        self.answer(inner, version)
    }
}

impl Service {
    fn answer(&self, inner: Inner, version: axum::http::Version) -> Answer {
        Answer { inner, version, takeover: self.takeover.clone() }
    }
}

/// Answers a request that is not let in; what it still sends is read first, unless it asked whether
/// to send it.
fn refused(request: Request<Incoming>, problem: Problem) -> MadeAnswer {
    Box::pin(async move {
        if !request.headers().contains_key(EXPECT) {
            pour_away(request.into_body()).await;
        }
        problem.into_response()
    })
}

/// An answer that is made beside the router.
type MadeAnswer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// An answer on its way; one that became a stream never arrives, so that hyper writes nothing.
struct Answer {
    inner: Inner,
    version: axum::http::Version,
    takeover: Takeover,
}

/// Who makes the answer.
enum Inner {
    Made(MadeAnswer),
    Routed(Box<RouteFuture<Infallible>>),
}

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let response = match &mut this.inner {
            Inner::Made(made) => {
                let response = ready!(made.as_mut().poll(cx));
                this.takeover.answered();
                return Poll::Ready(Ok(response));
            }
            Inner::Routed(routed) => {
                let Ok(response) = ready!(Pin::new(routed).poll(cx));
                response
            }
        };
        match this.takeover.grant(response, this.version) {
            Some(response) => {
                this.takeover.answered();
                Poll::Ready(Ok(response))
            }
            None => Poll::Pending,
        }
    }
}
