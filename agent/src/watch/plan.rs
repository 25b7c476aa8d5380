//! Turns places into directories to watch, each with the names that matter in it, and into keys of the registry. Pure.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::model::Platform;

use crate::os::notify::Changes;
use crate::sources::parse::macos;
use crate::sources::places::{Place, Reach};
use crate::sources::registry::folded;
use crate::sources::watchlist::{has_wildcard, matches_on};

/// Which names in a directory matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct NameFilter {
    /// As [`spelled`] on the platform.
    names: BTreeSet<String>,
    patterns: BTreeSet<String>,
    all: bool,
    /// Decides which names are the same; `None` if they need not be compared.
    platform: Option<Platform>,
    /// Its subdirectories matter too, with all their entries.
    pub(super) below: bool,
}

impl NameFilter {
    pub(super) fn everything() -> Self {
        Self { all: true, ..Self::default() }
    }

    pub(super) fn accepts(&self, name: &str) -> bool {
        let is_named = |platform: Platform| {
            self.names.contains(&spelled(platform, name))
                || self.patterns.iter().any(|pattern| matches_on(platform, pattern, name))
        };
        self.all || self.platform.is_some_and(is_named)
    }

    /// Which changes of the directory matter.
    pub(super) const fn changes(&self) -> Changes {
        match (self.below, self.all) {
            (true, _) => Changes::Below,
            (false, true) => Changes::Contents,
            (false, false) => Changes::Names,
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.names.extend(other.names.iter().cloned());
        self.patterns.extend(other.patterns.iter().cloned());
        self.all |= other.all;
        self.below |= other.below;
        self.platform = self.platform.or(other.platform);
    }

    fn name(&mut self, platform: Platform, name: &str) {
        let names = if has_wildcard(name) { &mut self.patterns } else { &mut self.names };
        names.insert(spelled(platform, name));
    }
}

/// Directories in order of priority, for when not all can be watched: a parent before its children, and the sources' own
/// places before those of the watchlist.
#[derive(Debug)]
pub(super) struct Plan {
    order: Vec<(String, NameFilter)>,
    index: BTreeMap<String, usize>,
    keys: Vec<(String, Changes)>,
    key_index: BTreeMap<String, usize>,
    elsewhere: Vec<String>,
    platform: Platform,
}

impl Plan {
    /// The plan for a machine of this platform.
    pub(super) fn of(places: &[Place], platform: Platform) -> Self {
        let (elsewhere, places): (Vec<&Place>, Vec<&Place>) =
            places.iter().partition(|place| place.is_on_other_volume());
        let mut plan = Self {
            order: Vec::new(),
            index: BTreeMap::new(),
            keys: Vec::new(),
            key_index: BTreeMap::new(),
            elsewhere: elsewhere.into_iter().map(|place| place.path.replace('/', r"\")).collect(),
            platform,
        };
        let (keys, folders): (Vec<&Place>, Vec<&Place>) = places.into_iter().partition(|place| place.is_key());
        keys.into_iter().for_each(|place| plan.add_key(place));
        folders.into_iter().for_each(|place| plan.add_directory(place));
        plan
    }

    fn add_directory(&mut self, place: &Place) {
        let mut directory = String::new();
        for name in place.path.split('/').filter(|name| !name.is_empty()) {
            // A parent is watched only for the next name, so that a busy /var does not wake the agent.
            let platform = self.platform;
            self.filter(&directory).name(platform, name);
            directory = format!("{directory}/{name}");
        }
        match place.reach {
            Reach::Entry => {}
            Reach::Listing => self.filter(&directory).all = true,
            Reach::Tree => {
                let filter = self.filter(&directory);
                (filter.all, filter.below) = (true, true);
            }
        }
    }

    fn add_key(&mut self, place: &Place) {
        let (key, changes) = match place.reach {
            Reach::Entry => (known_parent(&place.path), Changes::Names),
            Reach::Listing => (place.path.as_str(), Changes::Contents),
            Reach::Tree => (place.path.as_str(), Changes::Below),
        };
        let at = *self.key_index.entry(folded(key)).or_insert_with(|| {
            self.keys.push((key.to_owned(), changes));
            self.keys.len() - 1
        });
        self.keys[at].1 = self.keys[at].1.max(changes);
    }

    /// The keys, the sources' own before those of the watchlist. Those that do not exist are watched for through the nearest
    /// key above.
    pub(super) fn keys(&self) -> &[(String, Changes)] {
        &self.keys
    }

    /// The places on other volumes than that of Windows, which are not watched.
    pub(super) fn elsewhere(&self) -> &[String] {
        &self.elsewhere
    }

    pub(super) fn directories(&self) -> impl Iterator<Item = (&str, &NameFilter)> {
        self.order.iter().map(|(directory, filter)| (directory.as_str(), filter))
    }

    fn filter(&mut self, directory: &str) -> &mut NameFilter {
        let directory = if directory.is_empty() { "/" } else { directory };
        let at = *self.index.entry(spelled(self.platform, directory)).or_insert_with(|| {
            let filter = NameFilter { platform: Some(self.platform), ..NameFilter::default() };
            self.order.push((directory.to_owned(), filter));
            self.order.len() - 1
        });
        &mut self.order[at].1
    }
}

/// One text for all spellings that this platform takes for one name.
fn spelled(platform: Platform, name: &str) -> String {
    match platform {
        Platform::Windows => folded(name),
        Platform::Macos => macos::name::folded(name),
        Platform::Linux => name.to_owned(),
    }
}

/// The key in which the first name appears that is not known exactly, or the last one.
fn known_parent(path: &str) -> &str {
    let mut end = 0;
    for (at, _) in path.match_indices('\\') {
        if has_wildcard(&path[end..at]) {
            break;
        }
        end = at;
    }
    &path[..end]
}

/// The key above; `None` at the top of the registry.
pub(super) fn parent_key(key: &str) -> Option<&str> {
    key.rsplit_once('\\').map(|(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(places: &[(&str, Reach)]) -> Plan {
        let places: Vec<Place> =
            places.iter().map(|(path, reach)| Place { path: (*path).to_owned(), reach: *reach }).collect();
        Plan::of(&places, Platform::Linux)
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

    #[test]
    fn names_of_windows_match_in_any_case() {
        let place = |path: &str| Place { path: path.to_owned(), reach: Reach::Entry };
        let places = [place("/Program Files/Kaspersky Lab"), place("/program files/KAV*")];
        let plan = Plan::of(&places, Platform::Windows);
        let all: Vec<(&str, &NameFilter)> = plan.directories().collect();
        assert_eq!(all.iter().map(|(directory, _)| *directory).collect::<Vec<_>>(), ["/", "/Program Files"]);
        assert!(all[0].1.accepts("PROGRAM FILES") && !all[0].1.accepts("ProgramData"));
        assert!(all[1].1.accepts("kaspersky lab") && all[1].1.accepts("kav4") && !all[1].1.accepts("other"));
        assert_eq!(all[1].1.changes(), Changes::Names);
    }

    #[test]
    fn names_of_macos_match_in_any_case_and_in_either_form_of_their_letters() {
        let place = |path: &str| Place { path: path.to_owned(), reach: Reach::Entry };
        let places = [place("/Library/Kaspersky Café"), place("/library/Кей*")];
        let plan = Plan::of(&places, Platform::Macos);
        let all: Vec<(&str, &NameFilter)> = plan.directories().collect();
        assert_eq!(all.iter().map(|(directory, _)| *directory).collect::<Vec<_>>(), ["/", "/Library"]);
        let met = ["KASPERSKY CAFE\u{301}", "кеи\u{306}", "КЕЙ 2"];
        assert!(met.iter().all(|name| all[1].1.accepts(name)));
        assert!(!all[1].1.accepts("Kaspersky Cafe") && !all[1].1.accepts("other"));
    }

    #[test]
    fn a_key_is_watched_once_for_all_that_is_wanted_of_it() {
        let place = |path: &str, reach| Place { path: path.to_owned(), reach };
        let places = [
            place(r"HKLM\SOFTWARE\Vendor", Reach::Listing),
            place(r"HKLM\software\vendor\Product*", Reach::Entry),
            place(r"HKLM\SOFTWARE\Vendor\*\Settings", Reach::Entry),
            place(r"HKLM\SOFTWARE\Other\Product", Reach::Entry),
            place(r"HKLM\SOFTWARE\Other", Reach::Tree),
            place("/Windows", Reach::Listing),
        ];
        let plan = Plan::of(&places, Platform::Windows);
        let (vendor, other) = (r"HKLM\SOFTWARE\Vendor".to_owned(), r"HKLM\SOFTWARE\Other".to_owned());
        assert_eq!(plan.keys(), [(vendor, Changes::Contents), (other, Changes::Below)]);
        assert_eq!(plan.directories().count(), 2);
        assert_eq!(parent_key(r"HKLM\SOFTWARE"), Some("HKLM"));
        assert_eq!(parent_key("HKLM"), None);
    }
}
