//! What is removed because nothing refers to it, and what becomes of hosts that name it at that moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_proto::canonical;
use muster_proto::model::{Lane, Section};

use super::kit::{
    all_judged, assert_healthy, at, check_in, current, delivery, enrolled, host, packages, reports, state, units,
};
use super::retention::before;
use super::{Backend, indexed};
use crate::store::{CheckIn, CheckInAnswer, Delivered, Store, Unreferenced, UnreferencedPass, UnreferencedRemoved};

/// A pass at this second over what was made before another one.
pub(crate) async fn pass(store: &Arc<dyn Store>, now: u64, before: u64) -> UnreferencedRemoved {
    let pass = UnreferencedPass { now: at(now), before: at(before), rows: 2, pause: Duration::ZERO, editions: true };
    store.unreferenced_remove(pass).await.expect("removes")
}

pub(crate) async fn forget_the_past(store: &Arc<dyn Store>) {
    store.history_remove(before(100_000, 100_000)).await.expect("removes");
}

pub(super) async fn unreferenced(store: &Arc<dyn Store>) -> Unreferenced {
    store.check().await.expect("checks").unreferenced
}

pub(crate) async fn what_nothing_refers_to_is_removed_when_it_is_old_enough(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 3).await;
    let (shared, old) = (packages(&[("curl", "8.1")]), units(&["kesl.service"]));
    for (seq, seconds) in [(1, 10), (2, 20)] {
        let version = format!("{seq}");
        let own = packages(&[("kesl", &version)]);
        reports(&store, 1, 2 * seq, seconds, &[own, if seq == 1 { old.clone() } else { units(&["cron.service"]) }])
            .await;
        let other = CheckIn { state: Some(state(&version)), ..check_in(1, 2 * seq + 1, seconds, &[]) };
        let snapshot = store.host_get(host(1)).await.expect("gets").expect("there").snapshot.expect("reported").digest;
        store.check_in(CheckIn { snapshot, ..other }).await.expect("checks in");
        all_judged(&store, Lane::Replace, seconds + 1).await;
    }
    // Host 2 leaves a snapshot whose section host 3 still has, in another snapshot.
    reports(&store, 3, 1, 10, &[shared.clone(), units(&["ssh.service"])]).await;
    reports(&store, 2, 1, 10, std::slice::from_ref(&shared)).await;
    reports(&store, 2, 2, 20, &[packages(&[("curl", "8.2")])]).await;
    all_judged(&store, Lane::Clear, 22).await;
    indexed(&store).await;

    assert_eq!(pass(&store, 25, 25).await.rows(), 0, "the past of hosts refers to all of it");
    forget_the_past(&store).await;
    let free = Unreferenced { snapshots: 2, states: 1, ..Unreferenced::default() };
    assert_eq!(unreferenced(&store).await, free, "sections are free when their snapshot is gone");
    let states = UnreferencedRemoved { states: 1, ..UnreferencedRemoved::default() };
    assert_eq!(pass(&store, 26, 24).await, states, "nothing is known to be so old, except what has no age");
    let removed = pass(&store, 30, 25).await;
    // On PostgreSQL, titles and versions have no rows.
    let texts = removed.texts;
    assert_eq!(removed, UnreferencedRemoved { snapshots: 2, sections: 2, states: 0, editions: 2, texts });
    assert_eq!(unreferenced(&store).await, Unreferenced::default());
    assert_healthy(&store).await;
    assert_eq!(pass(&store, 31, 31).await.rows(), 0, "each once");
    store.close().await.expect("closes");

    let store = backend.open();
    assert_healthy(&store).await;
    let stored =
        async |section: &Section| store.section_get(canonical::section_digest(section)).await.expect("gets").is_some();
    assert!(!stored(&old).await && !stored(&packages(&[("kesl", "1")])).await);
    assert!(stored(&shared).await && stored(&packages(&[("kesl", "2")])).await);
    let found = store.software_find(super::software::query("kesl")).await.expect("finds");
    assert_eq!((found.editions.len(), found.hosts_total), (1, 1), "the index still names what is there");
    for n in 1..=3 {
        let kept = store.host_get(host(n)).await.expect("gets").expect("there").snapshot.expect("current");
        assert!(store.snapshot_get(kept.digest).await.expect("gets").is_some(), "host {n}");
    }
}

pub(crate) async fn what_was_removed_is_asked_for_when_it_is_named_again(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    let first = [packages(&[("adduser", "1")]), units(&["a.service"])];
    let second = [packages(&[("adduser", "2")]), units(&["b.service"])];
    reports(&store, 1, 1, 10, &first).await;
    reports(&store, 1, 2, 20, &second).await;
    // The first part of an upload, whose snapshot no host has yet.
    let third = [packages(&[("adduser", "3")]), units(&["c.service"])];
    let part = store.snapshot_deliver(delivery(2, 1, 21, &third, &third[..1])).await.expect("delivers");
    assert!(matches!(part, Delivered::SectionsWanted(_)), "{part:?}");
    reports(&store, 1, 3, 22, &[packages(&[("adduser", "4")])]).await;
    forget_the_past(&store).await;
    pass(&store, 30, 30).await;
    assert_eq!(unreferenced(&store).await, Unreferenced::default());
    assert_healthy(&store).await;
    // The host goes back to what it had, and the upload goes on.
    let answer = store.check_in(check_in(1, 4, 40, &first)).await.expect("checks in");
    assert_eq!(answer, CheckInAnswer::SnapshotWanted);
    let answer = store.snapshot_deliver(delivery(1, 4, 40, &first, &[])).await.expect("delivers");
    assert!(matches!(&answer, Delivered::SectionsWanted(sections) if sections.len() == 2), "{answer:?}");
    let answer = store.snapshot_deliver(delivery(1, 4, 40, &first, &first)).await.expect("delivers");
    assert_eq!(answer, Delivered::Accepted);
    let part = store.snapshot_deliver(delivery(2, 1, 41, &third, &third[1..])).await.expect("delivers");
    assert!(matches!(&part, Delivered::SectionsWanted(sections) if sections.len() == 1), "{part:?}");
    let answer = store.snapshot_deliver(delivery(2, 1, 41, &third, &third)).await.expect("delivers");
    assert_eq!(answer, Delivered::Accepted);
    assert_healthy(&store).await;
    for (n, all) in [(1, &first), (2, &third)] {
        assert_eq!(current(&store, n).await, Some(canonical::snapshot_digest(&super::snapshot(all))));
    }
}

pub(crate) async fn a_number_is_not_used_again_after_the_last_row_has_lost_its_host(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let version = |n: u64| [packages(&[("adduser", &*format!("{n}"))])];
    for (seq, shown) in [(1, 1), (2, 2), (3, 3), (4, 1)] {
        reports(&store, 1, seq, 10 * seq, &version(shown)).await;
    }
    indexed(&store).await;
    forget_the_past(&store).await;
    // The rows of the third one have the greatest numbers. The index names the one of its section.
    pass(&store, 50, 50).await;
    assert_healthy(&store).await;
    store.close().await.expect("closes");
    let store = backend.open();
    reports(&store, 1, 5, 60, &version(5)).await;
    indexed(&store).await;
    assert_healthy(&store).await;
    assert_eq!(current(&store, 1).await, Some(canonical::snapshot_digest(&super::snapshot(&version(5)))));
    forget_the_past(&store).await;
    pass(&store, 70, 70).await;
    assert_eq!(unreferenced(&store).await, Unreferenced::default());
    assert_healthy(&store).await;
}

const HOSTS: u8 = 12;
const ROUNDS: u64 = 40;

/// What a host has in a round: one of few snapshots, so that what was just removed is named again at once.
fn shown(n: u8, round: u64) -> [Section; 2] {
    let turn = (u64::from(n) * 7 + round) % 29;
    [packages(&[("kesl", &*format!("{turn}")), ("adduser", "3")]), units(&[&*format!("{}.service", turn / 3)])]
}

pub(crate) async fn hosts_that_report_while_rows_are_removed_lose_nothing(backend: impl Backend) {
    reports_while_rows_are_removed(vec![backend.open()]).await;
}

/// The same with several stores on one database: a host takes the next store with every message.
pub(crate) async fn reports_while_rows_are_removed(stores: Vec<Arc<dyn Store>>) {
    let store = Arc::clone(&stores[0]);
    enrolled(&store, HOSTS).await;
    let done = Arc::new(AtomicBool::new(false));
    let remover = tokio::spawn(remove_until(Arc::clone(&store), Arc::clone(&done)));
    let hosts: Vec<_> = (1..=HOSTS).map(|n| tokio::spawn(report(stores.clone(), n))).collect();
    for host in hosts {
        host.await.expect("reports");
    }
    done.store(true, Ordering::SeqCst);
    assert!(remover.await.expect("removes") > 0, "something was removed meanwhile");
    assert_healthy(&store).await;
    for n in 1..=HOSTS {
        let last = canonical::snapshot_digest(&super::snapshot(&shown(n, ROUNDS - 1)));
        assert_eq!(current(&store, n).await, Some(last), "host {n}");
    }
}

async fn remove_until(store: Arc<dyn Store>, done: Arc<AtomicBool>) -> u64 {
    let mut removed = 0;
    for now in 1_000.. {
        if done.load(Ordering::SeqCst) {
            break;
        }
        forget_the_past(&store).await;
        removed += pass(&store, now, now).await.rows();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    removed
}

async fn report(stores: Vec<Arc<dyn Store>>, n: u8) {
    let mut turns = stores.iter().cycle().skip(usize::from(n));
    for round in 0..ROUNDS {
        let mut store = || turns.next().expect("there is a store");
        let (seq, seconds, all) = (round + 1, 10 + round, shown(n, round));
        let mut wanted = match store().check_in(check_in(n, seq, seconds, &all)).await.expect("checks in") {
            CheckInAnswer::Current => continue,
            CheckInAnswer::SectionsWanted(sections) => sections,
            CheckInAnswer::SnapshotWanted => Vec::new(),
            other @ (CheckInAnswer::StateWanted
            | CheckInAnswer::NewRun
            | CheckInAnswer::Throttled
            | CheckInAnswer::Contradicts(_)
            | CheckInAnswer::HostUnknown) => panic!("host {n}, round {round}: {other:?}"),
        };
        for tries in 0.. {
            let sent: Vec<Section> =
                all.iter().filter(|section| wanted.contains(&canonical::section_digest(section))).cloned().collect();
            match store().snapshot_deliver(delivery(n, seq, seconds, &all, &sent)).await.expect("delivers") {
                Delivered::Accepted => break,
                Delivered::SectionsWanted(sections) => wanted = sections,
                other @ (Delivered::StateWanted
                | Delivered::NewRun
                | Delivered::HeldBack(_)
                | Delivered::SnapshotWanted
                | Delivered::Contradicts(_)
                | Delivered::HostUnknown) => panic!("host {n}, round {round}: {other:?}"),
            }
            assert!(tries < 100, "the upload ends");
        }
    }
}
