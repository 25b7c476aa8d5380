//! A connection with TCP, mutual TLS, HTTP/2 and gRPC. It has no pool, no reconnects and no buffer, so that the server is
//! measured and not the client.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::Context as _;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::body::Body;

/// Address and port of a server.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    target: String,
    name: ServerName<'static>,
    origin: http::Uri,
}

impl Address {
    /// Parses `https://host:port` and `host:port`.
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let target = url.strip_prefix("https://").unwrap_or(url).trim_end_matches('/');
        let (host, _) =
            target.rsplit_once(':').with_context(|| format!("{url:?} has no port; use https://HOST:PORT"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).with_context(|| format!("{host:?} is not a host name"))?;
        let origin = format!("https://{target}").parse().with_context(|| format!("{url:?} is not a URL"))?;
        Ok(Self { target: target.to_owned(), name, origin })
    }

    /// As HOST:PORT.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// The name in the server's certificate.
    pub(crate) fn name(&self) -> ServerName<'static> {
        self.name.clone()
    }

    /// As an origin for calls.
    pub(crate) fn origin(&self) -> http::Uri {
        self.origin.clone()
    }
}

/// An open connection.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    sender: SendRequest<Body>,
}

impl Line {
    /// Connects, with all handshakes.
    pub(crate) async fn open(address: &Address, config: &Arc<ClientConfig>) -> anyhow::Result<Self> {
        let tcp = TcpStream::connect(&address.target).await.context("connect")?;
        tcp.set_nodelay(true).context("set TCP_NODELAY")?;
        let connector = TlsConnector::from(Arc::clone(config));
        let tls = connector.connect(address.name.clone(), tcp).await.context("TLS handshake")?;
        let (sender, connection) =
            http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(tls)).await.context("HTTP/2 handshake")?;
        // The task ends when the last sender is dropped. The call on a broken connection reports the error.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { sender })
    }
}

type Answer = Result<http::Response<hyper::body::Incoming>, hyper::Error>;

impl tower::Service<http::Request<Body>> for Line {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}
