//! `Info.plist` of bundles: applications, kernel extensions, old receipts (Bundle Programming Guide, "The Information Property
//! List File").

use crate::sources::parse::plist::Plist;

/// What a bundle says about itself; empty where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bundle {
    /// The bundle id: `com.example.app`.
    pub id: String,
    /// The version that people see, or that of the build.
    pub version: String,
    /// The build, if it is another text.
    pub build: String,
    /// The copyright or the description, which names the maker.
    pub maker: String,
    /// The name of the program in `Contents/MacOS`.
    pub executable: String,
}

/// The keys that are read. Each of them is a text.
const KEYS: &[&str] = &[
    "CFBundleIdentifier",
    "CFBundleShortVersionString",
    "CFBundleVersion",
    "NSHumanReadableCopyright",
    "CFBundleGetInfoString",
    "CFBundleExecutable",
];
/// Beginnings of the ids of shortcuts that a virtual machine makes on the Mac for the programs of its guest.
const SHORTCUTS: &[&str] = &["com.parallels.winapp.", "com.vmware.proxyapp."];

impl Bundle {
    /// Reads the properties of a bundle.
    #[must_use]
    pub fn of(plist: &Plist) -> Self {
        let first = |keys: [&str; 2]| keys.iter().map(|key| plist.text(key)).find(|text| !text.is_empty());
        let build = plist.text("CFBundleVersion");
        let version = first(["CFBundleShortVersionString", "CFBundleVersion"]).unwrap_or_default();
        Self {
            id: plist.text("CFBundleIdentifier"),
            build: if build == version { String::new() } else { build },
            version,
            maker: first(["NSHumanReadableCopyright", "CFBundleGetInfoString"]).unwrap_or_default(),
            executable: plist.text("CFBundleExecutable"),
        }
    }

    /// The key whose value is no text, so that it is not known; `None` if there is none.
    #[must_use]
    pub fn unreadable_key(plist: &Plist) -> Option<&'static str> {
        plist.without_text(KEYS)
    }

    /// Whether this is a shortcut to a program of a virtual machine.
    #[must_use]
    pub fn is_shortcut(&self) -> bool {
        let id = self.id.to_ascii_lowercase();
        SHORTCUTS.iter().any(|beginning| id.starts_with(beginning))
    }

    /// Whether the id is one of Apple's.
    #[must_use]
    pub fn is_apples(&self) -> bool {
        is_apples(&self.id)
    }
}

/// Whether a bundle id or label is one of Apple's.
#[must_use]
pub fn is_apples(id: &str) -> bool {
    id.get(..10).is_some_and(|beginning| beginning.eq_ignore_ascii_case("com.apple."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::parse::plist;

    #[test]
    fn version_and_build_are_told_apart() {
        let of = |text: &str| Bundle::of(&plist::parse(text.as_bytes()).expect("a list"));
        let bundle = of("{ CFBundleIdentifier = \"com.kaspersky.kav\"; CFBundleShortVersionString = \"26.0.0\"; \
                        CFBundleVersion = \"26.0.0.150\"; CFBundleGetInfoString = \"Kaspersky\"; CFBundleExecutable = kav; }");
        assert_eq!((bundle.version.as_str(), bundle.build.as_str()), ("26.0.0", "26.0.0.150"));
        assert_eq!((bundle.maker.as_str(), bundle.executable.as_str()), ("Kaspersky", "kav"));
        let bundle = of("{ CFBundleVersion = 517; }");
        assert_eq!((bundle.version.as_str(), bundle.build.as_str()), ("517", ""));
        assert!(of("{ CFBundleIdentifier = \"com.parallels.winapp.a5.c2\"; }").is_shortcut());
        assert!(of("{ CFBundleIdentifier = \"com.apple.Safari\"; }").is_apples());
        assert!(!of("{ CFBundleIdentifier = \"com.applet.x\"; }").is_apples());
    }
}
