//! An entry of Arch's package database: sections of a line `%NAME%` and value lines, each followed by an empty line.

use super::dpkg::person;
use super::paged::PagedFault;

/// A package in the database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Package {
    /// The name.
    pub name: String,
    /// The version, with epoch and release.
    pub version: String,
    /// The architecture.
    pub architecture: String,
    /// The packager's name without the mail address.
    pub packager: String,
}

/// Parses a `desc` file. What was read before a fault is returned with it.
#[must_use]
pub fn parse(bytes: &[u8]) -> (Package, Option<PagedFault>) {
    let mut package = Package::default();
    let mut section = String::new();
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        match line.strip_prefix('%').and_then(|rest| rest.strip_suffix('%')) {
            // A value may have the same form, so a section begins only after an empty line.
            Some(name) if section.is_empty() => name.clone_into(&mut section),
            _ if line.is_empty() => section.clear(),
            _ => {
                let place = match section.as_str() {
                    "NAME" => &mut package.name,
                    "VERSION" => &mut package.version,
                    "ARCH" => &mut package.architecture,
                    "PACKAGER" => &mut package.packager,
                    _ => continue,
                };
                line.clone_into(place);
            }
        }
    }
    package.packager = person(package.packager.as_bytes());
    // makepkg writes this when no packager is configured (makepkg.conf(5)).
    if package.packager == "Unknown Packager" {
        package.packager.clear();
    }
    let what = if package.name.is_empty() || package.version.is_empty() {
        Some("no name or version")
    } else if bytes.contains(&0) {
        Some("contains NUL bytes")
    } else if !bytes.ends_with(b"\n\n") {
        Some("ends without an empty line")
    } else {
        None
    };
    (package, what.map(|what| PagedFault::at("desc", what)))
}

/// Name and version from the directory of an entry: `name-version-release`.
#[must_use]
pub fn of_directory(name: &str) -> Option<(&str, &str)> {
    let (rest, _) = name.rsplit_once('-')?;
    let (package, _) = rest.rsplit_once('-')?;
    (!package.is_empty()).then(|| (package, &name[package.len() + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "%NAME%\nkesl\n\n%VERSION%\n1:12.2-1\n\n%DESC%\n%ODD% text\n\n%ARCH%\nx86_64\n\n%PACKAGER%\nJane D <j@d.example>\n\n";

    #[test]
    fn an_entry_is_parsed() {
        let (package, fault) = parse(TEXT.as_bytes());
        assert_eq!(fault, None);
        let Package { name, version, architecture, packager } = package;
        assert_eq!([name, version, architecture, packager], ["kesl", "1:12.2-1", "x86_64", "Jane D"]);
        assert_eq!(of_directory("lib32-glibc-2.39+r52-1"), Some(("lib32-glibc", "2.39+r52-1")));
        assert_eq!(of_directory("x-1"), None);
    }

    #[test]
    fn an_entry_truncated_in_a_section_is_a_fault() {
        for cut in 0..TEXT.len() {
            let (package, fault) = parse(&TEXT.as_bytes()[..cut]);
            let whole = !package.name.is_empty() && !package.version.is_empty() && TEXT[..cut].ends_with("\n\n");
            assert_eq!(fault.is_none(), whole, "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), name in any::<String>()) {
            let _ = parse(&bytes);
            let _ = of_directory(&name);
        }
    }
}
