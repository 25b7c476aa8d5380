//! `pacman`: the packages of Arch and its kin, one directory each below `local`.
//!
//! The directories are the index: an entry whose `desc` is missing or broken is still a package, named by its
//! directory, and the scan is then partial.

use muster_proto::model::{Kind, Observation, SourceName};

use super::findings::Findings;
use super::native::without_packages;
use crate::sources::parse::os_release::Family;
use crate::sources::parse::pacman::{Package, of_directory, parse};
use crate::sources::{ScanContext, Source, SourceReading, is_absent};

const LOCAL: &str = "/var/lib/pacman/local";
const DESC_BYTES: usize = 1024 * 1024;

pub(in crate::sources) struct Pacman;

impl Source for Pacman {
    fn name(&self) -> SourceName {
        SourceName::Pacman
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let entries = match context.root.list(LOCAL) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => {
                return without_packages(context, Family::Pacman, "pacman", LOCAL, false);
            }
            Err(error) => return SourceReading::of_error(LOCAL, &error),
        };
        let mut findings = Findings::default();
        findings.places += 1;
        for entry in entries.iter().filter(|entry| entry.is_directory) {
            package(context, &entry.name, &mut findings);
        }
        if findings.observations.is_empty() && findings.fault().is_none() {
            return without_packages(context, Family::Pacman, "pacman", LOCAL, true);
        }
        findings.reading("there is no pacman database")
    }
}

fn package(context: &ScanContext, directory: &str, findings: &mut Findings) {
    let place = format!("{LOCAL}/{directory}/desc");
    let bytes = match context.root.read(&place, DESC_BYTES) {
        Ok(bytes) => bytes,
        Err(error)
            if is_absent(&error) && context.root.stands(&format!("{LOCAL}/{directory}")).is_ok_and(|s| s.is_none()) =>
        {
            // Removed since the directory was listed.
            return;
        }
        Err(error) => {
            findings.refused(&place, &error);
            Vec::new()
        }
    };
    let (mut package, fault) = parse(&bytes);
    if let Some(fault) = fault {
        findings.broken(format!("{LOCAL}/{directory}/{fault}"));
    }
    let Some((name, version)) = of_directory(directory) else {
        return findings.broken(format!("{LOCAL}/{directory} is no entry of pacman's"));
    };
    if package.name.is_empty() || package.version.is_empty() {
        package = Package { name: name.to_owned(), version: version.to_owned(), ..package };
    } else if (package.name.as_str(), package.version.as_str()) != (name, version) {
        findings.broken(format!("{place} is of another package"));
    }
    findings.observations.push(observation(package));
}

fn observation(package: Package) -> Observation {
    let Package { name, version, architecture, packager } = package;
    let id = if architecture.is_empty() { name.clone() } else { format!("{name}.{architecture}") };
    let mut observation = Observation::new(Kind::Pacman, name);
    observation.vendor = packager;
    observation.version = version;
    observation.id = id;
    observation
}

#[cfg(test)]
#[path = "pacman_tests.rs"]
mod tests;
