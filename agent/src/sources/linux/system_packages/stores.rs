//! Reads one store each: directories whose entries are the index, control files, property lists, and package lists of images.
//!
//! Each function returns the place that it read, or `None` if the store does not exist. What cannot be read or parsed is a
//! problem of the reading; packages that were read before count.

use muster_proto::model::{Kind, Observation};

use super::super::native::Store;
use super::super::reading_builder::ReadingBuilder;
use crate::sources::parse::package_entry::{PackageEntry, of_eopkg, of_pkgtools, of_portage};
use crate::sources::parse::{dpkg, inventory, xbps};
use crate::sources::root::Entry;
use crate::sources::{ScanContext, is_absent};

/// Far more than the largest known file of each kind: 40 MiB for a Void with every package.
const FILE_BYTES: usize = 64 * 1024 * 1024;

/// Portage, pkgtools, eopkg, swupd: an entry for each package.
pub(super) fn directories(context: &ScanContext, store: &Store, builder: &mut ReadingBuilder) -> Option<String> {
    let (place, entries) =
        store.places.iter().find_map(|place| Some((place.clone(), builder.list(context, place)?)))?;
    match store.id.as_str() {
        "portage" => {
            for category in entries.iter().filter(|entry| entry.is_directory && !is_hidden(entry)) {
                let folder = format!("{place}/{}", category.name);
                let Some(packages) = builder.list(context, &folder) else { continue };
                for package in packages.iter().filter(|entry| entry.is_directory && !is_hidden(entry)) {
                    // Portage renames an entry when it is complete; until then its files are not all there.
                    let finished = package.name.strip_prefix("-MERGING-");
                    if finished.is_some() {
                        builder.problem(format!("{folder}/{}: Portage is installing this package", package.name));
                    }
                    let entry = of_portage(finished.unwrap_or(&package.name));
                    add(store, &folder, &package.name, entry, &category.name, builder);
                }
            }
        }
        "pkgtools" => {
            for entry in entries.iter().filter(|entry| !entry.is_directory && !is_hidden(entry)) {
                add(store, &place, &entry.name, of_pkgtools(&entry.name), "", builder);
            }
        }
        "eopkg" => {
            for entry in entries.iter().filter(|entry| entry.is_directory && !is_hidden(entry)) {
                add(store, &place, &entry.name, of_eopkg(&entry.name), "", builder);
            }
        }
        // A bundle has no version of its own: all are of the system's version.
        _ => {
            for entry in entries.iter().filter(|entry| !entry.is_directory && !is_hidden(entry)) {
                let bundle = PackageEntry { name: entry.name.clone(), ..PackageEntry::default() };
                add(store, &place, &entry.name, Some(bundle), "", builder);
            }
        }
    }
    Some(place)
}

fn is_hidden(entry: &Entry) -> bool {
    entry.name.starts_with('.')
}

fn add(
    store: &Store,
    place: &str,
    file: &str,
    entry: Option<PackageEntry>,
    category: &str,
    builder: &mut ReadingBuilder,
) {
    if builder.is_full(place) {
        return;
    }
    let Some(entry) = entry else {
        return builder.problem(format!("{place}/{file} is not a package entry of {}", store.name));
    };
    let mut observation = observation(store, &entry.name, &entry.version, &entry.architecture);
    if !category.is_empty() {
        observation.id = format!("{category}/{}", entry.name);
    }
    builder.observations.push(observation);
}

/// opkg: stanzas as dpkg writes them.
pub(super) fn control(context: &ScanContext, store: &Store, builder: &mut ReadingBuilder) -> Option<String> {
    let (place, bytes) = read(context, store, builder)?;
    let status = dpkg::parse(&bytes, dpkg::Form::Opkg);
    if let Some(fault) = status.fault {
        builder.problem(format!("{} database is damaged at line {} ({place}): {}", store.name, fault.line, fault.what));
    }
    for package in status.packages.into_iter().filter(dpkg::Package::is_there) {
        if builder.is_full(&place) {
            break;
        }
        let mut observation = observation(store, &package.name, &package.version, &package.architecture);
        observation.vendor = package.maintainer;
        observation.state = if package.state == "ii" { String::new() } else { package.state };
        builder.observations.push(observation);
    }
    Some(place)
}

/// xbps: one property list.
pub(super) fn plist(context: &ScanContext, store: &Store, builder: &mut ReadingBuilder) -> Option<String> {
    let (place, bytes) = read(context, store, builder)?;
    let installed = xbps::parse(&bytes);
    if let Some(fault) = installed.fault {
        builder.problem(format!("{} database is damaged ({place}): {fault}", store.name));
    }
    for package in installed.packages {
        if builder.is_full(&place) {
            break;
        }
        let mut observation =
            observation(store, &package.entry.name, &package.entry.version, &package.entry.architecture);
        observation.vendor = package.maintainer;
        // The letters of dpkg for the same states; an unknown word must not hide the package.
        observation.state = match package.state.as_str() {
            "not-installed" => "in",
            "unpacked" => "iU",
            "half-removed" => "rH",
            "broken" => "iF",
            _ => "",
        }
        .to_owned();
        builder.observations.push(observation);
    }
    Some(place)
}

/// The package list of an image.
pub(super) fn inventory(context: &ScanContext, store: &Store, builder: &mut ReadingBuilder) -> Option<String> {
    let (place, bytes) = read(context, store, builder)?;
    let Some(packages) = inventory::parse(&bytes) else {
        builder.problem(format!("{} cannot be parsed ({place})", store.name));
        return Some(place);
    };
    for package in packages {
        if builder.is_full(&place) {
            break;
        }
        let mut observation = observation(store, &package.name, &package.version, &package.architecture);
        observation.vendor = package.publisher;
        builder.observations.push(observation);
    }
    Some(place)
}

/// The first file of the store that exists. A file that cannot be read is a problem, and exists.
fn read(context: &ScanContext, store: &Store, builder: &mut ReadingBuilder) -> Option<(String, Vec<u8>)> {
    for place in &store.places {
        match context.root.read(place, FILE_BYTES) {
            Ok(bytes) => return Some((place.clone(), bytes)),
            Err(error) if is_absent(&error) => {}
            Err(error) => {
                builder.access_failed(place, &error);
                return None;
            }
        }
    }
    None
}

pub(super) fn observation(store: &Store, name: &str, version: &str, architecture: &str) -> Observation {
    let mut observation = Observation::new(Kind::Package, name);
    observation.version = version.to_owned();
    observation.id = if architecture.is_empty() { name.to_owned() } else { format!("{name}.{architecture}") };
    observation.attributes.insert("store".to_owned(), store.id.clone());
    observation
}
