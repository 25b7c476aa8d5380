//! Why a connection to the collector failed, and what to do about each cause.

use std::io;
use std::path::PathBuf;

/// The common name of a collector's built-in CA.
const COLLECTOR_CA: &str = "Muster collector CA";

/// The step of the connection that failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The configured URL is invalid.
    #[error("{url:?} is not a valid collector URL")]
    Address {
        /// The configured text.
        url: String,
    },
    /// The name cannot be resolved.
    #[error("cannot resolve {host}")]
    Name {
        /// The name.
        host: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Nothing listens there, or there is no route.
    #[error("cannot connect to the collector at {address}")]
    Tcp {
        /// The last address that was tried.
        address: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A step took too long.
    #[error("{address} did not answer within {seconds} s (step: {step})")]
    Slow {
        /// The address.
        address: String,
        /// Which step.
        step: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// The peer does not speak TLS 1.3.
    #[error("{address} does not speak TLS 1.3")]
    NotTls {
        /// The address.
        address: String,
        /// The I/O or TLS error.
        #[source]
        source: io::Error,
    },
    /// No certificate in the chain has the pinned key: another collector, or a proxy that intercepts TLS.
    #[error(
        "{address} is not the collector of this token: no certificate in its chain matches the token's CA pin; its CA \
         is {issuer:?} with pin {shown}"
    )]
    Pin {
        /// The address.
        address: String,
        /// The pin of the CA in the chain.
        shown: String,
        /// The subject of that CA.
        issuer: String,
    },
    /// The collector's certificate has expired or is not valid yet, by this machine's clock.
    #[error("the certificate of {address} has expired or is not valid yet, by this machine's clock")]
    Dates {
        /// The address.
        address: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The certificate does not cover the host name.
    #[error("the certificate of {address} does not cover the name {host}")]
    WrongName {
        /// The address.
        address: String,
        /// The name in the URL.
        host: String,
        /// The TLS error, with the names that the certificate covers.
        #[source]
        source: io::Error,
    },
    /// The issuer of the certificate is not trusted.
    #[error("the certificate of {address} was issued by {issuer:?}, which this host does not trust")]
    Untrusted {
        /// The address.
        address: String,
        /// The issuer as named in the certificate; empty when unknown.
        issuer: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The peer rejected our certificate.
    #[error("{address} rejected this host's certificate in the TLS handshake")]
    RefusedUs {
        /// The address.
        address: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The handshake failed for another reason.
    #[error("the TLS handshake with {address} failed")]
    Handshake {
        /// The address.
        address: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file that the proxy settings name cannot be read.
    #[error("cannot read {} for the proxy", path.display())]
    ProxyFile {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Nothing listens at the proxy's address, or there is no route.
    #[error("cannot connect to the proxy at {address}")]
    ProxyTcp {
        /// The last address that was tried.
        address: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The proxy demands credentials, or rejected ours.
    #[error("proxy {proxy} rejected the credentials: {answer}")]
    ProxyCredentials {
        /// The proxy.
        proxy: String,
        /// What it answered.
        answer: String,
    },
    /// The proxy refused the tunnel.
    #[error("proxy {proxy} refused to connect to {address}: {answer}")]
    ProxyRefused {
        /// The proxy.
        proxy: String,
        /// The collector's host and port.
        address: String,
        /// What it answered.
        answer: String,
    },
    /// TLS with the proxy itself failed.
    #[error("the TLS handshake with proxy {proxy} failed")]
    ProxyTls {
        /// The proxy.
        proxy: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The proxy closed the connection or did not answer in HTTP.
    #[error("{proxy} does not answer like an HTTP proxy")]
    ProxyAnswer {
        /// The proxy.
        proxy: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The HTTP/2 connection could not be set up.
    #[error("cannot set up HTTP/2 with {address}")]
    Http {
        /// The address.
        address: String,
        /// The cause.
        #[source]
        source: tonic::transport::Error,
    },
}

impl ConnectError {
    /// What to do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Address { .. } => "use the form https://host:port",
            Self::Name { .. } => "check the name and this machine's DNS",
            Self::ProxyTcp { .. } => "check proxy.url, and that the proxy is running",
            Self::Tcp { .. } => {
                "check that the collector is running, that the port is right and that no firewall blocks the connection"
            }
            Self::Slow { .. } => "check the route and firewalls on the way: a firewall that drops packets causes this",
            Self::NotTls { .. } => "check the port: use the agents' port (7443), not the operators' port or a proxy",
            Self::Pin { .. } => {
                "use a token of this collector; if the token is right, something on the way intercepts TLS"
            }
            Self::Dates { .. } => "check this machine's clock, then the collector's certificate",
            Self::WrongName { .. } => {
                "use a name that the certificate covers, or add this name to the collector's certificate"
            }
            Self::Untrusted { .. } => "if the collector was reinstalled, enroll again with one of its tokens",
            Self::RefusedUs { .. } => "enroll again, unless the host was revoked on purpose",
            Self::ProxyFile { .. } => "let the agent read the file, or correct the path",
            Self::ProxyCredentials { .. } => "put name:password in the file that proxy.credentials_file names",
            Self::ProxyRefused { .. } => "allow CONNECT to the collector's name and port on the proxy",
            Self::ProxyTls { .. } => "check proxy.ca_file and the proxy's certificate; TLS 1.3 is required",
            Self::ProxyAnswer { .. } => "check proxy.url: http:// and https:// usually have different ports",
            Self::Handshake { .. } | Self::Http { .. } => "check the collector's log at this time",
        }
    }

    /// The issuer of the chain when it is not a collector's own CA: a proxy that inspects TLS replaces every certificate by
    /// one of its own.
    #[must_use]
    pub fn inspector(&self) -> Option<&str> {
        let (Self::Pin { issuer, .. } | Self::Untrusted { issuer, .. }) = self else { return None };
        Some(issuer.as_str()).filter(|issuer| !issuer.is_empty() && !issuer.contains(COLLECTOR_CA))
    }
}
