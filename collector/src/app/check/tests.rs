//! Tests of the check: what it finds, what it advises, and that it changes no file.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;
use crate::app::command::TokensArgs;
use crate::app::{prepare, tokens};
use crate::clock::system_now;
use crate::config::Flags;
use crate::store::Store;
use crate::store::contract::small_fleet;

fn settings(data_dir: &Path, config: &Path) -> Settings {
    std::fs::write(config, "").expect("written");
    let data_dir = Some(data_dir.display().to_string());
    let flags = Flags { config: Some(config.to_owned()), data_dir, ..Flags::default() };
    Settings::load(&flags, Vec::new()).expect("valid")
}

async fn check(settings: &Settings) -> (bool, String) {
    let mut out = Vec::new();
    let good = run(settings, system_now(), Format::Table, &mut out).await.expect("written");
    (good, String::from_utf8(out).expect("text"))
}

async fn token(settings: &Settings) -> String {
    let asked = TokensArgs { verb: None, output: Format::Table };
    let refused = tokens::run(settings, asked, Timestamp::default(), &mut Vec::new()).await;
    let refused = refused.expect_err("there is no collector");
    let advice = refused.downcast_ref::<prepare::NotPrepared>().map(|missing| missing.advice());
    format!("{refused}\n{}", advice.unwrap_or_default())
}

/// The data directory is a link to itself, which no user can read, not even root.
#[tokio::test]
async fn a_file_that_cannot_be_read_is_not_called_missing() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    symlink(&data, &data).expect("linked");
    let settings = settings(&data, &place.path().join("collector.toml"));
    let (good, text) = check(&settings).await;
    assert!(!good);
    assert!(!text.contains("missing") && !text.contains("init"), "{text}");
    for file in ["ca.pem", "admin.token", "muster.db"] {
        let line = text.lines().find(|line| line.contains(&format!("{}/{file}: ", data.display())));
        assert!(line.is_some_and(|line| line.starts_with("FAULT") && line.contains("symbolic links")), "{text}");
    }
    let text = token(&settings).await;
    assert!(text.contains("muster.db: ") && text.contains("symbolic links"), "{text}");
}

#[tokio::test]
async fn the_advice_for_an_empty_directory_names_that_directory() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    let settings = settings(&data, &place.path().join("collector.toml"));
    let init = format!("run `muster-collector init --data-dir {}`", data.display());
    let (good, text) = check(&settings).await;
    assert!(!good);
    assert_eq!(text.matches(&init).count(), 3, "directory, CA and store: {text}");
    assert!(token(&settings).await.ends_with(&init));
    assert!(!data.exists(), "the check created the directory");
}

/// Every file below a directory with its content.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(directory) else { return BTreeMap::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.map(|path| (path.clone(), std::fs::read(&path).expect("a file"))).collect()
}

/// A data directory with a CA, an admin token and a small fleet, and its open store.
struct Populated {
    place: tempfile::TempDir,
    settings: Settings,
    store: std::sync::Arc<dyn Store>,
}

impl Populated {
    async fn new() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let settings = settings(&place.path().join("data"), &place.path().join("collector.toml"));
        let prepared = prepare::prepare(&settings, prepare::Asked::default(), system_now()).await.expect("prepared");
        small_fleet(&prepared.store).await;
        prepared.authority.record_issue(system_now()).expect("recorded");
        Self { place, settings, store: prepared.store }
    }

    /// Closes the store, and waits until no process writes to its files.
    async fn stop(&self) {
        self.store.close().await.expect("closed");
        // The writer's thread closes its connection, the last one, after it has answered.
        let end = tokio::time::Instant::now() + Duration::from_secs(20);
        while self.settings.data_dir.join("muster.db-wal").exists() {
            assert!(tokio::time::Instant::now() < end, "the log is still there");
            tokio::task::yield_now().await;
        }
    }

    /// What the check prints. No file may have changed.
    async fn check(&self) -> (bool, String) {
        let before = content(&self.settings.data_dir);
        let (good, text) = check(&self.settings).await;
        let after = content(&self.settings.data_dir);
        let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&before), names(&after), "the check created or removed a file");
        for (path, bytes) in &before {
            assert!(after[path] == *bytes, "the check changed {}", path.display());
        }
        (good, text)
    }

    /// A copy of the directory while the store is open: what a killed collector leaves behind.
    fn killed(&self) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let settings = settings(&place.path().join("data"), &place.path().join("collector.toml"));
        crate::tls::disk::private_directory(&settings.data_dir).expect("created");
        for (path, bytes) in content(&self.settings.data_dir) {
            let copy = settings.data_dir.join(path.file_name().expect("a name"));
            crate::tls::disk::write_atomically(&copy, &bytes, crate::tls::disk::OWNER_ONLY).expect("copied");
        }
        Self { place, settings, store: std::sync::Arc::clone(&self.store) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_changes_no_file_of_a_collector_that_was_killed_or_has_stopped() {
    let populated = Populated::new().await;
    // Without a comparison of the files: within one process, SQLite shares the log's index between all connections. The
    // test of two processes compares them.
    let (good, text) = check(&populated.settings).await;
    assert!(good && text.contains("2 hosts"), "running: {text}");
    let killed = populated.killed();
    assert!(killed.settings.data_dir.join("muster.db-wal").metadata().expect("a log").len() > 0);
    let (good, text) = killed.check().await;
    assert!(good && text.contains("2 hosts"), "killed: {text}");
    std::fs::remove_file(killed.settings.data_dir.join("muster.db-shm")).expect("removed");
    let (good, text) = killed.check().await;
    assert!(!good && text.contains("the next start of the collector recovers it"), "without the index: {text}");
    populated.stop().await;
    let (good, text) = populated.check().await;
    assert!(good && text.contains("2 hosts"), "stopped: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_a_lost_or_old_store_changes_no_file_and_says_what_to_do() {
    let populated = Populated::new().await;
    populated.stop().await;
    let database = populated.settings.data_dir.join("muster.db");
    let whole = std::fs::read(&database).expect("read");

    let sql = rusqlite::Connection::open(&database).expect("opened");
    sql.execute_batch("UPDATE schema_version SET digest = 'another'").expect("changed");
    drop(sql);
    let (good, text) = populated.check().await;
    assert!(!good && text.contains("made by another build"), "{text}");

    std::fs::write(&database, b"").expect("emptied");
    let (good, text) = populated.check().await;
    assert!(!good && text.contains("muster.db is an empty file, and the CA"), "{text}");
    assert!(text.contains("restore DIR") && text.contains("--new-store") && !text.contains("init"), "{text}");

    std::fs::remove_file(&database).expect("removed");
    let (good, text) = populated.check().await;
    assert!(!good && text.contains("muster.db is missing, and the CA"), "{text}");

    std::fs::write(&database, whole).expect("restored");
    for file in ["ca.pem", "ca.key", "ca.issued", "server.pem"] {
        std::fs::remove_file(populated.settings.data_dir.join(file)).expect("removed");
    }
    let (good, text) = populated.check().await;
    assert!(!good && text.contains("the CA is lost") && text.contains("number of hosts in it: 2"), "{text}");
    assert!(text.contains("copy ca.pem and ca.key together from") && !text.contains("init"), "{text}");
    drop(populated.place);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_server_key_of_a_collector_that_has_served_is_a_fault() {
    let populated = Populated::new().await;
    populated.stop().await;
    std::fs::remove_file(populated.settings.data_dir.join("server.pem")).expect("removed");
    let (good, text) = populated.check().await;
    assert!(!good && text.contains("server.pem is missing"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_admin_token_is_a_fault_only_if_a_start_would_replace_it() {
    let populated = Populated::new().await;
    let (caller, now) = (crate::app::system_user::caller(), system_now());
    let ada = crate::actions::AccountRequest {
        name: muster_proto::model::AccountName::new("ada").expect("a name"),
        role: muster_proto::model::Role::Admin,
        holder: muster_proto::model::Holder::Person,
        sites: Vec::new(),
        lifetime: None,
    };
    crate::actions::account_create(populated.store.as_ref(), &caller, ada, now).await.expect("created");
    let file = populated.settings.data_dir.join("admin.token");
    let token = std::fs::read(&file).expect("a token");
    std::fs::write(&file, "").expect("emptied");
    let (good, text) = check(&populated.settings).await;
    assert!(!good && text.contains("admin.token has no token: ") && text.contains("remove it and"), "{text}");
    std::fs::write(&file, token).expect("written");
    std::fs::remove_file(&file).expect("removed");
    let (good, text) = check(&populated.settings).await;
    assert!(!good && text.contains("admin.token is missing, and account \"admin\" is in use"), "{text}");
    symlink(populated.place.path().join("nowhere"), &file).expect("linked");
    let (good, text) = check(&populated.settings).await;
    assert!(!good && text.contains("it is a link to a file that does not exist"), "{text}");
    std::fs::remove_file(&file).expect("removed");
    crate::actions::account_revoke(populated.store.as_ref(), &caller, "admin", now).await.expect("revoked");
    let (good, text) = check(&populated.settings).await;
    assert!(good && text.contains("account \"admin\" is not in use"), "{text}");
}
