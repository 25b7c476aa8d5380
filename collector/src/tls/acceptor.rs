//! Accepts connections, does the TLS handshake, and serves HTTP/2, or HTTP/1.1 where the TLS settings offer it, until the
//! stop; then drains.
//!
//! Connections are accepted at once; `admission` decides which are kept. Strangers queue for their handshakes among
//! themselves. Every wait for a peer has a time limit.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::{HandshakeKind, ServerConfig};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::body::Body;
use tracing::{debug, warn};

use super::PeerCertificate;
use super::activity::TimeBounds;
use super::gatekeeper::{Gatekeeper, PeerBounds, PeerHandle};
use super::server::HTTP1;
use crate::shutdown::StopToken;
use crate::telemetry::{HandshakeEnd, ListenerName, Metrics};

/// Connections that may wait in the kernel; the kernel lowers this to its own limit.
const BACKLOG: u32 = 4096;
/// A peer that does not answer a ping within the timeout is disconnected.
const PING_EVERY: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
const HEADER_BYTES: u32 = 16 * 1024;
/// For HTTP/1.1, the bytes of the head of a request, and of an answer that waits for the peer.
const HTTP1_BYTES: usize = 16 * 1024;

/// How often a failure to accept is logged.
const ACCEPT_WARNING_EVERY: Duration = Duration::from_secs(60);
/// Mostly there are too many open files. Trying again at once would only use processor time.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// How much a listener accepts at once, and how long it waits.
#[derive(Debug, Clone, Copy)]
pub struct ListenerLimits {
    /// Whose connections are kept, and what a peer may do.
    pub peers: PeerBounds,
    /// How long a connection may do nothing.
    pub times: TimeBounds,
    /// Handshakes at once of peers from known addresses.
    pub handshakes: usize,
    /// Handshakes at once of strangers.
    pub stranger_handshakes: usize,
    /// How long a peer may wait with its first bytes, and how long a handshake may take.
    pub handshake_timeout: Duration,
    /// How long a handshake keeps its place. A peer that stalls its handshake then no longer holds up the next.
    pub handshake_turn: Duration,
    /// Calls at once on one connection.
    pub streams: u32,
    /// Bytes of one answer that wait for the peer.
    pub unsent_bytes: usize,
}

/// A bound socket that is not served yet.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// Binds the address; port 0 means a free port.
    ///
    /// # Errors
    /// The address is in use or not of this machine.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // Without it a restart fails while old connections are in TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        // For port 0 only the socket knows the port that the kernel chose.
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address that is bound.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.listener.accept().await
    }
}

/// The next connection that the gatekeeper lets in. `warned` is when a failure to accept was logged last: not each one is.
pub(super) async fn next_peer(
    name: ListenerName,
    listening: &Listening,
    gatekeeper: &Arc<Gatekeeper>,
    warned: &mut Option<Instant>,
) -> (TcpStream, PeerHandle) {
    loop {
        match listening.accept().await {
            Ok((stream, address)) => {
                if let Some(peer) = gatekeeper.accept(address.ip()) {
                    return (stream, peer);
                }
            }
            Err(error) => {
                if warned.is_none_or(|at| at.elapsed() >= ACCEPT_WARNING_EVERY) {
                    *warned = Some(Instant::now());
                    warn!(listener = ?name, error = %error, "accepting a connection failed");
                }
                // A stranger gives its descriptor back.
                gatekeeper.shed();
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// A TLS listener with everything needed to serve it.
#[derive(Debug)]
pub struct TlsListener {
    /// Its name in metrics and logs.
    pub name: ListenerName,
    /// The bound socket.
    pub listening: Listening,
    /// Certificates and client authentication.
    pub config: Arc<ServerConfig>,
    /// How much it accepts at once.
    pub limits: ListenerLimits,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Ends it.
    pub stop: StopToken,
    /// How long open calls may take after the stop.
    pub drain: Duration,
}

/// Serves until the stop, then lets open calls finish until the deadline. Every request carries a [`PeerCertificate`] and a
/// [`PeerHandle`].
pub async fn serve<F, R>(listener: TlsListener, handler: F)
where
    F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let TlsListener { name, listening, config, limits, metrics, stop, drain } = listener;
    let gatekeeper = Gatekeeper::new(name, limits.peers, Arc::clone(&metrics));
    let worker = Arc::new(Worker {
        name,
        acceptor: TlsAcceptor::from(config),
        limits,
        metrics,
        known: Semaphore::new(places(limits, limits.handshakes)),
        strangers: Semaphore::new(places(limits, limits.stranger_handshakes)),
        gatekeeper: Arc::clone(&gatekeeper),
        stop: stop.clone(),
    });
    let graceful = GracefulShutdown::new();
    let stopped = stop.cancelled();
    tokio::pin!(stopped);
    let mut warned: Option<Instant> = None;
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut stopped => break,
            next = next_peer(name, &listening, &gatekeeper, &mut warned) => next,
        };
        let (worker, handler) = (Arc::clone(&worker), handler.clone());
        // The drain waits for every watcher, so one that is taken here covers the handshake, too.
        let watcher = graceful.watcher();
        tokio::spawn(async move { worker.attend(stream, peer, watcher, handler).await });
    }
    // Close the socket first: new connections are refused while open calls finish.
    drop(listening);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        warn!(listener = ?name, "calls were still open at the drain deadline and were cancelled");
    }
}

/// A connection in its handshake gives way to nobody, so these must be few among all.
fn places(limits: ListenerLimits, setting: usize) -> usize {
    setting.min(limits.peers.admission.connections / 4).max(1)
}

/// What all connections of a listener share.
struct Worker {
    name: ListenerName,
    acceptor: TlsAcceptor,
    limits: ListenerLimits,
    metrics: Arc<Metrics>,
    /// Places for handshakes of peers from known addresses.
    known: Semaphore,
    /// Places for handshakes of strangers, who queue among themselves.
    strangers: Semaphore,
    gatekeeper: Arc<Gatekeeper>,
    stop: StopToken,
}

impl Worker {
    /// One connection from its first byte to its end.
    async fn attend<F, R>(&self, stream: TcpStream, peer: PeerHandle, watcher: Watcher, handler: F)
    where
        F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let _guard = self.metrics.connection(self.name);
        let closing = peer.closing();
        let handshake = async {
            // A small answer must not wait for the peer's acknowledgement of an earlier one.
            stream.set_nodelay(true).ok()?;
            self.handshake(stream, &peer).await
        };
        let stream = tokio::select! {
            () = closing.notified() => return,
            // A peer that says nothing must not hold up the stop.
            () = self.stop.cancelled() => return,
            stream = handshake => stream,
        };
        let Some(stream) = stream else { return };
        let certificate = peer_certificate(&stream);
        let version = match stream.get_ref().1.alpn_protocol() {
            Some(HTTP1) => PeerVersion::Http1,
            // A peer that names no version in the handshake speaks one of those that are offered.
            None if self.acceptor.config().alpn_protocols.iter().any(|offered| offered == HTTP1) => {
                PeerVersion::Unnamed
            }
            Some(_) | None => PeerVersion::Http2,
        };
        if let PeerCertificate::Shown(facts) = &certificate {
            // The host and not its key: a host may have certificates for many keys.
            match &facts.host {
                Some(host) => peer.prove(host.as_bytes()),
                None => peer.prove(&facts.public_key),
            }
        }
        let connection = connection_of(stream, version, certificate, peer.clone(), self.limits, handler);
        let served = watcher.watch(connection);
        tokio::pin!(served);
        loop {
            let now = Instant::now();
            let bounds = self.limits.times.of(peer.is_proven());
            let due = peer.activity().due(bounds);
            if let Some((_, reason)) = due.filter(|(at, _)| *at <= now) {
                debug!(listener = ?self.name, peer = %peer.address(), reason = ?reason, "closing a connection");
                self.gatekeeper.closed(reason);
                return;
            }
            // What begins meanwhile may be due earlier. Asking this often closes it after twice its time at the latest.
            let again = now + bounds.unread.min(bounds.request).min(bounds.idle);
            let wake = due.map_or(again, |(at, _)| at.min(again));
            tokio::select! {
                served = &mut served => {
                    if let Err(error) = served {
                        debug!(listener = ?self.name, error = %error, "a connection failed");
                    }
                    return;
                }
                () = closing.notified() => return,
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    async fn handshake(&self, stream: TcpStream, peer: &PeerHandle) -> Option<TlsStream<TcpStream>> {
        let timeout = self.limits.handshake_timeout;
        let places = if peer.is_from_known_address() { &self.known } else { &self.strangers };
        let place = async {
            // A silent peer waits here and not in a place of those who have something to say. `readable` would not do: it
            // may return without data.
            stream.peek(&mut [0]).await.ok()?;
            places.acquire().await.ok()
        };
        // A client gives up after some time, so a place for it would then be wasted.
        let Ok(place) = tokio::time::timeout(timeout, place).await else {
            return self.handshake_failed(peer, HandshakeEnd::timed_out);
        };
        let place = place?;
        let handshake = tokio::time::timeout(timeout, self.acceptor.accept(stream));
        tokio::pin!(handshake);
        peer.activity().in_handshake(true, Instant::now());
        let in_turn = tokio::time::timeout(self.limits.handshake_turn, &mut handshake).await;
        peer.activity().in_handshake(false, Instant::now());
        drop(place);
        let ended = match in_turn {
            Ok(ended) => ended,
            Err(_) => {
                let ended = handshake.await;
                // The time for the first request begins now.
                peer.activity().in_handshake(false, Instant::now());
                ended
            }
        };
        match ended {
            Ok(Ok(stream)) => {
                let is_resumed = matches!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
                self.metrics.handshake(self.name, if is_resumed { HandshakeEnd::resumed } else { HandshakeEnd::full });
                Some(stream)
            }
            Ok(Err(error)) => {
                debug!(listener = ?self.name, peer = %peer.address(), error = %error, "a handshake failed");
                self.handshake_failed(peer, HandshakeEnd::failed)
            }
            Err(_) => self.handshake_failed(peer, HandshakeEnd::timed_out),
        }
    }

    fn handshake_failed(&self, peer: &PeerHandle, end: HandshakeEnd) -> Option<TlsStream<TcpStream>> {
        debug!(listener = ?self.name, peer = %peer.address(), end = ?end, "a handshake did not succeed");
        self.metrics.handshake(self.name, end);
        None
    }
}

fn peer_certificate(stream: &TlsStream<TcpStream>) -> PeerCertificate {
    PeerCertificate::of(stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(AsRef::as_ref))
}

/// The version of HTTP that a peer speaks.
#[derive(Debug, Clone, Copy)]
enum PeerVersion {
    Http1,
    Http2,
    /// Its handshake named none.
    Unnamed,
}

fn connection_of<F, R>(
    stream: TlsStream<TcpStream>,
    version: PeerVersion,
    certificate: PeerCertificate,
    peer: PeerHandle,
    limits: ListenerLimits,
    handler: F,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = Box<dyn std::error::Error + Send + Sync>>
where
    F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = match version {
        PeerVersion::Http1 => builder.http1_only(),
        PeerVersion::Http2 => builder.http2_only(),
        // HTTP/2 begins with a preface that no request of HTTP/1.1 begins with (RFC 9113, section 3.4).
        PeerVersion::Unnamed => builder,
    };
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.times.first_request).max_buf_size(HTTP1_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(limits.streams)
        .max_send_buf_size(limits.unsent_bytes)
        .max_header_list_size(HEADER_BYTES);
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let call = peer.activity().begin();
        let mut request = request.map(|body| call.request(Body::new(body)));
        request.extensions_mut().insert(certificate.clone());
        request.extensions_mut().insert(peer.clone());
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await.map(|body| call.answer(body))) }
    });
    builder.serve_connection(TokioIo::new(stream), service).into_owned()
}
