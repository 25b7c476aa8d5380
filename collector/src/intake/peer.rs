//! Who calls: from the client certificate that the acceptor has verified to the host that has its key.

use muster_proto::model::Timestamp;
use tonic::Extensions;

use super::Inside;
use super::refuse::Refused;
use crate::store::HostIdentity;
use crate::tls::{CertificateFacts, PeerCertificate};

/// A caller whose key is known.
pub(super) struct Peer {
    pub(super) identity: HostIdentity,
    pub(super) certificate: CertificateFacts,
}

/// The caller, for a method that takes any certificate of a known key.
pub(super) async fn known(inside: &Inside, extensions: &Extensions) -> Result<Peer, Refused> {
    let der = extensions.get::<PeerCertificate>().and_then(|peer| peer.0.as_deref());
    let der = der.ok_or_else(|| Refused::unknown("a client certificate of this collector is needed: enrol first"))?;
    let certificate =
        CertificateFacts::read(der).map_err(|_| Refused::unknown("the client certificate is not readable"))?;
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
