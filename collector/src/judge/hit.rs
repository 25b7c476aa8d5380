//! A catalogue product recognised in a section. Computed once per section, never per host.

use muster_proto::model::{Evidence, Presence, ProductId};

pub use crate::rules::Strength;

/// A catalogue product recognised in a section, with the observation that shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Hit {
    /// The product.
    pub product: ProductId,
    /// The recogniser: `kaspersky-endpoint-security/linux/deb#1`.
    pub rule: String,
    /// How much it proves by itself.
    pub strength: Strength,
    /// The presence that it shows if its evidence is accepted: `installed`, `management-only`, `embedded`, `remnant`, …
    pub presence: Presence,
    /// The presence that the recogniser shows of an observation without a state.
    pub shows: Presence,
    /// Whether the observation outlives the product: it alone shows a remnant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lingers: bool,
    /// The package store of a package without a kind of its own: `portage`, `xbps`, `opkg`, `sysext`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub store: String,
    /// The id in that store: `app-antivirus/kesl-bin`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub store_id: String,
    /// The version that the observation gives.
    pub version: String,
    /// The observation.
    pub evidence: Evidence,
}
