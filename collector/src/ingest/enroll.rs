//! Enrollment: takes a token and a certificate request, returns a certificate and the trust bundle. No answer or log line
//! repeats a token.

use muster_proto::convert::ConvertError;
use muster_proto::model::{EnrollmentToken, HostFacts, HostId, TokenError};
use muster_proto::{limits, wire};
use tonic::Extensions;

use super::Inside;
use super::refuse::Refused;
use crate::store::{Enrolled, Enrollment};
use crate::tls::PeerHandle;

pub(super) async fn enroll(
    inside: &Inside,
    extensions: &Extensions,
    request: wire::EnrollRequest,
) -> Result<wire::EnrollResponse, Refused> {
    let now = inside.now();
    let token = token(&request.token)?;
    let (peer, hash) = (extensions.get::<PeerHandle>(), token.secret.hash());
    peer.map_or(Ok(()), |peer| peer.may_try(&hash)).map_err(|wait| {
        let seconds = wait.as_secs() + 1;
        Refused::later(format!("too many wrong tokens from this address; try again in {seconds} s"))
    })?;
    let facts = request.facts.ok_or(ConvertError::Missing { field: "EnrollRequest.facts" })?;
    let facts = HostFacts::try_from(facts)?;
    if !matches!(request.fingerprint.len(), 0 | 32) {
        return Err(Refused::malformed("EnrollRequest.fingerprint is not valid: it must be empty or 32 bytes"));
    }
    // The request is checked before the store counts a use of the token, so that a bad request costs none.
    let key = inside.authority.inspect(&request.csr)?;
    let address = peer.map(PeerHandle::address);
    let counted = inside.enrollment_rate.take(&token.id, address, now);
    counted.map_err(Refused::too_many_enrollments)?;
    let operation = Enrollment {
        token: token.id.clone(),
        secret_hash: token.secret.hash(),
        key,
        // The store uses this id only for a new key; a repeated request gets the host of its key.
        host: HostId::random(),
        facts,
        fingerprint: request.fingerprint.to_vec(),
        now,
    };
    let enrolled = inside.store.host_enroll(operation).await;
    if !matches!(enrolled, Ok(Enrolled::Host { .. })) {
        inside.enrollment_rate.give_back(&token.id, address);
    }
    let enrolled = enrolled?;
    if let Some(peer) = peer {
        peer.tried(hash, enrolled != Enrolled::TokenUnknown);
    }
    let (host, site) = match enrolled {
        Enrolled::Host { host, site } => (host, site),
        Enrolled::OtherSite { host, site, token_site } => {
            tracing::warn!(
                host.id = %host, host.site = %site, token.id = %token.id, token.site = %token_site,
                "refused to enroll a host of another site than the token's"
            );
            return Err(Refused::other_site(&site, &token_site));
        }
        Enrolled::TokenUnknown => return Err(Refused::unknown("the enrollment token is unknown")),
        Enrolled::TokenExpired => return Err(Refused::denied("the enrollment token has expired")),
        Enrolled::TokenUsedUp => return Err(Refused::denied("the enrollment token is used up")),
        Enrolled::TokenRevoked => return Err(Refused::denied("the enrollment token is revoked")),
        Enrolled::KeyRevoked => return Err(Refused::host_revoked()),
        Enrolled::KeySuperseded => return Err(Refused::superseded()),
    };
    // The store decides first, so that no certificate exists for a token that it refuses.
    let signed = inside.authority.sign_host(&request.csr, host, &site, now)?;
    // The id is the public half of the token; the secret is never logged.
    tracing::info!(host.id = %host, host.site = %site, token.id = %token.id, "enrolled a host");
    Ok(wire::EnrollResponse {
        host_id: host.as_bytes().to_vec().into(),
        certificate: signed.certificate_der.into(),
        trust: Some(inside.trust()),
        pace: Some(inside.pace.into()),
        server_time_ms: now.millis(),
        site: site.as_str().to_owned(),
        certificate_expires_ms: signed.expires_at.millis(),
    })
}

/// Reads the token. The CA pin is for the agent; here it only has to be well-formed.
fn token(text: &str) -> Result<EnrollmentToken, Refused> {
    text.parse().map_err(|error| match error {
        TokenError::TooLong(value) => {
            let field = "EnrollRequest.token";
            ConvertError::Limit { field, value, limit_name: "TOKEN_BYTES", limit: limits::TOKEN_BYTES }.into()
        }
        TokenError::Form(_) | TokenError::Id | TokenError::Secret | TokenError::Pin => {
            Refused::malformed(format!("EnrollRequest.token is not valid: {error}"))
        }
    })
}
