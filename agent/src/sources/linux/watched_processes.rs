//! The processes that matter to the state: those that the watchlist names, and those of units that it names. Their ids
//! are needed to look further and never leave.

use std::collections::BTreeSet;
use std::io;

use muster_proto::model::Outcome;

use super::processes::{base, watched};
use crate::sources::watchlist::matches;
use crate::sources::{ScanContext, is_absent, is_denied};

/// What runs.
#[derive(Debug, Default)]
pub(super) struct WatchedProcesses {
    /// Every unit that has a process.
    pub(super) units: BTreeSet<String>,
    /// The processes that the watchlist names, by their own name or by that of their unit.
    pub(super) members: Vec<Member>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: String,
    /// Its name, when the watchlist has it.
    pub(super) name: Option<String>,
    /// Its unit, when the watchlist has it.
    pub(super) unit: Option<String>,
}

impl WatchedProcesses {
    /// Asks for all processes once.
    ///
    /// # Errors
    /// What became of asking: processes of others are hidden, or there is no table of processes.
    pub(super) fn of(context: &ScanContext) -> Result<Self, Outcome> {
        let refused = |error: io::Error| if is_denied(&error) { Outcome::Denied } else { Outcome::Failed };
        // Under hidepid only the agent's own processes are shown, and silence would look like "nothing runs".
        context
            .root
            .read_text("/proc/1/cgroup")
            .map_err(|error| if is_absent(&error) { Outcome::Denied } else { refused(error) })?;
        let mut watched_processes = Self::default();
        for entry in context.root.list("/proc").map_err(refused)? {
            if entry.name.bytes().all(|byte| byte.is_ascii_digit()) {
                watched_processes.process(context, entry.name);
            }
        }
        Ok(watched_processes)
    }

    fn process(&mut self, context: &ScanContext, id: String) {
        let text = |file: &str| context.root.read_text(&format!("/proc/{id}/{file}")).unwrap_or_default();
        let groups = text("cgroup");
        let unit = groups.lines().find_map(unit_of_group).map(str::to_owned);
        let is_watched = |unit: &String| context.watchlist.units.iter().any(|pattern| matches(pattern, unit));
        let comm = text("comm");
        let command = context.root.read_head(&format!("/proc/{id}/cmdline"), 4096).unwrap_or_default();
        let command = String::from_utf8_lossy(command.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
        let executable = context.root.read_link(&format!("/proc/{id}/exe")).unwrap_or_default();
        let executable = executable.strip_suffix(" (deleted)").unwrap_or(&executable);
        let name = watched(&context.watchlist.processes, comm.trim_end_matches('\n'), base(&command), base(executable));
        let watched_unit = unit.clone().filter(is_watched);
        self.units.extend(unit);
        if name.is_some() || watched_unit.is_some() {
            self.members.push(Member { id, name, unit: watched_unit });
        }
    }
}

/// The unit of a line of `/proc/PID/cgroup`, in the unified hierarchy or systemd's own: the first part of the path that
/// is no slice. Deeper ones belong to containers.
pub(super) fn unit_of_group(line: &str) -> Option<&str> {
    let mut fields = line.splitn(3, ':');
    let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    if !((id == "0" && controllers.is_empty()) || controllers == "name=systemd") {
        return None;
    }
    let part = path.split('/').find(|part| !part.is_empty() && !has_extension(part, "slice"))?;
    has_extension(part, "service").then_some(part)
}

fn has_extension(name: &str, extension: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, found)| found == extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_of_a_process_is_the_first_part_that_is_no_slice() {
        for (line, unit) in [
            ("0::/system.slice/kesl.service", Some("kesl.service")),
            ("0::/security.slice/security-av.slice/falcon-sensor.service/worker", Some("falcon-sensor.service")),
            ("1:name=systemd:/system.slice/clamav-daemon.service", Some("clamav-daemon.service")),
            ("4:memory:/system.slice/clamav-daemon.service", None),
            ("0::/system.slice/docker-0a.scope/system.slice/kesl.service", None),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", Some("user@1000.service")),
            ("0::/init.scope", None),
            ("0::/", None),
            ("nonsense", None),
        ] {
            assert_eq!(unit_of_group(line), unit, "{line}");
        }
    }
}
