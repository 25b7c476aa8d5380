//! The contract suite on this backend, and tests of what only this backend does.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;

use crate::store::contract::{Backend, suite};
use crate::store::{self, Store, StoreError};

/// A file in its own directory.
struct TemporaryFile {
    folder: tempfile::TempDir,
}

impl TemporaryFile {
    fn path(&self) -> PathBuf {
        self.folder.path().join("data").join("fleet.db")
    }
}

impl Backend for TemporaryFile {
    fn fresh() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn open(&self) -> Arc<dyn Store> {
        store::open(&format!("sqlite://{}", self.path().display())).expect("opens")
    }
}

suite!(TemporaryFile);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures, and takes minutes"]
async fn edition_scale() {
    crate::store::contract::edition_scale(TemporaryFile::fresh()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures, and takes minutes"]
async fn a_year_of_reports() {
    // Pages that become free are used again.
    crate::store::contract::a_year_of_reports(TemporaryFile::fresh(), || {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures, and takes minutes"]
async fn past_scale() {
    use crate::store::contract::{past_fill, past_hosts, past_last_seen, past_scale};
    let hosts = past_hosts();
    let numbers =
        format!("(WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {hosts}) SELECT i FROM s)");
    let enrolled = crate::store::contract::at(0).millis();
    let rows = format!(
        "INSERT INTO phrase (no, text) VALUES (1, 'Debian');
         INSERT INTO orders (no, id) VALUES (1, 'us-bis-icts-2021-002'), (2, 'b'), (3, 'c'), (4, 'd');
         INSERT INTO host (no, id, site, hostname, platform, os_name, kernel, architecture, agent_version, offline_root,
                 fingerprint, enrolled_at, listed, state)
             SELECT i, randomblob(16), 1, 'host-' || i, 1, 1, 1, 1, 1, 0, x'', {enrolled}, 1, randomblob(400) FROM {numbers};
         INSERT INTO host_check_in (host, last_seen) SELECT i, {} FROM {numbers}",
        past_last_seen()
    );
    past_scale(TemporaryFile::fresh(), |file: &TemporaryFile| {
        let sql = Connection::open(file.path()).expect("opens");
        sql.execute_batch(&format!("BEGIN; {}; COMMIT;", past_fill(&numbers, &rows, "1"))).expect("fills");
    })
    .await;
}

fn refusal(path: &str) -> StoreError {
    store::open(path).err().expect("refused")
}

#[tokio::test]
async fn files_and_folder_belong_to_the_owner_alone() {
    let place = TemporaryFile::fresh();
    let store = place.open();
    store.rules_adopt("r1", muster_proto::model::Timestamp::from_millis(1)).await.expect("writes");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode(place.path().parent().expect("has one")), 0o700);
    for end in ["fleet.db", "fleet.db-wal", "fleet.db-shm"] {
        assert_eq!(mode(&place.path().with_file_name(end)), 0o600, "{end}");
    }
    store.close().await.expect("closes");
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o644)).expect("loosens");
    place.open();
    assert_eq!(mode(&place.path()), 0o600, "others' rights are taken back");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let place = TemporaryFile::fresh();
    place.open().close().await.expect("closes");
    let sql = Connection::open(place.path()).expect("opens");
    sql.execute("INSERT INTO schema_version (version, name, digest) VALUES (2000, 'later', '')", []).expect("inserts");
    let error = refusal(&place.path().display().to_string());
    assert!(matches!(error, StoreError::NewerSchema { found: 2000, .. }), "{error}");
    let kept: i64 = sql.query_row("SELECT max(version) FROM schema_version", [], |row| row.get(0)).expect("asks");
    assert_eq!(kept, 2000);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fleet.db");
    let text = "this is a letter, and not a database. ".repeat(200);
    std::fs::write(&path, &text).expect("writes");
    let error = refusal(&path.display().to_string());
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
    assert!(error.to_string().contains("is not a Muster database, or it is damaged"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("reads"), text);
}

#[test]
fn another_kind_of_store_is_refused_without_its_password() {
    let error = refusal("mysql://muster:secret@db/fleet");
    assert_eq!(
        error.to_string(),
        "cannot open the database mysql://…: the URL must be sqlite:///path/to/file or postgres://user@host/database"
    );
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let error = refusal("/proc/nowhere/fleet.db");
    assert!(error.to_string().starts_with("cannot open the database /proc/nowhere/fleet.db: "), "{error}");
}

/// The check finds and names each damage.
#[tokio::test]
async fn check_finds_what_is_damaged() {
    for (damage, part) in [
        ("UPDATE section SET body = zeroblob(length(body))", "is damaged"),
        ("UPDATE title SET name = 'kes1' WHERE name = 'kesl'", "is rebuilt with another digest"),
        ("UPDATE snapshot SET entries = CAST(entries || x'00' AS BLOB)", "bytes follow the last entry"),
        ("UPDATE snapshot SET entries = (SELECT min(entries) FROM snapshot)", "is rebuilt with another digest"),
        (
            "INSERT INTO host_snapshot SELECT no, snapshot_since, snapshot_observed_at, snapshot FROM host",
            "do not end before",
        ),
        (
            "INSERT INTO host_snapshot SELECT no, snapshot_since - 1, snapshot_observed_at, snapshot FROM host",
            "same snapshot twice",
        ),
        ("INSERT INTO phrase (text) SELECT text FROM phrase", "has the same text twice"),
        ("UPDATE tally SET hosts = hosts + 1", "the tally differs from a recount"),
        ("UPDATE site_hosts SET hosts = hosts + 1", "the number of hosts differs"),
        ("DELETE FROM host_key", "exactly one key"),
        (
            "INSERT INTO verdict_history SELECT host, order_no, since - 2, since + 1, lane, in_scope, cause FROM verdict",
            "overlap",
        ),
        ("INSERT INTO host_gap SELECT no, 10, 10 FROM host", "the gaps of host"),
        ("DELETE FROM verdict", "the tally differs from a recount"),
        ("DELETE FROM site", "refers to a row that does not exist"),
        ("DELETE FROM section", "it is not there"),
        ("DELETE FROM index_block", "the search index differs from the sections"),
        ("UPDATE index_block SET lists = x'05'", "a block of the search index is damaged"),
        ("DELETE FROM snapshot_section", "the sections of snapshots differ from the snapshots"),
        (
            "UPDATE ledger SET entry = replace(entry, 'host-enrolled', 'host-enrollee') WHERE no = 2",
            "entry 2 was changed after it was sealed",
        ),
        ("DELETE FROM ledger WHERE no = 2", "entry 2 is missing before entry 3"),
        ("DELETE FROM ledger_leaf WHERE no = 2", "the stored hash of entry 2 is missing"),
        ("UPDATE ledger_tree SET state = x'07'", "the tree of the ledger is damaged"),
        ("UPDATE host SET listed = 1", "is counted as a machine of the roster"),
        ("INSERT INTO waiver_host SELECT 1, no FROM host", "waiver 1 covers more hosts"),
    ] {
        let place = TemporaryFile::fresh();
        let store = place.open();
        super::super::contract::small_fleet(&store).await;
        super::super::contract::indexed(&store).await;
        super::super::contract::sealed(&store).await;
        assert_eq!(store.check().await.expect("checks").faults, Vec::<String>::new());
        let sql = Connection::open(place.path()).expect("opens");
        sql.pragma_update(None, "foreign_keys", false).expect("loosens");
        assert!(sql.execute(damage, []).expect("damages") > 0, "{damage}");
        let faults = store.check().await.expect("checks").faults;
        assert!(faults.iter().any(|fault| fault.contains(part)), "{damage}: {faults:?}");
        store.close().await.expect("closes");
    }
}

#[tokio::test]
async fn a_full_disk_fails_the_operation_by_name_and_keeps_what_was() {
    let place = TemporaryFile::fresh();
    let store = place.open();
    super::super::contract::small_fleet(&store).await;
    store.close().await.expect("closes");
    let full = super::SqliteStore::open_with_pages(&place.path(), 1).expect("opens");
    let full: Arc<dyn Store> = Arc::new(full);
    let error = super::super::contract::large_delivery(&full).await.expect_err("does not fit");
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(error.to_string().starts_with("snapshot_deliver: no space left for the database "), "{error}");
    let told = full.write_check().await.expect_err("no write has space");
    assert!(matches!(told, StoreError::Full { .. }), "{told}");
    assert_eq!(full.check().await.expect("checks").faults, Vec::<String>::new());
    full.close().await.expect("closes");
    let store = place.open();
    super::super::contract::large_delivery(&store).await.expect("fits again");
    assert_eq!(store.check().await.expect("checks").faults, Vec::<String>::new());
}

#[tokio::test]
async fn a_file_that_is_read_only_fails_the_check_of_writes() {
    let place = TemporaryFile::fresh();
    let store = place.open();
    store.write_check().await.expect("it is writable");
    store.close().await.expect("closes");
    let sql = super::open::writer(&place.path()).expect("opens");
    sql.pragma_update(None, "query_only", true).expect("forbids writes");
    let store = super::SqliteStore::on(sql, &place.path()).expect("opens");
    let refused = super::super::Store::write_check(&store).await.expect_err("it is read-only");
    assert!(refused.to_string().contains("readonly"), "{refused}");
}

/// `tokens create` opens the file of a collector that is running.
#[tokio::test]
async fn a_file_is_opened_while_its_collector_stores_editions() {
    let place = TemporaryFile::fresh();
    place.open().close().await.expect("closes");
    let sql = super::open::writer(&place.path()).expect("opens");
    let collector = std::thread::spawn(move || {
        for number in 1..=400 {
            let of_edition = format!(
                "BEGIN IMMEDIATE;
                 INSERT INTO title VALUES ({number}, 1, 17, 'kesl {number}', '');
                 INSERT INTO version VALUES ({number}, '12.{number}');
                 INSERT INTO edition VALUES ({number}, {number}, {number}, 0, NULL, '');
                 COMMIT;"
            );
            sql.execute_batch(&of_edition).expect("stores");
        }
    });
    let sql = super::open::writer(&place.path()).expect("opens");
    while !collector.is_finished() {
        super::memory::Memory::load(&sql).expect("what refers to each other is loaded together");
    }
    collector.join().expect("stores all");
}
