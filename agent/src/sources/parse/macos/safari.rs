//! Lists of the extensions of Safari: `Installed Extensions` of versions before 13, and the dictionaries of later ones, whose
//! keys are `com.example.app.extension (TEAMID1234)`.

use crate::sources::parse::extension::Extension;
use crate::sources::parse::plist::Plist;

/// Reads any of the lists; `None` if it is none.
#[must_use]
pub fn parse(plist: &Plist) -> Option<Vec<Extension>> {
    match plist.get("Installed Extensions") {
        Some(installed) => installed.array()?.iter().map(of_archive).collect(),
        None => Some(plist.dictionary()?.iter().filter_map(|(key, value)| of_app(key, value)).collect()),
    }
}

fn of_archive(entry: &Plist) -> Option<Extension> {
    entry.dictionary()?;
    let texts = ["Bundle Directory Name", "Archive File Name"].map(|key| entry.text(key));
    let name = texts.iter().find(|text| !text.is_empty())?;
    let ids = ["Bundle Identifier", "WebExtensionBundleIdentifier"].map(|key| entry.text(key));
    let id = ids.into_iter().find(|id| !id.is_empty());
    Some(Extension {
        id: id.unwrap_or_else(|| texts[1].clone()),
        name: name.trim_end_matches(".safariextension").to_owned(),
        version: entry.text("CFBundleShortVersionString"),
        enabled: entry.flag("Enabled").unwrap_or(true),
        ..Extension::default()
    })
}

/// `None` for a key that is not that of an extension.
fn of_app(key: &str, value: &Plist) -> Option<Extension> {
    value.dictionary()?;
    let id = key.split(' ').next().filter(|id| id.contains('.'))?;
    Some(Extension { id: id.to_owned(), enabled: value.flag("Enabled").unwrap_or(true), ..Extension::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::parse::plist;

    #[test]
    fn extensions_of_old_and_new_versions_are_read() {
        let of = |text: &str| parse(&plist::parse(text.as_bytes()).expect("a list"));
        let old = "{ \"Installed Extensions\" = ( { \"Archive File Name\" = \"KasperskyURLAdvisor.safariextz\"; \
                   \"Bundle Directory Name\" = \"Kaspersky URL Advisor.safariextension\"; Enabled = 0; } ); }";
        let old = of(old).expect("a list");
        assert_eq!(
            (old[0].name.as_str(), old[0].id.as_str()),
            ("Kaspersky URL Advisor", "KasperskyURLAdvisor.safariextz")
        );
        assert!(!old[0].enabled);
        let new = of("{ \"com.kaspersky.kav.safari (2Y8XE5CQ94)\" = { Enabled = 1; }; version = 3; }").expect("a list");
        assert_eq!((new.len(), new[0].id.as_str(), new[0].enabled), (1, "com.kaspersky.kav.safari", true));
        assert_eq!(of("( a )"), None);
    }
}
