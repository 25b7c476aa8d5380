//! `[store]`: the database.

use std::path::Path;
use std::time::Duration;

use muster_proto::settings::Layers;

use super::span::format_span;

/// Where the store is, as `store::connect` wants it. It may hold a password, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreAddress(String);

impl StoreAddress {
    /// The address itself.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0
    }

    /// The file of an embedded store; `None` when it is a server.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        let path = self.0.strip_prefix("sqlite://").or_else(|| self.0.strip_prefix("sqlite:")).unwrap_or(&self.0);
        // Every other scheme belongs to a database server.
        (!path.contains("://")).then(|| Path::new(path))
    }
}

impl std::fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.file() {
            Some(file) => write!(f, "StoreAddress({})", file.display()),
            None => f.write_str("StoreAddress(…)"),
        }
    }
}

/// How the collector watches whether the store accepts writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreCheck {
    /// `store.check_every`: how often it writes a little.
    pub every: Duration,
    /// `store.check_deadline`: a write that takes longer counts as failed.
    pub deadline: Duration,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StoreKeys {
    url: String,
    #[serde(with = "humantime_serde")]
    check_every: Duration,
    #[serde(with = "humantime_serde")]
    check_deadline: Duration,
}

impl Default for StoreKeys {
    fn default() -> Self {
        Self {
            url: String::new(),
            // Often enough for a load balancer, and one sync of the disk more is nothing beside the reports.
            check_every: Duration::from_secs(10),
            // Longer than a busy writer or a failover of the database takes.
            check_deadline: Duration::from_secs(30),
        }
    }
}

impl StoreKeys {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        if let Some((scheme, _)) = self.url.split_once("://")
            && !["sqlite", "postgres", "postgresql"].contains(&scheme)
        {
            // The scheme only: the rest of the address may hold a password.
            layers.fault("store.url", format!("unknown scheme {scheme:?}; use sqlite or postgres"));
        }
        let (shortest, longest) = (Duration::from_millis(100), Duration::from_secs(3600));
        for (key, span) in [("store.check_every", &self.check_every), ("store.check_deadline", &self.check_deadline)] {
            layers.limit(key, span, (shortest, longest), |span| format_span(*span));
        }
    }

    pub(super) const fn watch(&self) -> StoreCheck {
        StoreCheck { every: self.check_every, deadline: self.check_deadline }
    }

    /// An empty address means the file in the data directory.
    pub(super) fn address(self, data_dir: &Path) -> StoreAddress {
        let Self { url, .. } = self;
        StoreAddress(if url.is_empty() { data_dir.join("muster.db").display().to_string() } else { url })
    }
}
