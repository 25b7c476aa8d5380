//! Access checks of the operators' port: everything except health needs a token.
//!
//! Health needs no token, because load balancers have none and it reveals nothing about the fleet. Reflection needs one:
//! strangers do not need a list of methods, and less code is exposed to them.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Request, Response};
use muster_proto::model::Role;
use muster_proto::wire::{self, fleet_service_server::FleetServiceServer};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};

use super::{Fleet, count, known, method_of, pass, refuse};
use crate::actions::Caller;
use crate::api::Access;
use crate::telemetry::{ListenerName, Metrics};

const SERVICE: &str = "muster.v1.FleetService";
const AGENT_SERVICE: &str = "muster.v1.AgentService";
const HEALTH: &str = "grpc.health.v1.Health";
/// Every method, and the lowest role that may call it.
const METHODS: [(&str, Role); 13] = [
    ("GetStatus", Role::Viewer),
    ("GetBoard", Role::Viewer),
    ("ListHosts", Role::Viewer),
    ("GetHost", Role::Viewer),
    ("ExplainHost", Role::Viewer),
    ("SearchSoftware", Role::Viewer),
    ("ListFindings", Role::Viewer),
    ("ListOrders", Role::Viewer),
    ("ListProducts", Role::Viewer),
    ("GetProduct", Role::Viewer),
    ("CreateEnrollmentToken", Role::Operator),
    ("ListEnrollmentTokens", Role::Viewer),
    ("RevokeEnrollmentToken", Role::Operator),
];

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
        let response = if method_of(&path, HEALTH).is_some() {
            pass(self.routes.clone(), request).await
        } else {
            match self.admit(&path, request.headers()).await {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    pass(self.routes.clone(), request).await
                }
                Err(status) => refuse(status),
            }
        };
        let names = METHODS.map(|(name, _)| name);
        count(
            &self.metrics,
            ListenerName::operators,
            known(method_of(&path, SERVICE), &names),
            &response,
            began.elapsed(),
        );
        response
    }

    async fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Caller, Status> {
        // An agent that was given the wrong port has no token; tell it about the port instead.
        if method_of(path, AGENT_SERVICE).is_some() {
            return Err(Status::unimplemented("this is the operators' port; use the agents' port (7443 by default)"));
        }
        self.access.admit(headers, needed(path)).await
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
    Ok(Routes::new(FleetServiceServer::new(fleet))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}

/// The role that a path needs. An unknown method needs the highest.
fn needed(path: &str) -> Role {
    // Reflection and unknown services tell nothing about the fleet, but they still need a token.
    let Some(method) = method_of(path, SERVICE) else { return Role::Viewer };
    METHODS.iter().find(|(name, _)| *name == method).map_or(Role::Admin, |(_, role)| *role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_contract_has_a_role_and_no_other_has() {
        let schema = include_str!("../../../../proto/schema/muster/v1/fleet.proto");
        let mut declared: Vec<&str> = schema
            .lines()
            .filter_map(|line| line.trim().strip_prefix("rpc "))
            .filter_map(|line| line.split('(').next())
            .collect();
        let mut listed = METHODS.map(|(name, _)| name).to_vec();
        declared.sort_unstable();
        listed.sort_unstable();
        assert_eq!(declared, listed);
    }

    #[test]
    fn methods_that_change_something_are_not_for_viewers() {
        for (method, role) in METHODS {
            let reads = ["Get", "List", "Explain", "Search"].iter().any(|verb| method.starts_with(verb));
            assert_eq!(reads, role == Role::Viewer, "{method}");
        }
        assert_eq!(needed("/muster.v1.FleetService/Tomorrow"), Role::Admin);
        assert_eq!(needed("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"), Role::Viewer);
    }
}
