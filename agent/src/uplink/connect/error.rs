//! The ways in which the way to the collector fails, each with what to do about it.

use std::io;
use std::path::PathBuf;

/// The name that a collector gives its own CA.
const COLLECTOR_CA: &str = "Muster collector CA";

/// Which step of the way to the collector failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is none.
    #[error("{url:?} is no address of a collector")]
    Address {
        /// What was given.
        url: String,
    },
    /// The name has no address.
    #[error("the name {host} cannot be resolved")]
    Name {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody listens, or no route.
    #[error("no connection to {address}")]
    Tcp {
        /// The last address that was tried.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A step took too long.
    #[error("{address} did not answer within {seconds} s ({step})")]
    Slow {
        /// Where.
        address: String,
        /// Which step.
        step: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// Something that does not speak TLS 1.3 answers there.
    #[error("what listens at {address} does not speak TLS 1.3")]
    NotTls {
        /// Where.
        address: String,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// Another collector, or somebody between.
    #[error(
        "{address} is not the collector of this token: no certificate that it showed has the ca-pin, its CA has {shown} and \
         is {issuer:?}"
    )]
    Pin {
        /// Where.
        address: String,
        /// The pin of the CA that was shown.
        shown: String,
        /// Its name.
        issuer: String,
    },
    /// The collector's certificate is past its end or before its beginning, by this machine's clock.
    #[error("the certificate of {address} is not valid at this machine's time")]
    Dates {
        /// Where.
        address: String,
        /// How.
        #[source]
        source: io::Error,
    },
    /// The certificate is for another name.
    #[error("the certificate of {address} is for another name than {host}")]
    WrongName {
        /// Where.
        address: String,
        /// Which name was wanted.
        host: String,
        /// Which names it has.
        #[source]
        source: io::Error,
    },
    /// The certificate was given by somebody who is not trusted.
    #[error("the certificate of {address} was not given by a CA that this host trusts, but by {issuer:?}")]
    Untrusted {
        /// Where.
        address: String,
        /// Who gave it, in the certificate's own words.
        issuer: String,
        /// How.
        #[source]
        source: io::Error,
    },
    /// The collector does not take our certificate.
    #[error("{address} refused this host's certificate in the handshake")]
    RefusedUs {
        /// Where.
        address: String,
        /// How.
        #[source]
        source: io::Error,
    },
    /// The handshake failed in another way.
    #[error("the TLS handshake with {address} failed")]
    Handshake {
        /// Where.
        address: String,
        /// How.
        #[source]
        source: io::Error,
    },
    /// What the proxy needs from us cannot be read.
    #[error("cannot read {} for the proxy", path.display())]
    ProxyFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The proxy wants to know who we are, or does not like who we are.
    #[error("the proxy {proxy} wants other credentials: {answer}")]
    ProxyCredentials {
        /// Which.
        proxy: String,
        /// What it answered.
        answer: String,
    },
    /// The proxy does not open the way.
    #[error("the proxy {proxy} does not open the way to {address}: {answer}")]
    ProxyRefused {
        /// Which.
        proxy: String,
        /// To where.
        address: String,
        /// What it answered.
        answer: String,
    },
    /// TLS with the proxy itself failed.
    #[error("the TLS handshake with the proxy {proxy} failed")]
    ProxyTls {
        /// Which.
        proxy: String,
        /// How.
        #[source]
        source: io::Error,
    },
    /// The proxy hung up, or says what no proxy says.
    #[error("the proxy {proxy} does not answer as a proxy")]
    ProxyAnswer {
        /// Which.
        proxy: String,
        /// How.
        #[source]
        source: io::Error,
    },
    /// HTTP/2 could not begin.
    #[error("no HTTP/2 with {address}")]
    Http {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
}

impl ConnectError {
    /// What to do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Address { .. } => "give the address as https://host:port",
            Self::Name { .. } => "check the name, and the machine's DNS",
            Self::Tcp { .. } => "check that the collector runs, its port, and the firewalls between",
            Self::Slow { .. } => "check the route and the firewalls between; a dropped packet gives no answer",
            Self::NotTls { .. } => "check the port: the agents' listener is wanted, not the operators' or a proxy",
            Self::Pin { .. } => "take a token of this collector; if it is the right one, somebody stands between",
            Self::Dates { .. } => "check the clock of this machine, then the certificate of the collector",
            Self::WrongName { .. } => "use a name that the certificate has, or give the collector that name",
            Self::Untrusted { .. } => "if the collector was set up anew, enroll again with a token of it",
            Self::RefusedUs { .. } => "enroll again, if the host was not withdrawn on purpose",
            Self::ProxyFile { .. } => "give the agent the right to read it, or correct the path",
            Self::ProxyCredentials { .. } => "put name:password into the file that proxy.credentials_file names",
            Self::ProxyRefused { .. } => "have the proxy allow CONNECT to the collector's name and port",
            Self::ProxyTls { .. } => "check proxy.ca_file and the proxy's certificate; TLS 1.3 is spoken",
            Self::ProxyAnswer { .. } => "check proxy.url: http:// and https:// are different, and so are their ports",
            Self::Handshake { .. } | Self::Http { .. } => "look at the collector's log for the same moment",
        }
    }

    /// Who gave the certificate that was shown, when it was nobody whom a collector would show: a proxy between that
    /// inspects TLS puts its own certificates in the place of everybody's.
    #[must_use]
    pub fn inspector(&self) -> Option<&str> {
        let (Self::Pin { issuer, .. } | Self::Untrusted { issuer, .. }) = self else { return None };
        Some(issuer.as_str()).filter(|issuer| !issuer.is_empty() && !issuer.contains(COLLECTOR_CA))
    }
}
