//! The processes that matter for the host state: those that the watchlist names, by process or by unit. Their process ids
//! are needed to read further files, and are never sent.

use std::collections::BTreeSet;
use std::io;

use muster_proto::model::Outcome;

use super::processes::{base_name, watched_name};
use crate::sources::parse::cgroup::unit_of_group;
use crate::sources::watchlist::matches;
use crate::sources::{ScanContext, is_absent, is_denied};

/// The result of reading all processes.
#[derive(Debug, Default)]
pub(super) struct WatchedProcesses {
    /// Every unit with a process.
    pub(super) units: BTreeSet<String>,
    /// The processes that the watchlist names, by process name or by unit.
    pub(super) processes: Vec<WatchedProcess>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WatchedProcess {
    pub(super) id: String,
    /// Its name, if the watchlist names it.
    pub(super) name: Option<String>,
    /// Its unit, if the watchlist names it.
    pub(super) unit: Option<String>,
}

impl WatchedProcesses {
    /// Reads all processes once.
    ///
    /// # Errors
    /// `denied` if other users' processes are hidden, `failed` if `/proc` cannot be read.
    pub(super) fn of(context: &ScanContext) -> Result<Self, Outcome> {
        let outcome_of = |error: io::Error| if is_denied(&error) { Outcome::Denied } else { Outcome::Failed };
        // With the mount option hidepid only the agent's own processes are visible, which would look as if nothing else ran.
        context
            .root
            .read_text("/proc/1/cgroup")
            .map_err(|error| if is_absent(&error) { Outcome::Denied } else { outcome_of(error) })?;
        let mut watched_processes = Self::default();
        for entry in context.root.list("/proc").map_err(outcome_of)? {
            if entry.name.bytes().all(|byte| byte.is_ascii_digit()) {
                watched_processes.process(context, entry.name);
            }
        }
        Ok(watched_processes)
    }

    fn process(&mut self, context: &ScanContext, id: String) {
        // The process may end at any moment, and then has no name and no unit.
        let text = |file: &str| context.root.read_text(&format!("/proc/{id}/{file}")).unwrap_or_default();
        let groups = text("cgroup");
        let unit = groups.lines().find_map(unit_of_group).map(str::to_owned);
        let is_watched = |unit: &String| context.watchlist.units.iter().any(|pattern| matches(pattern, unit));
        let comm = text("comm");
        let command = context.root.read_head(&format!("/proc/{id}/cmdline"), 4096).unwrap_or_default();
        let command = String::from_utf8_lossy(command.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
        let executable = context.root.read_link(&format!("/proc/{id}/exe")).unwrap_or_default();
        let executable = executable.strip_suffix(" (deleted)").unwrap_or(&executable);
        let name = watched_name(
            &context.watchlist.processes,
            comm.trim_end_matches('\n'),
            base_name(&command),
            base_name(executable),
        );
        let watched_unit = unit.clone().filter(is_watched);
        self.units.extend(unit);
        if name.is_some() || watched_unit.is_some() {
            self.processes.push(WatchedProcess { id, name, unit: watched_unit });
        }
    }
}
