//! Reads one store each: directories whose entries are the index, control files, property lists, and package lists of images.
//!
//! Each function returns the place that it read, or `None` if the store does not exist. What cannot be read or parsed is a
//! problem of the reading; packages that were read before count.

use muster_proto::model::{Kind, Observation};

use super::super::native::Store;
use crate::memory::PACKAGES;
use crate::sources::ScanContext;
use crate::sources::parse::package_entry::{PackageEntry, of_eopkg, of_pkgtools, of_portage};
use crate::sources::parse::{dpkg, inventory, xbps};
use crate::sources::reading_builder::{ReadingBuilder, has_replaced_bytes};
use crate::sources::root::{Entry, FileKind};

/// Far more than the largest known file of each kind: 40 MiB for a Void with every package.
const FILE_BYTES: usize = 8 * 1024 * 1024;

/// Portage, pkgtools, eopkg, swupd: an entry for each package. An old folder must not hide the one in use, so all are read.
pub(super) fn directories(context: &ScanContext, store: &Store, builder: &mut ReadingBuilder) -> Option<String> {
    let mut first = None;
    for place in &store.places {
        let Some(entries) = builder.list(context, place) else { continue };
        directory(context, store, place, &entries, builder);
        first.get_or_insert_with(|| place.clone());
    }
    first
}

fn directory(context: &ScanContext, store: &Store, place: &str, entries: &[Entry], builder: &mut ReadingBuilder) {
    match store.id.as_str() {
        "portage" => {
            for category in folders(context, place, entries, builder) {
                let folder = format!("{place}/{}", category.name);
                let Some(packages) = builder.list(context, &folder) else { continue };
                for package in folders(context, &folder, &packages, builder) {
                    // Portage renames an entry when it is complete; until then its files are not all there.
                    let finished = package.name.strip_prefix("-MERGING-");
                    if finished.is_some() {
                        builder.problem(format!(
                            "{folder}/{}: Portage is installing this package; scan again when it has finished",
                            package.name
                        ));
                    }
                    let entry = of_portage(finished.unwrap_or(&package.name));
                    add(store, &folder, &package.name, entry, &category.name, builder);
                }
            }
        }
        "pkgtools" => {
            for entry in entries.iter().filter(|entry| !entry.is_directory && !is_hidden(entry)) {
                add(store, place, &entry.name, of_pkgtools(&entry.name), "", builder);
            }
        }
        "eopkg" => {
            for entry in folders(context, place, entries, builder) {
                add(store, place, &entry.name, of_eopkg(&entry.name), "", builder);
            }
        }
        // A bundle has no version of its own: all are of the system's version.
        _ => {
            for entry in entries.iter().filter(|entry| !entry.is_directory && !is_hidden(entry)) {
                let bundle = PackageEntry { name: entry.name.clone(), ..PackageEntry::default() };
                add(store, place, &entry.name, Some(bundle), "", builder);
            }
        }
    }
}

/// The folders among these entries, and links to folders. A link that leads nowhere may be to a disk that is not mounted, so
/// it is a problem of the reading.
fn folders<'a>(
    context: &ScanContext,
    place: &str,
    entries: &'a [Entry],
    builder: &mut ReadingBuilder,
) -> Vec<&'a Entry> {
    let mut folders = Vec::new();
    for entry in entries.iter().filter(|entry| !is_hidden(entry)) {
        let path = format!("{place}/{}", entry.name);
        if has_replaced_bytes(&entry.name) {
            builder.problem(format!("cannot read {path}: the name is not UTF-8"));
        }
        let is_folder = entry.is_directory
            || entry.is_link
                && match context.root.kind_at(&path) {
                    Ok(Some(FileKind::BrokenLink) | None) => {
                        builder.problem(format!("link {path} leads nowhere"));
                        false
                    }
                    Ok(kind) => kind == Some(FileKind::Directory),
                    Err(error) => {
                        builder.access_failed(&path, &error);
                        false
                    }
                };
        if is_folder {
            folders.push(entry);
        }
    }
    folders
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
    if has_replaced_bytes(file) {
        builder.problem(format!("{place}/{file}: the name of the entry is not UTF-8"));
    }
    let mut observation = observation(store, &entry.name, &entry.version, &entry.architecture);
    if !category.is_empty() {
        observation.id = format!("{category}/{}", entry.name);
    }
    builder.add(place, observation);
}

/// opkg: stanzas as dpkg writes them.
pub(super) fn control(context: &ScanContext, store: &Store, builder: &mut ReadingBuilder) -> Option<String> {
    each_file(context, store, builder, |place, bytes, builder| {
        let status = dpkg::parse(&bytes, dpkg::Form::Opkg);
        // Not in memory beside the observations.
        drop(bytes);
        if let Some(fault) = status.fault {
            let (name, line, what) = (&store.name, fault.line, fault.what);
            builder.problem(format!("{name} database is damaged at line {line} ({place}): {what}"));
        }
        for package in status.packages.into_iter().filter(dpkg::Package::is_there) {
            if builder.is_full(place) {
                break;
            }
            let mut observation = observation(store, &package.name, &package.version, &package.architecture);
            observation.vendor = package.maintainer;
            observation.state = if package.state == "ii" { String::new() } else { package.state };
            builder.add(place, observation);
        }
    })
}

/// xbps: one property list.
pub(super) fn plist(context: &ScanContext, store: &Store, builder: &mut ReadingBuilder) -> Option<String> {
    each_file(context, store, builder, |place, bytes, builder| {
        let installed = xbps::parse(&bytes);
        drop(bytes);
        if let Some(fault) = installed.fault {
            builder.problem(format!("{} database is damaged ({place}): {fault}", store.name));
        }
        for package in installed.packages {
            if builder.is_full(place) {
                break;
            }
            let entry = &package.entry;
            let mut observation = observation(store, &entry.name, &entry.version, &entry.architecture);
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
            builder.add(place, observation);
        }
    })
}

/// The package list of an image.
pub(super) fn inventory(context: &ScanContext, store: &Store, builder: &mut ReadingBuilder) -> Option<String> {
    each_file(context, store, builder, |place, bytes, builder| {
        let Some(packages) = inventory::parse(&bytes) else {
            return builder
                .problem(format!("{} cannot be parsed, or has more than {PACKAGES} packages ({place})", store.name));
        };
        drop(bytes);
        for package in packages {
            if builder.is_full(place) {
                break;
            }
            if package.name.trim().is_empty() {
                builder.problem(format!("{} has a package without a name ({place})", store.name));
                continue;
            }
            let mut observation = observation(store, &package.name, &package.version, &package.architecture);
            observation.vendor = package.publisher;
            builder.add(place, observation);
        }
    })
}

/// Reads every file of the store that exists: an old one must not hide the one in use. Returns the first of them. One that
/// cannot be read is a problem.
fn each_file(
    context: &ScanContext,
    store: &Store,
    builder: &mut ReadingBuilder,
    mut read: impl FnMut(&str, Vec<u8>, &mut ReadingBuilder),
) -> Option<String> {
    let mut first = None;
    for place in &store.places {
        let Some(bytes) = builder.read(context, place, FILE_BYTES) else { continue };
        read(place, bytes, builder);
        first.get_or_insert_with(|| place.clone());
    }
    first
}

pub(super) fn observation(store: &Store, name: &str, version: &str, architecture: &str) -> Observation {
    let mut observation = Observation::new(Kind::Package, name);
    observation.version = version.to_owned();
    observation.id = if architecture.is_empty() { name.to_owned() } else { format!("{name}.{architecture}") };
    observation.attributes.insert("store".to_owned(), store.id.clone());
    observation
}
