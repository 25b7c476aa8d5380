//! `[store]`: the database.

use std::path::Path;

use muster_proto::settings::Layers;

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

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StoreKeys {
    url: String,
}

impl StoreKeys {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        if let Some((scheme, _)) = self.url.split_once("://")
            && !["sqlite", "postgres", "postgresql"].contains(&scheme)
        {
            // The scheme only: the rest of the address may hold a password.
            layers.fault("store.url", format!("unknown scheme {scheme:?}; use sqlite or postgres"));
        }
    }

    /// An empty address means the file in the data directory.
    pub(super) fn address(self, data_dir: &Path) -> StoreAddress {
        let Self { url } = self;
        StoreAddress(if url.is_empty() { data_dir.join("muster.db").display().to_string() } else { url })
    }
}
