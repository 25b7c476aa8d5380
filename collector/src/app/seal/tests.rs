//! Tests of what a start does with the seal key.

use std::path::PathBuf;

use muster_proto::model::EntryKind;

use super::*;
use crate::app::prepare::{Asked, prepare};
use crate::app::test_kit::settings_in;
use crate::clock::system_now;
use crate::store::contract::ledger;

struct Place {
    _folder: tempfile::TempDir,
    settings: Settings,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        Self { settings: settings_in(folder.path()), _folder: folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.settings.data_dir.join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).expect("read")
    }

    /// Starts, and returns the verifier key and the number of ledger entries about it.
    async fn start(&self, origin: Option<&str>) -> anyhow::Result<(String, usize)> {
        let origin = origin.map(|name| Origin::new(name).expect("an origin"));
        let asked = Asked { origin: origin.as_ref(), ..Asked::default() };
        let prepared = prepare(&self.settings, asked, system_now()).await?;
        let entries = ledger(&prepared.store, 0, 100).await;
        prepared.store.close().await?;
        let kept = entries.iter().filter(|row| row.entry.kind() == EntryKind::SealKeyKept).count();
        Ok((prepared.seal.verifier().to_string(), kept))
    }

    async fn refused(&self, origin: Option<&str>) -> String {
        let refused = self.start(origin).await.expect_err("refused");
        let mut text = Vec::new();
        crate::app::report(&refused, &mut text);
        String::from_utf8(text).expect("text")
    }
}

#[tokio::test]
async fn a_first_start_makes_a_key_for_its_owner_only_and_later_ones_keep_it() {
    let place = Place::new();
    let (key, kept) = place.start(Some("muster.example.com")).await.expect("starts");
    assert!(key.starts_with("muster.example.com+") && kept == 1, "{key}");
    assert_eq!(place.read(SEAL_PUB), format!("{key}\n"));
    assert_eq!(open_to_others(&place.file(SEAL_KEY)).expect("read"), 0);
    assert_eq!(place.start(None).await.expect("starts"), (key.clone(), 1), "no second entry");
    assert_eq!(place.start(Some("muster.example.com")).await.expect("starts"), (key, 1));
    let refused = place.refused(Some("other.example.com")).await;
    assert!(refused.contains("the origin of the seal key is muster.example.com") && refused.contains("--origin"));
}

#[tokio::test]
async fn the_default_origin_is_the_name_of_this_machine() {
    let place = Place::new();
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert!(place.start(None).await.expect("starts").0.starts_with(&format!("{name}+")));
}

#[tokio::test]
async fn a_lost_public_half_is_made_again_with_the_same_origin() {
    let place = Place::new();
    let (key, _) = place.start(Some("muster.example.com")).await.expect("starts");
    std::fs::remove_file(place.file(SEAL_PUB)).expect("removed");
    assert_eq!(place.start(None).await.expect("starts").0, key);
    assert_eq!(place.read(SEAL_PUB), format!("{key}\n"));
}

#[tokio::test]
async fn a_lost_key_is_not_replaced() {
    let place = Place::new();
    let (key, _) = place.start(None).await.expect("starts");
    let kept = place.read(SEAL_KEY);
    std::fs::remove_file(place.file(SEAL_KEY)).expect("removed");
    let refused = place.refused(None).await;
    for part in ["the seal key is lost", &key, "copy seal.key and seal.pub"] {
        assert!(refused.contains(part), "{part} is not in: {refused}");
    }
    assert!(!place.file(SEAL_KEY).exists(), "another key was made");
    let checked = verify(&place.settings, Some(&key)).expect_err("a fault").to_string();
    assert!(checked.contains("the seal key is lost"), "{checked}");
    write_atomically(&place.file(SEAL_KEY), kept.as_bytes(), OWNER_ONLY).expect("written");
    place.start(None).await.expect("starts with its key");
}

#[tokio::test]
async fn the_key_of_another_store_is_refused() {
    let (place, other) = (Place::new(), Place::new());
    let (ours, _) = place.start(Some("a")).await.expect("starts");
    let (theirs, _) = other.start(Some("a")).await.expect("starts");
    std::fs::copy(other.file(SEAL_KEY), place.file(SEAL_KEY)).expect("copied");
    let refused = place.refused(None).await;
    assert!(refused.contains("seal.pub is not the public half of"), "{refused}");
    std::fs::copy(other.file(SEAL_PUB), place.file(SEAL_PUB)).expect("copied");
    let refused = place.refused(None).await;
    assert!(refused.contains(&ours) && refused.contains(&theirs) && refused.contains("belongs to the seal key"));
    let checked = verify(&place.settings, Some(&ours)).expect_err("a fault").to_string();
    assert!(checked.contains("belongs to the seal key"), "{checked}");
}

#[tokio::test]
async fn a_key_that_others_can_read_or_that_is_damaged_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.start(None).await.expect("starts");
    let file = place.file(SEAL_KEY);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("changed");
    let refused = place.refused(None).await;
    assert!(refused.contains("other users can read") && refused.contains("chmod 600"), "{refused}");
    write_atomically(&file, b"", OWNER_ONLY).expect("written");
    let refused = place.refused(None).await;
    assert!(refused.contains("seal.key is damaged: it has no block `PRIVATE KEY`"), "{refused}");
    assert!(refused.contains("restore"), "{refused}");
}

#[tokio::test]
async fn a_store_without_a_seal_key_gets_one_at_the_next_start() {
    let place = Place::new();
    let (key, _) = place.start(None).await.expect("starts");
    let sql = rusqlite::Connection::open(place.file("muster.db")).expect("opened");
    sql.execute("DELETE FROM seal", []).expect("as before there were seal keys");
    drop(sql);
    std::fs::remove_file(place.file(SEAL_KEY)).expect("removed");
    std::fs::remove_file(place.file(SEAL_PUB)).expect("removed");
    assert_ne!(place.start(None).await.expect("starts").0, key);
}
