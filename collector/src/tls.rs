//! The collector's CA, the server certificate and the rustls acceptor.
//!
//! ```text
//!  ca (files, signs) ─┬─► server certificate ─► resolver ─┐
//!                     └─► client verifier ────────────────┴─► acceptor ─► requests with a PeerCertificate
//! ```
//!
//! The operators' port may have the company's own certificate instead: `company`.
//!
//! TLS 1.3 and HTTP/2 only. A client certificate is optional in the handshake. `api::grpc` decides which methods need one
//! and which accept an expired one.

use std::sync::Arc;

mod acceptor;
mod activity;
mod addresses;
mod admission;
pub mod authority;
mod ca;
mod ca_error;
mod company;
pub mod disk;
mod gatekeeper;
mod guesses;
mod plain;
mod server;
mod verifier;

pub use acceptor::{ListenerLimits, Listening, TlsListener, serve};
pub use activity::TimeBounds;
pub use addresses::AddressKey;
pub use admission::AdmissionBounds;
pub use authority::{CertificateAuthority, CertificateFacts, SignError, Signed, ca_pin};
pub use ca::Authority;
pub use ca_error::{CaError, how_to_restore};
pub use company::{CompanyCertificate, CompanyCertificateError, CompanyReload};
pub use gatekeeper::{PeerBounds, PeerHandle};
pub use guesses::GuessBounds;
pub use plain::{PlainListener, serve_plain};
pub use server::{ServerCertificate, ServerKeyOrigin, agents_config, operators_config};

/// The client certificate of a peer. The acceptor reads it once per connection and puts it into the extensions of every
/// request. Chain and signature are verified; expiry is not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PeerCertificate {
    /// The peer sent no certificate.
    #[default]
    None,
    /// The certificate cannot be read.
    Unreadable,
    /// The content of the certificate.
    Shown(Arc<CertificateFacts>),
}

impl PeerCertificate {
    /// Reads the leaf certificate (DER).
    #[must_use]
    pub fn of(leaf: Option<&[u8]>) -> Self {
        let Some(der) = leaf else { return Self::None };
        CertificateFacts::read(der).map_or(Self::Unreadable, |facts| Self::Shown(Arc::new(facts)))
    }
}

#[cfg(test)]
mod tests;
