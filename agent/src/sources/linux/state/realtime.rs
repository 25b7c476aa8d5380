//! Evidence of real-time protection: which programs of the watchlist run, and which kernel hooks they hold.
//!
//! | evidence | on | off |
//! |---|---|---|
//! | `process:NAME` | it is running | never |
//! | `fanotify:NAME` | it has permission marks: the kernel asks it before an access | it is running, all its descriptors were read, and it has none |
//! | `fanotify-notify:NAME` | it has notification marks | never |
//! | `bpf:NAME` | it holds eBPF programs that observe processes | never: they can be pinned without a process |
//! | `module:NAME` | an out-of-tree module is loaded | never |
//! | a file's path | the vendor's setting is on | it is off |
//!
//! NAME is the name of a program or of its unit. Reading the descriptors of other users' processes requires
//! `CAP_SYS_PTRACE`. Without it the outcome is `denied`, and nothing unread counts as off.

use std::collections::BTreeMap;

use muster_proto::model::{Outcome, RealtimeEvidence};

use super::super::watched_processes::WatchedProcesses;
use crate::sources::parse::fdinfo::Hooks;
use crate::sources::parse::modules::loaded;
use crate::sources::parse::signatures::{sophos_on_access, ufw_enabled};
use crate::sources::{ScanContext, is_absent, is_denied};

/// Limit of descriptors read per process; an agent that watches a whole machine holds some hundred.
const DESCRIPTORS: usize = 4096;
const MODULES_BYTES: usize = 4 * 1024 * 1024;
const SETTING_BYTES: usize = 4 * 1024 * 1024;

/// Reads a setting from a file's text: on, off, or not stated.
type Switch = fn(&str) -> Option<bool>;

/// Vendors' settings files for real-time protection.
const SETTINGS: &[(&str, Switch)] =
    &[("/opt/sophos-spl/base/mcs/policy/CORE_policy.xml", sophos_on_access), ("/etc/ufw/ufw.conf", ufw_enabled)];

/// The hooks of all processes of one name.
#[derive(Default)]
struct HooksOfName {
    hooks: Hooks,
    incomplete: bool,
}

/// The evidence of files: loaded modules and settings.
pub(super) fn of_files(context: &ScanContext) -> Vec<RealtimeEvidence> {
    let mut evidence = settings(context);
    evidence.extend(modules(context));
    evidence
}

/// The evidence of processes, and how completely they could be read.
pub(super) fn of_processes(
    context: &ScanContext,
    watched_processes: &WatchedProcesses,
) -> (Vec<RealtimeEvidence>, Outcome) {
    let mut held: BTreeMap<&str, HooksOfName> = BTreeMap::new();
    let mut evidence = Vec::new();
    let mut outcome = if watched_processes.processes.is_empty() { Outcome::Empty } else { Outcome::Found };
    for process in &watched_processes.processes {
        // Processes of one name share their evidence: a product may have several, of which one holds the marks.
        let hooks = match hooks(context, &process.id) {
            Ok(hooks) => hooks,
            // The process has ended meanwhile.
            Err(Outcome::Empty) => continue,
            Err(why) => {
                outcome = why;
                None
            }
        };
        for name in process.name.iter().chain(&process.unit) {
            let of_name = held.entry(name).or_default();
            match hooks {
                Some(hooks) => of_name.hooks.add(hooks),
                None => of_name.incomplete = true,
            }
        }
        evidence.extend(process.name.iter().map(|name| piece("process", name, true)));
    }
    for (name, held) in held {
        // "Off" needs proof: a descriptor that could not be read may hold the marks.
        if held.hooks.permission || !held.incomplete {
            evidence.push(piece("fanotify", name, held.hooks.permission));
        }
        if held.hooks.notification {
            evidence.push(piece("fanotify-notify", name, true));
        }
        if held.hooks.programs {
            evidence.push(piece("bpf", name, true));
        }
    }
    (evidence, outcome)
}

/// The hooks of a process, from all its descriptors.
///
/// # Errors
/// `Empty` when the process has ended, else why the descriptors could not be read.
fn hooks(context: &ScanContext, id: &str) -> Result<Option<Hooks>, Outcome> {
    let place = format!("/proc/{id}/fdinfo");
    let why = |error: std::io::Error| match error {
        error if is_absent(&error) => Outcome::Empty,
        error if is_denied(&error) => Outcome::Denied,
        _ => Outcome::Partial,
    };
    let mut hooks = Hooks::default();
    let descriptors = context.root.list(&place).map_err(why)?;
    if descriptors.len() > DESCRIPTORS {
        return Err(Outcome::Partial);
    }
    for descriptor in descriptors {
        match context.root.read_text(&format!("{place}/{}", descriptor.name)) {
            Ok(text) => hooks.read(&text),
            // The descriptor was closed meanwhile.
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(why(error)),
        }
    }
    Ok(Some(hooks))
}

fn modules(context: &ScanContext) -> Vec<RealtimeEvidence> {
    let bytes = context.root.read("/proc/modules", MODULES_BYTES).unwrap_or_default();
    let modules = loaded(&String::from_utf8_lossy(&bytes)).unwrap_or_default();
    modules.into_iter().filter(|module| module.foreign).map(|module| piece("module", &module.name, true)).collect()
}

fn settings(context: &ScanContext) -> Vec<RealtimeEvidence> {
    let read = |(path, switch): &(&str, Switch)| {
        let bytes = context.root.read(path, SETTING_BYTES).ok()?;
        let on = switch(&String::from_utf8_lossy(&bytes))?;
        Some(RealtimeEvidence { place: (*path).to_owned(), on })
    };
    SETTINGS.iter().filter_map(read).collect()
}

fn piece(kind: &str, name: &str, on: bool) -> RealtimeEvidence {
    RealtimeEvidence { place: format!("{kind}:{name}"), on }
}

#[cfg(all(test, unix))]
mod tests {
    use muster_proto::model::Watchlist;

    use super::super::super::canned::Canned;
    use super::*;
    use crate::sources::root::Root;

    fn evidence(root: &Canned) -> (Vec<String>, Outcome) {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let watchlist = Watchlist {
            processes: names(&["wdavdaemon", "clamd", "clamonacc"]),
            units: names(&["mdatp.service"]),
            ..Watchlist::default()
        };
        let context = ScanContext::new(Root::below(root.path()).expect("a root"), watchlist);
        let processes = WatchedProcesses::of(&context);
        let found = processes.as_ref().map(|processes| of_processes(&context, processes));
        let (mut evidence, outcome) = found.unwrap_or_else(|outcome| (Vec::new(), *outcome));
        evidence.extend(of_files(&context));
        evidence.sort();
        evidence.dedup();
        let row = |one: &RealtimeEvidence| format!("{} {}", one.place, if one.on { "on" } else { "off" });
        (evidence.iter().map(row).collect(), outcome)
    }

    fn process(root: Canned, id: u32, name: &str, unit: &str, descriptors: &[&str]) -> Canned {
        let mut root = root
            .file(&format!("proc/{id}/comm"), format!("{name}\n"))
            .file(&format!("proc/{id}/cgroup"), format!("0::/system.slice/{unit}\n"))
            .directory(&format!("proc/{id}/fdinfo"));
        for (number, text) in descriptors.iter().enumerate() {
            root = root.file(&format!("proc/{id}/fdinfo/{number}"), text);
        }
        root
    }

    const ASKS: &str = "pos:\t0\nfanotify flags:4\nfanotify mnt_id:1a mflags:0 mask:10000 ignored_mask:0\n";
    const TELLS: &str = "fanotify mnt_id:1a mflags:0 mask:20 ignored_mask:0\n";

    #[test]
    fn hooks_are_reported_by_program_and_by_unit() {
        let root = process(Canned::new("debian"), 1, "systemd", "init.scope", &[ASKS]);
        let root = process(root, 7, "wdavdaemon", "mdatp.service", &["pos:\t0\n", ASKS]);
        let root = process(root, 8, "crashpad", "mdatp.service", &["prog_type:\t26\n"]);
        let root = process(root, 9, "clamd", "clamav-daemon.service", &["pos:\t0\n"]);
        let root = process(root, 10, "clamonacc", "own.service", &[TELLS]);
        let root = root.file("proc/modules", "falcon_lsm 1 1 - Live 0x0 (OE)\next4 1 1 - Live 0x0\n");
        let (rows, outcome) = evidence(&root);
        let expected = [
            "bpf:mdatp.service on",
            "fanotify-notify:clamonacc on",
            "fanotify:clamd off",
            "fanotify:clamonacc off",
            "fanotify:mdatp.service on",
            "fanotify:wdavdaemon on",
            "module:falcon_lsm on",
            "process:clamd on",
            "process:clamonacc on",
            "process:wdavdaemon on",
        ];
        assert_eq!((rows, outcome), (expected.map(str::to_owned).to_vec(), Outcome::Found));
    }

    #[test]
    fn unread_descriptors_do_not_count_as_off() {
        let root = process(Canned::new("debian"), 1, "systemd", "init.scope", &[]);
        // A directory in place of a descriptor simulates an unreadable one.
        let root = process(root, 7, "wdavdaemon", "mdatp.service", &[]).directory("proc/7/fdinfo/3");
        let (rows, outcome) = evidence(&root);
        assert_eq!((rows, outcome), (vec!["process:wdavdaemon on".to_owned()], Outcome::Partial));
        // Another process of the same name has a hook, which counts.
        let root = process(root, 8, "wdavdaemon", "mdatp.service", &[ASKS]);
        assert!(evidence(&root).0.contains(&"fanotify:wdavdaemon on".to_owned()));
        assert_eq!(evidence(&Canned::new("debian")), (Vec::new(), Outcome::Denied));
    }

    #[test]
    fn vendor_settings_are_read() {
        let root = process(Canned::new("debian"), 1, "systemd", "init.scope", &[])
            .file("etc/ufw/ufw.conf", "ENABLED=no\n")
            .file(
                "opt/sophos-spl/base/mcs/policy/CORE_policy.xml",
                "<x><onAccessScan><enabled>true</enabled></onAccessScan></x>",
            );
        let (rows, outcome) = evidence(&root);
        let expected = ["/etc/ufw/ufw.conf off", "/opt/sophos-spl/base/mcs/policy/CORE_policy.xml on"];
        assert_eq!((rows, outcome), (expected.map(str::to_owned).to_vec(), Outcome::Empty));
    }
}
