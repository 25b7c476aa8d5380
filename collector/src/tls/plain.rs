//! Serves plain HTTP/1 with the bounds of the other listeners: when all connections are taken, the oldest one is closed for
//! the next, so that silent connections keep no probe out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tower::Service;
use tracing::debug;

use super::acceptor::{Listening, next_peer};
use super::admission::AdmissionBounds;
use super::gatekeeper::{Gatekeeper, PeerBounds};
use super::guesses::GuessBounds;
use crate::shutdown::StopToken;
use crate::telemetry::{ListenerName, Metrics};

/// A listener without TLS, with everything needed to serve it.
#[derive(Debug)]
pub struct PlainListener {
    /// Its name in metrics and logs.
    pub name: ListenerName,
    /// The bound socket.
    pub listening: Listening,
    /// Open connections.
    pub connections: usize,
    /// How long a peer may take for the head of a request.
    pub first_request: Duration,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Ends it.
    pub stop: StopToken,
    /// How long open calls may take after the stop.
    pub drain: Duration,
}

/// Serves until the stop, then lets open calls finish until the deadline.
pub async fn serve_plain<S, B>(listener: PlainListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let PlainListener { name, listening, connections, first_request, metrics, stop, drain } = listener;
    // Nobody proves anything here, so only the total matters.
    let admission = AdmissionBounds {
        connections,
        strangers_per_address: connections,
        per_peer: connections,
        spare_after: first_request,
        known_addresses: 0,
        known_for: Duration::ZERO,
    };
    let guesses = GuessBounds { per_address: 0, period: Duration::ZERO, remembered: 0 };
    let bounds = PeerBounds { admission, calls_per_peer: connections, guesses };
    metrics.set_connection_limit(name, connections);
    let gatekeeper = Gatekeeper::new(name, bounds, Arc::clone(&metrics));
    let graceful = GracefulShutdown::new();
    let stopped = stop.cancelled();
    tokio::pin!(stopped);
    let mut warned: Option<Instant> = None;
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut stopped => break,
            next = next_peer(name, &listening, &gatekeeper, &mut warned) => next,
        };
        let mut builder = Builder::new(TokioExecutor::new()).http1_only();
        builder.http1().timer(TokioTimer::new()).header_read_timeout(first_request);
        let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service.clone()));
        let served = graceful.watch(served.into_owned());
        let guard = metrics.connection(name);
        tokio::spawn(async move {
            let closing = peer.closing();
            tokio::select! {
                served = served => {
                    if let Err(error) = served {
                        debug!(listener = ?name, error = %error, "a connection failed");
                    }
                }
                () = closing.notified() => {}
            }
            drop((peer, guard));
        });
    }
    drop(listening);
    // Only the timeout matters, and what is left ends with the process.
    let _ = tokio::time::timeout(drain, graceful.shutdown()).await;
}
