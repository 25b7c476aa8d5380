//! `browser-extensions`: extensions of Chrome, Chromium, Edge, Brave, Firefox and Safari of every user, those that programs
//! install for all users, and those that profiles of the organisation force.

use muster_proto::model::SourceName;

use super::people::homes;
use super::plists;
use crate::sources::parse::extension::{Extension, is_id};
use crate::sources::parse::extension_settings::{MODE, ids, installs};
use crate::sources::parse::macos::safari;
use crate::sources::parse::plist::Plist;
use crate::sources::portable::extensions::{add, add_home_item, firefox, profiles};
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::{ScanContext, Source, SourceReading};

/// Chromium-based browsers with their profiles below `~/Library/Application Support`.
const CHROMIUM: &[(&str, &[&str])] = &[
    ("chrome", &["Google/Chrome", "Google/Chrome Beta", "Google/Chrome Dev", "Google/Chrome Canary"]),
    ("chromium", &["Chromium"]),
    ("edge", &["Microsoft Edge", "Microsoft Edge Beta", "Microsoft Edge Dev", "Microsoft Edge Canary"]),
    (
        "brave",
        &["BraveSoftware/Brave-Browser", "BraveSoftware/Brave-Browser-Beta", "BraveSoftware/Brave-Browser-Nightly"],
    ),
];
const SUPPORT: &str = "Library/Application Support";
const FIREFOX: &str = "Library/Application Support/Firefox/Profiles";
/// Lists of Safari below a home directory. Nobody but Safari may read them without Full Disk Access.
const SAFARI: &[&str] = &[
    "Library/Safari/Extensions/Extensions.plist",
    "Library/Containers/com.apple.Safari/Data/Library/Safari/Extensions/Extensions.plist",
    "Library/Containers/com.apple.Safari/Data/Library/Safari/AppExtensions/Extensions.plist",
    "Library/Containers/com.apple.Safari/Data/Library/Safari/WebExtensions/Extensions.plist",
];
/// Archives of extensions of versions before 13.
const SAFARI_ARCHIVES: &str = "Library/Safari/Extensions";
/// Where programs install extensions for all users: one file per extension, named after its id.
const FOR_ALL: &[(&str, &str)] = &[
    ("chrome", "/Library/Application Support/Google/Chrome/External Extensions"),
    ("edge", "/Library/Application Support/Microsoft Edge/External Extensions"),
    ("brave", "/Library/Application Support/BraveSoftware/Brave-Browser/External Extensions"),
    ("chromium", "/Library/Application Support/Chromium/External Extensions"),
];
const FOR_ALL_FIREFOX: &[&str] = &[
    "/Library/Application Support/Mozilla/Extensions/{ec8030f7-c20a-464f-9b0e-13a3a9e97384}",
    "/Applications/Firefox.app/Contents/Resources/distribution/extensions",
];
/// Preferences that profiles of the organisation set, for all and for single users.
const MANAGED: &str = "/Library/Managed Preferences";
const POLICIES: &[(&str, &str)] = &[
    ("chrome", "com.google.Chrome.plist"),
    ("chromium", "org.chromium.Chromium.plist"),
    ("edge", "com.microsoft.Edge.plist"),
    ("brave", "com.brave.Browser.plist"),
];

pub(super) struct BrowserExtensions;

impl Source for BrowserExtensions {
    fn name(&self) -> SourceName {
        SourceName::BrowserExtensions
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut builder = ReadingBuilder::default();
        let homes = homes(context, &mut builder);
        builder.places_found += homes.len();
        for home in homes {
            // Listing the home directory first reports one that may not be entered.
            let Some(_) = builder.list(context, &home) else { continue };
            for (browser, places) in CHROMIUM {
                for place in *places {
                    profiles(context, browser, &home, &format!("{SUPPORT}/{place}"), &mut builder);
                }
            }
            firefox(context, &home, FIREFOX, &mut builder);
            of_safari(context, &home, &mut builder);
        }
        for (browser, place) in FOR_ALL {
            for file in builder.list(context, place).unwrap_or_default() {
                if let Some(id) = file.name.strip_suffix(".json").filter(|id| is_id(id)) {
                    add(&mut builder, named(id), browser, (*place).to_owned(), None);
                }
            }
        }
        for place in FOR_ALL_FIREFOX {
            for file in builder.list(context, place).unwrap_or_default() {
                let id = file.name.strip_suffix(".xpi").unwrap_or(&file.name);
                if id.contains(['@', '{']) {
                    add(&mut builder, named(id), "firefox", (*place).to_owned(), None);
                }
            }
        }
        managed(context, &mut builder);
        builder.keep_distinct();
        builder.finish("no browser directories")
    }
}

fn named(id: &str) -> Extension {
    Extension { id: id.to_owned(), enabled: true, ..Extension::default() }
}

fn of_safari(context: &ScanContext, home: &str, builder: &mut ReadingBuilder) {
    for place in SAFARI {
        let path = format!("{home}/{place}");
        let Some(plist) = plists::read(context, &path, builder) else { continue };
        let Some(extensions) = safari::parse(&plist) else {
            builder.problem(format!("{path} is no list of extensions"));
            continue;
        };
        for extension in extensions {
            add_home_item(context, builder, home, &extension);
            add(builder, extension, "safari", "~/Library/Safari".to_owned(), None);
        }
    }
    let archives = format!("{home}/{SAFARI_ARCHIVES}");
    for file in builder.list(context, &archives).unwrap_or_default() {
        let is_archive = file.name.to_ascii_lowercase().ends_with(".safariextz");
        if is_archive {
            let extension = Extension { name: file.name.clone(), ..named(&file.name) };
            add_home_item(context, builder, home, &extension);
            add(builder, extension, "safari", "~/Library/Safari".to_owned(), None);
        }
    }
}

/// What profiles of the organisation force, for all users and for single ones, in a folder with the name of each.
fn managed(context: &ScanContext, builder: &mut ReadingBuilder) {
    let entries = builder.list(context, MANAGED).unwrap_or_default();
    let of_users = entries.iter().filter(|entry| entry.is_directory).map(|entry| format!("{MANAGED}/{}", entry.name));
    for folder in std::iter::once(MANAGED.to_owned()).chain(of_users) {
        for (browser, file) in POLICIES {
            let (path, shown) = (format!("{folder}/{file}"), format!("{file} in {MANAGED}"));
            let Some(plist) = plists::read_as(context, &path, &shown, builder) else { continue };
            for id in forced(&plist) {
                add(builder, named(&id), browser, String::new(), Some("policy"));
            }
        }
    }
}

/// The ids of `ExtensionInstallForcelist` and `ExtensionSettings`.
fn forced(plist: &Plist) -> Vec<String> {
    let listed = plist.texts("ExtensionInstallForcelist");
    let listed = listed.iter().filter_map(|text| text.split(';').next()).map(|id| id.trim().to_owned());
    let settings = plist.get("ExtensionSettings").and_then(Plist::dictionary);
    let installed = settings.into_iter().flatten().filter(|(_, value)| installs(&value.text(MODE)));
    let ids = installed.flat_map(|(key, _)| ids(key)).map(str::to_owned);
    listed.chain(ids).filter(|id| is_id(id)).collect()
}
