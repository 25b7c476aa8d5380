//! Tests of what a start does if the CA or the store is lost.

use std::path::Path;

use muster_proto::model::{AccountName, EntryKind, Holder, Role, SiteId, Token};

use super::*;
use crate::actions::{self, AccountRequest};
use crate::app::prepare::{Asked, prepare};
use crate::app::system_user;
use crate::app::test_kit::settings_in;
use crate::clock::system_now;
use crate::store::contract::{ledger, small_fleet};

struct Place {
    folder: tempfile::TempDir,
    settings: Settings,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        Self { settings: settings_in(folder.path()), folder }
    }

    /// A collector with two hosts, whose CA has signed for them; it is stopped.
    async fn populated() -> Self {
        let place = Self::new();
        let prepared = prepare(&place.settings, Asked::default(), system_now()).await.expect("prepared");
        small_fleet(&prepared.store).await;
        prepared.authority.record_issue(system_now()).expect("recorded");
        prepared.store.close().await.expect("closed");
        place
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.settings.data_dir.join(name)
    }

    fn remove(&self, names: &[&str]) {
        names.iter().for_each(|name| std::fs::remove_file(self.file(name)).expect("removed"));
    }

    fn take(&self, name: &str, other: &Self) {
        std::fs::copy(other.file(name), self.file(name)).expect("copied");
    }

    /// Starts, and returns the number of hosts.
    async fn start(&self, new_store: bool) -> anyhow::Result<u64> {
        let prepared = prepare(&self.settings, Asked { new_store, origin: None }, system_now()).await?;
        let hosts = prepared.store.host_count(&SiteScope::All).await?;
        prepared.store.close().await?;
        Ok(hosts)
    }

    /// The refusal and its advice. The start must not have created any of the files.
    async fn refused(&self, new_store: bool, not_created: &[&str]) -> String {
        let refused = self.start(new_store).await.expect_err("refused");
        for name in not_created {
            assert!(!self.file(name).exists(), "{name} was created");
        }
        let mut text = Vec::new();
        crate::app::report(&refused, &mut text);
        String::from_utf8(text).expect("text")
    }
}

#[tokio::test]
async fn a_ca_that_is_lost_over_a_store_with_hosts_is_not_replaced() {
    let place = Place::populated().await;
    let kept = tempfile::tempdir().expect("a directory");
    for name in ["ca.pem", "ca.key"] {
        std::fs::copy(place.file(name), kept.path().join(name)).expect("copied");
    }
    place.remove(&["ca.pem", "ca.key"]);
    for new_store in [false, true] {
        let refused = place.refused(new_store, &["ca.pem", "ca.key"]).await;
        for part in
            ["ca.pem is missing", "number of hosts in it: 2", "copy ca.pem and ca.key", "muster-collector restore DIR"]
        {
            assert!(refused.contains(part), "{part} is not in: {refused}");
        }
        assert!(refused.contains(&place.settings.data_dir.display().to_string()), "{refused}");
    }
    // Without the record of the CA, the store alone must do.
    place.remove(&["ca.issued"]);
    place.refused(false, &["ca.pem", "ca.key"]).await;
    std::fs::copy(kept.path().join("ca.key"), place.file("ca.key")).expect("copied");
    place.refused(false, &["ca.pem"]).await;
    std::fs::copy(kept.path().join("ca.pem"), place.file("ca.pem")).expect("copied");
    assert_eq!(place.start(false).await.expect("starts with its CA"), 2);
    assert!(place.file("ca.issued").exists(), "the record is made again");
}

#[tokio::test]
async fn another_ca_over_a_store_with_hosts_is_refused() {
    let (place, other) = (Place::populated().await, Place::populated().await);
    for name in ["ca.pem", "ca.key"] {
        place.take(name, &other);
    }
    let refused = place.refused(false, &[]).await;
    assert!(refused.contains("belongs to the CA with pin") && refused.contains("restore DIR"), "{refused}");
}

#[tokio::test]
async fn a_store_that_is_lost_beside_a_ca_with_hosts_is_replaced_only_on_demand() {
    for is_empty in [false, true] {
        let place = Place::populated().await;
        place.remove(&["muster.db"]);
        if is_empty {
            std::fs::write(place.file("muster.db"), b"").expect("written");
        }
        let refused = place.refused(false, if is_empty { &[] } else { &["muster.db"] }).await;
        let how = if is_empty { "muster.db is an empty file" } else { "muster.db is missing" };
        for part in [how, "muster-collector restore DIR", "--new-store"] {
            assert!(refused.contains(part), "{part} is not in: {refused}");
        }
        assert_eq!(place.start(true).await.expect("confirmed"), 0);
        assert_eq!(place.start(false).await.expect("in use again"), 0);
    }
}

#[tokio::test]
async fn the_record_of_a_lost_ca_is_enough_to_refuse_another_one() {
    let place = Place::populated().await;
    place.remove(&["ca.pem", "ca.key", "muster.db"]);
    let refused = place.refused(true, &["ca.pem", "ca.key", "muster.db"]).await;
    assert!(refused.contains("the CA is lost") && refused.contains("it has signed certificates of hosts"), "{refused}");
}

#[tokio::test]
async fn a_first_start_that_was_interrupted_goes_on() {
    let place = Place::new();
    assert_eq!(place.start(false).await.expect("starts"), 0);
    let pin = |place: &Place| {
        Authority::open(&place.settings.data_dir, system_now()).expect("read").map(|authority| authority.pin())
    };
    let first = pin(&place);
    // After the CA and before the store.
    place.remove(&["muster.db"]);
    assert_eq!(place.start(false).await.expect("goes on"), 0);
    // After the key and before the certificate.
    place.remove(&["muster.db", "ca.pem"]);
    assert_eq!(place.start(false).await.expect("goes on"), 0);
    assert_eq!(pin(&place), first, "with the same key");
    // The store has the pin of the CA, and no host has enrolled.
    place.remove(&["ca.pem", "ca.key"]);
    assert!(place.refused(false, &["ca.pem"]).await.contains("number of hosts in it: 0"));
    drop(place.folder);
}

#[tokio::test]
async fn files_of_a_ca_that_cannot_be_used_are_named_with_what_to_do() {
    type Damage = fn(&Path);
    let loops = |file: &Path| {
        std::fs::remove_file(file).expect("removed");
        std::os::unix::fs::symlink(file, file).expect("linked");
    };
    let cases: [(&str, Damage, &str); 7] = [
        ("ca.key", |file| std::fs::remove_file(file).expect("removed"), "has no key: "),
        ("ca.key", |file| std::fs::write(file, b"").expect("emptied"), "ca.key is damaged: it is empty"),
        ("ca.pem", |file| std::fs::write(file, b"").expect("emptied"), "ca.pem is damaged: it is empty"),
        ("ca.pem", |file| std::fs::write(file, b"-----BEGIN CERT").expect("cut"), "ca.pem is damaged: "),
        ("ca.key", loops, "cannot read "),
        ("ca.pem", loops, "cannot read "),
        (
            "ca.key",
            |file| {
                let all = std::os::unix::fs::PermissionsExt::from_mode(0o644);
                std::fs::set_permissions(file, all).expect("set");
            },
            "other users can read ",
        ),
    ];
    for (name, damage, part) in cases {
        let place = Place::populated().await;
        damage(&place.file(name));
        let refused = place.refused(false, &[]).await;
        assert!(refused.contains(part), "{name}: {refused}");
        assert!(refused.contains(&place.file(name).display().to_string()), "{name}: {refused}");
        let remedy = if part.starts_with("other") { "chmod 600" } else { "muster-collector restore DIR" };
        assert!(refused.contains(remedy), "{name}: {refused}");
        assert!(place.file("ca.pem").symlink_metadata().is_ok(), "{name}");
    }
}

#[tokio::test]
async fn a_lost_server_key_is_renewed_with_a_warning() {
    let place = Place::populated().await;
    let damages: [fn(&Path); 2] =
        [|file| std::fs::remove_file(file).expect("removed"), |file| std::fs::write(file, b"noise").expect("written")];
    for (number, damage) in damages.into_iter().enumerate() {
        damage(&place.file("server.pem"));
        let prepared = prepare(&place.settings, Asked::default(), system_now()).await.expect("starts");
        let [warning] = &prepared.warnings[..] else { panic!("{:?}", prepared.warnings) };
        for part in ["the server key is lost", "server.pem", "created a new key", "find out who"] {
            assert!(warning.contains(part), "{part} is not in: {warning}");
        }
        assert_eq!(recorded(&prepared.store, EntryKind::ServerKeyRenewed).await, number + 1);
        prepared.store.close().await.expect("closed");
    }
    let fresh = Place::new();
    let prepared = prepare(&fresh.settings, Asked::default(), system_now()).await.expect("starts");
    assert!(prepared.warnings.is_empty(), "{:?}", prepared.warnings);
    assert_eq!(recorded(&prepared.store, EntryKind::ServerKeyRenewed).await, 0);
}

/// How many entries of this kind the ledger has.
async fn recorded(store: &Arc<dyn Store>, kind: EntryKind) -> usize {
    ledger(store, 0, 1000).await.iter().filter(|row| row.entry.kind() == kind).count()
}

#[tokio::test]
async fn a_lost_admin_token_is_renewed_with_a_warning() {
    let place = Place::populated().await;
    let before = std::fs::read_to_string(place.file("admin.token")).expect("read");
    place.remove(&["admin.token"]);
    let prepared = prepare(&place.settings, Asked::default(), system_now()).await.expect("starts");
    let [warning] = &prepared.warnings[..] else { panic!("{:?}", prepared.warnings) };
    for part in ["the admin token is lost", "admin.token", "the previous one no longer works", "give the new file"] {
        assert!(warning.contains(part), "{part} is not in: {warning}");
    }
    assert_ne!(std::fs::read_to_string(place.file("admin.token")).expect("created"), before);
    assert_eq!(recorded(&prepared.store, EntryKind::AdminTokenRenewed).await, 1);
    prepared.store.close().await.expect("closed");
}

async fn create_account(store: &Arc<dyn Store>, name: &str, role: Role, holder: Holder, sites: &[&str]) -> Token {
    let new = AccountRequest {
        name: AccountName::new(name).expect("a name"),
        role,
        holder,
        sites: sites.iter().map(|site| SiteId::new(*site).expect("a site")).collect(),
        lifetime: None,
    };
    actions::account_create(store.as_ref(), &system_user::caller(), new, system_now()).await.expect("created").0
}

#[tokio::test]
async fn a_start_brings_back_no_admin_that_was_revoked_and_rotates_no_other_account_of_this_name() {
    let place = Place::populated().await;
    let prepared = prepare(&place.settings, Asked::default(), system_now()).await.expect("starts");
    create_account(&prepared.store, "ada", Role::Admin, Holder::Person, &[]).await;
    prepared.store.close().await.expect("closed");
    place.remove(&["admin.token"]);
    let others: [Option<(Role, Holder, &[&str])>; 4] = [
        None,
        Some((Role::Viewer, Holder::Person, &[])),
        Some((Role::Admin, Holder::Machine, &[])),
        Some((Role::Admin, Holder::Person, &["hq"])),
    ];
    let caller = system_user::caller();
    for other in others {
        let store = store::connect(place.settings.store.url()).await.expect("opened");
        actions::account_revoke(store.as_ref(), &caller, "admin", system_now()).await.expect("revoked");
        let token = match other {
            Some((role, holder, sites)) => Some(create_account(&store, "admin", role, holder, sites).await),
            None => None,
        };
        let before = actions::account_list(store.as_ref(), &caller).await.expect("listed");
        store.close().await.expect("closed");
        let prepared = prepare(&place.settings, Asked::default(), system_now()).await.expect("starts");
        let notes = prepared.notes.join("\n");
        assert!(prepared.warnings.is_empty() && notes.contains("no file with a token"), "{other:?}: {notes}");
        assert!(notes.contains("`muster-collector accounts create NAME --role admin`"), "{notes}");
        assert!(!place.file("admin.token").exists(), "{other:?}");
        let after = actions::account_list(prepared.store.as_ref(), &caller).await.expect("listed");
        assert_eq!(after, before, "{other:?}");
        if let Some(token) = token {
            let found = actions::account_by_token(prepared.store.as_ref(), &token, system_now()).await.expect("read");
            assert!(found.is_some(), "{other:?}: its token ended");
        }
        prepared.store.close().await.expect("closed");
    }
}

#[tokio::test]
async fn an_admin_token_that_cannot_be_read_is_not_replaced() {
    let place = Place::populated().await;
    let before = std::fs::read(place.file("admin.token")).expect("read");
    let elsewhere = place.folder.path().join("not mounted");
    std::fs::rename(place.file("admin.token"), &elsewhere).expect("moved");
    std::os::unix::fs::symlink(place.folder.path().join("mount/admin.token"), place.file("admin.token"))
        .expect("linked");
    let refused = place.start(false).await.expect_err("refused").to_string();
    assert!(refused.contains("admin.token: it is a link to a file that does not exist"), "{refused}");
    place.remove(&["admin.token"]);
    std::os::unix::fs::symlink(&elsewhere, place.file("admin.token")).expect("linked");
    place.start(false).await.expect("starts");
    assert_eq!(std::fs::read(&elsewhere).expect("read"), before);
}
