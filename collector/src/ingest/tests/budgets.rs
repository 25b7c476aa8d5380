//! A host that sends without pause gets an answer that says when to come back; its check-ins go on, and what fits is kept.

use std::time::Duration;

use muster_proto::model::{EntryKind, HostId, RefusalClass, Section, Snapshot, SnapshotEntry, SourceName, Timestamp};
use muster_proto::{canonical, limits, wire};
use tonic::Code;

use super::{Lab, Machine, START, assert_refused, packages, section_part, snapshot, snapshot_part};
use crate::config::{Budgets, Uploads};
use crate::store::StoredHost;
use crate::store::contract::ledger;
use crate::tls::CertificateFacts;

const LATER: (Code, RefusalClass) = (Code::ResourceExhausted, RefusalClass::Later);
const HOUR: Duration = Duration::from_secs(3600);

async fn stored(lab: &Lab, machine: &Machine) -> StoredHost {
    let host: HostId = CertificateFacts::read(&machine.certificate).expect("facts").host.expect("a host");
    lab.store.host_get(host).await.expect("gets").expect("there")
}

fn many(name: &str, count: usize) -> Section {
    let names: Vec<String> = (0..count).map(|n| format!("{name}-{n}")).collect();
    packages(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A snapshot of two sections with different observations.
fn two(name: &str, count: usize) -> (Snapshot, [Section; 2]) {
    let [first, second] = ["a", "b"].map(|end| many(&format!("{name}-{end}"), count));
    let second = Section::new(first.platform(), SourceName::Rpm, second.observations().to_vec());
    let entry = |section: &Section| SnapshotEntry {
        source: section.source(),
        section: Some(canonical::section_digest(section)),
        ..snapshot(&first).entries()[0].clone()
    };
    let entries = [entry(&first), entry(&second)].to_vec();
    (Snapshot::new(first.platform(), entries), [first, second])
}

#[tokio::test]
async fn a_host_that_sends_new_editions_without_pause_gets_no_further_than_its_budget() {
    let editions = limits::OBSERVATIONS_PER_SECTION as u64;
    let budgets = Budgets { host_editions_per_hour: editions, ..Budgets::default() };
    let mut lab = Lab::start_with_budgets(Uploads::default(), budgets).await;
    let (hostile, honest) = (lab.enrolled().await, lab.enrolled().await);
    let mut refused = 0;
    for n in 1..=40 {
        let section = many(&format!("new-{n}"), 1_000);
        let seen = snapshot(&section);
        lab.check_in(&hostile, n, &seen).await.expect("check-ins are taken");
        let parts = vec![hostile.header(n, &seen), snapshot_part(&seen), section_part(&section)];
        if let Err(status) = lab.upload(&hostile, parts).await {
            refused += 1;
            let words = ["budgets.host_editions_per_hour is spent", "try again after 2025-12-29T10:00:00Z"];
            assert_refused(Err::<(), _>(status), LATER.0, LATER.1, &words);
        }
    }
    assert_eq!(refused, 20);
    assert_eq!(lab.store.editions_level().await.expect("tells").held.editions, editions);
    assert_eq!(stored(&lab, &hostile).await.last_seen.map(Timestamp::millis), Some(START));
    let section = many("honest", 10);
    let seen = snapshot(&section);
    let parts = vec![honest.header(1, &seen), snapshot_part(&seen), section_part(&section)];
    assert!(lab.upload(&honest, parts).await.expect("another host is not affected").accepted);
}

#[tokio::test]
async fn sections_that_fit_a_budget_are_kept_and_the_rest_follows_in_the_next_hour() {
    let bytes = limits::SECTION_BYTES as u64;
    for budgets in [
        Budgets { host_editions_per_hour: limits::OBSERVATIONS_PER_SECTION as u64, ..Budgets::default() },
        Budgets { host_sections_per_hour: 1, ..Budgets::default() },
        Budgets { store_bytes_per_hour: bytes, ..Budgets::default() },
    ] {
        let mut lab = Lab::start_with_budgets(Uploads::default(), budgets).await;
        let machine = lab.enrolled().await;
        // Together more editions, sections and bytes than the least budget; each alone fits.
        let (seen, sections) = two(&"x".repeat(170), 13_000);
        assert!(sections.iter().map(|section| canonical::section_bytes(section).len() as u64).sum::<u64>() > bytes);
        assert!(lab.check_in(&machine, 1, &seen).await.expect("checks in").snapshot_wanted);
        let mut parts = vec![machine.header(1, &seen), snapshot_part(&seen)];
        parts.extend(sections.iter().map(section_part));
        let refused = lab.upload(&machine, parts).await;
        assert_refused(refused, LATER.0, LATER.1, &["budgets.", "_per_hour is spent"]);
        let wanted = lab.check_in(&machine, 2, &seen).await.expect("checks in").sections_wanted;
        assert_eq!(wanted, [canonical::section_digest(&sections[1]).as_bytes().to_vec()], "the first one is kept");
        let rest = || vec![machine.header(2, &seen), section_part(&sections[1])];
        assert_refused(lab.upload(&machine, rest()).await, LATER.0, LATER.1, &["is spent"]);
        lab.pass(HOUR);
        assert!(lab.upload(&machine, rest()).await.expect("a new hour").accepted);
    }
}

#[tokio::test]
async fn a_host_that_changes_without_pause_stays_seen_and_changes_no_more() {
    let budgets = Budgets { host_changes_per_hour: 3, ..Budgets::default() };
    let mut lab = Lab::start_with_budgets(Uploads::default(), budgets).await;
    let machine = lab.enrolled().await;
    let seen = snapshot(&packages(&["adduser"]));
    let request = |lab: &Lab, seq: u64| {
        let state = wire::HostState { boot_id: format!("boot-{seq}"), ..wire::HostState::default() };
        machine.calls(wire::CheckInRequest { state: Some(state), ..machine.check_in(seq, &seen, lab.now_ms()) })
    };
    for seq in 1..=3 {
        lab.client.clone().check_in(request(&lab, seq)).await.expect("within the budget");
    }
    for seq in 4..=6 {
        lab.pass(Duration::from_secs(60));
        let refused = lab.client.clone().check_in(request(&lab, seq)).await;
        assert_refused(refused, LATER.0, LATER.1, &["budgets.host_changes_per_hour is spent"]);
        let kept = stored(&lab, &machine).await;
        let last_seen = kept.last_seen.map(Timestamp::millis);
        assert_eq!((last_seen, kept.state.boot_id.as_str()), (Some(lab.now_ms()), "boot-3"));
    }
    // What has not changed is acknowledged all the same.
    let state = wire::HostState { boot_id: "boot-3".to_owned(), ..wire::HostState::default() };
    let same = wire::CheckInRequest { state: Some(state), ..machine.check_in(7, &seen, lab.now_ms()) };
    lab.client.clone().check_in(machine.calls(same)).await.expect("nothing changes");
    lab.pass(HOUR);
    lab.client.clone().check_in(request(&lab, 8)).await.expect("a new hour");
    assert_eq!(stored(&lab, &machine).await.state.boot_id, "boot-8");
}

#[tokio::test]
async fn a_host_that_renews_without_pause_keeps_its_certificate_and_leaves_no_more_entries() {
    let budgets = Budgets { host_renewals_per_hour: 3, ..Budgets::default() };
    let mut lab = Lab::start_with_budgets(Uploads::default(), budgets).await;
    let machine = lab.enrolled().await;
    let entries = async |lab: &Lab| {
        let rows = ledger(&lab.store, 0, 1_000).await;
        rows.iter().filter(|row| row.entry.kind() == EntryKind::HostRekeyed).count()
    };
    for _ in 0..3 {
        let renewed = lab.client.clone().renew(machine.calls(machine.renewal(&Machine::new()))).await;
        renewed.expect("within the budget");
    }
    for _ in 0..5 {
        let refused = lab.client.clone().renew(machine.calls(machine.renewal(&Machine::new()))).await;
        assert_refused(refused, LATER.0, LATER.1, &["budgets.host_renewals_per_hour is spent"]);
    }
    assert_eq!(entries(&lab).await, 3);
    lab.check_in(&machine, 1, &snapshot(&packages(&["adduser"]))).await.expect("reports as before");
    lab.pass(HOUR);
    let renewed = lab.client.clone().renew(machine.calls(machine.renewal(&Machine::new()))).await;
    renewed.expect("a new hour");
}
