//! Renewal: a new certificate for the same host, proven by the old key. An expired certificate is renewed into quarantine
//! instead of being refused, because a laptop may be off for a year.

use muster_proto::wire;
use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};
use tonic::Extensions;

use super::refuse::Refused;
use super::{Inside, peer};
use crate::store::{KeyRenewal, Renewed};
use crate::tls::CertificateFacts;

/// Prefix of the signed message, so that a signature made for another purpose is not valid here.
const PURPOSE: &[u8] = b"muster-renew-1";

pub(super) async fn renew(
    inside: &Inside,
    extensions: &Extensions,
    request: wire::RenewRequest,
) -> Result<wire::RenewResponse, Refused> {
    let now = inside.now();
    let peer::Peer { identity, certificate } = peer::known(inside, extensions, None, now).await?;
    // Before anything is signed: a signature costs more than this, and each new key leaves a ledger entry.
    let within = inside.budgets.renewal(identity.host, now);
    within.map_err(|spent| inside.over_budget(identity.host, spent))?;
    let new_key = inside.authority.inspect(&request.csr)?;
    if !request.old_certificate.is_empty() {
        let shown = CertificateFacts::read(&request.old_certificate).map(|facts| facts.key);
        if shown.ok() != Some(certificate.key) {
            return Err(Refused::malformed(
                "RenewRequest.old_certificate differs from the certificate of this connection",
            ));
        }
    }
    if !is_proven(&certificate, &request.csr, &request.proof) {
        return Err(Refused::malformed("RenewRequest.proof is not a signature of the old key over this request"));
    }
    // Quarantine is inherited; otherwise a second renewal would end it.
    let quarantined = certificate.is_expired(now) || identity.quarantined;
    // Signing comes before the new key is stored: if it fails, the old key is still the host's.
    let signed = inside.authority.sign_host(&request.csr, identity.host, &identity.site, now)?;
    let renewal = KeyRenewal { host: identity.host, old: certificate.key, new: new_key, quarantine: quarantined, now };
    match inside.store.host_rekey(renewal).await? {
        Renewed::Host => {}
        Renewed::NewKeyTaken => {
            return Err(Refused::malformed("RenewRequest.csr has the key of another host; make a new key"));
        }
        // The key was revoked or replaced since this call found its host.
        Renewed::OldKeyInvalid => return Err(Refused::host_revoked()),
        Renewed::OldKeySuperseded => return Err(Refused::superseded()),
    }
    tracing::info!(host.id = %identity.host, quarantined, "renewed the certificate of a host");
    Ok(wire::RenewResponse {
        certificate: signed.certificate_der.into(),
        trust: Some(inside.trust()),
        pace: Some(inside.pace.into()),
        server_time_ms: now.millis(),
        certificate_expires_ms: signed.expires_at.millis(),
        quarantined,
    })
}

fn is_proven(old: &CertificateFacts, csr: &[u8], proof: &[u8]) -> bool {
    let message = [PURPOSE, csr].concat();
    // Ed25519 keys have 32 bytes; any other key is P-256, because no other type is signed.
    if old.public_key.len() == 32 {
        UnparsedPublicKey::new(&ED25519, &old.public_key).verify(&message, proof).is_ok()
    } else {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &old.public_key).verify(&message, proof).is_ok()
    }
}
