//! `system-packages`: the packages of systems whose own store no other source reads: Portage, pkgtools, eopkg, swupd, opkg,
//! xbps, the package lists of images. It also answers for every system whether its own store was read.
//!
//! Where dpkg, rpm, apk or pacman is the package manager, those sources report it themselves, and this one does not apply.
//! On all others it must be complete for a scan to prove an absence. If this agent cannot read the system's own store, or
//! does not know the system and finds no database of a whole system, the outcome says so, whatever else was read.

mod images;
mod stores;

use muster_proto::model::{Outcome, SourceName};

use super::native::{ReadBy, Store, needed_stores, stores, system_name};
use super::{apk, dpkg, pacman, rpm, snap};
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::{ScanContext, Source, SourceReading};

pub(in crate::sources) struct SystemPackages;

impl Source for SystemPackages {
    fn name(&self) -> SourceName {
        SourceName::SystemPackages
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut builder = ReadingBuilder::default();
        let mut found: Vec<Found> = Vec::new();
        let needed = needed_stores(context);
        // First, because each of them may be as large as everything that this source keeps.
        let others = others(context, needed.as_deref());
        for store in stores().iter().filter(|store| store.read_by.source() == Some(SourceName::SystemPackages)) {
            let is_needed = needed.as_ref().is_none_or(|needed| needed.iter().flatten().any(|one| one.id == store.id));
            if is_needed {
                found.extend(read_store(context, store, &mut builder));
                continue;
            }
            // A folder with the name of a foreign store may be anything, so its damage does not count. Its packages do.
            let mut foreign = ReadingBuilder::default();
            found.extend(read_store(context, store, &mut foreign));
            builder.places_found += usize::from(!foreign.observations.is_empty());
            builder.adopt(store.place(), foreign);
        }
        match &needed {
            Some(needed) => {
                for entry in needed {
                    if entry.iter().any(|store| store.read_by == ReadBy::Image) {
                        images::read(context, &mut builder);
                    } else if let Err(reason) = check(context, entry, &found, &others, &mut builder) {
                        builder.problem(reason);
                    }
                }
            }
            None => {
                if let Err(reason) = check_unknown(context, &found, &others) {
                    builder.problem(reason);
                }
            }
        }
        builder.keep_distinct();
        builder.finish(&not_applicable(context, needed))
    }
}

/// A store that exists, and how many packages of it were read.
struct Found {
    store: &'static Store,
    place: String,
    packages: usize,
    has_base: bool,
    is_whole: bool,
}

fn read_store(context: &ScanContext, store: &'static Store, builder: &mut ReadingBuilder) -> Option<Found> {
    let before = builder.observations.len();
    let place = match store.read_by {
        ReadBy::Directories => stores::directories(context, store, builder),
        ReadBy::Control => stores::control(context, store, builder),
        ReadBy::Plist => stores::plist(context, store, builder),
        ReadBy::Inventory => stores::inventory(context, store, builder),
        ReadBy::Image | ReadBy::Dpkg | ReadBy::Rpm | ReadBy::Apk | ReadBy::Pacman | ReadBy::Snap | ReadBy::Nothing => {
            None
        }
    }?;
    builder.places_found += 1;
    let packages = builder.observations.get(before..).unwrap_or_default();
    let (has_base, is_whole) = (store.has_base(packages), store.is_whole(packages));
    Some(Found { store, place, packages: packages.len(), has_base, is_whole })
}

/// Whether one of these stores was read and is that of a whole system.
fn check(
    context: &ScanContext,
    entry: &[&'static Store],
    found: &[Found],
    others: &[Other],
    builder: &mut ReadingBuilder,
) -> Result<(), String> {
    let [store] = entry else {
        let is_of_entry = |id: &str| entry.iter().any(|store| store.id == id);
        if found.iter().any(|one| one.has_base && is_of_entry(&one.store.id))
            || others.iter().any(|one| one.has_base && is_of_entry(one.id))
        {
            return Ok(());
        }
        let mut names = entry.iter().map(|store| store.name.as_str()).collect::<Vec<_>>();
        let last = names.pop().unwrap_or_default();
        return Err(format!(
            "{} keeps its packages in {} or {last}, and none of them holds a whole system",
            system_name(context),
            names.join(", ")
        ));
    };
    match store.read_by {
        ReadBy::Dpkg | ReadBy::Rpm | ReadBy::Apk | ReadBy::Pacman => Ok(()),
        ReadBy::Nothing => Err(format!(
            "packages of {} are in {}, which this agent does not read",
            system_name(context),
            store.place()
        )),
        ReadBy::Snap => {
            let snaps = snap::Snap.read(context);
            if snaps.outcome == Outcome::Found {
                // The snaps themselves are in the section of `snap`.
                builder.places_found += 1;
                return Ok(());
            }
            let system = system_name(context);
            if snaps.outcome == Outcome::NotApplicable || snaps.outcome == Outcome::Empty {
                return Err(format!("{system} has only snaps, and none were found in {}", store.place()));
            }
            Err(format!("{system} has only snaps, and not all were read: {}", snaps.reason))
        }
        ReadBy::Directories | ReadBy::Control | ReadBy::Plist | ReadBy::Inventory | ReadBy::Image => {
            // The packages of a damaged database count, and the damage is recorded already.
            match found.iter().find(|one| one.store.id == store.id) {
                Some(one) if one.has_base || builder.has_problem() => Ok(()),
                Some(one) if one.packages > 0 => Err(store.without_base(&one.place, one.packages)),
                Some(one) => Err(no_packages(context, store, "empty", &one.place)),
                None => Err(no_packages(context, store, "missing", store.place())),
            }
        }
    }
}

fn no_packages(context: &ScanContext, store: &Store, how: &str, place: &str) -> String {
    let database = if store.read_by == ReadBy::Inventory { "" } else { "the package database of " };
    let (name, system) = (&store.name, system_name(context));
    format!("{database}{name} is {how} ({place}), so the packages of {system} are unknown")
}

/// A store that another source reads completely.
struct Other {
    id: &'static str,
    has_base: bool,
    is_whole: bool,
}

/// The stores of other sources, where the name of the system does not say which store is its own.
fn others(context: &ScanContext, needed: Option<&[Vec<&'static Store>]>) -> Vec<Other> {
    let is_wanted = |store: &Store| match needed {
        Some(needed) => needed.iter().any(|entry| entry.len() > 1 && entry.iter().any(|one| one.id == store.id)),
        None => true,
    };
    let other = |store: &'static Store| {
        let reading = reading_of(context, store).filter(|reading| reading.outcome == Outcome::Found)?;
        let packages = &reading.observations;
        Some(Other { id: &store.id, has_base: store.has_base(packages), is_whole: store.is_whole(packages) })
    };
    stores().iter().filter(|store| is_wanted(store)).filter_map(other).collect()
}

/// What the source of a store reads. Only on systems whose name does not say which store is theirs.
fn reading_of(context: &ScanContext, store: &Store) -> Option<SourceReading> {
    match store.read_by {
        ReadBy::Dpkg => Some(dpkg::Dpkg.read(context)),
        ReadBy::Rpm => Some(rpm::Rpm.read(context)),
        ReadBy::Apk => Some(apk::Apk.read(context)),
        ReadBy::Pacman => Some(pacman::Pacman.read(context)),
        ReadBy::Snap
        | ReadBy::Directories
        | ReadBy::Control
        | ReadBy::Plist
        | ReadBy::Inventory
        | ReadBy::Image
        | ReadBy::Nothing => None,
    }
}

/// Whether the packages of an unknown system were read. Its name does not tell which store is its own, so the content must:
/// a database with its manager and the base of a system was made by installing that system, one with a few packages was not.
fn check_unknown(context: &ScanContext, found: &[Found], others: &[Other]) -> Result<(), String> {
    let system = system_name(context);
    for store in stores().iter().filter(|store| store.read_by == ReadBy::Nothing) {
        if matches!(context.root.kind_at(store.place()), Ok(Some(_))) {
            let (name, place) = (&store.name, store.place());
            return Err(format!(
                "this agent does not know {system}, and {name}, which it does not read, has packages in {place}"
            ));
        }
    }
    if found.iter().any(|one| one.is_whole) || others.iter().any(|one| one.is_whole) {
        return Ok(());
    }
    Err(format!("this agent does not know {system}, and found no package database with a base system"))
}

/// Why there is nothing to read for this source.
fn not_applicable(context: &ScanContext, needed: Option<Vec<Vec<&'static Store>>>) -> String {
    let names = needed.iter().flatten().flatten().map(|store| store.name.as_str()).collect::<Vec<_>>();
    if names.is_empty() {
        return "another source reads the package database of this system".to_owned();
    }
    format!("packages of {} are in the database of {}", system_name(context), names.join(" or "))
}

#[cfg(all(test, unix))]
#[path = "system_packages_tests.rs"]
mod tests;
