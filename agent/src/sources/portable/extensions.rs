//! Extensions in the profiles of browsers, which are laid out in one way on every system.

use muster_proto::canonical::clean_text;
use muster_proto::limits;
use muster_proto::model::{Kind, Observation, ReportedState};

use crate::sources::parse::extension::{
    Extension, MAX_ADD_ONS, is_id, message_of, parse_add_ons, parse_manifest, parse_message,
};
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::watchlist::matches;
use crate::sources::{HomeItem, ScanContext};

/// Limits for files in home directories, which users control. Real files have a tenth of this.
const MANIFEST_BYTES: usize = 1024 * 1024;
const LIST_BYTES: usize = 4 * 1024 * 1024;

/// Reads every profile of a Chromium-based browser: `Extensions/ID/VERSION/manifest.json` below each profile directory.
pub(in crate::sources) fn profiles(
    context: &ScanContext,
    browser: &str,
    home: &str,
    place: &str,
    builder: &mut ReadingBuilder,
) {
    let base = below(home, place);
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
                add(builder, extension, browser, format!("~/{place}"), None);
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

pub(in crate::sources) fn firefox(context: &ScanContext, home: &str, place: &str, builder: &mut ReadingBuilder) {
    let base = below(home, place);
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
                add(builder, it, "firefox", format!("~/{place}"), None);
            }),
            None => {
                builder.problem(format!("{base}: cannot parse a list of add-ons, or it has more than {MAX_ADD_ONS}"))
            }
        }
    }
}

/// Records whose home directory the extension is in. The watchlist names extensions by id or by name.
pub(in crate::sources) fn add_home_item(
    context: &ScanContext,
    builder: &mut ReadingBuilder,
    home: &str,
    extension: &Extension,
) {
    let name = extension.name.to_lowercase();
    let names = |pattern: &String| matches(pattern, &extension.id) || matches(pattern, &name);
    builder.add_home_item(HomeItem {
        home: home.to_owned(),
        place: format!("browser-extension:{}", extension.id),
        watched: context.watchlist.extension_ids.iter().any(names),
    });
}

/// A place below a home directory. Both separators are one on Windows, and reasons have one spelling.
fn below(home: &str, place: &str) -> String {
    if home.starts_with('/') { format!("{home}/{place}") } else { format!("{}/{place}", home.replace('\\', "/")) }
}

/// Adds an extension, with texts of the length that would be sent.
pub(in crate::sources) fn add(
    builder: &mut ReadingBuilder,
    extension: Extension,
    browser: &str,
    path: String,
    added_by: Option<&str>,
) {
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
    observation.attributes.extend(added_by.map(|place| ("added_by".to_owned(), place.to_owned())));
    let place = observation.path.clone();
    builder.add(&place, observation);
}
