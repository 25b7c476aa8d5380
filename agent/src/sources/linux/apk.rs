//! `apk`: the packages of Alpine and its kin, from the database `installed`.

use muster_proto::model::{Kind, Observation, SourceName};

use super::native::without_packages;
use crate::sources::parse::apk::{Installed, Package, parse};
use crate::sources::parse::os_release::Family;
use crate::sources::{Scene, Sighting, Source, is_absent};

/// Of old, and where `/usr` holds everything.
const PLACES: &[&str] = &["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];
const WORLD: &str = "/etc/apk/world";
/// Ten times a database of all that Alpine has.
const BYTES: usize = 128 * 1024 * 1024;

pub(in crate::sources) struct Apk;

impl Source for Apk {
    fn name(&self) -> SourceName {
        SourceName::Apk
    }

    fn look(&self, scene: &Scene) -> Sighting {
        // What somebody asked for is read first: apk installs before it writes that down.
        let world = scene.root.read_text(WORLD).unwrap_or_default();
        for place in PLACES {
            match scene.root.read(place, BYTES) {
                Ok(bytes) => return sighting(scene, place, parse(&bytes), &world),
                Err(error) if is_absent(&error) => {}
                Err(error) => return Sighting::of_error(place, &error),
            }
        }
        without_packages(scene, Family::Apk, "apk", PLACES[0], false)
    }
}

fn sighting(scene: &Scene, place: &str, installed: Installed, world: &str) -> Sighting {
    let fault = installed.fault.as_ref().map(|fault| format!("{place}, {fault}"));
    let lacking = || {
        let name = installed.first_lacking(world)?;
        Some(format!("{place} has no package {name}, which {WORLD} names"))
    };
    let reason = fault.or_else(lacking);
    if installed.packages.is_empty() && reason.is_none() {
        return without_packages(scene, Family::Apk, "apk", place, true);
    }
    let observations = installed.packages.into_iter().map(observation).collect();
    match reason {
        Some(reason) => Sighting::partial(observations, reason),
        None => Sighting::complete(observations),
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
