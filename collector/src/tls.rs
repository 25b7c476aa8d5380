//! The collector's CA, the server certificate and the rustls acceptor.

pub mod authority;

pub use authority::{CertificateAuthority, CertificateFacts, SignError, Signed, ca_pin};

/// The client certificate that the peer showed in the handshake (DER of the leaf), or that it showed none. The
/// acceptor puts it into the extensions of every request; chain and signature are verified, expiry is left to the door.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerCertificate(pub Option<Vec<u8>>);
