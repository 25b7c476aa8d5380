//! Check-ins, snapshots, sections.

use muster_proto::canonical;
use muster_proto::model::{HostFacts, Outcome, Platform, Section, Snapshot, SnapshotEntry, SourceName};

use super::Backend;
use super::kit::{
    assert_healthy, at, check_in, current, delivery, enrolled, facts, host, packages, part, reports, run, snapshot,
    state, units,
};
use crate::store::{Allowance, CheckIn, CheckInAnswer, Contradiction, Delivered, Delivery, StoreError};

fn image() -> [Section; 2] {
    [packages(&[("adduser", "3.134"), ("kesl", "12.2.0-2517")]), units(&["kesl.service", "cron.service"])]
}

fn cleaned() -> [Section; 2] {
    [packages(&[("adduser", "3.134")]), units(&["cron.service"])]
}

pub(crate) async fn a_snapshot_becomes_current_when_its_last_section_is_there(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let all = image();
    let digest = canonical::snapshot_digest(&snapshot(&all));
    let answer = store.check_in(check_in(1, 1, 10, &all)).await.expect("checks in");
    assert_eq!(answer, CheckInAnswer::SnapshotWanted);
    let wanted = vec![part(&all[1]).digest()];
    let answer = store.snapshot_deliver(delivery(1, 1, 11, &all, &all[..1])).await.expect("delivers");
    assert_eq!(answer, Delivered::SectionsWanted(wanted.clone()));
    assert_eq!(current(&store, 1).await, None, "not before all is there");
    let answer = store.check_in(check_in(1, 2, 12, &all)).await.expect("checks in");
    assert_eq!(answer, CheckInAnswer::SectionsWanted(wanted));
    let rest = Delivery { snapshot: None, ..delivery(1, 2, 13, &all, &all[1..]) };
    assert_eq!(store.snapshot_deliver(rest).await.expect("delivers"), Delivered::Accepted);
    let kept = store.host_get(host(1)).await.expect("gets").expect("there").snapshot.expect("has one");
    assert_eq!((kept.digest, kept.since, kept.snapshot), (digest, at(13), snapshot(&all)));
    assert_eq!(kept.observations.values().sum::<u64>(), 4);
    assert_healthy(&store).await;
}

pub(crate) async fn a_section_that_came_is_kept_though_others_are_missing(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let all = image();
    let only_section = Delivery { snapshot: None, ..delivery(1, 1, 10, &all, &all[..1]) };
    assert_eq!(store.snapshot_deliver(only_section).await.expect("delivers"), Delivered::SnapshotWanted);
    assert_eq!(store.section_get(part(&all[0]).digest()).await.expect("gets"), Some(part(&all[0])));
    let answer = store.snapshot_deliver(delivery(1, 2, 11, &all, &all[1..])).await.expect("delivers");
    assert_eq!(answer, Delivered::Accepted, "the first section need not come again");
}

pub(crate) async fn a_snapshot_with_another_digest_is_refused_and_nothing_is_kept(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let all = image();
    let other_snapshot = Delivery { snapshot: Some(snapshot(&cleaned())), ..delivery(1, 1, 10, &all, &all) };
    let error = store.snapshot_deliver(other_snapshot).await.expect_err("refused");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(store.section_get(part(&all[0]).digest()).await.expect("gets"), None);
    assert_eq!(store.check().await.expect("checks").sections, 0);
}

pub(crate) async fn a_snapshot_of_another_platform_or_with_a_section_of_one_is_never_current(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    let windows =
        Section::new(Platform::Windows, SourceName::Dpkg, packages(&[("kesl", "12")]).observations().to_vec());
    let named = |platform| {
        let snapshot = Snapshot::new(platform, snapshot(std::slice::from_ref(&windows)).entries().to_vec());
        let (digest, sections) = (canonical::snapshot_digest(&snapshot), vec![part(&windows)]);
        Delivery { digest, snapshot: Some(snapshot), sections, ..delivery(1, 1, 10, &[], &[]) }
    };
    let of_a_windows_host = CheckIn {
        host: host(2),
        facts: Some(HostFacts { platform: Platform::Windows, ..facts("laptop-1") }),
        ..check_in(2, 1, 10, &[])
    };
    store.check_in(of_a_windows_host).await.expect("checks in");
    let honest = Delivery { host: host(2), run: run(2), ..named(Platform::Windows) };
    assert_eq!(store.snapshot_deliver(honest.clone()).await.expect("delivers"), Delivered::Accepted);
    let contradiction = Contradiction::Platform { snapshot: Platform::Windows, host: Platform::Linux };
    let other = store.snapshot_deliver(named(Platform::Windows)).await.expect("asks");
    assert_eq!(other, Delivered::Contradicts(contradiction.clone()));
    let check_in = CheckIn { snapshot: honest.digest, ..check_in(1, 2, 11, &[]) };
    let other = store.check_in(check_in.clone()).await.expect("asks");
    assert_eq!(other, CheckInAnswer::Contradicts(contradiction));
    // The section is stored already, so it need not be sent to be named; and once the snapshot is stored, neither it.
    let lying = Delivery { sections: Vec::new(), ..named(Platform::Linux) };
    for delivery in [named(Platform::Linux), lying.clone(), Delivery { snapshot: None, ..lying.clone() }] {
        let answer = store.snapshot_deliver(delivery).await.expect("asks");
        assert!(matches!(answer, Delivered::Contradicts(Contradiction::Section { .. })), "{answer:?}");
    }
    let answer = store.check_in(CheckIn { snapshot: lying.digest, ..check_in }).await.expect("asks");
    assert!(matches!(answer, CheckInAnswer::Contradicts(Contradiction::Section { .. })), "{answer:?}");
    assert_eq!(current(&store, 1).await, None);
    assert_healthy(&store).await;
}

/// A check-in with facts and state, as the first one of a run.
fn whole(check_in: CheckIn) -> CheckIn {
    CheckIn { facts: Some(facts("host-001")), state: Some(state("boot-1")), ..check_in }
}

pub(crate) async fn a_repeated_check_in_only_renews_last_seen(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let (first, second) = (image(), cleaned());
    reports(&store, 1, 1, 10, &first).await;
    reports(&store, 1, 2, 20, &second).await;
    store.check_in(whole(check_in(1, 3, 30, &second))).await.expect("checks in");
    let before = store.host_get(host(1)).await.expect("gets").expect("there");
    for (seq, seconds) in [(3, 40), (2, 41)] {
        let answer = store.check_in(whole(check_in(1, seq, seconds, &second))).await.expect("repeats");
        assert_eq!(answer, CheckInAnswer::Current);
    }
    let answer = store.check_in(check_in(1, 3, 42, &second)).await.expect("repeats");
    assert_eq!(answer, CheckInAnswer::StateWanted, "what it leaves out may not be what is stored");
    let late = store.snapshot_deliver(delivery(1, 1, 43, &second, &[])).await.expect("delivers");
    assert_eq!(late, Delivered::StateWanted);
    let after = store.host_get(host(1)).await.expect("gets").expect("there");
    assert_eq!((after.last_seen, after.facts, after.state), (Some(at(43)), before.facts, before.state));
    assert_eq!(after.snapshot.expect("has one").since, before.snapshot.expect("had one").since);
    // The number is still the highest of the run.
    assert_eq!(store.check_in(check_in(1, 4, 50, &second)).await.expect("goes on"), CheckInAnswer::Current);
    assert_healthy(&store).await;
}

pub(crate) async fn a_machine_that_was_rolled_back_reports_again_as_a_new_run(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let (first, second) = (image(), cleaned());
    reports(&store, 1, 1, 10, &first).await;
    store.check_in(whole(check_in(1, 2, 20, &first))).await.expect("checks in");
    reports(&store, 1, 3, 30, &second).await;
    // Rolled back to after the first report, with its memory.
    for seq in [2, 3] {
        let old = check_in(1, seq, 40, &first);
        assert_eq!(store.check_in(old.clone()).await.expect("asks"), CheckInAnswer::NewRun);
        assert_eq!(store.check_in(whole(old)).await.expect("asks"), CheckInAnswer::NewRun);
    }
    let late = store.snapshot_deliver(delivery(1, 2, 41, &first, &first)).await.expect("asks");
    assert_eq!(late, Delivered::NewRun);
    let other_state = CheckIn { state: Some(state("boot-2")), ..check_in(1, 3, 42, &second) };
    assert_eq!(store.check_in(other_state.clone()).await.expect("asks"), CheckInAnswer::NewRun, "or its state");
    let other_facts = CheckIn { facts: Some(facts("renamed")), ..check_in(1, 3, 42, &second) };
    assert_eq!(store.check_in(other_facts).await.expect("asks"), CheckInAnswer::NewRun, "or its facts");
    let kept = store.host_get(host(1)).await.expect("gets").expect("there");
    assert_eq!(kept.state, state("boot-1"));
    assert_eq!(
        kept.snapshot.expect("has one").digest,
        canonical::snapshot_digest(&snapshot(&second)),
        "nothing changed"
    );
    // The new run says everything, and is believed.
    let partly = CheckIn { run: run(200), ..check_in(1, 1, 50, &first) };
    assert_eq!(store.check_in(partly).await.expect("asks"), CheckInAnswer::NewRun, "a run begins with facts and state");
    let anew = CheckIn { run: run(200), ..whole(check_in(1, 1, 50, &first)) };
    assert_eq!(store.check_in(anew).await.expect("checks in"), CheckInAnswer::Current);
    assert_eq!(current(&store, 1).await, Some(canonical::snapshot_digest(&snapshot(&first))));
    assert_healthy(&store).await;
}

pub(crate) async fn a_check_in_whose_allowance_is_spent_only_renews_last_seen(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let (first, second) = (image(), cleaned());
    let allowed = |changes, check_in| {
        let allowance = Allowance::new(changes);
        (allowance.clone(), CheckIn { allowance, ..check_in })
    };
    reports(&store, 1, 1, 10, &second).await;
    store.check_in(whole(check_in(1, 2, 11, &second))).await.expect("checks in");
    reports(&store, 1, 3, 12, &first).await;
    let other_state = |seq, seconds, sections: &[Section]| CheckIn {
        state: Some(state(&format!("boot-{seq}"))),
        ..check_in(1, seq, seconds, sections)
    };
    // One change is taken, whatever changes with it; what changes nothing costs nothing.
    let (allowance, both) = allowed(5, other_state(4, 13, &second));
    assert_eq!(store.check_in(both).await.expect("checks in"), CheckInAnswer::Current);
    assert_eq!(allowance.taken(), 1);
    let (allowance, same) = allowed(5, CheckIn { state: Some(state("boot-4")), ..check_in(1, 5, 14, &second) });
    assert_eq!(store.check_in(same).await.expect("checks in"), CheckInAnswer::Current);
    assert_eq!(allowance.taken(), 0);
    for (seconds, changed) in [
        (20, other_state(6, 20, &second)),
        (21, check_in(1, 6, 21, &first)),
        (22, CheckIn { facts: Some(facts("renamed")), ..check_in(1, 6, 22, &second) }),
        (23, CheckIn { run: run(200), ..whole(check_in(1, 1, 23, &first)) }),
    ] {
        let (allowance, check_in) = allowed(0, changed);
        assert_eq!(store.check_in(check_in).await.expect("checks in"), CheckInAnswer::Throttled);
        assert_eq!(allowance.taken(), 0);
        let kept = store.host_get(host(1)).await.expect("gets").expect("there");
        assert_eq!(kept.last_seen, Some(at(seconds)));
        assert_eq!((kept.state.boot_id.as_str(), kept.facts.hostname.as_str()), ("boot-4", "host-001"));
        assert_eq!(kept.snapshot.map(|current| current.digest), Some(canonical::snapshot_digest(&snapshot(&second))));
    }
    // The same check-in again, with a new allowance: nothing of it was taken for known.
    let (allowance, again) = allowed(1, other_state(6, 30, &first));
    assert_eq!(store.check_in(again).await.expect("checks in"), CheckInAnswer::Current);
    assert_eq!(allowance.taken(), 1);
    let kept = store.host_get(host(1)).await.expect("gets").expect("there");
    assert_eq!(kept.state.boot_id, "boot-6");
    assert_healthy(&store).await;
}

pub(crate) async fn a_late_message_of_an_earlier_process_does_not_bring_back_its_snapshot(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let (first, second) = (image(), cleaned());
    reports(&store, 1, 7, 10, &first).await;
    let restarted = |seq, seconds| CheckIn { run: run(200), ..whole(check_in(1, seq, seconds, &second)) };
    let answer = store.check_in(restarted(1, 20)).await.expect("a new run begins anew");
    assert_eq!(answer, CheckInAnswer::SnapshotWanted);
    let arrives = Delivery { run: run(200), ..delivery(1, 1, 21, &second, &second) };
    assert_eq!(store.snapshot_deliver(arrives).await.expect("delivers"), Delivered::Accepted);
    let late = store.snapshot_deliver(delivery(1, 7, 29, &first, &first)).await.expect("comes late");
    assert_eq!(late, Delivered::NewRun);
    let answer = store.check_in(check_in(1, 7, 30, &first)).await.expect("comes late");
    assert_eq!(answer, CheckInAnswer::NewRun);
    assert_eq!(current(&store, 1).await, Some(canonical::snapshot_digest(&snapshot(&second))));
}

pub(crate) async fn a_late_delivery_does_not_move_the_pointer_back(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let (first, second) = (image(), cleaned());
    reports(&store, 1, 2, 20, &second).await;
    let late = store.snapshot_deliver(delivery(1, 1, 21, &first, &first)).await.expect("delivers");
    assert_eq!(late, Delivered::NewRun, "it is not the host's current one, so it is not acknowledged");
    assert_eq!(current(&store, 1).await, Some(canonical::snapshot_digest(&snapshot(&second))));
    let again = store.snapshot_deliver(delivery(1, 2, 22, &second, &second)).await.expect("delivers");
    assert_eq!(again, Delivered::Accepted);
    let kept = store.host_get(host(1)).await.expect("gets").expect("there").snapshot.expect("has one");
    assert_eq!(kept.since, at(20), "a repeated delivery begins nothing anew");
}

pub(crate) async fn a_snapshot_that_is_known_becomes_current_without_an_upload(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let (first, second) = (image(), cleaned());
    reports(&store, 1, 1, 10, &first).await;
    reports(&store, 1, 2, 20, &second).await;
    let answer = store.check_in(check_in(1, 3, 30, &first)).await.expect("checks in");
    assert_eq!(answer, CheckInAnswer::Current);
    let kept = store.host_get(host(1)).await.expect("gets").expect("there").snapshot.expect("has one");
    assert_eq!((kept.digest, kept.since), (canonical::snapshot_digest(&snapshot(&first)), at(30)));
    assert_healthy(&store).await;
}

pub(crate) async fn two_hosts_of_one_image_share_snapshot_and_sections(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    let all = image();
    reports(&store, 1, 1, 10, &all).await;
    let answer = store.check_in(check_in(2, 1, 11, &all)).await.expect("checks in");
    assert_eq!(answer, CheckInAnswer::Current);
    let check = store.check().await.expect("checks");
    assert_eq!((check.hosts, check.snapshots, check.sections, check.faults.len()), (2, 1, 2, 0));
}

pub(crate) async fn sections_are_rebuilt_as_they_came(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let many: Vec<(String, String)> = (0..300).map(|n| (format!("lib{n}"), format!("1.{}-{}", n % 7, n % 3))).collect();
    let names: Vec<(&str, &str)> = many.iter().map(|(name, version)| (name.as_str(), version.as_str())).collect();
    let all = [packages(&names), units(&[])];
    reports(&store, 1, 1, 10, &all).await;
    for section in &all {
        assert_eq!(store.section_get(part(section).digest()).await.expect("gets"), Some(part(section)));
    }
    store.close().await.expect("closes");
    let store = backend.open();
    for section in &all {
        let kept = store.section_get(part(section).digest()).await.expect("gets");
        assert_eq!(kept, Some(part(section)), "from what the database holds");
    }
}

pub(crate) async fn facts_and_state_are_kept_when_they_change(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let all = image();
    reports(&store, 1, 1, 10, &all).await;
    let told = |seq| CheckIn {
        facts: Some(facts("renamed")),
        state: Some(state("boot-1")),
        ..check_in(1, seq, 20 + seq, &all)
    };
    for seq in 2..5 {
        assert_eq!(store.check_in(told(seq)).await.expect("checks in"), CheckInAnswer::Current);
    }
    let kept = store.host_get(host(1)).await.expect("gets").expect("there");
    assert_eq!((kept.facts, kept.state), (facts("renamed"), state("boot-1")));
    assert_eq!(kept.last_seen, Some(at(24)));
    let wanted = CheckIn { state: Some(state("boot-2")), ..check_in(1, 9, 40, &cleaned()) };
    assert_eq!(store.check_in(wanted).await.expect("checks in"), CheckInAnswer::SnapshotWanted);
    let kept = store.host_get(host(1)).await.expect("gets").expect("there");
    assert_eq!(kept.state, state("boot-2"), "it does not wait for the snapshot");
}

pub(crate) async fn everything_survives_a_restart(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    let all = image();
    reports(&store, 1, 1, 10, &all).await;
    let unchanged = store.check_in(check_in(1, 2, 50, &all)).await.expect("checks in");
    assert_eq!(unchanged, CheckInAnswer::Current);
    let before = store.host_get(host(1)).await.expect("gets").expect("there");
    store.close().await.expect("closes");

    let store = backend.open();
    let after = store.host_get(host(1)).await.expect("gets").expect("there");
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
    assert_eq!(after.last_seen, Some(at(50)), "last seen is written when the store closes");
    let replay = store.check_in(check_in(1, 2, 60, &all)).await.expect("replays");
    assert_eq!(replay, CheckInAnswer::StateWanted);
    assert_eq!(store.section_get(part(&all[0]).digest()).await.expect("gets"), Some(part(&all[0])));
    assert_eq!(store.queue_depth().await.expect("asks").waiting, 2);
    assert_eq!(store.host_get(host(2)).await.expect("gets").expect("there").last_seen, Some(at(1)));
    assert_healthy(&store).await;
}

pub(crate) async fn the_last_complete_scan_is_remembered_while_scans_fail(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let complete = async || store.host_get(host(1)).await.expect("gets").expect("is there").complete_scan;
    assert_eq!(complete().await, None, "nothing was scanned yet");
    let scan = |seconds: u64, outcome: Outcome, name: &str| {
        let all = [packages(&[(name, "1")])];
        let entry = SnapshotEntry {
            source: SourceName::Dpkg,
            outcome,
            reason: String::new(),
            watchlist: 0,
            section: Some(canonical::section_digest(&all[0])),
        };
        let snapshot = Snapshot::new(Platform::Linux, vec![entry]);
        let digest = canonical::snapshot_digest(&snapshot);
        Delivery { digest, snapshot: Some(snapshot), ..delivery(1, seconds, seconds, &all, &all) }
    };
    for (seconds, outcome, name, expected) in [
        (10, Outcome::Found, "a", 10),
        (20, Outcome::Found, "b", 20),
        (30, Outcome::Partial, "b", 30),
        (40, Outcome::Partial, "c", 30),
        (50, Outcome::Found, "c", 50),
    ] {
        store.snapshot_deliver(scan(seconds, outcome, name)).await.expect("delivers");
        assert_eq!(complete().await, Some(at(expected)), "after {seconds}");
    }
}
