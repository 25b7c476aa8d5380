//! The rows of `field.toml` and `systems.toml`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The whole table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) system: BTreeMap<String, System>,
    pub(super) root: Vec<Root>,
}

impl Table {
    pub(super) fn read() -> Result<Self> {
        let mut table: Self = toml::from_str(include_str!("../field.toml")).context("read field.toml")?;
        let systems: Self = toml::from_str(include_str!("systems.toml")).context("read systems.toml")?;
        table.system.extend(systems.system);
        table.root.extend(systems.root);
        Ok(table)
    }
}

/// An operating system with its ordinary packages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct System {
    pub(super) os_release: String,
    #[serde(default)]
    pub(super) dpkg: Vec<String>,
    #[serde(default)]
    pub(super) rpm: Vec<String>,
    /// The folder of rpm's database.
    #[serde(default = "usual_place_of_rpm")]
    pub(super) rpm_place: String,
    /// `name-version-release`, as pacman names its folders.
    #[serde(default)]
    pub(super) pacman: Vec<String>,
}

/// One host: what it has besides its system, and the answer that it must get.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Root {
    pub(super) name: String,
    pub(super) about: String,
    /// Where the case is public; none for a control.
    #[serde(default)]
    pub(super) source: String,
    pub(super) system: String,
    #[serde(default)]
    pub(super) dpkg: Vec<Stanza>,
    #[serde(default)]
    pub(super) rpm: Vec<RpmRow>,
    /// The folder of an rpm database without packages.
    pub(super) empty_rpm: Option<String>,
    /// Files of mode 755 that begin as ELF files do.
    #[serde(default)]
    pub(super) programs: Vec<String>,
    /// The place of a unit, and the program that it starts.
    #[serde(default)]
    pub(super) units: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) texts: BTreeMap<String, String>,
    /// Empty folders.
    #[serde(default)]
    pub(super) folders: Vec<String>,
    #[serde(default)]
    pub(super) links: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) nul_bytes_after_status: usize,
    pub(super) expect: Expect,
    /// A wrong answer that is known.
    #[serde(default)]
    pub(super) today: String,
}

/// One record of dpkg.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stanza {
    pub(super) name: String,
    #[serde(default)]
    pub(super) version: String,
    #[serde(default = "amd64")]
    pub(super) architecture: String,
    #[serde(default = "installed")]
    pub(super) status: String,
    #[serde(default)]
    pub(super) maintainer: String,
}

impl Stanza {
    /// A package of the system itself.
    pub(super) fn ordinary(name: &str) -> Self {
        let maintainer = "Debian Developers <debian@example.org>".to_owned();
        let (name, version) = (name.to_owned(), "1.0-1".to_owned());
        Self { name, version, architecture: amd64(), status: installed(), maintainer }
    }
}

/// One package of rpm.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RpmRow {
    pub(super) name: String,
    /// `version-release`.
    pub(super) version: String,
    #[serde(default)]
    pub(super) vendor: String,
}

impl RpmRow {
    /// A package of the system itself.
    pub(super) fn ordinary(name: &str) -> Self {
        Self { name: name.to_owned(), version: "1.0-1".to_owned(), vendor: "Example Linux".to_owned() }
    }
}

/// The answer that an operator must get.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) presence: String,
    pub(super) protection: String,
    pub(super) lane: String,
    pub(super) overdue: Option<bool>,
    /// How many products of the order are found.
    pub(super) products: Option<usize>,
    /// Source to number of observations.
    #[serde(default)]
    pub(super) rows: BTreeMap<String, u64>,
    #[serde(default)]
    pub(super) says: Vec<String>,
    #[serde(default)]
    pub(super) never_says: Vec<String>,
}

fn usual_place_of_rpm() -> String {
    "/var/lib/rpm".to_owned()
}

fn amd64() -> String {
    "amd64".to_owned()
}

fn installed() -> String {
    "install ok installed".to_owned()
}
