//! Compares the keys that the sources read with what is watched: changes of a key that is read but not watched are found late.

use std::collections::BTreeSet;
use std::sync::Mutex;

use muster_proto::model::Platform;

use super::Machine;
use crate::sources::places::{Place, Reach};
use crate::sources::registry::memory::MemoryRegistry;
use crate::sources::registry::{Listing, Registry, RegistryError, User, Value, folded};
use crate::sources::root::Root;
use crate::sources::watch_places;
use crate::sources::watchlist::builtin;
use crate::sources::windows::reader::Reader;
use crate::sources::windows::{
    appx, defender, filter_drivers, host, msi, registry_keys, scheduled_tasks, security_center, services, trust_store,
    uninstall_keys,
};

/// Keys that are read but need not be watched, with everything below, each with the reason.
const ELSEWHERE: &[(&str, &str)] = &[
    (r"HKU", "an open key keeps the hive of a user loaded"),
    (
        r"HKLM\SYSTEM\CurrentControlSet\Services",
        "which services there are is watched; below, Windows writes all the time",
    ),
    (
        r"HKLM\SYSTEM\CurrentControlSet\Control",
        "which Windows it is, its name and the filters of its devices change with a restart",
    ),
    (r"HKLM\SYSTEM\CurrentControlSet\Enum", "a record of drivers, whose services are watched"),
    (r"HKLM\SYSTEM\Select", "changes with a restart"),
    (
        r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList",
        "who has a home directory, and those are not watched",
    ),
    (r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache\Tasks", "changes with every run of a task"),
    (r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Installer\UserData", "the products of the machine are watched"),
    (r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Installer\UpgradeCodes", "as above"),
    (r"HKLM\SOFTWARE\Classes\Installer\UpgradeCodes", "as above"),
    (r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore", "its lists of packages are watched"),
    (r"HKLM\SOFTWARE\Microsoft\SystemCertificates\AuthRoot\AutoUpdate", "Microsoft's own list, which leaves rows out"),
    (r"HKLM\SOFTWARE\Microsoft\Windows Defender\Signature Updates", "several times a day"),
];

/// Keys that are read whatever happens: the tops of the registry and which Windows it is.
const TOPS: &[&str] = &[
    r"HKLM\SOFTWARE",
    r"HKLM\SYSTEM",
    r"HKLM\SOFTWARE\WOW6432Node",
    r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion",
    // Where the folders of programs are.
    r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion",
];

/// Notes every key that is asked for.
#[derive(Debug)]
struct Recorder<'r> {
    registry: &'r MemoryRegistry,
    asked: Mutex<BTreeSet<String>>,
}

impl Recorder<'_> {
    fn note(&self, key: &str) {
        self.asked.lock().expect("no panic").insert(key.to_owned());
    }
}

impl Registry for Recorder<'_> {
    fn keys(&self, key: &str) -> Result<Listing<String>, RegistryError> {
        self.note(key);
        self.registry.keys(key)
    }

    fn values(&self, key: &str) -> Result<Listing<Value>, RegistryError> {
        self.note(key);
        self.registry.values(key)
    }

    fn value(&self, key: &str, name: &str) -> Result<Value, RegistryError> {
        self.note(key);
        self.registry.value(key, name)
    }

    fn users(&self) -> Listing<User> {
        self.registry.users()
    }
}

fn is_watched(key: &str, places: &[(String, Reach)]) -> bool {
    places.iter().any(|(place, reach)| {
        let below = key.strip_prefix(place.as_str()).and_then(|rest| rest.strip_prefix('\\'));
        match reach {
            // What a key that may appear has in it, it has when it appears.
            Reach::Entry => key == place || crate::sources::watchlist::matches(place, key),
            Reach::Listing => key == place || below.is_some_and(|rest| !rest.contains('\\')),
            Reach::Tree => key == place || below.is_some(),
        }
    })
}

#[test]
fn every_key_that_a_source_reads_is_watched_or_listed_as_an_exception() {
    let machine = Machine::new().with(|registry| {
        registry
            .with_key(r"HKLM\SYSTEM\CurrentControlSet\Services\klif\Instances\klif")
            .with_key(r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\x")
            .with_key(r"HKLM\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall\y")
            .with_key(r"HKLM\SOFTWARE\KasperskyLab\KES12\environment")
            .with_key(r"HKLM\SOFTWARE\Microsoft\Security Center\Provider\Av\{1}")
            .with_key(r"HKLM\SOFTWARE\Microsoft\SystemCertificates\ROOT\Certificates\AB")
            .with_text(r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache\Tree\t", "Id", "{2}")
            .with_key(r"HKLM\SOFTWARE\Microsoft\Windows Defender\Real-Time Protection")
            .with_key(r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore\Applications\a")
    });
    let watchlist = builtin(Platform::Windows);
    let recorder = Recorder { registry: &machine.registry, asked: Mutex::default() };
    let root = Root::below(machine.root.path()).expect("a root");
    let reader = || Reader::new(&recorder, &root);
    let wmi = super::wmi("");
    for source in [
        host::host,
        uninstall_keys::uninstall_keys,
        msi::msi,
        appx::appx,
        services::services,
        services::drivers,
        filter_drivers::filter_drivers,
        scheduled_tasks::scheduled_tasks,
        trust_store::trust_store,
    ] {
        source(reader());
    }
    registry_keys::registry_keys(reader(), &watchlist.registry_keys);
    defender::defender(reader(), &wmi);
    security_center::security_center(reader(), &wmi);
    let asked = recorder.asked.into_inner().expect("no panic");
    assert!(asked.len() > 100, "{}", asked.len());
    let places: Vec<(String, Reach)> = watch_places(&root, &watchlist)
        .into_iter()
        .filter(Place::is_key)
        .map(|place| (folded(&place.path), place.reach))
        .collect();
    let begins = |key: &str, top: &str| {
        folded(key).strip_prefix(&folded(top)).is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
    };
    let missing: Vec<&String> = asked
        .iter()
        .filter(|key| !is_watched(&folded(key), &places))
        .filter(|key| !TOPS.iter().any(|top| folded(top) == folded(key)))
        .filter(|key| !ELSEWHERE.iter().any(|(top, _)| begins(key, top)))
        // What a watched key above has in it.
        .filter(|key| {
            !places.iter().any(|(place, reach)| *reach == Reach::Entry && is_at_or_above(place, &folded(key)))
        })
        .collect();
    assert!(missing.is_empty(), "read and not watched: {missing:#?}");
}

/// Whether a key is on the way to a place, or below it.
fn is_at_or_above(place: &str, key: &str) -> bool {
    let (mut place, mut key) = (place.split('\\'), key.split('\\'));
    loop {
        match (place.next(), key.next()) {
            (None, _) | (_, None) => return true,
            (Some(pattern), Some(name)) if crate::sources::watchlist::matches(pattern, name) => {}
            _ => return false,
        }
    }
}
