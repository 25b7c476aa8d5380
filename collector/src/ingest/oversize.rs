//! Messages that tonic refuses before our code sees them: too large, or not protobuf. Here the refusal gets the contract's
//! code, class and pace, and the name of the limit.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use muster_proto::model::Pace;
use tokio::sync::Semaphore;
use tonic::Code;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::receive::Received;
use super::refuse::Refused;
use crate::clock::Clock;

/// A service whose refusals of whole messages follow the contract.
#[derive(Clone)]
pub struct Measured<S> {
    service: S,
    /// The bytes of uploads that may be in memory.
    memory: Arc<Semaphore>,
    pace: Pace,
    clock: Clock,
}

impl<S> Measured<S> {
    pub(super) const fn new(service: S, memory: Arc<Semaphore>, pace: Pace, clock: Clock) -> Self {
        Self { service, memory, pace, clock }
    }
}

impl<S: NamedService> NamedService for Measured<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Measured<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let request = Received::counting(request, &self.memory);
        let received = request.extensions().get::<Received>().cloned();
        let answer = self.service.call(request);
        let (pace, clock) = (self.pace, self.clock.clone());
        Box::pin(async move {
            let response = answer.await?;
            if let Some((limit, name)) = received.as_ref().and_then(Received::exceeded) {
                let refused = Refused::too_much(format!("the request is larger than the limit {name} ({limit})"));
                return Ok(refused.into_status("AgentService", pace, clock()).into_http());
            }
            // tonic's refusals have no details; ours always have.
            let status = Status::from_header_map(response.headers()).filter(|status| status.details().is_empty());
            let refused = match status.map(|status| status.code()) {
                Some(Code::OutOfRange) => Refused::too_large(),
                Some(Code::Internal) => Refused::malformed("the message is not valid protobuf"),
                _ => return Ok(response),
            };
            Ok(refused.into_status("AgentService", pace, clock()).into_http())
        })
    }
}
