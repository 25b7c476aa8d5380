//! Tests of the uplink against a fake collector: whom it trusts, what it sends, and how it reports failures.

pub(crate) mod fake_collector;

use muster_proto::error_chain;
use muster_proto::model::{Digest, EnrollmentToken, HostState, Losses, RefusalClass, Timestamp};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::identity::{Identity, IdentityStore, Key};
use fake_collector::{FakeCollector, Pki, Script, facts, start};

const NOW: Timestamp = Timestamp::from_millis(1_000);

fn delivery(sections: &[&[u8]]) -> Delivery {
    let sections = sections.iter().map(|bytes| (Digest::of(bytes), bytes.to_vec())).collect();
    Delivery::new(b"a snapshot".to_vec(), sections, facts(), None, HostState::default(), NOW)
}

/// A host that is enrolled with the fake collector.
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

async fn enrolled(collector: &FakeCollector, target: &Target) -> Host {
    let (dir, store, key) = store();
    let identity = enroll(target, &collector.pki.token(), &key, facts(), None, NOW).await.expect("enrolled");
    let tls = Tls::by_identity(&identity, Some(&key)).expect("TLS");
    Host { _dir: dir, store, identity, tls }
}

const VERSIONS: Versions = Versions { watchlist: 1, trust: 3 };

#[tokio::test]
async fn an_enrolled_identity_works() {
    let (collector, target) = start(Pki::new("localhost", 2020..2090), Script::default()).await;
    let host = enrolled(&collector, &target).await;
    assert_eq!((host.identity.site.as_str(), host.identity.trust.version), ("main", 3));
    let delivered = Run::new()
        .deliver(&target, &host.tls, &delivery(&[]), Losses::default(), VERSIONS, NOW)
        .await
        .expect("delivered");
    assert!(!delivered.snapshot_sent && delivered.sections_sent == 0);
}

#[tokio::test]
async fn only_requested_sections_are_sent_and_facts_only_after_a_change() {
    let sections: [&[u8]; 3] = [b"one", b"two", b"three"];
    let wants = vec![Digest::of(b"three"), Digest::of(b"one")];
    let script = Script { wants, ..Script::default() };
    let (collector, target) = start(Pki::new("localhost", 2020..2090), script).await;
    let host = enrolled(&collector, &target).await;
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
    let script = collector.script.lock().expect("unpoisoned");
    // This check-in names no sections, so the snapshot goes alone first, then what the answer asks for.
    assert_eq!(script.uploads, [vec![], vec![Digest::of(b"three"), Digest::of(b"one")]]);
    let sent: Vec<_> = script.check_ins.iter().map(|request| (request.seq, request.facts.is_some())).collect();
    assert_eq!(sent, [(1, true), (2, false)]);
    assert_eq!(script.check_ins[0].run_id, script.check_ins[1].run_id);
}

#[tokio::test]
async fn facts_and_state_are_sent_again_after_a_restore_of_the_collector_and_after_a_failure() {
    let (collector, target) = start(Pki::new("localhost", 2020..2090), Script::default()).await;
    let host = enrolled(&collector, &target).await;
    let mut run = Run::new();
    let set = |restored_at_ms, refuse| {
        let mut script = collector.script.lock().expect("unpoisoned");
        (script.restored_at_ms, script.refuse) = (restored_at_ms, refuse);
    };
    for (restored_at_ms, refuse) in
        [(0, None), (0, None), (7, None), (7, None), (7, Some(RefusalClass::Later)), (7, None)]
    {
        set(restored_at_ms, refuse);
        let delivered = run.deliver(&target, &host.tls, &delivery(&[]), Losses::default(), VERSIONS, NOW).await;
        assert_eq!(delivered.is_err(), refuse.is_some());
    }
    let script = collector.script.lock().expect("unpoisoned");
    let sent: Vec<_> =
        script.check_ins.iter().map(|request| (request.facts.is_some(), request.state.is_some())).collect();
    let (all, none) = ((true, true), (false, false));
    assert_eq!(sent, [all, none, none, all, none, all], "the refused one is not recorded");
}

#[tokio::test]
async fn a_run_that_the_collector_does_not_continue_is_begun_anew_with_facts_and_state() {
    for (new_runs, runs) in [((1, 0), 2), ((0, 1), 2), ((2, 1), 4), ((4, 0), 4)] {
        let wants = vec![Digest::of(b"one")];
        let script = Script { wants, new_runs, ..Script::default() };
        let (collector, target) = start(Pki::new("localhost", 2020..2090), script).await;
        let host = enrolled(&collector, &target).await;
        let mut run = Run::new();
        let delivered = run.deliver(&target, &host.tls, &delivery(&[b"one"]), Losses::default(), VERSIONS, NOW).await;
        let script = collector.script.lock().expect("unpoisoned");
        let ids: std::collections::BTreeSet<_> =
            script.check_ins.iter().map(|request| request.run_id.clone()).collect();
        assert_eq!((ids.len(), script.check_ins.len()), (runs, runs), "{new_runs:?}: each check-in has its own run");
        for request in &script.check_ins {
            assert!(request.seq == 1 && request.facts.is_some() && request.state.is_some(), "{request:?}");
        }
        match delivered {
            Ok(delivered) => assert!(delivered.snapshot_sent && script.has.contains(&Digest::of(b"one"))),
            // Another holder of the key may use it for ever. The snapshot stays in the spool.
            Err(error) => assert_eq!((error.class(), new_runs), (Some(RefusalClass::NewRun), (4, 0))),
        }
    }
}

#[tokio::test]
async fn facts_and_state_are_sent_at_once_when_the_collector_wants_them() {
    let (collector, target) = start(Pki::new("localhost", 2020..2090), Script::default()).await;
    let host = enrolled(&collector, &target).await;
    let mut run = Run::new();
    for state_wanted in [false, true] {
        collector.script.lock().expect("unpoisoned").state_wanted = state_wanted;
        run.deliver(&target, &host.tls, &delivery(&[]), Losses::default(), VERSIONS, NOW).await.expect("delivered");
    }
    let script = collector.script.lock().expect("unpoisoned");
    let sent: Vec<_> = script.check_ins.iter().map(|request| (request.seq, request.facts.is_some())).collect();
    assert_eq!(sent, [(1, true), (2, false), (3, true)]);
}

#[tokio::test]
async fn a_byte_budget_splits_the_upload_into_rounds() {
    let sections: [&[u8]; 3] = [&[1; 60], &[2; 60], &[3; 60]];
    let wants = sections.iter().map(|bytes| Digest::of(bytes)).collect();
    let script = Script { wants, budget: 130, ..Script::default() };
    let (collector, target) = start(Pki::new("localhost", 2020..2090), script).await;
    let host = enrolled(&collector, &target).await;
    Run::new()
        .deliver(&target, &host.tls, &delivery(&sections), Losses::default(), VERSIONS, NOW)
        .await
        .expect("delivered");
    let sizes: Vec<usize> = collector.script.lock().expect("unpoisoned").uploads.iter().map(Vec::len).collect();
    assert_eq!(sizes, [0, 2, 1]);
}

#[tokio::test]
async fn a_collector_that_asks_in_a_loop_or_for_unknown_sections_is_an_error() {
    let script = Script { wants: vec![Digest::of(b"one")], greedy: true, ..Script::default() };
    let (collector, target) = start(Pki::new("localhost", 2020..2090), script).await;
    let host = enrolled(&collector, &target).await;
    let error = Run::new()
        .deliver(&target, &host.tls, &delivery(&[b"one"]), Losses::default(), VERSIONS, NOW)
        .await
        .expect_err("circles");
    assert!(error.to_string().contains("were just sent"), "{error}");
    let error = Run::new()
        .deliver(&target, &host.tls, &delivery(&[b"two"]), Losses::default(), VERSIONS, NOW)
        .await
        .expect_err("unknown");
    assert!(error.to_string().contains("not in the snapshot"), "{error}");
}

#[tokio::test]
async fn a_refusal_brings_class_and_pace() {
    let (collector, target) = start(Pki::new("localhost", 2020..2090), Script::default()).await;
    let host = enrolled(&collector, &target).await;
    collector.script.lock().expect("unpoisoned").refuse = Some(RefusalClass::Revoked);
    let error = Run::new()
        .deliver(&target, &host.tls, &delivery(&[]), Losses::default(), VERSIONS, NOW)
        .await
        .expect_err("refused");
    assert_eq!((error.class(), error.pace().map(|pace| pace.byte_budget)), (Some(RefusalClass::Revoked), Some(9)));
    let probe = probe(&target, &host.tls).await.expect("answered");
    assert_eq!((probe.class, probe.server_time.millis()), (Some(RefusalClass::Revoked), 5));
}

#[tokio::test]
async fn a_renewal_proves_the_old_key_and_remembers_it() {
    let (collector, target) = start(Pki::new("localhost", 2020..2090), Script::default()).await;
    let host = enrolled(&collector, &target).await;
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
    let (_collector, target) = start(pki, Script::default()).await;
    enrollment_error(&target, &token).await
}

async fn enrollment_error(target: &Target, token: &EnrollmentToken) -> String {
    let (_dir, _store, key) = store();
    let error = enroll(target, token, &key, facts(), None, NOW).await.expect_err("no enrollment");
    format!("{} [{}]", error_chain(&error), error.advice().unwrap_or_default())
}

#[tokio::test]
async fn each_tls_failure_has_its_own_error() {
    let other = Pki::new("localhost", 2020..2090).token();
    let wrong = enroll_error(Pki::new("localhost", 2020..2090), Some(other)).await;
    assert!(wrong.contains("is not the collector of this token") && wrong.contains("CA pin"), "{wrong}");
    let expired = enroll_error(Pki::new("localhost", 2000..2001), None).await;
    assert!(expired.contains("has expired or is not valid yet") && expired.contains("clock"), "{expired}");
    let early = enroll_error(Pki::new("localhost", 2080..2090), None).await;
    assert!(early.contains("has expired or is not valid yet"), "{early}");
    let name = enroll_error(Pki::new("elsewhere.example", 2020..2090), None).await;
    assert!(name.contains("does not cover the name localhost"), "{name}");
}

#[tokio::test]
async fn a_server_with_a_forged_chain_is_not_trusted() {
    // It shows the pinned CA, but that CA has not signed its certificate.
    let (honest, mut liar) = (Pki::new("localhost", 2020..2090), Pki::new("localhost", 2020..2090));
    liar.ca.clone_from(&honest.ca);
    let error = enroll_error(liar, Some(honest.token())).await;
    assert!(error.contains("which this host does not trust"), "{error}");
}

#[tokio::test]
async fn a_peer_that_is_not_a_collector_has_its_own_error() {
    let token = Pki::new("localhost", 2020..2090).token();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("answered");
        }
    });
    let plain = Target::parse(&format!("https://localhost:{port}")).expect("an address");
    let error = enrollment_error(&plain, &token).await;
    assert!(error.contains("does not speak TLS 1.3"), "{error}");

    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").port();
    let closed = Target::parse(&format!("https://127.0.0.1:{free}")).expect("an address");
    let error = enrollment_error(&closed, &token).await;
    assert!(
        error.contains(&format!("cannot connect to the collector at 127.0.0.1:{free}")) && error.contains("refused"),
        "{error}"
    );

    let nowhere = Target::parse("https://nowhere.invalid:7443").expect("an address");
    let error = enrollment_error(&nowhere, &token).await;
    assert!(error.contains("cannot resolve nowhere.invalid"), "{error}");
}
