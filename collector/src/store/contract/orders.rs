//! Applied orders: what people applied is read back, changed one after the other, and announced; rule sets are kept with the
//! time since when they were in force.

use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::{EntryKind, OrderId, Platform};

use super::Backend;
use super::kit::{acting, assert_healthy, at, enrollment, host, ledger, site, small_fleet};
use crate::store::admin::orders::{self, KeptOrder, KeptRules, OrdersChange, Packed, StoredOrders};
use crate::store::{AdminTx, Store, admin};

fn id(text: &str) -> OrderId {
    OrderId::new(text).expect("an id")
}

fn packed(byte: u8) -> Packed {
    Packed { sha256: [byte; 32], size: 3, packed: vec![byte, 0, 255] }
}

/// Applies files of orders.
fn applying(files: Vec<(OrderId, Packed)>) -> OrdersChange {
    OrdersChange::Apply { files, addenda: Vec::new() }
}

async fn change(store: &Arc<dyn Store>, before: u64, change: OrdersChange, second: u64) -> bool {
    let work = move |tx: &mut dyn AdminTx| orders::change(tx, before, &change, at(second));
    admin::write(store.as_ref(), "orders_change", acting(second), work).await.expect("changes")
}

async fn stored(store: &Arc<dyn Store>) -> StoredOrders {
    admin::read(store.as_ref(), "orders_get", orders::get).await.expect("reads")
}

pub(crate) async fn applied_orders_are_changed_one_after_the_other_and_announced(backend: impl Backend) {
    let store = backend.open();
    assert_eq!(stored(&store).await, StoredOrders::default());
    let told = store.rules_notify();
    let files = vec![(id("b"), packed(2)), (id("a"), packed(1))];
    // PostgreSQL announces a new connection, too.
    while tokio::time::timeout(Duration::from_millis(100), told.notified()).await.is_ok() {}
    assert!(change(&store, 0, applying(files), 10).await);
    tokio::time::timeout(Duration::from_secs(20), told.notified()).await.expect("it is announced");
    assert!(!change(&store, 0, OrdersChange::Remove { id: id("a"), sha256: [1; 32] }, 11).await, "somebody was faster");
    let found = stored(&store).await;
    assert_eq!(found.revision, 1);
    let read: Vec<_> = found.files.iter().map(|file| (file.id.as_str(), &file.packed, file.applied_at)).collect();
    assert_eq!(read, [("a", &packed(1), at(10)), ("b", &packed(2), at(10))]);
    assert!(change(&store, 1, applying(vec![(id("a"), packed(3))]), 12).await);
    assert!(change(&store, 2, OrdersChange::Switch { id: id("a"), active: false, sha256: [3; 32] }, 13).await);
    assert!(change(&store, 3, OrdersChange::Switch { id: id("c"), active: true, sha256: [9; 32] }, 14).await);
    let found = stored(&store).await;
    assert_eq!((found.revision, found.files[0].packed.clone(), found.files[0].applied_at), (4, packed(3), at(12)));
    assert_eq!(found.switches, [(id("a"), false), (id("c"), true)].into());
    // An addendum that is applied again is in force again; an order stays as it was switched.
    let again = OrdersChange::Apply { files: vec![(id("a"), packed(3))], addenda: vec![id("a")] };
    assert!(change(&store, 4, again, 15).await);
    assert_eq!(stored(&store).await.switches, [(id("c"), true)].into());
    assert!(change(&store, 5, OrdersChange::Remove { id: id("a"), sha256: [3; 32] }, 15).await);
    let found = stored(&store).await;
    assert_eq!((found.files.len(), found.switches), (1, [(id("c"), true)].into()));
    let kinds: Vec<EntryKind> = ledger(&store, 0, 10).await.iter().map(|row| row.entry.kind()).collect();
    let applied = EntryKind::OrdersApplied;
    assert_eq!(
        kinds,
        [applied, applied, EntryKind::OrderDeactivated, EntryKind::OrderActivated, applied, EntryKind::OrderRemoved]
    );
    assert_healthy(&store).await;
}

fn kept(version: &str, revision: u64, applied: u8, second: u64) -> KeptRules {
    KeptRules {
        version: version.to_owned(),
        revision,
        active: [("a", 7, vec![Platform::Linux, Platform::Windows], Vec::new()), ("b", 9, Vec::new(), vec![site()])]
            .map(|(name, days, platforms, sites)| {
                let patience = Duration::from_secs(days * 86_400);
                KeptOrder { id: id(name), patience, platforms, sites }
            })
            .to_vec(),
        packs: [packed(100), packed(101), packed(applied)],
        shortest: Some(Duration::from_secs(5 * 86_400)),
        kept_at: at(second),
    }
}

pub(crate) async fn rules_that_were_in_force_are_kept_and_found_by_time(backend: impl Backend) {
    let store = backend.open();
    let keep = async |set: KeptRules| {
        let acting = acting(1);
        let work = move |tx: &mut dyn AdminTx| orders::keep(tx, &set);
        admin::write(store.as_ref(), "rules_keep", acting, work).await.expect("keeps");
    };
    let in_force = async |second: u64| {
        let find = move |tx: &mut dyn AdminTx| orders::kept_at(tx, at(second));
        admin::read(store.as_ref(), "rules_kept", find).await.expect("reads")
    };
    assert_eq!(in_force(100).await, None);
    for (version, revision, applied, second) in [("r1", 0, 102, 10), ("r2", 1, 103, 20), ("r1", 0, 102, 30)] {
        keep(kept(version, revision, applied, second)).await;
        store.rules_adopt(version, at(second)).await.expect("adopts");
    }
    assert_eq!(in_force(9).await, None);
    assert_eq!(in_force(19).await, Some((kept("r1", 0, 102, 10), at(10))));
    assert_eq!(in_force(20).await, Some((kept("r2", 1, 103, 20), at(20))));
    let entries = ledger(&store, 0, 20).await;
    let kept_sets = entries.iter().filter(|row| row.entry.kind() == EntryKind::RulesKept).count();
    assert_eq!(kept_sets, 2, "a set that is kept already is not kept again");
    // Rules that nobody kept have a period, too.
    store.rules_adopt("r3", at(40)).await.expect("adopts");
    assert_eq!(in_force(50).await, None);
    keep(kept("r4", 2, 104, 6)).await;
    store.rules_adopt("r4", at(60)).await.expect("adopts");
    let prune = move |tx: &mut dyn AdminTx| {
        orders::keep(tx, &kept("r5", 2, 105, 7))?;
        orders::prune(tx, 1)
    };
    let pruned = admin::write(store.as_ref(), "rules_keep", acting(61), prune).await.expect("prunes");
    assert_eq!(pruned, 2, "the set in force stays, though it was kept first");
    assert_eq!(in_force(70).await, Some((kept("r4", 2, 104, 6), at(60))));
    assert_healthy(&store).await;
}

/// Work that writes with every statement of applied orders, and work that reads with them. Between both, `r1` is adopted.
pub(super) fn changes_everything(tx: &mut dyn AdminTx) {
    let files = ["b", "a", "c"].map(|name| (id(name), packed(name.as_bytes()[0])));
    assert!(orders::change(tx, 0, &applying(files.to_vec()), at(21)).expect("applies"));
    for (revision, name) in [(1, "b"), (2, "a")] {
        let switch = OrdersChange::Switch { id: id(name), active: name == "a", sha256: [1; 32] };
        assert!(orders::change(tx, revision, &switch, at(22)).expect("switches"));
    }
    assert!(orders::change(tx, 3, &OrdersChange::Remove { id: id("b"), sha256: [1; 32] }, at(23)).expect("removes"));
    for (n, version) in ["r0", "r1", "r2"].into_iter().enumerate() {
        orders::keep(tx, &kept(version, n as u64, 110 + n as u8, 24 + n as u64)).expect("keeps");
    }
    assert_eq!(orders::prune(tx, 2).expect("prunes"), 1, "the oldest");
}

pub(super) fn reads_everything(tx: &mut dyn AdminTx) {
    assert_eq!(orders::get(tx).expect("reads").revision, 4);
    let (found, _) = orders::kept_at(tx, at(1_000_000_000)).expect("reads").expect("adopted");
    assert_eq!((found.version.as_str(), found.packs[2].clone()), ("r1", packed(111)));
}

pub(crate) async fn pages_of_hosts_to_judge_have_every_host_once_and_claim_nothing(backend: impl Backend) {
    let store = backend.open();
    small_fleet(&store).await;
    store.host_enroll(enrollment(3)).await.expect("enrolls");
    let waiting = host(3);
    let mut seen = Vec::new();
    let mut after = Some(0);
    while let Some(place) = after {
        let (hosts, next) = store.host_judging_page(place, 2).await.expect("reads");
        assert!(hosts.len() <= 2 && (next.is_some() || hosts.is_empty()));
        seen.extend(hosts);
        after = next;
    }
    let mut ids: Vec<_> = seen.iter().map(|host| host.host).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), seen.len(), "each host once");
    assert_eq!(seen.len() as u64, store.host_count(&crate::store::SiteScope::All).await.expect("counts"));
    assert!(ids.contains(&waiting), "a host that waits, too");
    assert_eq!(store.queue_depth().await.expect("asks").waiting, 1);
    let claimed = store.queue_claim(10, at(500)).await.expect("claims");
    let of_page = seen.iter().find(|host| host.host == waiting).expect("on a page");
    assert_eq!((claimed.len(), claimed[0].facts == of_page.facts, claimed[0].site == of_page.site), (1, true, true));
}
