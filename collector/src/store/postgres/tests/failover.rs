//! Failover: a real primary and a real standby.

use std::time::Duration;

use super::server::Own;
use super::{opened, refusal};
use crate::store::contract::{assert_healthy, current, enrolled_fleet, packages, reports, snapshot};

/// Waits until the standby has replayed everything that the primary has written.
fn followed(primary: &Own, standby: &Own) {
    let written = primary.sql("SELECT pg_current_wal_flush_lsn()");
    for _ in 0..200 {
        let ask = format!("SELECT coalesce(pg_last_wal_replay_lsn() >= '{written}', false)");
        if standby.sql(&ask) == "t" {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the standby does not follow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_host_that_takes_writes_is_found_and_found_again_when_another_has_become_it() {
    let primary = Own::plain();
    let standby = Own::following(&primary);
    let url = |hosts: &str| format!("postgres://muster:{}@{hosts}/fleet?sslmode=disable", primary.password());
    // The standby is the first host of the URL; it answers and is skipped.
    let store = opened(&url(&format!("{},{}", standby.at(), primary.at())));
    enrolled_fleet(&store, 2).await;
    let before = [packages(&[("kesl", "12")])];
    reports(&store, 1, 1, 10, &before).await;
    let error = refusal(&url(standby.at())).await.to_string();
    assert!(error.contains("does not allow writes"), "{error}");

    followed(&primary, &standby);
    drop(primary);
    let after = [packages(&[("kesl", "13")])];
    let promotion = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        standby.promote();
        standby
    });
    // The operation waits for the new primary and then succeeds.
    reports(&store, 2, 1, 20, &after).await;
    reports(&store, 1, 2, 21, &after).await;
    let standby = promotion.join().expect("promotes");
    for n in [1, 2] {
        let expected = muster_proto::canonical::snapshot_digest(&snapshot(&after));
        assert_eq!(current(&store, n).await, Some(expected), "host {n}");
    }
    assert_eq!(standby.sql("SELECT count(*) FROM host_snapshot"), "1", "what was acknowledged before is there");
    assert_healthy(&store).await;
    store.close().await.expect("closes");
}
