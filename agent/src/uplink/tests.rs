//! The uplink against a door of the same contract, on a port of its own: whom it trusts, what it sends, and how it
//! tells one failure from another.

pub(crate) mod door;

use muster_proto::error_chain;
use muster_proto::model::{Digest, EnrollmentToken, HostState, Losses, RefusalClass, Timestamp};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::identity::{Identity, IdentityStore, Key};
use door::{Door, Pki, Script, facts, open};

const NOW: Timestamp = Timestamp::from_millis(1_000);

fn delivery(sections: &[&[u8]]) -> Delivery {
    let sections = sections.iter().map(|bytes| (Digest::of(bytes), bytes.to_vec())).collect();
    Delivery::new(b"a scan".to_vec(), sections, facts(), HostState::default(), NOW)
}

/// A host that is enrolled at a door.
struct Host {
    _dir: tempfile::TempDir,
    store: IdentityStore,
    identity: Identity,
    tls: Tls,
}

fn store() -> (tempfile::TempDir, IdentityStore, Key) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = IdentityStore::below(dir.path());
    let key = store.key(1).expect("a key");
    (dir, store, key)
}

async fn enrolled(door: &Door, target: &Target) -> Host {
    let (dir, store, key) = store();
    let identity = enroll(target, &door.pki.token(), &key, facts(), None, NOW).await.expect("enrolled");
    let tls = Tls::by_identity(&identity, Some(&key)).expect("TLS");
    Host { _dir: dir, store, identity, tls }
}

const VERSIONS: Versions = Versions { watchlist: 1, trust: 3 };

#[tokio::test]
async fn enrollment_gives_an_identity_that_then_works() {
    let (door, target) = open(Pki::new("localhost", 2020..2090), Script::default()).await;
    let host = enrolled(&door, &target).await;
    assert_eq!((host.identity.site.as_str(), host.identity.trust.version), ("main", 3));
    let delivered = Run::new()
        .deliver(&target, &host.tls, &delivery(&[]), Losses::default(), VERSIONS, NOW)
        .await
        .expect("delivered");
    assert!(!delivered.snapshot_sent && delivered.sections_sent == 0);
}

#[tokio::test]
async fn only_what_is_wanted_is_sent_and_facts_only_when_they_changed() {
    let sections: [&[u8]; 3] = [b"one", b"two", b"three"];
    let wants = vec![Digest::of(b"three"), Digest::of(b"one")];
    let script = Script { wants, ..Script::default() };
    let (door, target) = open(Pki::new("localhost", 2020..2090), script).await;
    let host = enrolled(&door, &target).await;
    let mut run = Run::new();
    let first = run
        .deliver(&target, &host.tls, &delivery(&sections), Losses::default(), VERSIONS, NOW)
        .await
        .expect("delivered");
    let second = run
        .deliver(&target, &host.tls, &delivery(&sections), Losses::default(), VERSIONS, NOW)
        .await
        .expect("delivered");
    assert_eq!((first.snapshot_sent, first.sections_sent, first.section_bytes), (true, 2, 8));
    assert_eq!((second.snapshot_sent, second.sections_sent), (false, 0));
    assert!(second.message_bytes < 150 && second.message_bytes < first.message_bytes, "{second:?}");
    assert!(second.wire_sent > second.message_bytes && second.wire_received > 0, "{second:?}");
    let script = door.script.lock().expect("unpoisoned");
    // The check-in does not name sections here, so the scan goes alone first, then what the answer names.
    assert_eq!(script.uploads, [vec![], vec![Digest::of(b"three"), Digest::of(b"one")]]);
    let told: Vec<_> = script.check_ins.iter().map(|request| (request.seq, request.facts.is_some())).collect();
    assert_eq!(told, [(1, true), (2, false)]);
    assert_eq!(script.check_ins[0].run_id, script.check_ins[1].run_id);
}

#[tokio::test]
async fn a_byte_budget_is_kept_to_by_sending_in_rounds() {
    let sections: [&[u8]; 3] = [&[1; 60], &[2; 60], &[3; 60]];
    let wants = sections.iter().map(|bytes| Digest::of(bytes)).collect();
    let script = Script { wants, budget: 130, ..Script::default() };
    let (door, target) = open(Pki::new("localhost", 2020..2090), script).await;
    let host = enrolled(&door, &target).await;
    Run::new()
        .deliver(&target, &host.tls, &delivery(&sections), Losses::default(), VERSIONS, NOW)
        .await
        .expect("delivered");
    let sizes: Vec<usize> = door.script.lock().expect("unpoisoned").uploads.iter().map(Vec::len).collect();
    assert_eq!(sizes, [0, 2, 1]);
}

#[tokio::test]
async fn a_collector_that_asks_in_circles_or_for_what_is_not_there_is_an_error() {
    let script = Script { wants: vec![Digest::of(b"one")], greedy: true, ..Script::default() };
    let (door, target) = open(Pki::new("localhost", 2020..2090), script).await;
    let host = enrolled(&door, &target).await;
    let error = Run::new()
        .deliver(&target, &host.tls, &delivery(&[b"one"]), Losses::default(), VERSIONS, NOW)
        .await
        .expect_err("circles");
    assert!(error.to_string().contains("just been given"), "{error}");
    let error = Run::new()
        .deliver(&target, &host.tls, &delivery(&[b"two"]), Losses::default(), VERSIONS, NOW)
        .await
        .expect_err("unknown");
    assert!(error.to_string().contains("does not name"), "{error}");
}

#[tokio::test]
async fn a_refusal_brings_class_and_pace() {
    let (door, target) = open(Pki::new("localhost", 2020..2090), Script::default()).await;
    let host = enrolled(&door, &target).await;
    door.script.lock().expect("unpoisoned").refuse = Some(RefusalClass::Revoked);
    let error = Run::new()
        .deliver(&target, &host.tls, &delivery(&[]), Losses::default(), VERSIONS, NOW)
        .await
        .expect_err("refused");
    assert_eq!((error.class(), error.pace().map(|pace| pace.byte_budget)), (Some(RefusalClass::Revoked), Some(9)));
    let probe = probe(&target, &host.tls).await.expect("heard");
    assert_eq!((probe.class, probe.server_time.millis()), (Some(RefusalClass::Revoked), 5));
}

#[tokio::test]
async fn a_renewal_proves_the_old_key_and_remembers_it() {
    let (door, target) = open(Pki::new("localhost", 2020..2090), Script::default()).await;
    let host = enrolled(&door, &target).await;
    let (old, new) = (host.store.key(1).expect("a key"), host.store.key(2).expect("a key"));
    let renewed = renew(&target, &host.identity, &old, &new, true, NOW).await.expect("renewed");
    assert_eq!((renewed.key, renewed.previous.as_ref().map(|(key, _)| *key)), (2, Some(1)));
    assert_eq!(renewed.trust, host.identity.trust);
    let stranger = store().2;
    let error = renew(&target, &host.identity, &stranger, &new, false, NOW).await.expect_err("a wrong proof");
    assert!(error.to_string().contains("the proof is wrong"), "{error}");
}

async fn enroll_error(pki: Pki, token: Option<EnrollmentToken>) -> String {
    let token = token.unwrap_or_else(|| pki.token());
    let (_door, target) = open(pki, Script::default()).await;
    of_enroll(&target, &token).await
}

async fn of_enroll(target: &Target, token: &EnrollmentToken) -> String {
    let (_dir, _store, key) = store();
    let error = enroll(target, token, &key, facts(), None, NOW).await.expect_err("no enrollment");
    format!("{} [{}]", error_chain(&error), error.advice().unwrap_or_default())
}

#[tokio::test]
async fn every_way_in_which_tls_fails_is_told_apart() {
    let other = Pki::new("localhost", 2020..2090).token();
    let wrong = enroll_error(Pki::new("localhost", 2020..2090), Some(other)).await;
    assert!(wrong.contains("is not the collector of this token") && wrong.contains("ca-pin"), "{wrong}");
    let expired = enroll_error(Pki::new("localhost", 2000..2001), None).await;
    assert!(expired.contains("is not valid at this machine's time") && expired.contains("clock"), "{expired}");
    let early = enroll_error(Pki::new("localhost", 2080..2090), None).await;
    assert!(early.contains("is not valid at this machine's time"), "{early}");
    let name = enroll_error(Pki::new("elsewhere.example", 2020..2090), None).await;
    assert!(name.contains("is for another name than localhost"), "{name}");
}

#[tokio::test]
async fn a_server_that_lies_about_its_chain_is_not_trusted() {
    // It shows the pinned CA, which has not signed its certificate.
    let (honest, mut liar) = (Pki::new("localhost", 2020..2090), Pki::new("localhost", 2020..2090));
    liar.ca.clone_from(&honest.ca);
    let said = enroll_error(liar, Some(honest.token())).await;
    assert!(said.contains("was not given by a CA that this host trusts"), "{said}");
}

#[tokio::test]
async fn what_is_no_collector_at_all_is_told_apart() {
    let token = Pki::new("localhost", 2020..2090).token();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("answered");
        }
    });
    let plain = Target::parse(&format!("https://localhost:{port}")).expect("an address");
    let said = of_enroll(&plain, &token).await;
    assert!(said.contains("does not speak TLS 1.3"), "{said}");

    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").port();
    let nobody = Target::parse(&format!("https://127.0.0.1:{free}")).expect("an address");
    let said = of_enroll(&nobody, &token).await;
    assert!(said.contains(&format!("no connection to 127.0.0.1:{free}")) && said.contains("refused"), "{said}");

    let nowhere = Target::parse("https://nowhere.invalid:7443").expect("an address");
    let said = of_enroll(&nowhere, &token).await;
    assert!(said.contains("the name nowhere.invalid cannot be resolved"), "{said}");
}
