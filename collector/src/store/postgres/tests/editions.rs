//! Editions that one collector removes while others remember their numbers.

use super::server::Database;
use crate::store::contract::{
    Backend, assert_healthy, current, enrolled_fleet, forget_the_past, packages, pass, reports, snapshot,
};

/// The collector `other` reports editions that `one` has removed; `passes` is how often it was gone over since.
async fn removed_elsewhere(passes: u64) {
    let place = Database::create();
    let (one, other) = (place.open(), place.open());
    enrolled_fleet(&one, 1).await;
    let (none, first) = ([packages(&[("adduser", "3")])], [packages(&[("kesl", "12"), ("adduser", "3")])]);
    reports(&other, 1, 1, 10, &none).await;
    reports(&other, 1, 2, 20, &first).await;
    // The last block stays, so that of `kesl` must not be it.
    reports(&other, 1, 3, 30, &[packages(&[("adduser", "3"), ("curl", "8")])]).await;
    reports(&other, 1, 4, 31, &none).await;
    forget_the_past(&one).await;
    let mut removed = 0;
    for now in 0..passes {
        removed += pass(&one, 40 + now, 40 + now).await.editions;
    }
    assert_eq!(removed, 2);
    // The collector that still remembers them.
    reports(&other, 1, 5, 50, &first).await;
    assert_healthy(&one).await;
    let digest = muster_proto::canonical::snapshot_digest(&snapshot(&first));
    assert_eq!(current(&one, 1).await, Some(digest));
    let section = muster_proto::canonical::section_digest(&first[0]);
    for store in [&one, &other] {
        assert!(store.section_get(section).await.expect("reads").is_some());
        assert_eq!(store.editions_level().await.expect("tells").held.editions, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_edition_that_another_collector_has_removed_gets_a_new_number() {
    removed_elsewhere(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_collector_that_slept_through_the_end_of_a_block_reads_the_dictionary_again() {
    removed_elsewhere(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn numbers_of_removed_editions_are_not_given_again() {
    let place = Database::create();
    let store = place.open();
    enrolled_fleet(&store, 1).await;
    reports(&store, 1, 1, 10, &[packages(&[("a", "1")])]).await;
    for (seq, now) in [(2, 20), (4, 30), (6, 40), (8, 50)] {
        reports(&store, 1, seq, now, &[packages(&[("a", "1"), ("kesl", &*format!("{now}"))])]).await;
        reports(&store, 1, seq + 1, now + 1, &[packages(&[("a", "1")])]).await;
        forget_the_past(&store).await;
        pass(&store, now + 2, now + 2).await;
    }
    // The block of the edition that is there, and the last one, which has no edition.
    pass(&store, 60, 60).await;
    assert_eq!(place.sql("SELECT string_agg(first::text, ',' ORDER BY first) FROM dictionary"), "1,5");
    store.close().await.expect("closes");
    let store = place.open();
    reports(&store, 1, 10, 70, &[packages(&[("b", "1")])]).await;
    assert_eq!(place.sql("SELECT max(first) FROM dictionary"), "6");
    assert_healthy(&store).await;
}
