//! From an address to a connection: name, route, TCP, TLS. Each step fails with an error of its own, since a person has
//! to mend it.

mod error;
mod tunnel;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

pub use error::ConnectError;
pub use tunnel::{Line, proxy_answer, tunnel};

use super::trust::{PinMismatch, Stranger, Tls};
use crate::config::{self, Proxy};

const STEP_LIMIT: Duration = Duration::from_secs(10);
const CALL_LIMIT: Duration = Duration::from_secs(120);

/// Where a collector listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The address as it was given.
    pub url: String,
    /// Name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The proxy through which it is reached.
    pub proxy: Option<Arc<Proxy>>,
}

impl Target {
    /// Reads an address such as `https://muster.example.org:7443`.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(url: &str) -> Result<Self, ConnectError> {
        let (host, port) = config::collector_url(url).map_err(|_| ConnectError::Address { url: url.to_owned() })?;
        Ok(Self { url: url.to_owned(), host, port, proxy: None })
    }

    /// The same, reached through this proxy, unless the proxy's settings say that it is reached directly.
    #[must_use]
    pub fn through(mut self, proxy: Option<&Proxy>) -> Self {
        self.proxy = proxy.filter(|proxy| proxy.is_for(&self.host, self.port)).cloned().map(Arc::new);
        self
    }

    /// Whom the first connection goes to: the proxy, or the collector itself.
    #[must_use]
    pub fn first_hop(&self) -> (&str, u16) {
        self.proxy.as_ref().map_or((self.host.as_str(), self.port), |proxy| (proxy.host.as_str(), proxy.port))
    }

    /// Host and port as they stand in an address.
    fn shown(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// The bytes that went over the wire, TLS included.
#[derive(Debug, Default)]
pub struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Traffic {
    /// Sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// The addresses of the first hop.
///
/// # Errors
/// The name has none.
pub async fn resolve(target: &Target) -> Result<Vec<SocketAddr>, ConnectError> {
    let (host, port) = target.first_hop();
    let failed = |source| ConnectError::Name { host: host.to_owned(), source };
    let found = timeout(STEP_LIMIT, tokio::net::lookup_host((host, port)));
    let found = found.await.map_err(|_| slow(host.to_owned(), "name"))?.map_err(failed)?;
    let found: Vec<SocketAddr> = found.collect();
    if found.is_empty() { Err(failed(io::ErrorKind::NotFound.into())) } else { Ok(found) }
}

/// A TCP connection to the first of these addresses that takes one.
///
/// # Errors
/// None takes one; the last failure is told.
pub async fn open_tcp(target: &Target, addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    let mut last = ConnectError::Tcp { address: target.shown(), source: io::ErrorKind::AddrNotAvailable.into() };
    for address in addresses {
        match timeout(STEP_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small messages that wait for answers; a socket that cannot be told works all the same.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(source)) => last = ConnectError::Tcp { address: address.to_string(), source },
            Err(_) => last = slow(address.to_string(), "TCP"),
        }
    }
    Err(last)
}

/// TLS over a line to the collector. Gives the certificates that the collector showed.
///
/// # Errors
/// The handshake failed, by whose fault is told as far as it can be known.
pub async fn handshake(
    target: &Target,
    line: Line,
    tls: &Tls,
    traffic: &Arc<Traffic>,
) -> Result<(TlsStream<Counted>, Vec<Vec<u8>>), ConnectError> {
    let Line { stream, address } = line;
    let name =
        ServerName::try_from(target.host.clone()).map_err(|_| ConnectError::Address { url: target.url.clone() })?;
    let counted = Counted { stream, traffic: Arc::clone(traffic) };
    let connected = timeout(STEP_LIMIT, TlsConnector::from(Arc::clone(&tls.config)).connect(name, counted));
    match connected.await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let shown = shown.iter().map(|certificate| certificate.to_vec()).collect();
            Ok((stream, shown))
        }
        Ok(Err(source)) => Err(of_handshake(address, target.host.clone(), source)),
        Err(_) => Err(slow(address, "TLS")),
    }
}

/// A gRPC channel over one connection. When the connection ends, so does the channel.
pub(super) async fn channel(target: &Target, tls: &Tls, traffic: &Arc<Traffic>) -> Result<Channel, ConnectError> {
    let addresses = resolve(target).await?;
    let stream = open_tcp(target, &addresses).await?;
    let line = tunnel(target, stream).await?;
    let (stream, _) = handshake(target, line, tls, traffic).await?;
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: http::Uri| {
        let stream = once.take().ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionReset));
        std::future::ready(stream)
    });
    let endpoint = Endpoint::from_shared(target.url.clone())
        .map_err(|_| ConnectError::Address { url: target.url.clone() })?
        .timeout(CALL_LIMIT);
    let connected = endpoint.connect_with_connector(connector).await;
    connected.map_err(|source| ConnectError::Http { address: target.shown(), source })
}

fn slow(address: String, step: &'static str) -> ConnectError {
    ConnectError::Slow { address, step, seconds: STEP_LIMIT.as_secs() }
}

/// Tells the faults of a handshake apart.
fn of_handshake(address: String, host: String, source: io::Error) -> ConnectError {
    let Some(fault) = tls_fault(&source) else {
        // The other side hung up in the middle of the handshake: plain HTTP servers do.
        return ConnectError::NotTls { address, source };
    };
    if let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = fault
        && let Some(mismatch) = other.0.downcast_ref::<PinMismatch>()
    {
        return ConnectError::Pin { address, shown: mismatch.shown.clone(), issuer: mismatch.issuer.clone() };
    }
    if let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = fault
        && let Some(Stranger { issuer }) = other.0.downcast_ref::<Stranger>()
    {
        return ConnectError::Untrusted { address, issuer: issuer.clone(), source };
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls adds kinds of errors at will")]
    match fault {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => ConnectError::Dates { address, source },
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                ConnectError::WrongName { address, host, source }
            }
            _ => ConnectError::Untrusted { address, issuer: String::new(), source },
        },
        rustls::Error::InvalidMessage(_) | rustls::Error::PeerIncompatible(_) => {
            ConnectError::NotTls { address, source }
        }
        rustls::Error::AlertReceived(alert) if is_about_us(*alert) => ConnectError::RefusedUs { address, source },
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => ConnectError::NotTls { address, source },
        _ => ConnectError::Handshake { address, source },
    }
}

/// The TLS error within an I/O error.
pub(super) fn tls_fault(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
}

/// Whether an alert says that the other side does not take our certificate.
pub(super) const fn is_about_us(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
            | AlertDescription::DecryptError
    )
}

/// A stream that counts its bytes.
#[derive(Debug)]
pub struct Counted {
    stream: Box<dyn tunnel::Stream>,
    traffic: Arc<Traffic>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let done = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.traffic.received.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        done
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = &done {
            self.traffic.sent.fetch_add(*written as u64, Ordering::Relaxed);
        }
        done
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
