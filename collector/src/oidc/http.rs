//! Requests to the provider: over TLS only, without redirects, and bounded in time and bytes.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::setup_fault::SetupFault;

/// How long an answer may take, with everything before it.
const WHOLE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
/// The longest answer, in bytes. Those of providers with thousands of keys or groups fit.
const LONGEST: usize = 512 * 1024;

/// Why the provider did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpFault {
    /// It could not be reached, its certificate is not accepted, or it was too slow.
    #[error("the provider does not answer: {0}")]
    NoAnswer(String),
    /// The answer is too long.
    #[error("the answer has more than {LONGEST} bytes")]
    TooLong,
    /// What the library asks for is no request.
    #[error("the request cannot be sent")]
    Request,
}

/// Sends requests to the provider.
#[derive(Clone)]
pub(super) struct HttpClient(reqwest::Client);

impl HttpClient {
    /// A client that accepts certificates of this CA, and of those that the system knows if there is none.
    pub(super) async fn new(ca: Option<&Path>) -> Result<Self, SetupFault> {
        let builder = reqwest::Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(WHOLE)
            .connect_timeout(CONNECT)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            .tls_backend_preconfigured(tls(ca).await?);
        builder.build().map(Self).map_err(|failed| SetupFault::Client(chain(&failed)))
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        let request = reqwest::Request::try_from(request).map_err(|_| HttpFault::Request)?;
        let no_answer = |failed: reqwest::Error| HttpFault::NoAnswer(chain(&failed.without_url()));
        let mut answer = self.0.execute(request).await.map_err(no_answer)?;
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(no_answer)? {
            if body.len() + part.len() > LONGEST {
                return Err(HttpFault::TooLong);
            }
            body.extend_from_slice(&part);
        }
        let mut response = HttpResponse::new(body);
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for HttpClient {
    type Error = HttpFault;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpFault>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

/// What failed, and why, in one line. It has no address, which may hold a code.
fn chain(failed: &dyn std::error::Error) -> String {
    let mut text = failed.to_string();
    let mut cause = failed.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(400).collect()
}

async fn tls(ca: Option<&Path>) -> Result<rustls::ClientConfig, SetupFault> {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&ring))
        .with_safe_default_protocol_versions()
        .map_err(|failed| SetupFault::Client(failed.to_string()))?;
    let Some(path) = ca else {
        let system = rustls_platform_verifier::Verifier::new(ring);
        let system = system.map_err(|failed| SetupFault::Client(failed.to_string()))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(system));
        return Ok(builder.with_no_client_auth());
    };
    let name = || path.display().to_string();
    let pem = tokio::fs::read(path).await.map_err(|source| SetupFault::ReadCa { path: name(), source })?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| SetupFault::Ca { path: name() })?;
        roots.add(certificate).map_err(|_| SetupFault::Ca { path: name() })?;
    }
    if roots.is_empty() {
        return Err(SetupFault::Ca { path: name() });
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
