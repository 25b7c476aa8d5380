//! `browser-extensions`: extensions in Chrome, Chromium, Edge, Brave and Firefox, of everybody who has a home on this
//! machine, and those that are given to all.
//!
//! Whose an extension is, and in which profile it stands, is not told: paths begin with `~` and end at the browser, so
//! the same extension of two people is one observation.

use std::collections::BTreeSet;

use muster_proto::canonical::clean_text;
use muster_proto::limits;
use muster_proto::model::{Kind, Observation, SourceName};

use super::findings::Findings;
use super::people::local_homes;
use crate::sources::parse::extension::{Extension, is_id, message_of, parse_add_ons, parse_manifest, parse_message};
use crate::sources::watchlist::matches;
use crate::sources::{Owned, ScanContext, Source, SourceReading};

/// Browsers made from Chromium, and where each keeps its profiles below a home: as a package, a snap or a flatpak.
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
/// Where packages give extensions to everybody: a file named after each, or its manifest.
pub(super) const FOR_ALL: &[(&str, &str)] = &[
    ("chrome", "/opt/google/chrome/extensions"),
    ("chrome", "/usr/share/google-chrome/extensions"),
    ("chromium", "/usr/share/chromium/extensions"),
    ("edge", "/usr/share/microsoft-edge/extensions"),
    ("brave", "/usr/share/brave-browser/extensions"),
];
/// Where packages give add-ons to everybody's Firefox: a file or folder named after each. In the shared folders those for
/// Firefox stand below its own id, beside those for other programs.
const FOR_ALL_FIREFOX: &[&str] = &[
    "/usr/lib/mozilla/extensions/{ec8030f7-c20a-464f-9b0e-13a3a9e97384}",
    "/usr/lib64/mozilla/extensions/{ec8030f7-c20a-464f-9b0e-13a3a9e97384}",
    "/usr/share/mozilla/extensions/{ec8030f7-c20a-464f-9b0e-13a3a9e97384}",
    "/usr/lib/firefox/distribution/extensions",
    "/usr/lib/firefox-esr/distribution/extensions",
    "/usr/lib64/firefox/distribution/extensions",
    "/opt/firefox/distribution/extensions",
];
/// Homes are written by people: what is read there may not fill the memory of the agent. Real ones are a tenth of it.
const MANIFEST_BYTES: usize = 1024 * 1024;
const LIST_BYTES: usize = 16 * 1024 * 1024;

pub(in crate::sources) struct BrowserExtensions;

impl Source for BrowserExtensions {
    fn name(&self) -> SourceName {
        SourceName::BrowserExtensions
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut findings = Findings::default();
        let homes = local_homes(context, &mut findings);
        findings.places += homes.len();
        for home in homes {
            // A home that may not be entered hides all that is in it.
            let Some(_) = findings.list(context, &home) else { continue };
            for (browser, places) in CHROMIUM {
                for place in *places {
                    profiles(context, browser, &home, place, &mut findings);
                }
            }
            for place in FIREFOX {
                firefox(context, &home, place, &mut findings);
            }
        }
        for (browser, place) in FOR_ALL {
            for_all(context, browser, place, &mut findings);
        }
        for place in FOR_ALL_FIREFOX {
            for_all_firefox(context, place, &mut findings);
        }
        let distinct: BTreeSet<Observation> = std::mem::take(&mut findings.observations).into_iter().collect();
        findings.observations.extend(distinct);
        findings.reading("there are no browsers")
    }
}

/// Every profile of a browser: a directory with `Extensions/ID/VERSION/manifest.json` in it.
fn profiles(context: &ScanContext, browser: &str, home: &str, place: &str, findings: &mut Findings) {
    let base = format!("{home}/{place}");
    for profile in findings.list(context, &base).unwrap_or_default().into_iter().filter(|entry| entry.is_directory) {
        let extensions = format!("{base}/{}/Extensions", profile.name);
        for id in findings.list(context, &extensions).unwrap_or_default() {
            if !id.is_directory || !is_id(&id.name) {
                continue;
            }
            if findings.is_full(&base) {
                return;
            }
            let dir = format!("{extensions}/{}", id.name);
            for version in findings.list(context, &dir).unwrap_or_default().into_iter().filter(|v| v.is_directory) {
                let dir = format!("{dir}/{}", version.name);
                let Some(mut extension) = manifest(context, &base, &dir, findings) else { continue };
                extension.id.clone_from(&id.name);
                own(context, findings, home, &extension);
                add(findings, extension, browser, format!("~/{place}"));
            }
        }
    }
}

fn manifest(context: &ScanContext, place: &str, dir: &str, findings: &mut Findings) -> Option<Extension> {
    let bytes = findings.read(context, &format!("{dir}/manifest.json"), MANIFEST_BYTES)?;
    let Some(mut extension) = parse_manifest(&bytes) else {
        findings.broken(format!("{place}: a manifest of an extension cannot be understood"));
        return None;
    };
    if let Some(message) = message_of(&extension.name) {
        let locale = extension.locale.as_str();
        let known = !locale.is_empty() && locale.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        let messages = format!("{dir}/_locales/{}/messages.json", if known { locale } else { "en" });
        let messages = findings.read(context, &messages, MANIFEST_BYTES);
        if let Some(name) = messages.and_then(|bytes| parse_message(&bytes, message)) {
            extension.name = name;
        }
    }
    Some(extension)
}

fn firefox(context: &ScanContext, home: &str, place: &str, findings: &mut Findings) {
    let base = format!("{home}/{place}");
    for profile in findings.list(context, &base).unwrap_or_default().into_iter().filter(|entry| entry.is_directory) {
        if findings.is_full(&base) {
            return;
        }
        let Some(bytes) = findings.read(context, &format!("{base}/{}/extensions.json", profile.name), LIST_BYTES)
        else {
            continue;
        };
        match parse_add_ons(&bytes) {
            Some(add_ons) => add_ons.into_iter().for_each(|it| {
                own(context, findings, home, &it);
                add(findings, it, "firefox", format!("~/{place}"));
            }),
            None => findings.broken(format!("{base}: a list of add-ons cannot be understood")),
        }
    }
}

/// The watchlist names extensions by id or by name.
fn own(context: &ScanContext, findings: &mut Findings, home: &str, extension: &Extension) {
    let name = extension.name.to_lowercase();
    let names = |pattern: &String| matches(pattern, &extension.id) || matches(pattern, &name);
    findings.owned.push(Owned {
        home: home.to_owned(),
        place: format!("browser-extension:{}", extension.id),
        watched: context.watchlist.extension_ids.iter().any(names),
    });
}

/// `ID.json` names an extension that the browser fetches or takes from a package.
fn for_all(context: &ScanContext, browser: &str, place: &str, findings: &mut Findings) {
    let Some(files) = findings.list(context, place) else { return };
    findings.places += 1;
    for id in files.iter().filter_map(|file| file.name.strip_suffix(".json")).filter(|id| is_id(id)) {
        let extension = Extension { id: id.to_owned(), enabled: true, ..Extension::default() };
        add(findings, extension, browser, place.to_owned());
    }
}

/// `ID.xpi`, or a folder `ID` that holds the add-on unpacked.
fn for_all_firefox(context: &ScanContext, place: &str, findings: &mut Findings) {
    let Some(entries) = findings.list(context, place) else { return };
    findings.places += 1;
    for entry in entries {
        let id = entry.name.strip_suffix(".xpi").unwrap_or(&entry.name);
        let is_add_on = id.len() < entry.name.len() || entry.is_directory || entry.is_link;
        if is_add_on && id.contains(['@', '{']) {
            let extension = Extension { id: id.to_owned(), enabled: true, ..Extension::default() };
            add(findings, extension, "firefox", place.to_owned());
        }
    }
}

fn add(findings: &mut Findings, extension: Extension, browser: &str, path: String) {
    let Extension { id, name, version, author, enabled, locale: _ } = extension;
    // A text may be as long as its file, and only so much of it is ever sent.
    let [id, name, version, author] = [id, name, version, author].map(|text| clean_text(&text, limits::TEXT_BYTES));
    let mut observation = Observation::new(Kind::BrowserExtension, if name.is_empty() { id.clone() } else { name });
    observation.id = id;
    observation.version = version;
    observation.vendor = author;
    observation.path = path;
    if !enabled {
        observation.state = "disabled".to_owned();
    }
    observation.attributes.insert("browser".to_owned(), browser.to_owned());
    findings.observations.push(observation);
}

#[cfg(test)]
#[path = "browser_extensions_tests.rs"]
mod tests;
