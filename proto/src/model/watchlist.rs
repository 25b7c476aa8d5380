//! What agents are asked to test for existence: derived from the catalogue, never a rule.

/// Names whose existence is tested where a source cannot list everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watchlist {
    /// Grows with every change; 0 is "none".
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
