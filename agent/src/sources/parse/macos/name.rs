//! Names of files as macOS compares them: APFS and HFS+ usually tell neither upper case from lower case nor composed letters
//! from decomposed ones (Apple File System Reference, "normalization-insensitive").

use unicode_normalization::UnicodeNormalization as _;

/// Two names of one file have the same text here.
#[must_use]
pub fn folded(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    // Once more, because a small letter can be one that is composed.
    name.nfd().flat_map(char::to_lowercase).nfd().collect()
}

/// Whether a path is one folder or below it, in any spelling.
#[must_use]
pub fn is_within(path: &str, folder: &str) -> bool {
    let (path, folder) = (folded(path), folded(folder));
    path.strip_prefix(folder.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_composition_do_not_matter() {
        for (one, two) in [
            ("Applications", "APPLICATIONS"),
            ("Café", "cafe\u{301}"),
            ("ÅNGSTRÖM", "a\u{30a}ngstro\u{308}m"),
            ("Й", "и\u{306}"),
        ] {
            assert_eq!(folded(one), folded(two), "{one}");
        }
        assert_ne!(folded("Cafe"), folded("Café"));
        assert!(is_within("/applications/X.app", "/Applications/"));
        assert!(!is_within("/ApplicationsX", "/Applications"));
    }
}
