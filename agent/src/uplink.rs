//! The way to the collector: enrollment, the connection with mutual TLS 1.3, and the delivery of scans.
//!
//! The only room of the agent that sees the wire. Every answer, refusals included, brings a pace; only `revoked` and
//! `unknown` may touch the standing of this host's credentials, and nothing ever deletes them.

mod connect;
mod deliver;
mod delivery;
mod enroll;
mod refusal;
mod trust;

pub use connect::{ConnectError, Line, Target, Traffic, handshake, open_tcp, proxy_answer, resolve, tunnel};
pub use deliver::{Delivered, Probe, Run, Versions, probe};
pub use delivery::{Delivery, ParcelError};
pub use enroll::{enroll, renew};
pub use refusal::UplinkError;
pub use trust::{Tls, TlsError, certificate_end, pin_of};

#[cfg(test)]
pub(crate) mod tests;
