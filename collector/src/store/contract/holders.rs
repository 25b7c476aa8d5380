//! Two machines that report with the key of one host: the mark that their reports set, and its end by a review.

use muster_proto::model::{EntryKind, HostActionKind, HostMark};

use super::Backend;
use super::kit::{
    acting, all_judged, assert_healthy, at, check_in, enrolled, facts, host, host_action, judged, judgement, ledger,
    packages, reports, run, settled, state,
};
use crate::store::admin::hosts::HostsMeant;
use crate::store::{CheckIn, CheckInAnswer, Store};

/// The first check-in of a run, by the agent of a machine with this fingerprint.
fn begins(number: u8, seconds: u64, fingerprint: u8) -> CheckIn {
    CheckIn {
        run: run(number),
        facts: Some(facts("host-001")),
        state: Some(state("boot-1")),
        fingerprint: vec![fingerprint; 32],
        ..check_in(1, 1, seconds, &[packages(&[("adduser", "3.134")])])
    }
}

/// A later check-in of a run, which says nothing but its snapshot.
fn goes_on(number: u8, seq: u64, seconds: u64) -> CheckIn {
    CheckIn { run: run(number), ..check_in(1, seq, seconds, &[packages(&[("adduser", "3.134")])]) }
}

async fn marks(store: &dyn Store) -> Vec<(HostMark, String)> {
    let shown = store.host_get(host(1)).await.expect("gets").expect("is there");
    shown.marks.into_iter().map(|mark| (mark.mark, mark.reason)).collect()
}

/// Two agents report in turn. Each draws a new run at each refusal.
async fn two_agents_report(store: &dyn Store, first_run: u8, seconds: u64, turns: u8) {
    for turn in 0..turns {
        let (number, seconds) = (first_run + turn, seconds + u64::from(turn));
        if turn > 1 {
            let old = store.check_in(goes_on(number - 2, 2, seconds)).await.expect("asks");
            assert_eq!(old, CheckInAnswer::NewRun, "turn {turn}");
        }
        // With the first one the state changes, so the run is in the database whatever the memory has not written yet.
        let boot = if turn == 0 { format!("boot-{number}") } else { "boot-1".to_owned() };
        let begins = CheckIn { state: Some(state(&boot)), ..begins(number, seconds, 1) };
        let answer = store.check_in(begins).await.expect("checks in");
        assert_eq!(answer, CheckInAnswer::Current, "turn {turn}");
    }
}

pub(crate) async fn two_agents_with_one_key_are_marked_until_a_review(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    let all = [packages(&[("adduser", "3.134")])];
    reports(&store, 1, 1, 10, &all).await;
    two_agents_report(store.as_ref(), 100, 20, 4).await;
    assert_eq!(marks(store.as_ref()).await, [], "two returns may be chance");
    all_judged(&store, muster_proto::model::Lane::Clear, 29).await;
    assert!(store.queue_claim(9, at(30)).await.expect("claims").is_empty());
    two_agents_report(store.as_ref(), 110, 30, 6).await;
    let reason = "two running agents report in turn with its key".to_owned();
    assert_eq!(marks(store.as_ref()).await, [(HostMark::TwoHolders, reason)]);
    let claimed = store.queue_claim(9, at(40)).await.expect("claims");
    assert!(claimed.len() == 1 && claimed[0].has_two_holders, "it is judged again: {claimed:?}");
    settled(&store, vec![judgement(&claimed[0], vec![judged(muster_proto::model::Lane::Unknown)])], at(41)).await;
    // They go on, but the host is marked once.
    two_agents_report(store.as_ref(), 120, 50, 9).await;
    let found = ledger(&store, 0, 1_000).await;
    let found = found.iter().filter(|row| row.entry.kind() == EntryKind::TwoHoldersFound).count();
    assert_eq!((found, marks(store.as_ref()).await.len()), (1, 1));
    let both = || HostsMeant::Named(vec![host(1), host(2)]);
    let done = host_action(&store, acting(60), HostActionKind::Review, both()).await.expect("reviews");
    assert_eq!((done.changed.len(), done.unchanged), (1, 1));
    let claimed = store.queue_claim(9, at(61)).await.expect("claims");
    assert!(claimed.len() == 1 && !claimed[0].has_two_holders, "it is judged as before: {claimed:?}");
    let last = ledger(&store, 0, 1_000).await.pop().expect("entries");
    assert_eq!(last.entry.kind(), EntryKind::HostsReviewed);
    two_agents_report(store.as_ref(), 140, 70, 6).await;
    assert_eq!(marks(store.as_ref()).await.len(), 1, "they went on after the review");
    assert_healthy(&store).await;
}

pub(crate) async fn a_report_of_another_machine_marks_the_host(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let all = [packages(&[("adduser", "3.134")])];
    reports(&store, 1, 1, 10, &all).await;
    // The agent may have enrolled from a container and report the machine around it; `reports` has sent none.
    store.check_in(begins(100, 20, 1)).await.expect("checks in");
    let unknown = CheckIn { fingerprint: Vec::new(), ..begins(101, 21, 0) };
    store.check_in(unknown).await.expect("checks in");
    store.check_in(begins(102, 22, 1)).await.expect("checks in");
    assert_eq!(marks(store.as_ref()).await, [], "a fingerprint that cannot be read is not another one");
    let answer = store.check_in(begins(103, 23, 2)).await.expect("checks in");
    assert_eq!(answer, CheckInAnswer::Current);
    let reason = "a machine with another machine id reports with its key".to_owned();
    assert_eq!(marks(store.as_ref()).await, [(HostMark::TwoHolders, reason)]);
    let named = || HostsMeant::Named(vec![host(1)]);
    host_action(&store, acting(30), HostActionKind::Review, named()).await.expect("reviews");
    // The machine id was renewed: it is known from now on, also after a restart.
    store.check_in(begins(104, 31, 2)).await.expect("checks in");
    store.close().await.expect("closes");
    let store = backend.open();
    store.check_in(begins(105, 32, 2)).await.expect("checks in");
    assert_eq!(marks(store.as_ref()).await, []);
    store.check_in(begins(106, 33, 1)).await.expect("checks in");
    assert_eq!(marks(store.as_ref()).await.len(), 1, "the other machine reports after all");
    assert_healthy(&store).await;
}
