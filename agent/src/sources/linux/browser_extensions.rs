//! `browser-extensions`: extensions of Chrome, Chromium, Edge, Brave and Firefox, in all home directories on this machine
//! and those installed for all users.
//!
//! An observation does not say which user or profile has the extension: paths begin with `~` and end at the browser, so the
//! same extension of two users is one observation.

use std::collections::BTreeSet;

use muster_proto::canonical::clean_text;
use muster_proto::limits;
use muster_proto::model::{Kind, Observation, ReportedState, SourceName};

use super::people::local_homes;
use crate::sources::parse::extension::{Extension, is_id, message_of, parse_add_ons, parse_manifest, parse_message};
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::watchlist::matches;
use crate::sources::{HomeItem, ScanContext, Source, SourceReading};

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
/// Limits for files in home directories, which users control. Real files have a tenth of this.
const MANIFEST_BYTES: usize = 1024 * 1024;
const LIST_BYTES: usize = 4 * 1024 * 1024;

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
        let distinct: BTreeSet<Observation> = std::mem::take(&mut builder.observations).into_iter().collect();
        builder.observations.extend(distinct);
        builder.finish("no browser directories")
    }
}

/// Reads every profile of a Chromium-based browser: `Extensions/ID/VERSION/manifest.json` below each profile directory.
fn profiles(context: &ScanContext, browser: &str, home: &str, place: &str, builder: &mut ReadingBuilder) {
    let base = format!("{home}/{place}");
    for profile in builder.list(context, &base).unwrap_or_default().into_iter().filter(|entry| entry.is_directory) {
        let extensions = format!("{base}/{}/Extensions", profile.name);
        for id in builder.list(context, &extensions).unwrap_or_default() {
            if !id.is_directory || !is_id(&id.name) {
                continue;
            }
            if builder.is_full(&base) {
                return;
            }
            let dir = format!("{extensions}/{}", id.name);
            for version in builder.list(context, &dir).unwrap_or_default().into_iter().filter(|v| v.is_directory) {
                let dir = format!("{dir}/{}", version.name);
                let Some(mut extension) = manifest(context, &base, &dir, builder) else { continue };
                extension.id.clone_from(&id.name);
                add_home_item(context, builder, home, &extension);
                add(builder, extension, browser, format!("~/{place}"));
            }
        }
    }
}

fn manifest(context: &ScanContext, place: &str, dir: &str, builder: &mut ReadingBuilder) -> Option<Extension> {
    let bytes = builder.read(context, &format!("{dir}/manifest.json"), MANIFEST_BYTES)?;
    let Some(mut extension) = parse_manifest(&bytes) else {
        builder.problem(format!("{place}: cannot parse the manifest of an extension"));
        return None;
    };
    if let Some(message) = message_of(&extension.name) {
        let locale = extension.locale.as_str();
        // The locale comes from the manifest and becomes a part of a path, so it must not contain `/` or `..`.
        let valid = !locale.is_empty() && locale.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        let messages = format!("{dir}/_locales/{}/messages.json", if valid { locale } else { "en" });
        let messages = builder.read(context, &messages, MANIFEST_BYTES);
        if let Some(name) = messages.and_then(|bytes| parse_message(&bytes, message)) {
            extension.name = name;
        }
    }
    Some(extension)
}

fn firefox(context: &ScanContext, home: &str, place: &str, builder: &mut ReadingBuilder) {
    let base = format!("{home}/{place}");
    for profile in builder.list(context, &base).unwrap_or_default().into_iter().filter(|entry| entry.is_directory) {
        if builder.is_full(&base) {
            return;
        }
        let Some(bytes) = builder.read(context, &format!("{base}/{}/extensions.json", profile.name), LIST_BYTES) else {
            continue;
        };
        match parse_add_ons(&bytes) {
            Some(add_ons) => add_ons.into_iter().for_each(|it| {
                add_home_item(context, builder, home, &it);
                add(builder, it, "firefox", format!("~/{place}"));
            }),
            None => builder.problem(format!("{base}: cannot parse a list of add-ons")),
        }
    }
}

/// Records whose home directory the extension is in. The watchlist names extensions by id or by name.
fn add_home_item(context: &ScanContext, builder: &mut ReadingBuilder, home: &str, extension: &Extension) {
    let name = extension.name.to_lowercase();
    let names = |pattern: &String| matches(pattern, &extension.id) || matches(pattern, &name);
    builder.home_items.push(HomeItem {
        home: home.to_owned(),
        place: format!("browser-extension:{}", extension.id),
        watched: context.watchlist.extension_ids.iter().any(names),
    });
}

/// Reads extensions for all users: `ID.json` makes the browser install that extension.
fn for_all(context: &ScanContext, browser: &str, place: &str, builder: &mut ReadingBuilder) {
    let Some(files) = builder.list(context, place) else { return };
    builder.places_found += 1;
    for id in files.iter().filter_map(|file| file.name.strip_suffix(".json")).filter(|id| is_id(id)) {
        let extension = Extension { id: id.to_owned(), enabled: true, ..Extension::default() };
        add(builder, extension, browser, place.to_owned());
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
            add(builder, extension, "firefox", place.to_owned());
        }
    }
}

fn add(builder: &mut ReadingBuilder, extension: Extension, browser: &str, path: String) {
    let Extension { id, name, version, author, enabled, locale: _ } = extension;
    // Texts may be as long as the file; keep only what would be sent.
    let [id, name, version, author] = [id, name, version, author].map(|text| clean_text(&text, limits::TEXT_BYTES));
    let mut observation = Observation::new(Kind::BrowserExtension, if name.is_empty() { id.clone() } else { name });
    observation.id = id;
    observation.version = version;
    observation.vendor = author;
    observation.path = path;
    if !enabled {
        observation.set_state(ReportedState::Disabled);
    }
    observation.attributes.insert("browser".to_owned(), browser.to_owned());
    builder.observations.push(observation);
}

#[cfg(all(test, unix))]
#[path = "browser_extensions_tests.rs"]
mod tests;
