//! `app-bundles`: applications, for all users and in their home directories, and the helpers within them. Apple's own
//! applications in `/System` are on a volume that nobody can change, and are not read.

use std::collections::BTreeSet;

use muster_proto::model::{Kind, SourceName};

use super::bundles::{self, Found};
use super::people::{homes, with_tilde};
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::root::Entry;
use crate::sources::{HomeItem, ScanContext, Source, SourceReading};

const APPLICATIONS: &str = "/Applications";
/// Where applications are, and how many folders there may be between.
const PLACES: &[(&str, usize)] = &[(APPLICATIONS, 3), ("/Library/Application Support", 5), ("/opt", 3)];
const OF_USERS: (&str, usize) = ("Applications", 3);
/// Limit of folders of one scan that are searched for applications. `/Library/Application Support` of a Mac with much
/// software has some 2,000 in five levels.
const FOLDERS: usize = 8192;
/// Where an application has other applications.
const NESTED: &[&str] = &[
    "Contents/Applications",
    "Contents/Frameworks",
    "Contents/Helpers",
    "Contents/Library/LoginItems",
    "Contents/MacOS",
    "Contents/Resources",
    "Contents/SharedSupport",
];
/// Endings of folders that are shown as one file and have no application of their own.
const PACKAGES: &[&str] =
    &["framework", "bundle", "plugin", "component", "kext", "lproj", "pkg", "mpkg", "photoslibrary"];

pub(super) struct AppBundles;

impl Source for AppBundles {
    fn name(&self) -> SourceName {
        SourceName::AppBundles
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut search = Search { context, builder: ReadingBuilder::default(), folders: FOLDERS, home: None };
        for (place, levels) in PLACES {
            search.folder(place, *levels);
            if *place == APPLICATIONS && search.builder.observations.is_empty() && !search.builder.has_problem() {
                search.builder.problem(format!("{APPLICATIONS} has no application, but every Mac has some"));
            }
        }
        let homes = homes(context, &mut search.builder);
        for home in homes {
            let place = format!("{home}/{}", OF_USERS.0);
            search.home = Some(home);
            search.folder(&place, OF_USERS.1);
        }
        let mut builder = search.builder;
        builder.keep_distinct();
        builder.finish("")
    }
}

struct Search<'c> {
    context: &'c ScanContext,
    builder: ReadingBuilder,
    /// How many folders may still be listed.
    folders: usize,
    /// The home directory that is searched.
    home: Option<String>,
}

impl Search<'_> {
    fn folder(&mut self, path: &str, levels: usize) {
        if self.builder.is_full(path) {
            return;
        }
        let Some(left) = self.folders.checked_sub(1) else {
            return self.builder.problem(format!("more than {FOLDERS} folders may have applications"));
        };
        self.folders = left;
        for Entry { name, is_link, is_directory } in self.builder.list(self.context, path).unwrap_or_default() {
            let place = format!("{path}/{name}");
            match ending(&name).as_str() {
                "app" if is_link || is_directory => self.application(&place),
                ending if PACKAGES.contains(&ending) => {}
                _ if is_directory && levels > 1 => self.folder(&place, levels - 1),
                _ => {}
            }
        }
    }

    fn application(&mut self, path: &str) {
        let Some(found) = bundles::read(self.context, path, &mut self.builder) else { return };
        if found.bundle.is_shortcut() {
            return;
        }
        self.add(&found);
        let mut known = BTreeSet::from([found.bundle.id]);
        for place in NESTED {
            let folder = format!("{path}/{place}");
            let entries = self.builder.list(self.context, &folder).unwrap_or_default();
            for entry in entries.iter().filter(|entry| entry.is_directory && ending(&entry.name) == "app") {
                let path = format!("{folder}/{}", entry.name);
                let Some(found) = bundles::read(self.context, &path, &mut self.builder) else { continue };
                // A helper without an id of its own says no more than the application.
                if !found.bundle.is_apples() && known.insert(found.bundle.id.clone()) {
                    self.add(&found);
                }
            }
        }
    }

    fn add(&mut self, found: &Found) {
        let shown = self.home.as_ref().map_or_else(|| found.path.clone(), |home| with_tilde(&found.path, home));
        if let Some(home) = &self.home {
            let item = if found.bundle.id.is_empty() { &found.name } else { &found.bundle.id };
            let item = HomeItem { home: home.clone(), place: format!("app:{item}"), watched: false };
            self.builder.add_home_item(item);
        }
        let observation = found.observation(Kind::AppBundle, &found.name, shown, true);
        self.builder.add(&found.path, observation);
    }
}

fn ending(name: &str) -> String {
    name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default()
}
