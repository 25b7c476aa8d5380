//! `processes`: running programs that the watchlist names, each with its executable and its unit. No process ids, no
//! arguments, and nothing about other programs.
//!
//! The kernel cuts the name of a process at 15 bytes, and a program may change it. So the first word of the command line
//! and the executable are compared too, where the agent has access to them.

use std::collections::BTreeSet;
use std::io;

use muster_proto::model::{Kind, Observation, ReportedState, SourceName};

use crate::sources::parse::cgroup::unit_of_group;
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::watchlist::matches;
use crate::sources::{ScanContext, Source, SourceReading, is_absent, is_denied};

/// The length at which the kernel cuts the name of a process.
const COMM_BYTES: usize = 15;
/// The suffix that the kernel adds to the path of a removed or replaced executable.
const DELETED: &str = " (deleted)";

pub(in crate::sources) struct Processes;

impl Source for Processes {
    fn name(&self) -> SourceName {
        SourceName::Processes
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        if !context.root.is_running_system() {
            return SourceReading::not_applicable("no processes: the root is not a running system");
        }
        let mut builder = ReadingBuilder::default();
        // With the mount option hidepid only the agent's own processes are visible, which would look as if nothing else ran.
        match context.root.read_text("/proc/1/comm") {
            Ok(_) => {}
            Err(error) if is_absent(&error) => {
                builder.access_failed("the processes of other users", &io::ErrorKind::PermissionDenied.into());
            }
            Err(error) => builder.access_failed("/proc/1/comm", &error),
        }
        let mut hidden_executables = false;
        let mut known = BTreeSet::new();
        for entry in builder.list(context, "/proc").unwrap_or_default() {
            if !entry.name.is_empty() && entry.name.bytes().all(|byte| byte.is_ascii_digit()) {
                builder.places_found += 1;
                let Some(observation) = process(context, &entry.name, &mut hidden_executables) else { continue };
                // A program has many processes.
                if known.insert(observation.clone()) {
                    builder.add("/proc", observation);
                }
                if builder.is_full("/proc") {
                    break;
                }
            }
        }
        if hidden_executables {
            builder.access_failed("the executables of some processes", &io::ErrorKind::PermissionDenied.into());
        }
        builder.finish("no processes are visible")
    }

    fn uses_watchlist(&self) -> bool {
        true
    }
}

fn process(context: &ScanContext, id: &str, hidden_executable: &mut bool) -> Option<Observation> {
    // The process may have ended since the directory was listed.
    let comm = context.root.read_text(&format!("/proc/{id}/comm")).ok()?;
    let comm = comm.trim_end_matches('\n');
    let command = context.root.read_head(&format!("/proc/{id}/cmdline"), 4096).unwrap_or_default();
    let command = command.split(|byte| *byte == 0).next().unwrap_or_default();
    let command = String::from_utf8_lossy(command).into_owned();
    let executable = context.root.read_link(&format!("/proc/{id}/exe"));
    let path = executable.as_deref().unwrap_or_default();
    let path = path.strip_suffix(DELETED).unwrap_or(path);
    let name = watched_name(&context.watchlist.processes, comm, base_name(&command), base_name(path))?;
    let mut observation = Observation::new(Kind::Process, name.as_str());
    observation.id = name;
    match &executable {
        Ok(target) if target.ends_with(DELETED) => observation.set_state(ReportedState::Deleted),
        Ok(_) => {}
        // The process belongs to another user and matched by its name; its executable is hidden.
        Err(error) => *hidden_executable |= is_denied(error),
    }
    path.clone_into(&mut observation.path);
    let groups = context.root.read_text(&format!("/proc/{id}/cgroup")).unwrap_or_default();
    if let Some(unit) = groups.lines().find_map(unit_of_group) {
        observation.attributes.insert("unit".to_owned(), unit.to_owned());
    }
    Some(observation)
}

/// The watched name of a process: that of its executable, of its command, or as the kernel keeps it.
pub(super) fn watched_name(patterns: &[String], comm: &str, command: &str, executable: &str) -> Option<String> {
    let whole = |name: &str| !name.is_empty() && patterns.iter().any(|pattern| matches(pattern, name));
    if let Some(name) = [executable, command].into_iter().find(|name| whole(name)) {
        return Some(name.to_owned());
    }
    if whole(comm) {
        return Some(comm.to_owned());
    }
    if comm.len() < COMM_BYTES {
        return None;
    }
    // The name may have been cut. A pattern without a wildcard gives the full name.
    patterns
        .iter()
        .find(|pattern| pattern.len() > COMM_BYTES && !pattern.contains('*') && pattern.starts_with(comm))
        .cloned()
}

pub(super) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(all(test, unix))]
mod tests {
    use muster_proto::model::{Outcome, Watchlist};

    use super::super::canned::Canned;
    use super::*;
    use crate::sources::root::Root;

    #[test]
    fn a_process_matches_by_full_name_cut_name_or_executable() {
        let patterns = ["kesl", "sophos_threat_detector", "klnagent*"].map(str::to_owned);
        for (comm, command, executable, name) in [
            ("kesl", "", "", Some("kesl")),
            ("sophos_threat_d", "", "", Some("sophos_threat_detector")),
            ("sophos_threat_x", "", "", None),
            ("sophos_threat", "", "", None),
            ("worker", "/opt/x/kesl", "", Some("kesl")),
            ("worker", "renamed", "/opt/k/klnagent64", Some("klnagent64")),
            ("bash", "bash", "/bin/bash", None),
            ("", "", "", None),
        ] {
            let found = watched_name(&patterns, comm, base_name(command), base_name(executable));
            assert_eq!(found.as_deref(), name, "{comm} {command} {executable}");
        }
    }

    #[test]
    fn a_running_program_is_reported_once_with_its_executable_only() {
        let exe = std::fs::read_link("/proc/self/exe").expect("this test runs");
        let name = exe.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let watchlist = Watchlist { processes: vec![name.clone()], ..Watchlist::default() };
        let reading = Processes.read(&ScanContext::new(Root::running_system().expect("a root"), watchlist));
        let own: Vec<_> = reading.observations.iter().filter(|o| o.path == exe.to_str().expect("a path")).collect();
        assert_eq!(own.len(), 1, "{reading:?}");
        assert_eq!((own[0].name.as_str(), own[0].kind), (name.as_str(), Kind::Process));
        let pid = std::process::id().to_string();
        assert!(own[0].attributes.values().all(|value| *value != pid));
    }

    #[test]
    fn a_root_that_is_not_running_has_no_processes() {
        let reading = Canned::new("debian").file("proc/1/comm", "kesl\n").read(&Processes);
        assert_eq!(reading.outcome, Outcome::NotApplicable);
    }
}
