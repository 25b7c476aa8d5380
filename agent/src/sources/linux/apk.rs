//! `apk`: the packages of Alpine and its derivatives, from the database `installed`.

use muster_proto::model::{Kind, Observation, SourceName};

use super::native::{ReadBy, with_packages, without_packages};
use crate::sources::parse::apk::{Installed, Package, parse};
use crate::sources::{ScanContext, Source, SourceReading, is_absent};

/// The classic path, and that of systems with a merged `/usr`.
const PLACES: &[&str] = &["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];
const WORLD: &str = "/etc/apk/world";
/// Ten times the size of a database with every package of Alpine.
const BYTES: usize = 128 * 1024 * 1024;

pub(in crate::sources) struct Apk;

impl Source for Apk {
    fn name(&self) -> SourceName {
        SourceName::Apk
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        // Read `world` before the database: apk installs a package first and then adds it to `world`, so a package in this copy
        // must be in the database.
        let world = context.root.read_text(WORLD).unwrap_or_default();
        for place in PLACES {
            match context.root.read(place, BYTES) {
                Ok(bytes) => return reading(context, place, parse(&bytes), &world),
                Err(error) if is_absent(&error) => {}
                Err(error) => return SourceReading::of_error(place, &error),
            }
        }
        without_packages(context, ReadBy::Apk, PLACES[0], false)
    }
}

fn reading(context: &ScanContext, place: &str, installed: Installed, world: &str) -> SourceReading {
    let fault = installed.fault.as_ref().map(|fault| format!("apk database is damaged at {fault} ({place})"));
    let missing = || {
        let name = installed.first_missing(world)?;
        Some(format!("apk database is incomplete ({place}): no package {name}, which {WORLD} names"))
    };
    let reason = fault.or_else(missing);
    if installed.packages.is_empty() && reason.is_none() {
        return without_packages(context, ReadBy::Apk, place, true);
    }
    let observations = installed.packages.into_iter().map(observation).collect();
    match reason {
        Some(reason) => SourceReading::partial(observations, reason),
        None => with_packages(context, ReadBy::Apk, place, observations),
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

#[cfg(test)]
#[path = "apk_tests.rs"]
mod tests;
