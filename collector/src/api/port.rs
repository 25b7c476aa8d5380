//! The operators' port: gRPC and pages on one listener.

use http::header::CONTENT_TYPE;
use http::{Request, Response, Version};
use tonic::body::Body;

use super::client_address::TrustedProxies;
use super::grpc::OperatorsGate;
use super::web::Web;
use crate::tls::PeerHandle;

/// What answers on the operators' port.
#[derive(Clone)]
pub struct OperatorsPort {
    gate: OperatorsGate,
    web: Option<Web>,
    proxies: TrustedProxies,
}

impl OperatorsPort {
    /// Calls go to the gate, and all else to the pages. Without pages, everything goes to the gate, which refuses it.
    /// What counts by address counts for the client of a trusted proxy, and not for the proxy.
    #[must_use]
    pub const fn new(gate: OperatorsGate, web: Option<Web>, proxies: TrustedProxies) -> Self {
        Self { gate, web, proxies }
    }

    /// Answers one request.
    pub async fn answer(self, mut request: Request<Body>) -> Response<Body> {
        let client = request.extensions().get::<PeerHandle>().and_then(|peer| {
            let client = self.proxies.client(peer.ip(), request.headers())?;
            Some(peer.for_client(client))
        });
        if let Some(client) = client {
            request.extensions_mut().insert(client);
        }
        match self.web {
            // In a box, so that a call does not pay for the size of a page.
            Some(web) if !is_call(&request) => Box::pin(web.answer(request)).await,
            Some(_) | None => self.gate.answer(request).await,
        }
    }
}

/// Whether the request is a call of gRPC: HTTP/2 with a content type of `application/grpc`, as its specification demands
/// (PROTOCOL-HTTP2.md of gRPC).
fn is_call<B>(request: &Request<B>) -> bool {
    let is_grpc = |kind: &[u8]| kind.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"));
    request.version() == Version::HTTP_2
        && request.headers().get(CONTENT_TYPE).is_some_and(|kind| is_grpc(kind.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http2_with_the_content_type_of_grpc_is_a_call() {
        let is = |version: Version, kind: Option<&str>| {
            let mut request = Request::new(());
            *request.version_mut() = version;
            if let Some(kind) = kind {
                request.headers_mut().insert(CONTENT_TYPE, kind.parse().expect("a header"));
            }
            is_call(&request)
        };
        assert!(is(Version::HTTP_2, Some("application/grpc")) && is(Version::HTTP_2, Some("application/grpc+proto")));
        assert!(!is(Version::HTTP_11, Some("application/grpc")));
        assert!(!is(Version::HTTP_2, Some("application/x-www-form-urlencoded")) && !is(Version::HTTP_2, None));
    }
}
