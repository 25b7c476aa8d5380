//! Connections below gRPC: sockets from any loopback address, TLS that says nothing, and HTTP/2 whose window a test chooses.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::{BufMut, Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::body::Body;

use crate::door::client_config;
use crate::pki::Identity;

/// The address that [`socket`] uses unless a test names another one.
pub const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Connects to a listener from this address, which must be of this machine.
///
/// # Errors
/// The connection failed.
pub async fn socket(listener: &str, from: IpAddr) -> Result<TcpStream> {
    let listener: SocketAddr = listener.parse().with_context(|| format!("{listener} is no address"))?;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    let stream = socket.connect(listener).await.with_context(|| format!("connect to {listener} from {from}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection after its handshake. Nothing is said on it.
///
/// # Errors
/// The connection or the handshake failed.
pub async fn tls(listener: &str, from: IpAddr, ca: &Path, identity: Option<&Identity>) -> Result<TlsStream<TcpStream>> {
    let stream = socket(listener, from).await?;
    let connector = TlsConnector::from(Arc::new(client_config(ca, identity)?));
    connector.connect(ServerName::try_from("localhost")?, stream).await.context("the TLS handshake")
}

/// An HTTP/2 connection, and the task that drives it, which ends when the connection does.
#[derive(Debug)]
pub struct Http2 {
    /// Sends requests.
    pub sender: SendRequest<Body>,
    /// Ends with the connection.
    pub ended: JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    /// Speaks HTTP/2 on a connection. The peer may send this many bytes of each answer before it has to wait.
    ///
    /// # Errors
    /// The other side does not speak HTTP/2.
    pub async fn over(stream: TlsStream<TcpStream>, window: u32) -> Result<Self> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.context("begin HTTP/2")?;
        Ok(Self { sender, ended: tokio::spawn(connection) })
    }

    /// Calls a method and returns its answer once its headers have arrived.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn call(&mut self, path: &str, body: Body) -> Result<Response<Incoming>> {
        self.sender.ready().await.context("a free stream")?;
        let request = Request::post(format!("https://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body)?;
        self.sender.send_request(request).await.context("the headers of an answer")
    }
}

/// A message as gRPC frames it.
#[must_use]
pub fn framed(message: &impl Message) -> Body {
    let bytes = message.encode_to_vec();
    let mut framed = BytesMut::with_capacity(bytes.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    framed.put_slice(&bytes);
    Body::new(Full::new(framed.freeze()))
}

/// A request body that never begins and never ends.
#[must_use]
pub fn endless() -> Body {
    Body::new(Endless)
}

struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, tonic::Status>>> {
        std::task::Poll::Pending
    }
}
