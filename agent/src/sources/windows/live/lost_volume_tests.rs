//! A volume that is not there, such as a detached disk, makes a scan incomplete: what is on it is not removed.

use std::sync::Arc;

use muster_proto::model::{Outcome, Watchlist};

use crate::os::test_kit::free_letter;
use crate::sources::portable::watch_paths::WatchPaths;
use crate::sources::registry::hives::HiveRegistry;
use crate::sources::registry::memory::MemoryRegistry;
use crate::sources::registry::{Registry, RegistryError};
use crate::sources::root::Root;
use crate::sources::{ScanContext, Source};

const PROFILES: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList";
const SID: &str = "S-1-5-21-1-2-3-1001";

#[test]
fn the_hive_of_a_user_whose_profile_is_on_a_lost_volume_is_unread_and_not_absent() {
    let profile = format!(r"{}:\Users\anna", free_letter());
    let machine = MemoryRegistry::default().with_text(&format!(r"{PROFILES}\{SID}"), "ProfileImagePath", &profile);
    let registry = HiveRegistry::of_users(Arc::new(Root::running_system().expect("opens")), &machine);
    for key in [format!(r"HKU\{SID}\Software"), format!(r"HKU\{SID}_Classes\CLSID")] {
        let answer = registry.keys(&key).expect_err("it cannot be read");
        assert!(matches!(&answer, RegistryError::Broken { .. }), "{key}: {answer:?}");
        assert!(answer.to_string().contains("another volume"), "{answer}");
    }
}

#[test]
fn the_folder_of_the_profiles_on_a_lost_volume_is_a_fault() {
    let folder = format!(r"{}:\Users", free_letter());
    let machine = MemoryRegistry::default().with_text(PROFILES, "ProfilesDirectory", &folder);
    let users = HiveRegistry::of_users(Arc::new(Root::running_system().expect("opens")), &machine).users();
    assert!(users.faults.iter().any(|fault| fault.contains("another volume")), "{:?}", users.faults);
}

#[test]
fn a_watched_path_on_a_lost_volume_is_unknown_with_and_without_a_wildcard() {
    for pattern in ["KAV*", "KAV"] {
        let paths = vec![format!(r"{}:\Programs\{pattern}", free_letter())];
        let watchlist = Watchlist { version: 1, paths, ..Watchlist::default() };
        let reading = WatchPaths.read(&ScanContext::new(Root::running_system().expect("opens"), watchlist));
        assert_eq!(reading.outcome, Outcome::Failed, "{pattern}: {}", reading.reason);
        assert!(reading.reason.contains("another volume"), "{pattern}: {}", reading.reason);
    }
}
