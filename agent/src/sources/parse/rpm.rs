//! rpm databases: the packages in `rpmdb.sqlite`, in a Berkeley DB hash (`Packages`) and in ndb (`Packages.db`).
//!
//! All three hold one header blob for each package; they differ in how they store it. Of each blob only the head is
//! read. What a database says of itself is held against what was found (the index of names, the count of elements, the
//! slots), so that one from which something was lost does not look whole.

mod berkeley;
mod header;
mod ndb;

use std::collections::BTreeMap;

use super::paged::{Lazy, PagedFault, Storage};
use super::sqlite::{Column, Database};

pub use header::Package;

/// What was read, and the first fault. Packages before and after a fault are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packages {
    /// The packages, in the order in which the database has them.
    pub packages: Vec<Package>,
    /// The first fault.
    pub fault: Option<PagedFault>,
}

impl Packages {
    fn failed(fault: PagedFault) -> Self {
        Self { packages: Vec::new(), fault: Some(fault) }
    }

    fn keep(&mut self, fault: PagedFault) {
        self.fault.get_or_insert(fault);
    }

    /// Reads the blob of one package; `None` when it is broken.
    fn add(&mut self, blob: Result<Lazy<'_>, PagedFault>) -> Option<&Package> {
        match blob.and_then(|mut blob| header::read(&mut blob)) {
            Ok(package) => {
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

/// Reads `rpmdb.sqlite` with its write-ahead log.
#[must_use]
pub fn of_sqlite(main: &dyn Storage, wal: Option<&dyn Storage>) -> Packages {
    let database = match Database::open(main, wal) {
        Ok(database) => database,
        Err(fault) => return Packages::failed(fault),
    };
    let mut found = Packages::default();
    let mut names: BTreeMap<i64, String> = BTreeMap::new();
    let faults = database.table("Packages", &mut |mut row| {
        let key = row.key;
        let columns = row.columns()?;
        if let Some(package) = found.add(row.bytes(columns.get(1))) {
            names.insert(key, package.name.clone());
        }
        Ok(())
    });
    match faults {
        Ok(faults) => faults.into_iter().for_each(|fault| found.keep(fault)),
        Err(fault) => found.keep(fault),
    }
    if found.fault.is_none()
        && let Err(fault) = hold_against_index(&database, &names)
    {
        found.keep(fault);
    }
    found
}

/// rpm keeps an index of names beside the packages: each of its entries needs its package.
fn hold_against_index(database: &Database<'_>, names: &BTreeMap<i64, String>) -> Result<(), PagedFault> {
    let faults = database.table("Name", &mut |mut row| {
        let columns = row.columns()?;
        let name = row.text(columns.first())?;
        let package = match columns.get(1) {
            Some(Column::Integer(number)) => names.get(number),
            _ => None,
        };
        if package == Some(&name) {
            Ok(())
        } else {
            Err(PagedFault::at(format!("package {name}"), "is in the index of names and nowhere else"))
        }
    })?;
    faults.into_iter().next().map_or(Ok(()), Err)
}

/// Reads a Berkeley DB hash database.
#[must_use]
pub fn of_berkeley(storage: &dyn Storage) -> Packages {
    let mut found = Packages::default();
    if let Err(fault) = berkeley::read(storage, &mut found) {
        found.keep(fault);
    }
    found
}

/// Reads an ndb database.
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
