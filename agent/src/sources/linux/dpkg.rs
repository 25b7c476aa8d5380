//! `dpkg`: the packages of Debian and its derivatives, from `/var/lib/dpkg`.
//!
//! It reads `status`, the journal in `updates/` that a running or killed dpkg leaves, and `status.d/` in images that were
//! built without dpkg. dpkg replaces `status` by a rename, so one open file is one consistent database. The result is
//! compared with the file lists in `info/`: a package with a list but without a stanza has been lost from `status`. This
//! detects a truncation between two stanzas, which leaves a well-formed file.
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use muster_proto::model::{Kind, Observation, SourceName};

use super::native::{ReadBy, with_packages, without_packages};
use crate::sources::parse::dpkg::{DpkgFault, Form, OpenEnd, Package, Status, parse};
use crate::sources::reading_builder::{ReadingBuilder, has_replaced_bytes};
use crate::sources::{ScanContext, Source, SourceReading, is_absent};

const STATUS: &str = "/var/lib/dpkg/status";
const STATUS_DIR: &str = "/var/lib/dpkg/status.d";
const UPDATES: &str = "/var/lib/dpkg/updates";
const INFO: &str = "/var/lib/dpkg/info";
/// More than the largest known database, 12.8 MiB. It is in memory as a whole, beside what the other sources read.
const STATUS_BYTES: usize = 16 * 1024 * 1024;
/// The bytes of all journal files. dpkg keeps at most a few hundred, each with one stanza.
const UPDATES_BYTES: usize = 2 * 1024 * 1024;

pub(in crate::sources) struct Dpkg;

impl Source for Dpkg {
    fn name(&self) -> SourceName {
        SourceName::Dpkg
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        // If file lists and stanzas disagree, read again: dpkg may have been running between the two reads.
        let mut contents = read_once(context);
        if matches!(contents, Ok(DatabaseContents { missing: Some(_), .. })) {
            // Both would be in memory at once.
            drop(contents);
            contents = read_once(context);
        }
        contents
            .map_or_else(|(place, error)| SourceReading::of_error(&place, &error), |contents| contents.reading(context))
    }
}

type PlacedError = (String, io::Error);

/// What was read from the database, before it is decided what that means on this system.
#[derive(Default)]
struct DatabaseContents {
    exists: bool,
    has_file_lists: bool,
    packages: BTreeMap<(String, String), Package>,
    damage: Option<String>,
    missing: Option<String>,
}

impl DatabaseContents {
    fn add(&mut self, place: &str, status: Status) {
        if let Some(fault) = status.fault {
            self.damage.get_or_insert_with(|| damage(place, &fault));
        }
        for package in status.packages {
            // A later file replaces the entry: the journal is newer than `status`.
            self.packages.insert((package.name.clone(), package.architecture.clone()), package);
        }
    }

    fn reading(self, context: &ScanContext) -> SourceReading {
        let reason = self.damage.or(self.missing);
        if self.packages.is_empty() {
            return match reason {
                Some(reason) => SourceReading::failed(reason),
                None if !self.exists && self.has_file_lists => SourceReading::failed(format!(
                    "dpkg database is missing ({STATUS}), but there are file lists in {INFO}"
                )),
                None => without_packages(context, ReadBy::Dpkg, STATUS, self.exists),
            };
        }
        let mut builder = ReadingBuilder::default();
        let there = self.packages.into_values().filter(Package::is_there);
        there.for_each(|package| builder.add(STATUS, observation(package)));
        reason.into_iter().for_each(|reason| builder.problem(reason));
        if builder.has_problem() {
            return builder.finish("");
        }
        with_packages(context, ReadBy::Dpkg, STATUS, builder.observations)
    }
}

fn read_once(context: &ScanContext) -> Result<DatabaseContents, PlacedError> {
    let mut contents = DatabaseContents::default();
    // Read the journal before `status`: if dpkg moves an entry over in between, `status` has it, and that is the newer one.
    let updates = read_dir(context, UPDATES, Form::Status, |name| name.bytes().all(|byte| byte.is_ascii_digit()))?;
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
    for (place, status) in updates {
        contents.add(&place, status);
    }
    for (place, status) in read_dir(context, STATUS_DIR, Form::Control, |name| !name.ends_with(".md5sums"))? {
        contents.exists = true;
        contents.add(&place, status);
    }
    let lists = package_lists(context);
    contents.has_file_lists = !lists.is_empty();
    if contents.exists {
        contents.missing = missing_packages(&contents.packages, &lists, open_end);
    }
    Ok(contents)
}

/// The databases in the files of a directory.
fn read_dir(
    context: &ScanContext,
    dir: &str,
    form: Form,
    wanted: fn(&str) -> bool,
) -> Result<Vec<(String, Status)>, PlacedError> {
    let mut rest = UPDATES_BYTES;
    let entries = match context.root.list(dir) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err((dir.to_owned(), error)),
    };
    let mut files = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.is_directory && wanted(&entry.name)) {
        let place = format!("{dir}/{}", entry.name);
        match context.root.read(&place, rest) {
            Ok(bytes) => {
                rest -= bytes.len();
                files.push((place, parse(&bytes, form)));
            }
            // dpkg removes a journal file once `status` contains it, and `status` is read afterwards.
            Err(error) if is_absent(&error) && !entry.is_link && !has_replaced_bytes(&entry.name) => {}
            Err(error) => return Err((place, error)),
        }
    }
    Ok(files)
}

/// The names of packages with a file list. A directory that cannot be read proves nothing, so it counts as empty.
fn package_lists(context: &ScanContext) -> BTreeSet<String> {
    let entries = context.root.list(INFO).unwrap_or_default();
    let name = |file: &str| {
        let package = file.strip_suffix(".list")?;
        // The list of a multi-arch package is called `name:architecture.list`.
        Some(package.split_once(':').map_or(package, |(package, _)| package).to_owned())
    };
    entries.iter().filter_map(|entry| name(&entry.name)).collect()
}

fn missing_packages(
    packages: &BTreeMap<(String, String), Package>,
    lists: &BTreeSet<String>,
    open_end: Option<OpenEnd>,
) -> Option<String> {
    let present: BTreeSet<&str> = packages.keys().map(|(name, _)| name.as_str()).collect();
    let mut missing = lists.iter().filter(|name| !present.contains(name.as_str()));
    if let Some(first) = missing.next() {
        let packages = match missing.count() {
            0 => format!("{first} has a file list but no entry"),
            others => format!("{first} and {others} more have file lists but no entries"),
        };
        return Some(format!("dpkg database is truncated ({STATUS}): {packages}"));
    }
    // File lists that agree with the stanzas prove that nothing is missing. Without lists, the empty line that dpkg writes
    // after the last stanza is the only proof. A stanza that was not written by dpkg need not have it.
    open_end.filter(|end| lists.is_empty() && end.by_dpkg).map(|end| truncated(STATUS, end.line))
}

fn damage(place: &str, fault: &DpkgFault) -> String {
    if fault.truncated {
        return truncated(place, fault.line);
    }
    format!("dpkg database is damaged at line {} ({place}): {}", grouped(fault.line), fault.what)
}

fn truncated(place: &str, line: usize) -> String {
    format!("dpkg database is truncated at line {} ({place})", grouped(line))
}

/// A number with commas between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
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

#[cfg(all(test, unix))]
#[path = "dpkg_tests.rs"]
mod tests;
