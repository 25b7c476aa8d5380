//! Tests of the scan: failures become outcomes, and two machines of one image share every digest.

use std::fs;
use std::path::Path;

use super::*;
use crate::os::test_kit;
use crate::sources::SourceReading;
use crate::sources::registry::memory::MemoryRegistry;
use crate::sources::root::Root;
use crate::sources::watchlist::builtin;

struct Fake(SourceName, fn() -> SourceReading);

impl Source for Fake {
    fn name(&self) -> SourceName {
        self.0
    }
    fn read(&self, _context: &ScanContext) -> SourceReading {
        (self.1)()
    }
}

fn write(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().expect("a parent")).expect("made");
    fs::write(file, text).expect("written");
}

const STANZAS: [&str; 3] = [
    "Package: base-files\nStatus: install ok installed\nMaintainer: S V <s@debian.example>\nArchitecture: amd64\nVersion: 12.4\n\n",
    "Package: kesl\nStatus: install ok installed\nMaintainer: Kaspersky Lab <x@y.example>\nArchitecture: amd64\nVersion: 12.2.0-2517\n\n",
    "Package: klnagent64\nStatus: deinstall ok config-files\nMaintainer: Kaspersky Lab\nArchitecture: amd64\nVersion: 15.1\n\n",
];

/// A machine from one image, with its own user, order on disk and host name.
fn machine(user: &str, home: &str, host: &str, backwards: bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temporary directory");
    let root = dir.path();
    let release = "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n";
    write(root, "usr/lib/os-release", release);
    fs::create_dir_all(root.join("etc/systemd/system/multi-user.target.wants")).expect("made");
    if !test_kit::link("/usr/lib/os-release", &root.join("etc/os-release")) {
        write(root, "etc/os-release", release);
    }
    write(root, "etc/hostname", host);
    write(root, "etc/passwd", &format!("root:x:0:0::/root:/bin/sh\n{user}:x:1000:1000::{home}:/bin/sh\n"));
    let mut stanzas = STANZAS.to_vec();
    let mut units = vec!["kesl.service", "own.service", "klnagent64.service"];
    if backwards {
        stanzas.reverse();
        units.reverse();
    }
    write(root, "var/lib/dpkg/status", &stanzas.concat());
    for unit in units {
        let exec =
            if unit == "own.service" { format!("{home}/bin/tool --token=1") } else { format!("/opt/{unit}/run") };
        write(root, &format!("usr/lib/systemd/system/{unit}"), &format!("[Service]\nExecStart={exec}\n"));
    }
    write(root, "opt/kesl.service/run", "");
    fs::create_dir_all(root.join("opt/kaspersky/kesl")).expect("made");
    for (id, name) in [("ddoleachckhhdmhpbkddgechjfhnphpe", "Kaspersky Protection"), (OTHER, "Own hobby")] {
        let extension = format!("{}/.config/chromium/Default/Extensions/{id}/2.0_0/manifest.json", &home[1..]);
        write(root, &extension, &format!("{{\"name\":\"{name}\",\"version\":\"2.0\"}}"));
    }
    dir
}

const OTHER: &str = "aapbdbdomjkkjkaonfhkkikfgjllcleb";

fn scan(dir: &tempfile::TempDir) -> ScanResult {
    scan_root(Root::below(dir.path()).expect("a root"), &ScanOptions::default())
}

#[test]
fn two_machines_of_one_image_share_every_digest() {
    let one = scan(&machine("jane", "/home/jane", "alpha", false));
    let two = scan(&machine("ola", "/srv/people/ola", "beta", true));
    assert_eq!(one.digest(), two.digest(), "{:?}\n{:?}", one.snapshot, two.snapshot);
    assert_eq!(one.sections, two.sections);
    assert_eq!((one.facts.hostname.as_str(), two.facts.hostname.as_str()), ("alpha", "beta"));
    for section in &one.sections {
        let text = String::from_utf8_lossy(&section.canonical).into_owned();
        for private in ["jane", "alpha", "--token", one.state.boot_id.as_str()].iter().filter(|text| !text.is_empty()) {
            assert!(!text.contains(private), "{private} in {}", section.source);
        }
    }
}

#[test]
fn user_items_are_in_the_state_under_a_pseudonym_within_the_scope() {
    let places = |user_scope, user_key| {
        let options = ScanOptions { user_scope, user_key: Some(user_key), ..ScanOptions::default() };
        let machine = machine("jane", "/home/jane", "alpha", false);
        scan_root(Root::below(machine.path()).expect("a root"), &options).state.user_items
    };
    let all = places(UserScope::All, [1; 32]);
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|item| item.user == all[0].user && !item.user.contains("jane")), "{all:?}");
    let watched = places(UserScope::Watchlist, [1; 32]);
    let expected: Vec<_> = all.iter().filter(|item| !item.place.ends_with(OTHER)).cloned().collect();
    assert_eq!(watched, expected);
    assert_eq!(places(UserScope::None, [1; 32]), []);
    assert_ne!(places(UserScope::All, [2; 32])[0].user, all[0].user);
}

#[test]
fn a_root_is_described_by_its_own_files_only() {
    let result = scan(&machine("jane", "/home/jane", "alpha", false));
    assert_eq!(result.state, HostState::default());
    assert!(result.facts.offline_root);
    assert_eq!(result.facts.os_name, "Debian GNU/Linux 12");
    assert_eq!((result.facts.kernel.as_str(), result.facts.architecture.as_str()), ("", "x86_64"));
    let outcomes: Vec<_> = result.snapshot.entries().iter().map(|entry| (entry.source.name(), entry.outcome)).collect();
    assert_eq!(
        outcomes,
        [
            ("host", Outcome::Found),
            ("dpkg", Outcome::Found),
            ("rpm", Outcome::NotApplicable),
            ("apk", Outcome::NotApplicable),
            ("pacman", Outcome::NotApplicable),
            ("snap", Outcome::NotApplicable),
            ("flatpak", Outcome::NotApplicable),
            ("systemd-units", Outcome::Found),
            ("kernel-modules", Outcome::NotApplicable),
            ("processes", Outcome::NotApplicable),
            ("watch-paths", Outcome::Found),
            ("trust-store", Outcome::NotApplicable),
            ("browser-extensions", Outcome::Found),
            ("system-packages", Outcome::NotApplicable),
        ]
    );
}

#[test]
fn a_unit_without_its_program_has_the_state_binary_missing() {
    let result = scan(&machine("jane", "/home/jane", "alpha", false));
    let section = result.section(SourceName::SystemdUnits).expect("units");
    let section = canonical::read_section(&section.canonical).expect("canonical");
    let state = |name: &str| section.observations().iter().find(|o| o.name == name).map(|o| o.state.clone());
    assert_eq!(state("kesl.service").as_deref(), Some(""));
    assert_eq!(state("klnagent64.service").as_deref(), Some("binary-missing"));
}

fn outcomes(all: Vec<Box<dyn Source>>, time_limit: Duration) -> Vec<(SourceName, Outcome)> {
    let dir = tempfile::tempdir().expect("temporary directory");
    let options = ScanOptions { time_limit, ..ScanOptions::default() };
    let result = scan_with(all, Root::below(dir.path()).expect("a root"), &options);
    result.snapshot.entries().iter().map(|entry| (entry.source, entry.outcome)).collect()
}

#[test]
fn a_panicking_source_has_failed_and_the_others_are_read() {
    let all: Vec<Box<dyn Source>> = vec![
        Box::new(Fake(SourceName::Dpkg, || panic!("a fault of the parser"))),
        Box::new(Fake(SourceName::Snap, || SourceReading::complete(Vec::new()))),
    ];
    let expected = [(SourceName::Dpkg, Outcome::Failed), (SourceName::Snap, Outcome::Empty)];
    assert_eq!(outcomes(all, Duration::from_secs(60)), expected);
}

#[test]
fn a_hanging_source_has_timed_out_and_the_others_are_read() {
    let all: Vec<Box<dyn Source>> = vec![
        Box::new(Fake(SourceName::Rpm, || {
            loop {
                std::thread::park();
            }
        })),
        Box::new(Fake(SourceName::Snap, || SourceReading::complete(Vec::new()))),
    ];
    let expected = [(SourceName::Rpm, Outcome::TimedOut), (SourceName::Snap, Outcome::Empty)];
    assert_eq!(outcomes(all, Duration::from_secs(1)), expected);
}

#[test]
fn a_stuck_source_gets_no_second_thread_until_the_first_has_returned() {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    static FREE: AtomicBool = AtomicBool::new(false);
    let dir = tempfile::tempdir().expect("temporary directory");
    let options = ScanOptions { time_limit: Duration::from_millis(200), ..ScanOptions::default() };
    let scan = || {
        let source = Fake(SourceName::Rpm, || {
            STARTED.fetch_add(1, Ordering::SeqCst);
            while !FREE.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            SourceReading::complete(Vec::new())
        });
        let result = scan_with(vec![Box::new(source)], Root::below(dir.path()).expect("a root"), &options);
        result.snapshot.entries()[0].clone()
    };
    let first = scan();
    assert_eq!((first.outcome, STARTED.load(Ordering::SeqCst)), (Outcome::TimedOut, 1));
    let again = scan();
    assert_eq!((again.outcome, STARTED.load(Ordering::SeqCst)), (Outcome::TimedOut, 1));
    assert_eq!(again.reason, first.reason, "the same fault has the same digest");
    FREE.store(true, Ordering::SeqCst);
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while scan().outcome != Outcome::Empty {
        assert!(std::time::Instant::now() < end, "the source is never read again");
    }
}

#[test]
fn after_a_scan_nothing_is_read() {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, Sender, channel};
    struct Late(Mutex<(Receiver<()>, Sender<std::io::ErrorKind>)>);
    impl Source for Late {
        fn name(&self) -> SourceName {
            SourceName::Rpm
        }
        fn read(&self, context: &ScanContext) -> SourceReading {
            let ends = self.0.lock().expect("unpoisoned");
            ends.0.recv().expect("allowed to continue");
            let error = context.root.list("/").expect_err("the scan is over");
            ends.1.send(error.kind()).expect("received");
            SourceReading::complete(Vec::new())
        }
    }
    let ((go_on, gate), (send, errors)) = (channel(), channel());
    let dir = tempfile::tempdir().expect("temporary directory");
    let options = ScanOptions { time_limit: Duration::from_millis(50), ..ScanOptions::default() };
    scan_with(vec![Box::new(Late(Mutex::new((gate, send))))], Root::below(dir.path()).expect("a root"), &options);
    go_on.send(()).expect("it waits");
    assert_eq!(errors.recv_timeout(Duration::from_secs(20)), Ok(std::io::ErrorKind::TimedOut));
}

#[test]
fn an_empty_root_has_failed_and_not_zero_packages() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let result = scan(&dir);
    assert_eq!(result.snapshot.entry(SourceName::SystemPackages).map(|entry| entry.outcome), Some(Outcome::Failed));
    assert_eq!(result.snapshot.entry(SourceName::Host).map(|entry| entry.outcome), Some(Outcome::Failed));
}

#[test]
fn a_root_is_scanned_as_what_it_contains_and_nothing_unread_is_empty() {
    for (platform, mark) in [
        (Platform::Windows, "WINDOWS/system32/config/system"),
        (Platform::Macos, "System/Library/CoreServices/SystemVersion.plist"),
    ] {
        let dir = tempfile::tempdir().expect("temporary directory");
        write(dir.path(), mark, "");
        write(dir.path(), "etc/hostname", "alpha");
        let result = scan(&dir);
        assert_eq!((result.snapshot.platform(), result.facts.platform), (platform, platform));
        assert_eq!(result.facts.hostname, "", "the sources of Linux are not read");
        let sources: Vec<SourceName> = sources::all(platform).iter().map(|source| source.name()).collect();
        for entry in result.snapshot.entries() {
            assert!(sources.contains(&entry.source), "{}", entry.source);
            // The paths of the built-in list were searched, and there are none.
            let is_empty = entry.source == SourceName::WatchPaths && entry.outcome == Outcome::Empty;
            assert!(is_empty || !entry.outcome.is_complete(), "{} is {}", entry.source, entry.outcome);
        }
        assert_eq!(result.snapshot.entries().len(), sources.len());
    }
}

/// A Windows machine of one image: the files and the registry of one user with this name and identifier.
fn windows_machine(user: &str, home: &str, sid: &str) -> (tempfile::TempDir, MemoryRegistry) {
    let dir = tempfile::tempdir().expect("temporary directory");
    write(dir.path(), "Windows/System32/config/SYSTEM", "");
    write(dir.path(), "Windows/System32/svchost.exe", "MZ");
    write(dir.path(), &format!("{}/bin/tool.exe", &home[3..].replace('\\', "/")), "MZ");
    let (key, version) = (format!(r"HKU\{sid}"), r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion");
    let uninstall = r"Software\Microsoft\Windows\CurrentVersion\Uninstall";
    let service = r"HKLM\SYSTEM\CurrentControlSet\Services";
    let registry = MemoryRegistry::default()
        .with_text(version, "SystemRoot", r"C:\Windows")
        .with_text(version, "ProductName", "Windows 11 Pro")
        .with_text(version, "CurrentBuild", "22631")
        .with_key(&format!(r"HKLM\{uninstall}"))
        .with_text(&format!(r"{key}\{uninstall}\Tool"), "DisplayName", "Tool")
        .with_text(&format!(r"{key}\{uninstall}\Tool"), "InstallLocation", &format!(r"{home}\bin"))
        .with_text(&format!(r"{key}\{uninstall}\Update-{sid}"), "DisplayName", "Updater")
        .with_text(&format!(r"{service}\Tool"), "ImagePath", &format!(r#""{home}\bin\tool.exe" /service"#))
        .with_number(&format!(r"{service}\Tool"), "Type", 16)
        .with_number(&format!(r"{service}\Tool"), "Start", 2)
        .with_user(sid, home);
    assert!(home.ends_with(user));
    (dir, with_people(registry, user, home, sid))
}

/// Adds what else names a user: profiles without a hive, texts of an installer, and tasks.
fn with_people(registry: MemoryRegistry, user: &str, home: &str, sid: &str) -> MemoryRegistry {
    let list = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList";
    let tree = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache\Tree";
    let uninstall = r"HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall";
    let (old, moved) = (format!(r"D:\Homes\{user}.OLD"), format!(r"D:\Homes\{user}'s, home"));
    let guid = if user.len() > 3 { "0A1B2C3D" } else { "FFFFAAAA" };
    let tasks = [
        format!("CCleanerSkipUAC - {user}"),
        format!("WpsUpdateTask_{}", user.to_uppercase()),
        format!(r"{user}\Update"),
        format!("OneDrive Standalone Update Task-{sid}"),
        format!("User_Feed_Synchronization-{{{guid}-0000-1111-2222-333344445555}}"),
    ];
    let registry = registry
        .with_text(&format!(r"{list}\{sid}"), "ProfileImagePath", &old)
        .with_text(&format!(r"{list}\{sid}.bak"), "ProfileImagePath", &moved)
        .with_text(&format!(r"{uninstall}\Old"), "DisplayName", "Old")
        .with_text(&format!(r"{uninstall}\Old"), "InstallLocation", &format!(r"{old}\App"))
        .with_text(&format!(r"{uninstall}\Old"), "Publisher", &format!(r"{home}\x"))
        .with_text(&format!(r"{uninstall}\Old"), "DisplayVersion", &format!(r"C:\Users\{user} o'neill\x"))
        .with_text(&format!(r"{uninstall}\Moved"), "DisplayName", "Moved")
        .with_text(&format!(r"{uninstall}\Moved"), "InstallLocation", &format!(r"{moved}\App"));
    let add = |registry: MemoryRegistry, task| registry.with_text(&format!(r"{tree}\{task}"), "Id", "{1}");
    tasks.iter().fold(registry, add)
}

#[test]
fn two_windows_machines_of_one_image_share_every_digest() {
    let people = [
        ("jane", r"C:\Users\jane", "S-1-5-21-1004336348-1177238915-682003330-1001"),
        ("ola", r"C:\Profile\Staff\ola", "S-1-12-1-1444444444-1111111111-2222222222-333333333"),
    ];
    let scans = people.map(|(user, home, sid)| {
        let (dir, registry) = windows_machine(user, home, sid);
        let options = ScanOptions { user_scope: UserScope::All, user_key: Some([7; 32]), ..ScanOptions::default() };
        let root = Root::below(dir.path()).expect("a root");
        let context =
            ScanContext { registry: Ok(Arc::new(registry)), ..ScanContext::new(root, builtin(Platform::Windows)) };
        let result = scan_machine(sources::all(Platform::Windows), &Arc::new(context), &options);
        for section in &result.sections {
            let text = String::from_utf8_lossy(&section.canonical).to_lowercase();
            for private in [user, &sid.to_lowercase(), "profile"] {
                assert!(!text.contains(private), "{private} in {}: {text}", section.source);
            }
        }
        let sent = serde_json::to_string(&(&result.state, result.snapshot.entries())).expect("encodes");
        assert!(!sent.contains(user) && !sent.contains(sid), "{sent}");
        result
    });
    let [one, two] = scans;
    for source in [SourceName::UninstallKeys, SourceName::Services, SourceName::ScheduledTasks] {
        assert!(one.section(source).is_some(), "{source}");
    }
    assert_eq!(one.digest(), two.digest(), "{:?}\n{:?}", one.snapshot, two.snapshot);
    assert_eq!(one.sections, two.sections);
    assert!(!one.state.user_items.is_empty());
}
