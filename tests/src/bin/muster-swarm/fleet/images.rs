//! A realistic fleet: golden images, different patch levels, programs of users, rare titles.

use muster_proto::model::{Kind, Observation, Platform, SourceName};

use super::machine::{Machine, host_source};
use super::titles::{Title, debian_packages, kaspersky, tail, unit, windows_programs};
use super::{Model, Seen};

/// Titles that users install themselves; the first are the most popular.
const USER_TITLES: u64 = 60;
/// Made-up titles below this number belong to the operating system and are in every image.
const SYSTEM_TITLES: u64 = 100;
/// Numbers of rare titles begin here.
const RARE_TITLES: u64 = 1_000_000;
/// How many of a hundred titles a patch level touches.
const TOUCHED: u64 = 8;

/// An image at a patch level.
#[derive(Debug, Clone, Copy)]
struct Stand {
    image: u64,
    level: u64,
}

impl Model {
    pub(super) fn image_sources(&self, host: u64, machine: &Machine, day: u64) -> Vec<Seen> {
        let stand = self.stand(host, machine.platform, day);
        let own = self.own_titles(host, machine.platform);
        match machine.platform {
            Platform::Windows => self.windows_image(stand, machine.kaspersky, own),
            Platform::Linux | Platform::Macos => self.linux_image(stand, machine.kaspersky, own),
        }
    }

    fn stand(&self, host: u64, platform: Platform, day: u64) -> Stand {
        let all = self.shares.images;
        let windows = (all * self.shares.windows / 100).max(1);
        let images = if platform == Platform::Windows { windows } else { all.saturating_sub(windows).max(1) };
        let mut chance = self.chance("image", &[host]);
        // Most hosts have one of a few images, and few hosts are many patch levels behind.
        let image = skewed(&mut chance, images) * 3 + u64::from(platform.code());
        let levels = self.shares.patch_levels;
        let lag = chance.below(levels).min(chance.below(levels));
        Stand { image, level: levels - 1 - lag + (day + image) / self.shares.patch_days }
    }

    /// How often a title has been updated at a patch level of an image.
    fn updates(&self, stand: Stand, title: u64) -> u64 {
        (1..=stand.level).filter(|level| self.happens("patch", &[stand.image, title, *level], TOUCHED)).count() as u64
    }

    fn install(&self, stand: Stand, titles: Vec<Title>) -> Vec<Observation> {
        let numbered = (0..).zip(titles);
        numbered.map(|(number, title)| title.seen(self.updates(stand, number))).collect()
    }

    fn windows_image(&self, stand: Stand, with_kaspersky: bool, own: Vec<Observation>) -> Vec<Seen> {
        let of_image = |kind, most| self.picked(stand.image, kind, most);
        let mut programs = windows_programs();
        programs.extend(of_image(Kind::UninstallKey, 55));
        let mut programs = self.install(stand, programs);
        let mut services: Vec<Title> = (0..SYSTEM_TITLES).map(|number| tail(Kind::Service, number)).collect();
        services.extend(of_image(Kind::Service, 25));
        let mut drivers: Vec<Title> = (0..SYSTEM_TITLES / 2).map(|number| tail(Kind::Driver, number)).collect();
        drivers.extend(of_image(Kind::Driver, 15));
        let mut guards = vec![Observation::new(Kind::Wsc, "Microsoft Defender Antivirus")];
        if with_kaspersky {
            programs.extend(kaspersky(true).iter().map(|title| title.seen(0)));
            guards.push(Observation::new(Kind::Wsc, "Kaspersky Endpoint Security for Windows"));
        }
        programs.extend(own);
        vec![
            (SourceName::Host, Some(host_source(Platform::Windows, &format!("10.0.22631.{}", 4000 + stand.level)))),
            (SourceName::UninstallKeys, Some(programs)),
            (SourceName::SecurityCenter, Some(guards)),
            (SourceName::Services, Some(self.install(stand, services))),
            (SourceName::Drivers, Some(self.install(stand, drivers))),
        ]
    }

    fn linux_image(&self, stand: Stand, with_kaspersky: bool, own: Vec<Observation>) -> Vec<Seen> {
        let mut packages = debian_packages();
        // Every image leaves out what its purpose does not need.
        let mut number = 0;
        packages.retain(|_| {
            number += 1;
            self.happens("left out", &[stand.image, number], 70)
        });
        packages.extend(self.picked(stand.image, Kind::Deb, 15));
        let mut packages = self.install(stand, packages);
        let mut units: Vec<Observation> = (0..50).map(|number| unit(number).seen(0)).collect();
        let mut paths = Vec::new();
        if with_kaspersky {
            packages.extend(kaspersky(false).iter().map(|title| title.seen(0)));
            let mut unit = Observation::new(Kind::Service, "kesl.service");
            unit.id.clone_from(&unit.name);
            unit.path = "/usr/lib/systemd/system/kesl.service".to_owned();
            units.push(unit);
            let mut path = Observation::new(Kind::Path, "/opt/kaspersky/kesl");
            path.path.clone_from(&path.name);
            path.attributes.insert("type".to_owned(), "directory".to_owned());
            paths.push(path);
        }
        let kernel = format!("6.1.0-{}-amd64", 20 + stand.level);
        vec![
            (SourceName::Host, Some(host_source(Platform::Linux, &kernel))),
            (SourceName::Dpkg, Some(packages)),
            (SourceName::Rpm, None),
            (SourceName::Flatpak, Some(own)),
            (SourceName::SystemdUnits, Some(units)),
            (SourceName::WatchPaths, Some(paths)),
        ]
    }

    /// Made-up titles that an image adds to its system.
    fn picked(&self, image: u64, kind: Kind, most: u64) -> Vec<Title> {
        let mut chance = self.chance("picked", &[image, u64::from(kind.code())]);
        let mut numbers: Vec<u64> = (0..most).map(|_| SYSTEM_TITLES + chance.below(4000)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|number| tail(kind, number)).collect()
    }

    /// What the host has in addition to its image: programs of users and rare titles.
    fn own_titles(&self, host: u64, platform: Platform) -> Vec<Observation> {
        let kind = if platform == Platform::Windows { Kind::UninstallKey } else { Kind::Flatpak };
        let mut own = Vec::new();
        if self.happens("user software", &[host], self.shares.user_software) {
            let mut chance = self.chance("user titles", &[host]);
            for _ in 0..=chance.below(3) {
                let mut seen = tail(kind, skewed(&mut chance, USER_TITLES)).seen(0);
                seen.path = format!("~/{}", seen.name);
                own.push(seen);
            }
        }
        if self.happens("rare", &[host], self.shares.rare) {
            own.push(tail(kind, RARE_TITLES + host).seen(0));
        }
        own
    }
}

/// A number below the bound; low ones are much more frequent.
pub(super) fn skewed(chance: &mut muster_tests::chance::Chance, bound: u64) -> u64 {
    let share = chance.below(1 << 16);
    // The square sends half of all draws to the lowest quarter.
    (share * share * bound) >> 32
}
