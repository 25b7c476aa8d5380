//! Opens a connection to the collector in steps: resolve the name, connect by TCP, pass the proxy, do the TLS handshake.
//!
//! Each step has its own error and advice, because a person has to fix it.

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
use muster_proto::limits;
use muster_proto::wire::agent_service_client::AgentServiceClient;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

pub use error::ConnectError;
pub use tunnel::{Transport, proxy_answer, tunnel};

use super::trust::{PinMismatch, Tls, UntrustedIssuer};
use crate::config::{self, Proxy};

const STEP_LIMIT: Duration = Duration::from_secs(10);
const CALL_LIMIT: Duration = Duration::from_secs(120);

/// The address at which a collector listens for agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The URL as configured.
    pub url: String,
    /// Host name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The proxy to use; `None` for a direct connection.
    pub proxy: Option<Arc<Proxy>>,
}

impl Target {
    /// Parses a URL such as `https://muster.example.org:7443`.
    ///
    /// # Errors
    /// The text is not such a URL.
    pub fn parse(url: &str) -> Result<Self, ConnectError> {
        let (host, port) = config::collector_url(url).map_err(|_| ConnectError::Address { url: url.to_owned() })?;
        Ok(Self { url: url.to_owned(), host, port, proxy: None })
    }

    /// The same target through this proxy, unless the proxy settings exempt the host.
    #[must_use]
    pub fn through(mut self, proxy: Option<&Proxy>) -> Self {
        self.proxy = proxy.filter(|proxy| proxy.is_for(&self.host, self.port)).cloned().map(Arc::new);
        self
    }

    /// Host and port of the first TCP connection: those of the proxy, or of the collector itself.
    #[must_use]
    pub fn first_hop(&self) -> (&str, u16) {
        self.proxy.as_ref().map_or((self.host.as_str(), self.port), |proxy| (proxy.host.as_str(), proxy.port))
    }

    /// `host:port`, with brackets around an IPv6 address.
    fn host_and_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Counts the bytes on the wire, TLS included.
#[derive(Debug, Default)]
pub struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Traffic {
    /// Bytes sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        // The sums depend on no other memory, so no ordering is needed.
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// Resolves the host of the first hop.
///
/// # Errors
/// The name cannot be resolved, or has no address.
pub async fn resolve(target: &Target) -> Result<Vec<SocketAddr>, ConnectError> {
    let (host, port) = target.first_hop();
    let failed = |source| ConnectError::Name { host: host.to_owned(), source };
    let found = timeout(STEP_LIMIT, tokio::net::lookup_host((host, port)));
    let found = found.await.map_err(|_| slow(host.to_owned(), "name"))?.map_err(failed)?;
    let found: Vec<SocketAddr> = found.collect();
    if found.is_empty() { Err(failed(io::ErrorKind::NotFound.into())) } else { Ok(found) }
}

/// Connects to the first of these addresses that accepts a TCP connection.
///
/// # Errors
/// No address accepted a connection; the error of the last attempt.
pub async fn open_tcp(target: &Target, addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    let refused = |address, source| match target.proxy {
        Some(_) => ConnectError::ProxyTcp { address, source },
        None => ConnectError::Tcp { address, source },
    };
    // Reported only if there is no address at all.
    let mut last = refused(target.host_and_port(), io::ErrorKind::AddrNotAvailable.into());
    for address in addresses {
        match timeout(STEP_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Requests are small and wait for their answers, so Nagle's algorithm only adds delay. Failing to turn it
                // off is harmless.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(source)) => last = refused(address.to_string(), source),
            Err(_) => last = slow(address.to_string(), "TCP"),
        }
    }
    Err(last)
}

/// Does the TLS handshake with the collector. Returns the stream and the certificate chain that the collector showed.
///
/// # Errors
/// The handshake failed. The variant says what to fix, as far as the TLS error reveals it.
pub async fn handshake(
    target: &Target,
    transport: Transport,
    tls: &Tls,
    traffic: &Arc<Traffic>,
) -> Result<(TlsStream<Counted>, Vec<Vec<u8>>), ConnectError> {
    let Transport { stream, address } = transport;
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
        Ok(Err(source)) => Err(handshake_error(address, target.host.clone(), source)),
        Err(_) => Err(slow(address, "TLS")),
    }
}

/// The gRPC client of the agents' service.
pub(super) type Client = AgentServiceClient<Channel>;

/// Opens a gRPC client over a new connection.
pub(super) async fn client(target: &Target, tls: &Tls, traffic: &Arc<Traffic>) -> Result<Client, ConnectError> {
    let channel = channel(target, tls, traffic).await?;
    Ok(AgentServiceClient::new(channel)
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .max_encoding_message_size(limits::MESSAGE_BYTES))
}

/// Opens a gRPC channel over one connection. The channel ends with the connection and does not reconnect.
async fn channel(target: &Target, tls: &Tls, traffic: &Arc<Traffic>) -> Result<Channel, ConnectError> {
    let addresses = resolve(target).await?;
    let stream = open_tcp(target, &addresses).await?;
    let transport = tunnel(target, stream).await?;
    let (stream, _) = handshake(target, transport, tls, traffic).await?;
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: http::Uri| {
        // tonic calls this again after a broken connection. It fails then, because resolving, proxy and TLS come first
        // again.
        let stream = once.take().ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionReset));
        std::future::ready(stream)
    });
    let endpoint = Endpoint::from_shared(target.url.clone())
        .map_err(|_| ConnectError::Address { url: target.url.clone() })?
        .timeout(CALL_LIMIT);
    let connected = endpoint.connect_with_connector(connector).await;
    connected.map_err(|source| ConnectError::Http { address: target.host_and_port(), source })
}

fn slow(address: String, step: &'static str) -> ConnectError {
    ConnectError::Slow { address, step, seconds: STEP_LIMIT.as_secs() }
}

/// Maps a failed handshake to the error that names its cause.
fn handshake_error(address: String, host: String, source: io::Error) -> ConnectError {
    let Some(fault) = tls_fault(&source) else {
        // The peer closed the connection during the handshake, as plain HTTP servers do.
        return ConnectError::NotTls { address, source };
    };
    if let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = fault
        && let Some(mismatch) = other.0.downcast_ref::<PinMismatch>()
    {
        return ConnectError::Pin { address, shown: mismatch.shown.clone(), issuer: mismatch.issuer.clone() };
    }
    if let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = fault
        && let Some(UntrustedIssuer { issuer }) = other.0.downcast_ref::<UntrustedIssuer>()
    {
        return ConnectError::Untrusted { address, issuer: issuer.clone(), source };
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls::Error is non-exhaustive")]
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
        // An HTTP server answers in plain text, which is an invalid TLS message.
        rustls::Error::InvalidMessage(_) | rustls::Error::PeerIncompatible(_) => {
            ConnectError::NotTls { address, source }
        }
        // The peer saw our certificate and rejected it. In TLS 1.3 this usually arrives only after the handshake.
        rustls::Error::AlertReceived(alert) if is_about_us(*alert) => ConnectError::RefusedUs { address, source },
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => ConnectError::NotTls { address, source },
        _ => ConnectError::Handshake { address, source },
    }
}

/// The TLS error inside an I/O error.
pub(super) fn tls_fault(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
}

/// Whether a TLS alert means that the peer rejected our certificate.
pub(super) const fn is_about_us(alert: AlertDescription) -> bool {
    // DecryptError is included: the peer could not verify our signature (RFC 8446, section 6.2).
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

/// A stream that adds its bytes to a [`Traffic`].
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
