//! Package databases that this agent cannot read yet. Where one is there, or native to the system, that is a failure:
//! what it holds is not known, and nothing may look clear because of it.

use muster_proto::model::SourceName;

use crate::sources::parse::os_release::{Family, OsRelease};
use crate::sources::{Scene, Sighting, Source};

/// A package manager whose database is not read.
pub(in crate::sources) struct Unread {
    source: SourceName,
    family: Family,
    name: &'static str,
    places: &'static [&'static str],
}

pub(in crate::sources) const APK: Unread = Unread {
    source: SourceName::Apk,
    family: Family::Apk,
    name: "apk",
    places: &["/lib/apk/db/installed", "/usr/lib/apk/db/installed"],
};

pub(in crate::sources) const PACMAN: Unread =
    Unread { source: SourceName::Pacman, family: Family::Pacman, name: "pacman", places: &["/var/lib/pacman/local"] };

impl Source for Unread {
    fn name(&self) -> SourceName {
        self.source
    }

    fn look(&self, scene: &Scene) -> Sighting {
        let unread = format!("this agent cannot read {} databases yet", self.name);
        for place in self.places {
            match scene.root.stands(place) {
                Ok(None) => {}
                Ok(Some(_)) => return Sighting::failed(format!("{unread}: {place}")),
                Err(error) => return Sighting::of_error(place, &error),
            }
        }
        match scene.os.as_ref().ok().and_then(OsRelease::family) {
            Some(family) if family == self.family => Sighting::failed(unread),
            Some(_) | None => Sighting::not_applicable(format!("there is no {} database", self.name)),
        }
    }
}
