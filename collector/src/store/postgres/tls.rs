//! TLS to the database, with rustls and ring as everywhere.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

use super::address::{Address, ClientFiles, Protection};

/// Makes the TLS connections of one address.
#[derive(Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    /// The file with the trusted certificates, for messages.
    roots: Arc<str>,
}

impl Tls {
    /// The TLS settings of this address.
    ///
    /// # Errors
    /// A certificate or key file cannot be read; the text says which and why.
    pub(super) fn new(address: &Address) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let (believed, file) = match &address.protection {
            Protection::Verified(file) => (builder.with_root_certificates(roots(file)?), Some(file)),
            Protection::Signed(file) => {
                let lenient = Lenient { roots: Some(roots(file)?), provider };
                (builder.dangerous().with_custom_certificate_verifier(Arc::new(lenient)), Some(file))
            }
            // With `None` the driver never asks for TLS, so these settings are not used.
            Protection::Unverified | Protection::None => {
                let lenient = Lenient { roots: None, provider };
                (builder.dangerous().with_custom_certificate_verifier(Arc::new(lenient)), None)
            }
        };
        let config = match &address.client {
            None => believed.with_no_client_auth(),
            Some(ClientFiles { certificate, key }) => {
                let failed = |reason: String| format!("sslkey {}: {reason}", key.display());
                let own = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(error.to_string()))?;
                let chain = certificates("sslcert", certificate)?;
                believed.with_client_auth_cert(chain, own).map_err(|error| failed(error.to_string()))?
            }
        };
        let roots = file.map_or_else(String::new, |file| file.display().to_string()).into();
        Ok(Self { config: Arc::new(config), roots })
    }
}

/// The certificates of a file; at least one.
fn certificates(what: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |reason: String| format!("{what} {}: {reason}", file.display());
    let pem = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| failed(error.to_string()))?;
    if found.is_empty() { Err(failed("the file has no certificate".to_owned())) } else { Ok(found) }
}

fn roots(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("sslrootcert", file)? {
        roots.add(certificate).map_err(|error| format!("sslrootcert {}: {error}", file.display()))?;
    }
    Ok(roots)
}

/// Checks less than the server's name. With roots, it checks who signed the certificate (`sslmode=verify-ca`). Without
/// roots, it checks nothing: like libpq's, `require` and `prefer` protect only against listening.
#[derive(Debug)]
struct Lenient {
    roots: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(certificate)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, between, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // Even an unchecked certificate must belong to the key that the server has.
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl<S> MakeTlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Protected<S>;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, io::Error> {
        // A Unix socket has no host name and never uses TLS.
        let host = if host.is_empty() { "localhost" } else { host };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Handshake { connector: TlsConnector::from(Arc::clone(&self.config)), name, roots: Arc::clone(&self.roots) })
    }
}

/// A handshake that has not begun yet.
pub(super) struct Handshake {
    connector: TlsConnector,
    name: ServerName<'static>,
    roots: Arc<str>,
}

impl Handshake {
    /// What was wrong with the server's certificate, in terms of the address's settings.
    fn explained(error: io::Error, name: &ServerName<'_>, roots: &str) -> io::Error {
        let Some(rustls::Error::InvalidCertificate(flaw)) =
            error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
        else {
            return error;
        };
        let name = name.to_str();
        let is_unsigned = matches!(flaw, CertificateError::UnknownIssuer | CertificateError::BadSignature);
        let is_for_others =
            matches!(flaw, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. });
        let text = if is_unsigned {
            format!("the certificate of {name} is not signed by one of sslrootcert {roots}")
        } else if is_for_others {
            format!("the certificate of {name} is for other names")
        } else {
            format!("the certificate of {name}: {flaw}")
        };
        io::Error::new(error.kind(), text)
    }
}

impl<S> TlsConnect<S> for Handshake
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Protected<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Protected<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let Self { connector, name, roots } = self;
            let secured = connector.connect(name.clone(), stream).await;
            secured.map(Protected).map_err(|error| Self::explained(error, &name, &roots))
        })
    }
}

/// A TLS stream.
pub(super) struct Protected<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Protected<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Protected<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Protected<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
