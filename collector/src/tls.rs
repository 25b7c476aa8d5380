//! The collector's CA, the server certificate and the rustls acceptor.
//!
//! ```text
//!  ca (files, signs) ─┬─► server certificate ─► resolver ─┐
//!                     └─► client verifier ────────────────┴─► acceptor ─► requests with a PeerCertificate
//! ```
//!
//! TLS 1.3 and HTTP/2 only. A client certificate is optional in the handshake; which method demands one, and whether an
//! expired one will do, is decided at the door.

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

/// The client certificate that the peer showed in the handshake (DER of the leaf), or that it showed none. The
/// acceptor puts it into the extensions of every request; chain and signature are verified, expiry is left to the door.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerCertificate(pub Option<Vec<u8>>);

#[cfg(test)]
mod tests;
