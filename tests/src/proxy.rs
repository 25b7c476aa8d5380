//! A small HTTP CONNECT proxy: with or without credentials, over plain TCP or TLS, honest or inspecting TLS with its own
//! certificates.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The behaviour of a proxy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manners {
    /// The required value of `Proxy-Authorization`.
    pub authorization: Option<&'static str>,
    /// Clients connect to the proxy over TLS.
    pub secure: bool,
    /// It answers instead of the collector, with a certificate of its own CA.
    pub inspects: bool,
    /// It refuses every request.
    pub forbids: bool,
}

/// A running proxy. It ends with the value.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    ca: String,
    granted: Arc<AtomicU64>,
    _runtime: tokio::runtime::Runtime,
}

/// The name of the CA of every proxy.
pub const PROXY_CA: &str = "Example Corp Web Gateway CA";

impl Proxy {
    /// Starts a proxy on a free port.
    ///
    /// # Errors
    /// It could not listen or make a certificate.
    pub fn start(manners: Manners) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (acceptor, ca) = acceptor()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).context("listen for a proxy")?;
        let address = listener.local_addr()?.to_string();
        let granted = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&granted);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
                // The client of a connection sees its failure.
                tokio::spawn(async move {
                    if manners.secure {
                        serve(acceptor.accept(stream).await?, acceptor, manners, &count).await
                    } else {
                        serve(stream, acceptor, manners, &count).await
                    }
                });
            }
        });
        Ok(Self { address, ca, granted, _runtime: runtime })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its CA, as PEM.
    #[must_use]
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// The number of tunnels that it has opened.
    #[must_use]
    pub fn granted(&self) -> u64 {
        self.granted.load(Ordering::SeqCst)
    }
}

async fn serve<S>(mut agent: S, acceptor: TlsAcceptor, manners: Manners, granted: &AtomicU64) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(agent.read_u8().await?);
    }
    let head = String::from_utf8(head)?;
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).context("no CONNECT")?;
    let given = head.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: "));
    if manners.authorization.is_some_and(|wanted| given != Some(wanted)) {
        agent.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").await?;
        return Ok(agent.shutdown().await?);
    }
    if manners.forbids {
        agent.write_all(b"HTTP/1.1 403 Forbidden by policy\r\nContent-Length: 0\r\n\r\n").await?;
        return Ok(agent.shutdown().await?);
    }
    let mut collector = TcpStream::connect(target).await?;
    granted.fetch_add(1, Ordering::SeqCst);
    agent.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    agent.flush().await?;
    if manners.inspects {
        let mut opened = acceptor.accept(agent).await?;
        opened.shutdown().await?;
        return Ok(());
    }
    tokio::io::copy_bidirectional(&mut agent, &mut collector).await?;
    Ok(())
}

/// A TLS acceptor for 127.0.0.1, and its CA as PEM.
fn acceptor() -> Result<(TlsAcceptor, String)> {
    let ca_key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, PROXY_CA);
    let ca = params.self_signed(&ca_key)?;
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
    let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone(), ca.der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), ca.pem()))
}
