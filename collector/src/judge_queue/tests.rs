//! The judge queue over a real store and the real rules.

mod attesting;
mod scale;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use muster_proto::canonical;
use muster_proto::model::{
    HostId, HostState, Kind, Lane, Observation, Outcome, Platform, Presence, RunId, Section, Snapshot, SnapshotEntry,
    SourceName, Timestamp,
};

use super::JudgeQueue;
use crate::rules::{self, RuleSet};
use crate::shutdown;
use crate::store::contract::{check_in, enrolled_fleet, facts};
use crate::store::{self, Allowance, CheckIn, Delivered, Delivery, SiteScope, Store, StoredHost};

const ORDER: &str = "us-bis-icts-2021-002";

struct Lab {
    store: Arc<dyn Store>,
    rules: Arc<ArcSwap<RuleSet>>,
    judge_queue: Arc<JudgeQueue>,
    _folder: tempfile::TempDir,
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_767_000_000_000).plus(Duration::from_secs(seconds))
}

async fn lab(hosts: u8) -> Lab {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store::open(&folder.path().join("fleet.db").display().to_string()).expect("opens");
    enrolled_fleet(&store, hosts).await;
    let rules = Arc::new(ArcSwap::from_pointee(rules::load(None).expect("rules")));
    let judge_queue = Arc::new(JudgeQueue::new(Arc::clone(&store), Arc::clone(&rules)));
    Lab { store, rules, judge_queue, _folder: folder }
}

fn packages(names: &[(&str, &str)]) -> Section {
    let package = |(name, state): &(&str, &str)| Observation {
        version: "12.2.0-2517".to_owned(),
        state: (*state).to_owned(),
        ..Observation::new(Kind::Deb, *name)
    };
    Section::new(Platform::Linux, SourceName::Dpkg, names.iter().map(package).collect())
}

/// A scan of one source, which has this section.
fn snapshot_of(section: &Section) -> Snapshot {
    let entry = SnapshotEntry {
        source: section.source(),
        outcome: Outcome::Found,
        reason: String::new(),
        watchlist: 0,
        section: Some(canonical::section_digest(section)),
    };
    Snapshot::new(Platform::Linux, vec![entry])
}

impl Lab {
    async fn reports(&self, n: u8, seq: u64, seconds: u64, section: &Section) {
        let snapshot = snapshot_of(section);
        let operation = Delivery {
            host: HostId::from_bytes([n; 16]),
            run: RunId::from_bytes([n; 16]),
            seq,
            observed_at: at(seconds),
            now: at(seconds),
            digest: canonical::snapshot_digest(&snapshot),
            snapshot: Some(snapshot),
            sections: vec![section.into()],
            allowance: Allowance::unlimited(),
        };
        assert_eq!(self.store.snapshot_deliver(operation).await.expect("delivers"), Delivered::Accepted);
    }

    async fn host(&self, n: u8) -> StoredHost {
        self.store.host_get(HostId::from_bytes([n; 16])).await.expect("gets").expect("there")
    }
}

#[tokio::test]
async fn an_installed_product_is_flagged_and_a_host_without_a_snapshot_is_unknown() {
    let lab = lab(2).await;
    lab.reports(1, 1, 10, &packages(&[("adduser", "ii"), ("kesl", "ii")])).await;
    assert_eq!(lab.judge_queue.drain(at(11)).await.expect("drains"), 2);
    assert_eq!(lab.judge_queue.drain(at(12)).await.expect("drains"), 0, "nothing waits any more");
    let flagged = &lab.host(1).await.verdicts[0];
    assert_eq!((flagged.order.as_str(), flagged.presence), (ORDER, Presence::Installed));
    assert!(matches!(flagged.awake_lane, Lane::Replace | Lane::Remove), "{}", flagged.awake_lane);
    assert!(flagged.remediation.positive.is_some() && !flagged.reason.is_empty() && !flagged.advice.is_empty());
    let unseen = &lab.host(2).await.verdicts[0];
    assert_eq!((unseen.awake_lane, unseen.presence), (Lane::Unknown, Presence::Unknown));
    assert_eq!(lab.store.check().await.expect("checks").faults, Vec::<String>::new());
}

#[tokio::test]
async fn a_positive_remains_until_a_complete_scan_refutes_it() {
    let lab = lab(1).await;
    lab.reports(1, 1, 10, &packages(&[("kesl", "ii")])).await;
    lab.judge_queue.drain(at(11)).await.expect("drains");
    let before = lab.host(1).await.verdicts[0].clone();
    // Only one source was read; the order needs others too.
    lab.reports(1, 2, 20, &packages(&[("adduser", "ii")])).await;
    lab.judge_queue.drain(at(21)).await.expect("drains");
    let after = lab.host(1).await.verdicts[0].clone();
    if after.remediation.removal.is_none() {
        assert_eq!(after.awake_lane, before.awake_lane);
        assert_eq!(after.since, before.since);
    } else {
        assert!(matches!(after.awake_lane, Lane::Protect | Lane::Confirm | Lane::Unknown), "{}", after.awake_lane);
    }
}

#[tokio::test]
async fn a_host_that_a_second_machine_reports_for_is_judged_with_its_mark() {
    let lab = lab(1).await;
    let check_in = |number: u8, fingerprint: u8, seconds| CheckIn {
        run: RunId::from_bytes([number; 16]),
        facts: Some(facts("host-001")),
        state: Some(HostState::default()),
        fingerprint: vec![fingerprint; 32],
        ..check_in(1, 5, seconds, &[packages(&[("adduser", "ii")])])
    };
    lab.reports(1, 1, 10, &packages(&[("kesl", "ii")])).await;
    lab.judge_queue.drain(at(11)).await.expect("drains");
    assert_eq!(lab.host(1).await.verdicts[0].awake_lane, Lane::Replace);
    lab.store.check_in(check_in(1, 1, 20)).await.expect("checks in");
    lab.reports(1, 5, 21, &packages(&[("kesl", "ii")])).await;
    lab.store.check_in(check_in(2, 2, 30)).await.expect("checks in");
    lab.judge_queue.drain(at(31)).await.expect("drains");
    let verdict = lab.host(1).await.verdicts[0].clone();
    assert_eq!(verdict.awake_lane, Lane::Replace, "{}", verdict.reason);
    assert!(verdict.reason.ends_with("two machines report with the key of this host"), "{}", verdict.reason);
}

#[tokio::test]
async fn a_new_order_starts_with_what_other_orders_found_of_its_products() {
    let lab = lab(1).await;
    lab.reports(1, 1, 10, &packages(&[("kesl", "ii")])).await;
    lab.judge_queue.drain(at(11)).await.expect("drains");
    // The product is not found, but the scan is not complete, so nothing is refuted.
    lab.reports(1, 2, 20, &packages(&[("adduser", "ii")])).await;
    lab.judge_queue.drain(at(21)).await.expect("drains");
    let orders = [ORDER, "au-pspf-002-2025", "us-fascsa-dni-acronis-2025"].map(|id| id.parse().expect("valid"));
    lab.rules.store(Arc::new(lab.rules.load().with_active(&orders).expect("valid")));
    lab.judge_queue.drain(at(30)).await.expect("drains");
    let verdicts = lab.host(1).await.verdicts;
    let case =
        |order: &str| &verdicts.iter().find(|verdict| verdict.order.as_str() == order).expect("judged").remediation;
    assert_eq!(case("au-pspf-002-2025").positive, case(ORDER).positive, "it covers the same product");
    assert!(case("au-pspf-002-2025").positive.is_some());
    assert_eq!(*case("us-fascsa-dni-acronis-2025"), crate::judge::Remediation::default(), "it covers another one");
}

#[tokio::test]
async fn hosts_of_one_image_share_hits_and_assessments() {
    let lab = lab(20).await;
    let image = packages(&[("adduser", "ii"), ("kesl", "ii")]);
    for n in 1..=20 {
        lab.reports(n, 1, 10, &image).await;
    }
    lab.judge_queue.drain(at(11)).await.expect("drains");
    let version = lab.rules.load().version.clone();
    let hits = lab.store.hits_get(&[canonical::section_digest(&image)], &version).await.expect("gets");
    assert!(!hits[&canonical::section_digest(&image)].is_empty());
    let tally = lab
        .store
        .lane_tally(&ORDER.parse().expect("valid"), &SiteScope::All, at(0), at(0))
        .await
        .expect("tallies")
        .hosts();
    assert_eq!(tally.in_scope.values().copied().collect::<Vec<u64>>(), vec![20], "{tally:?}");
}

#[tokio::test]
async fn new_rules_judge_every_host_again() {
    let lab = lab(3).await;
    lab.judge_queue.drain(at(10)).await.expect("drains");
    assert_eq!(lab.host(1).await.verdicts.len(), 1);
    let none = lab.rules.load().with_active(&[]).expect("valid");
    lab.rules.store(Arc::new(none));
    assert_eq!(lab.judge_queue.drain(at(20)).await.expect("drains"), 3);
    assert!(lab.host(1).await.verdicts.is_empty());
    assert_eq!(lab.store.check().await.expect("checks").faults, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_judge_queue_is_woken_by_a_delivery_and_stops_on_shutdown() {
    let lab = lab(1).await;
    let stop = shutdown::StopToken::new();
    let clock = crate::clock::fixed(at(20));
    let (judge_queue, token) = (Arc::clone(&lab.judge_queue), stop.clone());
    let running = tokio::spawn(async move { judge_queue.run(clock, token).await });
    lab.reports(1, 1, 10, &packages(&[("kesl", "ii")])).await;
    lab.judge_queue.waker().notify_one();
    let judged = async {
        while !lab.host(1).await.verdicts.iter().any(|verdict| verdict.presence == Presence::Installed) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), judged).await.expect("judged in time");
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), running).await.expect("stops in time").expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_the_lanes_that_the_real_run_then_changes() {
    let lab = lab(6).await;
    for (n, section) in [
        (1, packages(&[("kesl", "ii")])),
        (2, packages(&[("kesl", "ii")])),
        (3, packages(&[("adduser", "ii")])),
        (4, packages(&[("kesl", "rc")])),
    ] {
        lab.reports(n, 1, 10, &section).await;
    }
    lab.judge_queue.drain(at(11)).await.expect("drains");
    let before = lab.rules.load_full();
    let orders = ["au-pspf-002-2025", "us-fascsa-dni-acronis-2025"].map(|id| id.parse().expect("valid"));
    let after = Arc::new(before.with_active(&orders).expect("valid"));
    let counted = super::lane_moves(lab.store.as_ref(), &before, &after, at(12)).await.expect("counts");
    assert_eq!((counted.hosts, counted.moved_hosts), (6, 6));
    assert_eq!(lab.host(1).await.verdicts.len(), 1, "nothing was written");
    assert_eq!(lab.store.queue_depth().await.expect("asks").waiting, 0);
    // What was counted is what happens.
    let lanes = async |n: u8| -> Vec<(String, Lane)> {
        let verdicts = lab.host(n).await.verdicts;
        verdicts.iter().map(|verdict| (verdict.order.to_string(), verdict.awake_lane)).collect()
    };
    let mut was = std::collections::BTreeMap::new();
    let mut is = std::collections::BTreeMap::new();
    for n in 1..=6 {
        for (order, lane) in lanes(n).await {
            *was.entry((order, Some(lane), None)).or_insert(0_u64) += 1;
        }
    }
    lab.rules.store(Arc::clone(&after));
    lab.judge_queue.drain(at(13)).await.expect("drains");
    for n in 1..=6 {
        for (order, lane) in lanes(n).await {
            *is.entry((order, None, Some(lane))).or_insert(0_u64) += 1;
        }
    }
    let told: std::collections::BTreeMap<_, u64> =
        counted.moves.iter().map(|one| ((one.order.to_string(), one.from, one.to), one.hosts)).collect();
    was.extend(is);
    assert_eq!(told, was);
    // The same rules move nobody.
    let none = super::lane_moves(lab.store.as_ref(), &after, &after, at(14)).await.expect("counts");
    assert_eq!((none.moves.len(), none.moved_hosts, none.hosts), (0, 0, 6));
}
