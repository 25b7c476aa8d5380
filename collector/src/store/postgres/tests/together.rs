//! Several collectors on one database: no collector undoes, repeats or misses what another does.

use std::sync::Arc;
use std::time::Duration;

use muster_proto::canonical;
use muster_proto::model::{Digest, Lane, Section};

use super::contention::session;
use super::server::Database;
use crate::ledger::actor::ActorId;
use crate::ledger::entry::Entry;
use crate::store::contract::{
    self, Backend, assert_healthy, at, check_in, current, delivery, enrolled_fleet, host, host_revoke, judged,
    judgement, key, ledger, packages, reports, revoked_entry, settled,
};
use crate::store::{CheckInAnswer, Delivered, Store};

/// How long a change that the heartbeat spreads may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn snapshot(sections: &[Section]) -> Option<Digest> {
    Some(canonical::snapshot_digest(&contract::snapshot(sections)))
}

/// Asks again until the condition holds.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(tokio::time::Instant::now() < end, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_clients_of_two_collectors_leave_the_store_consistent() {
    let place = Database::create();
    contract::concurrent_clients_of(vec![place.open(), place.open()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hosts_that_report_to_two_collectors_while_rows_are_removed_lose_nothing() {
    let place = Database::create();
    contract::reports_while_rows_are_removed(vec![place.open(), place.open()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_changed_elsewhere_and_comes_back_is_not_overlooked() {
    let place = Database::create();
    let (one, other) = (place.open(), place.open());
    enrolled_fleet(&one, 1).await;
    let (before, between) = ([packages(&[("kesl", "12")])], [packages(&[("adduser", "3")])]);
    reports(&one, 1, 1, 10, &before).await;
    reports(&other, 1, 2, 20, &between).await;
    // The first collector has cached this snapshot as the current one, and answers from the cache.
    let answer = one.check_in(check_in(1, 3, 30, &before)).await.expect("checks in");
    assert_eq!(answer, CheckInAnswer::Current);
    eventually("the snapshot is the current one again", async || current(&one, 1).await == snapshot(&before)).await;
    let kept = other.host_get(host(1)).await.expect("gets").expect("there");
    assert_eq!((kept.last_seen, kept.snapshot.expect("has one").since), (Some(at(30)), at(30)));
    assert_healthy(&one).await;
}

/// Before, the result of the second attempt was ignored, and after a reconnect other collectors took this one for dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_collector_that_reconnects_gets_its_number_back_from_a_connection_that_lingers() {
    let place = Database::create();
    let store = place.open();
    // Other tests have collectors in other databases of the same server.
    let locks = "FROM pg_locks WHERE locktype = 'advisory' AND classid = 19797
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let holders = &format!("SELECT pid {locks} AND granted");
    let (class, lost) = (0x4d55, place.sql(holders));
    let me = place.sql(&format!("SELECT objid {locks}"));
    // This session waits for the lock, so it has it as soon as the heartbeat's connection is gone, like the lost
    // connection of a collector that the server has not noticed yet.
    let lingering = session(&place).await;
    let pid: i32 = lingering.query_first("SELECT pg_backend_pid()", &[]).await.expect("asks").expect("a row").get(0);
    let wait = format!("SELECT pg_advisory_lock({class}, {me})");
    let (locked, ()) = tokio::join!(lingering.batch(&wait), async {
        let waits = format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted");
        eventually("the session waits", async || place.sql(&waits) == "1").await;
        place.sql(&format!("SELECT pg_terminate_backend({lost})"));
    });
    locked.expect("locks");
    // Each heartbeat ends with the rules in force.
    let beats = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> {lost}
         AND query = $${}$$ AND state = 'idle'",
        super::super::rules::IN_FORCE
    );
    eventually("the heartbeat is connected again", async || place.sql(&beats) == "1").await;
    assert_eq!(place.sql(holders), pid.to_string());
    drop(lingering);
    let held = async || !["", &lost, &pid.to_string()].contains(&place.sql(holders).as_str());
    eventually("the new connection holds the number", held).await;
    store.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_played_to_another_collector_only_renews_last_seen() {
    let place = Database::create();
    let (one, other, third) = (place.open(), place.open(), place.open());
    enrolled_fleet(&one, 1).await;
    let (before, after) = ([packages(&[("kesl", "12")])], [packages(&[("adduser", "3")])]);
    reports(&one, 1, 1, 10, &before).await;
    reports(&other, 1, 2, 20, &after).await;
    let answer = third.check_in(check_in(1, 1, 90, &before)).await.expect("replays");
    assert_eq!(answer, CheckInAnswer::NewRun);
    let answer = one.snapshot_deliver(delivery(1, 1, 91, &before, &before)).await.expect("replays");
    assert_eq!(answer, Delivered::NewRun, "the pointer stays");
    let answer = one.check_in(check_in(1, 2, 92, &after)).await.expect("replays");
    assert_eq!(answer, CheckInAnswer::StateWanted);
    for store in [one, third] {
        store.close().await.expect("closes");
    }
    let kept = other.host_get(host(1)).await.expect("gets").expect("there");
    assert_eq!((kept.last_seen, kept.snapshot.map(|snapshot| snapshot.digest)), (Some(at(92)), snapshot(&after)));
    assert_healthy(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withdrawn_at_one_collector_is_turned_away_at_every_other() {
    let place = Database::create();
    let (one, other) = (place.open(), place.open());
    enrolled_fleet(&one, 2).await;
    let revoked = async |store: &Arc<dyn Store>, n: u8| {
        store.host_identify(key(n)).await.expect("asks").expect("is known").revoked
    };
    assert!(!revoked(&other, 1).await && !revoked(&other, 2).await);
    assert!(host_revoke(&one, host(1), 50).await.expect("revokes"));
    eventually("the other has heard of it", async || revoked(&other, 1).await).await;
    assert!(!revoked(&other, 2).await);
    // A collector that gets no notifications must not trust its cache: cut its connection before the next revocation.
    place.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
    assert!(host_revoke(&one, host(2), 60).await.expect("revokes, on a new connection"));
    eventually("the other asks again", async || revoked(&other, 2).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_judge_queue_is_shared_and_what_a_dead_collector_held_is_free_at_once() {
    let place = Database::create();
    let (one, other) = (place.open(), place.open());
    enrolled_fleet(&one, 6).await;
    let first = one.queue_claim(4, at(10)).await.expect("claims");
    // Each learns once a second which others are running; before that it would take the first one for dead.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let second = other.queue_claim(9, at(11)).await.expect("claims");
    assert_eq!((first.len(), second.len()), (4, 2));
    assert!(second.iter().all(|host| first.iter().all(|claimed| claimed.host != host.host)));
    drop(one);
    let mut freed = Vec::new();
    eventually("the dead one's claims are free", async || {
        freed.extend(other.queue_claim(9, at(12)).await.expect("claims"));
        freed.len() == 4
    })
    .await;
    let all = freed.iter().chain(&second).map(|host| judgement(host, vec![judged(Lane::Clear)])).collect();
    settled(&other, all, at(13)).await;
    // The dead collector's claim is outdated.
    let late = first.iter().map(|host| judgement(host, vec![judged(Lane::Replace)])).collect();
    settled(&other, late, at(14)).await;
    let kept = other.host_get(first[0].host).await.expect("gets").expect("there");
    assert_eq!(kept.verdicts[0].awake_lane, Lane::Clear);
    assert_healthy(&other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_are_cut_lose_nothing_that_was_acknowledged() {
    let place = Database::create();
    let store = place.open();
    enrolled_fleet(&store, 4).await;
    let tasks: Vec<_> = (1..=4_u8)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for round in 1..=40_u64 {
                    reports(&store, n, round, 10 + round, &[packages(&[("kesl", &format!("{n}.{round}"))])]).await;
                }
            })
        })
        .collect();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        place.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
    }
    for task in tasks {
        task.await.expect("every report is acknowledged in the end");
    }
    for n in 1..=4_u8 {
        let last = snapshot(&[packages(&[("kesl", &format!("{n}.40"))])]);
        assert_eq!(current(&store, n).await, last, "host {n}");
    }
    assert_healthy(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_collectors_that_have_the_rules_in_force_judge() {
    let place = Database::create();
    let (one, other) = (place.open(), place.open());
    assert!(one.rules_adopt("r1", at(1)).await.expect("adopts"));
    enrolled_fleet(&one, 3).await;
    let early = one.queue_claim(1, at(2)).await.expect("claims");
    assert!(other.rules_adopt("r2", at(3)).await.expect("adopts"));
    // A judgement under the old rules is left out, and its collector gets no more hosts.
    settled(&one, early.iter().map(|host| judgement(host, vec![judged(Lane::Replace)])).collect(), at(4)).await;
    assert!(one.queue_claim(9, at(4)).await.expect("asks").is_empty());
    assert_eq!(other.queue_depth().await.expect("asks").waiting, 3);
    // A restart of the old collector does not undo the change.
    drop(one);
    let one = place.open();
    assert!(!one.rules_adopt("r1", at(5)).await.expect("leaves it"));
    assert!(one.queue_claim(9, at(5)).await.expect("asks").is_empty());
    assert_eq!(other.queue_claim(9, at(5)).await.expect("claims").len(), 3);
    // When all others are gone, the fleet was set back: the old rules are adopted again.
    drop(other);
    let mut claimed = Vec::new();
    eventually("the rules before are in force again", async || {
        claimed = one.queue_claim(9, at(6)).await.expect("asks");
        claimed.len() == 3
    })
    .await;
    settled(&one, claimed.iter().map(|host| judgement(host, vec![judged(Lane::Clear)])).collect(), at(7)).await;
    assert_eq!(one.queue_depth().await.expect("asks").waiting, 0);
    let entries = ledger(&one, 0, 100).await;
    let adopted = entries.iter().filter(|row| matches!(row.entry, Entry::RulesAdopted { .. })).count();
    assert_eq!(adopted, 3, "{entries:?}");
    assert_healthy(&one).await;
}

/// Ledger numbers are in the order of commits: an entry that is not committed yet delays later ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_entry_of_the_ledger_never_appears_before_one_that_was_read() {
    let place = Database::create();
    let store = place.open();
    enrolled_fleet(&store, 2).await;
    let read = ledger(&store, 0, 100).await.last().map_or(0, |row| row.number);
    let slow = super::contention::session(&place).await;
    slow.batch("BEGIN").await.expect("begins");
    let entry = revoked_entry(1);
    crate::store::postgres::ledger::write(&slow, at(50), &ActorId::Agent, &entry).await.expect("writes");
    let quick = tokio::spawn({
        let store = Arc::clone(&store);
        async move { host_revoke(&store, host(2), 51).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut followed = ledger(&store, read, 100).await;
    slow.batch("COMMIT").await.expect("commits");
    assert!(quick.await.expect("ends").expect("revokes"));
    let after = followed.last().map_or(read, |row| row.number);
    followed.extend(ledger(&store, after, 100).await);
    let hosts: Vec<Entry> = followed.into_iter().map(|row| row.entry).collect();
    assert_eq!(hosts, [entry, revoked_entry(2)]);
}
