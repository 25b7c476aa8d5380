//! Who calls: from the client certificate that the acceptor has verified to the host that has its key.

use std::sync::Arc;

use muster_proto::model::Timestamp;
use tonic::Extensions;

use super::Inside;
use super::refuse::Refused;
use crate::store::HostIdentity;
use crate::tls::{CertificateFacts, PeerCertificate};

/// A caller whose key is known.
pub(super) struct Peer {
    pub(super) identity: HostIdentity,
    pub(super) certificate: Arc<CertificateFacts>,
}

/// The caller, for a method that takes any certificate of a known key.
pub(super) async fn known(inside: &Inside, extensions: &Extensions) -> Result<Peer, Refused> {
    let certificate = match extensions.get::<PeerCertificate>() {
        Some(PeerCertificate::Shown(facts)) => Arc::clone(facts),
        Some(PeerCertificate::Unreadable) => return Err(Refused::unknown("the client certificate is not readable")),
        Some(PeerCertificate::None) | None => {
            return Err(Refused::unknown("a client certificate of this collector is needed: enroll first"));
        }
    };
    let identity = inside.store.host_identify(certificate.key).await?;
    let identity =
        identity.ok_or_else(|| Refused::unknown("the collector does not know the key of this certificate"))?;
    if identity.revoked {
        return Err(Refused::revoked("the keys of this host were withdrawn"));
    }
    Ok(Peer { identity, certificate })
}

/// The caller, for a method that needs a certificate in force.
pub(super) async fn in_force(
    inside: &Inside,
    extensions: &Extensions,
    now: Timestamp,
) -> Result<HostIdentity, Refused> {
    let Peer { identity, certificate } = known(inside, extensions).await?;
    if certificate.is_expired(now) {
        return Err(Refused::re_key(format!("the certificate ended at {}: renew it", certificate.expires_at)));
    }
    if identity.superseded {
        return Err(Refused::re_key("the host has a newer key than that of this certificate: renew it"));
    }
    Ok(identity)
}
