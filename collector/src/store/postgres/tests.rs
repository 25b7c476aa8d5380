//! The contract suite on this backend, and tests of what only this backend does.

mod admin;
mod contention;
mod editions;
mod enrollments;
mod failover;
mod protection;
mod role;
mod server;
mod together;

use std::sync::Arc;

use self::server::Database;
use crate::store::contract::{Backend, indexed, second_snapshot, small_fleet, suite};
use crate::store::{self, Store, StoreError};

impl Backend for Database {
    fn fresh() -> Self {
        Self::create()
    }

    fn open(&self) -> Arc<dyn Store> {
        opened(&self.url())
    }
}

suite!(Database);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures, and takes minutes"]
async fn edition_scale() {
    let place = Database::create();
    crate::store::contract::edition_scale(Opened(place.url())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures, and takes minutes"]
async fn a_year_of_reports() {
    let place = Database::create();
    // A day takes less than the minute between two runs of autovacuum.
    crate::store::contract::a_year_of_reports(Opened(place.url()), || drop(place.sql("VACUUM (ANALYZE)"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures, and takes minutes"]
async fn past_scale() {
    use crate::store::contract::{past_fill, past_hosts, past_last_seen, past_scale};
    let numbers = format!("(SELECT i FROM generate_series(1, {}) AS s (i)) AS s", past_hosts());
    let (enrolled, seen) = (crate::store::contract::at(0).millis(), past_last_seen());
    let rows = format!(
        "INSERT INTO phrase (no, key, text) OVERRIDING SYSTEM VALUE VALUES (1, decode(repeat('00', 16), 'hex'), 'Debian');
         INSERT INTO orders (no, text) OVERRIDING SYSTEM VALUE
             VALUES (1, 'us-bis-icts-2021-002'), (2, 'b'), (3, 'c'), (4, 'd');
         INSERT INTO host (no, id, site, hostname, platform, os_name, kernel, architecture, agent_version, offline_root,
                 fingerprint, enrolled_at, state) OVERRIDING SYSTEM VALUE
             SELECT i, decode(md5(i::text), 'hex'), 1, 'host-' || i, 1, 1, 1, 1, 1, false, '', {enrolled},
                 convert_to(repeat(md5(i::text), 12), 'UTF8') FROM {numbers};
         INSERT INTO host_current (host, last_seen, listed) SELECT i, {seen}, true FROM {numbers}"
    );
    past_scale(Database::create(), |place: &Database| {
        place.sql(&format!("BEGIN; {}; COMMIT;", past_fill(&numbers, &rows, "true")));
        place.sql("VACUUM (ANALYZE)");
    })
    .await;
}

/// A database that is created and removed by somebody else.
struct Opened(String);

impl Backend for Opened {
    fn fresh() -> Self {
        unreachable!("it is made from a URL")
    }

    fn open(&self) -> Arc<dyn Store> {
        opened(&self.0)
    }
}

/// Opens within a test of several threads.
fn opened(url: &str) -> Arc<dyn Store> {
    waited(store::connect(url)).unwrap_or_else(|error| panic!("{error}"))
}

fn waited<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

async fn refusal(url: &str) -> StoreError {
    store::connect(url).await.err().expect("refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let place = Database::create();
    place.open().close().await.expect("closes");
    place.sql("INSERT INTO schema_version (version, name, digest) VALUES (2000, 'later', '')");
    let error = refusal(&place.url()).await;
    assert!(matches!(error, StoreError::NewerSchema { found: 2000, .. }), "{error}");
    assert!(error.advice().is_some_and(|advice| advice.contains("start the newer collector")), "{error}");
    assert_eq!(place.sql("SELECT max(version) FROM schema_version"), "2000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_build_is_refused_and_left_as_it_is() {
    for damage in [
        "UPDATE schema_version SET digest = 'of another text' WHERE version = 1",
        "ALTER TABLE schema_version DROP COLUMN digest",
    ] {
        let place = Database::create();
        place.open().close().await.expect("closes");
        place.sql(damage);
        let before = place.sql("SELECT to_jsonb(s) FROM schema_version s");
        let error = refusal(&place.url()).await;
        assert!(matches!(error, StoreError::OtherSchema { number: 1, .. }), "{damage}: {error}");
        assert_eq!(place.sql("SELECT to_jsonb(s) FROM schema_version s"), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_of_another_program_is_refused() {
    let place = Database::create();
    place.sql("CREATE TABLE bookmarks (url text)");
    let error = refusal(&place.url()).await;
    assert!(error.to_string().ends_with(": it belongs to another program"), "{error}");
    assert_eq!(place.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn collectors_that_start_together_migrate_once() {
    let place = Database::create();
    let url = place.url();
    let starts: Vec<_> = (0..6)
        .map(|_| {
            tokio::spawn({
                let url = url.clone();
                async move { store::connect(&url).await }
            })
        })
        .collect();
    for start in starts {
        let store = start.await.expect("ends").unwrap_or_else(|error| panic!("{error}"));
        store.close().await.expect("closes");
    }
    assert_eq!(place.sql("SELECT count(*), count(DISTINCT version) FROM schema_version"), "1|1");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_is_named_without_the_password() {
    for (url, place) in [
        ("postgres://muster:s3cret@127.0.0.1:1/fleet", "postgres://127.0.0.1:1/fleet"),
        ("postgres://muster:s3cret@127.0.0.1:1,127.0.0.1:2/fleet", "postgres://127.0.0.1:1,127.0.0.1:2/fleet"),
    ] {
        let error = refusal(url).await.to_string();
        assert!(error.starts_with(&format!("cannot open the database {place}: ")), "{error}");
        assert!(error.contains("refused") && !error.contains("s3cret"), "{error}");
    }
    let place = Database::create();
    let error = refusal(&place.url_with_password("wrong")).await.to_string();
    assert!(error.contains("password authentication failed") && !error.contains("wrong"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_hosts_are_tried_in_turn() {
    let place = Database::create();
    let url = place.url().replace("@127.0.0.1:", "@127.0.0.1:1,127.0.0.1:");
    let store = opened(&url);
    small_fleet(&store).await;
    assert_eq!(store.check().await.expect("checks").faults, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_writes_is_not_the_database() {
    let place = Database::create();
    place.sql(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", place.name()));
    let error = refusal(&place.url()).await.to_string();
    assert!(error.contains("does not allow writes"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_collector_with_another_ca_gets_the_pin_of_the_first() {
    let place = Database::create();
    let (one, other) = (place.open(), place.open());
    assert_eq!(one.authority_claim("pin-1").await.expect("claims"), "pin-1");
    assert_eq!(other.authority_claim("pin-2").await.expect("asks"), "pin-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_another_form_is_damage_and_a_closed_connection_is_not() {
    use super::fault::PostgresFault;
    use crate::store::fault::StoreFault;

    let place = Database::create();
    let session = contention::session(&place).await;
    let row = session.query_first("SELECT 'text', NULL::bigint", &[]).await.expect("asks").expect("a row");
    for refused in [row.try_get::<_, i64>(0).map(drop), row.try_get::<_, i64>(1).map(drop)] {
        let fault = PostgresFault::from(refused.expect_err("has another form"));
        assert!(matches!(fault, PostgresFault::Store(StoreFault::Damaged { .. })), "{fault:?}");
    }
    let pid: i32 = session.query_first("SELECT pg_backend_pid()", &[]).await.expect("asks").expect("a row").get(0);
    place.sql(&format!("SELECT pg_terminate_backend({pid}, 10000)"));
    // The first error may be the server's last message. Those after it come from the closed connection.
    for _ in 0..3 {
        let fault = session.batch("SELECT 1").await.expect_err("is closed");
        assert!(matches!(fault, PostgresFault::ConnectionLost(_)), "{fault:?}");
    }
}

/// The check finds and names each damage.
#[tokio::test(flavor = "multi_thread")]
async fn check_finds_what_is_damaged() {
    for (damage, part) in [
        ("UPDATE section SET body = decode(repeat('00', octet_length(body)), 'hex')", "is damaged"),
        (
            "UPDATE dictionary SET editions = decode(replace(encode(editions, 'hex'), '6b65736c', '6b657331'), 'hex')",
            "is rebuilt with another digest",
        ),
        ("DELETE FROM dictionary", "is not in the dictionary"),
        ("UPDATE snapshot SET entries = entries || '\\x00'", "is damaged"),
        ("UPDATE host_current SET snapshot_since = snapshot_since + 1", "overlap in time or leave a gap"),
        (
            "UPDATE host_snapshot SET snapshot = (SELECT snapshot FROM host_current n WHERE n.host = host_snapshot.host)",
            "twice in a row",
        ),
        ("UPDATE tally SET hosts = hosts + 1", "the tally differs from a recount"),
        ("UPDATE site_hosts SET hosts = hosts + 1", "the number of hosts differs"),
        ("DELETE FROM host_key", "exactly one key"),
        ("DELETE FROM phrase", "refers to a row that does not exist"),
        ("DELETE FROM section", "section number"),
        ("DELETE FROM judged_state", "the current row of a host (its state) refers to a row"),
        ("DELETE FROM host_current", "has no current row"),
        ("INSERT INTO host_gap SELECT 10, 10, no FROM host", "the gaps of host"),
        ("UPDATE verdict SET since = since - 100000000", "the lanes of host"),
        ("DELETE FROM index_block WHERE segment = 1", "the search index differs from the sections"),
        ("DELETE FROM index_block WHERE segment = 2", "the search index differs from the snapshots"),
        ("UPDATE index_block SET lists = '\\x05'", "a block of the search index is damaged"),
        (
            "UPDATE ledger SET entry = replace(entry, 'host-enrolled', 'host-enrollee') WHERE no = 2",
            "entry 2 was changed after it was sealed",
        ),
        ("DELETE FROM ledger WHERE no = 2", "entry 2 is missing before entry 3"),
        ("DELETE FROM ledger_leaf WHERE no = 2", "the stored hash of entry 2 is missing"),
        ("UPDATE ledger_tree SET state = '\\x07'", "the tree of the ledger is damaged"),
        ("UPDATE host_current SET listed = true", "is counted as a machine of the roster"),
        ("INSERT INTO waiver_host SELECT 1, no FROM host", "waiver 1 covers more hosts"),
    ] {
        let place = Database::create();
        let store = place.open();
        small_fleet(&store).await;
        second_snapshot(&store).await;
        indexed(&store).await;
        crate::store::contract::sealed(&store).await;
        assert_eq!(store.check().await.expect("checks").faults, Vec::<String>::new());
        assert_ne!(place.sql_rows(damage), 0, "{damage}");
        let faults = store.check().await.expect("checks").faults;
        assert!(faults.iter().any(|fault| fault.contains(part)), "{damage}: {faults:?}");
        store.close().await.expect("closes");
    }
}
