//! What judging a fleet again costs, by its hosts and by its distinct snapshots. Run by hand:
//! `cargo test --release -p muster-collector --lib judging_again_scale -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use muster_proto::model::{HostId, KeyFingerprint, OrderId, RunId, Section};
use tokio::task::JoinSet;

use super::{JudgeQueue, at, packages};
use crate::judge_queue::{BATCH, LARGEST_BATCH, QUICK, lane_moves, next_batch};
use crate::rules::{self, RuleSet};
use crate::store::contract::{enrollment, new_token, token_create};
use crate::store::{self, Allowance, CheckIn, CheckInAnswer, Delivered, Delivery, Enrolled, Enrollment, Store};

/// An order that is not active by default.
const ANOTHER: &str = "us-dhs-bod-17-01";
/// Packages of a snapshot.
const PACKAGES: usize = 400;
/// Hosts that enroll and report at the same time.
const AT_ONCE: u32 = 256;

fn id(host: u32) -> HostId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&host.to_be_bytes());
    // The last byte spreads hosts over the memory.
    bytes[15] = host as u8;
    HostId::from_bytes(bytes)
}

fn image(number: u32) -> Section {
    let names: Vec<String> = (0..PACKAGES).map(|package| format!("package-{number}-{package}")).collect();
    packages(&names.iter().map(|name| (name.as_str(), "ii")).collect::<Vec<_>>())
}

/// Enrolls so many hosts, each of which reports one of so many snapshots. Many at once, as the store commits them together.
async fn fleet(store: &Arc<dyn Store>, hosts: u32, snapshots: u32) {
    let sections: Arc<Vec<Section>> = Arc::new((0..snapshots).map(image).collect());
    let mut reporting = JoinSet::new();
    for first in 0..AT_ONCE.min(hosts) {
        let (store, sections) = (Arc::clone(store), Arc::clone(&sections));
        reporting.spawn(async move {
            for host in (first..hosts).step_by(AT_ONCE as usize) {
                report(store.as_ref(), host, &sections[(host % snapshots) as usize]).await;
            }
        });
    }
    while let Some(ended) = reporting.join_next().await {
        ended.expect("reports");
    }
}

/// Enrolls a host and delivers its snapshot.
async fn report(store: &dyn Store, host: u32, section: &Section) {
    let mut key = [3; 32];
    key[..4].copy_from_slice(&host.to_be_bytes());
    let new = Enrollment { host: id(host), key: KeyFingerprint::from_bytes(key), ..enrollment(1) };
    assert!(matches!(store.host_enroll(new).await, Ok(Enrolled::Host { .. })));
    let snapshot = super::snapshot_of(section);
    let digest = muster_proto::canonical::snapshot_digest(&snapshot);
    let run = RunId::from_bytes(*id(host).as_bytes());
    let check_in = CheckIn {
        host: id(host),
        run,
        seq: 1,
        observed_at: at(10),
        now: at(10),
        snapshot: digest,
        facts: None,
        state: None,
        fingerprint: Vec::new(),
        patience: None,
        allowance: Allowance::unlimited(),
    };
    if store.check_in(check_in).await.expect("checks in") == CheckInAnswer::Current {
        return;
    }
    let delivery = Delivery {
        host: id(host),
        run,
        seq: 1,
        observed_at: at(10),
        now: at(10),
        digest,
        snapshot: Some(snapshot),
        sections: vec![section.into()],
        allowance: Allowance::unlimited(),
    };
    assert_eq!(store.snapshot_deliver(delivery).await.expect("delivers"), Delivered::Accepted);
}

/// Under the rules as they are shipped, and with one more active order.
fn two_rule_sets() -> (Arc<RuleSet>, Arc<RuleSet>) {
    let before = Arc::new(rules::load(None).expect("rules"));
    let ids = before.active_orders().map(|order| order.id.clone()).chain([OrderId::new(ANOTHER).expect("an id")]);
    let after = Arc::new(before.with_active(&ids.collect::<Vec<_>>()).expect("known"));
    (before, after)
}

#[tokio::test]
async fn more_hosts_than_a_batch_are_judged_once_each() {
    const HOSTS: u32 = 1_300;
    let folder = tempfile::tempdir().expect("a folder");
    let store = store::open(&folder.path().join("fleet.db").display().to_string()).expect("opens");
    token_create(&store, new_token(0)).await.expect("creates");
    fleet(&store, HOSTS, 3).await;
    let (before, after) = two_rule_sets();
    let in_force = Arc::new(ArcSwap::new(Arc::clone(&before)));
    let queue = JudgeQueue::new(Arc::clone(&store), Arc::clone(&in_force));
    for (rules, orders) in [(before, 1), (after, 2)] {
        in_force.store(rules);
        assert_eq!(queue.drain(at(20)).await.expect("drains"), u64::from(HOSTS));
        assert_eq!(queue.drain(at(20)).await.expect("drains"), 0, "nothing waits any more");
        for host in (0..HOSTS).step_by(100) {
            assert_eq!(store.host_get(id(host)).await.expect("gets").expect("there").verdicts.len(), orders, "{host}");
        }
    }
    assert_eq!(store.check().await.expect("checks").faults, Vec::<String>::new());
}

#[test]
fn batches_grow_while_they_are_quick() {
    let sizes = [BATCH, 512, LARGEST_BATCH];
    assert_eq!(sizes.map(|hosts| next_batch(hosts, QUICK)), [512, LARGEST_BATCH, LARGEST_BATCH]);
    assert_eq!(sizes.map(|hosts| next_batch(hosts, QUICK * 2)), [BATCH; 3]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures; run by hand"]
async fn judging_again_scale() {
    println!("{:>8} {:>10} {:>12} {:>12} {:>12}", "hosts", "snapshots", "first", "dry run", "again");
    let (before, after) = two_rule_sets();
    for (hosts, snapshots) in
        [(1_000, 10), (1_000, 1_000), (10_000, 10), (10_000, 1_000), (100_000, 10), (100_000, 1_000), (100_000, 10_000)]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store::open(&folder.path().join("fleet.db").display().to_string()).expect("opens");
        token_create(&store, new_token(0)).await.expect("creates");
        fleet(&store, hosts, snapshots).await;
        let in_force = Arc::new(ArcSwap::new(Arc::clone(&before)));
        let queue = JudgeQueue::new(Arc::clone(&store), Arc::clone(&in_force));
        let began = Instant::now();
        queue.drain(at(20)).await.expect("drains");
        let first = began.elapsed();
        let began = Instant::now();
        let moves = lane_moves(store.as_ref(), &before, &after, at(30)).await.expect("reads");
        let dry = began.elapsed();
        assert_eq!(moves.hosts, u64::from(hosts));
        let began = Instant::now();
        in_force.store(Arc::clone(&after));
        queue.drain(at(30)).await.expect("drains");
        let again = began.elapsed();
        println!("{hosts:>8} {snapshots:>10} {first:>12.2?} {dry:>12.2?} {again:>12.2?}");
        store.close().await.expect("closes");
    }
}
