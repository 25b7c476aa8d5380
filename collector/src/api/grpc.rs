//! The agents' and the operators' gRPC ports: checks before a call, counting after it, and FleetService.

mod accounts;
mod agents;
mod bulk;
mod dispositions;
mod duties;
mod fleet;
mod host_actions;
#[cfg(test)]
mod method_tests;
mod operators;
mod orders;
mod past;
mod roster;
mod sealed;
mod timeline;
mod waivers;

use std::time::Duration;

use http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::telemetry::{Call, ListenerName, Metrics};

pub use agents::AgentsGate;
pub use fleet::Fleet;
pub use operators::{OperatorsGate, operators_routes};

/// The error status of a response. Refusals are always in the headers.
fn status_of(headers: &HeaderMap) -> Option<Status> {
    Status::from_header_map(headers).filter(|status| status.code() != Code::Ok)
}

fn refuse(status: Status) -> Response<Body> {
    status.into_http()
}

fn count(metrics: &Metrics, listener: ListenerName, method: &'static str, response: &Response<Body>, took: Duration) {
    let code = status_of(response.headers()).map_or(Code::Ok, |status| status.code());
    metrics.call(Call { listener, method, code: code_name(code), took });
}

/// The label of a method. Unknown methods share one label, so that strangers cannot create labels.
fn known(method: Option<&str>, methods: &[&'static str]) -> &'static str {
    method.and_then(|method| methods.iter().find(|known| **known == method)).copied().unwrap_or("other")
}

const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

/// Passes a request to the services behind the checks.
async fn pass(mut routes: tonic::service::Routes, request: Request<Body>) -> Response<Body> {
    match tower::Service::call(&mut routes, request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
