//! The watchlist: what agents are asked to test for existence, derived from the catalogue. Never a rule.
//!
//! Its version is the day of the newest recogniser and, within that day, a digest of the entries: `20261123` and six
//! digits. It grows from day to day; [`day_of`] tells whether a look is older than a recogniser.

use std::collections::BTreeSet;

use muster_proto::model::{Digest, Kind, Platform, SourceName, Watchlist};

use super::catalogue::Catalogue;
use super::product::Recogniser;

/// Digits of a watchlist's version below the day.
const WITHIN_DAY: u64 = 1_000_000;

/// The day of a watchlist's version, as 20261123; 0 for "none".
#[must_use]
pub const fn day_of(version: u64) -> u64 {
    version / WITHIN_DAY
}

/// Whether a source sees only what the watchlist names.
#[must_use]
pub(crate) const fn is_limited(source: SourceName) -> bool {
    matches!(source, SourceName::WatchPaths | SourceName::Processes | SourceName::Registry)
}

/// The kind of observation that a source which is limited by the watchlist yields.
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

/// The watchlist of a catalogue.
#[must_use]
pub(crate) fn derive(catalogue: &Catalogue) -> Watchlist {
    let mut lists = Lists::default();
    let mut day = 0;
    for product in catalogue.products() {
        day = day.max(product.revised);
        for one in &product.recognisers {
            lists.add(one);
        }
        for sign in &product.realtime {
            if let (Some(unit), Platform::Linux) = (&sign.unit, sign.platform) {
                lists.units.insert(unit.clone());
            }
        }
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
    let mut number = [0_u8; 8];
    number.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_le_bytes(number) % WITHIN_DAY
}

impl Lists {
    fn add(&mut self, one: &Recogniser) {
        for kind in &one.kinds {
            let literal = one.watch.iter().cloned().chain(one.literals(*kind));
            match kind {
                Kind::Path => self.paths.extend(literal.filter_map(|text| watched_path(&text))),
                Kind::Service if one.platforms.contains(&Platform::Linux) => {
                    self.units.extend(literal.filter(|text| !text.contains('/')).map(|text| unit(&text)));
                }
                Kind::Service => self.units.extend(literal.filter(|text| !text.contains('/'))),
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
                | Kind::Snap
                | Kind::Flatpak
                | Kind::Appx
                | Kind::Msi
                | Kind::AppBundle
                | Kind::Receipt
                | Kind::Launchd
                | Kind::SystemExtension
                | Kind::KernelModule => {}
            }
        }
    }
}

fn unit(name: &str) -> String {
    if name.contains('.') || name.ends_with('*') { name.to_owned() } else { format!("{name}.service") }
}

/// A path that an agent accepts: absolute, `*` in its last component only. What a pattern says of things below a place
/// is asked of the place.
fn watched_path(pattern: &str) -> Option<String> {
    let place = pattern.strip_suffix("/**").unwrap_or(pattern);
    if place.contains("**") || place.contains('?') || place.starts_with("~/") {
        return None;
    }
    let (parent, last) = place.rsplit_once(['/', '\\'])?;
    let bounded = !parent.contains('*') && !last.trim_matches('*').is_empty() && !parent.is_empty();
    bounded.then(|| place.to_owned())
}
