//! `apk`: the packages of Alpine and its derivatives, from the database `installed`.

use muster_proto::model::{Kind, Observation, SourceName};

use super::native::{ReadBy, with_packages, without_packages, without_repeats};
use crate::sources::parse::apk::{Package, parse, wanted};
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::{ScanContext, Source, SourceReading};

/// The classic path, and that of systems with a merged `/usr`.
const PLACES: &[&str] = &["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];
const WORLD: &str = "/etc/apk/world";
/// Five times the size of a database with every package of Alpine.
const BYTES: usize = 8 * 1024 * 1024;

pub(in crate::sources) struct Apk;

impl Source for Apk {
    fn name(&self) -> SourceName {
        SourceName::Apk
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        // Read `world` before the database: apk installs a package first and then adds it to `world`, so a package in this copy
        // must be in the database.
        let world = context.root.read_text(WORLD).unwrap_or_default();
        let mut builder = ReadingBuilder::default();
        let mut missing = wanted(&world);
        let mut named = None;
        // A copy of an old database in one place must not hide the one that apk uses in another, so both are read.
        for place in PLACES {
            let Some(bytes) = builder.read(context, place, BYTES) else { continue };
            let installed = parse(&bytes);
            // Not in memory beside the observations.
            drop(bytes);
            if let Some(fault) = &installed.fault {
                builder.problem(format!("apk database is damaged at {fault} ({place})"));
            }
            if named.is_none() || builder.observations.is_empty() {
                named = Some(*place);
            }
            installed.find(&mut missing);
            installed.packages.into_iter().for_each(|package| builder.add(place, observation(package)));
        }
        let place = named.unwrap_or(PLACES[0]);
        if let Some(name) = named.and(missing.first()) {
            builder.problem(format!("apk database is incomplete ({place}): no package {name}, which {WORLD} names"));
        }
        if builder.has_problem() {
            return builder.finish("apk is not installed");
        }
        if builder.observations.is_empty() {
            return without_packages(context, ReadBy::Apk, place, named.is_some());
        }
        with_packages(context, ReadBy::Apk, place, without_repeats(builder.observations))
    }
}

fn observation(package: Package) -> Observation {
    let Package { name, version, architecture, maintainer } = package;
    let id = if architecture.is_empty() { name.clone() } else { format!("{name}.{architecture}") };
    let mut observation = Observation::new(Kind::Apk, name);
    observation.vendor = maintainer;
    observation.version = version;
    observation.id = id;
    observation
}

#[cfg(all(test, unix))]
#[path = "apk_tests.rs"]
mod tests;
