//! Accepts connections, does the TLS handshake, and serves HTTP/2 until the stop; then drains.
//!
//! Handshakes are bounded in number and time, connections in number. Further connections wait in the kernel's queue, which
//! costs nothing.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::{HandshakeKind, ServerConfig};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::body::Body;
use tracing::{debug, warn};

use super::PeerCertificate;
use crate::shutdown::StopToken;
use crate::telemetry::{HandshakeEnd, ListenerName, Metrics};

/// Connections that may wait in the kernel; the kernel lowers this to its own limit.
const BACKLOG: u32 = 4096;
/// A peer that does not answer a ping within the timeout is disconnected.
const PING_EVERY: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Calls at once on one connection: an agent has one or two, a proxy for a site more.
const STREAMS_PER_CONNECTION: u32 = 128;
const HEADER_BYTES: u32 = 16 * 1024;

/// How much a listener accepts at once.
#[derive(Debug, Clone, Copy)]
pub struct ListenerLimits {
    /// Open connections.
    pub connections: usize,
    /// Handshakes at once.
    pub handshakes: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
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

    /// The socket itself, to serve it without TLS.
    #[must_use]
    pub fn into_listener(self) -> TcpListener {
        self.listener
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

/// Serves until the stop, then lets open calls finish until the deadline. Every request carries a [`PeerCertificate`].
pub async fn serve<F, R>(listener: TlsListener, handler: F)
where
    F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let TlsListener { name, listening, config, limits, metrics, stop, drain } = listener;
    let acceptor = TlsAcceptor::from(config);
    let connections = Arc::new(Semaphore::new(limits.connections));
    let handshakes = Arc::new(Semaphore::new(limits.handshakes));
    let graceful = GracefulShutdown::new();
    let stopped = stop.cancelled();
    tokio::pin!(stopped);
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => break,
            accepted = accept(&listening.listener, &connections, &handshakes) => accepted,
        };
        let (stream, connection, handshake) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly "too many open files". It passes; trying again at once would only use processor time.
                warn!(listener = ?name, error = %error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (acceptor, metrics, handler) = (acceptor.clone(), Arc::clone(&metrics), handler.clone());
        // The drain waits for every watcher, so one that is taken here covers the handshake, too.
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            // The permit counts against the limit until the connection ends.
            let _connection = connection;
            let _guard = metrics.connection(name);
            let connected = handshake_with(name, stream, &acceptor, limits.handshake_timeout, &metrics).await;
            // An established connection costs little processor time, so the next handshake may begin.
            drop(handshake);
            if let Some(stream) = connected {
                let peer = peer_certificate(&stream);
                let served = watcher.watch(connection_of(stream, peer, handler)).await;
                if let Err(error) = served {
                    debug!(listener = ?name, error = %error, "a connection failed");
                }
            }
        });
    }
    // Close the socket first: new connections are refused while open calls finish.
    drop(listening);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        warn!(listener = ?name, "calls were still open at the drain deadline and were cancelled");
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
    handshakes: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit, OwnedSemaphorePermit)> {
    let closed = |_| io::Error::other("the listener is closing");
    // Take both permits before `accept`: a peer without them stays in the kernel's queue.
    let connection = Arc::clone(connections).acquire_owned().await.map_err(closed)?;
    let handshake = Arc::clone(handshakes).acquire_owned().await.map_err(closed)?;
    let (stream, _) = listener.accept().await?;
    // A small answer must not wait for the peer's acknowledgement of an earlier one.
    stream.set_nodelay(true)?;
    Ok((stream, connection, handshake))
}

async fn handshake_with(
    name: ListenerName,
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    timeout: Duration,
    metrics: &Metrics,
) -> Option<TlsStream<TcpStream>> {
    // The handshake consumes the stream, so read the address for the log before.
    let peer = stream.peer_addr().ok();
    let end = match tokio::time::timeout(timeout, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let kind = stream.get_ref().1.handshake_kind();
            let resumed = matches!(kind, Some(HandshakeKind::Resumed));
            metrics.handshake(name, if resumed { HandshakeEnd::resumed } else { HandshakeEnd::full });
            return Some(stream);
        }
        Ok(Err(error)) => {
            debug!(listener = ?name, peer = ?peer, error = %error, "a handshake failed");
            HandshakeEnd::failed
        }
        Err(_) => {
            debug!(listener = ?name, peer = ?peer, "a handshake timed out");
            HandshakeEnd::timed_out
        }
    };
    metrics.handshake(name, end);
    None
}

fn peer_certificate(stream: &TlsStream<TcpStream>) -> PeerCertificate {
    PeerCertificate::of(stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(AsRef::as_ref))
}

fn connection_of<F, R>(
    stream: TlsStream<TcpStream>,
    peer: PeerCertificate,
    handler: F,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = Box<dyn std::error::Error + Send + Sync>>
where
    F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new()).http2_only();
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .max_header_list_size(HEADER_BYTES);
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    builder.serve_connection(TokioIo::new(stream), service).into_owned()
}
