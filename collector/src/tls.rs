//! The collector's CA, the server certificate and the rustls acceptor.
//!
//! ```text
//!  ca (files, signs) ─┬─► server certificate ─► resolver ─┐
//!                     └─► client verifier ────────────────┴─► acceptor ─► requests with a PeerCertificate
//! ```
//!
//! TLS 1.3 and HTTP/2 only. A client certificate is optional in the handshake; which method demands one, and whether an
//! expired one will do, is decided at the door.

use std::sync::Arc;

mod acceptor;
pub mod authority;
mod ca;
pub mod disk;
mod server;
mod verifier;

pub use acceptor::{DoorLimits, Listening, TlsDoor, serve};
pub use authority::{CertificateAuthority, CertificateFacts, SignError, Signed, ca_pin};
pub use ca::{Authority, CaError};
pub use server::{ServerCertificate, agents_config, operators_config};

/// The client certificate that the peer showed in the handshake. The acceptor reads it once a connection and puts it
/// into the extensions of every request; chain and signature are verified, expiry is left to the door.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PeerCertificate {
    /// It showed none.
    #[default]
    None,
    /// What it showed cannot be read.
    Unreadable,
    /// What it showed says this.
    Shown(Arc<CertificateFacts>),
}

impl PeerCertificate {
    /// Of the leaf (DER) that was shown.
    #[must_use]
    pub fn of(leaf: Option<&[u8]>) -> Self {
        let Some(der) = leaf else { return Self::None };
        CertificateFacts::read(der).map_or(Self::Unreadable, |facts| Self::Shown(Arc::new(facts)))
    }
}

#[cfg(test)]
mod tests;
