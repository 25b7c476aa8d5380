//! The generated code of `schema/`, untouched. Only `convert` and the doors of agent and collector may see it.

#[expect(missing_docs, clippy::allow_attributes, reason = "generated; the schema carries the documentation")]
mod generated {
    tonic::include_proto!("muster.v1");
}

pub use generated::*;

/// The encoded descriptor set, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
