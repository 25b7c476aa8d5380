//! Derives the watchlist from the catalogue: the names that agents check where a source cannot list everything.
//!
//! Its version is the day of the newest recogniser followed by six digits: the number of entries and a part of their
//! digest. It grows from day to day and with every entry that is added, so the watchlist of an overlay reaches agents on
//! the same day. [`day_of`] gives the day, to compare a snapshot with a recogniser.

use std::collections::BTreeSet;

use muster_proto::model::{Digest, Kind, Platform, SourceName, Watchlist};
use regex_syntax::hir::literal::Literal;

use super::catalogue::Catalogue;
use super::fragment::{SHORTEST, literals};
use super::pattern::Pattern;
use super::recogniser::Recogniser;
use super::subject::Field;

/// Versions within one day.
const WITHIN_DAY: u64 = 1_000_000;

/// The day of a watchlist's version, as 20261123; 0 for no watchlist.
#[must_use]
pub const fn day_of(version: u64) -> u64 {
    version / WITHIN_DAY
}

/// Whether a source reads only what the watchlist names.
#[must_use]
pub(crate) const fn is_limited(source: SourceName) -> bool {
    matches!(source, SourceName::WatchPaths | SourceName::Processes | SourceName::Registry)
}

/// The kind of observation of a source that the watchlist limits.
pub(crate) const fn limited_kind(source: SourceName) -> Option<Kind> {
    match source {
        SourceName::WatchPaths => Some(Kind::Path),
        SourceName::Processes => Some(Kind::Process),
        SourceName::Registry => Some(Kind::Registry),
        SourceName::Host
        | SourceName::Dpkg
        | SourceName::Rpm
        | SourceName::Apk
        | SourceName::Pacman
        | SourceName::SystemPackages
        | SourceName::Snap
        | SourceName::Flatpak
        | SourceName::SystemdUnits
        | SourceName::KernelModules
        | SourceName::TrustStore
        | SourceName::BrowserExtensions
        | SourceName::UninstallKeys
        | SourceName::SecurityCenter
        | SourceName::Services
        | SourceName::Drivers
        | SourceName::FilterDrivers
        | SourceName::ScheduledTasks
        | SourceName::Appx
        | SourceName::Msi
        | SourceName::Defender
        | SourceName::AppBundles
        | SourceName::Receipts
        | SourceName::Launchd
        | SourceName::SystemExtensions => None,
    }
}

#[derive(Default)]
struct Lists {
    paths: BTreeSet<String>,
    units: BTreeSet<String>,
    processes: BTreeSet<String>,
    registry_keys: BTreeSet<String>,
    certificate_subjects: BTreeSet<String>,
    extension_ids: BTreeSet<String>,
}

/// The watchlist of a catalogue for agents on a platform.
#[must_use]
pub(crate) fn derive(catalogue: &Catalogue, platform: Platform) -> Watchlist {
    let mut lists = Lists::default();
    let mut day = 0;
    for product in catalogue.products() {
        day = day.max(product.revised);
        for one in product.recognisers.iter().filter(|one| one.platforms.contains(&platform)) {
            lists.add(one, platform);
        }
        for sign in product.realtime.iter().filter(|sign| sign.platform == platform) {
            lists.units.extend(sign.unit.as_ref().map(|name| unit(name, platform)));
            for name in sign.watched() {
                let list = if name.ends_with(".service") { &mut lists.units } else { &mut lists.processes };
                list.insert(name.to_owned());
            }
        }
    }
    if platform == Platform::Windows {
        lists.paths = without_covered(lists.paths);
    }
    if platform == Platform::Macos {
        lists.units = without_covered_labels(lists.units);
    }
    let Lists { paths, units, processes, registry_keys, certificate_subjects, extension_ids } = lists;
    let list = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>();
    let mut watchlist = Watchlist {
        version: 0,
        paths: list(paths),
        units: list(units),
        processes: list(processes),
        registry_keys: list(registry_keys),
        certificate_subjects: list(certificate_subjects),
        extension_ids: list(extension_ids),
    };
    watchlist.version = day * WITHIN_DAY + within_day(&watchlist);
    watchlist
}

fn within_day(list: &Watchlist) -> u64 {
    let lists = [
        &list.paths,
        &list.units,
        &list.processes,
        &list.registry_keys,
        &list.certificate_subjects,
        &list.extension_ids,
    ];
    let text: Vec<String> = lists.iter().map(|list| list.join("\n")).collect();
    let digest = Digest::of(text.join("\n\n").as_bytes());
    let entries: usize = lists.iter().map(|list| list.len()).sum();
    // Six lists of 4096 entries, times 40, stay below a million.
    (entries as u64 * 40 + u64::from(digest.as_bytes()[0]) % 40).min(WITHIN_DAY - 1)
}

impl Lists {
    fn add(&mut self, one: &Recogniser, platform: Platform) {
        for kind in &one.kinds {
            let literal = one.watch.iter().cloned().chain(one.literals(*kind));
            match kind {
                Kind::Path => {
                    self.paths.extend(literal.filter_map(|text| watched_path(&text, platform)));
                    if platform == Platform::Windows {
                        let tests = one.tests.iter().filter(|test| test.field == Field::Path);
                        self.paths.extend(tests.flat_map(|test| &test.patterns).flat_map(watched_beginnings));
                    }
                }
                Kind::Service => {
                    self.units.extend(literal.filter(|text| !text.contains('/')).map(|text| unit(&text, platform)));
                }
                // The labels of jobs, whose programs show what runs.
                Kind::Launchd if platform == Platform::Macos => {
                    self.units.extend(literal.filter(|text| !text.contains('/')));
                    let tests = one.tests.iter().filter(|test| test.field == Field::Key);
                    self.units.extend(tests.flat_map(|test| &test.patterns).flat_map(watched_labels));
                }
                Kind::Process => self.processes.extend(literal.filter(|text| !text.contains('/'))),
                Kind::Registry => {
                    self.registry_keys.extend(literal.map(|text| text.trim_end_matches("/**").to_owned()))
                }
                Kind::BrowserExtension => self.extension_ids.extend(literal),
                Kind::Cert => self.certificate_subjects.extend(literal),
                Kind::Os
                | Kind::Kernel
                | Kind::Machine
                | Kind::UninstallKey
                | Kind::Wsc
                | Kind::Driver
                | Kind::Filter
                | Kind::Task
                | Kind::Deb
                | Kind::Rpm
                | Kind::Apk
                | Kind::Pacman
                | Kind::Package
                | Kind::Snap
                | Kind::Flatpak
                | Kind::Appx
                | Kind::Msi
                | Kind::AppBundle
                | Kind::Receipt
                | Kind::Launchd
                | Kind::SystemExtension
                | Kind::KernelModule
                | Kind::ContainerImage => {}
            }
        }
    }
}

fn unit(name: &str, platform: Platform) -> String {
    // Only systemd units have an ending that recognisers may leave out.
    let is_whole = platform != Platform::Linux || name.contains('.') || name.ends_with('*');
    if is_whole { name.to_owned() } else { format!("{name}.service") }
}

/// Folders that agents never scan: homes, kernel interfaces, temporary and removable ones. And folders whose files outlive
/// the program: init scripts, jobs and receipts, which the sources of these read with their programs, and entries of menus.
const NOT_SCANNED: &[&str] = &[
    "/home/",
    "/root/",
    "/proc/",
    "/sys/",
    "/dev/",
    "/run/",
    "/tmp/",
    "/var/tmp/",
    "/media/",
    "/mnt/",
    "/Users/",
    "/Volumes/",
    "/private/tmp/",
    "/private/var/tmp/",
    "/private/var/folders/",
    "/private/var/root/",
    "/var/folders/",
    "/var/root/",
    "/etc/init.d/",
    "/Library/LaunchAgents/",
    "/Library/LaunchDaemons/",
    "/Library/Receipts/",
    "/private/var/db/receipts/",
    "/var/db/receipts/",
    "/etc/xdg/autostart/",
    "/usr/share/applications/",
];

/// The path that agents check for a pattern: absolute, with `*` only in the last component. A pattern for everything below
/// a folder becomes the folder.
fn watched_path(pattern: &str, platform: Platform) -> Option<String> {
    let place = pattern.strip_suffix("/**").unwrap_or(pattern);
    let is_unix = platform != Platform::Windows;
    // A recogniser may list several platforms, so a path of another one can come here.
    if place.contains("**") || place.contains('?') || place.starts_with('~') || is_unix != place.starts_with('/') {
        return None;
    }
    if NOT_SCANNED.iter().any(|below| place.starts_with(below)) {
        return None;
    }
    let (parent, last) = place.rsplit_once(['/', '\\'])?;
    // A star in a folder would make agents walk whole trees. Alone it is allowed in a vendor's folder.
    let vendors = if is_unix { ["/opt/"].as_slice() } else { &["%ProgramFiles%/", "%ProgramData%/"] };
    let is_vendor_folder =
        vendors.iter().filter_map(|of| parent.strip_prefix(of)).any(|vendor| !vendor.contains(['/', '\\']));
    let names_something = !last.trim_matches('*').is_empty() || is_vendor_folder;
    let bounded = !parent.contains('*') && names_something && !parent.is_empty();
    bounded.then(|| place.to_owned())
}

/// Leaves out what another entry with a star at its end covers. Windows does not tell upper case from lower case.
fn without_covered(paths: BTreeSet<String>) -> BTreeSet<String> {
    let folded = |path: &str| path.to_lowercase().replace('\\', "/");
    let open: Vec<String> =
        paths.iter().filter_map(|path| path.strip_suffix('*')).filter(|path| !path.contains('*')).map(folded).collect();
    let is_covered = |path: &String| {
        let path = folded(path);
        let by = |open: &String| path.strip_prefix(open).is_some_and(|rest| rest != "*" && !rest.contains('/'));
        open.iter().any(by)
    };
    paths.into_iter().filter(|path| !is_covered(path)).collect()
}

/// Leaves out the labels that another entry with a star at its end covers.
fn without_covered_labels(labels: BTreeSet<String>) -> BTreeSet<String> {
    let open: Vec<String> = labels.iter().filter_map(|label| label.strip_suffix('*')).map(str::to_owned).collect();
    let is_covered = |label: &String| {
        let covers = |open: &String| label.starts_with(open.as_str()) && label.len() > open.len() + 1;
        open.iter().any(covers)
    };
    labels.into_iter().filter(|label| !is_covered(label)).collect()
}

/// The most paths for one regular expression. With more it names nothing that agents could check.
const MOST_BEGINNINGS: usize = 64;
/// Folders in which many vendors have files. A pattern that names no more than one of these names no product.
const SHARED_FOLDERS: &[&str] = &[
    "%programfiles%",
    "%programfiles%/common files",
    "%programfiles%/common files/av",
    "%programfiles%/windowsapps",
    "%programdata%",
    "%programdata%/applications",
    "%programdata%/microsoft",
    "%systemroot%",
    "%systemroot%/system32",
    "%systemroot%/system32/drivers",
    "%systemroot%/syswow64",
    "%systemroot%/temp",
];

/// The paths that agents check for a regular expression: what its matches begin with, up to the first name that it leaves
/// open.
///
/// ```text
///  %programfiles%/kaspersky ?lab/kes[^/]*/.*\.exe  ─►  %programfiles%/kaspersky lab/kes*, %programfiles%/kasperskylab/kes*
/// ```
fn watched_beginnings(pattern: &Pattern) -> Vec<String> {
    let Pattern::Regex(source) = pattern else { return Vec::new() };
    let Some(begins) = literals(source).filter(|begins| begins.len() <= MOST_BEGINNINGS) else { return Vec::new() };
    let watched = begins.iter().filter_map(|literal| {
        let text = std::str::from_utf8(literal.as_bytes()).ok()?;
        let (parent, last) = text.rsplit_once('/')?;
        let place = match (last.is_empty(), literal.is_exact()) {
            (true, _) => parent.to_owned(),
            (false, true) => text.to_owned(),
            (false, false) => format!("{text}*"),
        };
        // No name on Windows ends with a blank.
        let place = place.trim_end().to_owned();
        // A folder that is left open in the middle of its name may be anybody's: `%programfiles%/k*`.
        let names_something = !SHARED_FOLDERS.contains(&place.as_str())
            && (literal.is_exact() || last.is_empty() || last.len() >= SHORTEST);
        let is_known = ["%programfiles%/", "%programdata%/", "%systemroot%/"].iter().any(|of| place.starts_with(of));
        (names_something && is_known).then(|| watched_path(&place, Platform::Windows)).flatten()
    });
    watched.collect()
}

/// The labels of jobs of launchd for a regular expression: what its matches begin with. A label begins with the reversed name
/// of a domain, so one that names less than a vendor names nothing.
///
/// ```text
///  com\.eset\.(ees|eea)[a-z]*([.].*)?  ─►  com.eset.ees*, com.eset.eea*
/// ```
fn watched_labels(pattern: &Pattern) -> Vec<String> {
    let Pattern::Regex(source) = pattern else { return Vec::new() };
    let Some(begins) = literals(source).filter(|begins| begins.len() <= MOST_BEGINNINGS) else { return Vec::new() };
    let label = |literal: &Literal| {
        let text = std::str::from_utf8(literal.as_bytes()).ok()?;
        let is_label = !text.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '\\' | '*' | '?'));
        let vendor = text.split('.').nth(1).unwrap_or_default();
        let names_vendor = text.matches('.').count() >= 2 || (literal.is_exact() && vendor.len() >= SHORTEST);
        let end = if literal.is_exact() { "" } else { "*" };
        (is_label && names_vendor).then(|| format!("{text}{end}"))
    };
    begins.iter().filter_map(label).collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::PathBuf;

    use super::*;

    fn place(platform: Platform) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../agent/watchlist/{platform}.toml"))
    }

    /// The agent's built-in watchlist for a platform and the default catalogue.
    fn rendered(platform: Platform, list: &Watchlist) -> String {
        let mut text = format!(
            "# The agent's built-in watchlist for {platform}, until the collector sends one: what it checks where a source\n\
             # cannot list everything.\n\
             # Derived from the default catalogue; a test compares the two. It contains names and no rules.\n\
             # `*` matches any run of characters; in a path it may only be in the last component.\n",
        );
        let _ = writeln!(text, "version = {}", list.version);
        for (key, entries) in lists_of(list) {
            let _ = writeln!(text, "{key} = [");
            for entry in entries {
                let _ = writeln!(text, "    {entry:?},");
            }
            text.push_str("]\n");
        }
        text
    }

    fn lists_of(list: &Watchlist) -> [(&'static str, &Vec<String>); 6] {
        [
            ("paths", &list.paths),
            ("units", &list.units),
            ("processes", &list.processes),
            ("registry_keys", &list.registry_keys),
            ("certificate_subjects", &list.certificate_subjects),
            ("extension_ids", &list.extension_ids),
        ]
    }

    #[test]
    fn the_agent_carries_the_watchlists_of_the_default_catalogue() {
        let rules = crate::rules::load(None).expect("the defaults load");
        for platform in Platform::ALL {
            let carried = std::fs::read_to_string(place(*platform)).expect("the agent's file");
            assert!(
                carried == rendered(*platform, &rules.watchlist_of(*platform)),
                "agent/watchlist/{platform}.toml is not that of the catalogue: \
                 cargo test -p muster-collector --lib -- --ignored the_agents_watchlists_are_written"
            );
        }
    }

    #[test]
    #[ignore = "writes agent/watchlist/*.toml; run it after a change of the catalogue"]
    fn the_agents_watchlists_are_written() {
        let rules = crate::rules::load(None).expect("the defaults load");
        for platform in Platform::ALL {
            std::fs::write(place(*platform), rendered(*platform, &rules.watchlist_of(*platform))).expect("written");
        }
    }

    #[test]
    fn a_regular_expression_names_the_folders_that_its_matches_begin_with() {
        let of = |source: &str| watched_beginnings(&Pattern::Regex(source.to_owned()));
        assert_eq!(
            of(r"%programfiles%/kaspersky ?lab/(kaspersky endpoint security|kes)[^/]*/.*\.(exe|dll)"),
            [
                "%programfiles%/kaspersky lab/kaspersky endpoint security*",
                "%programfiles%/kaspersky lab/kes*",
                "%programfiles%/kasperskylab/kaspersky endpoint security*",
                "%programfiles%/kasperskylab/kes*",
            ]
        );
        assert_eq!(of("%programdata%/kaspersky(/.*)?"), ["%programdata%/kaspersky", "%programdata%/kaspersky"]);
        assert_eq!(of(r"%systemroot%/system32/drivers/(klif|klelam)\.sys").len(), 2);
        for open in [".*/kes", "%programfiles%/.*", r"%programfiles%/common files/.*\.exe", "%systemroot%/system32/k.*"]
        {
            assert_eq!(of(open), [""; 0], "{open}");
        }
    }

    #[test]
    fn a_regular_expression_names_the_labels_that_its_matches_begin_with() {
        let of = |source: &str| watched_labels(&Pattern::Regex(source.to_owned()));
        assert_eq!(of(r"com\.kaspersky\..+"), ["com.kaspersky.*"]);
        assert_eq!(of(r"com\.eset\.(ees|eea)[a-z]*([.].*)?"), ["com.eset.ees*", "com.eset.eea*"]);
        assert_eq!(of("com[.]acme[.]agent"), ["com.acme.agent"]);
        for open in ["com[.].*", ".*kaspersky.*", "com[.]kas.*", "kasperskyendpointsecurity"] {
            assert_eq!(of(open), [""; 0], "{open}");
        }
    }

    #[test]
    fn the_jobs_of_kaspersky_and_of_protection_products_are_watched_on_macos() {
        let list = crate::rules::load(None).expect("the defaults load").watchlist_of(Platform::Macos);
        for label in ["com.kaspersky.kav", "com.crowdstrike.falcond", "com.sophos.autoupdate", "com.fireeye.xagt"] {
            let names =
                |one: &String| one == label || one.strip_suffix('*').is_some_and(|open| label.starts_with(open));
            assert!(list.units.iter().any(names), "{label}");
        }
        let paths = ["/Library/Caches/com.kaspersky.*", "/Library/Logs/Kaspersky Lab", "/private/var/log/kav_*"];
        for path in paths {
            assert!(list.paths.iter().any(|one| one == path), "{path}");
        }
        assert!(!list.paths.iter().any(|path| path.starts_with("/Users/") || path.starts_with("/private/tmp/")));
    }

    #[test]
    fn an_entry_that_a_star_covers_is_left_out() {
        let paths = ["%P%/Lab", "%P%/Lab/*", "%p%/lab/kes*", "%p%/lab/x/y", "%p%/other*"].map(str::to_owned);
        let left: Vec<String> = without_covered(paths.into()).into_iter().collect();
        assert_eq!(left, ["%P%/Lab", "%P%/Lab/*", "%p%/lab/x/y", "%p%/other*"]);
    }

    #[test]
    fn every_folder_of_kaspersky_on_windows_is_watched() {
        let list = crate::rules::load(None).expect("the defaults load").watchlist_of(Platform::Windows);
        for path in [
            "%ProgramFiles%/Kaspersky Lab/*",
            "%ProgramData%/Kaspersky Lab/*",
            "%programfiles%/kaspersky lab",
            "%programfiles%/common files/av/kaspersky*",
            "%systemroot%/system32/drivers/klif.sys",
        ] {
            assert!(list.paths.iter().any(|one| one == path), "{path}");
        }
    }

    #[test]
    fn its_version_grows_with_the_day_and_with_every_entry() {
        let list = crate::rules::load(None).expect("the defaults load").watchlist();
        assert!(day_of(list.version) >= 20_261_123);
        let mut other = list.clone();
        other.units.push("another.service".to_owned());
        assert!(within_day(&other) > within_day(&list));
        assert!(list.paths.iter().any(|path| path == "/opt/kaspersky"));
        assert!(list.units.iter().any(|unit| unit == "kesl.service"));
    }
}
