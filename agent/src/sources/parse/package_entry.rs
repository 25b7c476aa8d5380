//! Names of files and directories that are the index of a package database: they contain name and version.

/// A package as its entry names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackageEntry {
    /// The name.
    pub name: String,
    /// The version, with revision and build.
    pub version: String,
    /// The architecture; empty if the entry does not have it.
    pub architecture: String,
}

impl PackageEntry {
    fn new(name: &str, version: impl Into<String>, architecture: &str) -> Option<Self> {
        let entry = Self { name: name.to_owned(), version: version.into(), architecture: architecture.to_owned() };
        (!entry.name.is_empty() && !entry.version.is_empty()).then_some(entry)
    }
}

/// An entry of Portage, `name-version` or `name-version-r1`. A name may contain a dash and a digit, but not at its end.
#[must_use]
pub fn of_portage(text: &str) -> Option<PackageEntry> {
    let (rest, revision) = match text.rsplit_once("-r") {
        Some((rest, digits)) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            (rest, format!("-r{digits}"))
        }
        _ => (text, String::new()),
    };
    let (name, version) = rest.rsplit_once('-')?;
    version.starts_with(|first: char| first.is_ascii_digit()).then_some(())?;
    PackageEntry::new(name, format!("{version}{revision}"), "")
}

/// An entry of Slackware's pkgtools: `name-version-architecture-build`. The name may contain dashes.
#[must_use]
pub fn of_pkgtools(text: &str) -> Option<PackageEntry> {
    let mut parts = text.rsplitn(4, '-');
    let (build, architecture, version, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    PackageEntry::new(name, format!("{version}-{build}"), architecture)
}

/// An entry of eopkg and PiSi: `name-version-release`.
#[must_use]
pub fn of_eopkg(text: &str) -> Option<PackageEntry> {
    let mut parts = text.rsplitn(3, '-');
    let (release, version, name) = (parts.next()?, parts.next()?, parts.next()?);
    PackageEntry::new(name, format!("{version}-{release}"), "")
}

/// The `pkgver` of xbps: `name-version_revision`.
#[must_use]
pub fn of_xbps(text: &str) -> Option<PackageEntry> {
    let (name, version) = text.rsplit_once('-')?;
    PackageEntry::new(name, version, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(entry: Option<PackageEntry>) -> String {
        entry.map_or_else(String::new, |one| format!("{} {} {}", one.name, one.version, one.architecture))
    }

    #[test]
    fn name_and_version_are_separated_at_the_right_dash() {
        assert_eq!(row(of_portage("gtk+-3.24.41-r1")), "gtk+ 3.24.41-r1 ");
        assert_eq!(row(of_portage("font-adobe-100dpi-1.0.4")), "font-adobe-100dpi 1.0.4 ");
        assert_eq!(row(of_portage("openssl-3.0.13_p1")), "openssl 3.0.13_p1 ");
        assert_eq!(
            row(of_pkgtools("aaa_glibc-solibs-2.33-x86_64-5_slack15.0")),
            "aaa_glibc-solibs 2.33-5_slack15.0 x86_64"
        );
        assert_eq!(row(of_pkgtools("kesl-12.1.0_1508-x86_64-1_SBo")), "kesl 12.1.0_1508-1_SBo x86_64");
        assert_eq!(row(of_eopkg("gtk-3-demo-3.24.41-92")), "gtk-3-demo 3.24.41-92 ");
        assert_eq!(row(of_xbps("base-system-0.114_2")), "base-system 0.114_2 ");
    }

    #[test]
    fn what_is_not_an_entry_is_none() {
        for text in ["", "-", "-1", "name", "a-b", "lost+found", "-r1", "é"] {
            assert_eq!(of_portage(text), None, "{text}");
        }
        for text in ["", "a-b-c", "-1-2-3", "---"] {
            assert_eq!(of_pkgtools(text), None, "{text}");
        }
        assert_eq!((of_eopkg("a-b"), of_xbps("a")), (None, None));
    }
}
