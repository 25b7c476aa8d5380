//! Tokens, enrollment, keys.

use muster_proto::model::{HostFacts, KeyFingerprint, Lane, SiteId, Timestamp};

use super::Backend;
use super::kit::{
    all_judged, assert_healthy, at, enrolled, enrollment, facts, host, host_revoke, key, ledger, new_token, packages,
    reports, site, token_create, token_id, token_list, token_revoke,
};
use crate::ledger::actor::ActorId;
use crate::ledger::entry::Entry;
use crate::store::{Enrolled, Enrollment, KeyRenewal, NewToken, Readmission, Readmitted, Renewed, SiteScope};

/// Host 1 renews its key at this second.
fn renewal(old: KeyFingerprint, new: KeyFingerprint, second: u64) -> KeyRenewal {
    KeyRenewal { host: host(1), old, new, quarantine: false, now: at(second) }
}

pub(crate) async fn a_token_is_listed_used_and_revoked(backend: impl Backend) {
    let store = backend.open();
    token_create(&store, new_token(5)).await.expect("token");
    store.host_enroll(enrollment(1)).await.expect("enrolls");
    let listed = token_list(&store).await;
    assert_eq!((listed.len(), listed[0].uses, listed[0].revoked_at), (1, 1, None));
    assert!(token_revoke(&store, token_id(), 2).await);
    assert!(token_revoke(&store, token_id(), 3).await);
    assert_eq!(token_list(&store).await[0].revoked_at, Some(at(2)), "the first revocation counts");
    assert_eq!(store.host_enroll(enrollment(2)).await.expect("asks"), Enrolled::TokenRevoked);
    let ledger = ledger(&store, 0, 100).await;
    assert_eq!(ledger[0].actor, ActorId::Collector { user: 1 });
    assert_eq!(ledger[1].actor, ActorId::Agent);
    assert!(matches!(ledger[0].entry, Entry::TokenCreated { .. }));
    assert!(matches!(ledger[1].entry, Entry::HostEnrolled { .. }));
    assert!(matches!(ledger[2].entry, Entry::TokenRevoked { .. }));
    assert_eq!(ledger.len(), 3);
    assert!(!token_revoke(&store, "nobody".parse().expect("valid"), 2).await);
}

pub(crate) async fn an_enrollment_needs_a_known_valid_token_with_uses_left(backend: impl Backend) {
    let store = backend.open();
    assert_eq!(store.host_enroll(enrollment(1)).await.expect("asks"), Enrolled::TokenUnknown, "no token at all");
    token_create(&store, new_token(1)).await.expect("token");
    let wrong = Enrollment { secret_hash: [8; 32], ..enrollment(1) };
    assert_eq!(store.host_enroll(wrong).await.expect("asks"), Enrolled::TokenUnknown, "another secret");
    let late = Enrollment { now: at(3600), ..enrollment(1) };
    assert_eq!(store.host_enroll(late).await.expect("asks"), Enrolled::TokenExpired);
    assert_eq!(store.host_count(&SiteScope::All).await.expect("counts"), 0);
    let first = store.host_enroll(enrollment(1)).await.expect("enrolls");
    assert_eq!(first, Enrolled::Host { host: host(1), site: site() });
    assert_eq!(store.host_enroll(enrollment(2)).await.expect("asks"), Enrolled::TokenUsedUp);
    assert_eq!(store.host_count(&SiteScope::All).await.expect("counts"), 1);
    assert_healthy(&store).await;
}

pub(crate) async fn a_repeated_enrollment_gets_the_same_host_and_costs_no_use(backend: impl Backend) {
    let store = backend.open();
    token_create(&store, new_token(1)).await.expect("token");
    store.host_enroll(enrollment(1)).await.expect("enrolls");
    let retry = Enrollment { host: host(77), now: at(9), ..enrollment(1) };
    let answer = store.host_enroll(retry).await.expect("retries");
    assert_eq!(answer, Enrolled::Host { host: host(1), site: site() });
    assert_eq!(token_list(&store).await[0].uses, 1);
    assert_eq!(store.host_count(&SiteScope::All).await.expect("counts"), 1);
    let thief = Enrollment { secret_hash: [8; 32], ..enrollment(1) };
    assert_eq!(store.host_enroll(thief).await.expect("asks"), Enrolled::TokenUnknown, "a key alone opens nothing");
}

pub(crate) async fn a_token_of_another_site_does_not_move_a_host(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let other_site: SiteId = "plant".parse().expect("valid");
    let other = NewToken { id: "tok-2".parse().expect("valid"), site: other_site.clone(), ..new_token(5) };
    token_create(&store, other.clone()).await.expect("token");
    let moved = Enrollment { token: other.id, now: at(10), ..enrollment(1) };
    let refused = Enrolled::OtherSite { host: host(1), site: site(), token_site: other_site };
    assert_eq!(store.host_enroll(moved).await.expect("asks"), refused);
    let uses: Vec<u64> = token_list(&store).await.iter().map(|token| token.uses).collect();
    assert_eq!(uses.iter().sum::<u64>(), 1, "the refusal costs no use");
    assert_eq!(store.host_get(host(1)).await.expect("reads").expect("the host").site, site(), "it keeps its site");
    assert_healthy(&store).await;
}

pub(crate) async fn nothing_of_a_host_is_dated_before_its_enrollment(backend: impl Backend) {
    let store = backend.open();
    token_create(&store, new_token(0)).await.expect("token");
    store.host_enroll(Enrollment { now: at(100), ..enrollment(1) }).await.expect("enrolls");
    // The collector's clock is set back. The agent delivers what it found before it enrolled.
    reports(&store, 1, 1, 20, &[packages(&[("kesl", "12")])]).await;
    all_judged(&store, Lane::Replace, 21).await;
    reports(&store, 1, 2, 30, &[packages(&[("adduser", "3")])]).await;
    all_judged(&store, Lane::Clear, 31).await;
    let kept = store.host_get(host(1)).await.expect("reads").expect("the host");
    let snapshot = kept.snapshot.expect("a snapshot");
    assert_eq!((kept.enrolled_at, kept.last_seen, snapshot.observed_at), (at(100), Some(at(100)), at(100)));
    assert!(snapshot.since >= at(100) && kept.verdicts[0].since >= at(100), "{:?} {:?}", snapshot.since, kept.verdicts);
    let history: Vec<Timestamp> = kept.history.iter().map(|change| change.since).collect();
    assert!(history.len() == 2 && history[0] == at(100) && history[1] > at(100), "{history:?}");
    assert_healthy(&store).await;
}

pub(crate) async fn both_keys_are_valid_until_the_new_one_is_used(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let (old, new) = (key(1), key(101));
    for seconds in [5, 6] {
        // The second one is a retry.
        assert_eq!(store.host_rekey(renewal(old, new, seconds)).await.expect("renews"), Renewed::Host);
    }
    for _ in 0..2 {
        let known = store.host_identify(old).await.expect("asks").expect("the old key is good");
        assert!(known.host == host(1) && !known.superseded && !known.quarantined);
    }
    let known = store.host_identify(new).await.expect("asks").expect("the new key is good");
    assert!(known.host == host(1) && !known.superseded);
    let known = store.host_identify(old).await.expect("asks").expect("the old key is still known");
    assert!(known.superseded, "the new key was used");
    let known = store.host_identify(new).await.expect("asks").expect("the new key stays good");
    assert!(!known.superseded);
    // A copy of the machine, or one that was restored from an old image, shows the old key.
    let refused = store.host_rekey(renewal(old, key(102), 7)).await.expect("asks");
    assert_eq!(refused, Renewed::OldKeySuperseded);
    assert_eq!(store.host_identify(key(102)).await.expect("asks"), None, "it got no key");
    assert_eq!(store.host_enroll(enrollment(1)).await.expect("asks"), Enrolled::KeySuperseded);
    let late = KeyRenewal { quarantine: true, ..renewal(new, key(103), 8) };
    assert_eq!(store.host_rekey(late).await.expect("renews"), Renewed::Host);
    let known = store.host_identify(key(103)).await.expect("asks").expect("known");
    assert!(known.quarantined && !known.superseded);
    assert_healthy(&store).await;
}

pub(crate) async fn a_renewal_by_a_stranger_changes_nothing(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    for (old, new, expected) in [
        (key(2), key(50), Renewed::OldKeyInvalid),
        (key(99), key(50), Renewed::OldKeyInvalid),
        (key(1), key(2), Renewed::NewKeyTaken),
    ] {
        assert_eq!(store.host_rekey(renewal(old, new, 5)).await.expect("asks"), expected);
    }
    assert_eq!(store.host_identify(key(50)).await.expect("asks"), None);
    assert_healthy(&store).await;
}

pub(crate) async fn a_revoked_host_stays_known(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    assert!(!store.host_identify(key(1)).await.expect("asks").expect("known").revoked);
    assert!(host_revoke(&store, host(1), 5).await.expect("revokes"));
    assert!(store.host_identify(key(1)).await.expect("asks").expect("still known").revoked, "and nothing is cached");
    assert_eq!(store.host_enroll(enrollment(1)).await.expect("asks"), Enrolled::KeyRevoked);
    let refused = store.host_rekey(renewal(key(1), key(50), 6)).await.expect("asks");
    assert_eq!(refused, Renewed::OldKeyInvalid, "no new key for it");
    assert!(!host_revoke(&store, host(9), 5).await.expect("asks"));
}

pub(crate) async fn a_host_and_a_key_that_a_restore_has_lost_are_readmitted(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    assert_eq!(store.restoration_list().await.expect("asks"), []);
    let lost = |n: u8, key_no: u8, issued: u64, facts: Option<HostFacts>| Readmission {
        host: host(n),
        site: site(),
        key: key(key_no),
        issued_at: at(issued),
        facts,
        now: at(900),
    };
    // A renewed key. Asked twice, as by two requests at once.
    for _ in 0..2 {
        assert_eq!(store.host_readmit(lost(1, 50, 500, None)).await.expect("asks"), Readmitted::Host);
    }
    let found = store.host_identify(key(50)).await.expect("asks").expect("known");
    assert_eq!((found.host, found.superseded, found.quarantined), (host(1), false, false));
    assert!(store.host_identify(key(1)).await.expect("asks").expect("known").superseded, "as if it had been renewed");
    assert_eq!(store.host_readmit(lost(1, 51, 499, None)).await.expect("asks"), Readmitted::Refused, "an older key");
    // An enrolled host.
    assert_eq!(store.host_readmit(lost(9, 9, 500, None)).await.expect("asks"), Readmitted::FactsWanted);
    let with_facts = lost(9, 9, 500, Some(facts("late")));
    assert_eq!(store.host_readmit(with_facts).await.expect("asks"), Readmitted::Host);
    let found = store.host_identify(key(9)).await.expect("asks").expect("known");
    assert_eq!((found.host, found.site), (host(9), site()));
    assert_eq!(store.host_find("late", &SiteScope::All).await.expect("asks"), [host(9)]);
    assert!(host_revoke(&store, host(9), 901).await.expect("revokes"));
    assert_eq!(store.host_readmit(lost(9, 52, 600, None)).await.expect("asks"), Readmitted::Refused);
    assert_healthy(&store).await;
}
