//! Access checks of the agents' port: every method except Enroll needs a client certificate, and only Renew accepts an
//! expired one. Unknown methods need one too.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use muster_proto::convert::RefusalDetail;
use muster_proto::model::{Pace, RefusalClass};
use muster_proto::wire;
use prost::Message;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use super::{count, known, refuse, status_of};
use crate::api::methods::method_of;
use crate::clock::Clock;
use crate::telemetry::{ListenerName, Metrics};
use crate::tls::{PeerCertificate, PeerHandle};

const SERVICE: &str = "muster.v1.AgentService";
const METHODS: [&str; 4] = ["Enroll", "Renew", "CheckIn", "Upload"];

/// The access checks in front of AgentService.
#[derive(Clone)]
pub struct AgentsGate<S> {
    service: S,
    clock: Clock,
    pace: Pace,
    metrics: Arc<Metrics>,
}

impl<S> AgentsGate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    /// Puts the checks in front of the service. Refusals carry `pace`.
    #[must_use]
    pub const fn new(service: S, clock: Clock, pace: Pace, metrics: Arc<Metrics>) -> Self {
        Self { service, clock, pace, metrics }
    }

    /// Answers one request.
    pub async fn answer(mut self, request: Request<Body>) -> Response<Body> {
        let began = Instant::now();
        let method = method_of(request.uri().path(), SERVICE);
        let label = known(method, &METHODS);
        let checked = match method {
            Some(method) => self.check(method, &request),
            None => Err(Box::new(Status::unimplemented(
                "this is the agents' port; use the operators' port (7444 by default)",
            ))),
        };
        let request = match label {
            "Upload" => request.map(|body| Body::new(Counted { body, metrics: Arc::clone(&self.metrics) })),
            _ => request,
        };
        let peer = request.extensions().get::<PeerHandle>().cloned();
        let response = match checked {
            Ok(()) => self.service.call(request).await.unwrap_or_else(|never| match never {}),
            Err(status) => refuse(*status),
        };
        // More hosts of this site are likely to enroll; they are no longer strangers' traffic.
        if label == "Enroll" && status_of(response.headers()).is_none() {
            peer.inspect(PeerHandle::remember_address);
        }
        // Refusals come from the check above and from the service; both are counted here.
        if let Some(class) = status_of(response.headers()).and_then(|status| class_of(&status)) {
            self.metrics.refusal(class);
        }
        count(&self.metrics, ListenerName::agents, label, &response, began.elapsed());
        response
    }

    fn check(&self, method: &str, request: &Request<Body>) -> Result<(), Box<Status>> {
        // A new host has no certificate yet. `Enroll` checks its token instead.
        if method == "Enroll" {
            return Ok(());
        }
        let facts = match request.extensions().get::<PeerCertificate>() {
            Some(PeerCertificate::Shown(facts)) => facts,
            Some(PeerCertificate::Unreadable) => {
                let text = format!("{method}: the client certificate cannot be read");
                return Err(self.refusal(RefusalClass::Unknown, text));
            }
            Some(PeerCertificate::None) | None => {
                let text = format!("{method} needs a client certificate of this collector; enroll first");
                return Err(self.refusal(RefusalClass::Unknown, text));
            }
        };
        // The handshake lets an expired certificate pass, so that its host can renew it.
        if method != "Renew" && facts.is_expired((self.clock)()) {
            let text = format!("the client certificate expired at {}; renew it", facts.expires_at);
            return Err(self.refusal(RefusalClass::ReKey, text));
        }
        if request.extensions().get::<PeerHandle>().is_some_and(PeerHandle::has_too_many_calls) {
            let text = "more calls of this host at once than listeners.calls_per_host; try again later".to_owned();
            return Err(self.refusal(RefusalClass::Later, text));
        }
        Ok(())
    }

    fn refusal(&self, class: RefusalClass, text: String) -> Box<Status> {
        let code = if class == RefusalClass::Later { Code::ResourceExhausted } else { Code::Unauthenticated };
        let detail = RefusalDetail { class, pace: self.pace, server_time: (self.clock)() };
        let details = wire::Refusal::from(detail).encode_to_vec();
        Box::new(Status::with_details(code, text, details.into()))
    }
}

fn class_of(status: &Status) -> Option<&'static str> {
    let refusal = wire::Refusal::decode(status.details()).ok()?;
    RefusalDetail::try_from(refusal).ok().map(|refusal| refusal.class.name())
}

/// A request body that counts its bytes as they are read.
struct Counted {
    body: Body,
    metrics: Arc<Metrics>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.metrics.upload_bytes(u64::try_from(data.len()).unwrap_or(u64::MAX));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tonic::service::Routes;

    use super::*;
    use crate::clock::{fixed, system_now};

    fn gate() -> AgentsGate<Routes> {
        AgentsGate::new(Routes::default().prepare(), fixed(system_now()), Pace::default(), Metrics::new())
    }

    fn request(method: &str, peer: Option<Vec<u8>>) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = format!("/{SERVICE}/{method}").parse().expect("a path");
        request.extensions_mut().insert(PeerCertificate::of(peer.as_deref()));
        request
    }

    #[tokio::test]
    async fn every_method_except_enroll_needs_a_certificate() {
        for method in ["Renew", "CheckIn", "Upload", "UnknownMethod", ""] {
            let response = gate().answer(request(method, None)).await;
            let status = status_of(response.headers()).expect("refused");
            assert_eq!(status.code(), Code::Unauthenticated, "{method}");
            assert!(status.message().contains("client certificate"), "{status}");
            assert_eq!(class_of(&status), Some("unknown"));
        }
        let response = gate().answer(request("Enroll", None)).await;
        assert_eq!(status_of(response.headers()).map(|status| status.code()), Some(Code::Unimplemented), "let through");
    }

    #[tokio::test]
    async fn an_expired_certificate_may_only_renew() {
        let directory = tempfile::tempdir().expect("a directory");
        let long_ago = system_now().minus(std::time::Duration::from_secs(90 * 86_400));
        let (authority, _) = crate::tls::Authority::open_or_create(directory.path(), long_ago).expect("a CA");
        let pair = rcgen::KeyPair::generate().expect("a key");
        let csr = rcgen::CertificateParams::default().serialize_request(&pair).expect("a request");
        let host = muster_proto::model::HostId::random();
        let site = muster_proto::model::SiteId::new("hq").expect("a site");
        let signed =
            crate::tls::CertificateAuthority::sign_host(&authority, csr.der(), host, &site, long_ago).expect("signed");
        for (method, code) in [("Renew", Code::Unimplemented), ("CheckIn", Code::Unauthenticated)] {
            let response = gate().answer(request(method, Some(signed.certificate_der.clone()))).await;
            assert_eq!(status_of(response.headers()).map(|status| status.code()), Some(code), "{method}");
        }
        let status = gate().answer(request("Upload", Some(signed.certificate_der))).await;
        assert_eq!(status_of(status.headers()).as_ref().and_then(class_of), Some("re-key"));
    }

    #[tokio::test]
    async fn strangers_cannot_create_labels() {
        let gate = gate();
        gate.clone().answer(request("Surprise", None)).await;
        let text = gate.metrics.text().expect("text");
        assert!(!text.contains("Surprise") && text.contains("method=\"other\""), "{text}");
    }
}
