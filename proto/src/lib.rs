//! The contract between agents, the collector and operators.
//!
//! ```text
//!  schema/muster/v1/*.proto ──► wire (generated) ──► convert ──► model ──► canonical ──► digest
//! ```
//!
//! `model` has the types of the domain and knows nothing of protobuf. `wire` is generated from the schema and not edited.
//! Only `convert` uses both; its errors name the field that is wrong. `canonical` defines the bytes of sections and
//! snapshots, `limits` the limits of the contract. `error_chain`, `settings`, `suggest` and `terminal` are what
//! agent and collector would otherwise write twice. This crate knows nothing of the agent and the collector.

pub mod canonical;
pub mod convert;
mod error_chain;
pub mod limits;
pub mod model;
pub mod settings;
pub mod suggest;
pub mod terminal;
pub mod wire;

pub use error_chain::error_chain;
