//! The faces: what people and programs see of the collector, and the operators' program.
//!
//! `grpc` holds both gRPC doors' outer layers and FleetService; `admin` is health and metrics over plain HTTP; `cli` is
//! `muster`, which asks FleetService and never opens a database.

mod access;
pub mod grpc;
pub mod probes;
mod status;

pub use access::{Access, Caller};
