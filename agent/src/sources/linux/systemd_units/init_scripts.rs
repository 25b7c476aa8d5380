//! Init scripts of System V, OpenRC, Slackware and runit, which levels start them, and whether the program that a script names exists.

use std::collections::BTreeMap;

use muster_proto::model::{Kind, Observation, ReportedState};

use super::targets::{is_missing, is_null};
use super::unit_files::{UnitFile, UnitFiles};
use crate::sources::ScanContext;
use crate::sources::root::{Entry, FileKind};

const SCRIPTS: &str = "/etc/init.d";
/// The levels that start services; the others are for halt, rescue and reboot.
const LEVELS: &[&str] = &["/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d", "/etc/rc5.d"];
/// Where OpenRC links the enabled scripts.
const RUNLEVELS: &str = "/etc/runlevels";
/// Slackware's scripts, `rc.NAME`, which start if they can be executed.
const RC_SCRIPTS: &str = "/etc/rc.d";
/// The services of runit, a folder each, and the folders with a link to each service that is started.
const RUNIT: &str = "/etc/sv";
const RUNIT_LEVELS: &str = "/etc/runit/runsvdir";
/// Files that are no services.
const HELPERS: &[&str] = &["README", "skeleton", "functions", "rc", "rcS", "single", "halt", "local", "local_shutdown"];
/// The variables in which scripts name their program: by the convention of Debian's skeleton, and in OpenRC.
const PROGRAM_VARIABLES: &[&str] = &["DAEMON=", "command="];

/// The scripts of a machine.
#[derive(Debug)]
pub(super) struct InitScripts {
    scripts: BTreeMap<String, UnitFile>,
    /// A script name and the first link that starts it.
    started: BTreeMap<String, UnitFile>,
}

impl InitScripts {
    /// Lists the scripts; `None` if the machine has no directory for them.
    pub(super) fn read(mut list: impl FnMut(&str) -> Option<Vec<Entry>>) -> Option<Self> {
        let directories = [SCRIPTS, RC_SCRIPTS, RUNIT].map(&mut list);
        if directories.iter().all(Option::is_none) {
            return None;
        }
        let [entries, rc_scripts, services] = directories.map(Option::unwrap_or_default);
        let mut started = BTreeMap::new();
        let mut start = |level: &str, link: &Entry, name: &str| {
            let file = UnitFile { path: format!("{level}/{}", link.name), is_link: link.is_link };
            started.entry(name.to_owned()).or_insert(file);
        };
        for level in LEVELS {
            for link in list(level).unwrap_or_default() {
                if let Some(name) = script_of(&link.name) {
                    start(level, &link, name);
                }
            }
        }
        for level in list(RUNLEVELS).unwrap_or_default().into_iter().filter(|level| level.is_directory) {
            let level = format!("{RUNLEVELS}/{}", level.name);
            list(&level).unwrap_or_default().iter().for_each(|link| start(&level, link, &link.name));
        }
        let scripts = entries.into_iter().filter(|entry| {
            let is_helper = HELPERS.contains(&entry.name.as_str());
            !entry.is_directory && !is_helper && !entry.name.contains(".dpkg-") && !entry.name.starts_with('.')
        });
        let file = |entry: Entry| {
            let path = format!("{SCRIPTS}/{}", entry.name);
            (entry.name, UnitFile { path, is_link: entry.is_link })
        };
        let mut scripts: BTreeMap<String, UnitFile> = scripts.map(file).collect();
        for entry in rc_scripts.iter().filter(|entry| !entry.is_directory) {
            // One letter or digit is a run level of the system.
            let name = entry.name.strip_prefix("rc.").filter(|name| name.len() > 1 && !HELPERS.contains(name));
            let Some(name) = name else { continue };
            let path = format!("{RC_SCRIPTS}/{}", entry.name);
            scripts.entry(name.to_owned()).or_insert(UnitFile { path, is_link: entry.is_link });
        }
        for service in services {
            add_runit(&mut scripts, RUNIT, &service);
        }
        for level in list(RUNIT_LEVELS).unwrap_or_default().into_iter().filter(|level| level.is_directory) {
            let level = format!("{RUNIT_LEVELS}/{}", level.name);
            for service in list(&level).unwrap_or_default() {
                add_runit(&mut scripts, &level, &service);
                let file = UnitFile { path: format!("{level}/{}", service.name), is_link: service.is_link };
                started.entry(service.name).or_insert(file);
            }
        }
        Some(Self { scripts, started })
    }

    /// Whether a mask of this unit switches a script off: systemd makes a unit of every script.
    pub(super) fn is_masked_by(&self, unit: &str) -> bool {
        unit.strip_suffix(".service").is_some_and(|name| self.scripts.contains_key(name))
    }

    /// The observations of all scripts, and of links that start a script that is gone.
    pub(super) fn observations(&self, context: &ScanContext, units: &UnitFiles) -> Vec<Observation> {
        let scripts = self.scripts.iter().map(|(name, file)| (name, file, true));
        let gone = self.started.iter().filter(|(name, _)| !self.scripts.contains_key(*name));
        let gone = gone.map(|(name, file)| (name, file, false));
        let observation = |(name, file, is_script): (&String, &UnitFile, bool)| {
            let mut observation = Observation::new(Kind::Service, name.as_str());
            observation.id.clone_from(name);
            observation.path.clone_from(&file.path);
            observation.attributes.insert("type".to_owned(), "sysv".to_owned());
            if is_masked(context, units, name) {
                observation.attributes.insert("enabled".to_owned(), "masked".to_owned());
            } else if self.started.contains_key(name) || is_started_by_mode(context, &file.path) {
                observation.attributes.insert("enabled".to_owned(), "yes".to_owned());
            }
            match context.root.kind_at(&file.path) {
                Ok(Some(FileKind::BrokenLink)) => observation.set_state(ReportedState::BrokenLink),
                _ if is_script => program(context, &file.path, &mut observation),
                // The levels also contain links to scripts in other places.
                _ => return None,
            }
            Some(observation)
        };
        scripts.chain(gone).filter_map(observation).collect()
    }
}

/// A service of runit: its program is `run` in its folder. A link in the folder's place may lead nowhere.
fn add_runit(scripts: &mut BTreeMap<String, UnitFile>, parent: &str, service: &Entry) {
    let path = match (service.is_directory, service.is_link) {
        (true, _) => format!("{parent}/{}/run", service.name),
        (_, true) => format!("{parent}/{}", service.name),
        _ => return,
    };
    if !service.name.starts_with('.') {
        scripts.entry(service.name.clone()).or_insert(UnitFile { path, is_link: service.is_link });
    }
}

/// Whether Slackware starts this script.
fn is_started_by_mode(context: &ScanContext, path: &str) -> bool {
    path.starts_with(RC_SCRIPTS)
        && context.root.file_at(path).is_ok_and(|file| file.is_some_and(|file| file.executable))
}

fn is_masked(context: &ScanContext, units: &UnitFiles, script: &str) -> bool {
    let file = units.files_of(&format!("{script}.service")).first();
    file.is_some_and(|file| matches!(context.root.read_link(&file.path), Ok(target) if is_null(&target)))
}

/// The state and the program of a script. A script that cannot be read is still a script.
fn program(context: &ScanContext, path: &str, observation: &mut Observation) {
    let text = context.root.read_text(path).unwrap_or_default();
    let programs = programs_of(&text);
    let Some(first) = programs.first() else { return };
    // A script may name one program for each distribution, so all of them must be missing.
    if programs.iter().all(|program| is_missing(context, program)) {
        observation.set_state(ReportedState::BinaryMissing);
    }
    observation.attributes.insert("exec".to_owned(), (*first).to_owned());
}

/// The programs that a script names literally. Empty if any of them is computed, because then nothing is certain.
fn programs_of(text: &str) -> Vec<&str> {
    let mut programs = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        let Some(value) = PROGRAM_VARIABLES.iter().find_map(|variable| line.strip_prefix(variable)) else { continue };
        let value = value.split(['#', ';']).next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        let is_literal = value.starts_with('/') && !value.contains(['$', '`', '*', ' ', '\t', '%']);
        if !is_literal {
            return Vec::new();
        }
        programs.push(value);
    }
    programs
}

/// The script that a System V link starts: `kess` for `S20kess`.
fn script_of(link: &str) -> Option<&str> {
    let rest = link.strip_prefix('S')?;
    Some(rest.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_literal_programs_of_a_script_are_certain() {
        assert_eq!(programs_of("NAME=x\nDAEMON=/usr/sbin/x # main\n"), ["/usr/sbin/x"]);
        assert_eq!(programs_of("command=\"/usr/sbin/clamd\"\n"), ["/usr/sbin/clamd"]);
        assert_eq!(
            programs_of("DAEMON=/usr/sbin/x\n[ -e /opt ] && true\n  DAEMON=/opt/x\n"),
            ["/usr/sbin/x", "/opt/x"]
        );
        for computed in ["DAEMON=$HOME/x\n", "DAEMON=/usr/sbin/x\nDAEMON=$(which x)\n", "command=x\n", "", "NAME=x\n"] {
            assert!(programs_of(computed).is_empty(), "{computed}");
        }
    }
}
