//! Package lists that the makers of images write: JSON of Bottlerocket and of Container-Optimized OS.

use serde::Deserialize;

use super::json::Bounded;
use crate::memory::PACKAGES;

/// A package of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// The publisher; empty if the list has none.
    pub publisher: String,
    /// The architecture; empty if the list has none.
    pub architecture: String,
}

/// Either list: each has only its own fields.
#[derive(Deserialize)]
struct List {
    #[serde(rename = "Content")]
    content: Option<Bounded<BottlerocketPackage, PACKAGES>>,
    #[serde(rename = "installedPackages")]
    installed: Option<Bounded<CosPackage, PACKAGES>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BottlerocketPackage {
    name: String,
    #[serde(default)]
    publisher: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    architecture: String,
}

#[derive(Deserialize)]
struct CosPackage {
    name: String,
    #[serde(default)]
    version: String,
    // Older releases write `version` only.
    #[serde(default)]
    ebuild_version: String,
}

/// Parses either list; `None` if it is neither, or has a package without a name.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Vec<Package>> {
    packages(bytes).filter(|packages| packages.iter().all(|package| !package.name.trim().is_empty()))
}

fn packages(bytes: &[u8]) -> Option<Vec<Package>> {
    let list: List = serde_json::from_slice(bytes).ok()?;
    if let Some(content) = list.content {
        let package = |one: BottlerocketPackage| Package {
            name: one.name,
            version: one.version,
            publisher: one.publisher,
            architecture: one.architecture,
        };
        return Some(content.0.into_iter().map(package).collect());
    }
    let package = |one: CosPackage| Package {
        name: one.name,
        version: if one.ebuild_version.is_empty() { one.version } else { one.ebuild_version },
        publisher: String::new(),
        architecture: String::new(),
    };
    Some(list.installed?.0.into_iter().map(package).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lists_are_read() {
        let bottlerocket = r#"{"Content":[{"Name":"glibc","Publisher":"Bottlerocket","InstalledTime":"2024-05-01T00:00:00Z",
            "ApplicationType":"Unspecified","Architecture":"x86_64","Url":"https://x.example","Version":"2.38"}]}"#;
        let cos = r#"{"installedPackages":[{"category":"sys-libs","name":"zlib","version":"1.2.11","ebuild_version":"1.2.11-r4"}],
            "buildTimePackages":[{"category":"x","name":"y","version":"1"}]}"#;
        let rows = |text: &str| -> Vec<String> {
            let packages = parse(text.as_bytes()).expect("a list");
            packages.iter().map(|one| format!("{} {} {}", one.name, one.version, one.publisher)).collect()
        };
        assert_eq!(rows(bottlerocket), ["glibc 2.38 Bottlerocket"]);
        assert_eq!(rows(cos), ["zlib 1.2.11-r4 "]);
    }

    const NAMELESS: &str = r#"{"Content":[{"Name":"glibc","Version":"2.38"},{"Name":" ","Version":"1"}]}"#;

    #[test]
    fn anything_else_is_not_a_list() {
        for text in ["", "{}", "[]", r#"{"Content":[{"Version":"1"}]}"#, NAMELESS, r#"{"Content":[{"Name":"gl"#] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
