//! The contract of Muster: what agents, the collector and operators say to each other.
//!
//! ```text
//!  schema/muster/v1/*.proto ──► wire (generated) ──► convert ──► model ──► canonical ──► digest
//! ```
//!
//! `model` holds the words of the domain and knows no prost; `wire` is generated and untouched; `convert` is the only
//! place where both meet, and names the field that failed. `canonical` is the one byte form of a section and of a
//! look, `limits` every bound of the contract. This crate knows neither agent nor collector.

pub mod canonical;
pub mod convert;
mod error_chain;
pub mod limits;
pub mod model;
pub mod wire;

pub use error_chain::error_chain;
