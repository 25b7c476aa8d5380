//! Attestations: issued in the transaction of the settling, kept, and read again as they were issued.

use std::sync::Arc;

use muster_proto::model::{
    ApprovalRule, Digest, EntryKind, HostId, Lane, OrderId, Outcome, Platform, Protection, SiteId, SourceName,
    Timestamp,
};

use super::Backend;
use super::decisions::{asks, decide_asked, decides, people};
use super::kit::{assert_healthy, at, enrolled, host, judged, judgement, key, ledger, order};
use super::sealing::sealed;
use crate::attestation::{CleanScan, Found, Origin, RemovalProof, SealKey, verify};
use crate::ledger::entry::Entry;
use crate::store::admin::waivers::decide::{DecideAsked, WaiverAct};
use crate::store::admin::{attestations, sealing};
use crate::store::{AdminTx, JudgedOrder, QueuedHost, Settlement, SiteScope, Store, admin};

fn seal_key() -> Arc<SealKey> {
    let origin = Origin::new("muster.example.com").expect("an origin");
    Arc::new(SealKey::read(&SealKey::generate().expect("random"), origin).expect("a key"))
}

fn proof(host: HostId, hostname: &str) -> RemovalProof {
    let scan = |second| CleanScan {
        received: at(second),
        snapshot: Digest::of(b"clean"),
        sources: vec![(SourceName::Dpkg, Outcome::Found)],
    };
    RemovalProof {
        order: order(),
        order_title: "An order".to_owned(),
        order_sha256: [1; 32],
        rules_version: "r1".to_owned(),
        host,
        hostname: hostname.to_owned(),
        site: SiteId::new("hq").expect("a site"),
        platform: Platform::Linux,
        protection: Protection::NotRequired,
        protected_by: Vec::new(),
        removed: Vec::new(),
        found: Found { first: at(1), last: at(2), snapshot: Digest::of(b"found"), sections: Vec::new() },
        scans: vec![scan(3), scan(4)],
        new_boot: None,
        scans_needed: 2,
        spacing_hours: 24,
        new_boot_needed: false,
    }
}

/// Settles hosts as `done`, each with a proof.
async fn done(store: &Arc<dyn Store>, seal: &Arc<SealKey>, claimed: &[QueuedHost], rules: &str, second: u64) {
    let one = |host: &QueuedHost| {
        let attestation = Some(Box::new(proof(host.host, &host.facts.hostname)));
        judgement(host, vec![JudgedOrder { attestation, ..judged(Lane::Done) }])
    };
    let settlement = Settlement {
        judgements: claimed.iter().map(one).collect(),
        rules_version: rules.to_owned(),
        now: at(second),
        seal: Some(Arc::clone(seal)),
        ..Settlement::default()
    };
    store.queue_settle(settlement).await.expect("settles");
}

async fn newest(store: &Arc<dyn Store>, n: u8, order: &OrderId) -> Option<Vec<u8>> {
    let order = order.clone();
    let read = move |tx: &mut dyn AdminTx| attestations::newest(tx, host(n), &order);
    admin::read(store.as_ref(), "attestation_get", read).await.expect("reads")
}

/// All pages of this many rows each: host and time of each attestation.
async fn list(store: &Arc<dyn Store>, sites: &SiteScope, rows: usize) -> Vec<(HostId, Timestamp)> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let (sites, key) = (sites.clone(), after.clone());
        let read = move |tx: &mut dyn AdminTx| attestations::page(tx, &sites, key.as_ref(), rows);
        let (page, next) = admin::read(store.as_ref(), "attestation_list", read).await.expect("reads");
        found.extend(page.iter().map(|row| (row.host, row.issued_at)));
        if next.is_none() {
            return found;
        }
        after = next;
    }
}

pub(crate) async fn an_attestation_is_issued_with_the_settling_and_read_again_as_it_was(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    let seal = seal_key();
    let claimed = store.queue_claim(9, at(10)).await.expect("claims");
    done(&store, &seal, &claimed, "r1", 11).await;
    let first = newest(&store, 1, &order()).await.expect("issued");
    let verified = verify(&first, seal.verifier()).expect("good");
    assert_eq!((verified.host, verified.since.as_str()), (host(1).to_string(), at(11).to_rfc3339().as_str()));
    let text = String::from_utf8(first.clone()).expect("text");
    let payload: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let payload = payload["payload"].as_str().expect("a payload");
    let statement = data_encoding::BASE64.decode(payload.as_bytes()).expect("base64");
    let statement: serde_json::Value = serde_json::from_slice(&statement).expect("JSON");
    assert_eq!(
        statement["predicate"]["host"]["key"],
        data_encoding::HEXLOWER.encode(key(1).as_bytes()),
        "the key under which it reports"
    );
    assert_eq!(newest(&store, 1, &OrderId::new("another").expect("an id")).await, None);
    let entries = ledger(&store, 0, 100).await;
    let issued: Vec<_> = entries.iter().filter(|row| row.entry.kind() == EntryKind::AttestationIssued).collect();
    assert_eq!(issued.len(), 2);
    let sha256 = data_encoding::HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, &first).as_ref());
    assert!(
        issued
            .iter()
            .any(|row| row.entry == Entry::AttestationIssued { host: host(1), order: order(), sha256: sha256.clone() }),
        "{issued:?}"
    );
    // Other judgements change nothing about it, and neither does another start.
    assert!(store.rules_adopt("r2", at(12)).await.expect("adopts"));
    let claimed = store.queue_claim(9, at(13)).await.expect("claims");
    super::kit::settled_under("r2", &store, vec![judgement(&claimed[0], vec![judged(Lane::Replace)])], at(14)).await;
    store.close().await.expect("closes");
    let store = backend.open();
    assert_eq!(newest(&store, 1, &order()).await, Some(first));
    assert_healthy(&store).await;
}

pub(crate) async fn an_outdated_judgement_issues_no_attestation(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let seal = seal_key();
    let claimed = store.queue_claim(9, at(10)).await.expect("claims");
    assert!(store.rules_adopt("r1", at(11)).await.expect("adopts"), "a newer ticket");
    done(&store, &seal, &claimed, "r1", 12).await;
    assert_eq!(newest(&store, 1, &order()).await, None);
    assert_eq!(list(&store, &SiteScope::All, 10).await, []);
}

pub(crate) async fn a_host_keeps_its_newest_eight_attestations_under_an_order(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    let seal = seal_key();
    for n in 0..10 {
        // Each time, both hosts wait again.
        let rules = format!("r{n}");
        store.rules_adopt(&rules, at(20 + n)).await.expect("adopts");
        let claimed = store.queue_claim(9, at(20 + n)).await.expect("claims");
        assert_eq!(claimed.len(), 2);
        done(&store, &seal, &claimed, &rules, 20 + n).await;
    }
    let of_one: Vec<_> = (22..30).map(at).collect();
    for rows in [1, 3, 100] {
        let found = list(&store, &SiteScope::All, rows).await;
        for n in 1..=2 {
            let of_host: Vec<_> = found.iter().filter(|(found, _)| *found == host(n)).map(|(_, at)| *at).collect();
            assert_eq!(of_host, of_one, "host {n} in pages of {rows}");
        }
        assert_eq!(found.len(), 16);
    }
    let elsewhere = SiteScope::of(&[SiteId::new("elsewhere").expect("a site")]);
    assert_eq!(list(&store, &elsewhere, 3).await, []);
    let verified = verify(&newest(&store, 2, &order()).await.expect("there"), seal.verifier()).expect("good");
    assert_eq!(verified.issued, at(29).to_rfc3339());
}

pub(crate) async fn an_attestation_names_the_waivers_of_its_host_and_the_newest_checkpoint(backend: impl Backend) {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let store = backend.open();
    people(&store).await;
    enrolled(&store, 2).await;
    let own = asks(&store, &[1], 100, 10).await.expect("asks");
    let one_person = DecideAsked { rule: ApprovalRule::OnePerson, ..decide_asked("ada", own, 11) };
    decides(&store, one_person, WaiverAct::Approve).await.expect("approves");
    let refused = asks(&store, &[1], 100, 12).await.expect("asks");
    decides(&store, decide_asked("bob", refused, 13), WaiverAct::Refuse).await.expect("refuses");
    sealed(&store).await;
    let ledger = admin::read(store.as_ref(), "sealed", sealing::sealed).await.expect("reads").expect("is sealed");
    let claimed = store.queue_claim(10, at(20)).await.expect("claims");
    done(&store, &seal_key(), &claimed, "r1", 20).await;
    for (n, expected) in [(1, 1), (2, 0)] {
        let envelope = newest(&store, n, &order()).await.expect("is there");
        let envelope: serde_json::Value = serde_json::from_slice(&envelope).expect("JSON");
        let payload = STANDARD.decode(envelope["payload"].as_str().expect("a payload")).expect("base64");
        let statement: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
        assert_eq!(statement["predicate"]["ledger"]["checkpoint"], ledger.checkpoint.as_str());
        let waivers = statement["predicate"]["waivers"].as_array().expect("a list");
        assert_eq!(waivers.len(), expected, "{waivers:?}");
        for waiver in waivers {
            assert_eq!((&waiver["number"], &waiver["self_approved"]), (&own.into(), &true.into()), "{waiver}");
            assert_eq!((&waiver["reason"], &waiver["until"]), (&"legacy-system".into(), &at(100).to_rfc3339().into()));
        }
    }
    assert_healthy(&store).await;
}
