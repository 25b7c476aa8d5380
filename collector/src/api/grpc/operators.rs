//! Access checks of the operators' port: everything needs a token, also health and reflection. Load balancers have none; they
//! ask the probes' port. So strangers get no answer but a refusal, and less code is exposed to them.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Request, Response};
use muster_proto::limits;
use muster_proto::wire::{self, fleet_service_server::FleetServiceServer};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};

use super::{Fleet, count, known, pass, refuse};
use crate::actions::Caller;
use crate::api::Access;
use crate::api::access::may_sites;
use crate::api::methods::{METHODS, SERVICE, method_of, rule_of};
use crate::telemetry::{ListenerName, Metrics};
use crate::tls::PeerHandle;

const AGENT_SERVICE: &str = "muster.v1.AgentService";
/// The access checks in front of the services of the operators' port.
#[derive(Clone)]
pub struct OperatorsGate {
    routes: Routes,
    access: Access,
    metrics: Arc<Metrics>,
}

impl OperatorsGate {
    /// Puts the checks in front of the routes.
    #[must_use]
    pub fn new(routes: Routes, access: Access, metrics: Arc<Metrics>) -> Self {
        Self { routes: routes.prepare(), access, metrics }
    }

    /// Answers one request.
    pub async fn answer(self, mut request: Request<Body>) -> Response<Body> {
        let began = Instant::now();
        let path = request.uri().path().to_owned();
        let peer = request.extensions().get::<PeerHandle>().cloned();
        let response = match self.admit(&path, request.headers(), peer.as_ref()).await {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                pass(self.routes.clone(), request).await
            }
            Err(status) => refuse(status),
        };
        let names = METHODS.map(|method| method.name);
        count(
            &self.metrics,
            ListenerName::operators,
            known(method_of(&path, SERVICE), &names),
            &response,
            began.elapsed(),
        );
        response
    }

    async fn admit(&self, path: &str, headers: &HeaderMap, peer: Option<&PeerHandle>) -> Result<Caller, Status> {
        // An agent that was given the wrong port has no token; tell it about the port instead.
        if method_of(path, AGENT_SERVICE).is_some() {
            return Err(Status::unimplemented("this is the operators' port; use the agents' port (7443 by default)"));
        }
        let (role, sites) = rule_of(path);
        let caller = self.access.admit(headers, role, peer).await?;
        may_sites(&caller, sites)?;
        Ok(caller)
    }
}

/// The services of the operators' port: FleetService, health, and reflection in the two versions that tools use.
///
/// # Errors
/// The descriptors of the contract cannot be read.
pub fn operators_routes<H: Health>(
    fleet: Fleet,
    health: HealthServer<H>,
) -> Result<Routes, tonic_reflection::server::Error> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(wire::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(Routes::new(FleetServiceServer::new(fleet).max_decoding_message_size(limits::ACCOUNT_REQUEST_BYTES))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}
