//! Check-ins and uploads that go well, and what travels with their answers.

use muster_proto::model::{HostId, RefusalClass};
use muster_proto::{canonical, wire};
use tonic::Code;

use super::{Lab, assert_refused, facts, packages, section_part, snapshot, snapshot_part};
use crate::tls::CertificateFacts;

#[tokio::test]
async fn an_unchanged_snapshot_is_one_digest_and_a_changed_one_only_what_is_new() {
    let mut lab = Lab::start().await;
    let machine = lab.enrolled().await;
    let section = packages(&["adduser", "kesl"]);
    let seen = snapshot(&section);
    let answer = lab.check_in(&machine, 1, &seen).await.expect("checks in");
    assert!(answer.snapshot_wanted && answer.sections_wanted.is_empty());
    let partly = lab.upload(&machine, vec![machine.header(1, &seen), snapshot_part(&seen)]).await.expect("uploads");
    assert!(!partly.accepted);
    assert_eq!(partly.sections_wanted, vec![canonical::section_digest(&section).as_bytes().to_vec()]);
    let again = lab.check_in(&machine, 2, &seen).await.expect("checks in");
    assert_eq!(again.sections_wanted, partly.sections_wanted);
    let rest = lab.upload(&machine, vec![machine.header(2, &seen), section_part(&section)]).await.expect("uploads");
    assert!(rest.accepted && rest.sections_wanted.is_empty());
    assert_eq!(rest.pace.map(|pace| pace.next_ms), Some(77_000));
    for seq in 3..6 {
        let answer = lab.check_in(&machine, seq, &seen).await.expect("checks in");
        assert!(!answer.snapshot_wanted && answer.sections_wanted.is_empty());
        assert_eq!((answer.watchlist, answer.trust), (None, None), "the agent has newer ones");
    }
    let host = CertificateFacts::read(&machine.certificate).expect("facts").host.expect("a host");
    let kept = lab.store.host_get(host).await.expect("gets").expect("there").snapshot.expect("has one");
    assert_eq!(kept.snapshot, seen);
}

#[tokio::test]
async fn the_answer_to_a_repeated_check_in_still_wants_what_is_missing() {
    let mut lab = Lab::start().await;
    let machine = lab.enrolled().await;
    let seen = snapshot(&packages(&["adduser"]));
    for _ in 0..2 {
        // The first answer was lost on the way.
        assert!(lab.check_in(&machine, 1, &seen).await.expect("checks in").snapshot_wanted);
    }
}

#[tokio::test]
async fn a_machine_that_was_rolled_back_is_told_to_begin_a_new_run() {
    let mut lab = Lab::start().await;
    let mut machine = lab.enrolled().await;
    let sections = [packages(&["adduser"]), packages(&["adduser", "kesl"])];
    let [old, new] = sections.each_ref().map(snapshot);
    for (seq, seen, section) in [(1, &old, &sections[0]), (2, &new, &sections[1])] {
        assert!(lab.check_in(&machine, seq, seen).await.expect("checks in").snapshot_wanted);
        let parts = vec![machine.header(seq, seen), snapshot_part(seen), section_part(section)];
        assert!(lab.upload(&machine, parts).await.expect("uploads").accepted);
    }
    let refused = lab.check_in(&machine, 2, &old).await;
    assert_refused(refused, Code::Aborted, RefusalClass::NewRun, &["new run id"]);
    let refused = lab.upload(&machine, vec![machine.header(1, &old), snapshot_part(&old)]).await;
    assert_refused(refused, Code::Aborted, RefusalClass::NewRun, &["new run id"]);
    let mut partly = machine.check_in(2, &new, lab.now_ms());
    (partly.facts, partly.state) = (None, None);
    let answer = lab.client.check_in(machine.calls(partly)).await.expect("checks in").into_inner();
    assert!(answer.state_wanted && !answer.snapshot_wanted, "{answer:?}");
    let answer = lab.upload(&machine, vec![machine.header(1, &new)]).await.expect("uploads");
    assert!(answer.accepted && answer.state_wanted, "{answer:?}");
    machine.run = muster_proto::model::RunId::random();
    let answer = lab.check_in(&machine, 1, &old).await.expect("checks in");
    assert!(!answer.snapshot_wanted && !answer.state_wanted, "{answer:?}");
    let host = CertificateFacts::read(&machine.certificate).expect("facts").host.expect("a host");
    let kept = lab.store.host_get(host).await.expect("gets").expect("there").snapshot.expect("has one");
    assert_eq!(kept.snapshot, old);
}

#[tokio::test]
async fn watchlist_and_trust_travel_to_those_who_have_older_ones() {
    let mut lab = Lab::start().await;
    let machine = lab.enrolled().await;
    let mut request = machine.check_in(1, &snapshot(&packages(&[])), lab.now_ms());
    (request.watchlist_version, request.trust_version) = (0, 0);
    let answer = lab.client.check_in(machine.calls(request)).await.expect("checks in").into_inner();
    let watchlist = answer.watchlist.expect("a watchlist");
    assert!(watchlist.version > 0, "{watchlist:?}");
    assert_eq!(answer.trust.expect("a trust bundle").ca_certificates.len(), 1);
}

#[tokio::test]
async fn each_platform_has_its_own_watchlist() {
    let mut lab = Lab::start().await;
    let machine = lab.enrolled().await;
    let mut seq = 0;
    for (platform, prefix) in [("linux", "/opt/"), ("windows", "%ProgramFiles%/"), ("macos", "/Applications/")] {
        seq += 1;
        let request = machine.check_in(seq, &snapshot(&packages(&[])), lab.now_ms());
        let request = wire::CheckInRequest { watchlist_version: 0, platform: platform.to_owned(), ..request };
        let answer = lab.client.check_in(machine.calls(request)).await.expect("checks in").into_inner();
        let paths = answer.watchlist.expect("a watchlist").paths;
        assert!(paths.iter().any(|path| path.starts_with(prefix)), "{platform}: {paths:?}");
        assert!(paths.iter().all(|path| path.starts_with('/') == (platform != "windows")), "{platform}: {paths:?}");
    }
}

#[tokio::test]
async fn facts_and_the_corrected_time_reach_the_store() {
    let mut lab = Lab::start().await;
    let machine = lab.enrolled().await;
    let section = packages(&["adduser"]);
    let seen = snapshot(&section);
    let hour = 3_600_000;
    let mut request = machine.check_in(1, &seen, lab.now_ms() - hour);
    request.facts = Some(wire::HostFacts { hostname: "renamed".to_owned(), ..facts() });
    lab.client.check_in(machine.calls(request)).await.expect("checks in");
    let parts = vec![machine.header(1, &seen), snapshot_part(&seen), section_part(&section)];
    assert!(lab.upload(&machine, parts).await.expect("uploads").accepted);
    let host: HostId = CertificateFacts::read(&machine.certificate).expect("facts").host.expect("a host");
    let kept = lab.store.host_get(host).await.expect("gets").expect("there");
    assert_eq!(kept.facts.hostname, "renamed");
    assert_eq!(kept.last_seen.map(|seen| seen.millis()), Some(lab.now_ms()), "by the collector's clock");
    assert!(kept.snapshot.expect("has one").observed_at.millis() <= lab.now_ms());
}

#[tokio::test]
async fn a_store_that_fails_is_not_explained_to_agents() {
    let mut lab = Lab::start().await;
    let machine = lab.enrolled().await;
    lab.store.close().await.expect("closes");
    let refused = lab.check_in(&machine, 1, &snapshot(&packages(&[]))).await;
    assert_refused(refused, Code::Internal, RefusalClass::Later, &["the collector is stopping"]);
}
