//! A removal with a restart, over a real store and the real judge: attested once, when it is proven.

use std::sync::Arc;

use arc_swap::ArcSwap;
use muster_proto::canonical;
use muster_proto::model::{
    EntryKind, HostId, HostState, Lane, OrderId, Outcome, Platform, RunId, Section, Snapshot, SnapshotEntry, SourceName,
};

use super::{at, packages};
use crate::attestation::{Origin, SealKey, verify};
use crate::judge_queue::JudgeQueue;
use crate::rules::{self, RuleSet};
use crate::store::admin::attestations;
use crate::store::contract::{enrolled_fleet, facts, ledger};
use crate::store::{self, AdminTx, Allowance, CheckIn, Delivery, Store, admin};

const ORDER: &str = "internal-removal";
const TEXT: &str = r#"
id = "internal-removal"
title = "Remove Kaspersky"
issuer = "Example Ltd"
jurisdiction = "XX"
binding = "duty"
active = true

[scope]
vendors = ["kaspersky"]

[protection]
required = false
"#;
/// More than a day.
const LATER: u64 = 90_000;

struct Lab {
    store: Arc<dyn Store>,
    rules: Arc<ArcSwap<RuleSet>>,
    judge_queue: JudgeQueue,
    key: Arc<SealKey>,
    _folder: tempfile::TempDir,
}

impl Lab {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("overlay/orders")).expect("made");
        std::fs::write(folder.path().join("overlay/orders/internal-removal.toml"), TEXT).expect("written");
        let overlay = folder.path().join("overlay");
        let rules = rules::load(Some(overlay.as_path())).expect("rules");
        let rules = rules.with_active(&[OrderId::new(ORDER).expect("an id")]).expect("active");
        let rules = Arc::new(ArcSwap::from_pointee(rules));
        let store = store::open(&folder.path().join("fleet.db").display().to_string()).expect("opens");
        enrolled_fleet(&store, 1).await;
        let origin = Origin::new("muster.example.com").expect("an origin");
        let key = Arc::new(SealKey::read(&SealKey::generate().expect("random"), origin).expect("a key"));
        let judge_queue = JudgeQueue::new(Arc::clone(&store), Arc::clone(&rules)).sealing_with(Arc::clone(&key));
        Self { store, rules, judge_queue, key, _folder: folder }
    }

    /// A scan of every source that the order needs, under this boot id. Returns the lane.
    async fn scan(&self, seq: u64, seconds: u64, boot_id: &str, dpkg: &Section) -> Lane {
        let watchlist = self.rules.load().watchlist().version;
        let entry = |source, outcome, section| SnapshotEntry {
            source,
            outcome,
            reason: String::new(),
            watchlist: if source == SourceName::Dpkg { 0 } else { watchlist },
            section,
        };
        let section = Some(canonical::section_digest(dpkg));
        let snapshot = Snapshot::new(
            Platform::Linux,
            vec![
                entry(SourceName::Dpkg, Outcome::Found, section),
                entry(SourceName::SystemdUnits, Outcome::Empty, None),
                entry(SourceName::WatchPaths, Outcome::Empty, None),
            ],
        );
        let (host, run, digest) =
            (HostId::from_bytes([1; 16]), RunId::from_bytes([1; 16]), canonical::snapshot_digest(&snapshot));
        let check_in = CheckIn {
            host,
            run,
            seq,
            observed_at: at(seconds),
            now: at(seconds),
            snapshot: digest,
            facts: Some(facts("web-1")),
            state: Some(HostState { boot_id: boot_id.to_owned(), ..HostState::default() }),
            fingerprint: Vec::new(),
            patience: None,
            allowance: Allowance::unlimited(),
        };
        self.store.check_in(check_in).await.expect("checks in");
        let delivery = Delivery {
            host,
            run,
            seq,
            observed_at: at(seconds),
            now: at(seconds),
            digest,
            snapshot: Some(snapshot),
            sections: vec![dpkg.into()],
            allowance: Allowance::unlimited(),
        };
        self.store.snapshot_deliver(delivery).await.expect("delivers");
        self.judge_queue.drain(at(seconds)).await.expect("drains");
        self.store.host_get(host).await.expect("gets").expect("there").verdicts[0].awake_lane
    }

    async fn newest(&self) -> Option<Vec<u8>> {
        let order = OrderId::new(ORDER).expect("an id");
        let read = move |tx: &mut dyn AdminTx| attestations::newest(tx, HostId::from_bytes([1; 16]), &order);
        admin::read(self.store.as_ref(), "attestation_get", read).await.expect("reads")
    }

    async fn issued(&self) -> usize {
        let entries = ledger(&self.store, 0, 100).await;
        entries.iter().filter(|row| row.entry.kind() == EntryKind::AttestationIssued).count()
    }
}

#[tokio::test]
async fn a_removal_is_attested_once_when_it_is_proven_and_again_after_another_removal() {
    let lab = Lab::new().await;
    let (with, without) = (packages(&[("adduser", "ii"), ("kesl", "ii")]), packages(&[("adduser", "ii")]));
    assert_eq!(lab.scan(1, 10, "boot-a", &with).await, Lane::Remove);
    assert_eq!(lab.scan(2, 20, "boot-a", &without).await, Lane::Confirm);
    assert_eq!(lab.scan(3, 20 + LATER, "boot-a", &without).await, Lane::Confirm);
    assert_eq!(lab.newest().await, None, "there was no restart");
    assert_eq!(lab.scan(4, 30 + LATER, "boot-b", &without).await, Lane::Done);
    let first = lab.newest().await.expect("attested");
    verify(&first, lab.key.verifier()).expect("good");
    let envelope: serde_json::Value = serde_json::from_slice(&first).expect("JSON");
    let payload = envelope["payload"].as_str().expect("a payload");
    let statement = data_encoding::BASE64.decode(payload.as_bytes()).expect("base64");
    let statement: serde_json::Value = serde_json::from_slice(&statement).expect("JSON");
    let evidence = &statement["predicate"]["evidence"];
    assert_eq!(evidence["new_boot"]["before"], "boot-a");
    assert_eq!(evidence["new_boot"]["after"], "boot-b");
    assert_eq!(evidence["found"]["last"], at(10).to_rfc3339());
    assert_eq!(evidence["found"]["sections"]["dpkg"], canonical::section_digest(&with).to_string());
    let scans: Vec<_> = evidence["scans"].as_array().expect("scans").iter().map(|scan| &scan["received"]).collect();
    let expected = [20, 20 + LATER, 30 + LATER].map(|second| serde_json::Value::from(at(second).to_rfc3339()));
    assert_eq!(scans, expected.iter().collect::<Vec<_>>());
    // Judged again, by other rules too, it is not attested again.
    assert_eq!(lab.scan(5, 40 + 2 * LATER, "boot-c", &without).await, Lane::Done);
    let mut other = RuleSet::clone(&lab.rules.load());
    other.version.push('x');
    lab.rules.store(Arc::new(other));
    assert_eq!(lab.judge_queue.drain(at(50 + 2 * LATER)).await.expect("drains"), 1);
    assert_eq!((lab.newest().await, lab.issued().await), (Some(first.clone()), 1));
    // Another removal is another attestation, with its own evidence.
    assert_eq!(lab.scan(6, 3 * LATER, "boot-c", &with).await, Lane::Remove);
    assert_eq!(lab.scan(7, 4 * LATER, "boot-d", &without).await, Lane::Confirm);
    assert_eq!(lab.newest().await, Some(first.clone()), "the earlier one is kept");
    assert_eq!(lab.scan(8, 6 * LATER, "boot-d", &without).await, Lane::Done);
    assert_ne!(lab.newest().await, Some(first));
    assert_eq!(lab.issued().await, 2);
}

#[tokio::test]
async fn an_attestation_names_the_products_that_were_removed_first_too() {
    let lab = Lab::new().await;
    let both = packages(&[("adduser", "ii"), ("kesl", "ii"), ("klnagent64", "ii")]);
    let one = packages(&[("adduser", "ii"), ("klnagent64", "ii")]);
    let none = packages(&[("adduser", "ii")]);
    assert_eq!(lab.scan(1, 10, "boot-a", &both).await, Lane::Remove);
    assert_eq!(lab.scan(2, 20, "boot-a", &one).await, Lane::Remove);
    assert_eq!(lab.scan(3, 30, "boot-b", &none).await, Lane::Confirm);
    assert_eq!(lab.scan(4, 40 + LATER, "boot-b", &none).await, Lane::Done);
    let envelope: serde_json::Value = serde_json::from_slice(&lab.newest().await.expect("attested")).expect("JSON");
    let payload = envelope["payload"].as_str().expect("a payload");
    let statement = data_encoding::BASE64.decode(payload.as_bytes()).expect("base64");
    let statement: serde_json::Value = serde_json::from_slice(&statement).expect("JSON");
    let removed = statement["predicate"]["evidence"]["removed"].as_array().expect("products");
    let sightings: Vec<_> = removed.iter().map(|product| product["observation"].as_str().unwrap_or_default()).collect();
    assert_eq!(sightings.len(), 2, "{removed:?}");
    assert!(sightings[0].contains("klnagent64") && sightings[1].contains("kesl"), "{sightings:?}");
}
