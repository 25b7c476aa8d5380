//! Snaps: the metadata of a mounted snap, and snapd's list of installed snaps.

use std::collections::BTreeMap;
use std::fmt;

use muster_proto::limits;
use serde::Deserializer;
use serde::de::{Error as _, MapAccess, Visitor};

use super::json::Text;

/// Facts in `meta/snap.yaml`; empty where it does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapYaml {
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// The type; `app` if the file has none.
    pub kind: String,
}

/// Parses the top-level scalars of the file. Nothing else is needed.
#[must_use]
pub fn parse_yaml(text: &str) -> SnapYaml {
    let mut yaml = SnapYaml::default();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':').filter(|_| !line.starts_with([' ', '\t', '#', '-'])) else {
            continue;
        };
        let place = match key.trim_end() {
            "name" => &mut yaml.name,
            "version" => &mut yaml.version,
            "type" => &mut yaml.kind,
            _ => continue,
        };
        // The first one counts; a repeated key is invalid YAML.
        if place.is_empty() {
            *place = scalar(value.trim());
        }
    }
    yaml
}

/// A plain or quoted scalar without its comment. Block scalars and aliases give empty text; names and versions never use
/// them.
fn scalar(value: &str) -> String {
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].split(quote).next().unwrap_or_default().to_owned(),
        Some('|' | '>' | '&' | '*' | '#') | None => String::new(),
        Some(_) => value.split(" #").next().unwrap_or_default().trim_end().to_owned(),
    }
}

/// A snap in snapd's state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installed {
    /// The current revision.
    pub revision: String,
    /// Whether it is enabled.
    pub active: bool,
}

#[derive(serde::Deserialize)]
struct State {
    #[serde(default)]
    data: Data,
}

#[derive(serde::Deserialize, Default)]
struct Data {
    #[serde(default, deserialize_with = "bounded")]
    snaps: BTreeMap<String, SnapState>,
}

#[derive(serde::Deserialize)]
struct SnapState {
    #[serde(default)]
    active: bool,
    #[serde(default)]
    current: Text<true>,
}

/// Limit of snaps: more than a section holds. A machine has up to a hundred.
const SNAPS: usize = limits::OBSERVATIONS_PER_SECTION + 1;

fn bounded<'de, D: Deserializer<'de>>(map: D) -> Result<BTreeMap<String, SnapState>, D::Error> {
    struct Bounded;
    impl<'de> Visitor<'de> for Bounded {
        type Value = BTreeMap<String, SnapState>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {SNAPS} snaps")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut snaps = BTreeMap::new();
            while let Some((name, snap)) = map.next_entry()? {
                if snaps.len() == SNAPS {
                    return Err(A::Error::invalid_length(SNAPS + 1, &self));
                }
                snaps.insert(name, snap);
            }
            Ok(snaps)
        }
    }
    map.deserialize_map(Bounded)
}

/// Parses `state.json`; `None` when it is invalid.
#[must_use]
pub fn parse_state(bytes: &[u8]) -> Option<BTreeMap<String, Installed>> {
    let state: State = serde_json::from_slice(bytes).ok()?;
    // snapd's state may have the revision as text or as a number.
    let installed = |state: SnapState| Installed { revision: state.current.0, active: state.active };
    Some(state.data.snaps.into_iter().map(|(name, snap)| (name, installed(snap))).collect())
}

/// Name and revision from the file name `NAME_REVISION.snap`.
#[must_use]
pub fn of_file(name: &str) -> Option<(&str, &str)> {
    let (snap, revision) = name.strip_suffix(".snap")?.rsplit_once('_')?;
    // Snaps from a local file have revisions such as `x1`.
    let digits = revision.strip_prefix('x').unwrap_or(revision);
    (!snap.is_empty() && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some((snap, revision))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_top_level_values_are_read() {
        let text = "# name: no\nname: kesl\nversion: '12.2' # the newest\nsummary: >\n  version: 9\napps:\n  a:\n    name: other\ntype: app\n";
        let yaml = parse_yaml(text);
        assert_eq!(yaml, SnapYaml { name: "kesl".into(), version: "12.2".into(), kind: "app".into() });
    }

    #[test]
    fn the_state_lists_installed_snaps() {
        let text = r#"{"data":{"auth":null,"snaps":{"kesl":{"type":"app","active":true,"current":"17"},"x":{"current":3}}},"changes":{}}"#;
        let snaps = parse_state(text.as_bytes()).expect("a state");
        assert_eq!(snaps["kesl"], Installed { revision: "17".into(), active: true });
        assert_eq!(snaps["x"], Installed { revision: "3".into(), active: false });
        for cut in 0..text.len() {
            assert_eq!(parse_state(&text.as_bytes()[..cut]), None, "cut at {cut}");
        }
        assert_eq!(of_file("core22_1380.snap"), Some(("core22", "1380")));
        assert_eq!(of_file("kesl_x1.snap"), Some(("kesl", "x1")));
        assert_eq!(of_file("kesl_x1.snap.partial"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), name in any::<String>()) {
            let _ = parse_state(&bytes);
            let _ = parse_yaml(&String::from_utf8_lossy(&bytes));
            let _ = (of_file(&name), parse_yaml(&format!("name: {name}")));
        }
    }
}
