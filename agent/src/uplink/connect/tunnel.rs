//! Passes the proxy, if there is one: HTTP CONNECT (RFC 9110, 9.3.6), with Basic credentials when configured, and over TLS
//! when the proxy's URL is https. Without a proxy the TCP connection is used as it is.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use data_encoding::BASE64;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{ConnectError, STEP_LIMIT, Target, slow};
use crate::config::Proxy;
use crate::memory::file;
use crate::os;

/// Limit for the head of a proxy's answer; real ones have a few hundred bytes.
const HEAD_BYTES: usize = 8 * 1024;

/// A TCP stream, or TLS over TCP.
pub(in crate::uplink) trait Stream: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin> Stream for T {}

/// A byte stream to the collector, before the TLS handshake with it.
#[derive(Debug)]
pub struct Transport {
    pub(super) stream: Box<dyn Stream>,
    /// The address of the peer, for messages.
    pub(super) address: String,
}

/// Turns the TCP connection to the first hop into a byte stream to the collector.
///
/// # Errors
/// The proxy refused, failed, or did not answer in time.
pub async fn tunnel(target: &Target, stream: TcpStream) -> Result<Transport, ConnectError> {
    let Some(proxy) = &target.proxy else {
        let address = stream.peer_addr().map_or_else(|_| target.host_and_port(), |peer| peer.to_string());
        return Ok(Transport { stream: Box::new(stream), address });
    };
    let address = target.host_and_port();
    let opened = timeout(STEP_LIMIT, async {
        let mut stream: Box<dyn Stream> =
            if proxy.secure { Box::new(secured(proxy, stream).await?) } else { Box::new(stream) };
        connect(proxy, &address, &mut stream).await?;
        Ok(stream)
    });
    match opened.await {
        // The address is the collector's: what fails from here on fails behind the proxy.
        Ok(stream) => Ok(Transport { stream: stream?, address }),
        Err(_) => Err(slow(proxy.shown(), "proxy")),
    }
}

async fn connect(proxy: &Proxy, address: &str, stream: &mut Box<dyn Stream>) -> Result<(), ConnectError> {
    let mut request = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n");
    if let Some(credentials) = credentials(proxy)? {
        request.push_str(&format!("Proxy-Authorization: Basic {}\r\n", BASE64.encode(credentials.as_bytes())));
    }
    request.push_str("\r\n");
    let failed = |source| ConnectError::ProxyAnswer { proxy: proxy.shown(), source };
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let head = head(stream).await.map_err(failed)?;
    let (code, answer) = proxy_answer(&head).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
    // The text behind the code is free, so only the code counts.
    match code {
        200..=299 => Ok(()),
        407 => Err(ConnectError::ProxyCredentials { proxy: proxy.shown(), answer }),
        _ => Err(ConnectError::ProxyRefused { proxy: proxy.shown(), address: address.to_owned(), answer }),
    }
}

/// `name:password`. The file is read for every connection, so a changed password needs no restart.
fn credentials(proxy: &Proxy) -> Result<Option<String>, ConnectError> {
    let Some(path) = &proxy.credentials_file else { return Ok(proxy.credentials.clone()) };
    let text = file::read_text(path, file::PASSWORD);
    let text = text.map_err(|source| ConnectError::ProxyFile { path: path.clone(), source })?;
    // Editors end a file with a line break. Blanks stay, because they may belong to the password.
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Reads up to the empty line. It must not read further: the following bytes belong to the TLS session with the collector.
async fn head(stream: &mut Box<dyn Stream>) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

/// Status code and status line of a proxy's answer; `None` when it is not HTTP/1. The line is cleaned of control
/// characters and cut to 120 characters.
#[must_use]
pub fn proxy_answer(head: &[u8]) -> Option<(u16, String)> {
    let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next()?).into_owned();
    let mut parts = line.splitn(3, ' ');
    let code =
        parts.next().filter(|version| version.starts_with("HTTP/1.")).and_then(|_| parts.next())?.parse().ok()?;
    let shown: String = line.chars().filter(|c| !c.is_control()).take(120).collect();
    Some((code, shown))
}

async fn secured(proxy: &Proxy, stream: TcpStream) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ConnectError> {
    let failed = |source| ConnectError::ProxyTls { proxy: proxy.shown(), source };
    let config = config(proxy)?;
    let name = ServerName::try_from(proxy.host.clone()).map_err(|error| failed(io::Error::other(error)))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(failed)
}

fn config(proxy: &Proxy) -> Result<ClientConfig, ConnectError> {
    let mut roots = RootCertStore::empty();
    let of_system = os::ca_bundles();
    let mut last = ConnectError::ProxyTls { proxy: proxy.shown(), source: io::ErrorKind::NotFound.into() };
    // Each distribution has its bundle at another path; the first that can be read is the one of this system.
    for path in proxy.ca_file.as_ref().map_or(of_system, |path| vec![path.clone()]) {
        match file::read(&path, file::CERTIFICATES) {
            // One certificate that rustls cannot parse must not make the whole bundle useless.
            Ok(text) => roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).filter_map(Result::ok)),
            Err(source) => {
                last = ConnectError::ProxyFile { path, source };
                continue;
            }
        };
        break;
    }
    if proxy.ca_file.is_none() {
        roots.add_parsable_certificates(os::trusted_cas().into_iter().map(CertificateDer::from));
    }
    if roots.is_empty() {
        return Err(last);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    let config =
        config.map_err(|error| ConnectError::ProxyTls { proxy: proxy.shown(), source: io::Error::other(error) })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_of_a_proxy_is_parsed() {
        let of = |text: &str| proxy_answer(text.as_bytes()).map(|(code, _)| code);
        assert_eq!(of("HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(of("HTTP/1.0 407 Proxy Authentication Required\r\nX: y\r\n\r\n"), Some(407));
        for bad in ["", "SSH-2.0-x\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 abc x\r\n\r\n", "ICY 200 OK\r\n"] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
        assert_eq!(
            proxy_answer(b"HTTP/1.1 403 no\x1b[31m\r\n\r\n").map(|(_, shown)| shown).as_deref(),
            Some("HTTP/1.1 403 no[31m")
        );
    }
}
