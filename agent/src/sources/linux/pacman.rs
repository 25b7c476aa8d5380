//! `pacman`: the packages of Arch and its derivatives, one directory each below `local`.
//!
//! The directories are the index. An entry whose `desc` is missing or damaged still counts as a package, named by its
//! directory, and the outcome is then `partial`.

use muster_proto::model::{Kind, Observation, SourceName};

use super::native::{ReadBy, with_packages, without_packages, without_repeats};
use crate::sources::parse::pacman::{Package, of_directory, parse};
use crate::sources::reading_builder::{ReadingBuilder, has_replaced_bytes};
use crate::sources::{ScanContext, Source, SourceReading, is_absent};

/// The classic path, and that of SteamOS, whose `/var` is not part of the image.
const PLACES: &[&str] = &["/var/lib/pacman/local", "/usr/lib/holo/pacmandb/local"];
const DESC_BYTES: usize = 1024 * 1024;

pub(in crate::sources) struct Pacman;

impl Source for Pacman {
    fn name(&self) -> SourceName {
        SourceName::Pacman
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut builder = ReadingBuilder::default();
        let mut last = PLACES[0];
        for local in PLACES {
            let Some(entries) = builder.list(context, local) else { continue };
            builder.places_found += 1;
            last = local;
            for entry in entries.iter().filter(|entry| entry.is_directory || entry.is_link) {
                if builder.is_full(local) {
                    break;
                }
                package(context, local, &entry.name, &mut builder);
            }
        }
        if builder.has_problem() {
            return builder.finish("pacman is not installed");
        }
        if builder.observations.is_empty() {
            return without_packages(context, ReadBy::Pacman, last, builder.places_found > 0);
        }
        with_packages(context, ReadBy::Pacman, last, without_repeats(builder.observations))
    }
}

fn package(context: &ScanContext, local: &str, directory: &str, builder: &mut ReadingBuilder) {
    let place = format!("{local}/{directory}/desc");
    let bytes = match context.root.read(&place, DESC_BYTES) {
        Ok(bytes) => bytes,
        Err(error)
            if is_absent(&error)
                && !has_replaced_bytes(directory)
                && context.root.kind_at(&format!("{local}/{directory}")).is_ok_and(|kind| kind.is_none()) =>
        {
            // The package was removed since the directory was listed.
            return;
        }
        Err(error) => {
            builder.access_failed(&place, &error);
            Vec::new()
        }
    };
    let (mut package, fault) = parse(&bytes);
    if let Some(fault) = fault {
        builder.problem(format!("{local}/{directory}/{fault}"));
    }
    let Some((name, version)) = of_directory(directory) else {
        return builder.problem(format!("{local}/{directory} is not a package entry"));
    };
    // The name of the directory repeats both, so a damaged entry still names its package.
    if package.name.is_empty() || package.version.is_empty() {
        package = Package { name: name.to_owned(), version: version.to_owned(), ..package };
    } else if (package.name.as_str(), package.version.as_str()) != (name, version) {
        builder.problem(format!("{place} describes a different package"));
    }
    builder.add(local, observation(package));
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

#[cfg(all(test, unix))]
#[path = "pacman_tests.rs"]
mod tests;
