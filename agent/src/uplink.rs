//! The way to the collector: enrolment, the connection with mutual TLS 1.3, and the delivery of looks.
//!
//! The only room of the agent that sees the wire. Every answer, refusals included, brings a pace; only `revoked` and
//! `unknown` may touch the standing of this host's credentials, and nothing ever deletes them.

mod connect;
mod deliver;
mod enrol;
mod parcel;
mod refusal;
mod token;
mod trust;

pub use connect::{ConnectError, Line, Target, Traffic, handshake, open_tcp, proxy_answer, resolve, tunnel};
pub use deliver::{Delivered, Probe, Run, Versions, probe};
pub use enrol::{enrol, renew};
pub use parcel::{Parcel, ParcelError};
pub use refusal::UplinkError;
pub use token::{Token, TokenError};
pub use trust::{Tls, TlsError, certificate_end, pin_of};

#[cfg(test)]
pub(crate) mod tests;
