//! Actions of operators on hosts, and the marks that they leave.

use std::collections::BTreeMap;

use muster_proto::model::{Budget, EntryKind, HostActionKind, HostMark, SiteId, TokenId};

use super::Backend;
use super::kit::{
    acting, assert_healthy, at, enrolled, enrollment, host, host_action, hosts_asked, key, ledger, new_token, site,
    token_create, token_id,
};
use crate::store::admin::hosts::{HostsMeant, PORTION};
use crate::store::admin::throttled;
use crate::store::{AdminTx, Enrolled, HostQuery, HostSort, KeyRenewal, NewToken, SiteScope, admin};

pub(crate) async fn hosts_of_a_token_are_revoked_in_portions_and_released(backend: impl Backend) {
    let store = backend.open();
    let hosts = u8::try_from(PORTION + 5).expect("few");
    enrolled(&store, hosts).await;
    let other = TokenId::new("tok-2").expect("an id");
    token_create(&store, NewToken { id: other.clone(), ..new_token(0) }).await.expect("creates");
    let stranger = crate::store::Enrollment { token: other, ..enrollment(hosts + 1) };
    assert!(matches!(store.host_enroll(stranger).await, Ok(Enrolled::Host { .. })));
    // Identities that are remembered must not outlive a revocation.
    for n in 1..=hosts + 1 {
        assert!(!store.host_identify(key(n)).await.expect("asks").expect("known").revoked);
    }
    let of_token = |after| HostsMeant::EnrolledWith { token: token_id(), after };
    let first = host_action(&store, acting(5), HostActionKind::Revoke, of_token(0)).await.expect("revokes");
    assert_eq!((first.changed.len(), first.unchanged), (PORTION, 0));
    let after = first.next.expect("there are more");
    let second = host_action(&store, acting(5), HostActionKind::Revoke, of_token(after)).await.expect("revokes");
    assert_eq!((second.changed.len(), second.unchanged, second.next), (5, 0, None));
    for n in 1..=hosts {
        assert!(store.host_identify(key(n)).await.expect("asks").expect("known").revoked, "host {n}");
    }
    assert!(!store.host_identify(key(hosts + 1)).await.expect("asks").expect("known").revoked, "another token");
    let again = host_action(&store, acting(6), HostActionKind::Revoke, of_token(0)).await.expect("asks");
    assert_eq!((again.changed.len(), again.unchanged), (0, PORTION as u64), "it was done already");
    let one = HostsMeant::Named(vec![host(1), host(hosts + 1)]);
    let released = host_action(&store, acting(7), HostActionKind::Release, one).await.expect("releases");
    assert_eq!((released.changed.len(), released.unchanged), (1, 1), "the other one was not revoked");
    assert!(!store.host_identify(key(1)).await.expect("asks").expect("known").revoked);
    let kinds: Vec<EntryKind> = ledger(&store, 0, 1_000).await.iter().map(|row| row.entry.kind()).collect();
    assert_eq!(kinds[kinds.len() - 3..], [EntryKind::HostsRevoked, EntryKind::HostsRevoked, EntryKind::HostsReleased]);
    assert_healthy(&store).await;
}

pub(crate) async fn hosts_are_listed_and_counted_by_their_marks_and_tokens(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 4).await;
    let quarantine = KeyRenewal { host: host(2), old: key(2), new: key(52), quarantine: true, now: at(5) };
    store.host_rekey(quarantine).await.expect("renews");
    let two = HostsMeant::Named(vec![host(2), host(3)]);
    host_action(&store, acting(6), HostActionKind::Revoke, two).await.expect("revokes");
    for sort in [HostSort::Id, HostSort::Name, HostSort::LastSeen] {
        for (marks, expected) in [
            (vec![HostMark::Quarantined], vec![2]),
            (vec![HostMark::Revoked], vec![2, 3]),
            (vec![HostMark::Quarantined, HostMark::Revoked], vec![2, 3]),
        ] {
            let query = HostQuery { marks: marks.clone(), sort, rows: 10, ..HostQuery::default() };
            let found = store.host_list(query.clone()).await.expect("lists");
            let expected: Vec<_> = expected.into_iter().map(host).collect();
            assert_eq!(found.iter().map(|row| row.host).collect::<Vec<_>>(), expected, "{sort:?} {marks:?}");
            assert_eq!(store.host_matches(query).await.expect("counts"), expected.len() as u64);
            let page = HostQuery { marks, sort, rows: 1, after: Some(found[0].key.clone()), ..HostQuery::default() };
            let rest = store.host_list(page).await.expect("lists");
            assert_eq!(rest.iter().map(|row| row.host).collect::<Vec<_>>(), expected[1..], "the next page");
        }
        let query = HostQuery { enrolled_with: Some(token_id()), sort, rows: 10, ..HostQuery::default() };
        let found = store.host_list(query.clone()).await.expect("lists");
        assert_eq!((found.len(), store.host_matches(query).await.expect("counts")), (4, 4));
        let marks: Vec<_> = found.iter().map(|row| row.marks.clone()).collect();
        let both = vec![HostMark::Quarantined, HostMark::Revoked];
        assert_eq!(marks, [Vec::new(), both, vec![HostMark::Revoked], Vec::new()]);
        let nobody = TokenId::new("nobody").expect("an id");
        let none = HostQuery { enrolled_with: Some(nobody), sort, rows: 10, ..HostQuery::default() };
        assert!(store.host_list(none).await.expect("lists").is_empty());
    }
    let shown = store.host_get(host(2)).await.expect("gets").expect("is there");
    assert_eq!(shown.enrolled_with, Some(token_id()));
    let marks: Vec<_> = shown.marks.iter().map(|mark| (mark.mark, mark.since, mark.reason.as_str())).collect();
    assert_eq!(marks, [(HostMark::Quarantined, at(5), ""), (HostMark::Revoked, at(6), "a test")]);
    let count = |sites: SiteScope| {
        let count = move |tx: &mut dyn AdminTx| admin::hosts::count(tx, &sites);
        admin::read(store.as_ref(), "marks_count", count)
    };
    let all = BTreeMap::from([(HostMark::Quarantined, 1), (HostMark::Revoked, 2)]);
    assert_eq!(count(SiteScope::All).await.expect("counts"), all);
    let elsewhere = SiteScope::Only(vec![SiteId::new("elsewhere").expect("a site")]);
    assert_eq!(count(elsewhere).await.expect("counts"), BTreeMap::new());
    host_action(&store, acting(8), HostActionKind::Release, HostsMeant::Named(vec![host(2)])).await.expect("releases");
    assert_eq!(count(SiteScope::All).await.expect("counts"), BTreeMap::from([(HostMark::Revoked, 1)]));
    let identity = store.host_identify(key(52)).await.expect("asks").expect("known");
    assert!(!identity.quarantined && !identity.revoked);
    assert_healthy(&store).await;
}

pub(crate) async fn only_hosts_of_the_callers_sites_are_changed(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    for (sites, changed) in [(SiteId::new("elsewhere").expect("a site"), 0), (site(), 1)] {
        for hosts in [HostsMeant::Named(vec![host(1)]), HostsMeant::EnrolledWith { token: token_id(), after: 0 }] {
            let by_token = matches!(hosts, HostsMeant::EnrolledWith { .. });
            let mut asked = hosts_asked(HostActionKind::Revoke, hosts, at(5));
            asked.sites = SiteScope::Only(vec![sites.clone()]);
            let act = move |tx: &mut dyn AdminTx| admin::hosts::act(tx, &asked);
            let done = admin::write(store.as_ref(), "host_action", acting(5), act).await.expect("asks");
            let expected = if by_token { (changed > 0).then_some(0) } else { Some(changed) };
            assert_eq!(done.map(|done| done.changed.len()), expected, "{sites}");
        }
    }
}

pub(crate) async fn a_throttled_host_is_marked_and_recorded_once_a_day(backend: impl Backend) {
    const HOUR: u64 = 3600;
    let store = backend.open();
    enrolled(&store, 3).await;
    let spent = async |number, budget, seconds| {
        let mark = move |tx: &mut dyn AdminTx| throttled::mark(tx, &[host(number), host(99)], budget, at(seconds));
        admin::write(store.as_ref(), "mark", acting(seconds), mark).await.expect("marks");
    };
    let ended = async |seconds| {
        let unmark = move |tx: &mut dyn AdminTx| throttled::unmark(tx, at(seconds));
        admin::write(store.as_ref(), "unmark", acting(seconds), unmark).await.expect("takes marks")
    };
    let marks = async |n| store.host_get(host(n)).await.expect("gets").expect("there").marks;
    for hour in 1..=20 {
        assert_eq!(ended(hour * HOUR).await, 0);
        spent(1, Budget::HostEditions, hour * HOUR).await;
        spent(2, Budget::HostBytes, hour * HOUR).await;
    }
    let first = marks(1).await;
    assert_eq!((first[0].mark, first[0].since), (HostMark::Throttled, at(HOUR)), "since the first time");
    assert!(first[0].reason.starts_with("it has spent budgets.host_editions_per_hour;"), "{:?}", first[0].reason);
    assert_eq!(marks(3).await, []);
    let count = move |tx: &mut dyn AdminTx| admin::hosts::count(tx, &SiteScope::All);
    let counts = admin::read(store.as_ref(), "counts", count).await.expect("counts");
    assert_eq!(counts, BTreeMap::from([(HostMark::Throttled, 2)]));
    // A day later the mark is set anew for the one that goes on, and the other one loses it.
    assert_eq!(ended(26 * HOUR).await, 2);
    spent(1, Budget::HostBytes, 26 * HOUR).await;
    assert_eq!((marks(1).await[0].since, marks(2).await), (at(26 * HOUR), Vec::new()));
    let kinds: Vec<EntryKind> = ledger(&store, 0, 1_000).await.iter().map(|row| row.entry.kind()).collect();
    let (set, ended) = (EntryKind::HostsThrottled, EntryKind::ThrottlingEnded);
    assert_eq!(kinds[kinds.len() - 4..], [set, set, ended, set], "one for each budget and day");
    assert_healthy(&store).await;
}
