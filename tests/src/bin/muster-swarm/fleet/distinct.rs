//! The worst case: 300 observations on every host, and no section twice. The titles come from a large common set, with popular
//! ones on many hosts, so the combinations are distinct and not every word.

use std::collections::BTreeSet;

use muster_proto::model::{Kind, Observation, Platform, SourceName};

use super::Model;
use super::images::skewed;
use super::machine::{Machine, host_source};
use super::reading::Reading;
use super::titles::{tail, unit};

/// Number of titles of each kind.
const TITLES: u64 = 20_000;
/// Number of updates that a title can have.
const UPDATES: u64 = 8;
/// Days after which everything on a host has changed.
const DAYS: u64 = 7;

impl Model {
    pub(super) fn distinct_sources(&self, host: u64, machine: &Machine, day: u64) -> Vec<Reading> {
        let epoch = (day + host % DAYS) / DAYS;
        let build = format!("{}.{}", 6000 + epoch, host);
        let drawn = |source, kind, count| Reading::of(source, self.drawn(host, epoch, kind, count));
        let own = Reading::of(SourceName::Host, host_source(machine.platform, &build));
        match machine.platform {
            Platform::Windows => vec![
                own,
                drawn(SourceName::UninstallKeys, Kind::UninstallKey, 117),
                Reading::empty(SourceName::SecurityCenter),
                drawn(SourceName::Services, Kind::Service, 120),
                drawn(SourceName::Drivers, Kind::Driver, 60),
            ],
            Platform::Linux | Platform::Macos => vec![
                own,
                drawn(SourceName::Dpkg, Kind::Deb, 237),
                Reading::absent(SourceName::Rpm, "rpm is not installed"),
                drawn(SourceName::SystemdUnits, Kind::Service, 60),
                Reading::empty(SourceName::WatchPaths),
            ],
        }
    }

    fn drawn(&self, host: u64, epoch: u64, kind: Kind, count: usize) -> Vec<Observation> {
        let mut chance = self.chance("drawn", &[host, epoch, u64::from(kind.code())]);
        let mut numbers = BTreeSet::new();
        // One title that no other host has, like a program that a company builds for itself.
        numbers.insert(TITLES + host);
        while numbers.len() < count {
            numbers.insert(skewed(&mut chance, TITLES));
        }
        let is_linux = self.machine(host).platform != Platform::Windows;
        let title = |number| if kind == Kind::Service && is_linux { unit(number) } else { tail(kind, number) };
        numbers.into_iter().map(|number| title(number).seen(chance.below(UPDATES))).collect()
    }
}
