//! Communication with the collector: enrollment, the connection with mutual TLS 1.3, and the delivery of snapshots.
//!
//! This is the only module of the agent that sees wire types. Every answer of a collector sets the pace, refusals
//! included. Only the refusals `revoked` and `unknown` may mark this host's identity as refused, and nothing here deletes
//! credentials.

mod connect;
mod deliver;
mod delivery;
mod enroll;
mod error;
mod trust;

pub use connect::{ConnectError, Target, Traffic, Transport, handshake, open_tcp, proxy_answer, resolve, tunnel};
pub use deliver::{Delivered, Probe, Run, Versions, probe};
pub use delivery::{Delivery, DeliveryError};
pub use enroll::{enroll, renew};
pub use error::UplinkError;
pub use trust::{Tls, TlsError, certificate_end, pin_of};

#[cfg(test)]
pub(crate) mod tests;
