//! Finds the host that calls, by the key of its verified client certificate.

use std::sync::Arc;

use muster_proto::model::Timestamp;
use muster_proto::wire;
use tonic::Extensions;

use super::Inside;
use super::readmit::readmit;
use super::refuse::Refused;
use crate::store::HostIdentity;
use crate::tls::{CertificateFacts, PeerCertificate};

/// A caller whose key is known.
pub(super) struct Peer {
    pub(super) identity: HostIdentity,
    pub(super) certificate: Arc<CertificateFacts>,
}

/// The caller, for methods that accept an expired certificate. `facts` are those of the request, for a host that a
/// restore has lost.
pub(super) async fn known(
    inside: &Inside,
    extensions: &Extensions,
    facts: Option<&wire::HostFacts>,
    now: Timestamp,
) -> Result<Peer, Refused> {
    let certificate = match extensions.get::<PeerCertificate>() {
        Some(PeerCertificate::Shown(facts)) => Arc::clone(facts),
        Some(PeerCertificate::Unreadable) => return Err(Refused::unknown("the client certificate cannot be read")),
        Some(PeerCertificate::None) | None => {
            return Err(Refused::unknown("this call needs a client certificate of this collector; enroll first"));
        }
    };
    let mut identity = inside.store.host_identify(certificate.key).await?;
    if identity.is_none() && readmit(inside, &certificate, facts, now).await? {
        identity = inside.store.host_identify(certificate.key).await?;
    }
    let identity =
        identity.ok_or_else(|| Refused::unknown("the key of this certificate is unknown to the collector"))?;
    // Both are asked here and not in `in_force`, because such a host must not renew either.
    if identity.revoked {
        return Err(Refused::host_revoked());
    }
    // A key is superseded when a newer one is used, so a lost answer to a renewal does not shut the host out. A renewal
    // would take the host from the machine that has the newer key.
    if identity.superseded {
        return Err(Refused::superseded());
    }
    Ok(Peer { identity, certificate })
}

/// The caller, for methods that need a valid certificate.
pub(super) async fn in_force(
    inside: &Inside,
    extensions: &Extensions,
    facts: Option<&wire::HostFacts>,
    now: Timestamp,
) -> Result<HostIdentity, Refused> {
    let Peer { identity, certificate } = known(inside, extensions, facts, now).await?;
    if certificate.is_expired(now) {
        return Err(Refused::re_key(format!("the certificate expired at {}; renew it", certificate.expires_at)));
    }
    Ok(identity)
}
