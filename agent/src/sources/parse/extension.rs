//! Browser extensions: the manifest of an extension in Chromium-based browsers, and Firefox' list of add-ons.

use serde::Deserialize;
use serde::de::DeserializeSeed;

use super::json::{self, Bounded, TextOf, Texts};

/// An extension; fields are empty where the file does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extension {
    /// The id; empty from a manifest, which does not contain it.
    pub id: String,
    /// The name. In Chromium-based browsers it may refer to a message: see [`message_of`].
    pub name: String,
    /// The version.
    pub version: String,
    /// The author.
    pub author: String,
    /// Whether it is enabled.
    pub enabled: bool,
    /// The default language of its messages, for a name that refers to one.
    pub locale: String,
}

/// Parses a `manifest.json`; `None` when it is invalid.
#[must_use]
pub fn parse_manifest(bytes: &[u8]) -> Option<Extension> {
    let texts = object(bytes, Texts(&["name", "version", "author", "default_locale"]))?;
    let [name, version, author, locale] = texts.try_into().ok()?;
    let extension = Extension {
        id: String::new(),
        name,
        version,
        // A mail address identifies a person.
        author: if author.contains('@') { String::new() } else { author },
        enabled: true,
        locale,
    };
    (!extension.name.is_empty() && !extension.version.is_empty()).then_some(extension)
}

/// The message that a name refers to: `appName` for `__MSG_appName__`.
#[must_use]
pub fn message_of(name: &str) -> Option<&str> {
    name.strip_prefix("__MSG_")?.strip_suffix("__").filter(|message| !message.is_empty())
}

/// The text of a message in a `messages.json`; message names are case-insensitive.
#[must_use]
pub fn parse_message(bytes: &[u8], message: &str) -> Option<String> {
    object(bytes, TextOf { outer: message, inner: "message" })?
}

/// Parses JSON as Chromium does: with a byte order mark and comments.
fn object<T>(bytes: &[u8], wanted: impl for<'de> DeserializeSeed<'de, Value = T> + Copy) -> Option<T> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Few files have comments, so the copy without them is made only when it is needed.
    json::read(bytes, wanted).or_else(|| json::read(&without_comments(bytes), wanted))
}

fn without_comments(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let (mut at, mut quoted) = (0, false);
    while let Some(&byte) = bytes.get(at) {
        let end = |mark: &[u8]| bytes[at + 2..].windows(mark.len()).position(|w| w == mark).map(|end| at + 2 + end);
        match (byte, bytes.get(at + 1)) {
            (b'/', Some(b'/')) if !quoted => at = end(b"\n").unwrap_or(bytes.len()),
            (b'/', Some(b'*')) if !quoted => at = end(b"*/").map_or(bytes.len(), |end| end + 2),
            (b'\\', Some(&next)) if quoted => {
                plain.extend([byte, next]);
                at += 2;
            }
            _ => {
                quoted ^= byte == b'"';
                plain.push(byte);
                at += 1;
            }
        }
    }
    plain
}

#[derive(Deserialize)]
struct AddOns {
    addons: Bounded<AddOn, MAX_ADD_ONS>,
}

/// Limit of add-ons in one list; a profile with a hundred is rare. A short entry takes a hundred times its size in memory.
pub const MAX_ADD_ONS: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddOn {
    id: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    location: Option<String>,
    #[serde(default)]
    active: bool,
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    default_locale: Option<Locale>,
}

#[derive(Deserialize, Default)]
struct Locale {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    creator: Option<String>,
}

/// Parses Firefox' `extensions.json`; `None` when it is invalid. Add-ons that came with the browser are left out.
#[must_use]
pub fn parse_add_ons(bytes: &[u8]) -> Option<Vec<Extension>> {
    let list: AddOns = serde_json::from_slice(bytes).ok()?;
    // The directories "share" and "local" belong to all users, and others install there too.
    let built_in = |add_on: &AddOn| {
        let location = add_on.location.as_deref().unwrap_or_default();
        location == "app-builtin"
            || location == "app-builtin-addons"
            || location.starts_with("app-system") && location != "app-system-share" && location != "app-system-local"
    };
    let shown = |add_on: &AddOn| {
        let kind = add_on.kind.as_deref().unwrap_or_default();
        !built_in(add_on) && !matches!(kind, "dictionary" | "locale" | "theme")
    };
    let extension = |add_on: AddOn| {
        let locale = add_on.default_locale.unwrap_or_default();
        Extension {
            id: add_on.id,
            name: locale.name.unwrap_or_default(),
            version: add_on.version.unwrap_or_default(),
            // A mail address identifies a person.
            author: locale.creator.filter(|creator| !creator.contains('@')).unwrap_or_default(),
            enabled: add_on.active,
            locale: String::new(),
        }
    };
    Some(list.addons.0.into_iter().filter(shown).map(extension).collect())
}

/// Whether a name is the id of an extension in Chromium-based browsers: 32 letters from a to p.
#[must_use]
pub fn is_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'a'..=b'p'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_manifest_with_comments_and_a_message_as_name_is_parsed() {
        let text = "\u{feff}{ // why\n\"name\": \"__MSG_extName__\", /* \"x\" */ \"version\": \"2.0\",\n\"default_locale\": \"en\", \
                    \"author\": \"Kaspersky // Lab\", \"u\": \"https://x/*\\\"\" }";
        let extension = parse_manifest(text.as_bytes()).expect("a manifest");
        assert_eq!((extension.version.as_str(), extension.locale.as_str()), ("2.0", "en"));
        assert_eq!(extension.author, "Kaspersky // Lab");
        assert_eq!(message_of(&extension.name), Some("extName"));
        let messages = br#"{"EXTNAME": {"message": "Kaspersky Protection"}, "other": {"message": "x"}}"#;
        assert_eq!(parse_message(messages, "extName").as_deref(), Some("Kaspersky Protection"));
        assert_eq!(parse_message(messages, "none"), None);
        assert_eq!(message_of("Plain"), None);
        for cut in 0..text.len() {
            assert_eq!(parse_manifest(&text.as_bytes()[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn add_ons_of_the_browser_itself_are_left_out() {
        let text = r#"{"schemaVersion":36,"addons":[
            {"id":"light_plugin_x@kaspersky.com","version":"7.4","type":"extension","location":"app-profile","active":true,
             "defaultLocale":{"name":"Kaspersky Protection","creator":"AO Kaspersky Lab"}},
            {"id":"off@x","version":"1","type":"extension","location":"app-system-share","active":false,"defaultLocale":null},
            {"id":"screenshots@mozilla.org","version":"39","type":"extension","location":"app-builtin","active":true},
            {"id":"a@mozilla.org","type":"extension","location":"app-system-defaults","active":true},
            {"id":"t@mozilla.org","type":"theme","location":"app-profile","active":true}]}"#;
        let found = parse_add_ons(text.as_bytes()).expect("a list");
        let rows: Vec<_> = found.iter().map(|e| (e.id.as_str(), e.name.as_str(), e.enabled)).collect();
        assert_eq!(rows, [("light_plugin_x@kaspersky.com", "Kaspersky Protection", true), ("off@x", "", false)]);
        assert_eq!(found[0].author, "AO Kaspersky Lab");
        for cut in 0..text.len() {
            assert_eq!(parse_add_ons(&text.as_bytes()[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn ids_have_32_letters_from_a_to_p() {
        assert!(is_id("ddoleachckhhdmhpbkddgechjfhnphpe"));
        assert!(!is_id("ddoleachckhhdmhpbkddgechjfhnphpz") && !is_id("Temp") && !is_id(""));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "([{}\\[\\]\",:/*\\\\]|name|__MSG_|\n){0,40}") {
            for bytes in [&bytes[..], text.as_bytes()] {
                let _ = (parse_manifest(bytes), parse_message(bytes, "x"), parse_add_ons(bytes), without_comments(bytes));
            }
            let _ = message_of(&text);
        }
    }

    #[test]
    fn a_list_over_the_limit_is_invalid() {
        let list = |count: usize| {
            let add_ons = vec![r#"{"id":"a@b","type":"extension"}"#; count].join(",");
            parse_add_ons(format!("{{\"addons\":[{add_ons}]}}").as_bytes()).map(|list| list.len())
        };
        assert_eq!((list(MAX_ADD_ONS), list(MAX_ADD_ONS + 1)), (Some(MAX_ADD_ONS), None));
    }
}
