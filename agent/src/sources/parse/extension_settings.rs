//! The policy `ExtensionSettings` of Chrome, Edge, Brave and Firefox: a JSON object whose keys are ids of extensions, each with
//! settings. Source: <https://chromium.org/administrators/policy-list-3/extension-settings-full> and
//! <https://mozilla.github.io/enterprise-admin-reference/reference/policies/extensionsettings/>.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};

use super::json::{self, Texts};

/// Limit of ids in one policy. A fleet allows or forces a few hundred.
const MOST: usize = 10_000;
/// The setting that says whether the browser installs an extension.
pub const MODE: &str = "installation_mode";

/// The ids of the extensions that the policy makes the browser install; `None` if it is invalid, or has more than 10,000. One
/// that is only allowed, blocked or removed says nothing about what is on the machine.
#[must_use]
pub fn parse_installed(bytes: &[u8]) -> Option<Vec<String>> {
    json::read(bytes, Installed)
}

/// Whether an installation mode makes the browser install the extension.
#[must_use]
pub fn installs(mode: &str) -> bool {
    matches!(mode.trim(), "force_installed" | "normal_installed")
}

/// The ids that a key of the policy means: Chromium allows several in one, with commas.
pub fn ids(key: &str) -> impl Iterator<Item = &str> {
    key.split(',').map(str::trim).filter(|id| !id.is_empty())
}

#[derive(Debug, Clone, Copy)]
struct Installed;

impl<'de> DeserializeSeed<'de> for Installed {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Vec<String>, D::Error> {
        value.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Installed {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of at most {MOST} ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
        let mut installed: Vec<String> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            // `*` has the settings of all others, and an address those of a store.
            if key == "*" || key.contains("://") {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let mode = map.next_value_seed(Texts(&[MODE]))?.into_iter().next().unwrap_or_default();
            installed.extend(ids(&key).filter(|_| installs(&mode)).map(str::to_owned));
            if installed.len() > MOST {
                return Err(A::Error::invalid_length(installed.len(), &self));
            }
        }
        Ok(installed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_the_browser_installs_is_listed() {
        let text = r#"{
            "*": {"installation_mode": "blocked", "blocked_permissions": ["usb"]},
            "update_url:https://example.org/update": {"installation_mode": "force_installed"},
            "ddoleachckhhdmhpbkddgechjfhnphpe": {"installation_mode": "force_installed", "update_url": "https://x/crx"},
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb": {"installation_mode": "normal_installed"},
            "cccccccccccccccccccccccccccccccc": {"installation_mode": "allowed"},
            "dddddddddddddddddddddddddddddddd": {"installation_mode": "blocked"},
            "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee": {"installation_mode": "removed"},
            "ffffffffffffffffffffffffffffffff": {"toolbar_pin": "force_pinned"},
            "light_plugin_x@kaspersky.com": {"install_url": "https://x.xpi", "installation_mode": "force_installed"}
        }"#;
        let expected = [
            "ddoleachckhhdmhpbkddgechjfhnphpe",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            "light_plugin_x@kaspersky.com",
        ];
        assert_eq!(parse_installed(text.as_bytes()), Some(expected.map(str::to_owned).to_vec()));
        for cut in 0..text.len() {
            assert_eq!(parse_installed(&text.as_bytes()[..cut]), None, "cut at {cut}");
        }
        for other in ["[]", "\"x\"", r#"{"x": "force_installed"}"#, r#"{"x": []}"#] {
            assert_eq!(parse_installed(other.as_bytes()), None, "{other}");
        }
        assert_eq!(parse_installed(b"{}"), Some(Vec::new()));
    }

    #[test]
    fn a_policy_over_the_limit_is_invalid() {
        let policy = |count: usize| {
            let one = |number: usize| format!(r#""{number}@x":{{"installation_mode":"force_installed"}}"#);
            let all: Vec<String> = (0..count).map(one).collect();
            parse_installed(format!("{{{}}}", all.join(",")).as_bytes()).map(|ids| ids.len())
        };
        assert_eq!((policy(MOST), policy(MOST + 1)), (Some(MOST), None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "([{}\\[\\]\",:*]|installation_mode|force_installed){0,40}") {
            let _ = (parse_installed(&bytes), parse_installed(text.as_bytes()));
        }
    }
}
