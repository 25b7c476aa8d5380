//! Tests of the registry in hive files.

use std::path::PathBuf;

use super::*;
use crate::sources::parse::hive::builder::{Tree, dirty, new_log};

/// A Windows machine in a temporary folder.
struct Machine {
    dir: tempfile::TempDir,
    software: Tree,
    system: Tree,
}

const CONFIG: &str = "Windows/System32/config";
const LIST: &str = r"Microsoft\Windows NT\CurrentVersion\ProfileList";

impl Machine {
    fn new() -> Self {
        let software = Tree::new("SOFTWARE")
            .with_text(r"Microsoft\Windows NT\CurrentVersion", "SystemRoot", r"C:\Windows")
            .with_text(LIST, "ProfilesDirectory", r"%SystemDrive%\Users")
            .with_text(r"KasperskyLab\AVP21", "Имя", "Касперский");
        let system = Tree::new("SYSTEM")
            .with_number("Select", "Current", 2)
            .with_text(r"ControlSet001\Services\old", "ImagePath", "old.sys")
            .with_text(r"ControlSet002\Services\klif", "ImagePath", "klif.sys");
        Self { dir: tempfile::tempdir().expect("a temporary folder"), software, system }
    }

    fn file(&self, path: &str, bytes: &[u8]) -> &Self {
        let path: PathBuf = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, bytes).expect("written");
        self
    }

    /// Adds a profile to the list; its hive says whose it is.
    fn with_user(mut self, sid: &str, name: &str, path: &str) -> Self {
        self.software = self.software.with_text(&format!(r"{LIST}\{sid}"), "ProfileImagePath", path);
        self.file(&format!("Users/{name}/ntuser.dat"), &settings(name));
        self
    }

    fn registry(&self) -> HiveRegistry {
        self.file(&format!("{CONFIG}/SOFTWARE"), &self.software.hive());
        self.file(&format!("{CONFIG}/SYSTEM"), &self.system.hive());
        self.opened()
    }

    fn opened(&self) -> HiveRegistry {
        HiveRegistry::open(Arc::new(Root::below(self.dir.path()).expect("a root")))
    }
}

fn settings(name: &str) -> Vec<u8> {
    Tree::new("ROOT").with_text("Environment", "Name", name).hive()
}

fn text(registry: &dyn Registry, key: &str, name: &str) -> Result<String, RegistryError> {
    registry.value(key, name).map(|value| value.text().expect("a text"))
}

fn broken(result: Result<impl fmt::Debug, RegistryError>) -> String {
    match result {
        Err(error @ RegistryError::Broken { .. }) => error.to_string(),
        other => panic!("not broken: {other:?}"),
    }
}

#[test]
fn the_hives_of_the_machine_are_read_in_any_case() {
    let machine = Machine::new();
    let registry = machine.registry();
    assert_eq!(text(&registry, r"hklm\software\KASPERSKYLAB\avp21", "ИМЯ").as_deref(), Ok("Касперский"));
    assert_eq!(registry.keys(r"HKLM\SOFTWARE\Symantec"), Err(RegistryError::Absent));
    assert_eq!(registry.value(r"HKLM\SOFTWARE\KasperskyLab", "x"), Err(RegistryError::Absent));
    assert_eq!(registry.keys("HKLM"), Ok(Listing::complete(vec!["SOFTWARE".to_owned(), "SYSTEM".to_owned()])));
    assert!(broken(registry.keys(r"HKLM\SAM")).contains("no hive that is read"));
}

#[test]
fn the_current_control_set_is_the_one_that_windows_chose() {
    let mut machine = Machine::new();
    let services = r"HKLM\SYSTEM\CurrentControlSet\Services";
    assert_eq!(machine.registry().keys(services).expect("read").entries, ["klif"]);
    assert_eq!(machine.registry().keys(r"HKLM\SYSTEM\ControlSet001\Services").expect("read").entries, ["old"]);
    machine.system.at("Select").values.clear();
    assert!(broken(machine.registry().keys(services)).contains("which control set is the current one"));
    machine.system = machine.system.with_number("Select", "Current", 7);
    assert_eq!(machine.registry().keys(services), Err(RegistryError::Absent));
}

#[test]
fn links_are_followed_within_the_registry() {
    let mut machine = Machine::new();
    let link = |to: &str| {
        let data = to.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let value = Value { name: "SymbolicLinkValue".to_owned(), kind: kind::LINK, data };
        Tree { flags: 0x10, values: vec![value], ..Tree::new("") }
    };
    for (name, to) in [
        ("good", r"\REGISTRY\Machine\SYSTEM\CurrentControlSet\Services"),
        ("circle", r"\Registry\Machine\Software\circle"),
        ("nowhere", r"\Registry\Machine\Software\none"),
        ("relative", r"Software\KasperskyLab"),
    ] {
        machine.software.keys.push(Tree { name: name.to_owned(), ..link(to) });
    }
    let registry = machine.registry();
    assert_eq!(text(&registry, r"HKLM\SOFTWARE\good\klif", "ImagePath").as_deref(), Ok("klif.sys"));
    assert_eq!(registry.keys(r"HKLM\SOFTWARE\good").expect("read").entries, ["klif"]);
    assert!(broken(registry.keys(r"HKLM\SOFTWARE\circle\x")).ends_with("too many links"));
    assert_eq!(registry.keys(r"HKLM\SOFTWARE\nowhere"), Err(RegistryError::Absent));
    assert!(broken(registry.keys(r"HKLM\SOFTWARE\relative")).ends_with("a link leads to no key"));
}

#[test]
fn a_user_is_everybody_in_the_list_of_profiles_and_every_other_folder_with_a_hive() {
    let mut machine = Machine::new()
        .with_user("S-1-5-21-1", "jane", r"%SystemDrive%\Users\jane")
        .with_user("S-1-5-21-2.bak", "Юрий", r"C:\Users\Юрий")
        .with_user("S-1-12-1-3", "moved", r"D:\profiles\moved");
    machine.file("Users/ivan/NTUSER.MAN", &settings("ivan"));
    machine.file("Users/Public/desktop.ini", b"");
    machine.file(&format!("{CONFIG}/DEFAULT"), &settings("system"));
    machine.software = machine.software.with_text(
        &format!(r"{LIST}\S-1-5-18"),
        "ProfileImagePath",
        r"%systemroot%\system32\config\systemprofile",
    );
    machine.software = machine.software.with_text(&format!(r"{LIST}\S-1-5-21-9"), "ProfileImagePath", r"C:\Users\gone");
    let classes = Tree::new("ROOT").with_key(r"Local Settings\Software").hive();
    machine.file("Users/jane/AppData/Local/Microsoft/Windows/USRCLASS.DAT", &classes);
    let registry = machine.registry();
    let users = registry.users();
    assert_eq!(users.faults, [""; 0]);
    let keys: Vec<&str> = users.entries.iter().map(|user| user.key.as_str()).collect();
    // The folder of the moved profile is still there, with settings from before.
    let folders = [r"HKU\folder:ivan", r"HKU\folder:moved"];
    let listed = [r"HKU\S-1-5-21-1", r"HKU\S-1-5-21-2", r"HKU\S-1-12-1-3", r"HKU\S-1-5-18"];
    assert_eq!(keys, [&listed[..], &folders].concat());
    for (key, name) in [
        (r"HKU\S-1-5-21-1", "jane"),
        (r"hku\s-1-5-21-2", "Юрий"),
        (r"HKU\S-1-5-18", "system"),
        (r"HKU\folder:ivan", "ivan"),
    ] {
        assert_eq!(text(&registry, &format!(r"{key}\Environment"), "Name").as_deref(), Ok(name));
    }
    assert_eq!(registry.keys(r"HKU\S-1-5-21-1_Classes").expect("read").entries, ["Local Settings"]);
    let through = registry.keys(r"HKU\S-1-5-21-1\Software\Classes\Local Settings");
    assert_eq!(through.expect("read").entries, ["Software"]);
    assert_eq!(registry.keys(r"HKU\S-1-5-21-2_Classes"), Err(RegistryError::Absent));
    assert_eq!(registry.keys(r"HKU\S-1-5-21-9"), Err(RegistryError::Absent));
    // On a volume that is not scanned.
    assert!(broken(registry.keys(r"HKU\S-1-12-1-3")).contains(r"D:\profiles\moved\NTUSER.DAT"));
    assert_eq!(registry.keys("HKU").expect("read").entries.len(), 12);
}

#[test]
fn an_entry_without_a_path_makes_the_list_of_users_incomplete() {
    let mut machine = Machine::new().with_user("S-1-5-21-1", "jane", r"C:\Users\jane");
    machine.software = machine.software.with_text(&format!(r"{LIST}\S-1-5-21-2"), "ProfileImagePath", "");
    // This one was never made: Windows has not given it a path yet.
    machine.software = machine.software.with_key(&format!(r"{LIST}\S-1-5-21-3"));
    let users = machine.registry().users();
    assert_eq!((users.entries.len(), users.faults.len()), (1, 1), "{users:?}");
}

#[test]
fn the_letter_of_the_volume_is_the_one_in_the_registry() {
    let mut machine = Machine::new().with_user("S-1-5-21-1", "jane", r"e:\Users\jane");
    let version = r"Microsoft\Windows NT\CurrentVersion";
    machine.software.at(version).values.clear();
    machine.software = machine.software.with_text(version, "SystemRoot", r"E:\WINDOWS");
    let registry = machine.registry();
    assert_eq!(registry.root.volume(), 'E');
    let users = registry.users();
    assert_eq!((users.entries.len(), users.faults.len()), (1, 0));
    assert_eq!(text(&registry, r"HKU\S-1-5-21-1\Environment", "Name").as_deref(), Ok("jane"));
}

#[test]
fn an_image_that_was_never_started_is_on_the_usual_volume() {
    let mut machine = Machine::new().with_user("S-1-5-21-1", "jane", r"%SystemDrive%\Users\jane");
    let version = r"Microsoft\Windows NT\CurrentVersion";
    machine.software.at(version).values.clear();
    machine.software = machine.software.with_text(version, "SystemRoot", r"X:\$windows.~bt\Windows");
    let registry = machine.registry();
    assert_eq!(registry.root.volume(), 'C');
    assert_eq!(text(&registry, r"HKU\S-1-5-21-1\Environment", "Name").as_deref(), Ok("jane"));
}

#[test]
fn a_user_in_a_temporary_profile_has_the_old_one_too() {
    let machine = Machine::new().with_user("S-1-5-21-1", "TEMP", r"C:\Users\TEMP").with_user(
        "S-1-5-21-1.bak",
        "bobby",
        r"C:\Homes\bobby",
    );
    machine.file("Homes/bobby/NTUSER.DAT", &settings("the old bobby"));
    let registry = machine.registry();
    let profiles: Vec<String> = registry.users().entries.iter().map(|user| user.profile.clone()).collect();
    assert_eq!(profiles[..2], [r"C:\Users\TEMP", r"C:\Homes\bobby"]);
    assert_eq!(text(&registry, r"HKU\folder:bobby\Environment", "Name").as_deref(), Ok("the old bobby"));
    // A folder of the same name elsewhere.
    assert_eq!(text(&registry, r"HKU\folder:bobby:2\Environment", "Name").as_deref(), Ok("bobby"));
}

#[test]
fn an_unreadable_hive_of_a_user_is_no_missing_user() {
    let machine = Machine::new().with_user("S-1-5-21-1", "jane", r"C:\Users\jane");
    machine.file("Users/jane/ntuser.dat", b"no hive");
    let registry = machine.registry();
    assert_eq!(registry.users().entries.len(), 1);
    assert!(broken(registry.keys(r"HKU\S-1-5-21-1\Software")).ends_with("not a registry hive"));
    let machine = Machine::new().with_user("S-1-5-21-1", "jane", r"C:\Users\jane");
    std::fs::remove_file(machine.dir.path().join("Users/jane/ntuser.dat")).expect("removed");
    machine.file("Users/jane/ntuser.dat/x", b"a folder in its place");
    let registry = machine.registry();
    assert_eq!(registry.users().entries.len(), 1);
    assert!(broken(registry.keys(r"HKU\S-1-5-21-1\Software")).contains("not a regular file"));
}

#[test]
fn a_profile_behind_a_link_to_another_volume_is_no_missing_user() {
    let mut machine = Machine::new();
    machine.file("Users/Public/desktop.ini", b"");
    for (name, target) in [("upd", r"\??\Volume{1a2b3c4d-0000-0000-0000-100000000000}\"), ("moved", r"C:\gone\moved")] {
        if !crate::os::test_kit::link(target, &machine.dir.path().join("Users").join(name)) {
            return crate::os::test_kit::left_out("links");
        }
        let key = format!(r"{LIST}\S-1-5-21-{name}");
        machine.software = machine.software.with_text(&key, "ProfileImagePath", &format!(r"C:\Users\{name}"));
    }
    let registry = machine.registry();
    assert_eq!(registry.users().entries.len(), 2);
    for key in [r"HKU\S-1-5-21-upd", r"HKU\S-1-5-21-moved", r"HKU\S-1-5-21-upd_Classes"] {
        assert!(broken(registry.keys(key)).contains("behind a link"), "{key}");
    }
}

#[test]
fn without_the_list_of_profiles_nobody_knows_all_users() {
    let machine = Machine::new().with_user("S-1-5-21-1", "jane", r"C:\Users\jane");
    machine.file(&format!("{CONFIG}/SYSTEM"), &machine.system.hive());
    let registry = machine.opened();
    let users = registry.users();
    assert_eq!(users.entries.iter().map(|user| user.key.as_str()).collect::<Vec<_>>(), [r"HKU\folder:jane"]);
    assert!(users.faults[0].contains("the hive is missing"), "{users:?}");
    assert!(broken(registry.keys(r"HKLM\SOFTWARE\KasperskyLab")).ends_with("the hive is missing"));
    assert!(broken(registry.keys(r"HKU\S-1-5-21-1")).contains("the hive is missing"));
}

#[test]
fn a_dirty_hive_is_read_with_the_logs_beside_it() {
    let machine = Machine::new();
    let before = machine.software.hive();
    let after = machine.software.clone().with_text(r"Symantec", "Name", "SEP").hive();
    let software = format!("{CONFIG}/SOFTWARE");
    machine.registry();
    machine.file(&software, &dirty(&before));
    let registry = machine.opened();
    let known = registry.keys(r"HKLM\SOFTWARE\KasperskyLab").expect("read");
    assert_eq!((known.entries.len(), known.faults.len()), (1, 1));
    assert!(known.faults[0].contains("no usable log"), "{known:?}");
    assert!(broken(registry.keys(r"HKLM\SOFTWARE\Symantec")).contains("no usable log"));
    assert!(broken(registry.value(r"HKLM\SOFTWARE\KasperskyLab", "x")).contains("no usable log"));
    machine.file(&format!("{CONFIG}/software.log2"), &new_log(7, &[&before, &after]));
    // Windows writes to both logs, so what the other one had is lost with it.
    let of_one = machine.opened().keys(r"HKLM\SOFTWARE").expect("read");
    assert!(of_one.entries.iter().any(|name| name == "Symantec"), "{of_one:?}");
    assert!(of_one.faults.iter().any(|fault| fault.contains("one of its logs is missing")), "{of_one:?}");
    machine.file(&format!("{CONFIG}/software.LOG1"), b"");
    let registry = machine.opened();
    assert_eq!(text(&registry, r"HKLM\SOFTWARE\Symantec", "Name").as_deref(), Ok("SEP"));
    assert!(registry.keys(r"HKLM\SOFTWARE").expect("read").is_complete());
    // Nothing was written.
    assert_eq!(std::fs::read(machine.dir.path().join(&software)).expect("read"), dirty(&before));
    // A log that is there and cannot be read may have what came later.
    std::fs::create_dir(machine.dir.path().join(format!("{CONFIG}/software.LOG"))).expect("made");
    let unread = machine.opened().keys(r"HKLM\SOFTWARE").expect("read");
    assert!(
        unread.faults.iter().any(|fault| fault.contains("one of its logs is missing or cannot be read")),
        "{unread:?}"
    );
}

#[test]
fn only_a_few_hives_stay_open() {
    let machine = (0..20).fold(Machine::new(), |machine, at| {
        machine.with_user(&format!("S-1-5-21-{at}"), &format!("user {at}"), &format!(r"C:\Users\user {at}"))
    });
    let registry = machine.registry();
    for user in registry.users().entries.iter().chain(&registry.users().entries) {
        let name = text(&registry, &format!(r"{}\Environment", user.key), "Name").expect("read");
        assert!(user.profile.ends_with(&name), "{user:?}");
    }
    assert_eq!(registry.open.lock().expect("not poisoned").len(), OPEN_HIVES);
}
