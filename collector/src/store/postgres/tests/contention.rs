//! Contention: an operation that loses a deadlock or a serialization conflict is done again as a whole, and no wait is
//! endless.

use std::time::Duration;

use muster_proto::model::Lane;

use super::super::address::Address;
use super::super::fault::{PostgresFault, Step};
use super::super::session::Session;
use super::super::tls::Tls;
use super::server::Database;
use crate::store::contract::{
    Backend, assert_healthy, at, check_in, current, delivery, enrolled_fleet, indexed, judged, judgement, ledger,
    packages, query, reports, settled, snapshot,
};
use crate::store::{
    Delivered, HostQuery, IndexStep, SearchBudget, SearchLimits, SearchStop, SiteScope, SoftwareQuery, StoreError,
};

/// A connection with the backend's settings.
pub(super) async fn session(place: &Database) -> Session {
    let address = Address::read(&place.url()).expect("reads");
    let tls = Tls::new(&address).expect("needs no files");
    Session::open(&address, &tls, None).await.expect("connects")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_operation_that_loses_a_deadlock_is_done_again_as_a_whole() {
    let place = Database::create();
    place.sql(&format!("ALTER DATABASE {} SET deadlock_timeout = '2s'", place.name()));
    let store = place.open();
    enrolled_fleet(&store, 1).await;
    let before = [packages(&[("kesl", "12")])];
    reports(&store, 1, 1, 10, &before).await;
    // Another session locks in the other order, and is not the one that loses the deadlock.
    let other = session(&place).await;
    other.batch("SET deadlock_timeout = '1h'; BEGIN; SELECT 1 FROM judge_queue FOR UPDATE").await.expect("locks");
    let after = [packages(&[("kesl", "13")])];
    let report = tokio::spawn({
        let (store, after) = (std::sync::Arc::clone(&store), after.clone());
        async move { store.snapshot_deliver(delivery(1, 2, 20, &after, &after)).await }
    });
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (
                       SELECT pid FROM pg_stat_activity WHERE datname = current_database())";
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    // A waiting session checks for a deadlock once, after deadlock_timeout: it must exist by then.
    while other.query(waiting, &[]).await.expect("asks")[0].get::<_, i64>(0) == 0 {
        assert!(tokio::time::Instant::now() < end, "the report does not wait for the judge queue");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    other.batch("SELECT 1 FROM host_current FOR UPDATE; COMMIT").await.expect("the report gives way");
    assert_eq!(report.await.expect("ends").expect("delivers"), Delivered::Accepted);
    let expected = muster_proto::canonical::snapshot_digest(&snapshot(&after));
    assert_eq!(current(&store, 1).await, Some(expected));
    drop(other);
    let mut met = String::new();
    for _ in 0..200 {
        met = place.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
        if met != "0" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(met, "1", "there was a deadlock");
    assert_healthy(&store).await;
}

/// Makes the next writes to a table fail with a code, like a server that cannot serialize transactions. The sequence
/// counts the failures, because a sequence is not rolled back.
fn stumble(place: &Database, table: &str, code: &str, times: u32) {
    place.sql(&format!(
        "CREATE SEQUENCE stumbles_{table};
         CREATE FUNCTION stumble_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('stumbles_{table}') <= {times} THEN
                 RAISE EXCEPTION 'stumbles' USING ERRCODE = '{code}';
             END IF;
             RETURN NULL;
         END $$;
         CREATE TRIGGER stumbles AFTER INSERT OR UPDATE OR DELETE ON {table}
             FOR EACH STATEMENT EXECUTE FUNCTION stumble_{table}()"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_the_server_could_not_put_in_order_is_done_again_as_a_whole() {
    let place = Database::create();
    let store = place.open();
    // The last table that each operation writes: its earlier writes must be rolled back too.
    stumble(&place, "site_hosts", "40001", 3);
    enrolled_fleet(&store, 1).await;
    assert_eq!(store.host_count(&SiteScope::All).await.expect("counts"), 1);
    stumble(&place, "host_snapshot", "40P01", 3);
    for (seq, version) in [(1, "12"), (2, "13")] {
        let all = [packages(&[("kesl", version)])];
        store.check_in(check_in(1, seq, 10 + seq, &all)).await.expect("checks in");
        let answer = store.snapshot_deliver(delivery(1, seq, 10 + seq, &all, &all)).await.expect("delivers");
        assert_eq!(answer, Delivered::Accepted);
    }
    stumble(&place, "tally", "55P03", 3);
    let claimed = store.queue_claim(9, at(30)).await.expect("claims");
    settled(&store, claimed.iter().map(|host| judgement(host, vec![judged(Lane::Replace)])).collect(), at(31)).await;
    for table in ["site_hosts", "host_snapshot", "tally"] {
        let times: u32 = place.sql(&format!("SELECT last_value FROM stumbles_{table}")).parse().expect("a number");
        assert!(times > 3, "{table}: {times}");
    }
    let entries = ledger(&store, 0, 100).await;
    assert_eq!(entries.len(), 3, "a token, a host, a lane: each once, whatever was tried: {entries:?}");
    assert_healthy(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_stumbles_for_ever_is_given_up_and_leaves_nothing() {
    let place = Database::create();
    let store = place.open();
    enrolled_fleet(&store, 1).await;
    stumble(&place, "judge_queue", "40001", 1_000);
    let all = [packages(&[("kesl", "12")])];
    let error = store.snapshot_deliver(delivery(1, 1, 10, &all, &all)).await.expect_err("gives up").to_string();
    assert_eq!(error, "snapshot_deliver: stumbles");
    assert_eq!(place.sql("SELECT (SELECT count(*) FROM snapshot) + (SELECT count(*) FROM section)"), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn statements_have_limits_of_time_whatever_the_server_s_are() {
    let place = Database::create();
    for (name, value) in
        [("statement_timeout", "0"), ("lock_timeout", "0"), ("default_transaction_isolation", "serializable")]
    {
        place.sql(&format!("ALTER DATABASE {} SET {name} = '{value}'", place.name()));
    }
    place.open().close().await.expect("closes");
    let session = session(&place).await;
    let ask = async |name: &'static str| -> String {
        let rows = session.query_once("SELECT current_setting($1)", &[&name]).await.expect("asks");
        rows[0].get(0)
    };
    assert_eq!(ask("statement_timeout").await, "1min");
    assert_eq!(ask("lock_timeout").await, "20s");
    assert_eq!(ask("idle_in_transaction_session_timeout").await, "1min");
    assert_eq!(ask("default_transaction_isolation").await, "read committed");
    // A statement that exceeds a limit fails alone; a lock timeout may be tried again.
    let other = self::session(&place).await;
    other.batch("BEGIN; LOCK TABLE host").await.expect("locks");
    session.batch("SET lock_timeout = '50ms'").await.expect("sets");
    let locked: Step<()> = session.batch("SELECT 1 FROM host").await;
    assert!(matches!(&locked, Err(PostgresFault::Conflict(reason)) if reason.contains("lock timeout")), "{locked:?}");
    session.batch("SET statement_timeout = '50ms'").await.expect("sets");
    let slept: Step<()> = session.batch("SELECT pg_sleep(20)").await;
    assert!(matches!(&slept, Err(PostgresFault::Store(_))), "{slept:?}");
}

/// Row numbers are assigned before the commit, so a higher number may be committed first.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_index_does_not_pass_over_what_is_still_being_written() {
    let place = Database::create();
    let store = place.open();
    enrolled_fleet(&store, 1).await;
    reports(&store, 1, 1, 10, &[packages(&[("kesl", "12")])]).await;
    indexed(&store).await;
    // The first transaction ends first, but has the higher section number.
    let (first, second) = (session(&place).await, session(&place).await);
    let put = |salt: u8| {
        format!(
            "INSERT INTO section (observations, platform, source, digest, body)
             SELECT 0, platform, source, sha256(digest || '\\x{salt:02x}'), body FROM section LIMIT 1"
        )
    };
    first.batch("BEGIN; SELECT pg_current_xact_id()").await.expect("begins");
    second.batch("BEGIN").await.expect("begins");
    second.batch(&put(1)).await.expect("writes");
    first.batch(&put(2)).await.expect("writes");
    first.batch("COMMIT").await.expect("ends");
    assert_eq!(store.index_advance(1).await.expect("snapshots"), IndexStep::Later);
    second.batch("COMMIT").await.expect("ends");
    assert!(indexed(&store).await > 0);
    let covered = "SELECT max(last) - (SELECT max(no) FROM section) FROM index_segment WHERE kind = 1";
    assert_eq!(place.sql(covered), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_becomes_read_only_fails_the_check_of_writes_until_it_is_writable() {
    let place = Database::create();
    let store = place.open();
    assert_eq!(store.authority_claim("pin").await.expect("claims"), "pin");
    store.write_check().await.expect("it is writable");
    // A session keeps the default with which it began, so this one can still write.
    let other = session(&place).await;
    let restart = async |mode: &str| {
        let set = format!("ALTER DATABASE {} SET default_transaction_read_only = {mode}", place.name());
        other.batch(&set).await.expect("sets");
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        other.query(end, &[]).await.expect("ends the sessions of the store");
    };
    restart("on").await;
    let refused = store.write_check().await.expect_err("it is read-only");
    assert!(matches!(&refused, StoreError::Unreachable { .. }), "{refused:?}");
    let told = refused.to_string();
    assert!(told.contains("read-only") || told.contains("does not allow writes"), "{told}");
    restart("off").await;
    store.write_check().await.expect("it is writable again");
}

/// Waits until this many sessions wait for a lock.
async fn until_waiting(other: &Session, sessions: i64) {
    // Not by the list of sessions, which a transaction sees as it was when it asked first.
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    // Shorter than `lock_timeout`, which would end the wait too.
    let end = tokio::time::Instant::now() + Duration::from_secs(15);
    while other.query(waiting, &[]).await.expect("asks")[0].get::<_, i64>(0) != sessions {
        assert!(tokio::time::Instant::now() < end, "{sessions} sessions should wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_whose_caller_has_gone_ends_on_the_server_too() {
    let place = Database::create();
    let store = place.open();
    enrolled_fleet(&store, 1).await;
    let other = session(&place).await;
    other.batch("BEGIN; LOCK TABLE host IN ACCESS EXCLUSIVE MODE").await.expect("locks");
    let listing = std::sync::Arc::clone(&store);
    let list = tokio::spawn(async move { listing.host_list(HostQuery { rows: 10, ..HostQuery::default() }).await });
    until_waiting(&other, 1).await;
    list.abort();
    until_waiting(&other, 0).await;
    other.batch("COMMIT").await.expect("unlocks");
    let rows = store.host_list(HostQuery { rows: 10, ..HostQuery::default() }).await.expect("lists");
    assert_eq!(rows.len(), 1);
    assert_healthy(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_search_whose_caller_has_gone_or_whose_time_is_over_ends_on_the_server_too() {
    let place = Database::create();
    let store = place.open();
    enrolled_fleet(&store, 1).await;
    reports(&store, 1, 1, 10, &[packages(&[("kesl", "12")])]).await;
    let other = session(&place).await;
    other.batch("BEGIN; LOCK TABLE index_segment IN ACCESS EXCLUSIVE MODE").await.expect("locks");
    let searching = std::sync::Arc::clone(&store);
    let search = tokio::spawn(async move { searching.software_find(query("kesl")).await });
    until_waiting(&other, 1).await;
    search.abort();
    until_waiting(&other, 0).await;

    let time = Duration::from_secs(1);
    let budget = SearchBudget::new(SearchLimits { rows: u64::MAX, bytes: u64::MAX, time }, None);
    let ended = store.software_find(SoftwareQuery { budget, ..query("kesl") }).await;
    let expected = SearchStop::Time { most: time };
    assert!(matches!(&ended, Err(StoreError::SearchStopped { stop }) if *stop == expected), "{ended:?}");
    until_waiting(&other, 0).await;
    other.batch("COMMIT").await.expect("unlocks");
    assert_eq!(store.software_find(query("kesl")).await.expect("finds").hosts_total, 1);
    assert_healthy(&store).await;
}
