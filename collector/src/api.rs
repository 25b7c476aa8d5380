//! The operators' side of the collector: gRPC, and the probes.
//!
//! `grpc` has the access checks of both gRPC ports and FleetService; `probes` is health and metrics over plain HTTP.

mod access;
pub mod grpc;
pub mod probes;
mod resources;
mod status;

pub use access::Access;
pub use resources::ResourceWatch;
