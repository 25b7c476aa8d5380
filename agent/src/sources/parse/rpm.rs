//! rpm databases: `rpmdb.sqlite`, the Berkeley DB hash `Packages`, and ndb (`Packages.db`).
//!
//! All three contain one header blob per package and differ in how they store it. Only the start of each blob is read. Where
//! a database has redundant information (an index of names, an element count, a slot table), the packages are checked
//! against it, so that an incomplete database is noticed.

mod berkeley;
mod header;
mod ndb;

use std::collections::BTreeMap;

use super::paged::{Lazy, PagedFault, Storage};
use super::space::Space;
use super::sqlite::{Column, Database};

pub use header::Package;

/// The parsed database. Packages before and after a fault are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packages {
    /// The packages, in database order.
    pub packages: Vec<Package>,
    /// The first fault.
    pub fault: Option<PagedFault>,
    space: Space,
}

impl Packages {
    fn failed(fault: PagedFault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    fn keep(&mut self, fault: PagedFault) {
        self.fault.get_or_insert(fault);
    }

    /// Parses the blob of one package; `None` when it is damaged.
    fn add(&mut self, blob: Result<Lazy<'_>, PagedFault>) -> Option<&Package> {
        match blob.and_then(|mut blob| header::read(&mut blob)) {
            Ok(package) => {
                let Package { name, version, architecture, vendor } = &package;
                if !self.space.take([name, version, architecture, vendor]) {
                    let place = format!("package {}", self.packages.len());
                    self.keep(PagedFault::at(place, "the database has too many packages"));
                    return None;
                }
                self.packages.push(package);
                self.packages.last()
            }
            Err(fault) => {
                self.keep(fault);
                None
            }
        }
    }
}

/// Parses `rpmdb.sqlite` with its write-ahead log.
#[must_use]
pub fn of_sqlite(main: &dyn Storage, wal: Option<&dyn Storage>) -> Packages {
    let database = match Database::open(main, wal) {
        Ok(database) => database,
        Err(fault) => return Packages::failed(fault),
    };
    let mut found = Packages::default();
    let mut places: BTreeMap<i64, usize> = BTreeMap::new();
    let faults = database.table("Packages", &mut |mut row| {
        let key = row.key;
        let columns = row.columns()?;
        // The rowid is rpm's number of the package, by which the index of names refers to it.
        if found.add(row.bytes(columns.get(1))).is_some() {
            places.insert(key, found.packages.len() - 1);
        }
        Ok(())
    });
    match faults {
        Ok(faults) => faults.into_iter().for_each(|fault| found.keep(fault)),
        Err(fault) => found.keep(fault),
    }
    // Only the first fault is kept, and a damaged package would only be reported again as missing.
    if found.fault.is_none()
        && let Err(fault) = check_against_index(&database, &found.packages, &places)
    {
        found.keep(fault);
    }
    found
}

/// rpm keeps an index of package names; each of its entries must have its package.
fn check_against_index(
    database: &Database<'_>,
    packages: &[Package],
    places: &BTreeMap<i64, usize>,
) -> Result<(), PagedFault> {
    let faults = database.table("Name", &mut |mut row| {
        let columns = row.columns()?;
        let name = row.text(columns.first())?;
        let package = match columns.get(1) {
            Some(Column::Integer(number)) => places.get(number).and_then(|at| packages.get(*at)),
            _ => None,
        };
        if package.is_some_and(|package| package.name == name) {
            Ok(())
        } else {
            Err(PagedFault::at(format!("package {name}"), "is in the index of names but has no header"))
        }
    })?;
    faults.into_iter().next().map_or(Ok(()), Err)
}

/// Parses a Berkeley DB hash database.
#[must_use]
pub fn of_berkeley(storage: &dyn Storage) -> Packages {
    let mut found = Packages::default();
    if let Err(fault) = berkeley::read(storage, &mut found) {
        found.keep(fault);
    }
    found
}

/// Parses an ndb database.
#[must_use]
pub fn of_ndb(storage: &dyn Storage) -> Packages {
    let mut found = Packages::default();
    if let Err(fault) = ndb::read(storage, &mut found) {
        found.keep(fault);
    }
    found
}

#[cfg(test)]
#[path = "rpm_tests.rs"]
mod tests;
