//! The operators' side of the collector: gRPC, pages, and the probes.
//!
//! `methods` says who may call which method of FleetService; `grpc` has the access checks of both gRPC ports and FleetService; `web` has the pages of the operators' port, and `port`
//! chooses between the two; `probes` is health and metrics over plain HTTP.

mod access;
mod client_address;
pub mod grpc;
mod methods;
mod port;
pub mod probes;
mod resources;
mod status;
pub mod web;

pub use access::Access;
pub use client_address::TrustedProxies;
pub use port::OperatorsPort;
pub use resources::ResourceWatch;
