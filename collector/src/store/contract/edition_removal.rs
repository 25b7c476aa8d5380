//! Editions that no section has: what is removed, what stays, and what becomes of those that come again.

use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::Section;

use super::kit::{assert_healthy, at, delivery, enrolled, packages, reports, units};
use super::software::query;
use super::unreferenced::{forget_the_past, pass, unreferenced};
use super::{Backend, indexed};
use crate::store::{Delivered, Store, Unreferenced, UnreferencedPass};

async fn held(store: &Arc<dyn Store>) -> u64 {
    store.editions_level().await.expect("tells").held.editions
}

/// How many hosts a search for this name finds.
async fn found(store: &Arc<dyn Store>, name: &str) -> u64 {
    store.software_find(query(name)).await.expect("finds").hosts_total
}

fn kesl(version: &str) -> [Section; 2] {
    [packages(&[("kesl", version), ("adduser", "3")]), units(&[&*format!("kesl-{version}.service")])]
}

pub(crate) async fn editions_that_no_section_has_are_removed_when_they_are_old_enough(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    reports(&store, 1, 1, 10, &kesl("1")).await;
    reports(&store, 2, 1, 10, &[packages(&[("curl", "8"), ("adduser", "3")])]).await;
    reports(&store, 1, 2, 20, &kesl("2")).await;
    indexed(&store).await;
    assert_eq!(held(&store).await, 6);
    forget_the_past(&store).await;
    let sections = UnreferencedPass { now: at(30), before: at(30), rows: 2, pause: Duration::ZERO, editions: false };
    let removed = store.unreferenced_remove(sections).await.expect("removes");
    assert_eq!((removed.sections, removed.editions), (2, 0), "not in this pass");
    assert_eq!(unreferenced(&store).await, Unreferenced { editions: 2, ..Unreferenced::default() });
    assert_eq!(pass(&store, 31, 29).await.rows(), 0, "nothing is known to be so old");
    assert_eq!(held(&store).await, 6);
    let removed = pass(&store, 40, 31).await;
    assert_eq!((removed.editions, removed.snapshots + removed.sections + removed.states), (2, 0));
    assert_eq!((held(&store).await, unreferenced(&store).await), (4, Unreferenced::default()));
    assert_healthy(&store).await;
    assert_eq!((found(&store, "kesl").await, found(&store, "adduser").await), (1, 2));
    // Blocks without an edition go now.
    assert_eq!(pass(&store, 41, 41).await.rows(), 0, "each once");

    // What was removed comes again.
    reports(&store, 2, 2, 50, &kesl("1")).await;
    assert_eq!((held(&store).await, found(&store, "kesl").await, found(&store, "curl").await), (6, 2, 0));
    assert_healthy(&store).await;
    store.close().await.expect("closes");
    let store = backend.open();
    assert_eq!((held(&store).await, found(&store, "kesl").await, found(&store, "adduser").await), (6, 2, 2));
    assert_healthy(&store).await;
    // The last numbers go as well.
    reports(&store, 2, 3, 60, &[packages(&[("adduser", "3")])]).await;
    forget_the_past(&store).await;
    assert_eq!(pass(&store, 70, 70).await.editions, 3);
    assert_eq!((held(&store).await, unreferenced(&store).await), (3, Unreferenced::default()));
    store.close().await.expect("closes");
    let store = backend.open();
    reports(&store, 2, 4, 80, &[packages(&[("adduser", "3"), ("wget", "1")])]).await;
    assert_eq!((held(&store).await, found(&store, "wget").await, found(&store, "curl").await), (4, 1, 0));
    assert_healthy(&store).await;
}

/// The bound of the dictionary counts what is there, so removals make space.
pub(crate) async fn a_dictionary_that_was_full_takes_new_editions_after_a_removal(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let most = crate::store::EditionTotals { editions: 4, text_bytes: u64::MAX };
    store.editions_limit(crate::store::EditionLimit { most, alarm_percent: 80 });
    let of = |names: &[&str]| [packages(&names.iter().map(|name| (*name, "1")).collect::<Vec<_>>())];
    reports(&store, 1, 1, 10, &of(&["a", "b", "c", "d"])).await;
    reports(&store, 1, 2, 20, &of(&["a", "b"])).await;
    let new = of(&["a", "e", "f"]);
    let answer = store.snapshot_deliver(delivery(1, 3, 30, &new, &new)).await.expect("answers");
    assert!(matches!(answer, Delivered::HeldBack(_)), "{answer:?}");
    forget_the_past(&store).await;
    assert_eq!(pass(&store, 40, 40).await.editions, 2);
    reports(&store, 1, 4, 50, &new).await;
    assert_eq!(held(&store).await, 4);
    assert_healthy(&store).await;
}

/// A pass is made of many transactions. Dropping it ends it between two of them, or within one.
pub(crate) async fn a_pass_that_is_cut_off_anywhere_loses_nothing(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    let kept = [packages(&[("kept", "1")]), units(&["kept.service"])];
    reports(&store, 2, 1, 10, &kept).await;
    for round in 0..12_u64 {
        let many: Vec<String> = (0..20).map(|n| format!("{round}-{n}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "1")).collect();
        reports(&store, 1, 2 * round + 1, 20 + round, &[packages(&many)]).await;
        reports(&store, 1, 2 * round + 2, 20 + round, &kept).await;
        forget_the_past(&store).await;
        let now = at(100 + round);
        let pass = UnreferencedPass { now, before: now, rows: 1, pause: Duration::ZERO, editions: true };
        let cut = Duration::from_micros(500 << round.min(8));
        // It may also come to its end in this time.
        let _ = tokio::time::timeout(cut, store.unreferenced_remove(pass)).await;
        assert_healthy(&store).await;
    }
    store.close().await.expect("closes");
    let store = backend.open();
    pass(&store, 200, 200).await;
    assert_eq!((held(&store).await, unreferenced(&store).await), (2, Unreferenced::default()));
    assert_eq!(found(&store, "kept").await, 2);
    assert_healthy(&store).await;
}
