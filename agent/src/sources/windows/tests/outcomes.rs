//! What every source says when its place is absent, denied or broken. None of these is an absence of software.

use muster_proto::model::Outcome;

use super::Machine;
use crate::sources::SourceReading;
use crate::sources::registry::RegistryError;
use crate::sources::windows::reader::Reader;
use crate::sources::windows::{
    appx::appx, defender::defender, filter_drivers::filter_drivers, host::host, msi::msi, registry_keys::registry_keys,
    scheduled_tasks::scheduled_tasks, security_center::security_center, services, trust_store::trust_store,
    uninstall_keys::uninstall_keys,
};
use crate::sources::wmi::Wmi;

type Read = fn(Reader<'_>) -> SourceReading;

/// Each source with the key that it cannot do without, and its outcome if that is absent.
const SOURCES: &[(&str, Read, &str, Outcome)] = {
    use Outcome::{Failed, NotApplicable};
    const SERVICES: &str = r"HKLM\SYSTEM\CurrentControlSet\Services";
    &[
        ("host", host, super::VERSION, Failed),
        ("uninstall-keys", uninstall_keys, r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall", Failed),
        ("msi", msi, r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Installer\UserData", NotApplicable),
        ("appx", appx, r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore", NotApplicable),
        ("services", services::services, SERVICES, Failed),
        ("drivers", services::drivers, SERVICES, Failed),
        ("filter-drivers", filter_drivers, SERVICES, Failed),
        ("registry", |reader| registry_keys(reader, &["HKLM/SOFTWARE/x".to_owned()]), "HKLM\\SYSTEM", Failed),
        (
            "defender",
            |reader| defender(reader, &Wmi::default()),
            r"HKLM\SOFTWARE\Microsoft\Windows Defender",
            NotApplicable,
        ),
        (
            "security-center",
            |reader| security_center(reader, &Wmi::default()),
            r"HKLM\SOFTWARE\Microsoft\Security Center\Provider\Av",
            Failed,
        ),
        (
            "scheduled-tasks",
            scheduled_tasks,
            r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache\Tree",
            NotApplicable,
        ),
        ("trust-store", trust_store, r"HKLM\SOFTWARE\Microsoft\SystemCertificates\ROOT\Certificates", Failed),
    ]
};

#[test]
fn absent_denied_and_broken_places_stay_apart_in_every_source() {
    for (name, read, key, absent) in SOURCES {
        let with = |error: RegistryError| Machine::new().with(|registry| registry.with_error(key, error)).read(read);
        assert_eq!(Machine::new().read(read).outcome, *absent, "{name} without {key}");
        let broken = with(RegistryError::broken("SOFTWARE", "cell 0x1020: no key"));
        assert_eq!(broken.outcome, Outcome::Failed, "{name} with a broken {key}");
        let denied = with(RegistryError::Denied);
        assert_eq!(denied.outcome, Outcome::Denied, "{name} with a denied {key}: {}", denied.reason);
        for reading in [broken, denied] {
            assert!(!reading.reason.is_empty(), "{name}");
        }
    }
}

#[test]
fn an_incomplete_list_is_never_complete() {
    for (name, read, key, _) in SOURCES.iter().filter(|(name, ..)| *name != "host") {
        let machine = Machine::new().with(|registry| registry.with_key(key).with_key_fault(key, "cell 0x1020"));
        let outcome = machine.read(read).outcome;
        assert!(!outcome.is_complete() && outcome != Outcome::NotApplicable, "{name}: {outcome}");
    }
}

#[test]
fn a_user_whose_hive_cannot_be_read_makes_a_source_of_users_incomplete() {
    let uninstall = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall";
    let readable = || {
        Machine::new().with(|registry| {
            registry.with_text(&format!("{uninstall}\\x"), "DisplayName", "X").with_user("S-1-5-21-7", r"C:\Users\jane")
        })
    };
    assert_eq!(readable().read(uninstall_keys).outcome, Outcome::Found);
    for error in [RegistryError::Denied, RegistryError::broken("NTUSER.DAT", "truncated")] {
        let machine = readable().with(|registry| registry.with_error(r"HKU\S-1-5-21-7", error));
        let reading = machine.read(uninstall_keys);
        assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Partial, 1));
        assert!(!reading.reason.contains("S-1-5"), "{}", reading.reason);
    }
    let unknown = readable().with(|registry| registry.with_user_fault("ProfileList: cell 0x20"));
    assert_eq!(unknown.read(uninstall_keys).outcome, Outcome::Partial);
}
