//! A realistic fleet: golden images, different patch levels, programs of users, rare titles.

use muster_proto::model::{Kind, Observation, Outcome, Platform, SourceName};

use super::Model;
use super::machine::{Kaspersky, Machine, host_source};
use super::reading::Reading;
use super::titles::{Title, debian_packages, falcon, folder, kaspersky, kernel_modules, tail, unit, windows_programs};

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
pub(super) struct PatchLevel {
    pub(super) image: u64,
    pub(super) level: u64,
}

impl Model {
    pub(super) fn image_sources(&self, host: u64, machine: &Machine, day: u64) -> Vec<Reading> {
        let level = self.patch_level(host, machine.platform, day);
        let own = self.own_titles(host, machine.platform);
        let (mut readings, needed) = match machine.platform {
            Platform::Windows => (self.windows_image(level, machine, own), SourceName::Services),
            Platform::Macos => (self.macos_image(level, machine, own), SourceName::SystemExtensions),
            Platform::Linux => (self.linux_image(level, machine, own), SourceName::WatchPaths),
        };
        if machine.unreadable {
            let refused = |reading: Reading| match reading.source() == needed {
                true => reading.unreadable(Outcome::Denied, "permission denied"),
                false => reading,
            };
            readings = readings.into_iter().map(refused).collect();
        }
        readings
    }

    fn patch_level(&self, host: u64, platform: Platform, day: u64) -> PatchLevel {
        let all = self.shares.images;
        let windows = (all * self.shares.windows / 100).max(1);
        let images = if platform == Platform::Windows { windows } else { all.saturating_sub(windows).max(1) };
        let mut chance = self.chance("image", &[host]);
        // Most hosts have one of a few images, and few hosts are many patch levels behind.
        let image = skewed(&mut chance, images) * 3 + u64::from(platform.code());
        let levels = self.shares.patch_levels;
        let lag = chance.below(levels).min(chance.below(levels));
        PatchLevel { image, level: levels - 1 - lag + (day + image) / self.shares.patch_days }
    }

    /// How often a title has been updated at a patch level of an image.
    fn updates(&self, level: PatchLevel, title: u64) -> u64 {
        let is_touched = |number: &u64| self.happens("patch", &[level.image, title, *number], TOUCHED);
        (1..=level.level).filter(is_touched).count() as u64
    }

    pub(super) fn install(&self, level: PatchLevel, titles: Vec<Title>) -> Vec<Observation> {
        let numbered = (0..).zip(titles);
        numbered.map(|(number, title)| title.seen(self.updates(level, number))).collect()
    }

    fn windows_image(&self, level: PatchLevel, machine: &Machine, own: Vec<Observation>) -> Vec<Reading> {
        let of_image = |kind, most| self.picked(level.image, kind, most);
        let mut programs = windows_programs();
        programs.extend(of_image(Kind::UninstallKey, 55));
        let mut programs = self.install(level, programs);
        let mut services: Vec<Title> = (0..SYSTEM_TITLES).map(|number| tail(Kind::Service, number)).collect();
        services.extend(of_image(Kind::Service, 25));
        let mut drivers: Vec<Title> = (0..SYSTEM_TITLES / 2).map(|number| tail(Kind::Driver, number)).collect();
        drivers.extend(of_image(Kind::Driver, 15));
        let mut security_center = vec![Observation::new(Kind::Wsc, "Microsoft Defender Antivirus")];
        let mut paths = Vec::new();
        match machine.kaspersky {
            Kaspersky::Installed => {
                programs.extend(kaspersky(Platform::Windows).iter().map(|title| title.seen(0)));
                security_center.push(Observation::new(Kind::Wsc, "Kaspersky Endpoint Security for Windows"));
            }
            Kaspersky::Remnant => paths.push(folder("%ProgramData%\\Kaspersky Lab\\KES.12.5")),
            Kaspersky::None => {}
        }
        if machine.protected {
            programs.push(falcon(Platform::Windows).seen(0));
            security_center.push(Observation::new(Kind::Wsc, "CrowdStrike Falcon Sensor"));
        }
        programs.extend(own);
        let build = format!("10.0.22631.{}", 4000 + level.level);
        let filters = ["bindflt", "FileInfo", "luafv", "WdFilter"].map(|name| Observation::new(Kind::Filter, name));
        vec![
            Reading::of(SourceName::Host, host_source(Platform::Windows, &build)),
            Reading::empty(SourceName::Processes),
            Reading::of(SourceName::WatchPaths, paths),
            Reading::empty(SourceName::TrustStore),
            Reading::empty(SourceName::BrowserExtensions),
            Reading::of(SourceName::UninstallKeys, programs),
            Reading::of(SourceName::SecurityCenter, security_center),
            Reading::of(SourceName::Services, self.install(level, services)),
            Reading::of(SourceName::Drivers, self.install(level, drivers)),
            Reading::of(SourceName::FilterDrivers, filters.to_vec()),
            Reading::empty(SourceName::Registry),
        ]
    }

    fn linux_image(&self, level: PatchLevel, machine: &Machine, own: Vec<Observation>) -> Vec<Reading> {
        let mut packages = debian_packages();
        // Every image leaves out what its purpose does not need.
        let mut number = 0;
        packages.retain(|_| {
            number += 1;
            self.happens("left out", &[level.image, number], 70)
        });
        packages.extend(self.picked(level.image, Kind::Deb, 15));
        let mut packages = self.install(level, packages);
        let mut units: Vec<Observation> = (0..50).map(|number| unit(number).seen(0)).collect();
        let (mut paths, mut processes) = (Vec::new(), Vec::new());
        let kaspersky_packages = kaspersky(Platform::Linux).into_iter().map(|title| title.seen(0));
        match machine.kaspersky {
            Kaspersky::Installed => {
                packages.extend(kaspersky_packages);
                units.push(service("kesl.service"));
                paths.push(folder("/opt/kaspersky/kesl"));
                processes.push(Observation::new(Kind::Process, "kesl"));
            }
            Kaspersky::Remnant => {
                // What `apt-get remove` leaves.
                packages.extend(kaspersky_packages.map(|seen| Observation { state: "rc".to_owned(), ..seen }));
                paths.push(folder("/var/opt/kaspersky/kesl"));
            }
            Kaspersky::None => {}
        }
        if machine.protected {
            packages.push(falcon(Platform::Linux).seen(0));
            units.push(service("falcon-sensor.service"));
        }
        let kernel = format!("6.1.0-{}-amd64", 20 + level.level);
        vec![
            Reading::of(SourceName::Host, host_source(Platform::Linux, &kernel)),
            Reading::of(SourceName::Dpkg, packages),
            Reading::absent(SourceName::Rpm, "rpm is not installed"),
            Reading::absent(SourceName::Apk, "apk is not installed"),
            Reading::absent(SourceName::Pacman, "pacman is not installed"),
            Reading::absent(SourceName::SystemPackages, "packages of this system are in the database of dpkg"),
            Reading::absent(SourceName::Snap, "snapd is not installed"),
            Reading::of(SourceName::Flatpak, own),
            Reading::of(SourceName::SystemdUnits, units),
            Reading::of(SourceName::KernelModules, kernel_modules()),
            Reading::of(SourceName::Processes, processes),
            Reading::of(SourceName::WatchPaths, paths),
            Reading::empty(SourceName::TrustStore),
            Reading::empty(SourceName::BrowserExtensions),
        ]
    }

    /// Made-up titles that an image adds to its system.
    pub(super) fn picked(&self, image: u64, kind: Kind, most: u64) -> Vec<Title> {
        let mut chance = self.chance("picked", &[image, u64::from(kind.code())]);
        let mut numbers: Vec<u64> = (0..most).map(|_| SYSTEM_TITLES + chance.below(4000)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|number| tail(kind, number)).collect()
    }

    /// What the host has in addition to its image: programs of users and rare titles.
    fn own_titles(&self, host: u64, platform: Platform) -> Vec<Observation> {
        let kind = match platform {
            Platform::Windows => Kind::UninstallKey,
            Platform::Macos => Kind::AppBundle,
            Platform::Linux => Kind::Flatpak,
        };
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

fn service(name: &str) -> Observation {
    let mut service = Observation::new(Kind::Service, name);
    service.id.clone_from(&service.name);
    service.path = format!("/usr/lib/systemd/system/{name}");
    service
}
