//! `systemd-units`: services by their unit files and init scripts, units of all user sessions, and of the units in home
//! directories those that the watchlist names. Whether they are running is part of the host state, not of this source.
//!
//! ```text
//!  directories ─► unit_files: files, links that start units, drop-ins ─┐
//!                                                                      ├─► unit_state: mask, link, target, program ─► observation
//!  /etc/init.d, rc.d, sv and their levels ─► init_scripts ─────────────┘
//! ```

mod init_scripts;
mod targets;
mod unit_files;
mod unit_state;

use std::io;

use muster_proto::model::{Observation, SourceName};

use init_scripts::InitScripts;
use unit_files::UnitFiles;
use unit_state::Derivation;

use super::people::local_homes;
use crate::sources::reading_builder::{Kept, ReadingBuilder};
use crate::sources::root::{BrokenLink, Entry};
use crate::sources::watchlist::matches;
use crate::sources::{HomeItem, ScanContext, Source, SourceReading, error_reason, is_absent, is_denied};

/// Directories of unit files; an earlier one overrides a later one.
const DIRECTORIES: &[&str] = &[
    "/etc/systemd/system.control",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Directories of units for user sessions: for all users, and below a home directory.
const SESSION_DIRECTORIES: &[&str] = &["/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user"];
const HOME_DIRECTORIES: &[&str] = &[".config/systemd/user", ".local/share/systemd/user"];

/// What reasons name.
const UNIT_FOLDERS: &str = "the folders of units";
const SCRIPT_FOLDERS: &str = "the folders of init scripts";
/// Limit of init scripts in one directory. A machine with System V has a hundred.
const SCRIPTS: usize = 4096;

pub(in crate::sources) struct SystemdUnits;

impl Source for SystemdUnits {
    fn name(&self) -> SourceName {
        SourceName::SystemdUnits
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut reader = UnitReader { context, kept: Kept::default(), fault: None, hidden: None };
        let mut observations = Vec::new();
        let mut places = reader.system_units(&mut observations);
        let (session_places, session) = reader.unit_files(SESSION_DIRECTORIES);
        places += session_places;
        let of_sessions = reader.all_of(&session, None);
        observations.extend(of_sessions.into_iter().map(of_user));
        let home_items = reader.home_units(&session, &mut observations);
        let reading = match (reader.fault, reader.hidden) {
            (None, Some(link)) => SourceReading::partial(observations, link.to_string()),
            (None, None) if places == 0 && observations.is_empty() => {
                SourceReading::not_applicable("no directories of systemd units or init scripts")
            }
            (None, None) => SourceReading::complete(observations),
            (Some((place, error)), _) if observations.is_empty() => SourceReading::of_error(&place, &error),
            (Some((place, error)), _) => SourceReading::partial(observations, error_reason(&place, &error)),
        };
        SourceReading { home_items, ..reading }
    }
}

struct UnitReader<'a> {
    context: &'a ScanContext,
    kept: Kept,
    fault: Option<(String, io::Error)>,
    hidden: Option<BrokenLink>,
}

impl UnitReader<'_> {
    fn record_fault(&mut self, place: &str, error: io::Error) {
        // Missing permissions take precedence over other faults, because an operator can grant them.
        if self.fault.as_ref().is_none_or(|(_, first)| is_denied(&error) && !is_denied(first)) {
            self.fault = Some((place.to_owned(), error));
        }
    }

    fn list(&mut self, dir: &str) -> Option<Vec<Entry>> {
        self.list_at_most(dir, usize::MAX)
    }

    fn list_at_most(&mut self, dir: &str, most: usize) -> Option<Vec<Entry>> {
        match self.context.root.list_at_most(dir, most) {
            Ok(entries) => Some(entries),
            Err(error) if is_absent(&error) => None,
            Err(error) => {
                self.record_fault(dir, error);
                None
            }
        }
    }

    /// A directory of units is not absent if it is, or is below, a link that leads to something that is not mounted.
    fn find_broken_link(&mut self, dir: &str) {
        match self.context.root.broken_link_above(&format!("{dir}/")) {
            Ok(None) => {}
            Ok(Some(link)) => self.hidden = self.hidden.take().or(Some(link)),
            Err(error) => self.record_fault(dir, error),
        }
    }

    /// Reads the system's units and init scripts. Returns how many of their directories exist.
    fn system_units(&mut self, observations: &mut Vec<Observation>) -> usize {
        let (places, files) = self.unit_files(DIRECTORIES);
        let scripts = InitScripts::read(|dir| self.list_at_most(dir, SCRIPTS));
        observations.extend(self.all_of(&files, scripts.as_ref()));
        let Some(scripts) = scripts else { return places };
        for observation in scripts.observations(self.context, &files) {
            observations.extend(self.kept(SCRIPT_FOLDERS, observation));
        }
        places + 1
    }

    /// What these directories contain, and how many of them exist.
    fn unit_files(&mut self, directories: &[&str]) -> (usize, UnitFiles) {
        let (mut places, mut files) = (0, UnitFiles::default());
        for dir in directories {
            // With a merged `/usr`, /lib is a link and both directories are the same.
            if *dir == "/lib/systemd/system"
                && matches!(self.context.root.read_link("/lib"), Ok(link) if link.ends_with("usr/lib"))
            {
                continue;
            }
            let Some(entries) = self.list(dir) else {
                self.find_broken_link(dir);
                continue;
            };
            places += 1;
            if let Err(error) = files.add(dir, &entries, |dir| self.list(dir).unwrap_or_default()) {
                self.record_fault(dir, error);
                break;
            }
        }
        (places, files)
    }

    fn all_of(&mut self, files: &UnitFiles, scripts: Option<&InitScripts>) -> Vec<Observation> {
        let mut observations = Vec::new();
        for name in files.names() {
            let Some(observation) = self.observation(name, files, None, scripts) else { continue };
            let Some(observation) = self.kept(UNIT_FOLDERS, observation) else { break };
            observations.push(observation);
        }
        observations
    }

    fn observation(
        &mut self,
        name: &str,
        files: &UnitFiles,
        below: Option<&UnitFiles>,
        scripts: Option<&InitScripts>,
    ) -> Option<Observation> {
        let mut derivation = Derivation { context: self.context, files, below, scripts, faults: Vec::new() };
        let observation = derivation.observation(name);
        for (place, error) in derivation.faults {
            self.record_fault(&place, error);
        }
        observation
    }

    /// Keeps an observation; `None` if there are enough, which is recorded.
    fn kept(&mut self, place: &str, mut observation: Observation) -> Option<Observation> {
        if let Some(excess) = self.kept.excess() {
            self.record_fault(place, io::Error::new(io::ErrorKind::FileTooLarge, format!("there is {excess}")));
            return None;
        }
        self.kept.add(&mut observation);
        Some(observation)
    }

    /// Reads units in home directories. What users set up for themselves is private, except for what the watchlist names.
    fn home_units(&mut self, session: &UnitFiles, observations: &mut Vec<Observation>) -> Vec<HomeItem> {
        let mut builder = ReadingBuilder::default();
        let watched = &self.context.watchlist.units;
        if watched.is_empty() {
            return Vec::new();
        }
        for home in local_homes(self.context, &mut builder) {
            let mut files = UnitFiles::default();
            for place in HOME_DIRECTORIES {
                let dir = format!("{home}/{place}");
                let entries = builder.list(self.context, &dir).unwrap_or_default();
                let list = |dir: &str| builder.list(self.context, dir).unwrap_or_default();
                if let Err(error) = files.add(&dir, &entries, list) {
                    self.record_fault(&dir, error);
                }
            }
            for name in files.names() {
                if !watched.iter().any(|pattern| matches(pattern, name)) {
                    continue;
                }
                // A unit in a home directory overrides the one of all sessions, and a mask there switches that one off.
                let Some(observation) = self.observation(name, &files, Some(session), None) else { continue };
                let Some(observation) = self.kept("a home directory", observation) else { return builder.home_items };
                observations.push(of_user(observation));
                let (home, place) = (home.clone(), format!("unit:{name}"));
                builder.add_home_item(HomeItem { home, place, watched: true });
            }
        }
        builder.home_items
    }
}

fn of_user(mut observation: Observation) -> Observation {
    observation.attributes.insert("type".to_owned(), "user".to_owned());
    observation
}

#[cfg(all(test, unix))]
#[path = "systemd_units_tests.rs"]
mod tests;
