//! `flatpak`: deployed applications and runtimes, of the system and of every user.

use muster_proto::model::{Kind, Observation, ReportedState, SourceName};

use super::people::local_homes;
use crate::sources::parse::{key_file, metainfo};
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::{HomeItem, ScanContext, Source, SourceReading};

const SYSTEM: &str = "/var/lib/flatpak";
/// Configuration files that name further system-wide installations.
const INSTALLATIONS: &str = "/etc/flatpak/installations.d";
/// Descriptions in many languages.
const TEXT_BYTES: usize = 1024 * 1024;
/// Settings have 4 KiB. A short line takes fifty times its bytes in memory.
const KEY_FILE_BYTES: usize = 128 * 1024;

pub(in crate::sources) struct Flatpak;

impl Source for Flatpak {
    fn name(&self) -> SourceName {
        SourceName::Flatpak
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut builder = ReadingBuilder::default();
        let mut bases = vec![(SYSTEM.to_owned(), None)];
        for file in builder.list(context, INSTALLATIONS).unwrap_or_default() {
            let bytes =
                builder.read(context, &format!("{INSTALLATIONS}/{}", file.name), KEY_FILE_BYTES).unwrap_or_default();
            let groups = key_file::parse(&String::from_utf8_lossy(&bytes));
            let paths = groups.iter().map(|group| group.value("Path")).filter(|path| path.starts_with('/'));
            bases.extend(paths.map(|path| (path.trim_end_matches('/').to_owned(), None)));
        }
        let homes = local_homes(context, &mut builder);
        bases.extend(homes.into_iter().map(|home| (format!("{home}/.local/share/flatpak"), Some(home))));
        for (base, home) in bases {
            for kind in ["app", "runtime"] {
                deployed(context, &format!("{base}/{kind}"), kind, home.as_deref(), &mut builder);
            }
        }
        builder.finish("Flatpak is not installed")
    }
}

/// Reads `NAME/ARCHITECTURE/BRANCH/active`, where `active` is a link to the deployed commit.
fn deployed(context: &ScanContext, dir: &str, kind: &str, home: Option<&str>, builder: &mut ReadingBuilder) {
    let scope = if home.is_some() { "user" } else { "system" };
    let Some(names) = builder.list(context, dir) else { return };
    builder.places_found += 1;
    for name in names.into_iter().filter(|entry| entry.is_directory) {
        let place = format!("{dir}/{}", name.name);
        let architectures = builder.list(context, &place).unwrap_or_default();
        for architecture in architectures.into_iter().filter(|entry| entry.is_directory) {
            let middle = format!("{place}/{}", architecture.name);
            let branches = builder.list(context, &middle).unwrap_or_default();
            for branch in branches.into_iter().filter(|entry| entry.is_directory) {
                let id = format!("{}/{}/{}", name.name, architecture.name, branch.name);
                let deploy = format!("{middle}/{}/active", branch.name);
                if builder.is_full(dir) {
                    return;
                }
                let Some(commit) = commit(context, &deploy, builder) else { continue };
                let mut observation = observation(context, &name.name, &deploy, builder);
                if let Some(home) = home {
                    // Watchlists do not name flatpaks.
                    let (home, place) = (home.to_owned(), format!("flatpak:{id}"));
                    builder.add_home_item(HomeItem { home, place, watched: false });
                }
                observation.id = id;
                observation.path.clone_from(&place);
                let commit = commit.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
                for (key, value) in [("commit", commit), ("scope", scope), ("type", kind)] {
                    observation.attributes.insert(key.to_owned(), value.to_owned());
                }
                builder.add(dir, observation);
            }
        }
    }
}

/// The target of `active`. In a copied tree it may be a directory instead of a link; the commit is then unknown (empty).
fn commit(context: &ScanContext, deploy: &str, builder: &mut ReadingBuilder) -> Option<String> {
    if let Some(commit) = builder.unless_absent(deploy, context.root.read_link(deploy)) {
        return Some(commit);
    }
    let kind = builder.unless_absent(deploy, context.root.kind_at(deploy));
    kind.flatten().map(|_| String::new())
}

fn observation(context: &ScanContext, name: &str, deploy: &str, builder: &mut ReadingBuilder) -> Observation {
    let mut observation = Observation::new(Kind::Flatpak, name);
    match builder.read(context, &format!("{deploy}/metadata"), KEY_FILE_BYTES) {
        None => observation.set_state(ReportedState::MetadataMissing),
        Some(bytes) => {
            let groups = key_file::parse(&String::from_utf8_lossy(&bytes));
            if !groups.iter().any(|group| matches!(group.name.as_str(), "Application" | "Runtime")) {
                builder.problem(format!("{deploy}/metadata is not Flatpak metadata"));
            }
        }
    }
    let places = [
        format!("{deploy}/files/share/metainfo/{name}.metainfo.xml"),
        format!("{deploy}/files/share/metainfo/{name}.appdata.xml"),
        format!("{deploy}/files/share/appdata/{name}.appdata.xml"),
        format!("{deploy}/export/share/metainfo/{name}.metainfo.xml"),
    ];
    // Metainfo is optional, so its absence is not a problem.
    if let Some(bytes) = places.iter().find_map(|place| builder.read(context, place, TEXT_BYTES)) {
        let described = metainfo::parse(&String::from_utf8_lossy(&bytes));
        observation.version = described.version;
        observation.vendor = described.developer;
    }
    observation
}

#[cfg(all(test, unix))]
mod tests {
    use muster_proto::model::Outcome;

    use super::super::canned::{Canned, rows};
    use super::*;

    const XML: &str = "<component><developer_name>X Corp</developer_name><release version=\"3.1\"/></component>";

    fn deploy(root: Canned, base: &str, id: &str) -> Canned {
        let place = format!("{base}/app/{id}/x86_64/stable");
        root.link(&format!("{base}/app/{id}/current"), "x86_64/stable")
            .link(&format!("{place}/active"), "0a1b2c")
            .file(&format!("{place}/0a1b2c/metadata"), format!("[Application]\nname={id}\n"))
            .file(&format!("{place}/0a1b2c/files/share/metainfo/{id}.metainfo.xml"), XML)
    }

    #[test]
    fn applications_of_the_system_and_of_users_are_found() {
        let root = Canned::new("fedora")
            .file("etc/passwd", "jane:x:1000:1000::/srv/jane:/bin/sh\n")
            .file("etc/flatpak/installations.d/x.conf", "[Installation \"x\"]\nPath=/opt/flat/\n");
        let root = deploy(root, "var/lib/flatpak", "org.x.One");
        let root = deploy(root, "srv/jane/.local/share/flatpak", "org.x.Two");
        let root = deploy(root, "home/domain-user/.local/share/flatpak", "org.x.Three");
        let reading = deploy(root, "opt/flat", "org.x.Four").read(&Flatpak);
        assert_eq!(reading.outcome, Outcome::Found, "{}", reading.reason);
        assert_eq!(rows(&reading), ["org.x.Four 3.1", "org.x.One 3.1", "org.x.Three 3.1", "org.x.Two 3.1"]);
        let one = reading.observations.iter().find(|o| o.name == "org.x.One").expect("found");
        assert_eq!((one.id.as_str(), one.vendor.as_str()), ("org.x.One/x86_64/stable", "X Corp"));
        assert_eq!(one.attributes["commit"], "0a1b2c");
    }

    #[test]
    fn an_application_whose_link_became_a_directory_is_found() {
        let place = "var/lib/flatpak/app/org.x.One/x86_64/stable/active";
        let root = Canned::new("fedora").file(&format!("{place}/metadata"), "[Application]\nname=org.x.One\n");
        let reading = root.read(&Flatpak);
        assert_eq!((reading.outcome, rows(&reading)), (Outcome::Found, vec!["org.x.One".to_owned()]));
    }

    #[test]
    fn without_flatpak_it_is_not_applicable_and_broken_metadata_is_partial() {
        assert_eq!(Canned::new("debian").read(&Flatpak).outcome, Outcome::NotApplicable);
        let root = deploy(Canned::new("fedora"), "var/lib/flatpak", "org.x.One");
        let root = root.file("var/lib/flatpak/app/org.x.One/x86_64/stable/0a1b2c/metadata", "\0\0");
        assert_eq!(root.read(&Flatpak).outcome, Outcome::Partial);
        assert_eq!(Canned::new("fedora").directory("var/lib/flatpak/app").read(&Flatpak).outcome, Outcome::Empty);
    }
}
