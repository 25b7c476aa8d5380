//! Macs of a realistic fleet.

use muster_proto::model::{Kind, Observation, Platform, SourceName};

use super::Model;
use super::images::PatchLevel;
use super::machine::{Kaspersky, Machine, host_source};
use super::reading::Reading;
use super::titles::{Title, falcon, folder, kaspersky, tail};

/// Applications and launch daemons of the system that are on every Mac.
const SYSTEM_TITLES: u64 = 40;

impl Model {
    pub(super) fn macos_image(&self, level: PatchLevel, machine: &Machine, own: Vec<Observation>) -> Vec<Reading> {
        let of_system = |kind| (0..SYSTEM_TITLES).map(move |number| tail(kind, number)).collect::<Vec<Title>>();
        let mut applications = of_system(Kind::AppBundle);
        applications.extend(self.picked(level.image, Kind::AppBundle, 30));
        let mut applications = self.install(level, applications);
        applications.extend(own);
        let mut receipts = self.picked(level.image, Kind::Receipt, 30);
        receipts.extend(of_system(Kind::Receipt));
        let (mut extensions, mut paths) = (Vec::new(), Vec::new());
        match machine.kaspersky {
            Kaspersky::Installed => {
                applications.extend(kaspersky(Platform::Macos).iter().map(|title| title.seen(0)));
                extensions.push(Observation::new(Kind::SystemExtension, "2Y8XE5CQ94.com.kaspersky.kav.sysext"));
            }
            Kaspersky::Remnant => paths.push(folder("/Library/Caches/com.kaspersky.kav")),
            Kaspersky::None => {}
        }
        if machine.protected {
            extensions.push(falcon(Platform::Macos).seen(0));
        }
        let build = format!("24.1.{}", level.level);
        vec![
            Reading::of(SourceName::Host, host_source(Platform::Macos, &build)),
            Reading::empty(SourceName::Processes),
            Reading::of(SourceName::WatchPaths, paths),
            Reading::empty(SourceName::TrustStore),
            Reading::empty(SourceName::BrowserExtensions),
            Reading::of(SourceName::AppBundles, applications),
            Reading::of(SourceName::Receipts, self.install(level, receipts)),
            Reading::of(SourceName::Launchd, self.install(level, of_system(Kind::Launchd))),
            Reading::of(SourceName::SystemExtensions, extensions),
        ]
    }
}
