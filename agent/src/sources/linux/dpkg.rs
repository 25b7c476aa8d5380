//! `dpkg`: the packages of Debian and its kin, from `/var/lib/dpkg`.
//!
//! Read are `status`, the journal in `updates/` that a running or killed dpkg leaves, and `status.d/` of images that
//! were made without dpkg. `status` is replaced by a rename, so one open file is one consistent database. It is held
//! against the file lists in `info/`: a package that has a list and no stanza was lost from `status`, also when the
//! cut is between two stanzas and the file is whole in itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use muster_proto::model::{Kind, Observation, SourceName};

use crate::sources::parse::dpkg::{Form, OpenEnd, Package, Status, parse};
use crate::sources::parse::os_release::Family;
use crate::sources::{ScanContext, Source, SourceReading, is_absent};

const STATUS: &str = "/var/lib/dpkg/status";
const STATUS_DIR: &str = "/var/lib/dpkg/status.d";
const UPDATES: &str = "/var/lib/dpkg/updates";
const INFO: &str = "/var/lib/dpkg/info";
/// Ten times the largest database that was seen.
const STATUS_BYTES: usize = 128 * 1024 * 1024;

pub(in crate::sources) struct Dpkg;

impl Source for Dpkg {
    fn name(&self) -> SourceName {
        SourceName::Dpkg
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        // Once more when lists and stanzas disagree: dpkg may have been at work between the two reads.
        match read_once(context) {
            Ok(DatabaseContents { lost: Some(_), .. }) => read_once(context),
            contents => contents,
        }
        .map_or_else(|(place, error)| SourceReading::of_error(&place, &error), |contents| contents.reading(context))
    }
}

type PlacedError = (String, io::Error);

/// What the database holds, before it is known whether there should be one.
#[derive(Default)]
struct DatabaseContents {
    exists: bool,
    lists: bool,
    packages: BTreeMap<(String, String), Package>,
    fault: Option<String>,
    lost: Option<String>,
}

impl DatabaseContents {
    fn add(&mut self, place: &str, status: Status) {
        if let Some(fault) = status.fault {
            self.fault.get_or_insert(format!("{place} line {}: {}", fault.line, fault.what));
        }
        for package in status.packages {
            self.packages.insert((package.name.clone(), package.architecture.clone()), package);
        }
    }

    fn reading(self, context: &ScanContext) -> SourceReading {
        let native = Native::of(context);
        let reason = self.fault.or(self.lost);
        if self.packages.is_empty() {
            return match (reason, native) {
                (Some(reason), _) => SourceReading::failed(reason),
                (None, Native::Yes(os)) => {
                    let how = if self.exists { "empty" } else { "missing" };
                    SourceReading::failed(format!("{STATUS} is {how}, and dpkg is native to {os}"))
                }
                (None, Native::No) if self.exists => SourceReading::complete(Vec::new()),
                (None, Native::No) if self.lists => SourceReading::failed(format!("{STATUS} is missing beside {INFO}")),
                (None, Native::No) => SourceReading::not_applicable("there is no dpkg database"),
            };
        }
        let observations = self.packages.into_values().filter(Package::is_there).map(observation).collect();
        match reason {
            Some(reason) => SourceReading::partial(observations, reason),
            None => SourceReading::complete(observations),
        }
    }
}

/// Whether dpkg owns this system's own files. Where nothing proves another package manager, it may.
enum Native {
    Yes(String),
    No,
}

impl Native {
    fn of(context: &ScanContext) -> Self {
        match &context.os {
            Err(reason) => Self::Yes(format!("what may be any system ({reason})")),
            Ok(os) => match os.family() {
                Some(Family::Dpkg) => Self::Yes(format!("this system (ID={})", os.field("ID"))),
                Some(Family::Rpm | Family::Apk | Family::Pacman) => Self::No,
                None => Self::Yes(format!("what may be any system (ID={:?} is not known)", os.field("ID"))),
            },
        }
    }
}

fn read_once(context: &ScanContext) -> Result<DatabaseContents, PlacedError> {
    let mut contents = DatabaseContents::default();
    // The journal first: an entry that dpkg moves into `status` meanwhile is then seen there, and is the newer one.
    let updates = read_dir(context, UPDATES, |name| name.bytes().all(|byte| byte.is_ascii_digit()))?;
    let status = match context.root.read(STATUS, STATUS_BYTES) {
        Ok(bytes) => {
            contents.exists = true;
            parse(&bytes, Form::Status)
        }
        Err(error) if is_absent(&error) => Status::default(),
        Err(error) => return Err((STATUS.to_owned(), error)),
    };
    let open_end = status.open_end.clone();
    contents.add(STATUS, status);
    for (place, bytes) in updates {
        contents.add(&place, parse(&bytes, Form::Status));
    }
    for (place, bytes) in read_dir(context, STATUS_DIR, |name| !name.ends_with(".md5sums"))? {
        contents.exists = true;
        contents.add(&place, parse(&bytes, Form::Control));
    }
    let lists = package_lists(context);
    contents.lists = !lists.is_empty();
    if contents.exists {
        contents.lost = lost(&contents.packages, &lists, open_end);
    }
    Ok(contents)
}

fn read_dir(context: &ScanContext, dir: &str, wanted: fn(&str) -> bool) -> Result<Vec<(String, Vec<u8>)>, PlacedError> {
    let entries = match context.root.list(dir) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err((dir.to_owned(), error)),
    };
    let mut files = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.is_directory && wanted(&entry.name)) {
        let place = format!("{dir}/{}", entry.name);
        match context.root.read(&place, STATUS_BYTES) {
            Ok(bytes) => files.push((place, bytes)),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err((place, error)),
        }
    }
    Ok(files)
}

/// The names of packages that have a file list. A directory that cannot be read gives no evidence either way.
fn package_lists(context: &ScanContext) -> BTreeSet<String> {
    let entries = context.root.list(INFO).unwrap_or_default();
    let name = |file: &str| {
        let package = file.strip_suffix(".list")?;
        Some(package.split_once(':').map_or(package, |(package, _)| package).to_owned())
    };
    entries.iter().filter_map(|entry| name(&entry.name)).collect()
}

fn lost(
    packages: &BTreeMap<(String, String), Package>,
    lists: &BTreeSet<String>,
    open_end: Option<OpenEnd>,
) -> Option<String> {
    let known: BTreeSet<&str> = packages.keys().map(|(name, _)| name.as_str()).collect();
    let mut missing = lists.iter().filter(|name| !known.contains(name.as_str()));
    if let Some(first) = missing.next() {
        let others = missing.count();
        return Some(format!("{STATUS} was cut: {first} and {others} more have file lists but no entry"));
    }
    // Lists that agree prove that no package is missing. Without lists, dpkg's empty last line is the only proof there
    // is, and a stanza that dpkg did not write need not have it.
    open_end
        .filter(|end| lists.is_empty() && end.by_dpkg)
        .map(|end| format!("{STATUS} line {}: the file ends without the empty line after its last stanza", end.line))
}

fn observation(package: Package) -> Observation {
    let Package { name, architecture, version, maintainer, state } = package;
    let id = if architecture.is_empty() { name.clone() } else { format!("{name}:{architecture}") };
    let mut observation = Observation::new(Kind::Deb, name);
    observation.vendor = maintainer;
    observation.version = version;
    observation.id = id;
    observation.state = if state == "ii" { String::new() } else { state };
    observation
}

#[cfg(test)]
#[path = "dpkg_tests.rs"]
mod tests;
