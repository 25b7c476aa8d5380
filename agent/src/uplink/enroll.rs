//! Enrollment with a token, and renewal of the certificate. Both can be repeated safely: the same key is the same host.

use std::sync::Arc;

use bytes::Bytes;
use muster_proto::model::{EnrollmentToken, HostFacts, HostId, SiteId, Timestamp};
use muster_proto::wire;

use super::connect::{Target, Traffic, client};
use super::error::UplinkError;
use super::trust::{Tls, is_usable, pin_of, public_key, trust_of};
use crate::identity::{Identity, Key};

/// Enrolls this host with a token.
///
/// # Errors
/// The collector cannot be reached, does not match the token's CA pin, refuses, or answers with something invalid.
pub async fn enroll(
    target: &Target,
    token: &EnrollmentToken,
    key: &Key,
    facts: HostFacts,
    fingerprint: Option<[u8; 32]>,
    now: Timestamp,
) -> Result<Identity, UplinkError> {
    let tls = Tls::by_pin(token.ca_pin)?;
    let mut client = client(target, &tls, &Arc::new(Traffic::default())).await?;
    let request = wire::EnrollRequest {
        token: token.to_string(),
        csr: Bytes::from(key.request()?),
        facts: Some(facts.into()),
        fingerprint: fingerprint.map_or_else(Bytes::new, |bytes| Bytes::copy_from_slice(&bytes)),
    };
    let answer = client.enroll(request).await.map_err(|status| UplinkError::of_status("Enroll", &status))?;
    let answer = answer.into_inner();
    let host_id = HostId::try_from(answer.host_id.as_ref()).map_err(|error| invalid("Enroll", &error))?;
    let site = SiteId::new(answer.site).map_err(|error| invalid("Enroll", &error))?;
    check_certificate("Enroll", &answer.certificate, key)?;
    let trust = answer.trust.map(trust_of).unwrap_or_default();
    // From here on only the bundle is trusted, so it must contain the CA that the token vouches for.
    let pinned = |certificate: &Vec<u8>| pin_of(certificate) == Some(token.ca_pin);
    if !trust.certificates.iter().any(pinned) {
        return Err(invalid("Enroll", &"the trust bundle does not contain the CA that the token pins"));
    }
    Ok(Identity {
        host_id,
        site,
        collector: target.url.clone(),
        key: key.number(),
        certificate: answer.certificate.to_vec(),
        issued: now,
        expires: Timestamp::from_millis(answer.certificate_expires_ms),
        trust,
        refused: None,
        previous: None,
    })
}

/// Renews the certificate of this host with a new key. The returned identity remembers the old key and certificate.
///
/// The request carries the old certificate and a proof of its key, because a server may reject an expired certificate
/// in the handshake. With `in_handshake` false the old certificate is not shown there.
///
/// # Errors
/// The collector cannot be reached, refuses, or answers with something invalid.
pub async fn renew(
    target: &Target,
    identity: &Identity,
    old: &Key,
    new: &Key,
    in_handshake: bool,
    now: Timestamp,
) -> Result<Identity, UplinkError> {
    let tls = Tls::by_identity(identity, in_handshake.then_some(old))?;
    let mut client = client(target, &tls, &Arc::new(Traffic::default())).await?;
    let csr = new.request()?;
    // The prefix makes sure that a signature for anything else is never valid as a renewal.
    let proof = old.sign(&[b"muster-renew-1".as_slice(), &csr].concat())?;
    let request = wire::RenewRequest {
        csr: Bytes::from(csr),
        old_certificate: Bytes::copy_from_slice(&identity.certificate),
        proof: Bytes::from(proof),
    };
    let answer = client.renew(request).await.map_err(|status| UplinkError::of_status("Renew", &status))?;
    let answer = answer.into_inner();
    check_certificate("Renew", &answer.certificate, new)?;
    if answer.quarantined {
        tracing::warn!(
            "the certificate was renewed after it had expired; an operator must release this host from quarantine"
        );
    }
    // The renewal must not fail because of a bad bundle: the current one still works.
    let trust = answer.trust.map(trust_of).filter(is_usable).unwrap_or_else(|| identity.trust.clone());
    Ok(Identity {
        key: new.number(),
        certificate: answer.certificate.to_vec(),
        issued: now,
        expires: Timestamp::from_millis(answer.certificate_expires_ms),
        trust,
        previous: Some((identity.key, identity.certificate.clone())),
        ..identity.clone()
    })
}

fn check_certificate(method: &'static str, certificate: &[u8], key: &Key) -> Result<(), UplinkError> {
    match public_key(certificate) {
        Some(public) if public == key.public() => Ok(()),
        Some(_) => Err(invalid(method, &"the certificate is for a different key")),
        None => Err(invalid(method, &"the certificate cannot be parsed")),
    }
}

fn invalid(method: &'static str, what: &dyn std::fmt::Display) -> UplinkError {
    UplinkError::Answer { method, what: what.to_string() }
}
