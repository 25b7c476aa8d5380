//! Purging a host: what goes, what stays, and how it comes back.

use std::sync::Arc;

use muster_proto::canonical;
use muster_proto::model::{EntryKind, HostActionKind, HostMark, Lane, PurgeCounts, Section};

use super::kit::{
    acting, all_judged, assert_healthy, at, check_in, current, delivery, enrolled, enrollment, facts, host,
    host_action, key, ledger, order, packages, reports, run, state, units,
};
use super::{Backend, indexed};
use crate::ledger::entry::Entry;
use crate::store::admin::hosts::{HostsMeant, PortionDone};
use crate::store::{CheckIn, CheckInAnswer, Delivered, Enrolled, Enrollment, SiteScope, Store, Unreferenced};

async fn purged(store: &Arc<dyn Store>, n: u8, seconds: u64) -> PortionDone {
    let hosts = HostsMeant::Named(vec![host(n)]);
    host_action(store, acting(seconds), HostActionKind::Purge, hosts).await.expect("purges")
}

/// Checks in with everything.
async fn says_all(store: &Arc<dyn Store>, n: u8, seq: u64, seconds: u64, all: &[Section]) -> CheckInAnswer {
    let facts = Some(facts(&format!("host-{n:03}")));
    let whole = CheckIn { facts, state: Some(state("boot-1")), ..check_in(n, seq, seconds, all) };
    store.check_in(whole).await.expect("checks in")
}

async fn is_stored(store: &Arc<dyn Store>, section: &Section) -> bool {
    store.section_get(canonical::section_digest(section)).await.expect("gets").is_some()
}

pub(crate) async fn a_purged_host_loses_what_only_it_had_and_stays_in_every_count(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    let (shared, before, own) = (packages(&[("curl", "8.1")]), units(&["old.service"]), units(&["secret.service"]));
    reports(&store, 2, 1, 10, std::slice::from_ref(&shared)).await;
    indexed(&store).await;
    reports(&store, 1, 1, 11, &[shared.clone(), before.clone()]).await;
    reports(&store, 1, 2, 12, &[shared.clone(), own.clone()]).await;
    says_all(&store, 1, 3, 13, &[shared.clone(), own.clone()]).await;
    all_judged(&store, Lane::Replace, 14).await;
    let done = purged(&store, 1, 20).await;
    assert_eq!((done.changed.len(), done.unchanged, done.is_unfinished), (1, 0, false));
    assert_eq!(done.removed, PurgeCounts { snapshots: 2, sections: 2 });
    assert_healthy(&store).await;
    // Editions go with a later pass.
    let editions = Unreferenced { editions: 2, ..Unreferenced::default() };
    assert_eq!(store.check().await.expect("checks").unreferenced, editions);

    let kept = store.host_get(host(1)).await.expect("gets").expect("it stays");
    assert!(kept.snapshot.is_none() && kept.state.boot_id.is_empty(), "{kept:?}");
    assert_eq!(kept.last_seen, Some(at(13)));
    assert_eq!(kept.marks.iter().map(|mark| mark.mark).collect::<Vec<_>>(), [HostMark::Revoked, HostMark::Purged]);
    let tally = store.lane_tally(&order(), &SiteScope::All, at(0), at(0)).await.expect("tallies").hosts();
    assert_eq!(tally.in_scope.values().sum::<u64>(), 2, "both hosts are in a lane");
    assert_eq!(store.queue_depth().await.expect("asks").waiting, 1, "it is judged again");
    assert!(store.host_identify(key(1)).await.expect("asks").expect("known").revoked);
    let entries = ledger(&store, 0, 1_000).await;
    let last = entries.last().expect("an entry");
    assert_eq!(last.entry.kind(), EntryKind::HostsPurged);
    assert!(
        matches!(&last.entry, Entry::HostsPurged { action, removed }
        if action.hosts == [host(1)] && *removed == done.removed),
        "{:?}",
        last.entry
    );
    let again = purged(&store, 1, 21).await;
    assert_eq!((again.changed.len(), again.unchanged, again.removed), (0, 1, PurgeCounts::default()));
    assert_eq!(
        current(&store, 2).await,
        Some(canonical::snapshot_digest(&super::snapshot(std::slice::from_ref(&shared))))
    );
    store.close().await.expect("closes");

    let store = backend.open();
    assert_healthy(&store).await;
    assert!(is_stored(&store, &shared).await && !is_stored(&store, &before).await && !is_stored(&store, &own).await);
    // The machine comes back with a new key, as another host.
    let anew = Enrollment { key: key(51), host: host(51), ..enrollment(1) };
    assert!(matches!(store.host_enroll(anew).await, Ok(Enrolled::Host { host: new, .. }) if new == host(51)));
    reports(&store, 51, 1, 30, &[shared.clone(), own.clone()]).await;
    assert!(is_stored(&store, &own).await);
    assert_healthy(&store).await;
}

pub(crate) async fn a_purge_of_much_takes_several_transactions(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    for n in 1..=10 {
        reports(&store, 1, n, 10 * n, &[packages(&[("adduser", &*format!("{n}"))])]).await;
    }
    reports(&store, 2, 1, 5, &[packages(&[("adduser", "9")])]).await;
    let (mut removed, mut times) = (PurgeCounts::default(), 0);
    loop {
        let done = purged(&store, 1, 200).await;
        assert_healthy(&store).await;
        removed.snapshots += done.removed.snapshots;
        removed.sections += done.removed.sections;
        times += 1;
        if !done.is_unfinished {
            break;
        }
        assert!(store.host_identify(key(1)).await.expect("asks").expect("known").revoked, "from the first on");
    }
    assert_eq!((removed, times), (PurgeCounts { snapshots: 9, sections: 9 }, 2), "host 2 has one of them");
    let entries = ledger(&store, 0, 1_000).await;
    let purges = entries.iter().filter(|row| row.entry.kind() == EntryKind::HostsPurged).count();
    assert_eq!(purges, times);
}

pub(crate) async fn a_host_that_was_purged_and_released_reports_everything_again(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let all = [packages(&[("curl", "8.1")])];
    says_all(&store, 1, 1, 10, &all).await;
    let answer = store.snapshot_deliver(delivery(1, 1, 11, &all, &all)).await.expect("delivers");
    assert_eq!(answer, Delivered::Accepted);
    says_all(&store, 1, 2, 12, &all).await;
    purged(&store, 1, 20).await;
    host_action(&store, acting(21), HostActionKind::Release, HostsMeant::Named(vec![host(1)])).await.expect("releases");
    assert_eq!(store.host_get(host(1)).await.expect("gets").expect("there").marks, []);
    // The process goes on, and leaves out what was acknowledged. A collector may answer once from memory.
    let mut answer = store.check_in(check_in(1, 3, 30, &all)).await.expect("checks in");
    for seq in 4..100 {
        if answer == CheckInAnswer::NewRun {
            break;
        }
        assert_eq!(answer, CheckInAnswer::Current);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        answer = store.check_in(check_in(1, seq, 30 + seq, &all)).await.expect("checks in");
    }
    assert_eq!(answer, CheckInAnswer::NewRun);
    let whole = CheckIn {
        run: run(77),
        facts: Some(facts("host-001")),
        state: Some(state("boot-1")),
        ..check_in(1, 1, 200, &all)
    };
    assert_eq!(store.check_in(whole).await.expect("checks in"), CheckInAnswer::SnapshotWanted);
    let delivered = crate::store::Delivery { run: run(77), ..delivery(1, 1, 201, &all, &all) };
    assert_eq!(store.snapshot_deliver(delivered).await.expect("delivers"), Delivered::Accepted);
    let kept = store.host_get(host(1)).await.expect("gets").expect("there");
    assert_eq!((kept.snapshot.is_some(), kept.state.boot_id.as_str()), (true, "boot-1"));
    assert_healthy(&store).await;
}
