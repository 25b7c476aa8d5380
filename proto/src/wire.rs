//! Code generated from `schema/`. Only `convert` and the modules that send and receive messages may use it.

#[expect(missing_docs, clippy::allow_attributes, reason = "generated; the documentation is in the schema")]
mod generated {
    tonic::include_proto!("muster.v1");
}

pub use generated::*;

/// The encoded descriptor set, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
