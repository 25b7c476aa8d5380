//! Registries that are larger than a source reads or keeps: the source is partial, says why, and has what it read until then.

use std::fs;
use std::sync::Arc;

use muster_proto::limits;
use muster_proto::model::Outcome;

use super::Machine;
use crate::sources::SourceReading;
use crate::sources::parse::hive::builder::{Tree, put32};
use crate::sources::parse::windows::task::tests::program;
use crate::sources::registry::hives::HiveRegistry;
use crate::sources::registry::memory::MemoryRegistry;
use crate::sources::registry::{Value, kind};
use crate::sources::root::Root;
use crate::sources::windows::budget::{Bound, Budget};
use crate::sources::windows::reader::Reader;
use crate::sources::windows::{
    appx::appx, filter_drivers::filter_drivers, msi::msi, registry_keys::registry_keys,
    scheduled_tasks::scheduled_tasks, services, trust_store::trust_store, uninstall_keys::uninstall_keys,
};

type Read = fn(Reader<'_>) -> SourceReading;

const UNINSTALL: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall";
const PRODUCTS: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Installer\UserData\S-1-5-18\Products";
const SERVICES: &str = r"HKLM\SYSTEM\CurrentControlSet\Services";
const CACHE: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache";
const STORE: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore";
const ROWS: u32 = 40;

const SOURCES: &[(&str, Read)] = &[
    ("uninstall-keys", uninstall_keys),
    ("msi", msi),
    ("services", services::services),
    ("drivers", services::drivers),
    ("filter-drivers", filter_drivers),
    ("scheduled-tasks", scheduled_tasks),
    ("appx", appx),
    ("registry", |reader| registry_keys(reader, &["HKLM/SOFTWARE/Vendor/*".to_owned()])),
];

/// A machine with many rows for every source. Each text of a row is as long as this.
fn machine(length: usize) -> Machine {
    let text = |at: u32| format!("{at:04}{}", "x".repeat(length));
    Machine::new().with(|mut registry: MemoryRegistry| {
        for at in 0..ROWS {
            let (service, driver) = (format!("{SERVICES}\\service{at}"), format!("{SERVICES}\\driver{at}"));
            let (product, task) = (format!("{PRODUCTS}\\{at:032X}\\InstallProperties"), format!("{{{at:04}}}"));
            registry = registry
                .with_text(&format!("{UNINSTALL}\\key{at}"), "DisplayName", &text(at))
                .with_text(&format!("{UNINSTALL}\\key{at}"), "ParentKeyName", &text(at))
                .with_text(&product, "DisplayName", &text(at))
                .with_number(&service, "Type", 16)
                .with_text(&service, "DisplayName", &text(at))
                .with_text(&service, "ImagePath", r"D:\service.exe")
                .with_number(&driver, "Type", 2)
                .with_text(&driver, "DisplayName", &text(at))
                .with_text(&driver, "ImagePath", r"D:\driver.sys")
                .with_text(&format!("{driver}\\Instances\\one"), "Altitude", "320401")
                .with_text(&format!("{CACHE}\\Tree\\task{at}"), "Id", &task)
                .with_value(
                    &format!("{CACHE}\\Tasks\\{task}"),
                    Value { name: "Actions".to_owned(), kind: kind::BINARY, data: program(&text(at), "") },
                )
                .with_key(&format!("{STORE}\\Applications\\Vendor.App{at:04}_1.0.0.0_x64__8wekyb3d8bbwe"))
                .with_key(&format!(r"HKLM\SOFTWARE\Vendor\key{at:04}"));
        }
        registry
    })
}

fn read_with(machine: &Machine, read: Read, budget: Budget) -> SourceReading {
    machine.read(|mut reader| {
        reader.budget = budget;
        read(reader)
    })
}

#[test]
fn every_source_stops_at_every_bound_and_keeps_what_it_has() {
    let machine = machine(20);
    for (name, read) in SOURCES {
        let whole = read_with(&machine, *read, Budget::default());
        assert_eq!(
            (whole.outcome, whole.observations.len()),
            (Outcome::Found, ROWS as usize),
            "{name}: {}",
            whole.reason
        );
        for bound in [Bound::Keys, Bound::ReadBytes, Bound::KeptBytes] {
            // Of all budgets that are too small, the largest that this search meets must leave some rows.
            let mut most = 0;
            for amount in (1..18).map(|power| 1_usize << power) {
                let mut budget = Budget::default();
                match bound {
                    Bound::Keys => budget.keys = amount,
                    Bound::ReadBytes => budget.read_bytes = amount,
                    Bound::KeptBytes => budget.kept_bytes = amount,
                }
                let reading = read_with(&machine, *read, budget);
                if reading.outcome == Outcome::Found {
                    break;
                }
                assert_eq!(reading.outcome == Outcome::Partial, !reading.observations.is_empty(), "{name} {bound:?}");
                assert!(!reading.reason.is_empty(), "{name} {bound:?} {amount}");
                if reading.reason.contains(bound.reason()) {
                    most = most.max(reading.observations.len());
                }
            }
            // Two of them have all their rows from one list.
            let has_one_list = ["appx", "registry"].contains(name) && bound != Bound::KeptBytes;
            assert!(most > 0 || has_one_list, "{name} {bound:?}: no rows were kept");
        }
    }
}

#[test]
fn long_texts_are_cut_before_they_are_kept() {
    let machine = machine(20_000);
    let budget = Budget { kept_bytes: 80 * 8 * 1024, ..Budget::default() };
    for (name, read) in [("uninstall-keys", uninstall_keys as Read), ("msi", msi)] {
        let reading = read_with(&machine, read, budget);
        assert_eq!(
            (reading.outcome, reading.observations.len()),
            (Outcome::Found, ROWS as usize),
            "{name}: {}",
            reading.reason
        );
        for row in &reading.observations {
            assert!(row.name.len() <= limits::TEXT_BYTES + 1, "{name}");
            assert!(row.attributes.values().all(|text| text.len() <= limits::PATH_BYTES + 1), "{name}");
        }
    }
    for (name, read) in [("services", services::services as Read), ("scheduled-tasks", scheduled_tasks)] {
        let reading = read_with(&machine, read, budget);
        assert_eq!(reading.outcome, Outcome::Partial, "{name}");
        assert!(reading.reason.contains(Bound::KeptBytes.reason()), "{name}: {}", reading.reason);
    }
}

#[test]
fn the_certificates_of_users_count_as_well() {
    let root = r"HKLM\SOFTWARE\Microsoft\SystemCertificates\ROOT\Certificates";
    let machine = Machine::new().with(|registry| {
        registry.with_value(&format!("{root}\\1"), Value { name: "Blob".to_owned(), kind: 3, data: vec![0; 9000] })
    });
    let reading = read_with(&machine, trust_store, Budget { read_bytes: 4000, ..Budget::default() });
    assert!(reading.reason.contains(Bound::ReadBytes.reason()), "{}", reading.reason);
}

/// A machine in hive files.
struct Files(tempfile::TempDir);

impl Files {
    fn new(software: &Tree, system: &Tree, user: &[u8]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let files = [
            ("Windows/System32/config/SOFTWARE", software.hive()),
            ("Windows/System32/config/SYSTEM", system.hive()),
            ("Users/jane/NTUSER.DAT", user.to_vec()),
        ];
        for (file, bytes) in files {
            let file = dir.path().join(file);
            fs::create_dir_all(file.parent().expect("a parent")).expect("made");
            fs::write(file, bytes).expect("written");
        }
        Self(dir)
    }

    fn read(&self, budget: Budget, read: Read) -> SourceReading {
        let root = Arc::new(Root::below(self.0.path()).expect("a root"));
        let registry = HiveRegistry::open(Arc::clone(&root));
        let mut reader = Reader::new(&registry, &root);
        reader.budget = budget;
        read(reader)
    }
}

fn software() -> Tree {
    let version = r"Microsoft\Windows NT\CurrentVersion";
    Tree::new("SOFTWARE")
        .with_text(version, "SystemRoot", r"C:\Windows")
        .with_text(&format!(r"{version}\ProfileList\S-1-5-21-7"), "ProfileImagePath", r"C:\Users\jane")
        .with_text(r"Microsoft\Windows\CurrentVersion\Uninstall\x", "DisplayName", "X")
}

fn system() -> Tree {
    Tree::new("SYSTEM").with_number("Select", "Current", 1).with_key(r"ControlSet001\Services")
}

#[test]
fn values_that_many_keys_share_count_for_each_key() {
    let mut tree = Tree::new("NTUSER");
    let uninstall = tree.at(r"Software\Microsoft\Windows\CurrentVersion\Uninstall");
    uninstall.keys.extend((0..60).map(|at| Tree::new(&format!("shared{at:02}"))));
    uninstall.keys[0].values.push(Value::of_text("DisplayName", &"\u{416}".repeat(100_000)));
    let mut hive = tree.hive();
    let places: Vec<usize> = (0..60)
        .map(|at| {
            let name = format!("shared{at:02}");
            hive.windows(name.len()).position(|bytes| bytes == name.as_bytes()).expect("the key") - 76
        })
        .collect();
    let list = u32::from_le_bytes(*hive[places[0] + 40..].first_chunk().expect("a list"));
    for place in &places {
        put32(&mut hive, place + 36, 1);
        put32(&mut hive, place + 40, list);
    }
    let files = Files::new(&software(), &system(), &hive);
    let whole = files.read(Budget::default(), uninstall_keys);
    assert_eq!((whole.outcome, whole.observations.len()), (Outcome::Found, 61), "{}", whole.reason);
    // The hive has 200 KB, and what its keys show has 12 MB.
    let reading = files.read(Budget { read_bytes: 2 * 1024 * 1024, ..Budget::default() }, uninstall_keys);
    assert_eq!((reading.outcome, reading.reason.as_str()), (Outcome::Partial, Bound::ReadBytes.reason()));
    assert_eq!(reading.observations.len(), 11);
}

#[test]
fn a_table_of_ten_thousand_services_is_complete() {
    let mut system = system();
    let services = system.at(r"ControlSet001\Services");
    services.keys.extend((0..10_000).map(|at| {
        let mut key = Tree::new(&format!("service{at:05}"));
        key.values.extend([("Type", 16), ("Start", 2)].map(|(name, number)| Value::of_number(name, number)));
        key.values
            .push(Value::of_text("ImagePath", &format!(r"D:\Program Files\Vendor\Product\service{at:05}.exe -k x")));
        key.values.push(Value::of_text("DisplayName", &format!("The service of the vendor with the number {at:05}")));
        key.values.push(Value::of_text("Description", &"d".repeat(300)));
        key
    }));
    let user = Tree::new("NTUSER").hive();
    let reading = Files::new(&software(), &system, &user).read(Budget::default(), services::services);
    assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Found, 10_000), "{}", reading.reason);
}

#[test]
fn the_budget_is_larger_than_the_largest_registry() {
    let budget = Budget::default();
    // 200,000 keys below one source, with 1 KiB of values each.
    assert!(budget.keys >= 200_000 * 4 && budget.read_bytes >= 2 * 200_000 * 1024);
    // As many rows as a section holds, with 600 bytes each.
    assert!(budget.kept_bytes >= limits::OBSERVATIONS_PER_SECTION * 600);
}
