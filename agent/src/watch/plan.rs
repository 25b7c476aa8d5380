//! Turns places into directories to watch, each with the names that matter in it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::places::{Place, Reach};
use crate::sources::watchlist::{has_wildcard, matches};

/// Which names in a directory matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct NameFilter {
    names: BTreeSet<String>,
    patterns: BTreeSet<String>,
    all: bool,
    /// Its subdirectories matter too, with all their entries.
    pub(super) below: bool,
}

impl NameFilter {
    pub(super) fn everything() -> Self {
        Self { all: true, ..Self::default() }
    }

    pub(super) fn accepts(&self, name: &str) -> bool {
        self.all || self.names.contains(name) || self.patterns.iter().any(|pattern| matches(pattern, name))
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.names.extend(other.names.iter().cloned());
        self.patterns.extend(other.patterns.iter().cloned());
        self.all |= other.all;
        self.below |= other.below;
    }

    fn name(&mut self, name: &str) {
        let names = if has_wildcard(name) { &mut self.patterns } else { &mut self.names };
        names.insert(name.to_owned());
    }
}

/// Directories in order of priority, for when not all can be watched: a parent before its children, and the sources' own
/// places before those of the watchlist.
#[derive(Debug, Default)]
pub(super) struct Plan {
    order: Vec<(String, NameFilter)>,
    index: BTreeMap<String, usize>,
}

impl Plan {
    pub(super) fn of(places: &[Place]) -> Self {
        let mut plan = Self::default();
        for place in places {
            let mut directory = String::new();
            for name in place.path.split('/').filter(|name| !name.is_empty()) {
                // A parent is watched only for the next name, so that a busy /var does not wake the agent.
                plan.filter(&directory).name(name);
                directory = format!("{directory}/{name}");
            }
            match place.reach {
                Reach::Entry => {}
                Reach::Listing => plan.filter(&directory).all = true,
                Reach::Tree => {
                    let filter = plan.filter(&directory);
                    (filter.all, filter.below) = (true, true);
                }
            }
        }
        plan
    }

    pub(super) fn directories(&self) -> impl Iterator<Item = (&str, &NameFilter)> {
        self.order.iter().map(|(directory, filter)| (directory.as_str(), filter))
    }

    fn filter(&mut self, directory: &str) -> &mut NameFilter {
        let directory = if directory.is_empty() { "/" } else { directory };
        let at = *self.index.entry(directory.to_owned()).or_insert_with(|| {
            self.order.push((directory.to_owned(), NameFilter::default()));
            self.order.len() - 1
        });
        &mut self.order[at].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(places: &[(&str, Reach)]) -> Plan {
        let places: Vec<Place> =
            places.iter().map(|(path, reach)| Place { path: (*path).to_owned(), reach: *reach }).collect();
        Plan::of(&places)
    }

    #[test]
    fn each_parent_is_watched_for_the_next_name_and_parents_come_first() {
        let plan = plan(&[
            ("/var/lib/dpkg/status", Reach::Entry),
            ("/etc/init.d", Reach::Listing),
            ("/var/opt/kav*", Reach::Entry),
        ]);
        let order: Vec<&str> = plan.directories().map(|(directory, _)| directory).collect();
        assert_eq!(order, ["/", "/var", "/var/lib", "/var/lib/dpkg", "/etc", "/etc/init.d", "/var/opt"]);
        let filter = |of: &str| plan.directories().find(|(directory, _)| *directory == of).expect("planned").1;
        for (directory, name, met) in [
            ("/", "var", true),
            ("/", "etc", true),
            ("/", "tmp", false),
            ("/var", "lib", true),
            ("/var", "opt", true),
            ("/var", "log", false),
            ("/var/lib/dpkg", "status", true),
            ("/var/lib/dpkg", "lock", false),
            ("/etc/init.d", "anything", true),
            ("/var/opt", "kav4fs", true),
            ("/var/opt", "other", false),
        ] {
            assert_eq!(filter(directory).accepts(name), met, "{name} in {directory}");
        }
    }

    #[test]
    fn two_filters_for_one_directory_are_combined() {
        let plan = plan(&[("/a/b", Reach::Tree), ("/a/b/c", Reach::Entry)]);
        let mut both = NameFilter::default();
        plan.directories().for_each(|(_, filter)| both.add(filter));
        assert!(both.accepts("b") && both.accepts("c") && both.accepts("z") && both.below);
    }
}
