//! What judging a fleet again costs, by its hosts and by its distinct snapshots. Run by hand:
//! `cargo test --release -p muster-collector --lib judging_again_scale -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use muster_proto::model::{HostId, KeyFingerprint, OrderId, RunId, Section};

use super::{JudgeQueue, at, packages};
use crate::judge_queue::lane_moves;
use crate::rules;
use crate::store::contract::{enrollment, new_token, token_create};
use crate::store::{self, Allowance, CheckIn, CheckInAnswer, Delivered, Delivery, Enrolled, Enrollment, Store};

/// An order that is not active by default.
const ANOTHER: &str = "us-dhs-bod-17-01";
/// Packages of a snapshot.
const PACKAGES: usize = 400;

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

/// Enrolls so many hosts, each of which reports one of so many snapshots.
async fn fleet(store: &Arc<dyn Store>, hosts: u32, snapshots: u32) {
    let sections: Vec<Section> = (0..snapshots).map(image).collect();
    for host in 0..hosts {
        let mut key = [3; 32];
        key[..4].copy_from_slice(&host.to_be_bytes());
        let new = Enrollment { host: id(host), key: KeyFingerprint::from_bytes(key), ..enrollment(1) };
        assert!(matches!(store.host_enroll(new).await, Ok(Enrolled::Host { .. })));
        let section = &sections[(host % snapshots) as usize];
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
            continue;
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
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures; run by hand"]
async fn judging_again_scale() {
    println!("{:>8} {:>10} {:>12} {:>12} {:>12}", "hosts", "snapshots", "first", "dry run", "again");
    let before = Arc::new(rules::load(None).expect("rules"));
    let ids = before.active_orders().map(|order| order.id.clone()).chain([OrderId::new(ANOTHER).expect("an id")]);
    let after = Arc::new(before.with_active(&ids.collect::<Vec<_>>()).expect("known"));
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
