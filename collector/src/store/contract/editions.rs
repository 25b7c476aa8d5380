//! The bound of the dictionary of editions, and the allowance of a delivery.

use muster_proto::model::Section;

use super::Backend;
use super::kit::{assert_healthy, check_in, current, delivery, enrolled, packages, reports};
use crate::store::{Allowance, CheckInAnswer, Delivered, Delivery, EditionLimit, EditionTotals, HeldBack, StoreError};

const fn limit(editions: u64, text_bytes: u64) -> EditionLimit {
    EditionLimit { most: EditionTotals { editions, text_bytes }, alarm_percent: 80 }
}

/// A section of so many packages, whose names begin with this.
fn many(name: &str, count: usize) -> Section {
    let names: Vec<String> = (0..count).map(|n| format!("{name}-{n}")).collect();
    packages(&names.iter().map(|name| (name.as_str(), "1")).collect::<Vec<_>>())
}

pub(crate) async fn a_full_dictionary_takes_what_it_knows_and_holds_back_what_is_new(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 3).await;
    store.editions_limit(limit(5, u64::MAX));
    let known = [many("known", 4)];
    reports(&store, 1, 1, 10, &known).await;
    let level = store.editions_level().await.expect("tells");
    assert_eq!((level.held.editions, level.percent(), level.is_alarming()), (4, 80, true));
    // Two new ones exceed the bound; what was known before is enough for host 3.
    let new = [many("new", 2)];
    let answer = store.snapshot_deliver(delivery(2, 1, 20, &new, &new)).await.expect("answers");
    assert_eq!(answer, Delivered::HeldBack(HeldBack::Store));
    assert_eq!(store.editions_level().await.expect("tells").held.editions, 4, "nothing of it was added");
    reports(&store, 3, 1, 21, &[many("known", 3)]).await;
    // The text of one more edition is too long for the second bound.
    store.editions_limit(limit(5, level.held.text_bytes + 10));
    let answer = store.snapshot_deliver(delivery(2, 2, 22, &[many("one", 1)], &[many("one", 1)])).await;
    assert_eq!(answer.expect("answers"), Delivered::HeldBack(HeldBack::Store));
    store.editions_limit(limit(6, u64::MAX));
    reports(&store, 2, 3, 30, &new).await;
    assert_healthy(&store).await;
    drop(store);
    let store = backend.open();
    assert_eq!(store.editions_level().await.expect("tells").held.editions, 6, "as before the restart");
}

pub(crate) async fn deliveries_at_once_do_not_exceed_the_bound_of_the_dictionary(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 12).await;
    store.editions_limit(limit(100, u64::MAX));
    let deliveries: Vec<_> = (1..=12)
        .map(|n| {
            let (store, all) = (store.clone(), [many(&format!("of-{n}"), 30)]);
            tokio::spawn(async move { store.snapshot_deliver(delivery(n, 1, 10, &all, &all)).await })
        })
        .collect();
    let mut accepted = 0;
    for delivered in deliveries {
        match delivered.await.expect("ends") {
            Ok(Delivered::Accepted) => accepted += 1,
            Ok(Delivered::HeldBack(HeldBack::Store)) | Err(StoreError::EditionsFull { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    let held = store.editions_level().await.expect("tells").held.editions;
    assert_eq!((accepted, held), (3, 90));
    assert_healthy(&store).await;
}

pub(crate) async fn a_delivery_adds_no_more_editions_than_its_allowance(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    let all = [many("first", 3), super::kit::units(&["kesl.service", "cron.service", "ssh.service"])];
    let allowance = Allowance::new(5);
    let delivered = Delivery { allowance: allowance.clone(), ..delivery(1, 1, 10, &all, &all) };
    let answer = store.snapshot_deliver(delivered).await.expect("answers");
    assert_eq!((answer, allowance.taken()), (Delivered::HeldBack(HeldBack::Host), 3), "the first section is stored");
    assert_eq!(current(&store, 1).await, None);
    let wanted = store.check_in(check_in(1, 2, 20, &all)).await.expect("checks in");
    assert!(matches!(&wanted, CheckInAnswer::SectionsWanted(sections) if sections.len() == 1), "{wanted:?}");
    let allowance = Allowance::new(3);
    let rest = Delivery { allowance: allowance.clone(), snapshot: None, ..delivery(1, 2, 21, &all, &all[1..]) };
    assert_eq!(store.snapshot_deliver(rest).await.expect("delivers"), Delivered::Accepted);
    // Another host needs no allowance for what is known.
    let nothing = Allowance::new(0);
    let same = Delivery { allowance: nothing.clone(), ..delivery(2, 1, 22, &all, &all) };
    assert_eq!(store.snapshot_deliver(same).await.expect("delivers"), Delivered::Accepted);
    assert_eq!((allowance.taken(), nothing.taken()), (3, 0));
    assert_healthy(&store).await;
}
