//! Receipts of the installer: `PACKAGE.plist` in `/var/db/receipts`, and the history of all installations. Their dates are
//! not read: they differ from machine to machine.

use crate::sources::parse::plist::Plist;

/// A receipt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The id of the package; empty if the file has none.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Where it was installed, as an absolute path; empty if the file does not say.
    pub prefix: String,
}

/// One installation of the history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installation {
    /// What the installer showed.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The packages.
    pub packages: Vec<String>,
}

impl Receipt {
    /// Reads a receipt.
    #[must_use]
    pub fn of(plist: &Plist) -> Self {
        Self {
            id: plist.text("PackageIdentifier"),
            version: plist.text("PackageVersion"),
            prefix: match plist.get("InstallPrefixPath").and_then(Plist::as_text) {
                Some(prefix) => format!("/{}", prefix.trim().trim_matches('/')),
                None => String::new(),
            },
        }
    }

    /// The key of a receipt whose value is missing or no text; `None` if there is none. The installer writes all of them.
    #[must_use]
    pub fn missing_key(plist: &Plist) -> Option<&'static str> {
        const KEYS: [&str; 3] = ["PackageIdentifier", "PackageVersion", "InstallPrefixPath"];
        KEYS.into_iter().find(|key| plist.get(key).and_then(Plist::as_text).is_none())
    }

    /// Reads `Info.plist` of a receipt of the time before Mac OS X 10.6, which is a bundle.
    #[must_use]
    pub fn of_bundle(plist: &Plist) -> Self {
        let place = |key: &str| Some(plist.text(key)).filter(|text| text.starts_with('/'));
        let prefix = place("IFPkgRelocatedPath").or_else(|| place("IFPkgFlagDefaultLocation")).unwrap_or_default();
        let versions = ["CFBundleShortVersionString", "CFBundleVersion"].map(|key| plist.text(key));
        Self {
            id: plist.text("CFBundleIdentifier"),
            version: versions.into_iter().find(|version| !version.is_empty()).unwrap_or_default(),
            prefix: format!("/{}", prefix.trim_matches('/')),
        }
    }
}

/// Reads `InstallHistory.plist`; `None` if it is no list of installations.
#[must_use]
pub fn history(plist: &Plist) -> Option<Vec<Installation>> {
    let entries = plist.array()?;
    let installation = |entry: &Plist| {
        let packages = entry.get("packageIdentifiers").map_or(Some(&[][..]), |ids| ids.array().map(Vec::as_slice))?;
        // Either says what it was.
        let is_named = ["displayName", "packageIdentifiers"].iter().any(|key| entry.get(key).is_some());
        let is_read = is_named && entry.without_text(&["displayName", "displayVersion"]).is_none();
        is_read.then_some(Installation {
            name: entry.text("displayName"),
            version: entry.text("displayVersion"),
            packages: packages.iter().map(Plist::as_text).collect::<Option<_>>()?,
        })
    };
    entries.iter().map(installation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::parse::plist;

    #[test]
    fn the_prefix_is_absolute_in_either_spelling() {
        let receipt = |prefix: &str| {
            let text =
                format!("{{ PackageIdentifier = \"com.kaspersky.kav.core\"; InstallPrefixPath = \"{prefix}\"; }}");
            Receipt::of(&plist::parse(text.as_bytes()).expect("a list")).prefix
        };
        assert_eq!(receipt("/"), "/");
        assert_eq!(receipt("Applications"), "/Applications");
        assert_eq!(receipt("/Library/Application Support/"), "/Library/Application Support");
        assert_eq!(receipt(""), "/");
        let without = plist::parse(b"{ PackageIdentifier = x; PackageVersion = 1; }").expect("a list");
        assert_eq!(Receipt::of(&without).prefix, "");
        assert_eq!(Receipt::missing_key(&without), Some("InstallPrefixPath"));
    }

    #[test]
    fn a_history_with_anything_else_in_it_is_none() {
        let of = |text: &str| history(&plist::parse(text.as_bytes()).expect("a list"));
        let known = of("( { displayName = \"Kaspersky\"; displayVersion = \"21.0\"; packageIdentifiers = (a, b); } )");
        let one = Installation {
            name: "Kaspersky".to_owned(),
            version: "21.0".to_owned(),
            packages: vec!["a".to_owned(), "b".to_owned()],
        };
        assert_eq!(known, Some(vec![one]));
        assert_eq!(of("( text )"), None);
        assert_eq!(of("( { displayName = (); } )"), None);
        assert_eq!(of("( { displayVersion = 1; } )"), None);
        assert_eq!(of("( { packageIdentifiers = (a, ()); } )"), None);
        assert_eq!(of("{ a = b; }"), None);
    }
}
