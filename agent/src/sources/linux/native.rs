//! Which package stores are the scanned system's own, by `os-release` and the table `native/systems.toml`, and what an
//! absent or foreign database means.
//!
//! Only the system's own store can prove that something is not installed. A database of a known system that is missing,
//! empty, or without any package of the base system is never complete.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use muster_proto::model::{Observation, SourceName};
use serde::Deserialize;

use crate::sources::{ScanContext, SourceReading};

/// The table. `the_table_is_consistent` tests that it parses.
static TABLE: LazyLock<Table> =
    LazyLock::new(|| toml::from_str(include_str!("native/systems.toml")).unwrap_or_default());

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    store: Vec<Store>,
    system: Vec<System>,
}

/// One place where installed packages are recorded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    /// Its name in the table and in observations.
    pub(super) id: String,
    /// How reasons write it.
    pub(super) name: String,
    /// Who reads it, and in which form.
    pub(super) read_by: ReadBy,
    /// Where it is.
    pub(super) places: Vec<String>,
    base: Vec<String>,
    #[serde(default)]
    manager: Vec<String>,
    #[cfg_attr(not(all(test, unix)), expect(dead_code, reason = "for readers of the table; a test requires it"))]
    sources: Vec<String>,
}

/// Who reads a store, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ReadBy {
    /// The source `dpkg`.
    Dpkg,
    /// The source `rpm`.
    Rpm,
    /// The source `apk`.
    Apk,
    /// The source `pacman`.
    Pacman,
    /// The source `snap`.
    Snap,
    /// `system-packages`: names of directories or files.
    Directories,
    /// `system-packages`: stanzas as dpkg writes them.
    Control,
    /// `system-packages`: an XML property list.
    Plist,
    /// `system-packages`: a JSON list.
    Inventory,
    /// `system-packages`: the image itself.
    Image,
    /// Nothing in this agent.
    Nothing,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct System {
    ids: Vec<String>,
    stores: Vec<String>,
    #[cfg_attr(not(all(test, unix)), expect(dead_code, reason = "for readers of the table; a test requires it"))]
    sources: Vec<String>,
}

impl Store {
    /// The place to name if the store is missing.
    pub(super) fn place(&self) -> &str {
        self.places.first().map_or("", String::as_str)
    }

    /// Whether these packages can be those of a whole system, and not a few that were recorded on a foreign one.
    pub(super) fn has_base(&self, packages: &[Observation]) -> bool {
        if self.base.is_empty() {
            return !packages.is_empty();
        }
        // dpkg also lists packages that were removed, which show that the database is the system's own as well.
        let base: BTreeSet<&str> = self.base.iter().map(String::as_str).collect();
        packages.iter().any(|package| base.contains(package.name.as_str()))
    }

    /// Whether these packages are those of a whole system that this manager installed: the manager itself, and another of
    /// the base. For systems whose name does not tell which store is their own.
    pub(super) fn is_whole(&self, packages: &[Observation]) -> bool {
        let names: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        let has = |name: &String| names.contains(name.as_str());
        let Some(manager) = self.manager.iter().find(|name| has(name)) else { return false };
        self.base.iter().any(|name| name != manager && has(name))
    }

    /// Why a database without the base system is not complete.
    pub(super) fn without_base(&self, place: &str, packages: usize) -> String {
        let count = if packages == 1 { "1 package".to_owned() } else { format!("{packages} packages") };
        format!(
            "{} database ({place}) lists {count} and none of the base system ({}, …), so it is not the whole database",
            self.name,
            self.base.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ")
        )
    }
}

/// Every store of the table.
pub(super) fn stores() -> &'static [Store] {
    &TABLE.store
}

/// The store with this name.
pub(super) fn store(id: &str) -> Option<&'static Store> {
    TABLE.store.iter().find(|store| store.id == id)
}

/// The stores that the scanned system needs: all entries, and of each entry one store. `None` if the system is unknown.
pub(super) fn needed_stores(context: &ScanContext) -> Option<Vec<Vec<&'static Store>>> {
    let os = context.os.as_ref().ok()?;
    let system = os.ids().find_map(|id| TABLE.system.iter().find(|system| system.ids.contains(&id)))?;
    Some(system.stores.iter().map(|entry| entry.split('|').filter_map(store).collect()).collect())
}

/// How reasons name the scanned system.
pub(super) fn system_name(context: &ScanContext) -> String {
    match &context.os {
        Ok(os) if os.field("ID").is_empty() => match os.field("ID_LIKE") {
            "" => "this system (os-release has no ID)".to_owned(),
            like => format!("this system (ID_LIKE={like}, no ID)"),
        },
        Ok(os) => format!("this system (ID={})", os.field("ID")),
        Err(reason) => format!("this system ({reason})"),
    }
}

/// The source that reads all packages of the scanned system, if it is known and has one package manager.
pub(super) fn package_source(context: &ScanContext) -> Option<ReadBy> {
    let needed = needed_stores(context)?;
    let [entry] = needed.as_slice() else { return None };
    let [store] = entry.as_slice() else { return None };
    Some(store.read_by)
}

/// Whether this system must have the database that this source reads.
fn is_native(context: &ScanContext, source: ReadBy) -> bool {
    package_source(context) == Some(source)
}

/// The reading of a package manager without packages. `exists` says whether its database exists at all.
pub(super) fn without_packages(context: &ScanContext, source: ReadBy, place: &str, exists: bool) -> SourceReading {
    let name = TABLE.store.iter().find(|store| store.read_by == source).map_or("", |store| store.name.as_str());
    if is_native(context, source) {
        let how = if exists { "empty" } else { "missing" };
        return SourceReading::failed(format!(
            "{name} database is {how} ({place}), but {name} is the package manager of {}",
            system_name(context)
        ));
    }
    if exists {
        SourceReading::complete(Vec::new())
    } else {
        SourceReading::not_applicable(format!("{name} is not installed"))
    }
}

/// The reading of a package database that was read without a problem. On a system whose own database it must be, it is
/// partial if no package of the base system is in it.
pub(super) fn with_packages(
    context: &ScanContext,
    source: ReadBy,
    place: &str,
    packages: Vec<Observation>,
) -> SourceReading {
    let store = TABLE.store.iter().find(|store| store.read_by == source);
    match store {
        Some(store) if is_native(context, source) && !store.has_base(&packages) => {
            let reason = store.without_base(place, packages.len());
            SourceReading::partial(packages, reason)
        }
        _ => SourceReading::complete(packages),
    }
}

/// Each of these packages once: two places of a manager can be one by a link, or a copy of each other.
pub(super) fn without_repeats(mut packages: Vec<Observation>) -> Vec<Observation> {
    packages.sort_unstable();
    packages.dedup();
    packages
}

impl ReadBy {
    /// The source of the contract that reads the store.
    pub(super) const fn source(self) -> Option<SourceName> {
        match self {
            Self::Dpkg => Some(SourceName::Dpkg),
            Self::Rpm => Some(SourceName::Rpm),
            Self::Apk => Some(SourceName::Apk),
            Self::Pacman => Some(SourceName::Pacman),
            Self::Snap => Some(SourceName::Snap),
            Self::Directories | Self::Control | Self::Plist | Self::Inventory | Self::Image => {
                Some(SourceName::SystemPackages)
            }
            Self::Nothing => None,
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use muster_proto::model::Kind;

    use super::super::canned::Canned;
    use super::*;
    use crate::sources::root::Root;

    #[test]
    fn the_table_is_consistent() {
        let table: Table = toml::from_str(include_str!("native/systems.toml")).expect("a valid table");
        let mut ids = BTreeSet::new();
        for system in &table.system {
            assert!(!system.sources.is_empty() && !system.stores.is_empty(), "{:?}", system.ids);
            for id in &system.ids {
                assert!(ids.insert(id.clone()), "{id} is listed twice");
                assert_eq!(*id, id.to_ascii_lowercase(), "os-release writes ids in lower case");
            }
            for store in system.stores.iter().flat_map(|entry| entry.split('|')) {
                assert!(table.store.iter().any(|one| one.id == store), "no store {store}");
            }
        }
        for store in &table.store {
            assert!(!store.sources.is_empty(), "{}", store.id);
            assert!(!store.places.is_empty() || store.read_by == ReadBy::Image, "{}", store.id);
            assert!(store.base.is_sorted() || store.id == "dpkg" || store.id == "apk", "{}", store.id);
        }
    }

    fn needed(os: &str) -> Option<Vec<Vec<&'static str>>> {
        let root = Canned::new("x").file("etc/os-release", os);
        let context = ScanContext::new(Root::below(root.path()).expect("a root"), Default::default());
        let ids = |entry: Vec<&'static Store>| entry.into_iter().map(|store| store.id.as_str()).collect();
        needed_stores(&context).map(|needed| needed.into_iter().map(ids).collect())
    }

    #[test]
    fn a_derivative_has_the_stores_of_the_closest_relative_in_id_like() {
        assert_eq!(needed("ID=neverheard\nID_LIKE=\"ubuntu debian\"\n"), Some(vec![vec!["dpkg"]]));
        assert_eq!(needed("ID=eurolinux\nID_LIKE=\"rhel fedora centos\"\n"), Some(vec![vec!["rpm"]]));
        assert_eq!(needed("ID=mine\nID_LIKE=gentoo\n"), Some(vec![vec!["portage"]]));
        // Ubuntu Core says that it is like Debian in none of its releases, and must not become one.
        assert_eq!(needed("ID=ubuntu-core\nID_LIKE=debian\n"), Some(vec![vec!["snap"]]));
        assert_eq!(needed("ID=openwrt\nID_LIKE=\"lede openwrt\"\n"), Some(vec![vec!["opkg", "apk"]]));
        assert_eq!(needed("ID=nobodyknows\n"), None);
        assert_eq!(needed(""), None);
    }

    #[test]
    fn one_package_of_the_base_shows_that_a_database_is_the_systems_own() {
        let dpkg = store("dpkg").expect("dpkg");
        let packages = |names: &[&str]| names.iter().map(|name| Observation::new(Kind::Deb, *name)).collect::<Vec<_>>();
        assert!(!dpkg.has_base(&packages(&[])));
        assert!(!dpkg.has_base(&packages(&["falcon-sensor", "kesl"])));
        assert!(dpkg.has_base(&packages(&["falcon-sensor", "libc6"])));
    }
}
