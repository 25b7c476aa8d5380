//! Enrollment: whether a token admits a host, and whether the host is new.

use muster_proto::model::{SiteId, Timestamp, TokenStatus};
use subtle::ConstantTimeEq as _;

use crate::ledger::entry::Entry;
use crate::store::{Enrolled, Enrollment, HostIdentity};

/// The enrollment token that a request names, as it is stored. `No` is the backend's row number of a site or a token.
#[derive(Debug, Clone)]
pub(in crate::store) struct StoredToken<No> {
    /// The token's own row.
    pub(in crate::store) no: No,
    /// SHA-256 of the secret.
    pub(in crate::store) secret_hash: [u8; 32],
    pub(in crate::store) site_no: No,
    pub(in crate::store) site: SiteId,
    pub(in crate::store) expires_at: Timestamp,
    /// 0 means any number of uses.
    pub(in crate::store) max_uses: u64,
    pub(in crate::store) uses: u64,
    pub(in crate::store) is_revoked: bool,
}

/// What an enrollment writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum EnrollDecision<No> {
    /// Nothing: the request is refused, or repeats one that was granted.
    Answer(Enrolled),
    /// Count one use of the token, and create the host with its key, its place in the judge queue and the ledger entry.
    Create { token_no: No, site_no: No, entry: Entry, answer: Enrolled },
}

/// Decides an enrollment from the token that it names and from the host that already has its key, if any.
pub(in crate::store) fn enroll<No>(
    request: &Enrollment,
    token: Option<StoredToken<No>>,
    key_holder: Option<HostIdentity>,
) -> EnrollDecision<No> {
    use EnrollDecision::Answer;

    // Constant time, and the same answer as for an unknown token: neither says how much of a guess is right.
    let Some(token) = token.filter(|token| bool::from(token.secret_hash.ct_eq(&request.secret_hash))) else {
        return Answer(Enrolled::TokenUnknown);
    };
    let status = TokenStatus::of(token.is_revoked, token.expires_at, token.uses, token.max_uses, request.now);
    match status {
        TokenStatus::Revoked => return Answer(Enrolled::TokenRevoked),
        TokenStatus::Expired => return Answer(Enrolled::TokenExpired),
        TokenStatus::UsedUp | TokenStatus::Valid => {}
    }
    // A known key is a retry whose first answer was lost. It gets the same host and costs no use of the token, so it
    // succeeds even after the last use.
    if let Some(holder) = key_holder {
        return Answer(if holder.revoked {
            Enrolled::KeyRevoked
        } else if holder.superseded {
            // A copy of an old state. The host itself has a newer key, and would not get this one's certificate.
            Enrolled::KeySuperseded
        } else if holder.site != token.site {
            // A site bounds what accounts see and do. The holder of a token must not move a host from one to another, and
            // an agent that was told to join another site must not take its old site for success.
            Enrolled::OtherSite { host: holder.host, site: holder.site, token_site: token.site }
        } else {
            Enrolled::Host { host: holder.host, site: holder.site }
        });
    }
    if status == TokenStatus::UsedUp {
        return Answer(Enrolled::TokenUsedUp);
    }
    let entry = Entry::HostEnrolled { host: request.host, site: token.site.clone(), token: request.token.clone() };
    EnrollDecision::Create {
        token_no: token.no,
        site_no: token.site_no,
        entry,
        answer: Enrolled::Host { host: request.host, site: token.site },
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{HostFacts, HostId, KeyFingerprint, MachineIdentity, Platform, TokenId};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn facts() -> HostFacts {
        HostFacts {
            hostname: "web-1".to_owned(),
            platform: Platform::Linux,
            os_name: String::new(),
            kernel: String::new(),
            architecture: String::new(),
            agent_version: String::new(),
            offline_root: false,
            identity: MachineIdentity::default(),
        }
    }

    fn request() -> Enrollment {
        Enrollment {
            token: TokenId::new("abc").expect("an id"),
            secret_hash: [7; 32],
            key: KeyFingerprint::from_bytes([9; 32]),
            host: HostId::from_bytes([1; 16]),
            facts: facts(),
            fingerprint: Vec::new(),
            now: NOW,
        }
    }

    fn token() -> StoredToken<i64> {
        StoredToken {
            no: 5,
            secret_hash: [7; 32],
            site_no: 3,
            site: SiteId::new("berlin").expect("a site"),
            expires_at: Timestamp::from_millis(2_000_000),
            max_uses: 1,
            uses: 0,
            is_revoked: false,
        }
    }

    fn holder(revoked: bool) -> HostIdentity {
        HostIdentity {
            host: HostId::from_bytes([2; 16]),
            site: SiteId::new("paris").expect("a site"),
            revoked,
            quarantined: false,
            superseded: false,
        }
    }

    fn answer(token: Option<StoredToken<i64>>, key_holder: Option<HostIdentity>) -> Enrolled {
        match enroll(&request(), token, key_holder) {
            EnrollDecision::Answer(answer) => answer,
            EnrollDecision::Create { answer, .. } => panic!("creates a host: {answer:?}"),
        }
    }

    #[test]
    fn a_valid_token_creates_the_host_on_its_site() {
        let EnrollDecision::Create { token_no, site_no, answer, entry } = enroll(&request(), Some(token()), None)
        else {
            panic!("refused");
        };
        assert_eq!((token_no, site_no), (5, 3));
        assert_eq!(answer, Enrolled::Host { host: request().host, site: token().site });
        assert!(matches!(entry, Entry::HostEnrolled { host, .. } if host == request().host));
    }

    #[test]
    fn a_missing_token_and_a_wrong_secret_get_the_same_answer() {
        assert_eq!(answer(None, None), Enrolled::TokenUnknown);
        assert_eq!(answer(Some(StoredToken { secret_hash: [8; 32], ..token() }), None), Enrolled::TokenUnknown);
    }

    #[test]
    fn a_revoked_or_expired_token_admits_nobody_not_even_a_known_key() {
        let revoked = StoredToken { is_revoked: true, expires_at: NOW, ..token() };
        assert_eq!(answer(Some(revoked), Some(holder(false))), Enrolled::TokenRevoked);
        let expired = StoredToken { expires_at: NOW, ..token() };
        assert_eq!(answer(Some(expired), Some(holder(false))), Enrolled::TokenExpired);
    }

    #[test]
    fn a_used_up_token_still_answers_a_retry_with_the_same_host() {
        let used_up = StoredToken { uses: 1, ..token() };
        assert_eq!(answer(Some(used_up.clone()), None), Enrolled::TokenUsedUp);
        let known = HostIdentity { site: token().site, ..holder(false) };
        assert_eq!(answer(Some(used_up), Some(known.clone())), Enrolled::Host { host: known.host, site: known.site });
    }

    #[test]
    fn a_token_of_another_site_does_not_move_a_host_and_names_both_sites() {
        let known = holder(false);
        let expected = Enrolled::OtherSite { host: known.host, site: known.site.clone(), token_site: token().site };
        assert_eq!(answer(Some(token()), Some(known)), expected);
    }

    #[test]
    fn a_revoked_key_cannot_enroll_again() {
        assert_eq!(answer(Some(token()), Some(holder(true))), Enrolled::KeyRevoked);
    }

    #[test]
    fn a_key_that_was_replaced_cannot_enroll_again() {
        let copied = HostIdentity { site: token().site, superseded: true, ..holder(false) };
        assert_eq!(answer(Some(token()), Some(copied)), Enrolled::KeySuperseded);
    }

    #[test]
    fn a_token_without_a_limit_is_never_used_up() {
        let unlimited = StoredToken { max_uses: 0, uses: 1_000_000, ..token() };
        assert!(matches!(enroll(&request(), Some(unlimited), None), EnrollDecision::Create { .. }));
    }
}
