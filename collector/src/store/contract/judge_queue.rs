//! The judge queue, verdicts, tally and hits.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_proto::model::{Cause, Digest, Evidence, Kind, Lane, LaneChange, Presence, ProductId, SourceName};

use super::Backend;
use super::kit::{
    all_judged, assert_healthy, at, check_in, enrolled, host, judged, judgement, ledger, order, packages, part,
    reports, settled, settled_under, state,
};
use crate::judge::{Hit, Remediation, Removal, Strength};
use crate::ledger::entry::Entry;
use crate::store::{CheckIn, JudgedOrder, LaneTally, Settlement, SiteScope};

fn lane_change(second: u64, lane: Lane, cause: Cause) -> LaneChange {
    LaneChange { order: order(), since: at(second), lane, cause }
}

pub(crate) async fn a_host_waits_for_judgement_from_its_enrollment_on(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 3).await;
    let depth = store.queue_depth().await.expect("asks");
    assert_eq!((depth.waiting, depth.oldest), (3, Some(at(1))));
    let claimed = store.queue_claim(2, at(2)).await.expect("claims");
    assert_eq!(claimed.len(), 2);
    assert!(
        claimed
            .iter()
            .all(|host| host.snapshot.is_none() && host.last_seen == Some(at(1)) && host.remediations.is_empty())
    );
    all_judged(&store, Lane::Unknown, 3).await;
    let judgements = claimed.iter().map(|host| judgement(host, vec![judged(Lane::Unknown)])).collect();
    settled(&store, judgements, at(4)).await;
    assert_eq!(store.queue_depth().await.expect("asks").waiting, 0);
    let all = [packages(&[("adduser", "3.134")])];
    reports(&store, 1, 1, 10, &all).await;
    let claimed = store.queue_claim(9, at(11)).await.expect("claims");
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].snapshot.map(|(_, received)| received), Some(at(10)));
    assert_eq!(claimed[0].last_seen, Some(at(10)));
    assert_eq!(claimed[0].remediations, BTreeMap::from([(order(), Remediation::default())]));
}

pub(crate) async fn a_judgement_of_an_older_snapshot_is_not_written(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    reports(&store, 1, 1, 10, &[packages(&[("kesl", "12")])]).await;
    let older = store.queue_claim(9, at(11)).await.expect("claims");
    reports(&store, 1, 2, 12, &[packages(&[("adduser", "3")])]).await;
    settled(&store, vec![judgement(&older[0], vec![judged(Lane::Replace)])], at(13)).await;
    assert!(store.host_get(host(1)).await.expect("gets").expect("there").verdicts.is_empty());
    assert_eq!(store.queue_depth().await.expect("asks").waiting, 1, "it still waits");
    let newer = store.queue_claim(9, at(14)).await.expect("claims");
    assert_ne!(newer[0].ticket, older[0].ticket);
    settled(&store, vec![judgement(&newer[0], vec![judged(Lane::Clear)])], at(15)).await;
    let verdicts = store.host_get(host(1)).await.expect("gets").expect("there").verdicts;
    assert_eq!(verdicts[0].awake_lane, Lane::Clear);
    assert_healthy(&store).await;
}

pub(crate) async fn a_claim_is_not_given_twice_until_it_is_old(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    assert_eq!(store.queue_claim(9, at(2)).await.expect("claims").len(), 1);
    assert_eq!(store.queue_claim(9, at(30)).await.expect("claims").len(), 0);
    assert_eq!(store.queue_claim(9, at(62)).await.expect("claims").len(), 1, "its holder is stuck");
    store.close().await.expect("closes");
    let store = backend.open();
    assert_eq!(store.queue_claim(9, at(63)).await.expect("claims").len(), 1, "its holder is gone");
}

pub(crate) async fn a_lane_change_is_in_history_tally_and_ledger(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    all_judged(&store, Lane::Unknown, 5).await;
    let told = CheckIn { state: Some(state("boot-1")), ..check_in(1, 1, 6, &[]) };
    store.check_in(told).await.expect("checks in");
    all_judged(&store, Lane::Unknown, 7).await;
    reports(&store, 1, 2, 10, &[packages(&[("kesl", "12")])]).await;
    let claimed = store.queue_claim(9, at(11)).await.expect("claims");
    let installed = JudgedOrder { presence: Presence::Installed, ..judged(Lane::Replace) };
    settled(&store, vec![judgement(&claimed[0], vec![installed])], at(11)).await;
    let kept = store.host_get(host(1)).await.expect("gets").expect("there");
    let verdict = &kept.verdicts[0];
    assert_eq!(
        (verdict.awake_lane, verdict.since, verdict.reason.as_str()),
        (Lane::Replace, at(11), "it is in replace")
    );
    let first = lane_change(5, Lane::Unknown, Cause::Enrolled);
    assert_eq!(kept.history, [first, lane_change(11, Lane::Replace, Cause::Installed)]);
    let tally = store.lane_tally(&order(), &SiteScope::All, at(0), at(0)).await.expect("tallies").hosts();
    let expected = BTreeMap::from([((Lane::Unknown, false), 1), ((Lane::Replace, false), 1)]);
    assert_eq!(tally, LaneTally { in_scope: expected, ..LaneTally::default() });
    let changes: Vec<(Option<Lane>, Option<Lane>, Cause)> = (ledger(&store, 0, 100).await.iter())
        .filter_map(|row| {
            let Entry::LanesChanged { hosts, changes, .. } = &row.entry else { return None };
            hosts.contains(&host(1)).then(|| (changes[0].from, changes[0].to, changes[0].cause))
        })
        .collect();
    let expected =
        [(None, Some(Lane::Unknown), Cause::Enrolled), (Some(Lane::Unknown), Some(Lane::Replace), Cause::Installed)];
    assert_eq!(changes, expected);
    assert_healthy(&store).await;
}

pub(crate) async fn new_rules_explain_their_own_judgement_and_none_after_it(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let installed = || JudgedOrder { presence: Presence::Installed, ..judged(Lane::Replace) };
    for (seq, second, rules, judged) in [
        (1, 10, "r1", judged(Lane::Clear)),
        // The same answer writes no verdict, but these rules have judged the host.
        (2, 20, "r2", judged(Lane::Clear)),
        (3, 30, "r2", installed()),
        (4, 40, "r3", judged(Lane::Clear)),
    ] {
        store.rules_adopt(rules, at(second)).await.expect("adopts");
        reports(&store, 1, seq, second, &[packages(&[("bash", &format!("5.{seq}"))])]).await;
        let claimed = store.queue_claim(9, at(second)).await.expect("claims");
        settled_under(rules, &store, vec![judgement(&claimed[0], vec![judged])], at(second)).await;
    }
    let kept = store.host_get(host(1)).await.expect("gets").expect("there");
    let expected = [
        lane_change(10, Lane::Clear, Cause::Enrolled),
        lane_change(30, Lane::Replace, Cause::Installed),
        lane_change(40, Lane::Clear, Cause::Rules),
    ];
    assert_eq!(kept.history, expected);
    assert_healthy(&store).await;
}

pub(crate) async fn an_order_that_is_no_longer_judged_leaves_only_its_remediation_record(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let remediation = Remediation {
        removal: Some(Removal {
            since: at(1),
            present_boot_id: "b".to_owned(),
            new_boot: false,
            clean_scans: vec![at(1)],
            was: None,
        }),
        ..Remediation::default()
    };
    let claimed = store.queue_claim(9, at(2)).await.expect("claims");
    let remembered = JudgedOrder { remediation: remediation.clone(), in_scope: false, ..judged(Lane::Confirm) };
    settled(&store, vec![judgement(&claimed[0], vec![remembered])], at(3)).await;
    let tally = store.lane_tally(&order(), &SiteScope::All, at(0), at(0)).await.expect("tallies").hosts();
    assert_eq!(tally, LaneTally { out_of_scope: 1, ..LaneTally::default() });
    assert!(store.rules_adopt("r2", at(4)).await.expect("adopts"));
    let claimed = store.queue_claim(9, at(5)).await.expect("claims");
    assert_eq!(claimed[0].remediations[&order()], remediation);
    settled_under("r2", &store, vec![judgement(&claimed[0], Vec::new())], at(6)).await;
    let kept = store.host_get(host(1)).await.expect("gets").expect("there");
    assert!(kept.verdicts.is_empty());
    let tally = store.lane_tally(&order(), &SiteScope::All, at(0), at(0)).await.expect("tallies").hosts();
    assert_eq!(tally, LaneTally { unjudged: 1, ..LaneTally::default() });
    assert!(store.rules_adopt("r3", at(7)).await.expect("adopts"));
    let claimed = store.queue_claim(9, at(8)).await.expect("claims");
    assert_eq!(claimed[0].remediations[&order()], remediation, "an order that comes back does not forget");
    settled_under("r3", &store, vec![judgement(&claimed[0], vec![judged(Lane::Done)])], at(9)).await;
    assert_healthy(&store).await;
}

pub(crate) async fn hits_belong_to_a_version_of_the_rules(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let all = [packages(&[("kesl", "12")])];
    reports(&store, 1, 1, 10, &all).await;
    let digest = part(&all[0]).digest();
    let hit = Hit {
        product: ProductId::new("kaspersky-endpoint-security").expect("valid"),
        rule: "kaspersky-endpoint-security/linux/deb#1".to_owned(),
        strength: Strength::Proves,
        presence: Presence::Installed,
        shows: Presence::Installed,
        lingers: false,
        store: String::new(),
        store_id: String::new(),
        version: "12".to_owned(),
        evidence: Evidence {
            source: SourceName::Dpkg,
            kind: Kind::Deb,
            name: "kesl".to_owned(),
            version: "12".to_owned(),
            state: "ii".to_owned(),
            other_vendor: String::new(),
            path: String::new(),
        },
    };
    let hits = BTreeMap::from([(digest, vec![hit])]);
    let found = |rules: &str, hits: &BTreeMap<Digest, Vec<Hit>>| Settlement {
        hits: hits.clone(),
        rules_version: rules.to_owned(),
        ..Settlement::default()
    };
    store.queue_settle(found("r1", &hits)).await.expect("keeps");
    assert_eq!(store.hits_get(&[digest, Digest::of(b"other")], "r1").await.expect("gets"), hits);
    assert!(store.hits_get(&[digest], "r2").await.expect("gets").is_empty());
    let nothing = BTreeMap::from([(digest, Vec::new())]);
    store.queue_settle(found("r2", &nothing)).await.expect("replaces");
    assert_eq!(store.hits_get(&[digest], "r2").await.expect("gets"), nothing);
    let nobody = BTreeMap::from([(Digest::of(b"nobody"), Vec::new())]);
    store.queue_settle(found("r2", &nobody)).await.expect("leaves out what was removed meanwhile");
    assert!(store.hits_get(&[Digest::of(b"nobody")], "r2").await.expect("gets").is_empty());
    assert_healthy(&store).await;
}

pub(crate) async fn an_unchanged_snapshot_is_judged_again_after_a_day(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let all = [packages(&[("adduser", "3")])];
    reports(&store, 1, 1, 10, &all).await;
    all_judged(&store, Lane::Confirm, 11).await;
    let day = 24 * 3600;
    for (seq, seconds, waiting) in [(2, 60, 0), (3, day + 10, 0), (4, day + 11, 1), (5, day + 60, 1)] {
        store.check_in(check_in(1, seq, seconds, &all)).await.expect("checks in");
        assert_eq!(store.queue_depth().await.expect("asks").waiting, waiting, "after {seconds} seconds");
    }
    all_judged(&store, Lane::Done, day + 61).await;
    store.close().await.expect("closes");
    let store = backend.open();
    store.check_in(check_in(1, 6, day + 62, &all)).await.expect("checks in");
    assert_eq!(store.queue_depth().await.expect("asks").waiting, 0);
}

pub(crate) async fn who_judges_a_host_again_knows_the_check_in_that_asked_for_it(backend: impl Backend) {
    const DAY: u64 = 25 * 3600;
    let store = backend.open();
    enrolled(&store, 1).await;
    let all = [packages(&[("adduser", "3.134")])];
    reports(&store, 1, 1, DAY, &all).await;
    all_judged(&store, Lane::Confirm, DAY).await;
    for day in 2..=60 {
        let seconds = day * DAY;
        let judge = tokio::spawn({
            let store = Arc::clone(&store);
            async move {
                loop {
                    let mut claimed = store.queue_claim(1, at(seconds)).await.expect("claims");
                    if let Some(host) = claimed.pop() {
                        return host;
                    }
                    tokio::task::yield_now().await;
                }
            }
        });
        store.check_in(check_in(1, day, seconds, &all)).await.expect("checks in");
        let claimed = judge.await.expect("is claimed");
        assert_eq!(claimed.last_seen, Some(at(seconds)), "day {day}");
        settled(&store, vec![judgement(&claimed, vec![judged(Lane::Confirm)])], at(seconds)).await;
    }
}

pub(crate) async fn new_rules_put_every_host_on_the_judge_queue_once(backend: impl Backend) {
    let store = backend.open();
    assert!(store.rules_adopt("r1", at(0)).await.expect("adopts"));
    enrolled(&store, 3).await;
    all_judged(&store, Lane::Unknown, 2).await;
    assert!(!store.rules_adopt("r1", at(3)).await.expect("knows them"));
    assert_eq!(store.queue_depth().await.expect("asks").waiting, 0);
    assert!(store.rules_adopt("r2", at(4)).await.expect("adopts"));
    let depth = store.queue_depth().await.expect("asks");
    assert_eq!((depth.waiting, depth.oldest), (3, Some(at(4))));
    let entries = ledger(&store, 0, 100).await;
    let adopted = entries.iter().filter(|row| matches!(row.entry, Entry::RulesAdopted { .. })).count();
    assert_eq!(adopted, 2, "one entry for a rule change, however many hosts");
}
