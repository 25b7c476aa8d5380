//! `systemd-units`: services by their unit files and init scripts, units of all user sessions, and of the units in home
//! directories those that the watchlist names. Whether they are running is part of the host state, not of this source.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use muster_proto::model::{Kind, Observation, SourceName};

use super::people::local_homes;
use super::reading_builder::ReadingBuilder;
use crate::sources::parse::unit_file::Unit;
use crate::sources::root::{Entry, FileKind};
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
/// Where systemd searches a command without a path.
const SEARCH: &[&str] = &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const KINDS: &[&str] = &["service", "timer", "socket", "path"];
const SYSV: &str = "/etc/init.d";
/// Where OpenRC links the enabled scripts.
const RUNLEVELS: &str = "/etc/runlevels";

pub(in crate::sources) struct SystemdUnits;

impl Source for SystemdUnits {
    fn name(&self) -> SourceName {
        SourceName::SystemdUnits
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut read = UnitReader {
            context,
            units: BTreeMap::new(),
            enabled: BTreeSet::new(),
            drop_ins: BTreeMap::new(),
            fault: None,
        };
        let mut places = read.directories();
        let mut observations: Vec<Observation> = read.observations();
        places += read.session_units(&mut observations);
        let home_items = read.home_units(&mut observations);
        let reading = match read.fault {
            None if places == 0 => SourceReading::not_applicable("no directories of systemd units or init scripts"),
            None => SourceReading::complete(observations),
            Some((place, error)) if observations.is_empty() => SourceReading::of_error(&place, &error),
            Some((place, error)) => SourceReading::partial(observations, error_reason(&place, &error)),
        };
        SourceReading { home_items, ..reading }
    }
}

struct UnitReader<'a> {
    context: &'a ScanContext,
    /// Unit name to its path, and whether that is a link.
    units: BTreeMap<String, (String, bool)>,
    enabled: BTreeSet<String>,
    /// Unit name to its drop-in files, in the order in which they apply.
    drop_ins: BTreeMap<String, Vec<String>>,
    fault: Option<(String, io::Error)>,
}

impl UnitReader<'_> {
    fn record_fault(&mut self, place: &str, error: io::Error) {
        // Missing permissions take precedence over other faults, because an operator can grant them.
        if self.fault.as_ref().is_none_or(|(_, first)| is_denied(&error) && !is_denied(first)) {
            self.fault = Some((place.to_owned(), error));
        }
    }

    fn list(&mut self, dir: &str) -> Option<Vec<Entry>> {
        match self.context.root.list(dir) {
            Ok(entries) => Some(entries),
            Err(error) if is_absent(&error) => None,
            Err(error) => {
                self.record_fault(dir, error);
                None
            }
        }
    }

    fn directories(&mut self) -> usize {
        let mut places = 0;
        for dir in DIRECTORIES {
            // With a merged `/usr`, /lib is a link and both directories are the same.
            if *dir == "/lib/systemd/system"
                && matches!(self.context.root.read_link("/lib"), Ok(link) if link.ends_with("usr/lib"))
            {
                continue;
            }
            let Some(entries) = self.list(dir) else { continue };
            places += 1;
            for entry in entries {
                self.entry(dir, &entry);
            }
        }
        if self.scripts() {
            places += 1;
        }
        places
    }

    fn entry(&mut self, dir: &str, entry: &Entry) {
        let path = format!("{dir}/{}", entry.name);
        let (stem, extension) = entry.name.rsplit_once('.').unwrap_or((&entry.name, ""));
        match extension {
            "wants" | "requires" | "upholds" => {
                let links = self.list(&path).unwrap_or_default();
                for link in links {
                    self.enabled.insert(template_of(&link.name));
                    // An instance has no file: this link is the only trace of `clamd@scan.service`.
                    if template_of(&link.name) != link.name && KINDS.iter().any(|kind| has_extension(&link.name, kind))
                    {
                        self.units.entry(link.name.clone()).or_insert((format!("{path}/{}", link.name), link.is_link));
                    }
                }
            }
            "d" => {
                let files = self.list(&path).unwrap_or_default();
                let files = files.iter().filter(|file| has_extension(&file.name, "conf"));
                let files: Vec<String> = files.map(|file| format!("{path}/{}", file.name)).collect();
                self.drop_ins.entry(stem.to_owned()).or_default().extend(files);
            }
            kind if KINDS.contains(&kind) && !entry.is_directory => {
                self.units.entry(entry.name.clone()).or_insert((path, entry.is_link));
            }
            _ => {}
        }
    }

    fn scripts(&mut self) -> bool {
        let Some(entries) = self.list(SYSV) else { return false };
        let mut started = BTreeSet::new();
        // The other levels are for halt, rescue and reboot.
        for level in ["2", "3", "4", "5"] {
            let links = self.list(&format!("/etc/rc{level}.d")).unwrap_or_default();
            started.extend(links.iter().filter_map(|link| script_of(&link.name).map(str::to_owned)));
        }
        for level in self.list(RUNLEVELS).unwrap_or_default().into_iter().filter(|level| level.is_directory) {
            let links = self.list(&format!("{RUNLEVELS}/{}", level.name)).unwrap_or_default();
            started.extend(links.into_iter().map(|link| link.name));
        }
        for entry in entries {
            // These files of the init scripts are no services.
            let helper =
                matches!(entry.name.as_str(), "README" | "skeleton" | "functions" | "rc" | "rcS" | "single" | "halt");
            if entry.is_directory || helper || entry.name.contains(".dpkg-") || entry.name.starts_with('.') {
                continue;
            }
            if started.contains(&entry.name) {
                self.enabled.insert(entry.name.clone());
            }
            self.units.entry(entry.name.clone()).or_insert((format!("{SYSV}/{}", entry.name), entry.is_link));
        }
        true
    }

    /// Reads the units of all user sessions. Returns how many of their directories exist.
    fn session_units(&mut self, observations: &mut Vec<Observation>) -> usize {
        let mut places = 0;
        // A system unit may have the same name, and says nothing about the one of user sessions.
        self.enabled.clear();
        self.drop_ins.clear();
        for dir in SESSION_DIRECTORIES {
            let Some(entries) = self.list(dir) else { continue };
            places += 1;
            entries.iter().for_each(|entry| self.entry(dir, entry));
        }
        let session_units = self.observations().into_iter().map(|mut observation| {
            observation.attributes.insert("type".to_owned(), "user".to_owned());
            observation
        });
        observations.extend(session_units);
        places
    }

    /// Reads units in home directories. What users set up for themselves is private, except for what the watchlist names.
    fn home_units(&mut self, observations: &mut Vec<Observation>) -> Vec<HomeItem> {
        let mut builder = ReadingBuilder::default();
        let mut home_items = Vec::new();
        if self.context.watchlist.units.is_empty() {
            return home_items;
        }
        for home in local_homes(self.context, &mut builder) {
            for place in HOME_DIRECTORIES {
                let dir = format!("{home}/{place}");
                for entry in builder.list(self.context, &dir).unwrap_or_default() {
                    let is_watched = self.context.watchlist.units.iter().any(|pattern| matches(pattern, &entry.name));
                    if entry.is_directory || !is_watched {
                        continue;
                    }
                    let path = format!("{dir}/{}", entry.name);
                    let Some(mut observation) = self.observation(entry.name.clone(), path, entry.is_link) else {
                        continue;
                    };
                    observation.attributes.insert("type".to_owned(), "user".to_owned());
                    observations.push(observation);
                    home_items.push(HomeItem {
                        home: home.clone(),
                        place: format!("unit:{}", entry.name),
                        watched: true,
                    });
                }
            }
        }
        home_items
    }

    fn observations(&mut self) -> Vec<Observation> {
        let units = std::mem::take(&mut self.units);
        units.into_iter().filter_map(|(name, (path, is_link))| self.observation(name, path, is_link)).collect()
    }

    /// The observation of a unit; `None` for an alias of a unit that has its own file.
    fn observation(&mut self, name: String, path: String, is_link: bool) -> Option<Observation> {
        let mut observation = Observation::new(Kind::Service, name.as_str());
        observation.id.clone_from(&name);
        observation.path.clone_from(&path);
        if self.enabled.contains(&template_of(&name)) {
            observation.attributes.insert("enabled".to_owned(), "yes".to_owned());
        }
        if path.starts_with(SYSV) {
            observation.attributes.insert("type".to_owned(), "sysv".to_owned());
            return Some(observation);
        }
        if is_link && let Ok(target) = self.context.root.read_link(&path) {
            if target == "/dev/null" {
                observation.state = "masked".to_owned();
                return Some(observation);
            }
            let target_name = target.rsplit('/').next().unwrap_or_default();
            // A link from an instance to its template is no alias: the instance is a unit with a name and drop-ins.
            let same = template_of(target_name) == template_of(&name);
            if !same && matches!(self.context.root.kind_at(&path), Ok(Some(FileKind::File))) {
                return None;
            }
        }
        match self.context.root.read_text(&path) {
            // An empty file masks a unit, as a link to /dev/null does.
            Ok(text) if text.is_empty() => observation.state = "masked".to_owned(),
            Ok(text) => self.executable(&name, &text, &mut observation),
            Err(error) if is_absent(&error) => observation.state = "unit-missing".to_owned(),
            Err(error) => self.record_fault(&path, error),
        }
        Some(observation)
    }

    fn executable(&mut self, name: &str, text: &str, observation: &mut Observation) {
        let mut unit = Unit::default();
        unit.read(text);
        let template = template_of(name);
        let template_name = Some(&template).filter(|template| *template != name);
        // Drop-ins of the template apply to every instance.
        let names = template_name.into_iter().map(String::as_str).chain([name]);
        let files: Vec<String> = names.filter_map(|name| self.drop_ins.get(name)).flatten().cloned().collect();
        for file in files {
            match self.context.root.read_text(&file) {
                Ok(text) => unit.read(&text),
                Err(error) if is_absent(&error) => {}
                Err(error) => self.record_fault(&file, error),
            }
        }
        // A unit may have no command, or one with a specifier that only systemd can expand.
        let Some(exec) = unit.exec else { return };
        if self.is_missing(&exec) {
            observation.state = "binary-missing".to_owned();
        }
        observation.attributes.insert("exec".to_owned(), exec);
    }

    /// Whether the executable is certain not to exist.
    fn is_missing(&self, exec: &str) -> bool {
        let absent = |path: &str| matches!(self.context.root.kind_at(path), Ok(None | Some(FileKind::BrokenLink)));
        if exec.starts_with('/') { absent(exec) } else { SEARCH.iter().all(|dir| absent(&format!("{dir}/{exec}"))) }
    }
}

/// The template of a unit name: `getty@.service` for the instance `getty@tty1.service`.
fn template_of(name: &str) -> String {
    match (name.split_once('@'), name.rsplit_once('.')) {
        (Some((stem, _)), Some((_, extension))) => format!("{stem}@.{extension}"),
        _ => name.to_owned(),
    }
}

/// The script that a System V link starts: `kess` for `S20kess`.
fn script_of(link: &str) -> Option<&str> {
    let rest = link.strip_prefix('S')?;
    Some(rest.trim_start_matches(|c: char| c.is_ascii_digit()))
}

fn has_extension(name: &str, extension: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, found)| found == extension)
}

#[cfg(test)]
#[path = "systemd_units_tests.rs"]
mod tests;
