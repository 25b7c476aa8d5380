//! `browser-extensions`: extensions of Chrome, Chromium, Edge, Brave and Firefox, in all home directories on this machine
//! and those installed for all users.
//!
//! An observation does not say which user or profile has the extension: paths begin with `~` and end at the browser, so the
//! same extension of two users is one observation.

use muster_proto::model::SourceName;

use super::people::local_homes;
use crate::sources::parse::extension::{Extension, is_id};
use crate::sources::portable::extensions::{add, firefox, profiles};
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::{ScanContext, Source, SourceReading};

/// Chromium-based browsers with their profile directories below a home directory: as a package, snap or flatpak.
const CHROMIUM: &[(&str, &[&str])] = &[
    (
        "chrome",
        &[
            ".config/google-chrome",
            ".config/google-chrome-beta",
            ".config/google-chrome-unstable",
            ".var/app/com.google.Chrome/config/google-chrome",
        ],
    ),
    (
        "chromium",
        &[".config/chromium", "snap/chromium/common/chromium", ".var/app/org.chromium.Chromium/config/chromium"],
    ),
    (
        "edge",
        &[
            ".config/microsoft-edge",
            ".config/microsoft-edge-beta",
            ".config/microsoft-edge-dev",
            ".var/app/com.microsoft.Edge/config/microsoft-edge",
        ],
    ),
    (
        "brave",
        &[
            ".config/BraveSoftware/Brave-Browser",
            ".config/BraveSoftware/Brave-Browser-Beta",
            ".config/BraveSoftware/Brave-Browser-Nightly",
            ".var/app/com.brave.Browser/config/BraveSoftware/Brave-Browser",
            "snap/brave/current/.config/BraveSoftware/Brave-Browser",
        ],
    ),
];
const FIREFOX: &[&str] = &[
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
];
/// Where packages install extensions for all users: one file per extension, named after its id.
pub(super) const FOR_ALL: &[(&str, &str)] = &[
    ("chrome", "/opt/google/chrome/extensions"),
    ("chrome", "/usr/share/google-chrome/extensions"),
    ("chromium", "/usr/share/chromium/extensions"),
    ("edge", "/usr/share/microsoft-edge/extensions"),
    ("brave", "/usr/share/brave-browser/extensions"),
];
/// Where packages install Firefox add-ons for all users: a file or directory named after each. In the shared directories
/// Firefox' add-ons are below Firefox' own id, beside those of other programs.
const FOR_ALL_FIREFOX: &[&str] = &[
    "/usr/lib/mozilla/extensions/{ec8030f7-c20a-464f-9b0e-13a3a9e97384}",
    "/usr/lib64/mozilla/extensions/{ec8030f7-c20a-464f-9b0e-13a3a9e97384}",
    "/usr/share/mozilla/extensions/{ec8030f7-c20a-464f-9b0e-13a3a9e97384}",
    "/usr/lib/firefox/distribution/extensions",
    "/usr/lib/firefox-esr/distribution/extensions",
    "/usr/lib64/firefox/distribution/extensions",
    "/opt/firefox/distribution/extensions",
];
pub(in crate::sources) struct BrowserExtensions;

impl Source for BrowserExtensions {
    fn name(&self) -> SourceName {
        SourceName::BrowserExtensions
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut builder = ReadingBuilder::default();
        let homes = local_homes(context, &mut builder);
        builder.places_found += homes.len();
        for home in homes {
            // Listing the home directory first reports one that may not be entered.
            let Some(_) = builder.list(context, &home) else { continue };
            for (browser, places) in CHROMIUM {
                for place in *places {
                    profiles(context, browser, &home, place, &mut builder);
                }
            }
            for place in FIREFOX {
                firefox(context, &home, place, &mut builder);
            }
        }
        for (browser, place) in FOR_ALL {
            for_all(context, browser, place, &mut builder);
        }
        for place in FOR_ALL_FIREFOX {
            for_all_firefox(context, place, &mut builder);
        }
        builder.keep_distinct();
        builder.finish("no browser directories")
    }
}

/// Reads extensions for all users: `ID.json` makes the browser install that extension.
fn for_all(context: &ScanContext, browser: &str, place: &str, builder: &mut ReadingBuilder) {
    let Some(files) = builder.list(context, place) else { return };
    builder.places_found += 1;
    for id in files.iter().filter_map(|file| file.name.strip_suffix(".json")).filter(|id| is_id(id)) {
        let extension = Extension { id: id.to_owned(), enabled: true, ..Extension::default() };
        add(builder, extension, browser, place.to_owned(), None);
    }
}

/// Reads add-ons for all users: `ID.xpi`, or a directory `ID` with the unpacked add-on.
fn for_all_firefox(context: &ScanContext, place: &str, builder: &mut ReadingBuilder) {
    let Some(entries) = builder.list(context, place) else { return };
    builder.places_found += 1;
    for entry in entries {
        let id = entry.name.strip_suffix(".xpi").unwrap_or(&entry.name);
        let is_add_on = id.len() < entry.name.len() || entry.is_directory || entry.is_link;
        // An id is either like a mail address or a GUID in braces.
        if is_add_on && id.contains(['@', '{']) {
            let extension = Extension { id: id.to_owned(), enabled: true, ..Extension::default() };
            add(builder, extension, "firefox", place.to_owned(), None);
        }
    }
}

#[cfg(all(test, unix))]
#[path = "browser_extensions_tests.rs"]
mod tests;
