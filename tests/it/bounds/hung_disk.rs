//! Disks that never answer: wherever the agent reads, it says what does not answer, and reports the rest.
//!
//! The agent itself lists what it reads (`scan --show-read`), so no place can be forgotten. The machine has no `/proc` of the
//! kernel but files like it, so that each of them can hang too.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use muster_proto::model::{CaPin, EnrollmentToken, TokenId, TokenSecret};
use muster_tests::eventually::eventually;
use muster_tests::hung::Machine;
use muster_tests::lab::write_owner_only;
use muster_tests::left_out::left_out;
use muster_tests::process::{Answer, Process};
use serde_json::Value;
use tempfile::TempDir;

/// Long enough for a healthy place on a busy machine.
const SETTINGS: &str = "[scan]\ntime_limit = \"4s\"\n";

/// Not in `/etc`, which hangs as well.
const CONFIG: &[&str] = &["--config", "/state/agent.toml"];

/// A scan that takes longer than this hangs. It only has to end at all.
const HANGS: &str = "240";

/// How many scans run at once; each of them mostly waits.
const AT_ONCE: usize = 12;

/// A few entries, because every path of the list is read in the same way.
const WATCHLIST: &str = r#"{"platform": "linux", "version": 99991231000000, "processes": ["clamd"], "units": ["clamav-daemon.service", "b.service"],
    "paths": ["/opt/kaspersky", "/opt/eset", "/var/opt/kaspersky*"], "extension_ids": []}"#;

const FILES: &[(&str, &str)] = &[
    ("state/watchlist.json", WATCHLIST),
    ("state/agent.toml", SETTINGS),
    ("etc/os-release", "ID=debian\nVERSION_ID=12\n"),
    ("etc/hostname", "slow\n"),
    ("etc/passwd", "root:x:0:0::/root:/bin/sh\njane:x:1000:1000::/srv/people/jane:/bin/sh\n"),
    ("var/lib/dpkg/status", "Package: base-files\nStatus: install ok installed\nVersion: 12\n\n"),
    ("var/lib/dpkg/status.d/a", "Package: b\nVersion: 1\n\n"),
    ("var/lib/dpkg/updates/0001", "Package: base-files\nStatus: install ok installed\nVersion: 13\n\n"),
    ("lib/apk/db/installed", "P:a\nV:1\n\n"),
    ("var/lib/pacman/local/a-1-1/desc", "%NAME%\na\n\n%VERSION%\n1-1\n\n"),
    ("snap/a/7/meta/snap.yaml", "name: a\nversion: '1'\n"),
    ("var/lib/flatpak/app/org.a/x86_64/stable/0a/metadata", "[Application]\nname=org.a\n"),
    ("etc/flatpak/installations.d/more.conf", "[Installation \"more\"]\nPath=/opt/planted/flatpak\n"),
    ("usr/lib/systemd/system/a.service", "[Service]\nExecStart=/opt/planted/program\n"),
    ("usr/lib/systemd/system/a.service.d/more.conf", "[Service]\n"),
    ("etc/systemd/system/b.service", "[Service]\nExecStart=/opt/planted/program\n"),
    ("etc/systemd/user/c.service", "[Service]\nExecStart=/opt/planted/program\n"),
    ("srv/people/jane/.config/systemd/user/d.service", "[Service]\nExecStart=/srv/people/jane/program\n"),
    ("etc/init.d/a", "#!/bin/sh\n"),
    ("lib/modules/6.1/extra/a.ko", ""),
    ("etc/modules-load.d/a.conf", "a\n"),
    ("opt/kaspersky/kesl/bin/kesl", ""),
    ("usr/share/chromium/extensions/ddoleachckhhdmhpbkddgechjfhnphpe.json", "{\"external_update_url\":\"x\"}"),
    ("proc/1/comm", "systemd\n"),
    ("proc/1/cgroup", "0::/init.scope\n"),
    ("proc/7/comm", "clamd\n"),
    ("proc/7/cgroup", "0::/system.slice/clamav-daemon.service\n"),
    ("proc/7/cmdline", "/usr/sbin/clamd\0"),
    ("proc/7/fdinfo/3", "pos:\t0\n"),
    ("proc/SELF/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda rw\n"),
    ("proc/modules", "ext4 1 1 - Live 0x0\n"),
    ("proc/sys/kernel/random/boot_id", "0a1b2c3d-0000-4000-8000-000000000000\n"),
    ("proc/net/fib_trie", ""),
    ("proc/net/if_inet6", ""),
    ("etc/clamav/clamd.conf", "DatabaseDirectory /srv/clam\n"),
    ("srv/clam/daily.cvd", "ClamAV-VDB:x:27000:1:90:d:s:b:1700000000 "),
    ("etc/Symantec.conf", "[Symantec Shared]\nBaseDir=/opt/Symantec\n"),
    ("run/systemd/system/x", ""),
];

/// Places that are asked only for the target of a link. A mount is no link, and needs no answer to say so.
const ONLY_LINKS: &[&str] = &["/proc/7/exe"];

const LINKS: &[(&str, &str)] = &[
    ("snap/a/current", "7"),
    ("var/lib/flatpak/app/org.a/x86_64/stable/active", "0a"),
    ("etc/systemd/system/default.target.wants/b.service", "../b.service"),
    ("etc/rc2.d/S01a", "../init.d/a"),
];

/// A machine on which every source finds something.
fn folder() -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("muster-hung-").tempdir()?;
    let made = |path: &str| -> Result<_> {
        let file = folder.path().join(path);
        std::fs::create_dir_all(file.parent().context("a folder")?)?;
        Ok(file)
    };
    for (path, text) in FILES {
        std::fs::write(made(path)?, text)?;
    }
    for (path, target) in LINKS {
        symlink(target, made(path)?)?;
    }
    Ok(folder)
}

/// One scan.
struct Scan {
    records: Vec<Value>,
    log: String,
}

impl Scan {
    /// Scans the machine while these places do not answer.
    fn of(machine: &Machine, hung: &[&str], more: &[&str]) -> Result<Self> {
        let arguments = [&["scan", "--state-dir", "/state", "-o", "ndjson", "--show-read"], more].concat();
        let command = machine.command(hung, &arguments);
        let mut limited = Command::new("timeout");
        limited.args(["--signal", "KILL", HANGS]).arg(command.get_program()).args(command.get_args());
        let answer = Answer::of(&mut limited)?;
        ensure!(answer.code == Some(0), "{hung:?}: {:?}\n{}", answer.code, answer.stderr);
        Ok(Self { records: answer.ndjson()?, log: answer.stderr })
    }

    fn outcomes(&self) -> BTreeMap<&str, (&str, &str)> {
        let outcomes = self.records.iter().filter(|record| record["record"] == "outcome");
        outcomes
            .map(|record| {
                let text = |key: &str| record[key].as_str().unwrap_or_default();
                (text("source"), (text("outcome"), text("reason")))
            })
            .collect()
    }

    /// Every place that was read, with its readers.
    fn read(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut read: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for record in self.records.iter().filter(|record| record["record"] == "read") {
            let by = record["by"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            read.entry(own_process(record["path"].as_str().unwrap_or_default())).or_default().extend(by);
        }
        read
    }
}

/// The path with the agent's own process id written as `SELF`.
fn own_process(path: &str) -> String {
    let Some(rest) = path.strip_prefix("/proc/") else { return path.to_owned() };
    let id = rest.split('/').next().unwrap_or_default();
    let is_own = !["", "1", "7"].contains(&id) && id.bytes().all(|byte| byte.is_ascii_digit());
    if is_own { format!("/proc/SELF{}", &rest[id.len()..]) } else { path.to_owned() }
}

/// How the agent writes a path in a reason: without process ids and homes.
fn shown(path: &str, reader: &str) -> String {
    let by_homes = ["browser-extensions", "flatpak", "systemd-units"].contains(&reader);
    let parts = path.split('/').map(|part| {
        let is_id = path.starts_with("/proc/") && (part == "SELF" || part.parse::<u32>().is_ok());
        if is_id { "ID" } else { part }
    });
    let path = parts.collect::<Vec<_>>().join("/");
    for home in ["/root", "/srv/people/jane"] {
        match path.strip_prefix(home) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => return format!("~{rest}"),
            // A folder of homes answers no question about one of them.
            None if home.starts_with(&format!("{path}/")) && by_homes => return "~".to_owned(),
            Some(_) | None => {}
        }
    }
    path
}

/// A place that hangs, with everything that reads it or something below it.
#[derive(Debug, Clone)]
struct Case {
    place: String,
    readers: BTreeSet<String>,
}

/// The places of a machine. Of many files in one folder that the same source reads one is enough, and of those that do not
/// exist another.
fn cases(folder: &Path, read: &BTreeMap<String, BTreeSet<String>>) -> Vec<Case> {
    let mut kinds = BTreeSet::new();
    let mut cases = Vec::new();
    for path in read.keys().filter(|path| path.len() > 1) {
        let file = folder.join(&path[1..]);
        let is_link = file.is_symlink();
        let direct = file
            .parent()
            .is_some_and(|parent| !parent.exists() || parent.canonicalize().is_ok_and(|real| real == parent));
        // A link cannot be mounted over; its folder and its target are places of their own. The loader of
        // programs needs these two folders before the agent begins.
        if is_link || !direct || ["/proc", "/etc"].contains(&path.as_str()) || ONLY_LINKS.contains(&path.as_str()) {
            continue;
        }
        let below = format!("{path}/");
        let readers: BTreeSet<String> = read
            .iter()
            .filter(|(other, _)| *other == path || other.starts_with(&below))
            .flat_map(|(_, by)| by.iter().cloned())
            .collect();
        let extension = file.extension().filter(|_| file.is_file()).map(ToOwned::to_owned);
        let kind = (file.parent().map(Path::to_owned), file.exists(), extension, readers.clone());
        if file.is_dir() || kinds.insert(kind) {
            cases.push(Case { place: path.clone(), readers });
        }
    }
    cases
}

/// Groups cases with different readers, to be tried in one scan.
fn grouped(cases: Vec<Case>) -> Vec<Vec<Case>> {
    let mut groups: Vec<Vec<Case>> = Vec::new();
    for case in cases {
        // What a source reads may depend on os-release.
        let alone = |readers: &BTreeSet<String>| readers.contains("os-release");
        let apart = |other: &Case| !alone(&other.readers) && other.readers.is_disjoint(&case.readers);
        match groups.iter_mut().find(|group| !alone(&case.readers) && group.iter().all(apart)) {
            Some(group) => group.push(case),
            None => groups.push(vec![case]),
        }
    }
    groups
}

/// The machine, or `None` where it cannot be run, which is reported.
fn machine(folder: &TempDir, test: &str) -> Result<Option<Machine>> {
    let machine = Machine::at(folder.path())?;
    Ok(machine.inspect_err(|why| left_out(test, why)).ok())
}

#[test]
fn a_scan_goes_on_without_settings_and_watchlist_that_do_not_answer() -> Result<()> {
    let folder = folder()?;
    std::fs::create_dir_all(folder.path().join("etc/muster"))?;
    let test = "a_scan_goes_on_without_settings_and_watchlist_that_do_not_answer";
    let Some(machine) = machine(&folder, test)? else { return Ok(()) };
    let scan = Scan::of(&machine, &["/etc/muster", "/state"], &[])?;
    let place = "read the file: timed out after 10 s while reading /etc/muster/agent.toml";
    assert!(scan.log.contains(place), "{}", scan.log);
    assert_eq!(scan.outcomes()["dpkg"].0, "found");
    let scan = Scan::of(&machine, &["/state"], &[])?;
    assert!(scan.log.contains("timed out after 10 s while reading /state/watchlist.json"), "{}", scan.log);
    assert_eq!(scan.outcomes()["dpkg"].0, "found");
    Ok(())
}

#[test]
fn a_scan_goes_on_if_nothing_in_etc_answers() -> Result<()> {
    let folder = folder()?;
    let Some(machine) = machine(&folder, "a_scan_goes_on_if_nothing_in_etc_answers")? else { return Ok(()) };
    let names = std::fs::read_dir(machine.file("/etc"))?.map(|entry| Ok(entry?.file_name().into_string().unwrap()));
    let names: Vec<String> = names.map(|name| name.map(|name| format!("/etc/{name}"))).collect::<Result<_>>()?;
    let scan = Scan::of(&machine, &names.iter().map(String::as_str).collect::<Vec<_>>(), CONFIG)?;
    let outcomes = scan.outcomes();
    assert_eq!(outcomes["dpkg"], ("found", ""));
    assert_eq!(outcomes["systemd-units"].0, "timed-out");
    assert!(outcomes["host"].1.starts_with("timed out after 1 s while reading /etc/os-release"), "{outcomes:?}");
    Ok(())
}

/// Waits for a line of the service with all these texts.
fn line(service: &Process, texts: &[&str]) -> Result<String> {
    let whole = || service.output();
    let found = |log: String| log.lines().find(|line| texts.iter().all(|text| line.contains(text))).map(str::to_owned);
    eventually(&format!("a line with {texts:?}"), Duration::from_secs(120), || Ok(found(whole()))).with_context(whole)
}

#[test]
fn the_service_goes_on_and_can_be_stopped_while_places_do_not_answer() -> Result<()> {
    let folder = folder()?;
    let test = "the_service_goes_on_and_can_be_stopped_while_places_do_not_answer";
    let Some(machine) = machine(&folder, test)? else { return Ok(()) };
    // Nobody listens at this port, so the service tries again and again.
    let settings = format!("collector = \"https://127.0.0.1:1\"\ntoken_file = \"/token/file\"\n{SETTINGS}");
    std::fs::write(machine.file("/state/agent.toml"), settings)?;
    std::fs::create_dir(machine.file("/token"))?;
    let token = EnrollmentToken {
        id: TokenId::new("slow")?,
        secret: TokenSecret::from_random([7; 32]),
        ca_pin: CaPin::from_bytes([7; 32]),
    };
    write_owner_only(&machine.file("/token/file"), &token.to_string())?;
    let arguments = ["run", "--state-dir", "/state", "--config", "/state/agent.toml"];
    let start = |hung: &[&str], log: &str| Process::start(machine.command(hung, &arguments), &folder.path().join(log));

    let hung = ["/var/lib/dpkg", "/etc/systemd/system"];
    let mut service = start(&hung, "log")?;
    for place in hung {
        line(&service, &["some places cannot be watched", &format!("{place}: it does not answer")])?;
    }
    // The scan has ended, although two of its places do not answer.
    line(&service, &["the delivery failed", "\"spool.entries\":1"])?;
    assert_eq!(service.stop(Duration::from_secs(60))?.code(), Some(0), "{}", service.output());

    for place in ["/token", "/etc/machine-id"] {
        std::fs::write(machine.file("/etc/machine-id"), "0123456789abcdef0123456789abcdef")?;
        let mut service = start(&[place], &place.replace('/', "-"))?;
        line(&service, &["the delivery failed", "timed out after", &format!("while reading {place}")])?;
        assert_eq!(service.stop(Duration::from_secs(60))?.code(), Some(0), "{}", service.output());
    }

    // Without its state the service cannot work, and says so.
    let mut service = start(&["/state/spool"], "log-state")?;
    assert_eq!(service.wait(Duration::from_secs(120))?.code(), Some(1));
    line(&service, &["cannot access /state", "timed out after 10 s"])?;
    Ok(())
}

#[test]
fn names_of_people_stay_here_while_the_accounts_do_not_answer() -> Result<()> {
    let folder = folder()?;
    let test = "names_of_people_stay_here_while_the_accounts_do_not_answer";
    let Some(machine) = machine(&folder, test)? else { return Ok(()) };
    let unit = folder.path().join("usr/lib/systemd/system/jane.service");
    std::fs::write(unit, "[Service]\nExecStart=/srv/people/jane/program\n")?;
    let healthy = Scan::of(&machine, &[], CONFIG)?;
    let scan = Scan::of(&machine, &["/etc/passwd"], CONFIG)?;
    for scan in [&healthy, &scan] {
        let sent = scan.records.iter().filter(|record| record["record"] != "read");
        let text = sent.map(Value::to_string).collect::<String>();
        assert!(!text.contains("people"), "{text}");
    }
    assert_eq!(scan.outcomes()["host"].0, "timed-out");
    Ok(())
}

#[test]
fn a_scan_names_each_place_that_does_not_answer_and_reports_the_rest() -> Result<()> {
    let test = "a_scan_names_each_place_that_does_not_answer_and_reports_the_rest";
    let whole = folder()?;
    let Some(machine) = machine(&whole, test)? else { return Ok(()) };
    let baseline = Scan::of(&machine, &[], CONFIG)?;
    let cases = cases(whole.path(), &baseline.read());
    assert!(cases.len() > 100, "{}", cases.len());
    let groups = Mutex::new(grouped(cases));
    let faults = Mutex::new(Vec::new());
    let next = || groups.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(group) = next() {
                    let found = try_group(&group, &baseline).unwrap_or_else(|error| vec![format!("{error:#}")]);
                    faults.lock().unwrap().extend(found);
                }
            });
        }
    });
    let faults = faults.into_inner()?;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// Scans while the places of a group hang. Returns what is wrong with the result.
fn try_group(group: &[Case], baseline: &Scan) -> Result<Vec<String>> {
    let folder = folder()?;
    let machine = Machine::at(folder.path())?.map_err(anyhow::Error::msg)?;
    for case in group {
        if !machine.file(&case.place).exists() {
            std::fs::create_dir_all(machine.file(&case.place)).with_context(|| case.place.clone())?;
        }
    }
    let places: Vec<&str> = group.iter().map(|case| case.place.as_str()).collect();
    let scan = Scan::of(&machine, &places, CONFIG)?;
    let outcomes = scan.outcomes();
    let mut faults = Vec::new();
    let mut readers = BTreeSet::new();
    for case in group {
        for reader in &case.readers {
            readers.insert(reader.as_str());
            let place = shown(&case.place, reader);
            let (outcome, reason) = match outcomes.get(reader.as_str()) {
                Some(found) => *found,
                None if reader == "os-release" => outcomes["host"],
                None => (outcomes["host"].0, scan.log.as_str()),
            };
            if outcome != "timed-out" || !reason.contains(&place) {
                faults.push(format!("{place} ({reader}): {outcome} {reason}"));
            }
        }
    }
    let depends = readers.contains("os-release");
    let of_host = readers.iter().any(|reader| !outcomes.contains_key(reader));
    for (source, expected) in baseline.outcomes() {
        let touched = readers.contains(source) || depends || (of_host && source == "host");
        if !touched && outcomes.get(source) != Some(&expected) {
            faults.push(format!("{places:?}: {source} is {:?} instead of {expected:?}", outcomes.get(source)));
        }
    }
    Ok(faults)
}
