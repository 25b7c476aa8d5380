//! The watchlist: names that the collector asks agents to check. It is derived from the catalogue and contains no rules.

/// What sources check that cannot list everything, such as all paths of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watchlist {
    /// Day of the newest recogniser and a number within that day (`20261123000412`). It grows from day to day, and within
    /// a day with every entry that is added; removing an entry can lower it. 0 means no watchlist.
    pub version: u64,
    /// Absolute paths; the last component may contain `*`.
    pub paths: Vec<String>,
    /// systemd unit and service names; may contain `*`.
    pub units: Vec<String>,
    /// Process names; may contain `*`.
    pub processes: Vec<String>,
    /// Windows registry keys.
    pub registry_keys: Vec<String>,
    /// Parts of certificate subjects.
    pub certificate_subjects: Vec<String>,
    /// Browser extensions by id, or by name in lower case; may contain `*`.
    pub extension_ids: Vec<String>,
}
